/**
 * SSH's encoding of values (RFC 4251 section 5), and public keys and signatures in it: Ed25519 (RFC 8709) and ECDSA (RFC
 * 5656). A `string` is four bytes of length, big-endian, and that many bytes.
 */
import { concat, decodeUtf8, encodeUtf8 } from '../../../bytes.ts';
import { type EcKind, encodeSpki } from '../../../rekor/spki.ts';

type AgentKeyKind = 'ed25519' | EcKind;

/** A key that signs in an agent, from its public half. */
export interface SshPublicKey {
  readonly kind: AgentKeyKind;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
}

const CURVES: Readonly<Record<string, EcKind>> = {
  nistp256: 'ecdsa-p256',
  nistp384: 'ecdsa-p384',
  nistp521: 'ecdsa-p521',
};
const ED25519 = 'ssh-ed25519';
const ECDSA_PREFIX = 'ecdsa-sha2-';

/** Thrown where bytes are not in the form that is read. The caller knows which program sent them. */
export class SshFormatError extends Error {
  override readonly name = 'SshFormatError';
}

/** Reads values one after another, each inside the bytes that are there. */
export class SshReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  byte(): number {
    return this.#take(1)[0]!;
  }

  uint32(): number {
    const [a, b, c, d] = this.#take(4) as unknown as [number, number, number, number];
    return a * 2 ** 24 + b * 2 ** 16 + c * 2 ** 8 + d;
  }

  string(): Uint8Array {
    return this.#take(this.uint32());
  }

  /** A `string` that holds a name: UTF-8 text. */
  name(): string {
    try {
      return decodeUtf8(this.string());
    } catch (cause) {
      throw new SshFormatError('a name is not UTF-8', { cause });
    }
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw new SshFormatError('bytes follow the last value');
  }

  #take(length: number): Uint8Array {
    const taken = this.#bytes.subarray(this.#at, this.#at + length);
    if (taken.length !== length) throw new SshFormatError('a value ends early');
    this.#at += length;
    return taken;
  }
}

export function sshUint32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

export function sshString(value: Uint8Array | string): Uint8Array {
  const bytes = typeof value === 'string' ? encodeUtf8(value) : value;
  return concat(sshUint32(bytes.length), bytes);
}

/** The type that a key blob names itself, such as `ssh-ed25519` or `sk-ssh-ed25519@openssh.com`. @throws SshFormatError */
export function keyTypeOf(blob: Uint8Array): string {
  return new SshReader(blob).name();
}

/** The key in a blob; undefined for RSA, security keys, certificates and every other type. @throws SshFormatError */
export function readKeyBlob(blob: Uint8Array): SshPublicKey | undefined {
  const reader = new SshReader(blob);
  const type = reader.name();
  if (type === ED25519) {
    const point = reader.string();
    reader.end();
    if (point.length !== 32) throw new SshFormatError('an Ed25519 key does not have 32 bytes');
    return { kind: 'ed25519', publicKey: encodeSpki('ed25519', point) };
  }
  const kind = type.startsWith(ECDSA_PREFIX) ? CURVES[type.slice(ECDSA_PREFIX.length)] : undefined;
  if (kind === undefined) return undefined;
  if (ECDSA_PREFIX + reader.name() !== type) throw new SshFormatError('a key names two curves');
  const point = reader.string();
  reader.end();
  return { kind, publicKey: encodeSpki(kind, point) };
}

/** Ed25519: the 64 bytes. ECDSA: DER `SEQUENCE { r, s }`. Whether the signature holds is not checked. @throws SshFormatError */
export function readSignatureBlob(blob: Uint8Array, kind: AgentKeyKind): Uint8Array {
  const outer = new SshReader(blob);
  const type = outer.name();
  const signature = outer.string();
  outer.end();
  if (kind === 'ed25519') {
    if (type !== ED25519) throw new SshFormatError(`the signature is of type ${JSON.stringify(type)}`);
    return Uint8Array.from(signature);
  }
  if (!type.startsWith(ECDSA_PREFIX) || CURVES[type.slice(ECDSA_PREFIX.length)] !== kind) {
    throw new SshFormatError(`the signature is of type ${JSON.stringify(type)}`);
  }
  const inner = new SshReader(signature);
  const r = derInteger(inner.string());
  const s = derInteger(inner.string());
  inner.end();
  return derSequence(concat(r, s));
}

/** An mpint and the content of a DER INTEGER are the same bytes: two's complement, big-endian, in the shortest form. */
function derInteger(mpint: Uint8Array): Uint8Array {
  // 67 bytes hold the largest number of P-521, so one byte of length is enough.
  if (mpint.length < 1 || mpint.length > 67) throw new SshFormatError('a number has a wrong length');
  return concat(Uint8Array.of(0x02, mpint.length), mpint);
}

function derSequence(content: Uint8Array): Uint8Array {
  const length = content.length < 0x80 ? [content.length] : [0x81, content.length];
  return concat(Uint8Array.of(0x30, ...length), content);
}
