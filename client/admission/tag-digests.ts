/** What tags stand for, asked within the bounds of all lookups, and only for images that a rule of the policy is for. */
import { ClientError } from '../errors.ts';
import type { ImageName } from '../evidence/image-name.ts';
import type { EvidenceRoom } from '../evidence/types.ts';
import { decisionSentence } from '../policy/decision-text.ts';
import { artifactOf, NO_DIGEST, registryOf, uncovered } from './coverage.ts';
import type { EvidenceMemory } from './evidence-memory.ts';
import type { LookupTurns } from './lookup-turns.ts';
import type { ImageDecider, ResolveTag } from './types.ts';

/** Asks the registry of the image. @throws ClientError */
export type AskRegistry = (image: ImageName, signal: AbortSignal, room: EvidenceRoom) => Promise<string>;

interface TagOptions {
  readonly decider: ImageDecider;
  readonly ask: AskRegistry;
  readonly turns: LookupTurns;
  readonly memory: EvidenceMemory;
}

export function tagDigests({ decider, ask, turns, memory }: TagOptions): ResolveTag {
  return async (image, namespace, signal) => {
    const denied = await uncovered(decider, artifactOf(image, NO_DIGEST), signal);
    if (denied !== undefined) throw new ClientError('denied', decisionSentence(denied));
    const end = await turns.take(registryOf(image), namespace, signal);
    const room = memory.room();
    try {
      return await ask(image, signal, room);
    } finally {
      room.release();
      end();
    }
  };
}
