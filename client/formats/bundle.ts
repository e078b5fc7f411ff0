/**
 * Sigstore bundles v0.1 to v0.3 (sigstore/protobuf-specs 0.5.1, `dev.sigstore.bundle.v1.Bundle`, proto3 JSON). A bundle
 * holds a signature over a file's digest or over an attestation (DSSE), and the proof that the signature is in a log.
 *
 *   { "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
 *     "verificationMaterial": {
 *       one of "publicKey": { "hint": … }, "certificate": { "rawBytes": … }, "x509CertificateChain": { "certificates": [ … ] },
 *       "tlogEntries": [ TransparencyLogEntry ],
 *       "timestampVerificationData": { "rfc3161Timestamps": [ { "signedTimestamp": … } ] } },
 *     one of "messageSignature": { "messageDigest": { "algorithm": "SHA2_256", "digest": … }, "signature": … },
 *            "dsseEnvelope": { "payload": …, "payloadType": …, "signatures": [ { "sig": …, "keyid": … } ] } }
 *
 * A reader ignores members of the envelope and of its signatures that DSSE does not define (secure-systems-lab/dsse 1.0.2,
 * envelope.md: "Consumers MUST ignore unrecognized fields"). Every other unknown field is refused.
 *
 * A bundle does not contain the public key, on purpose: a verifier must know from elsewhere which key to trust.
 */
import { encodeBase64, encodeUtf8, equal } from '../../merkle/bytes.ts';
import { printable } from '../../merkle/printable.ts';
import { DIGEST_NUMBER, type DigestAlgorithm } from '../../merkle/rekor/hashes.ts';
import { ClientError } from '../errors.ts';
import { array, bytes, enumeration, knownMembers, malformed, object, oneOf, parseJson, string } from './json.ts';
import { formatTlogEntry, parseTlogEntry, type TlogEntry } from './log-entry.ts';
import { otherJson, otherText } from './other-forms.ts';

const BUNDLE_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json';

/** Longest accepted bundle in bytes: an attestation may hold a bill of materials. */
export const MAX_BUNDLE = 64 * 1024 * 1024;

/** Most certificates of one bundle. No signer needs more. */
const MAX_CERTIFICATES = 16;
/** Most log entries of one bundle, and most time stamps: sigstore-go has the same bounds. */
export const MAX_BUNDLE_EVIDENCE = 32;

type BundleVersion = '0.1' | '0.2' | '0.3';

const VERSIONS: Readonly<Record<string, BundleVersion>> = {
  'application/vnd.dev.sigstore.bundle+json;version=0.1': '0.1',
  'application/vnd.dev.sigstore.bundle+json;version=0.2': '0.2',
  'application/vnd.dev.sigstore.bundle+json;version=0.3': '0.3',
  [BUNDLE_TYPE]: '0.3',
};

/** A signature over a file's digest. */
export interface MessageContent {
  readonly kind: 'message';
  /** The file's digest as the signer wrote it, if the bundle has one. Proves nothing. */
  readonly digest?: { readonly algorithm: DigestAlgorithm; readonly value: Uint8Array };
  readonly signature: Uint8Array;
}

/** An attestation: a DSSE envelope with one signature. */
export interface DsseContent {
  readonly kind: 'dsse';
  readonly payloadType: string;
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
  /** Proves nothing. */
  readonly keyId: string;
}

/** The signer that the bundle names. */
type BundleSigner =
  | {
      readonly kind: 'public-key';
      /** Helps a verifier with many keys to find the right one. Proves nothing. */
      readonly hint: string;
    }
  | {
      readonly kind: 'certificate';
      /** DER. */
      readonly certificate: Uint8Array;
      /** DER, from the issuer of `certificate` upwards; only in v0.1 and v0.2. */
      readonly chain: readonly Uint8Array[];
    };

/** A bundle. Nothing of it is verified, and nothing in it may change once it is read. */
export interface Bundle {
  readonly version: BundleVersion;
  readonly content: MessageContent | DsseContent;
  readonly signer: BundleSigner;
  /** Distinct; at least one in a bundle that verifies. */
  readonly entries: readonly TlogEntry[];
  /** Distinct RFC 3161 time-stamp responses over the signature, DER. */
  readonly timestamps: readonly Uint8Array[];
}

/**
 * Parses a bundle, and verifies nothing.
 *
 * @param file UTF-8 JSON of at most 64 MiB
 * @throws ClientError `malformed` (the message names the field); `unsupported` for another version or digest, and for a file
 * of another form, which the message names
 */
export function parseBundle(file: Uint8Array): Bundle {
  return readBundle(parseBundleJson(file));
}

