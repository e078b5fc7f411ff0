/**
 * SSH signatures over messages (PROTOCOL.sshsig of OpenSSH 9.2), as `ssh-keygen -Y sign` and git make them.
 *
 *   "SSHSIG", uint32 version 1, string public key, string namespace, string reserved, string hash, string signature
 *
 * Signed is: "SSHSIG", string namespace, string reserved, string hash, string H(message). A security key signs SHA-256 of its
 * application, a byte of flags, a uint32 counter and SHA-256 of that (PROTOCOL.u2f). The key in the signature proves nothing:
 * the caller compares it with the keys that it trusts.
 */
import { concat, decodeBase64, encodeUtf8, equal } from '../../../bytes.ts';
import { MerkleError } from '../../../errors.ts';
import { printable } from '../../../printable.ts';
import type { HashName } from '../../../rekor/hashes.ts';
import type { Primitives } from '../../../rekor/primitives.ts';
import { readSignatureBlob, SshFormatError, SshReader, sshString, sshUint32 } from '../../keys/agent/ssh-wire.ts';
import { parseSshKeyBlob, type SshSigningKey } from './ssh-public-key.ts';

interface SshSignature {
  /** The key that the signature names. */
  readonly key: SshSigningKey;
  readonly namespace: string;
  readonly hash: 'sha256' | 'sha512';
  /** The signature blob. */
  readonly signature: Uint8Array;
}

const MAGIC = encodeUtf8('SSHSIG');
const BEGIN = '-----BEGIN SSH SIGNATURE-----';
const END = '-----END SSH SIGNATURE-----';
const ARMOR = /^-----BEGIN SSH SIGNATURE-----\n((?:[A-Za-z0-9+/=]{1,76}\n){1,400})-----END SSH SIGNATURE-----\n?$/;
/** The bit of a security key's flags that says that a person touched it. */
const USER_PRESENT = 0x01;

export function isSshSignature(armored: string): boolean {
  return armored.startsWith(BEGIN);
}

/** @throws MerkleError `bad-git`; as `parseSshPublicKey` for the key in it */
export function parseSshSignature(armored: string): SshSignature {
  const [, base64] = ARMOR.exec(armored) ?? [];
  if (base64 === undefined) throw bad(`is not one block "${BEGIN}" to "${END}", with nothing after it`);
  let bytes: Uint8Array;
  try {
    bytes = decodeBase64(base64.replaceAll('\n', ''));
  } catch (cause) {
    throw bad('is not padded, canonical base64', cause);
  }
  try {
    if (!equal(bytes.subarray(0, MAGIC.length), MAGIC)) throw bad('does not begin with "SSHSIG"');
    const reader = new SshReader(bytes.subarray(MAGIC.length));
    const version = reader.uint32();
    if (version !== 1) throw bad(`is of version ${version}, not 1`);
    const blob = reader.string();
    const namespace = reader.name();
    // What is there one day is not known today, and OpenSSH verifies signatures without it alone.
    if (reader.string().length > 0) throw bad('has something in its reserved field');
    const hash = reader.name();
    const signature = reader.string();
    reader.end();
    if (hash !== 'sha256' && hash !== 'sha512') throw bad(`uses the hash "${printable(hash.slice(0, 40))}"`);
    return { key: parseSshKeyBlob(blob), namespace, hash, signature };
  } catch (cause) {
    if (cause instanceof SshFormatError) throw bad(`is malformed: ${cause.message}`, cause);
    throw cause;
  }
}

/**
 * Whether the signature is by its own key over `message`.
 *
 * @throws MerkleError `bad-git` for a signature of another algorithm than the key's, of RSA with SHA-1 (`ssh-rsa`), and of a
 *   security key that nobody touched
 */
export function verifySshSignature(
  { key, namespace, hash, signature }: SshSignature,
  message: Uint8Array,
  primitives: Primitives,
): boolean {
  const digest = primitives.hash(hash, message);
  const signed = concat(MAGIC, sshString(namespace), sshString(''), sshString(hash), sshString(digest));
  try {
    if (key.application !== undefined) return verifyTouched(key, key.application, signature, signed, primitives);
    if (key.key.kind === 'rsa') return verifyRsa(key, signature, signed, primitives);
    const plain = readSignatureBlob(signature, key.key.kind);
    return primitives.verifyMessage(key.key, EC_HASH[key.key.kind], signed, plain);
  } catch (cause) {
    if (cause instanceof SshFormatError) throw bad(`is malformed: ${cause.message}`, cause);
    throw cause;
  }
}

/** RFC 5656 section 6.2.1: the curve's own hash. Ed25519 signs the message. */
const EC_HASH = { ed25519: undefined, 'ecdsa-p256': 'sha256', 'ecdsa-p384': 'sha384', 'ecdsa-p521': 'sha512' } as const;
const RSA_HASH: Readonly<Record<string, HashName>> = { 'rsa-sha2-256': 'sha256', 'rsa-sha2-512': 'sha512' };

function verifyRsa({ key }: SshSigningKey, blob: Uint8Array, signed: Uint8Array, primitives: Primitives): boolean {
  const reader = new SshReader(blob);
  const type = reader.name();
  const signature = reader.string();
  reader.end();
  const hash = Object.hasOwn(RSA_HASH, type) ? RSA_HASH[type] : undefined;
  if (hash === undefined) {
    const why =
      type === 'ssh-rsa'
        ? 'is RSA with SHA-1 (ssh-rsa), which is broken'
        : `is of the type "${printable(type.slice(0, 60))}"`;
    throw bad(why);
  }
  const size = key.bits! / 8;
  if (signature.length > size) throw bad('is longer than its key');
  // RFC 8332 section 3 has no padding in front; a signature may be shorter than the modulus.
  return primitives.verifyMessage(key, hash, signed, concat(new Uint8Array(size - signature.length), signature));
}

function verifyTouched(
  { key, type }: SshSigningKey,
  application: string,
  blob: Uint8Array,
  signed: Uint8Array,
  primitives: Primitives,
): boolean {
  const reader = new SshReader(blob);
  if (reader.name() !== type) throw bad('is of another type than its key');
  const signature = reader.string();
  const flags = reader.byte();
  const counter = reader.uint32();
  reader.end();
  if ((flags & USER_PRESENT) === 0) throw bad('is of a security key that nobody touched');
  const message = concat(
    primitives.hash('sha256', encodeUtf8(application)),
    Uint8Array.of(flags),
    sshUint32(counter),
    primitives.hash('sha256', signed),
  );
  if (key.kind === 'ed25519') return primitives.verifyMessage(key, undefined, message, Uint8Array.from(signature));
  // The blob of ECDSA in the form of a key that is in no device.
  const plain = readSignatureBlob(concat(sshString('ecdsa-sha2-nistp256'), sshString(signature)), 'ecdsa-p256');
  return primitives.verifyMessage(key, 'sha256', message, plain);
}

function bad(why: string, cause?: unknown): MerkleError {
  return new MerkleError('bad-git', `the SSH signature ${why}`, cause === undefined ? undefined : { cause });
}
