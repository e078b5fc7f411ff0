/**
 * An entry of any bytes in words: what it is about, by whom, and what of it is checked here. Nothing in it is trusted; what cannot
 * be read is said to be so, and shown as it is.
 *
 * Kinds: `hashedrekord` 0.0.2 and `dsse` 0.0.2 of Rekor v2 (rekor-tiles 2.3.0); `hashedrekord`, `rekord`, `dsse` and `intoto` of
 * Rekor v1 (sigstore/rekor 1.4).
 */
import { MAX_ENTRY } from '../../../merkle/bundle.ts';
import { decodeBase64, decodeHex, decodeUtf8, encodeHex } from '../../../merkle/bytes.ts';
import { CodedError, MerkleError } from '../../../merkle/errors.ts';
import { parsePem, pemBytes } from '../../../merkle/pem.ts';
import { DIGEST_SIZE, HASH_NAME, type HashName } from '../../../merkle/rekor/hashes.ts';
import type { Primitives } from '../../../merkle/rekor/primitives.ts';
import { parseStrictJson } from '../../../merkle/rekor/strict-json.ts';
import type { TrustedRoot } from '../../trust/trusted-root.ts';
import { type CertificateWords, certificateWords } from './certificate-words.ts';
import { claimFailed, claimNotChecked, type PageClaim } from './claims.ts';
import { checkEntrySignature, type SignatureParts, type SignedDigest } from './entry-signature.ts';

interface DigestWords {
  /** What has the digest: the signed file, or the payload of an envelope. */
  readonly of: 'file' | 'payload';
  readonly algorithm: HashName;
  /** Lower-case hex. */
  readonly hex: string;
}

/** One signature of an entry. */
export interface SignatureWords {
  readonly by: 'key' | 'certificate';
  /** What the entry calls the key; only in Rekor v2. */
  readonly keyDetails?: string;
  /** What the key is, for people: `ECDSA P-256`. Absent where it cannot be read. */
  readonly keyName?: string;
  /** SHA-256 of the SubjectPublicKeyInfo, hex; absent where there is none. */
  readonly keyDigest?: string;
  readonly certificate?: CertificateWords;
  /** The signature, and the certificate where there is one. */
  readonly claims: readonly PageClaim[];
}

export interface EntryWords {
  /** `opaque` is no entry of Rekor: bytes of which nothing more is known. */
  readonly state: 'read' | 'partly' | 'opaque';
  readonly kind?: string;
  readonly version?: string;
  readonly digests: readonly DigestWords[];
  readonly signatures: readonly SignatureWords[];
  /** Why it, or a part of it, cannot be read. */
  readonly problem?: string;
  /** The entry as text of several lines: its JSON, or its UTF-8; absent for other bytes. */
  readonly text?: string;
}

interface WordsOptions {
  /** Of explorer.json: whose certificates count. */
  readonly trustedRoot?: TrustedRoot | undefined;
  /** By when the entry was in the log, by the quorum's cosignatures; ms since 1970. */
  readonly seenBy?: number | undefined;
}

/** Most signatures of an entry that are read: one that has more is told. */
const MAX_SIGNATURES = 64;

/** Reads an entry of any bytes. Never throws for what is in it. */
export function entryWords(body: Uint8Array, options: WordsOptions, primitives: Primitives): EntryWords {
  const text = textOf(body);
  let value: unknown;
  try {
    value = parseStrictJson(body, 'the entry', MAX_ENTRY);
  } catch (error) {
    return {
      state: 'opaque',
      digests: [],
      signatures: [],
      problem: reasonOf(error),
      ...(text !== undefined && { text }),
    };
  }
  const words = new FoundWords(body, options, primitives);
  const shown = { text: indentJson(text!) };
  const { kind, apiVersion, spec } = isObject(value) ? value : {};
  if (typeof kind !== 'string' || typeof apiVersion !== 'string') {
    const problem = 'it is JSON, but no entry of Rekor: it names no kind and version';
    return { state: 'opaque', digests: [], signatures: [], problem, ...shown };
  }
  const reader = Object.hasOwn(READERS, `${kind} ${apiVersion}`) ? READERS[`${kind} ${apiVersion}`]! : undefined;
  if (reader === undefined) words.problem = 'this page does not read entries of this kind and version';
  else words.try(() => reader(fields(spec), words));
  const { problem, digests, signatures } = words;
  const state = problem === undefined ? 'read' : 'partly';
  return { state, kind, version: apiVersion, digests, signatures, ...(problem !== undefined && { problem }), ...shown };
}

