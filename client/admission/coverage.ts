/** Whether a policy has a rule for an image: who makes a pod names the registry, and nobody is asked about an image without one. */
import type { Artifact, Decision } from '../../merkle/runtime/policy/types.ts';
import { artifactName, type ImageName } from '../evidence/image-name.ts';
import type { ImageDecider } from './types.ts';

/** Of no image: rules are for names. */
export const NO_DIGEST = `sha256:${'0'.repeat(64)}`;

export function artifactOf(image: ImageName, digest: string): Artifact {
  return { name: artifactName(image), digest: { sha256: digest.slice('sha256:'.length) } };
}

/** The host of an image's registry; spellings of one host are one. */
export function registryOf(image: ImageName): string {
  return artifactName(image).split('/', 1)[0]!;
}

/** The denial of an image that no rule is for; undefined where there is a rule. @throws CodedError: there is no decision */
export async function uncovered(
  decider: ImageDecider,
  artifact: Artifact,
  signal: AbortSignal,
): Promise<Decision | undefined> {
  const without = await decider.decide(artifact, [], signal);
  return without.rules.length > 0 ? undefined : without;
}
