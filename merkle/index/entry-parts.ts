/**
 * Where the kinds of entries hold their digest, keys and certificates: docs/index.md, "Well-formed entries".
 *
 * The monitor reads the same kinds (client/monitor/rules/entry-reader.ts). It learns new kinds and forms with time, and these rules
 * never change, so each has its own.
 *
 * An object has exactly the members that its kind lists. So a second place for a key, which another reader may read, makes an
 * entry that is not well-formed.
 */
import { decodeBase64, decodeHex, decodeUtf8, encodeHex } from '../bytes.ts';
import { MerkleError } from '../errors.ts';
import { DIGEST_SIZE, HASH_NAME, type HashName } from '../rekor/hashes.ts';

/** The parts of an entry that give its keys. */
export interface EntryParts {
  /** `sha256:` and lower-case hex. */
  readonly digests: string[];
  readonly signers: SignerPart[];
}

interface SignerPart {
  readonly der: Uint8Array;
  readonly isCertificate: boolean;
}

type Members = { readonly [name: string]: unknown };

/** The parts of the entry with these members. @throws MerkleError `bad-entry` unless it has exactly the form of its kind */
export function entryParts(entry: Members): EntryParts {
  const { kind, apiVersion, spec } = exactly(entry, ['apiVersion', 'kind', 'spec']);
  const parts: EntryParts = { digests: [], signers: [] };
  const name = `${text(kind)} ${text(apiVersion)}`;
  if (!Object.hasOwn(READERS, name)) throw bad('it is of an unsupported kind');
  READERS[name]!(spec, parts);
  return parts;
}

const READERS: Readonly<Record<string, (spec: unknown, parts: EntryParts) => void>> = {
  'hashedrekord 0.0.2': (spec, parts) => {
    const { hashedRekordV002 } = exactly(spec, ['hashedRekordV002']);
    const { data, signature } = exactly(hashedRekordV002, ['data', 'signature']);
    digestV2(data, parts);
    signatureV2(signature, parts);
  },
  'dsse 0.0.2': (spec, parts) => {
    const { dsseV002 } = exactly(spec, ['dsseV002']);
    const { payloadHash, signatures } = exactly(dsseV002, ['payloadHash', 'signatures']);
    digestV2(payloadHash, parts);
    for (const signature of items(signatures)) signatureV2(signature, parts);
  },
  'hashedrekord 0.0.1': (spec, parts) => {
    const { data, signature } = exactly(spec, ['data', 'signature']);
    digestV1(exactly(data, ['hash']).hash, parts);
    const { content, publicKey } = exactly(signature, ['content', 'publicKey']);
    text(content);
    pem(exactly(publicKey, ['content']).content, parts);
  },
  'rekord 0.0.1': (spec, parts) => {
    const { data, signature } = exactly(spec, ['data', 'signature']);
    digestV1(exactly(data, ['hash']).hash, parts);
    const { content, format, publicKey } = exactly(signature, ['content', 'format', 'publicKey']);
    text(content);
    text(format);
    pem(exactly(publicKey, ['content']).content, parts);
  },
  'dsse 0.0.1': (spec, parts) => {
    const { envelopeHash, payloadHash, signatures } = exactly(spec, ['envelopeHash', 'payloadHash', 'signatures']);
    digestOf(envelopeHash);
    digestV1(payloadHash, parts);
    for (const signature of items(signatures)) {
      const { signature: bytes, verifier } = exactly(signature, ['signature', 'verifier']);
      text(bytes);
      pem(verifier, parts);
    }
  },
  'intoto 0.0.1': (spec, parts) => {
    const { content, publicKey } = exactly(spec, ['content', 'publicKey']);
    hashes(exactly(content, ['hash'], ['payloadHash']), parts);
    pem(publicKey, parts);
  },
  'intoto 0.0.2': (spec, parts) => {
    const content = exactly(exactly(spec, ['content']).content, ['envelope', 'hash', 'payloadHash']);
    hashes(content, parts);
    const { payloadType, signatures, payload } = exactly(content.envelope, ['payloadType', 'signatures'], ['payload']);
    text(payloadType);
    if (payload !== undefined) text(payload);
    for (const signature of items(signatures)) {
      const { publicKey, sig, keyid } = exactly(signature, ['publicKey', 'sig'], ['keyid']);
      text(sig);
      if (keyid !== undefined) text(keyid);
      pem(publicKey, parts);
    }
  },
};

