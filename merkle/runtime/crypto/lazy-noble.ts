/**
 * noble's cryptography, loaded when it is first used. Loading takes 60 ms, and most programs do not need it: only
 * ML-DSA-44 and Ed25519ph do, and ECDSA where OpenSSL cannot be reached.
 *
 * Node 20.19 and later can `require` an ES module, so a check stays synchronous.
 */
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

type Curves = typeof import('@noble/curves/nist.js');
type Mldsa = typeof import('@noble/post-quantum/ml-dsa.js');

let curves: Curves | undefined;
let mldsa: Mldsa['ml_dsa44'] | undefined;
let ed25519ph: ReturnType<typeof makeEd25519ph> | undefined;

export function nobleCurves(): Curves {
  curves ??= require('@noble/curves/nist.js') as Curves;
  return curves;
}

export function nobleMldsa44(): Mldsa['ml_dsa44'] {
  mldsa ??= (require('@noble/post-quantum/ml-dsa.js') as Mldsa).ml_dsa44;
  return mldsa;
}

/** noble's Ed25519ph hashes the message itself; this takes its SHA-512 in the place of the message. */
export function nobleEd25519Digest() {
  ed25519ph ??= makeEd25519ph();
  return ed25519ph;
}

/** RFC 8032 section 5.1: dom2(phflag 1, empty context), before the bytes that are hashed. */
const DOM2_PH = Buffer.from('SigEd25519 no Ed25519 collisions\x01\x00', 'latin1');

function makeEd25519ph() {
  const { eddsa } = require('@noble/curves/abstract/edwards.js') as typeof import('@noble/curves/abstract/edwards.js');
  const { ed25519 } = require('@noble/curves/ed25519.js') as typeof import('@noble/curves/ed25519.js');
  const { sha512 } = require('@noble/hashes/sha2.js') as typeof import('@noble/hashes/sha2.js');
  return eddsa(ed25519.Point, sha512, {
    domain: (data: Uint8Array) => Buffer.concat([DOM2_PH, data]),
    prehash: (digest: Uint8Array) => digest as Uint8Array<ArrayBuffer>,
    zip215: false,
  });
}
