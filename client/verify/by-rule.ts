/** Verification where a rule says whom the certificate must name. Loads no cryptography: threads and commands start sooner. */
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { type IdentityRule, matchIdentity } from '../trust/identity.ts';
import { type VerifyRequest, verify } from './core.ts';
import { NO_ISSUER, type Outcome } from './outcome.ts';

/** As `VerifyRequest` of verify/core.ts, with a rule in the place of a test. */
export interface BundleRequest extends Omit<VerifyRequest, 'identity'> {
  /** Whom the certificate must name; needs `trustedRoot`. A rule must not be changed once it was used. */
  readonly identity?: IdentityRule;
}

/** @throws ClientError as `verify` of verify/core.ts, and as `compileRule` */
export function verifyByRule({ identity, ...request }: BundleRequest, primitives: Primitives): Outcome {
  if (identity === undefined) return verify(request, primitives);
  const outcome = verify({ ...request, identity: (found) => matchIdentity(identity, found) }, primitives);
  return identity.issuer === undefined ? { ...outcome, notProven: [NO_ISSUER, ...outcome.notProven] } : outcome;
}
