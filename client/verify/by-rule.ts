/** Verification with a rule for the identity in the certificate. Loads no cryptography: threads and commands start sooner. */
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { compileRule, type IdentityRule } from '../trust/identity.ts';
import { verifyByTest } from './by-test.ts';
import type { Outcome } from './outcome.ts';
import type { UnderRootsRequest } from './under-roots.ts';

/** `UnderRootsRequest` with a rule in the place of a test. */
export interface BundleRequest extends Omit<UnderRootsRequest, 'identity'> {
  /** Whom the certificate must name; needs `trustedRoot` or `spiffeBundles`. A caller must not change a rule after it used the rule. */
  readonly identity?: IdentityRule;
}

/** @throws ClientError as `checkUnderRoots`, and as `compileRule` */
export function verifyByRule({ identity, ...request }: BundleRequest, primitives: Primitives): Outcome {
  const test = identity && compileRule(identity);
  return verifyByTest({ ...request, identity: test }, identity?.issuer !== undefined, primitives);
}