/** The hash of an envelope, which is no key, and that of its payload. Early entries lack the latter. */
function hashes({ hash, payloadHash }: Members, parts: EntryParts): void {
  digestOf(hash);
  if (payloadHash !== undefined) digestV1(payloadHash, parts);
}

function digestV2(value: unknown, parts: EntryParts): void {
  const { algorithm, digest } = exactly(value, ['algorithm', 'digest']);
  const name = text(algorithm);
  if (!Object.hasOwn(HASH_NAME, name)) throw bad('its digest is of an unknown algorithm');
  const hash = HASH_NAME[name as keyof typeof HASH_NAME];
  const bytes = decodeBase64(text(digest));
  if (bytes.length !== DIGEST_SIZE[hash]) throw bad('its digest does not have the length of its algorithm');
  parts.digests.push(`${hash}:${encodeHex(bytes)}`);
}

function digestV1(value: unknown, parts: EntryParts): void {
  parts.digests.push(digestOf(value));
}

function digestOf(value: unknown): string {
  const { algorithm, value: hex } = exactly(value, ['algorithm', 'value']);
  const name = text(algorithm);
  const bytes = decodeHex(text(hex));
  if (!Object.hasOwn(DIGEST_SIZE, name) || DIGEST_SIZE[name as HashName] !== bytes.length) {
    throw bad('its digest does not have the length of its algorithm');
  }
  return `${name}:${hex as string}`;
}

function signatureV2(value: unknown, parts: EntryParts): void {
  const { content, verifier } = exactly(value, ['content', 'verifier']);
  text(content);
  const { keyDetails, publicKey, x509Certificate } = exactly(
    verifier,
    ['keyDetails'],
    ['publicKey', 'x509Certificate'],
  );
  text(keyDetails);
  if ((publicKey === undefined) === (x509Certificate === undefined)) throw bad('it does not have one verifier');
  const isCertificate = x509Certificate !== undefined;
  const { rawBytes } = exactly(isCertificate ? x509Certificate : publicKey, ['rawBytes']);
  parts.signers.push({ der: decodeBase64(text(rawBytes)), isCertificate });
}

const PEM = /^[ \t\r\n]*-----BEGIN (CERTIFICATE|PUBLIC KEY)-----([A-Za-z0-9+/= \t\r\n]+)-----END \1-----[ \t\r\n]*$/;

/** Base64 of one block of PEM. */
function pem(value: unknown, parts: EntryParts): void {
  const match = PEM.exec(decodeUtf8(decodeBase64(text(value))));
  if (match === null) throw bad('its key or certificate is not one block of PEM');
  const der = decodeBase64(match[2]!.replace(/[ \t\r\n]/g, ''));
  parts.signers.push({ der, isCertificate: match[1] === 'CERTIFICATE' });
}

function exactly(value: unknown, required: readonly string[], optional: readonly string[] = []): Members {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad('a part of it is no object');
  const members = value as Members;
  const has = (name: string) => Object.hasOwn(members, name);
  const known = required.every(has) ? required.length + optional.filter(has).length : -1;
  if (Object.keys(members).length !== known) throw bad('an object of it does not have the members of its kind');
  return members;
}

function items(value: unknown): readonly unknown[] {
  if (!Array.isArray(value) || value.length === 0) throw bad('it has no list of signatures');
  return value;
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw bad('a part of it is no text');
  return value;
}

function bad(why: string): MerkleError {
  return new MerkleError('bad-entry', `the entry cannot be read: ${why}`);
}
