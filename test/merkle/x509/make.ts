/** Certificates to order, wrong ones among them. */
import * as crypto from 'node:crypto';
import { type KeyInfo, parseSpki } from '../../../merkle/rekor/spki.ts';
import { type Certificate, parseCertificate } from '../../../merkle/x509/certificate.ts';
import { bitString, der, sequence } from '../../support/der.ts';

export { bitString, der, sequence };

export function oid(text: string): Buffer {
  const [first, second, ...rest] = text.split('.').map(BigInt) as [bigint, bigint, ...bigint[]];
  const bytes = [40n * first + second, ...rest].flatMap((arc) => {
    const digits = [Number(arc % 128n)];
    for (let left = arc / 128n; left > 0n; left /= 128n) digits.unshift(128 + Number(left % 128n));
    return digits;
  });
  return der(0x06, Buffer.from(bytes));
}

export const integer = (...bytes: number[]): Buffer => der(0x02, Buffer.from(bytes));
export const octets = (bytes: Uint8Array): Buffer => der(0x04, bytes);
export const utf8 = (text: string): Buffer => der(0x0c, Buffer.from(text));
const TRUE = der(0x01, Buffer.from([0xff]));

/** A Name with one common name; several attributes in one part where `text` has a `+`. */
export function nameOf(text: string): Buffer {
  if (text === '') return sequence();
  const attributes = text.split('+').map((part) => sequence(oid('2.5.4.3'), utf8(part)));
  return sequence(der(0x31, ...attributes));
}

/** UTCTime or GeneralizedTime of "2030-01-02T03:04:05Z". */
export function timeOf(text: string, generalized = Number(text.slice(0, 4)) >= 2050): Buffer {
  const digits = `${text.replace(/[-:TZ]|\.\d+/g, '')}Z`;
  return generalized ? der(0x18, Buffer.from(digits)) : der(0x17, Buffer.from(digits.slice(2)));
}

export interface Extension {
  readonly oid: string;
  readonly critical?: boolean;
  readonly value: Uint8Array;
}

export function extension({ oid: id, critical = false, value }: Extension): Buffer {
  return sequence(oid(id), ...(critical ? [TRUE] : []), octets(value));
}

export const SIGNING = '1.3.6.1.5.5.7.3.3';
export const STAMPING = '1.3.6.1.5.5.7.3.8';
const ECDSA_SHA256 = sequence(oid('1.2.840.10045.4.3.2'));

export interface Authority {
  readonly name: string;
  readonly keys: crypto.KeyPairKeyObjectResult;
  readonly certificate: Certificate;
}

export interface Wish {
  /** Undefined: the certificate is its own issuer. */
  readonly by?: Pick<Authority, 'name' | 'keys'>;
  readonly name?: string;
  /** Subject, encoded, in place of `name`. */
  readonly subject?: Buffer;
  readonly keys?: crypto.KeyPairKeyObjectResult;
  /** Eight bytes; by chance where undefined. */
  readonly serial?: Uint8Array;
  readonly from?: string;
  readonly to?: string;
  readonly ca?: boolean;
  readonly pathLen?: number;
  /** Bits of the first byte of key usage: 0x80 digital signature, 0x04 certificates. */
  readonly keyUsage?: number | undefined;
  readonly usages?: readonly string[] | undefined;
  readonly usageCritical?: boolean;
  /** GeneralNames, encoded. */
  readonly names?: readonly Buffer[];
  readonly extensions?: readonly Extension[];
  /** AlgorithmIdentifiers, signed and outer. */
  readonly algorithm?: Buffer;
  readonly outerAlgorithm?: Buffer;
  /** Put in place of the whole list of extensions. */
  readonly rawExtensions?: readonly Buffer[];
  readonly version?: number;
}

export const newKeys = (): crypto.KeyPairKeyObjectResult => crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
export const spkiOf = (key: crypto.KeyObject): Buffer => key.export({ format: 'der', type: 'spki' });
export const keyInfo = ({ publicKey }: crypto.KeyPairKeyObjectResult): KeyInfo => parseSpki(spkiOf(publicKey));

function bits(value: number): Buffer {
  let unused = 0;
  while (unused < 7 && value % 2 ** (unused + 1) === 0) unused++;
  return der(0x03, Buffer.from([unused, value]));
}

export function tbsOf(wish: Wish, keys: crypto.KeyPairKeyObjectResult): Buffer {
  const { name = 'leaf', ca = false, pathLen, keyUsage, usages, extensions = [] } = wish;
  const constraints = [...(ca ? [TRUE] : []), ...(pathLen === undefined ? [] : [integer(pathLen)])];
  const list = wish.rawExtensions ?? [
    ...(ca || pathLen !== undefined
      ? [extension({ oid: '2.5.29.19', critical: true, value: sequence(...constraints) })]
      : []),
    ...(keyUsage === undefined ? [] : [extension({ oid: '2.5.29.15', critical: true, value: bits(keyUsage) })]),
    ...(usages === undefined
      ? []
      : [extension({ oid: '2.5.29.37', critical: wish.usageCritical ?? false, value: sequence(...usages.map(oid)) })]),
    ...(wish.names === undefined
      ? []
      : [extension({ oid: '2.5.29.17', critical: true, value: sequence(...wish.names) })]),
    ...extensions.map(extension),
  ];
  return sequence(
    der(0xa0, integer(wish.version ?? 2)),
    integer(...(wish.serial ?? crypto.randomBytes(8)).with(0, 1)),
    wish.algorithm ?? ECDSA_SHA256,
    nameOf(wish.by?.name ?? name),
    sequence(timeOf(wish.from ?? '2020-01-01T00:00:00Z'), timeOf(wish.to ?? '2040-01-01T00:00:00Z')),
    wish.subject ?? nameOf(name),
    spkiOf(keys.publicKey),
    ...(list.length > 0 ? [der(0xa3, sequence(...list))] : []),
  );
}

/** The DER of a certificate; ECDSA with SHA-256, or what the issuer's key makes of it. */
export function issueDer(wish: Wish): { der: Buffer; keys: crypto.KeyPairKeyObjectResult } {
  const keys = wish.keys ?? newKeys();
  const tbs = tbsOf(wish, keys);
  const signer = (wish.by?.keys ?? keys).privateKey;
  const signature = crypto.sign(signer.asymmetricKeyType === 'ed25519' ? null : 'sha256', tbs, signer);
  const algorithm = wish.outerAlgorithm ?? wish.algorithm ?? ECDSA_SHA256;
  return { der: sequence(tbs, algorithm, bitString(signature)), keys };
}

export function issue(wish: Wish): Authority {
  const { der: bytes, keys } = issueDer(wish);
  return { name: wish.name ?? 'leaf', keys, certificate: parseCertificate(bytes) };
}

export const issueCa = (name: string, by?: Authority, more: Wish = {}): Authority =>
  issue({ name, ca: true, keyUsage: 0x04, ...(by && { by }), ...more });

/** A good leaf for signing. */
export const issueLeaf = (by: Authority, more: Wish = {}): Certificate =>
  issue({ by, keyUsage: 0x80, usages: [SIGNING], ...more }).certificate;
