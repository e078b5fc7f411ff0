/**
 * Reads the signers and digests in a log entry: `hashedrekord` 0.0.2 and `dsse` 0.0.2 of Rekor v2 (rekor-tiles 2.3.0), and
 * `hashedrekord`, `rekord`, `dsse` and `intoto` of Rekor v1 with keys or certificates.
 *
 * Nothing is verified here. issuer-trust.ts verifies certificate chains, and the log verified the signature.
 */
import { hash } from 'node:crypto';
import { MAX_ENTRY } from '../../../merkle/bundle.ts';
import { CodedError, MerkleError } from '../../../merkle/errors.ts';
import { scanHashedRekord } from '../../../merkle/rekor/hashedrekord.ts';
import { fromBase64 } from '../../../merkle/runtime/base64.ts';
import { type QuickIdentity, quickIdentity } from '../../../merkle/runtime/x509/quick-identity.ts';
import { type Certificate, parseCertificate } from '../../../merkle/x509/certificate.ts';
import type { AlternativeName } from '../../../merkle/x509/certificate-names.ts';
import { identityOf } from '../../../merkle/x509/fulcio.ts';
import { ClientError } from '../../errors.ts';
import { type JsonObject, parseJson } from '../../formats/json.ts';

/** A signer that an entry names. */
export interface EntrySigner {
  /** Subject alternative names; empty for a key without a certificate. */
  readonly names: readonly AlternativeName[];
  readonly issuer?: string;
  /** Fulcio's extensions by name and by OID. */
  readonly extensions: { get(nameOrOid: string): string | undefined };
  /** SHA-256 of the SubjectPublicKeyInfo, hex. */
  readonly key: string;
  /** DER, if the entry holds a certificate. */
  readonly certificate?: Uint8Array;
}

/** A signer whose certificate the strict parser read, for reports. */
export interface FullEntrySigner extends EntrySigner {
  readonly extensions: ReadonlyMap<string, string>;
  readonly parsed?: Certificate;
}

export interface ReadEntry {
  /** `hashedrekord`, `dsse` …; '' if the kind cannot be read. */
  readonly kind: string;
  /** Digests of the signed artifacts, hex; of the payload for `dsse` and `intoto`. */
  readonly digests: readonly string[];
  readonly signers: readonly EntrySigner[];
  /** Why a part of the entry could not be read. The other fields hold the readable parts. */
  readonly problem?: string;
  /** If a part could not be read: the entry and the decoded bytes of the part, for a search for names. */
  readonly raw: readonly Uint8Array[];
}

const MAX_SIGNERS = 64;

/** Reads an entry of any bytes. Never throws. */
export function readEntry(body: Uint8Array): ReadEntry {
  const text = Buffer.from(body.buffer, body.byteOffset, body.length).toString('latin1');
  // Nearly every entry has the canonical form of Rekor v2.
  const plain = scanHashedRekord(text);
  const found = new Found();
  if (plain !== undefined) {
    found.kind = 'hashedrekord';
    found.digest64(plain.digest);
    found.der64(plain.rawBytes, plain.form === 'x509Certificate');
    return found.entry(body);
  }
  try {
    readAny(parseJson(body, 'the entry', MAX_ENTRY), found);
  } catch (error) {
    found.fail(error);
    found.decode(text);
  }
  return found.entry(body);
}

/** Gathers signers, digests and the first problem. */
class Found {
  kind = '';
  readonly #digests: string[] = [];
  readonly #signers: EntrySigner[] = [];
  readonly #raw: Uint8Array[] = [];
  #problem: string | undefined;

