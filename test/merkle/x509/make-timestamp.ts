/** RFC 3161 time stamps to order, wrong ones among them. */
import * as crypto from 'node:crypto';
import { type Authority, der, integer, octets, oid, sequence } from './make.ts';

export const HASHES = {
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',
} as const;
export type Hash = keyof typeof HASHES;
const TST_INFO = '1.2.840.113549.1.9.16.1.4';
export const ECDSA = { sha256: '1.2.840.10045.4.3.2', sha384: '1.2.840.10045.4.3.3', sha512: '1.2.840.10045.4.3.4' };
export const RSA = {
  sha256: '1.2.840.113549.1.1.11',
  sha384: '1.2.840.113549.1.1.12',
  sha512: '1.2.840.113549.1.1.13',
};

export const digest = (hash: Hash, bytes: Uint8Array) => crypto.hash(hash, bytes, 'buffer');
const set = (...items: Uint8Array[]) => der(0x31, ...items);
export const attribute = (id: string, ...values: Uint8Array[]) => sequence(oid(id), set(...values));
const hashAlgorithm = (hash: Hash) => sequence(oid(HASHES[hash]));

/** Everything that a token says. A token without a wish is good. */
export interface TokenWish {
  /** The stamping authority that signs. */
  readonly by: Authority;
  readonly hash?: Hash;
  readonly imprintHash?: Hash;
  /** OID in place of that of `imprintHash`. */
  readonly imprintOid?: string;
  /** What the token is over. */
  readonly message: Uint8Array;
  /** The digest that is stamped, in place of that of the message. */
  readonly imprint?: Uint8Array;
  /** GeneralizedTime. */
  readonly time?: string;
  readonly serial?: Buffer;
  readonly certificates?: readonly Uint8Array[];
  readonly signerId?: Buffer;
  readonly contentType?: string;
  readonly signedType?: string;
  readonly contentDigest?: Uint8Array;
  readonly certificateDigest?: Uint8Array;
  readonly attributes?: (list: Buffer[]) => Buffer[];
  readonly algorithm?: Buffer;
  readonly status?: number;
  readonly bare?: boolean;
  readonly infoVersion?: number;
  readonly infoMore?: readonly Buffer[];
  readonly signers?: number;
  readonly signature?: (signature: Buffer) => Uint8Array;
}

/** A reply of RFC 3161, or the token alone where `bare` is set. */
export function makeTimestamp(token: TokenWish): Buffer {
  const { by, hash = 'sha256', imprintHash = 'sha256', message } = token;
  const info = sequence(
    integer(token.infoVersion ?? 1),
    oid('1.2.3'),
    sequence(
      sequence(oid(token.imprintOid ?? HASHES[imprintHash])),
      octets(token.imprint ?? digest(imprintHash, message)),
    ),
    token.serial ?? integer(1, 2, 3),
    der(0x18, Buffer.from(token.time ?? '20300101000000Z')),
    ...(token.infoMore ?? [sequence(integer(1)), der(1, Buffer.from([255])), integer(9)]),
  );
  const attributes = [
    attribute('1.2.840.113549.1.9.3', oid(token.signedType ?? TST_INFO)),
    attribute('1.2.840.113549.1.9.4', octets(token.contentDigest ?? digest(hash, info))),
    attribute(
      '1.2.840.113549.1.9.16.2.47',
      sequence(sequence(sequence(octets(token.certificateDigest ?? digest('sha256', by.certificate.der))))),
    ),
  ];
  const list = token.attributes?.(attributes) ?? attributes;
  const signature = crypto.sign(hash, set(...list), by.keys.privateKey);
  const isRsa = by.keys.publicKey.asymmetricKeyType === 'rsa';
  const { issuerDer, serialNumber } = by.certificate;
  const signer = sequence(
    integer(1),
    token.signerId ?? sequence(issuerDer, der(2, Buffer.from(serialNumber, 'hex'))),
    hashAlgorithm(hash),
    der(0xa0, ...list),
    token.algorithm ?? (isRsa ? sequence(oid(RSA[hash]), der(5)) : sequence(oid(ECDSA[hash]))),
    octets(token.signature?.(signature) ?? signature),
  );
  const signedData = sequence(
    integer(3),
    set(hashAlgorithm(hash)),
    sequence(oid(token.contentType ?? TST_INFO), der(0xa0, octets(info))),
    ...(token.certificates ? [der(0xa0, ...token.certificates)] : []),
    set(...Array.from({ length: token.signers ?? 1 }, () => signer)),
  );
  const bare = sequence(oid('1.2.840.113549.1.7.2'), der(0xa0, signedData));
  return token.bare ? bare : sequence(sequence(integer(token.status ?? 0)), bare);
}
