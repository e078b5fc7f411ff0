/** Commits and tags of git with signatures of SSH and of gitsign, made without git. */
import * as crypto from 'node:crypto';
import { parseDer } from '../../merkle/x509/der.ts';
import { TransparencyLogEntry } from '../../server/http/reply-protobuf.ts';
import { der, sequence } from './der.ts';
import { type Instance, type Json, pem64, type Signer, signedBy } from './instance.ts';

const TREE = '4b825dc642cb6eb9a060e54bf8d69288fbee4904';
const PARENT = 'd670460b4b4aece5915caf5c68d12f560a9fe3e4';
export const PERSON = 'A Maintainer <maintainer@example.com> 1785585600 +0200';

interface CommitWish {
  readonly message?: string;
  readonly sha256?: boolean;
  /** Header lines after the committer. */
  readonly extra?: string;
  readonly tree?: string;
}

/** A commit without a signature. */
export function commit({ message = 'Add the thing', sha256 = false, extra = '', tree }: CommitWish = {}): string {
  const id = (text: string) => (sha256 ? text.padEnd(64, '0') : text);
  return `tree ${id(tree ?? TREE)}\nparent ${id(PARENT)}\nauthor ${PERSON}\ncommitter ${PERSON}\n${extra}\n${message}\n`;
}

/** A tag without a signature. */
export function tag(object: string, name = 'v1.0', type = 'commit'): string {
  return `object ${object}\ntype ${type}\ntag ${name}\ntagger ${PERSON}\n\nRelease ${name}\n`;
}

/** Puts a signature where git puts the one of a commit. */
export function withHeader(payload: string, armored: string, header = 'gpgsig'): string {
  const end = payload.indexOf('\n\n') + 1;
  return `${payload.slice(0, end)}${header} ${armored.trimEnd().replaceAll('\n', '\n ')}\n${payload.slice(end)}`;
}

export const idOf = (kind: string, object: string, hash = 'sha1') =>
  crypto
    .createHash(hash)
    .update(`${kind} ${Buffer.byteLength(object)}\0${object}`)
    .digest('hex');

const uint32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
export const string = (value: Uint8Array | string) =>
  Buffer.concat([uint32(Buffer.byteLength(value as string)), Buffer.from(value as string)]);
const mpint = (bytes: Uint8Array) => {
  let at = 0;
  while (at < bytes.length - 1 && bytes[at] === 0) at += 1;
  const short = bytes.subarray(at);
  return string(short[0]! >= 0x80 ? Buffer.concat([Buffer.from([0]), short]) : Buffer.from(short));
};

export type SshKind = 'ed25519' | 'nistp256' | 'nistp384' | 'nistp521' | 'rsa' | 'sk-ed25519' | 'sk-ecdsa';

export interface SshWish {
  readonly namespace?: string;
  readonly hash?: string;
  /** The name of the algorithm of an RSA signature. */
  readonly rsa?: string;
  readonly reserved?: string;
  readonly version?: number;
  /** The blob of the key that the signature names. */
  readonly blob?: Buffer;
  readonly flags?: number;
}

/** A key of SSH that signs as `ssh-keygen -Y sign` does. */
export class SshKey {
  readonly type: string;
  readonly blob: Buffer;
  readonly #kind: SshKind;
  readonly #key: crypto.KeyObject;

  constructor(kind: SshKind, bits = 3072) {
    this.#kind = kind;
    const isRsa = kind === 'rsa';
    const isEd25519 = kind.endsWith('ed25519');
    const curve = { nistp256: 'P-256', nistp384: 'P-384', nistp521: 'P-521' }[kind as 'nistp256'] ?? 'P-256';
    const pair = isRsa
      ? crypto.generateKeyPairSync('rsa', { modulusLength: bits })
      : isEd25519
        ? crypto.generateKeyPairSync('ed25519')
        : crypto.generateKeyPairSync('ec', { namedCurve: curve });
    this.#key = pair.privateKey;
    const jwk = pair.publicKey.export({ format: 'jwk' }) as Record<string, string>;
    const field = (name: string) => Buffer.from(jwk[name]!, 'base64url');
    const point = () => Buffer.concat([Buffer.from([4]), field('x'), field('y')]);
    this.type = {
      ed25519: 'ssh-ed25519',
      nistp256: 'ecdsa-sha2-nistp256',
      nistp384: 'ecdsa-sha2-nistp384',
      nistp521: 'ecdsa-sha2-nistp521',
      rsa: 'ssh-rsa',
      'sk-ed25519': 'sk-ssh-ed25519@openssh.com',
      'sk-ecdsa': 'sk-ecdsa-sha2-nistp256@openssh.com',
    }[kind];
    const parts = {
      ed25519: () => [string(field('x'))],
      'sk-ed25519': () => [string(field('x')), string('ssh:')],
      rsa: () => [mpint(field('e')), mpint(field('n'))],
      'sk-ecdsa': () => [string('nistp256'), string(point()), string('ssh:')],
    } as Partial<Record<SshKind, () => Buffer[]>>;
    const rest = parts[kind]?.() ?? [string(kind), string(point())];
    this.blob = Buffer.concat([string(this.type), ...rest]);
  }

  get line(): string {
    return `${this.type} ${this.blob.toString('base64')} maintainer@example.com`;
  }