/** Gathers what an entry says, and the first problem. */
class FoundWords {
  readonly digests: DigestWords[] = [];
  readonly signatures: SignatureWords[] = [];
  problem: string | undefined;
  readonly #body: Uint8Array;
  readonly #options: WordsOptions;
  readonly #primitives: Primitives;

  constructor(body: Uint8Array, options: WordsOptions, primitives: Primitives) {
    this.#body = body;
    this.#options = options;
    this.#primitives = primitives;
  }

  try(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.problem ??= reasonOf(error);
    }
  }

  /** Returns the digest too, for the check of its signature. */
  digest(of: DigestWords['of'], algorithm: HashName, value: Uint8Array): SignedDigest {
    if (value.length !== DIGEST_SIZE[algorithm]) throw bad(`its digest has not the length of ${algorithm}`);
    this.digests.push({ of, algorithm, hex: encodeHex(value) });
    return { algorithm, value };
  }

  signature(parts: Omit<SignatureParts, 'body'>): void {
    if (this.signatures.length === MAX_SIGNATURES) throw bad(`it has more than ${MAX_SIGNATURES} signatures`);
    const { verifier, keyDetails } = parts;
    const details = keyDetails === undefined ? {} : { keyDetails };
    const { key, claim } = checkEntrySignature({ ...parts, body: this.#body }, this.#primitives);
    const claims = [claim];
    if (!verifier.isCertificate) {
      this.signatures.push({ by: 'key', ...details, ...key, claims });
      return;
    }
    try {
      const certificate = certificateWords(verifier.der, this.#options, this.#primitives);
      claims.push(...certificate.claims);
      this.signatures.push({ by: 'certificate', ...details, ...key, certificate, claims });
    } catch (error) {
      claims.push(claimFailed('The certificate can be read', reasonOf(error)));
      this.signatures.push({ by: 'certificate', ...details, ...key, claims });
      this.problem ??= `its certificate cannot be read: ${reasonOf(error)}`;
    }
  }

  /** A signature whose signer cannot be read. */
  unreadable(by: SignatureWords['by'], why: string): void {
    this.signatures.push({ by, claims: [claimNotChecked('The signature', why)] });
    this.problem ??= why;
  }
}

type Fields = { readonly [name: string]: unknown };

const OVER_PAYLOAD =
  'it is over the payload of the envelope, which a log does not hold: drop the bundle on the page to check it';

const READERS: Readonly<Record<string, (spec: Fields, words: FoundWords) => void>> = {
  'hashedrekord 0.0.2': (spec, words) => {
    const { data, signature } = fields(spec.hashedRekordV002);
    const digest = digestV2('file', data, words);
    signatureV2(signature, words, { digest });
  },
  'dsse 0.0.2': (spec, words) => {
    const { payloadHash, signatures } = fields(spec.dsseV002);
    words.try(() => digestV2('payload', payloadHash, words));
    for (const signature of items(signatures)) words.try(() => signatureV2(signature, words, { why: OVER_PAYLOAD }));
  },
  'hashedrekord 0.0.1': (spec, words) => {
    const digest = digestV1('file', fields(spec.data).hash, words);
    const { content, publicKey } = fields(spec.signature);
    signatureV1(content, fields(publicKey).content, words, { digest });
  },
  'rekord 0.0.1': (spec, words) => {
    words.try(() => digestV1('file', fields(spec.data).hash, words));
    const { content, publicKey, format } = fields(spec.signature);
    const why = `a rekord holds a signature of the format ${typeof format === 'string' ? format.slice(0, 20) : 'unknown'} over the file itself, which a log does not hold`;
    signatureV1(content, fields(publicKey).content, words, { why });
  },
  'dsse 0.0.1': (spec, words) => {
    words.try(() => digestV1('payload', spec.payloadHash, words));
    for (const one of items(spec.signatures)) {
      const { signature, verifier } = fields(one);
      words.try(() => signatureV1(signature, verifier, words, { why: OVER_PAYLOAD }));
    }
  },
  'intoto 0.0.1': (spec, words) => {
    const { payloadHash } = fields(spec.content);
    if (payloadHash !== undefined) words.try(() => digestV1('payload', payloadHash, words));
    signatureV1(undefined, spec.publicKey, words, { why: OVER_PAYLOAD });
  },
  'intoto 0.0.2': (spec, words) => {
    const { payloadHash, envelope } = fields(spec.content);
    if (payloadHash !== undefined) words.try(() => digestV1('payload', payloadHash, words));
    for (const one of items(fields(envelope).signatures)) {
      const { sig, publicKey } = fields(one);
      words.try(() => signatureV1(sig, publicKey, words, { why: OVER_PAYLOAD }));
    }
  },
};

type Over = { readonly digest: SignedDigest } | { readonly why: string };

function digestV2(of: DigestWords['of'], value: unknown, words: FoundWords): SignedDigest {
  const { algorithm, digest } = fields(value);
  const name = text(algorithm, 'the algorithm of its digest');
  if (!Object.hasOwn(HASH_NAME, name)) throw bad('its digest is of an unknown algorithm');
  return words.digest(of, HASH_NAME[name as keyof typeof HASH_NAME], base64(digest, 'its digest'));
}

function digestV1(of: DigestWords['of'], value: unknown, words: FoundWords): SignedDigest {
  const { algorithm, value: hex } = fields(value);
  const name = text(algorithm, 'the algorithm of its digest');
  if (!Object.hasOwn(DIGEST_SIZE, name)) throw bad('its digest is of an unknown algorithm');
  return words.digest(of, name as HashName, decodeHex(text(hex, 'its digest')));
}

function signatureV2(value: unknown, words: FoundWords, over: Over): void {
  const { content, verifier } = fields(value);
  const { keyDetails, publicKey, x509Certificate } = fields(verifier);
  const isCertificate = x509Certificate !== undefined;
  if (isCertificate === (publicKey !== undefined)) throw bad('a signature has not one key or certificate');
  const der = base64(fields(isCertificate ? x509Certificate : publicKey).rawBytes, 'its key or certificate');
  const named = text(keyDetails, 'the kind of its key');
  words.signature({
    signature: base64(content, 'its signature'),
    verifier: { der, isCertificate },
    keyDetails: named,
    ...over,
  });
}

function signatureV1(content: unknown, verifier: unknown, words: FoundWords, over: Over): void {
  const pem = decodeUtf8(base64(verifier, 'its key or certificate'));
  let block: ReturnType<typeof parsePem>[number] | undefined;
  try {
    [block] = parsePem(pem);
  } catch {
    block = undefined;
  }
  if (block === undefined || !['CERTIFICATE', 'PUBLIC KEY'].includes(block.label)) {
    words.unreadable('key', 'its key is neither a certificate nor a public key in PEM, so it is not read here');
    return;
  }
  const isCertificate = block.label === 'CERTIFICATE';
  const signature = content === undefined ? new Uint8Array(0) : base64(content, 'its signature');
  words.signature({ signature, verifier: { der: pemBytes(block), isCertificate }, ...over });
}

function base64(value: unknown, what: string): Uint8Array {
  try {
    return decodeBase64(text(value, what));
  } catch (cause) {
    if (cause instanceof MerkleError && cause.code === 'bad-base64') throw bad(`${what} is not base64`, cause);
    throw cause;
  }
}

function fields(value: unknown): Fields {
  if (isObject(value)) return value;
  throw bad('it does not have the form of its kind');
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function items(value: unknown): readonly unknown[] {
  if (Array.isArray(value) && value.length > 0) return value;
  throw bad('it has no list of signatures');
}

function text(value: unknown, what: string): string {
  if (typeof value === 'string') return value;
  throw bad(`${what} is missing or no text`);
}

function bad(why: string, cause?: unknown): MerkleError {
  return new MerkleError('bad-entry', why, { cause });
}

function reasonOf(error: unknown): string {
  if (error instanceof CodedError) return error.message;
  throw error;
}

function textOf(body: Uint8Array): string | undefined {
  try {
    return decodeUtf8(body);
  } catch {
    return undefined;
  }
}

/** Most spaces in front of a line, so that a deep text stays as long as it is. */
const MAX_INDENT = 16;

/** JSON with a line for each member. The tokens stay as they are, so that no number loses a digit. */
export function indentJson(json: string): string {
  const parts: string[] = [];
  let depth = 0;
  let before = '';
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+/gs)) {
    const opened = before === '{' || before === '[';
    const closes = token === '}' || token === ']';
    if (closes) depth--;
    if (closes ? !opened : opened || before === ',') parts.push(`\n${'  '.repeat(Math.min(depth, MAX_INDENT))}`);
    if (token === '{' || token === '[') depth++;
    parts.push(token === ':' ? ': ' : token);
    before = token;
  }
  return parts.join('');
}
