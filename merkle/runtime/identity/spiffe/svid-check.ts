/** Checks of the SVID that a source gives this process, before it is used. Errors never hold a part of the key. */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { equal } from '../../../bytes.ts';
import { MerkleError } from '../../../errors.ts';
import type { SpiffeId } from '../../../spiffe/spiffe-id.ts';
import type { SpiffeBundle } from '../../../spiffe/trust-bundle.ts';
import { checkX509Svid, spiffeIdOf } from '../../../spiffe/x509-svid.ts';
import type { Certificate } from '../../../x509/certificate.ts';
import { timeText } from '../../../x509/utc-time.ts';
import { nodePrimitives } from '../../crypto/node-primitives.ts';
import { RuntimeError } from '../../runtime-errors.ts';
import type { Svid } from './types.ts';

/**
 * An SVID that may be used now: the key is the leaf's, the leaf is valid, and the chain leads to `bundle`, if that is given.
 * @throws MerkleError as `checkX509Svid`; RuntimeError `svid`
 */
export function svidOf(
  chain: readonly Certificate[],
  key: KeyObject,
  bundle: ((trustDomain: string) => SpiffeBundle) | undefined,
  now: number,
): Svid {
  const [leaf] = chain;
  if (leaf === undefined) throw new RuntimeError('svid', 'the SVID has no certificate');
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  if (!equal(spki, leaf.spki)) throw new RuntimeError('svid', 'the private key is not the one of the SVID');
  const id = bundle === undefined ? validId(leaf, now) : chainId(chain, bundle, now);
  return Object.freeze({ id, chain: chain.map(({ der }) => der), key, notAfter: leaf.notAfter });
}

/** @param key DER or PEM of PKCS#8 or a form that OpenSSL reads, without a passphrase @throws RuntimeError `svid` */
export function privateKeyOf(key: Uint8Array | string): KeyObject {
  try {
    return typeof key === 'string'
      ? createPrivateKey(key)
      : createPrivateKey({ key: Buffer.from(key), format: 'der', type: 'pkcs8' });
  } catch {
    // The cause could hold what it read.
    throw new RuntimeError('svid', 'the private key of the SVID cannot be read');
  }
}

function validId(leaf: Certificate, now: number): SpiffeId {
  const id = spiffeIdOf(leaf);
  if (now < leaf.notBefore || now > leaf.notAfter) {
    const [from, to] = [leaf.notBefore, leaf.notAfter].map(timeText);
    throw new RuntimeError('svid', `the SVID of ${id.text} is valid from ${from} to ${to}, not now`);
  }
  return id;
}

/** An SVID may be for clients or for servers alone. */
function chainId(chain: readonly Certificate[], bundle: (trustDomain: string) => SpiffeBundle, now: number): SpiffeId {
  const { trustDomain } = spiffeIdOf(chain[0]!);
  const bundles = new Map([[trustDomain, bundle(trustDomain)]]);
  const check = (use: 'client' | 'server') => checkX509Svid(chain, bundles, now, nodePrimitives(), use);
  try {
    return check('client');
  } catch (error) {
    if (!(error instanceof MerkleError) || error.code !== 'svid-usage') throw error;
    return check('server');
  }
}
