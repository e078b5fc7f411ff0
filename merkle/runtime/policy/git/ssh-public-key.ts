/**
 * Public keys of SSH that sign: Ed25519 (RFC 8709), ECDSA (RFC 5656), RSA (RFC 8332), and the first two in security keys
 * (PROTOCOL.u2f of OpenSSH). A key is one line of a file `.pub`: type, base64 of the blob, and a comment that is not read.
 */
import { concat, decodeBase64, encodeHex } from '../../../bytes.ts';
import { MerkleError } from '../../../errors.ts';
import { printable } from '../../../printable.ts';
import { encodeSpki, hasValidPoint, type KeyInfo, parseSpki, spkiOfPkcs1 } from '../../../rekor/spki.ts';
import { sha256 } from '../../../rfc6962.ts';
import { encodeDer, TAG } from '../../../x509/der.ts';
import { keyTypeOf, readKeyBlob, SshFormatError, SshReader } from '../../keys/agent/ssh-wire.ts';

export interface SshSigningKey {
  /** Such as `ssh-ed25519` or `sk-ssh-ed25519@openssh.com`. */
  readonly type: string;
  /** The key as SSH encodes it. */
  readonly blob: Uint8Array;
  readonly key: KeyInfo;
  /** Of a security key: what it signs for, such as `ssh:`. Part of the key. */
  readonly application?: string;
  /**
   * Lower-case hex of SHA-256: over the SubjectPublicKeyInfo, as of every other key, so that a key is one key in each form;
   * of a security key over the blob.
   */
  readonly fingerprint: string;
}

const SK_ED25519 = 'sk-ssh-ed25519@openssh.com';
const SK_ECDSA = 'sk-ecdsa-sha2-nistp256@openssh.com';
const RSA = 'ssh-rsa';
const LINE = /^((?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]+)[ \t]+([A-Za-z0-9+/]+={0,2})(?:[ \t][^\n]*)?\n?$/;
const MAX_LINE = 16_384;

/** @throws MerkleError `bad-key` for another form; `unsupported` for a certificate of SSH and other types of keys */
export function parseSshPublicKey(line: string): SshSigningKey {
  const [, type, base64] = line.length > MAX_LINE ? [] : (LINE.exec(line) ?? []);
  if (type === undefined) {
    throw badKey('the SSH key is not one line "type base64 comment", as a file .pub holds it, without options');
  }
  let blob: Uint8Array;
  try {
    blob = decodeBase64(base64!);
  } catch (cause) {
    throw badKey('the SSH key is not padded, canonical base64', cause);
  }
  const key = parseSshKeyBlob(blob);
  if (key.type !== type) throw badKey(`the SSH key is called ${type} and is ${printable(key.type)}`);
  return key;
}

/** @throws MerkleError as `parseSshPublicKey` */
export function parseSshKeyBlob(blob: Uint8Array): SshSigningKey {
  try {
    const type = keyTypeOf(blob);
    const { spki, application } = readKey(type, blob);
    const key = parseSpki(spki);
    if (!hasValidPoint(key)) throw badKey('the SSH key is not a point on its curve');
    return {
      type,
      blob,
      key,
      ...(application === undefined ? {} : { application }),
      fingerprint: encodeHex(sha256(application === undefined ? key.spki : blob)),
    };
  } catch (cause) {
    if (cause instanceof SshFormatError) throw badKey(`the SSH key is malformed: ${cause.message}`, cause);
    throw cause;
  }
}

function readKey(type: string, blob: Uint8Array): { readonly spki: Uint8Array; readonly application?: string } {
  if (type === RSA) return { spki: rsaKey(blob) };
  if (type === SK_ED25519 || type === SK_ECDSA) return securityKey(type, blob);
  const plain = readKeyBlob(blob);
  if (plain !== undefined) return { spki: plain.publicKey };
  throw new MerkleError(
    'unsupported',
    `this version reads no SSH key of the type "${printable(type.slice(0, 60))}", but Ed25519, ECDSA, RSA, and Ed25519 and ECDSA in security keys`,
  );
}

function securityKey(type: string, blob: Uint8Array) {
  const reader = new SshReader(blob);
  reader.name();
  if (type === SK_ECDSA && reader.name() !== 'nistp256') throw new SshFormatError('a key names two curves');
  const point = reader.string();
  const application = reader.name();
  reader.end();
  const isEd25519 = type === SK_ED25519;
  if (point.length !== (isEd25519 ? 32 : 65)) throw new SshFormatError('the point of a key has a wrong length');
  return { spki: encodeSpki(isEd25519 ? 'ed25519' : 'ecdsa-p256', point), application };
}

/** An mpint is a DER INTEGER without tag and length: RFC 4251 section 5. The reader of the SubjectPublicKeyInfo checks both. */
function rsaKey(blob: Uint8Array): Uint8Array {
  const reader = new SshReader(blob);
  reader.name();
  const exponent = reader.string();
  const modulus = reader.string();
  reader.end();
  const bits = (modulus[0] === 0 ? modulus.length - 1 : modulus.length) * 8;
  if (modulus.length > 520 || exponent.length > 8 || bits < 2048) {
    throw badKey(`the SSH key is RSA of ${bits} bits; this version takes 2048 to 4096`);
  }
  const integer = (number: Uint8Array) => encodeDer(TAG.integer, number);
  return spkiOfPkcs1(encodeDer(TAG.sequence, concat(integer(modulus), integer(exponent))));
}

function badKey(message: string, cause?: unknown): MerkleError {
  return new MerkleError('bad-key', message, cause === undefined ? undefined : { cause });
}
