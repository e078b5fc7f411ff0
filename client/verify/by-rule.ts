/** Verification with a rule for the identity in the certificate. Loads no cryptography: threads and commands start sooner. */
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { compileRule, type IdentityRule } from '../trust/identity.ts';
import type { Outcome } from './outcome.ts';
import { needsIssuer } from './svid-signer.ts';
import { checkUnderRoots, type UnderRootsRequest } from './under-roots.ts';

/** `UnderRootsRequest` with a rule in the place of a test. */
export interface BundleRequest extends Omit<UnderRootsRequest, 'identity'> {
  /** Whom the certificate must name; needs `trustedRoot` or `spiffeBundles`. A caller must not change a rule after it used the rule. */
  readonly identity?: IdentityRule;
}

/** @throws ClientError as `checkUnderRoots`, and as `compileRule` */
export function verifyByRule({ identity, ...request }: BundleRequest, primitives: Primitives): Outcome {
  if (identity === undefined) return checkUnderRoots(request, primitives);
  const outcome = checkUnderRoots({ ...request, identity: compileRule(identity) }, primitives);
  return identity.issuer === undefined && needsIssuer(outcome)
    ? { ...outcome, notProven: [{ name: 'issuer' }, ...outcome.notProven] }
    : outcome;
}
