/** The keys that verify JWT-SVIDs, from the trust bundles: JWT-SVID section 6.2. */
import type { KeyObject } from 'node:crypto';
import type { SpiffeBundle } from '../../../spiffe/trust-bundle.ts';
import { IdentityError } from '../types.ts';
import { keyFor, type VerifyingKey, verifyingKeyOf } from './key-set.ts';
import type { TokenAlgorithm } from './token-algorithms.ts';

type JwtAuthority = SpiffeBundle['jwtAuthorities'][number];

/** Where bundles come from; they may change at any time. A domain whose bundle could not be had yet is missing. */
export interface Bundles {
  current(): ReadonlyMap<string, Pick<SpiffeBundle, 'jwtAuthorities'>>;
}

export class TrustDomainKeys {
  readonly #bundles: Bundles;
  readonly #configured: ReadonlySet<string>;
  /** Keys are imported once for each bundle, and go with it. */
  readonly #keys = new WeakMap<readonly JwtAuthority[], readonly VerifyingKey[]>();

  /** @param configured the trust domains that the settings name */
  constructor(bundles: Bundles, configured: readonly string[]) {
    this.#bundles = bundles;
    this.#configured = new Set(configured);
  }

  /** @throws IdentityError `trust-domain`, `token-key`, `token-algorithm`; `identity-unavailable` where its bundle is missing */
  find(trustDomain: string, algorithm: TokenAlgorithm, keyId: string): KeyObject {
    const bundle = this.#bundles.current().get(trustDomain);
    if (bundle === undefined) {
      if (this.#configured.has(trustDomain)) {
        const why = `the trust bundle of ${trustDomain} cannot be had now: try again later`;
        throw new IdentityError('identity-unavailable', why);
      }
      throw new IdentityError('trust-domain', 'the token is of a trust domain that this service does not know');
    }
    const found = keyFor(this.#keysOf(bundle.jwtAuthorities), algorithm, keyId);
    if (found !== undefined) return found;
    const why = `the trust domain ${trustDomain} has no key for JWT-SVIDs that the token names ("kid")`;
    throw new IdentityError('token-key', why);
  }

  #keysOf(authorities: readonly JwtAuthority[]): readonly VerifyingKey[] {
    let keys = this.#keys.get(authorities);
    if (keys === undefined) {
      keys = authorities.flatMap(({ keyId, jwk }) => verifyingKeyOf(jwk, keyId, jwk.alg) ?? []);
      this.#keys.set(authorities, keys);
    }
    return keys;
  }
}
