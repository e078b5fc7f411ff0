/**
 * Sigstore's trusted root (sigstore/protobuf-specs 104df67, `dev.sigstore.trustroot.v1.TrustedRoot`, proto3 JSON, media types
 * v0.1 and v0.2): the keys of logs, certificate authorities, certificate-transparency logs and time-stamp authorities, each
 * with the period in which its signatures count. format-trusted-root.ts writes it.
 *
 *   { "mediaType": "application/vnd.dev.sigstore.trustedroot.v0.2+json",
 *     "tlogs" and "ctlogs": [ { "baseUrl", "hashAlgorithm": "SHA2_256", "logId": { "keyId" }, "checkpointKeyId"?,
 *       "publicKey": { "rawBytes": SPKI DER, "keyDetails", "validFor": { "start", "end"? } }, "operator"? } ],
 *     "certificateAuthorities" and "timestampAuthorities": [ { "subject", "uri", "validFor", "operator"?,
 *       "certChain": { "certificates": [ { "rawBytes": DER } ] } } ] }         from the issuer of leaves up to the root
 *
 * `checkpointKeyId` and `operator` came with v0.2. They are read in v0.1 too, where some files have them.
 */
import { encodeHex } from '../../merkle/bytes.ts';
import type { HashName } from '../../merkle/rekor/hashes.ts';
import { findKeyDetails } from '../../merkle/rekor/key-details.ts';
import { type KeyInfo, parseSpki, spkiOfPkcs1 } from '../../merkle/rekor/spki.ts';
import { type Certificate, parseCertificate } from '../../merkle/x509/certificate.ts';
import type { Period } from '../../merkle/x509/utc-time.ts';
import { ClientError } from '../errors.ts';
import { array, bytes, enumeration, type JsonObject, malformed, object, parseJson, string } from '../formats/json.ts';
import { jsonDocuments } from '../formats/json-lines.ts';
import { withClientErrors } from '../merkle-errors.ts';

/** Longest trusted root that is accepted, in bytes. */
export const MAX_TRUSTED_ROOT = 4 * 1024 * 1024;

export interface TrustedLog {
  /** The log's address, with or without a scheme, or only its origin. */
  readonly baseUrl: string;
  readonly key: KeyInfo;
  /** The hash that the log signs; undefined for Ed25519, which signs the message itself. */
  readonly hash: HashName | undefined;
  readonly validFor: Period;
  /** Usually 32 bytes. */
  readonly logId: Uint8Array;
  /** ID of the key that signs checkpoints, 4 bytes or more: the first 4 are the key ID in the note. */
  readonly checkpointKeyId: Uint8Array;
  /** A URI without a scheme, such as sigstore.dev. Proofs of one operator count once. */
  readonly operator?: string;
}

export interface TrustedAuthority {
  /** Of the trust anchor. The certificates say the same; nothing else is made of it. */
  readonly subject?: { readonly organization?: string; readonly commonName?: string };
  readonly uri: string;
  /** At least one, from the issuer of leaf certificates up to the root. A time-stamp authority's own certificate is first. */
  readonly certificates: readonly Certificate[];
  readonly validFor: Period;
  /** As `TrustedLog.operator`: time stamps of one operator count once. */
  readonly operator?: string;
}

export interface TrustedRoot {
  /** The line on which it starts, from 1; only in a file with several. */
  readonly line?: number;
  readonly tlogs: readonly TrustedLog[];
  readonly certificateAuthorities: readonly TrustedAuthority[];
  readonly ctlogs: readonly TrustedLog[];
  /** Whether the file names certificate-transparency logs with keys of another kind, which `ctlogs` lacks. */
  readonly otherCtLogs?: boolean;
  readonly timestampAuthorities: readonly TrustedAuthority[];
}

export type TrustedRootVersion = '0.1' | '0.2';

/** The media type that other clients read of each version. */
export const TRUSTED_ROOT_TYPE: Readonly<Record<TrustedRootVersion, string>> = {
  '0.1': 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
  '0.2': 'application/vnd.dev.sigstore.trustedroot.v0.2+json',
};
const MEDIA_TYPES: readonly string[] = [
  ...Object.values(TRUSTED_ROOT_TYPE),
  'application/vnd.dev.sigstore.trustedroot.v0.1+json',
];
const MAX_ITEMS = 256;
/** Most trusted roots of one file. */
const MAX_TRUSTED_ROOTS = 16;

