/** Verification of a bundle under one trusted root, or under one of several (one-root.ts). */
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { underOneRoot } from './one-root.ts';
import type { Outcome } from './outcome.ts';
import type { TrustedRoots } from './types.ts';
import { checkBundle, type VerifyRequest } from './verify-bundle.ts';

/** `VerifyRequest` with one trusted root or several. */
export interface UnderRootsRequest extends Omit<VerifyRequest, 'trustedRoot'> {
  readonly trustedRoot?: TrustedRoots | undefined;
}

/** @throws ClientError as `checkBundle` and `underOneRoot` */
export function checkUnderRoots({ trustedRoot, ...request }: UnderRootsRequest, primitives: Primitives): Outcome {
  if (trustedRoot === undefined) return checkBundle(request, primitives);
  const { result, root } = underOneRoot(trustedRoot, (one) =>
    checkBundle({ ...request, trustedRoot: one }, primitives),
  );
  return root === undefined ? result : { ...result, trustedRoot: root };
}
