/**
 * The signed part of a leaf, a TBSCertificate (RFC 5280 section 4.1), in DER.
 *
 * @peculiar/x509 makes the root and the authorities of teams. A leaf with it takes 2.8 ms of processor time, against 0.03 ms here
 * (Node 20.20, 15 turns of each on a busy machine). One core does not have that 300 times a second, and the library cannot put a
 * timestamp into what it has made. So the few fields of a leaf are written here; what is made is read again by two parsers
 * before it is used (ca-leaf.ts).
 */
import { concat, decodeHex } from '../../merkle/bytes.ts';
import type { KeyAlgorithm } from '../../merkle/runtime/keys/types.ts';
import { constructed, encodeDer, TAG } from '../../merkle/x509/der.ts';
import type { NewExtension } from './certificates/types.ts';

/** AlgorithmIdentifiers: RFC 5758 section 3.2, RFC 8410 section 3. */
export const LEAF_SIGNATURE: Readonly<Record<KeyAlgorithm, Uint8Array>> = {
  'ecdsa-p256': decodeHex('300a06082a8648ce3d040302'),
  ed25519: decodeHex('300506032b6570'),
};
/** Version 3, in its explicit tag. */
const VERSION = decodeHex('a003020102');
const EMPTY_NAME = decodeHex('3000');
const TRUE = decodeHex('0101ff');

interface LeafFields {
  /** A positive number without a leading zero byte. */
  readonly serial: Uint8Array;
  /** Of the issuer's key. */
  readonly algorithm: KeyAlgorithm;
  /** The issuer's subject, DER. */
  readonly issuer: Uint8Array;
  /** Milliseconds since 1970, whole seconds. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
}

/**
 * Writes what stands before the extensions once. The function that it returns gives the whole for a list of extensions: for
 * the timestamp without it, and for the certificate with it.
 */
export function leafTbs({ serial, algorithm, issuer, notBefore, notAfter, publicKey }: LeafFields) {
  const fields = concat(
    VERSION,
    encodeDer(TAG.integer, serial),
    LEAF_SIGNATURE[algorithm],
    issuer,
    encodeDer(TAG.sequence, timeDer(notBefore), timeDer(notAfter)),
    EMPTY_NAME,
    publicKey,
  );
  return (extensions: readonly Uint8Array[]): Uint8Array =>
    encodeDer(TAG.sequence, fields, encodeDer(constructed(3), encodeDer(TAG.sequence, ...extensions)));
}

export function extensionDer({ oid, critical, value }: NewExtension): Uint8Array {
  return encodeDer(TAG.sequence, oidDer(oid), ...(critical ? [TRUE] : []), encodeDer(TAG.octetString, value));
}

/** UTCTime through 2049, and GeneralizedTime from then on: RFC 5280 section 4.1.2.5. */
function timeDer(ms: number): Uint8Array {
  const text = `${new Date(ms).toISOString().slice(0, 19).replace(/[-:T]/g, '')}Z`;
  const isLate = Number(text.slice(0, 4)) >= 2050;
  return encodeDer(isLate ? TAG.generalizedTime : TAG.utcTime, Buffer.from(isLate ? text : text.slice(2)));
}

const oids = new Map<string, Uint8Array>();

/** Of a short list of object identifiers, which the authority chooses. */
function oidDer(oid: string): Uint8Array {
  let made = oids.get(oid);
  if (made === undefined) {
    const [first, second, ...rest] = oid.split('.').map(Number) as [number, number, ...number[]];
    made = encodeDer(TAG.oid, concat(...[40 * first + second, ...rest].map(base128)));
    oids.set(oid, made);
  }
  return made;
}

function base128(arc: number): Uint8Array {
  const digits = [arc % 128];
  for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) digits.unshift(128 + (left % 128));
  return Uint8Array.from(digits);
}