  /** Armored, over `message`. */
  sign(message: string | Uint8Array, wish: SshWish = {}): string {
    const { namespace = 'git', hash = 'sha512', reserved = '', version = 1, blob = this.blob } = wish;
    const digest = crypto.createHash(hash).update(message).digest();
    const parts = [string(namespace), string(reserved), string(hash)];
    const signed = Buffer.concat([Buffer.from('SSHSIG'), ...parts, string(digest)]);
    const bytes = Buffer.concat([
      Buffer.from('SSHSIG'),
      uint32(version),
      string(blob),
      ...parts,
      string(this.#signatureBlob(signed, wish)),
    ]);
    const lines = bytes.toString('base64').match(/.{1,70}/g)!;
    return `-----BEGIN SSH SIGNATURE-----\n${lines.join('\n')}\n-----END SSH SIGNATURE-----\n`;
  }

  #signatureBlob(signed: Buffer, { rsa = 'rsa-sha2-512', flags = 1 }: SshWish): Buffer {
    if (this.#kind === 'rsa') {
      const hash = { 'rsa-sha2-512': 'sha512', 'rsa-sha2-256': 'sha256' }[rsa] ?? 'sha1';
      return Buffer.concat([string(rsa), string(crypto.sign(hash, signed, this.#key))]);
    }
    if (this.#kind.startsWith('sk-')) {
      const sha256 = (data: Uint8Array | string) => crypto.createHash('sha256').update(data).digest();
      const touched = Buffer.concat([sha256('ssh:'), Buffer.from([flags]), uint32(7), sha256(signed)]);
      const inner =
        this.#kind === 'sk-ed25519' ? crypto.sign(null, touched, this.#key) : this.#ecdsa(touched, 'sha256');
      return Buffer.concat([string(this.type), string(inner), Buffer.from([flags]), uint32(7)]);
    }
    if (this.#kind === 'ed25519')
      return Buffer.concat([string(this.type), string(crypto.sign(null, signed, this.#key))]);
    const hash = { nistp256: 'sha256', nistp384: 'sha384', nistp521: 'sha512' }[this.#kind as 'nistp256'];
    return Buffer.concat([string(this.type), string(this.#ecdsa(signed, hash))]);
  }

  #ecdsa(message: Buffer, hash: string): Buffer {
    const both = crypto.sign(hash, message, { key: this.#key, dsaEncoding: 'ieee-p1363' });
    return Buffer.concat([mpint(both.subarray(0, both.length / 2)), mpint(both.subarray(both.length / 2))]);
  }
}

const oid = (hex: string) => der(0x06, Buffer.from(hex, 'hex'));
const DATA = oid('2a864886f70d010701');
const SHA256 = sequence(oid('608648016503040201'));
const ECDSA_SHA256 = sequence(oid('2a8648ce3d040302'));
const attribute = (type: Buffer, value: Uint8Array) => sequence(type, der(0x31, value));

export interface GitsignWish {
  /** What the signed attributes are over, in the place of the payload. */
  readonly over?: string;
  readonly log?: 1 | 2 | null;
  /** An RFC 3161 time stamp too; a log of Rekor v2 gives no time. */
  readonly stamped?: boolean;
  readonly attached?: boolean;
  /** Changes the log entry in JSON. */
  readonly entry?: (entry: Json) => Json;
  /** Another certificate than the one of the key. */
  readonly shown?: Buffer;
}

/** A signature over `payload` as gitsign makes it, armored. */
export function gitsign(payload: string, by: Instance, signer: Signer = by.signer(), wish: GitsignWish = {}): string {
  const { over = payload, log = 1, stamped = log === 2, attached = false, entry: change = (one) => one } = wish;
  const digest = crypto.createHash('sha256').update(over).digest();
  const attributes = [
    attribute(oid('2a864886f70d010903'), DATA),
    attribute(oid('2a864886f70d010905'), der(0x17, Buffer.from('260801120000Z'))),
    attribute(oid('2a864886f70d010904'), der(0x04, digest)),
  ];
  const message = der(0x31, ...attributes);
  const signature = signedBy(signer, message);
  const signed = crypto.createHash('sha256').update(message).digest();
  const spec = {
    data: { hash: { algorithm: 'sha256', value: signed.toString('hex') } },
    signature: { content: signature.toString('base64'), publicKey: { content: pem64(signer) } },
  };
  const unsigned: Buffer[] = [];
  if (log !== null) {
    const json = log === 1 ? by.logged1('hashedrekord', '0.0.1', spec) : by.logged2(signed, signature, signer);
    const { canonicalizedBody: _, ...entry } = change(json);
    const bytes = TransparencyLogEntry.encode(TransparencyLogEntry.fromObject(entry)).finish();
    unsigned.push(attribute(oid('2b0601040183bf300301'), der(0x04, Buffer.from(bytes))));
  }
  if (stamped) {
    const token = parseDer(Uint8Array.from(by.stamp(signature)), 'the stamp').children[1]!.bytes;
    unsigned.push(attribute(oid('2a864886f70d010910020e'), Buffer.from(token)));
  }
  const certificate = wish.shown ?? signer.certificate;
  const [tbs] = parseDer(Uint8Array.from(certificate), 'the certificate').children;
  const [, serial, , issuer] = tbs!.children;
  const info = sequence(
    der(0x02, Buffer.from([1])),
    sequence(issuer!.bytes, serial!.bytes),
    SHA256,
    der(0xa0, ...attributes),
    ECDSA_SHA256,
    der(0x04, signature),
    ...(unsigned.length === 0 ? [] : [der(0xa1, ...unsigned)]),
  );
  const content = attached ? sequence(DATA, der(0xa0, der(0x04, Buffer.from(payload)))) : sequence(DATA);
  const data = sequence(
    der(0x02, Buffer.from([1])),
    der(0x31, SHA256),
    content,
    der(0xa0, certificate),
    der(0x31, info),
  );
  const whole = sequence(oid('2a864886f70d010702'), der(0xa0, data));
  const lines = whole.toString('base64').match(/.{1,64}/g)!;
  return `-----BEGIN SIGNED MESSAGE-----\n${lines.join('\n')}\n-----END SIGNED MESSAGE-----\n`;
}
