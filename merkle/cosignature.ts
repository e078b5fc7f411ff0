/**
 * Cosignatures: c2sp.org/tlog-cosignature (C2SP 01194db, 2026-06-03). With a cosignature, a witness states that a
 * checkpoint is consistent with every checkpoint of the log that the witness has seen. A timestamp other than 0 also states
 * that the checkpoint was the largest one at that time.
 *
 * A cosignature stands in a signature line of a note (note.ts). After the key ID the line holds
 *
 *   timestamp, 8 bytes, big-endian, seconds since 1970 || Ed25519 signature, 64 bytes, or ML-DSA-44 signature, 2420 bytes
 *
 * An Ed25519 cosigner (verifier key of type 0x04) signs the text
 *
 *   "cosignature/v1" newline || "time " timestamp in decimal newline || the note's text
 *
 * and an ML-DSA-44 cosigner (type 0x06; FIPS 204, empty context) the structure
 *
 *   "subtree/v1\n\0" || length, 1 byte || cosigner name || timestamp, 8 bytes
 *                    || length, 1 byte || origin || start, 8 bytes || end, 8 bytes || hash, 32 bytes
 *
 * For a checkpoint, start is 0, end is the size, and hash is the root. The structure omits extension lines. It can also
 * describe a subtree: if start is not 0, the timestamp is 0.
 *
 * Worked example (from the specification), an Ed25519 cosignature made at 1679315147:
 *
 *   — witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
 */
import { checkedSize, concat, decodeUtf8, encodeUtf8 } from './bytes.ts';
import { parseCheckpoint } from './checkpoint.ts';
import { MerkleError } from './errors.ts';
import type { NoteSignature } from './note.ts';
import { checkHash } from './rfc6962.ts';
import { isValidSubtree } from './subtree.ts';
import { KEY_TYPE, type NoteVerifier, noteVerifier, type VerifierKey, type VerifyPrimitives } from './verifier-key.ts';