/** The JSON of a file with bundles. @throws ClientError `malformed`; `unsupported` for a file of another known form */
export function parseBundleJson(file: Uint8Array): unknown {
  try {
    return parseJson(file, 'the bundle', MAX_BUNDLE);
  } catch (cause) {
    const other = otherText(file);
    throw other === undefined ? cause : notABundle(other, cause);
  }
}

/** `parseBundle`, of a value that strict JSON gave. */
export function readBundle(value: unknown): Bundle {
  if (Array.isArray(value)) throw malformed('the bundle', 'is a list: write one bundle a line (`jq -c ".[]"`)');
  const other = otherJson(value);
  if (other !== undefined) throw notABundle(other);
  const bundle = object(value, 'the bundle', ['mediaType', 'verificationMaterial', 'messageSignature', 'dsseEnvelope']);
  const version = parseVersion(string(bundle.mediaType, 'mediaType'));
  const arm = oneOf(bundle, 'the bundle', ['messageSignature', 'dsseEnvelope']);
  const content = arm === 'messageSignature' ? parseMessage(bundle[arm], arm) : parseContent(bundle[arm], arm);
  const path = 'verificationMaterial';
  const material = object(bundle[path] ?? {}, path, [
    'publicKey',
    'certificate',
    'x509CertificateChain',
    'tlogEntries',
    'timestampVerificationData',
  ]);
  const entries = array(material.tlogEntries, `${path}.tlogEntries`, MAX_BUNDLE_EVIDENCE).map((entry, at) =>
    parseVersioned(version, parseTlogEntry(entry, `${path}.tlogEntries[${at}]`), `${path}.tlogEntries[${at}]`),
  );
  // A repeated entry must not count as a second proof.
  if (entries.some((entry, at) => entries.slice(0, at).some((other) => sameEntry(entry, other)))) {
    throw malformed(`${path}.tlogEntries`, 'has an entry twice');
  }
  return {
    version,
    content,
    signer: parseSigner(version, material, path),
    entries,
    timestamps: parseTimestamps(material.timestampVerificationData, `${path}.timestampVerificationData`),
  };
}

function notABundle(what: string, cause?: unknown): ClientError {
  return new ClientError('unsupported', `this is no Sigstore bundle, but ${what}`, { cause });
}

/** Writes a bundle v0.3; v0.2 where certificates stand above the signer's, for which v0.3 has no place. */
export function formatBundle(bundle: Bundle): Uint8Array {
  const { signer } = bundle;
  const version = signer.kind === 'certificate' && signer.chain.length > 0 ? '0.2' : '0.3';
  return encodeUtf8(`${JSON.stringify(bundleJson({ ...bundle, version }), undefined, 2)}\n`);
}

/** The proto3 JSON of a bundle, in its version, with standard base64. */
export function bundleJson({ version, content, signer, entries, timestamps }: Bundle): object {
  const rfc3161Timestamps = timestamps.map((reply) => ({ signedTimestamp: encodeBase64(reply) }));
  return {
    mediaType: version === '0.3' ? BUNDLE_TYPE : `application/vnd.dev.sigstore.bundle+json;version=${version}`,
    verificationMaterial: {
      ...formatSigner(version, signer),
      tlogEntries: entries.map(formatTlogEntry),
      ...(timestamps.length === 0 ? {} : { timestampVerificationData: { rfc3161Timestamps } }),
    },
    ...formatContent(content),
  };
}

function formatSigner(version: BundleVersion, signer: BundleSigner): object {
  if (signer.kind === 'public-key') return { publicKey: { hint: signer.hint } };
  const [certificate, ...chain] = [signer.certificate, ...signer.chain].map((der) => ({ rawBytes: encodeBase64(der) }));
  return version === '0.3' ? { certificate } : { x509CertificateChain: { certificates: [certificate, ...chain] } };
}

function formatContent(content: Bundle['content']): object {
  const sig = encodeBase64(content.signature);
  if (content.kind === 'message') {
    const { digest } = content;
    const messageDigest =
      digest === undefined
        ? {}
        : { messageDigest: { algorithm: digest.algorithm, digest: encodeBase64(digest.value) } };
    return { messageSignature: { ...messageDigest, signature: sig } };
  }
  const { payload, payloadType, keyId } = content;
  return {
    dsseEnvelope: {
      payload: encodeBase64(payload),
      payloadType,
      signatures: [{ sig, ...(keyId === '' ? {} : { keyid: keyId }) }],
    },
  };
}

function parseVersion(mediaType: string): BundleVersion {
  if (Object.hasOwn(VERSIONS, mediaType)) return VERSIONS[mediaType]!;
  throw new ClientError(
    'unsupported',
    `the bundle is of the type "${printable(mediaType.slice(0, 80))}"; Stele reads Sigstore bundles v0.1, v0.2 and v0.3`,
  );
}

