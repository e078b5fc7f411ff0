/** Which registries are asked what a tag stands for. */
import { expect, it } from 'vitest';
import { EvidenceMemory } from '../../../client/admission/evidence-memory.ts';
import { LookupTurns } from '../../../client/admission/lookup-turns.ts';
import { tagDigests } from '../../../client/admission/tag-digests.ts';
import { parseImageName } from '../../../client/evidence/image-name.ts';
import type { Decision } from '../../../merkle/runtime/policy/types.ts';

const never = new AbortController().signal;
const DIGEST = `sha256:${'a'.repeat(64)}`;

/** Rules are for images of good.example.com alone. */
function setup(lookups = 8) {
  const asked: string[] = [];
  const rule = { name: 'r', holds: false, evidence: [], reasons: [], levels: [] };
  const resolve = tagDigests({
    decider: {
      versions: '',
      decide: async (artifact): Promise<Decision> => ({
        verdict: 'deny',
        artifact,
        policy: { name: 'p', digest: 'sha256:0' },
        time: 0,
        rules: artifact.name?.startsWith('good.example.com/') ? [rule] : [],
        reasons: [{ code: 'not-covered', message: 'the policy has no rule for it' }],
        refused: [],
        levels: [],
      }),
    },
    ask: async ({ domain, path }, _signal, room) => {
      asked.push(`${domain}/${path}`);
      room.take(60);
      await new Promise(setImmediate);
      return DIGEST;
    },
    turns: new LookupTurns(() => lookups),
    memory: new EvidenceMemory(() => 100),
  });
  return { asked, resolve };
}

it('the registry of an image that a rule is for is asked', async () => {
  const { asked, resolve } = setup();
  expect(await resolve(parseImageName('good.example.com/app:1'), 'team', never)).toBe(DIGEST);
  expect(asked).toEqual(['good.example.com/app']);
});

it('nobody is asked about an image that no rule is for, and the denial says so', async () => {
  const { asked, resolve } = setup();
  await expect(resolve(parseImageName('evil.example.com/app:1'), 'team', never)).rejects.toMatchObject({
    code: 'denied',
    message: 'denied by the policy "p": the policy has no rule for it',
  });
  expect(asked).toEqual([]);
});

it('waits for a turn, and counts what it holds', async () => {
  const image = parseImageName('good.example.com/app:1');
  const inTurn = setup(4);
  expect(await Promise.all(['a', 'b'].map((namespace) => inTurn.resolve(image, namespace, never)))).toEqual([
    DIGEST,
    DIGEST,
  ]);
  const { resolve } = setup();
  const [first, second] = await Promise.allSettled(['a', 'b'].map((namespace) => resolve(image, namespace, never)));
  expect([first!.status, second!.status]).toEqual(['fulfilled', 'rejected']);
  expect(await resolve(image, 'a', never)).toBe(DIGEST);
});