/**
 * @param file UTF-8 JSON of at most 4 MiB
 * @throws ClientError `trusted-root`; the message names the field
 */
export function parseTrustedRoot(file: Uint8Array): TrustedRoot {
  const [root, ...more] = parseTrustedRoots(file);
  if (more.length === 0) return root!;
  throw unusable('', `it holds ${more.length + 1} trusted roots, and this needs a file with one`);
}

/**
 * The trusted roots of a file with one or with several: JSON lines, as `gh attestation trusted-root` writes them, or JSON
 * objects one after another. Each is a trust domain of its own (verify/under-roots.ts).
 *
 * @param file UTF-8 of at most 4 MiB, with at most 16 roots
 * @returns at least one
 * @throws ClientError `trusted-root`; the message names the line and the field
 */
export function parseTrustedRoots(file: Uint8Array): readonly TrustedRoot[] {
  // A file of one root has its own bound, and an error that names it.
  const documents = file.length > MAX_TRUSTED_ROOT ? [{ line: 1, bytes: file }] : documentsOf(file);
  return documents.map(({ line, bytes }) => {
    try {
      const root = readRoot(bytes);
      return documents.length === 1 ? root : { line, ...root };
    } catch (cause) {
      if (!(cause instanceof ClientError)) throw cause;
      throw unusable(documents.length === 1 ? '' : ` on line ${line}`, cause.message, cause);
    }
  });
}

function documentsOf(file: Uint8Array): ReturnType<typeof jsonDocuments> {
  try {
    return jsonDocuments(file, 'the file', MAX_TRUSTED_ROOTS);
  } catch (cause) {
    throw unusable('', (cause as Error).message, cause);
  }
}

function unusable(where: string, why: string, cause?: unknown): ClientError {
  return new ClientError('trusted-root', `the trusted root${where} cannot be used: ${why}`, { cause });
}

function readRoot(file: Uint8Array): TrustedRoot {
  const root = object(parseJson(file, 'the file', MAX_TRUSTED_ROOT), 'the file', [
    'mediaType',
    'tlogs',
    'certificateAuthorities',
    'ctlogs',
    'timestampAuthorities',
  ]);
  if (!MEDIA_TYPES.includes(string(root.mediaType, 'mediaType'))) {
    throw malformed('mediaType', `is neither ${Object.values(TRUSTED_ROOT_TYPE).join(' nor ')}`);
  }
  const list = <T>(name: string, read: (value: unknown, path: string) => T): T[] =>
    array(root[name], name, MAX_ITEMS).map((value, at) => read(value, `${name}[${at}]`));
  const known = (log: TrustedLog | undefined): log is TrustedLog => log !== undefined;
  const ctlogs = list('ctlogs', readLog);
  return {
    tlogs: list('tlogs', readLog).filter(known),
    certificateAuthorities: list('certificateAuthorities', readAuthority),
    ctlogs: ctlogs.filter(known),
    ...(ctlogs.every(known) ? {} : { otherCtLogs: true }),
    timestampAuthorities: list('timestampAuthorities', readAuthority),
  };
}

