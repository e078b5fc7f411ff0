/** Verifiers of tokens, for tests. */
import type { IdentitySettings } from '../../../../../merkle/runtime/identity/identity-settings.ts';
import {
  openTokenVerifier,
  type TokenDependencies,
} from '../../../../../merkle/runtime/identity/tokens/open-token-verifier.ts';
import { TOKEN_ALGORITHMS } from '../../../../../merkle/runtime/identity/tokens/token-algorithms.ts';
import type { SpiffeBundle } from '../../../../../merkle/spiffe/trust-bundle.ts';

export const AUDIENCE = 'log.example.com';
export const WISH = { audience: AUDIENCE, maxLifetimeMs: 600_000 };

export type IssuerSettings = IdentitySettings['issuers'][number];

export function settingsOf(issuer: { readonly url: string }, more: Partial<IssuerSettings> = {}): IssuerSettings {
  return { issuer: issuer.url, algorithms: [...TOKEN_ALGORITHMS], keepKeys: 86_400_000, allowHttp: false, ...more };
}

/** A verifier for the tokens of these issuers, which fetches their keys. */
export async function open(issuers: readonly { readonly url: string }[], dependencies: TokenDependencies = {}) {
  return await openTokenVerifier({ issuers: issuers.map((issuer) => settingsOf(issuer)) }, dependencies);
}

export function bundleOf(...bundles: readonly SpiffeBundle[]): TokenDependencies {
  const current = new Map(bundles.map((bundle) => [bundle.trustDomain, bundle]));
  return { bundles: { current: () => current } };
}
