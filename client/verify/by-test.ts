/**
 * Verification with a test of the identity that was compiled elsewhere. It loads no engine of patterns, which a page in a browser
 * loads only where a rule has a pattern.
 */
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import type { IdentityTest } from '../../merkle/x509/identity-rule.ts';
import type { Outcome } from './outcome.ts';
import { needsIssuer } from './svid-signer.ts';
import { checkUnderRoots, type UnderRootsRequest } from './under-roots.ts';

/** `UnderRootsRequest` whose test may be undefined. */
interface TestedRequest extends Omit<UnderRootsRequest, 'identity'> {
  readonly identity: IdentityTest | undefined;
}

/**
 * @param namesIssuer whether the rule of the test names an issuer
 * @throws ClientError as `checkUnderRoots`
 */
export function verifyByTest(
  { identity, ...request }: TestedRequest,
  namesIssuer: boolean,
  primitives: Primitives,
): Outcome {
  if (identity === undefined) return checkUnderRoots(request, primitives);
  const outcome = checkUnderRoots({ ...request, identity }, primitives);
  return !namesIssuer && needsIssuer(outcome)
    ? { ...outcome, notProven: [{ name: 'issuer' }, ...outcome.notProven] }
    : outcome;
}