function readLog(value: unknown, path: string): TrustedLog | undefined {
  const log = object(value, path, ['baseUrl', 'hashAlgorithm', 'publicKey', 'logId', 'checkpointKeyId', 'operator']);
  const publicKey = object(log.publicKey ?? {}, `${path}.publicKey`, ['rawBytes', 'keyDetails', 'validFor']);
  const raw = bytes(publicKey.rawBytes, `${path}.publicKey.rawBytes`);
  const { keyDetails } = publicKey;
  const details = findKeyDetails(keyDetails);
  const logId = keyId(log.logId, `${path}.logId`);
  const validFor = readPeriod(publicKey.validFor, `${path}.publicKey.validFor`);
  enumeration(log.hashAlgorithm, `${path}.hashAlgorithm`, { SHA2_256: 1 });
  // A key of another kind is left out: it can vouch for nothing here.
  if (details?.kind === undefined) return undefined;
  const { name, kind, hash } = details;
  const key = withClientErrors(() => parseSpki(name === 'PKCS1_RSA_PKCS1V5' && !isSpki(raw) ? spkiOfPkcs1(raw) : raw));
  if (key.kind !== kind) throw malformed(`${path}.publicKey`, `is ${key.name}, but is called ${name}`);
  return {
    baseUrl: log.baseUrl === undefined ? '' : string(log.baseUrl, `${path}.baseUrl`),
    key,
    hash,
    validFor,
    logId,
    checkpointKeyId: log.checkpointKeyId === undefined ? logId : keyId(log.checkpointKeyId, `${path}.checkpointKeyId`),
    ...readOperator(log.operator, path),
  };
}

function keyId(value: unknown, path: string): Uint8Array {
  const id = bytes(object(value ?? {}, path, ['keyId']).keyId, `${path}.keyId`);
  if (id.length < 4) throw malformed(`${path}.keyId`, 'has less than 4 bytes');
  return id;
}

function readAuthority(value: unknown, path: string): TrustedAuthority {
  const authority = object(value, path, ['subject', 'uri', 'certChain', 'validFor', 'operator']);
  const chain = object(authority.certChain ?? {}, `${path}.certChain`, ['certificates']).certificates;
  const certificates = array(chain, `${path}.certChain.certificates`, 16).map((item, at) => {
    const name = `${path}.certChain.certificates[${at}]`;
    const der = bytes(object(item, name, ['rawBytes']).rawBytes, `${name}.rawBytes`);
    return withClientErrors(() => parseCertificate(der));
  });
  if (certificates.length === 0) throw malformed(`${path}.certChain`, 'is empty');
  return {
    ...readSubject(authority.subject, `${path}.subject`),
    uri: authority.uri === undefined ? '' : string(authority.uri, `${path}.uri`),
    certificates,
    validFor: readPeriod(authority.validFor, `${path}.validFor`, Number.NEGATIVE_INFINITY),
    ...readOperator(authority.operator, path),
  };
}

function readSubject(value: unknown, path: string): Pick<TrustedAuthority, 'subject'> {
  if (value === undefined) return {};
  const { organization, commonName } = object(value, path, ['organization', 'commonName']);
  return {
    subject: {
      ...(organization === undefined ? {} : { organization: string(organization, `${path}.organization`) }),
      ...(commonName === undefined ? {} : { commonName: string(commonName, `${path}.commonName`) }),
    },
  };
}

/** In proto3 the empty text is the same as none. */
function readOperator(value: unknown, path: string): { readonly operator?: string } {
  if (value === undefined || value === '') return {};
  return { operator: string(value, `${path}.operator`) };
}

/** @param open the start of a period that names none; without it such a period is malformed */
function readPeriod(value: unknown, path: string, open?: number): Period {
  const period: JsonObject = object(value ?? {}, path, ['start', 'end']);
  const start = period.start === undefined && open !== undefined ? open : readTime(period.start, `${path}.start`);
  if (period.end === undefined) return { start };
  const end = readTime(period.end, `${path}.end`);
  if (end < start) throw malformed(path, 'ends before it starts');
  return { start, end };
}

const TIME = /^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})$/;

/** `google.protobuf.Timestamp` in proto3 JSON (RFC 3339), in milliseconds since 1970. @throws ClientError `malformed` */
export function readTime(value: unknown, path: string): number {
  const match = TIME.exec(string(value, path));
  const time = match === null ? Number.NaN : Date.parse(`${match[1]}${(match[2] ?? '').slice(0, 4)}${match[3]}`);
  if (Number.isNaN(time)) throw malformed(path, 'is not a time like 2025-09-23T00:00:00Z');
  return time;
}

/** Whether `der` starts with SEQUENCE { SEQUENCE …. A PKCS#1 key starts with SEQUENCE { INTEGER …. */
function isSpki(der: Uint8Array): boolean {
  return !encodeHex(der.subarray(0, 8)).startsWith('3082') || der[4] === 0x30;
}
