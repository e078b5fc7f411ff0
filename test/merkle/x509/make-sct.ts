/** Signed certificate timestamps of RFC 6962 section 3 to order, wrong ones among them. */
import * as crypto from 'node:crypto';
import { spkiOf } from './make.ts';

const sha256 = (bytes: Uint8Array) => crypto.hash('sha256', bytes, 'buffer');

/** A big-endian number of `size` bytes. */
export function number(value: number, size: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes.subarray(8 - size);
}
/** `bytes` behind their length in two bytes. */
export const prefixed = (bytes: Uint8Array): Buffer => Buffer.concat([number(bytes.length, 2), bytes]);

/** Everything that a timestamp says. A timestamp without a wish is good. */
export interface SctWish {
  /** The keys of the log. */
  readonly keys: crypto.KeyPairKeyObjectResult;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly extensions?: Uint8Array;
  /** SubjectPublicKeyInfo of the issuer of the certificate. */
  readonly issuer: Uint8Array;
  readonly version?: number;
  readonly algorithm?: number;
  readonly change?: (signature: Buffer) => Uint8Array;
}

/** What a log answers for the precertificate that holds `tbs`. */
export function makeSct(tbs: Uint8Array, wish: SctWish): Buffer {
  const { keys, time, issuer, extensions = Buffer.alloc(0), change = (signature) => signature } = wish;
  const message = Buffer.concat([
    Buffer.from([0, 0]),
    number(time, 8),
    Buffer.from([0, 1]),
    sha256(issuer),
    number(tbs.length, 3),
    tbs,
    prefixed(extensions),
  ]);
  const signature = change(crypto.sign('sha256', message, keys.privateKey));
  return Buffer.concat([
    Buffer.from([wish.version ?? 0]),
    sha256(spkiOf(keys.publicKey)),
    number(time, 8),
    prefixed(extensions),
    number(wish.algorithm ?? 0x0403, 2),
    prefixed(signature),
  ]);
}

/** The list that stands in a certificate: section 3.3. */
export const listOf = (...scts: Buffer[]): Buffer => prefixed(Buffer.concat(scts.map(prefixed)));