/** Checks signatures of every key type. No check may throw, whatever the signature is. */
export interface CosignaturePrimitives extends VerifyPrimitives {
  /** FIPS 204 ML-DSA-44 with an empty context: 1312-byte key, 2420-byte signature. */
  mldsa44(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
}

/** The two parts of a cosignature. */
interface Cosignature {
  /** Seconds since 1970, 0 to 2^53 - 1. */
  readonly timestamp: number;
  /** 64 or 2420 bytes. */
  readonly signature: Uint8Array;
}

/** The fields that an ML-DSA-44 cosigner signs. */
interface CosignedSubtree {
  /** 1 to 255 bytes of UTF-8. */
  readonly cosigner: string;
  /** Seconds since 1970. 0 says nothing about the time, and is required if `start` is not 0. */
  readonly timestamp: number;
  /** 1 to 255 bytes of UTF-8. */
  readonly origin: string;
  /** Entries [start, end) of the log. */
  readonly start: number;
  readonly end: number;
  /** 32 bytes. */
  readonly hash: Uint8Array;
}

/** A cosigner's key that can sign. */
export interface CosignatureSigner {
  /** Type 0x04 or 0x06. */
  readonly key: VerifierKey;
  /** The raw signature, 64 or 2420 bytes. */
  sign(message: Uint8Array): Promise<Uint8Array>;
}

const TIMESTAMP_SIZE = 8;
const SIGNATURE_SIZE = { [KEY_TYPE.cosignature]: 64, [KEY_TYPE.mldsa44]: 2420 } as const;
const SUBTREE_LABEL = encodeUtf8('subtree/v1\n\0');

/**
 * The message that a cosigner signs for a checkpoint; the key's type decides its form. `text` is the note's text, with its
 * last newline.
 * @throws MerkleError `bad-number` for the timestamp; `bad-verifier-key` for a key of another type; for type 0x06
 * also `bad-checkpoint`, and `bad-cosignature` if name or origin is longer than 255 bytes
 */
export function cosignedMessage(key: VerifierKey, timestamp: number, text: string): Uint8Array {
  checkedSize(timestamp, 'timestamp');
  if (cosignatureType(key) === KEY_TYPE.cosignature) return encodeUtf8(`cosignature/v1\ntime ${timestamp}\n${text}`);
  const { origin, size, root } = parseCheckpoint(text);
  return cosignedSubtree({ cosigner: key.name, timestamp, origin, start: 0, end: size, hash: root });
}

/**
 * The message that an ML-DSA-44 cosigner signs for a subtree.
 * @throws MerkleError `bad-number`, `bad-hash`; `bad-cosignature` if [start, end) is not a subtree, if neither `start` nor
 * `timestamp` is 0, or if a name does not have 1 to 255 bytes
 */
export function cosignedSubtree({ cosigner, timestamp, origin, start, end, hash }: CosignedSubtree): Uint8Array {
  checkedSize(timestamp, 'timestamp');
  if (!isValidSubtree(start, end)) throw new MerkleError('bad-cosignature', `[${start}, ${end}) is not a subtree`);
  if (start !== 0 && timestamp !== 0)
    throw new MerkleError('bad-cosignature', 'a subtree that does not start at 0 has no timestamp');
  const name = lengthPrefixed(cosigner);
  const log = lengthPrefixed(origin);
  return concat(SUBTREE_LABEL, name, uint64(timestamp), log, uint64(start), uint64(end), checkHash(hash));
}

/** `bytes` follow the key ID. @throws MerkleError `bad-signature` for a wrong length or a timestamp of 2^53 or more */
export function parseCosignature(key: VerifierKey, bytes: Uint8Array): Cosignature {
  const size = TIMESTAMP_SIZE + SIGNATURE_SIZE[cosignatureType(key)];
  if (bytes.length !== size) {
    throw new MerkleError('bad-signature', `a cosignature of this key has ${size} bytes, not ${bytes.length}`);
  }
  const timestamp = readUint64(bytes);
  if (!Number.isSafeInteger(timestamp)) {
    throw new MerkleError('bad-signature', 'the timestamp of a cosignature is 2^53 or more');
  }
  return { timestamp, signature: bytes.slice(TIMESTAMP_SIZE) };
}

/** The bytes after the key ID in a signature line. @throws MerkleError `bad-number` */
export function formatCosignature({ timestamp, signature }: Cosignature): Uint8Array {
  return concat(uint64(checkedSize(timestamp, 'timestamp')), signature);
}

/**
 * Checks a cosignature over a checkpoint. `text` is the note's text, `signature` the bytes after the key ID. The caller
 * decides whether the timestamp is acceptable: a witness never uses 0, but a log that signs with ML-DSA-44 may.
 * @throws MerkleError `bad-signature` if this key did not sign this text; `bad-verifier-key` for another key type
 */
export function verifyCosignature(
  key: VerifierKey,
  text: string,
  signature: Uint8Array,
  primitives: CosignaturePrimitives,
): { readonly timestamp: number } {
  const cosignature = parseCosignature(key, signature);
  const { timestamp } = cosignature;
  let message: Uint8Array;
  try {
    message = cosignedMessage(key, timestamp, text);
  } catch (cause) {
    throw new MerkleError('bad-signature', 'the text cannot be cosigned by this key', { cause });
  }
  const verify = key.type === KEY_TYPE.cosignature ? primitives.ed25519 : primitives.mldsa44;
  if (verify(key.key, message, cosignature.signature)) return { timestamp };
  throw new MerkleError('bad-signature', `the cosignature of ${key.name} does not verify`);
}

/** Checks an ML-DSA-44 cosignature over a subtree. @throws MerkleError `bad-signature`; `bad-verifier-key` for another type */
export function verifySubtreeCosignature(
  key: VerifierKey,
  subtree: Omit<CosignedSubtree, 'cosigner' | 'timestamp'>,
  signature: Uint8Array,
  primitives: CosignaturePrimitives,
): { readonly timestamp: number } {
  if (key.type !== KEY_TYPE.mldsa44) throw wrongType(key);
  const { timestamp, signature: raw } = parseCosignature(key, signature);
  let message: Uint8Array;
  try {
    message = cosignedSubtree({ ...subtree, cosigner: key.name, timestamp });
  } catch (cause) {
    throw new MerkleError('bad-signature', 'the subtree cannot be cosigned by this key', { cause });
  }
  if (primitives.mldsa44(key.key, message, raw)) return { timestamp };
  throw new MerkleError('bad-signature', `the cosignature of ${key.name} does not verify`);
}

/**
 * Cosigns the checkpoint of a note's text. This function does not verify the new signature: a signer that can produce a
 * wrong signature verifies it itself.
 * @throws MerkleError as `cosignedMessage`, and what the signer throws
 */
export async function cosign(signer: CosignatureSigner, timestamp: number, text: string): Promise<NoteSignature> {
  const { key } = signer;
  const signature = await signer.sign(cosignedMessage(key, timestamp, text));
  return { name: key.name, keyId: key.keyId, signature: formatCosignature({ timestamp, signature }) };
}

/**
 * Cosigns a subtree, with the timestamp 0.
 * @throws MerkleError as `cosignedSubtree`, `bad-verifier-key` unless the key is of type 0x06, and what the signer throws
 */
export async function cosignSubtree(
  signer: CosignatureSigner,
  subtree: Omit<CosignedSubtree, 'cosigner' | 'timestamp'>,
): Promise<NoteSignature> {
  const { key } = signer;
  if (key.type !== KEY_TYPE.mldsa44) throw wrongType(key);
  const signature = await signer.sign(cosignedSubtree({ ...subtree, cosigner: key.name, timestamp: 0 }));
  return { name: key.name, keyId: key.keyId, signature: formatCosignature({ timestamp: 0, signature }) };
}

/** Whether a signature by this key covers the extension lines of a checkpoint. That of an ML-DSA-44 key does not. */
export function coversExtensions({ type }: VerifierKey): boolean {
  return type !== KEY_TYPE.mldsa44;
}

/** A verifier for `openNote`: `noteVerifier` for types 0x01 and 0x02, cosignatures for types 0x04 and 0x06. */
export function checkpointVerifier(key: VerifierKey, primitives: CosignaturePrimitives): NoteVerifier {
  if (key.type === KEY_TYPE.ed25519 || key.type === KEY_TYPE.ecdsa) return noteVerifier(key, primitives);
  const verify = (message: Uint8Array, signature: Uint8Array): boolean => {
    try {
      verifyCosignature(key, decodeUtf8(message), signature, primitives);
      return true;
    } catch (error) {
      if (error instanceof MerkleError) return false;
      throw error;
    }
  };
  return { name: key.name, keyId: key.keyId, verify };
}

function cosignatureType(key: VerifierKey): keyof typeof SIGNATURE_SIZE {
  if (key.type === KEY_TYPE.cosignature || key.type === KEY_TYPE.mldsa44) return key.type;
  throw wrongType(key);
}

function wrongType({ type }: VerifierKey): MerkleError {
  return new MerkleError('bad-verifier-key', `a key of type ${type} does not make this kind of cosignature`);
}

function lengthPrefixed(text: string): Uint8Array {
  const bytes = encodeUtf8(text);
  if (bytes.length >= 1 && bytes.length <= 255) return concat(Uint8Array.of(bytes.length), bytes);
  throw new MerkleError('bad-cosignature', 'ML-DSA-44 cosigns for names and origins of 1 to 255 bytes');
}

function uint64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value));
  return bytes;
}

function readUint64(bytes: Uint8Array): number {
  return Number(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(0));
}