  entry(body: Uint8Array): ReadEntry {
    const { kind } = this;
    const found = { kind, digests: this.#digests, signers: this.#signers };
    if (this.#problem === undefined) return { ...found, raw: [] };
    return { ...found, problem: this.#problem, raw: [body, ...this.#raw] };
  }

  fail(error: unknown): void {
    this.#problem ??= error instanceof CodedError ? error.message : 'it cannot be read';
  }

  /** Decodes all base64 in an unreadable entry, and all base64 inside the decoded bytes (PEM). */
  decode(text: string, depth = 0): void {
    for (const [run] of text.matchAll(/[A-Za-z0-9+/]{40,}/g)) {
      const bytes = Buffer.from(run, 'base64');
      this.#raw.push(bytes);
      if (depth === 0) this.decode(bytes.toString('latin1').replace(/\s/g, ''), 1);
    }
  }

  digest64(text: unknown): void {
    const bytes = base64(text);
    if (bytes === undefined) this.#problem ??= 'its digest is not base64';
    else this.digest(bytes.toString('hex'));
  }

  digest(hex: unknown): void {
    if (typeof hex === 'string' && /^[0-9a-f]{64,128}$/.test(hex)) this.#digests.push(hex);
  }

  /** Base64 of DER: a certificate or a key. */
  der64(text: unknown, certificate: boolean): void {
    const der = base64(text);
    if (der === undefined) this.#problem ??= `its ${certificate ? 'certificate' : 'key'} is not base64`;
    else this.#der(der, certificate);
  }

  /** Base64 of PEM: a certificate (the first of a chain) or a public key. */
  pem64(text: unknown): void {
    const pem = base64(text);
    const block = pem === undefined ? null : PEM.exec(pem.toString('latin1'));
    const der = block === null ? undefined : base64(block[2]!.replace(/\s+/g, ''));
    if (pem === undefined || block === null || der === undefined) {
      this.#problem ??= 'its key or certificate is not base64 of PEM';
      if (pem !== undefined) this.#raw.push(pem);
    } else this.#der(der, block[1] === 'CERTIFICATE');
  }

  #der(der: Buffer, certificate: boolean): void {
    if (this.#signers.length >= MAX_SIGNERS) {
      this.#problem ??= `it has more than ${MAX_SIGNERS} signers`;
      return;
    }
    try {
      this.#signers.push(certificate ? certificateSigner(der) : keySigner(der));
    } catch (error) {
      this.fail(error);
      this.#raw.push(der);
    }
  }
}

const PEM = /^\s*-----BEGIN (CERTIFICATE|PUBLIC KEY)-----([A-Za-z0-9+/=\s]+)-----END \1-----/;

function certificateSigner(der: Buffer): EntrySigner {
  const quick = quickIdentity(der);
  return quick === undefined ? fullSigner(der) : new QuickSigner(der, quick);
}

/** Computes the hash of the key on demand: for most entries no rule compares it. */
class QuickSigner implements EntrySigner {
  readonly names: readonly AlternativeName[];
  readonly issuer?: string;
  readonly extensions: EntrySigner['extensions'];
  readonly certificate: Uint8Array;
  readonly #spki: Uint8Array;

  constructor(der: Uint8Array, { names, issuer, extensions, spki }: QuickIdentity) {
    this.names = names;
    if (issuer !== undefined) this.issuer = issuer;
    this.extensions = extensions;
    this.certificate = der;
    this.#spki = spki;
  }

  get key(): string {
    return fingerprint(this.#spki);
  }
}

/** @throws MerkleError `bad-der` */
function fullSigner(der: Uint8Array): FullEntrySigner {
  const parsed = parseCertificate(der);
  const { names, issuer, extensions } = identityOf(parsed);
  const key = fingerprint(parsed.spki);
  return { names, ...(issuer === undefined ? {} : { issuer }), extensions, key, certificate: der, parsed };
}

/** Reads the signer's certificate with the strict parser. Undefined if that parser refuses the certificate. */
export function inFull(signer: EntrySigner): FullEntrySigner | undefined {
  if (signer.certificate === undefined) return { names: [], extensions: NONE, key: signer.key };
  try {
    return fullSigner(signer.certificate);
  } catch (error) {
    if (error instanceof MerkleError) return undefined;
    throw error;
  }
}

const NONE: ReadonlyMap<string, string> = new Map();

function keySigner(spki: Uint8Array): EntrySigner {
  return { names: [], extensions: NONE, key: fingerprint(spki) };
}

function fingerprint(spki: Uint8Array): string {
  return hash('sha256', spki, 'hex');
}

/** Decodes padded standard base64; undefined for any other value. */
function base64(text: unknown): Buffer | undefined {
  return typeof text === 'string' ? fromBase64(text) : undefined;
}

function readAny(value: unknown, found: Found): void {
  const { kind, apiVersion, spec } = fields(value);
  if (typeof kind === 'string') found.kind = kind;
  const body = fields(spec);
  const read = READERS[`${String(kind)} ${String(apiVersion)}`];
  if (read === undefined) throw new ClientError('unsupported', 'it is of an unsupported kind');
  read(body, found);
}

const READERS: Readonly<Record<string, (spec: JsonObject, found: Found) => void>> = {
  'hashedrekord 0.0.2': (spec, found) => {
    const { data, signature } = fields(spec.hashedRekordV002);
    found.digest64(fields(data).digest);
    verifier(fields(signature).verifier, found);
  },
  'dsse 0.0.2': (spec, found) => {
    const { payloadHash, signatures } = fields(spec.dsseV002);
    found.digest64(fields(payloadHash).digest);
    for (const signature of items(signatures)) verifier(fields(signature).verifier, found);
  },
  'hashedrekord 0.0.1': plainV1,
  'rekord 0.0.1': plainV1,
  'dsse 0.0.1': (spec, found) => {
    found.digest(fields(spec.payloadHash).value);
    for (const signature of items(spec.signatures)) found.pem64(fields(signature).verifier);
  },
  'intoto 0.0.1': (spec, found) => {
    found.digest(fields(fields(spec.content).payloadHash ?? {}).value);
    found.pem64(spec.publicKey);
  },
  'intoto 0.0.2': (spec, found) => {
    const content = fields(spec.content);
    found.digest(fields(content.payloadHash ?? {}).value);
    for (const signature of items(fields(content.envelope).signatures)) found.pem64(fields(signature).publicKey);
  },
};

function plainV1(spec: JsonObject, found: Found): void {
  found.digest(fields(fields(spec.data).hash).value);
  found.pem64(fields(fields(spec.signature).publicKey).content);
}

function verifier(value: unknown, found: Found): void {
  const { x509Certificate, publicKey } = fields(value);
  const certificate = x509Certificate !== undefined;
  found.der64(fields(certificate ? x509Certificate : publicKey).rawBytes, certificate);
}

function fields(value: unknown): JsonObject {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw new ClientError('malformed', 'it does not have the form of its kind');
}

function items(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw new ClientError('malformed', 'it does not have the form of its kind');
}