function parseMessage(value: unknown, path: string): MessageContent {
  const message = object(value, path, ['messageDigest', 'signature']);
  const signature = bytes(message.signature, `${path}.signature`);
  if (message.messageDigest === undefined) return { kind: 'message', signature };
  const digest = object(message.messageDigest, `${path}.messageDigest`, ['algorithm', 'digest']);
  return {
    kind: 'message',
    digest: {
      algorithm: enumeration(digest.algorithm, `${path}.messageDigest.algorithm`, DIGEST_NUMBER),
      value: bytes(digest.digest, `${path}.messageDigest.digest`),
    },
    signature,
  };
}

function parseContent(value: unknown, path: string): DsseContent {
  const { signatures, ...envelope } = parseEnvelope(value, path);
  const [signature] = signatures;
  if (signature === undefined || signatures.length > 1) {
    throw malformed(`${path}.signatures`, `has ${signatures.length} signatures; a bundle's envelope has one`);
  }
  return { kind: 'dsse', ...envelope, signature: signature.sig, keyId: signature.keyId ?? '' };
}

/** A DSSE envelope in JSON, with at most 16 signatures. Nothing of it is verified. @throws ClientError `malformed` */
export function parseEnvelope(value: unknown, path: string) {
  const envelope = knownMembers(value, path, ['payload', 'payloadType', 'signatures']);
  return {
    payloadType: string(envelope.payloadType, `${path}.payloadType`),
    payload: bytes(envelope.payload, `${path}.payload`),
    signatures: array(envelope.signatures, `${path}.signatures`, 16).map((item, at) => {
      const name = `${path}.signatures[${at}]`;
      const { sig, keyid } = knownMembers(item, name, ['sig', 'keyid']);
      return {
        sig: bytes(sig, `${name}.sig`),
        keyId: keyid === undefined ? undefined : string(keyid, `${name}.keyid`),
      };
    }),
  };
}

/** Returns `entry`. @throws ClientError `malformed` if the entry lacks the proof that the bundle's version requires */
function parseVersioned(version: BundleVersion, entry: TlogEntry, path: string): TlogEntry {
  if (version === '0.1') {
    if (entry.promise === undefined) throw malformed(`${path}.inclusionPromise`, 'is missing, but v0.1 requires it');
  } else if (entry.proof?.checkpoint === undefined) {
    throw malformed(`${path}.inclusionProof`, `or its checkpoint is missing, but v${version} requires both`);
  }
  return entry;
}

function parseSigner(version: BundleVersion, material: Record<string, unknown>, path: string): BundleSigner {
  const arm = oneOf(material, path, ['publicKey', 'certificate', 'x509CertificateChain']);
  if (arm === 'publicKey') {
    const { hint } = object(material[arm], `${path}.${arm}`, ['hint']);
    return { kind: 'public-key', hint: hint === undefined ? '' : string(hint, `${path}.${arm}.hint`) };
  }
  if ((arm === 'certificate') !== (version === '0.3')) {
    throw malformed(`${path}.${arm}`, `is not the field of a bundle v${version} for a certificate`);
  }
  if (arm === 'certificate') {
    return { kind: 'certificate', certificate: parseRaw(material[arm], `${path}.${arm}`), chain: [] };
  }
  const { certificates } = object(material[arm], `${path}.${arm}`, ['certificates']);
  const [certificate, ...chain] = array(certificates, `${path}.${arm}.certificates`, MAX_CERTIFICATES).map((item, at) =>
    parseRaw(item, `${path}.${arm}.certificates[${at}]`),
  );
  if (certificate === undefined) throw malformed(`${path}.${arm}`, 'is empty');
  return { kind: 'certificate', certificate, chain };
}

function parseTimestamps(value: unknown, path: string): Uint8Array[] {
  const list = object(value ?? {}, path, ['rfc3161Timestamps']).rfc3161Timestamps;
  const replies = array(list, `${path}.rfc3161Timestamps`, MAX_BUNDLE_EVIDENCE).map((item, at) => {
    const name = `${path}.rfc3161Timestamps[${at}]`;
    return bytes(object(item, name, ['signedTimestamp']).signedTimestamp, `${name}.signedTimestamp`);
  });
  if (replies.some((reply, at) => replies.slice(0, at).some((other) => equal(reply, other)))) {
    throw malformed(path, 'has a timestamp twice');
  }
  return replies;
}

function parseRaw(value: unknown, path: string): Uint8Array {
  return bytes(object(value, path, ['rawBytes']).rawBytes, `${path}.rawBytes`);
}

function sameEntry(a: TlogEntry, b: TlogEntry): boolean {
  return equal(a.logId, b.logId) && (a.index === b.index || equal(a.body, b.body));
}
