/** What the page says about a look at the log: each outcome in words, and none of them as checked that was not. */
import { describe, expect, it } from 'vitest';
import { claimsOfHead, claimsOfLook, claimsOfMemory } from '../../../client/explorer/model/look-claims.ts';
import type { HeadLook, HeadStanding, LogLook } from '../../../client/explorer/model/looks.ts';
import type { ExplorerLog } from '../../../merkle/explorer-config.ts';
import { parsePolicy } from '../../../merkle/policy.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { policyOf, TestWitness } from '../../support/witness.ts';

const AT = Date.UTC(2026, 0, 2, 3, 4, 5);
const open: ExplorerLog = { origin: 'log.example.com', url: 'https://log.example.com', keys: [] };
const witness = new TestWitness('w1', new FakeLog().key);
const strict: ExplorerLog = { ...open, policy: parsePolicy(policyOf([witness], 'all')) };
const head: HeadLook = {
  size: 1234,
  root: '',
  note: '',
  frozen: false,
  signedBy: ['log.example.com+1+a'],
  lie: undefined,
  quorumMissing: undefined,
  quorumSeen: AT,
  witnesses: [{ name: 'w1', cosigned: AT, problem: undefined }],
};
const before = { origin: open.origin, size: 1000, root: '', note: '', seen: AT };
const nothing = { before: undefined, standing: undefined, notRemembered: undefined, seen: { heads: [], lies: [] } };
const look = (more: Partial<LogLook>): LogLook => ({
  at: AT,
  head: undefined,
  trouble: undefined,
  ...nothing,
  ...more,
});
const said = (claims: ReturnType<typeof claimsOfLook>) =>
  claims.map((claim) => `${claim.state}: ${claim.what}: ${claim.state === 'checked' ? claim.how : claim.why}`);
const states = (claims: ReturnType<typeof claimsOfLook>) => claims.map(({ state }) => state);

describe('a checkpoint', () => {
  it('is as good as its signature and its quorum', () => {
    expect(said(claimsOfHead(strict, head))).toEqual([
      'checked: The log signed its newest checkpoint, of 1\u2009234 entries: The signature verifies with log.example.com+1+a.',
      'checked: The quorum of the witnesses cosigned it: 1 of 1 witnesses of the policy did.',
    ]);
    expect(said(claimsOfHead(strict, { ...head, size: 1 }, 'this checkpoint'))[0]).toContain(
      'this checkpoint, of 1 entry:',
    );
  });

  it('without a quorum in the policy is not called cosigned', () => {
    for (const log of [open, { ...open, policy: parsePolicy('quorum none\n') }]) {
      expect(states(claimsOfHead(log, head))).toEqual(['checked', 'not-checked']);
    }
  });

  it('that lacks its quorum, or cannot be true, is red', () => {
    expect(said(claimsOfHead(strict, { ...head, quorumMissing: 'w1 is missing' }))[1]).toBe(
      'failed: The quorum of the witnesses: w1 is missing',
    );
    expect(states(claimsOfHead(strict, { ...head, lie: 'no such root' }))).toEqual(['failed']);
  });

  it('that is frozen says so', () => {
    expect(said(claimsOfHead(strict, { ...head, frozen: true })).at(-1)).toContain('takes no more entries');
  });
});

describe('what this browser saw before', () => {
  const stands = (standing: HeadStanding) => claimsOfMemory({ ...nothing, before, standing });

  it.each<[HeadStanding, string, string]>([
    [{ stands: 'same' }, 'checked', 'Seen at 2026-01-02 03:04:05 UTC'],
    [{ stands: 'continues' }, 'checked', 'computed from the tiles'],
    [{ stands: 'went-back' }, 'failed', 'a cache on the way'],
    [{ stands: 'fork', evidence: '{}' }, 'failed', 'two histories'],
    [{ stands: 'grew-after-freeze', evidence: '{}' }, 'failed', 'frozen'],
    [{ stands: 'unclear', why: 'no tiles' }, 'not-checked', 'no tiles'],
  ])('%j is %s', (standing, state, why) => {
    expect(states(stands(standing))).toEqual([state]);
    expect(said(stands(standing))[0]).toContain(why);
  });

  it('is told where nothing could be remembered, beside what was found', () => {
    expect(claimsOfMemory(nothing)).toEqual([]);
    expect(said(claimsOfMemory({ ...nothing, notRemembered: 'no room' }))).toEqual([
      'not-checked: What this browser saw before: It could not remember: no room',
    ]);
    const full = { ...nothing, before, standing: { stands: 'went-back' } as const, notRemembered: 'no room' };
    expect(states(claimsOfMemory(full))).toEqual(['failed', 'not-checked']);
  });
});

describe('a log that shows no checkpoint', () => {
  const trouble = (code: NonNullable<LogLook['trouble']>['code'], more: Partial<LogLook> = {}) =>
    said(claimsOfLook(open, look({ trouble: { code, message: 'the message' }, ...more })));

  it('is red where it had some, and new where it had none', () => {
    expect(trouble('missing')).toEqual(['not-checked: The newest checkpoint: The log has published none yet.']);
    expect(trouble('missing', { before: { ...before, size: 0 } })[0]).toContain('not-checked');
    expect(trouble('missing', { before })[0]).toMatch(/^failed: .*this browser saw one of 1\u2009000 entries/);
  });

  it.each(['network', 'unavailable', 'refused', 'bad-reply'] as const)(
    'is away with %s, which shows nothing',
    (code) => {
      expect(trouble(code)).toEqual(['not-checked: The newest checkpoint: The log cannot be read now: the message']);
    },
  );

  it.each(['bad-checkpoint', 'corrupt'] as const)('is red with %s', (code) => {
    expect(trouble(code)).toEqual(['failed: The newest checkpoint: the message']);
  });

  it('with one, has what is said of it and of the memory', () => {
    const all = claimsOfLook(strict, look({ head, before, standing: { stands: 'continues' } }));
    expect(states(all)).toEqual(['checked', 'checked', 'checked']);
  });
});
