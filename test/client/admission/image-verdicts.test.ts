/** Verdicts that are made once and kept for a while, under a clock of the test. */
import { describe, expect, it } from 'vitest';
import { EvidenceMemory } from '../../../client/admission/evidence-memory.ts';
import { ImageVerdicts } from '../../../client/admission/image-verdicts.ts';
import { LookupTurns } from '../../../client/admission/lookup-turns.ts';
import type { ImageDecider } from '../../../client/admission/types.ts';
import { parseImageName } from '../../../client/evidence/image-name.ts';
import type { EvidenceSource } from '../../../client/evidence/types.ts';
import type { Decision } from '../../../merkle/runtime/policy/types.ts';
import { until } from '../../support/until.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;
const RULE = { name: 'r', holds: true, evidence: [], reasons: [], levels: [] };
const APP = parseImageName('registry.example.com/team/app');

/** Decides as the test says, and counts. */
function setup(options: { keep?: Partial<{ allow: number; deny: number; entries: number }>; lookups?: number } = {}) {
  const state = {
    now: 0,
    verdict: 'allow' as Decision['verdict'],
    versions: 'one',
    lookups: 0,
    decisions: 0,
    /** An allow ends before it would be forgotten. */
    ends: false,
    /** Some rule is for the image. */
    covered: true,
    fail: undefined as Error | undefined,
    hold: undefined as Promise<void> | undefined,
    running: 0,
    bytes: 0,
    most: 0,
    signals: [] as AbortSignal[],
    names: [] as (string | undefined)[],
  };
  const source: EvidenceSource = {
    async find({ room }, signal) {
      state.lookups++;
      state.signals.push(signal);
      state.most = Math.max(state.most, ++state.running);
      try {
        room?.take(state.bytes);
        await state.hold;
        if (state.fail !== undefined) throw state.fail;
        return [];
      } finally {
        state.running--;
      }
    },
  };
  const decider: ImageDecider = {
    get versions() {
      return state.versions;
    },
    async decide(artifact, _pieces, _signal, ahead = 0) {
      if (ahead === 0 && state.lookups > state.decisions) {
        state.decisions++;
        state.names.push(artifact.name);
      }
      const policy = { name: 'p', digest: 'sha256:0' };
      const verdict = ahead > 0 && state.ends ? 'deny' : state.verdict;
      return {
        verdict,
        artifact,
        policy,
        time: 0,
        rules: state.covered ? [RULE] : [],
        reasons: [],
        refused: [],
        levels: [],
      };
    },
  };
  const memory = new EvidenceMemory(() => 100);
  const verdicts = new ImageVerdicts({
    decider,
    source,
    keep: () => ({ allow: 1000, deny: 100, entries: 10, ...options.keep }),
    turns: new LookupTurns(() => options.lookups ?? 400),
    memory,
    clock: () => state.now,
  });
  const judge = (image = APP, digest = DIGEST, signal = new AbortController().signal, namespace = 'team') =>
    verdicts.judge(image, digest, namespace, signal);
  return { state, verdicts, judge, memory };
}

/** A promise that the test resolves. */
function gate() {
  let open = () => {};
  const wait = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { wait, open };
}

describe('a verdict', () => {
  it('is kept for as long as it may be, and then made anew', async () => {
    const { state, judge } = setup();
    expect(await judge()).toMatchObject({ allowed: true });
    state.now = 999;
    await judge();
    expect(state.decisions).toBe(1);
    state.now = 1000;
    state.verdict = 'deny';
    expect(await judge()).toMatchObject({ allowed: false });
    expect(state.decisions).toBe(2);
  });

  it('against an image is kept for its own, shorter time', async () => {
    const { state, judge } = setup();
    state.verdict = 'deny';
    await judge();
    state.now = 99;
    state.verdict = 'allow';
    expect(await judge()).toMatchObject({ allowed: false });
    state.now = 100;
    expect(await judge()).toMatchObject({ allowed: true });
  });

  it('is for one name and one digest', async () => {
    const { state, judge } = setup();
    await judge();
    await judge(parseImageName('registry.example.com/team/other'));
    await judge(parseImageName('other.example.com/team/app'));
    await judge(APP, `sha256:${'b'.repeat(64)}`);
    expect(state.decisions).toBe(4);
    await judge(parseImageName(`registry.example.com/team/app:1@${DIGEST}`));
    expect(state.decisions).toBe(4);
  });

  it('is under the rules of the same name, however its registry is spelled', async () => {
    const { state, judge } = setup();
    for (const host of ['registry.example.com', 'REGISTRY.example.com', 'registry.example.com:443']) {
      await judge(parseImageName(`${host}/team/app`));
    }
    expect(state.names).toEqual(Array(3).fill('registry.example.com/team/app'));
  });

  it('is forgotten when policy or trust change, also when they change back', async () => {
    const { state, verdicts, judge } = setup();
    await judge();
    state.versions = 'two';
    await judge();
    state.versions = 'one';
    await judge();
    expect(state.decisions).toBe(3);
    expect(verdicts.size).toBe(1);
  });

  it('that was begun before a change is not kept after it, and no later caller gets it', async () => {
    const { state, verdicts, judge } = setup();
    const { wait, open } = gate();
    state.hold = wait;
    const before = judge();
    await until(() => state.lookups === 1);
    state.versions = 'two';
    const after = judge();
    await until(() => state.lookups === 2);
    open();
    await Promise.all([before, after]);
    expect(state.decisions).toBe(2);
    expect(verdicts.size).toBe(1);
  });

  it('is not made of an error, and nothing is kept', async () => {
    const { state, judge } = setup();
    state.fail = new Error('the registry is away');
    await expect(judge()).rejects.toThrow('the registry is away');
    state.fail = undefined;
    expect(await judge()).toMatchObject({ allowed: true });
    expect(state.lookups).toBe(2);
  });

  it('needs a decision that says "allow" and is about the image', async () => {
    const { state, judge } = setup();
    for (const verdict of ['deny', undefined, true, 'Allow', { toString: () => 'allow' }]) {
      state.now += 1000;
      state.verdict = verdict as Decision['verdict'];
      expect(await judge()).toMatchObject({ allowed: false });
    }
  });

  it('is not kept where it would not last, by a rule about the time', async () => {
    const { state, verdicts, judge } = setup();
    state.ends = true;
    expect(await judge()).toMatchObject({ allowed: true });
    expect(verdicts.size).toBe(0);
    await judge();
    expect(state.lookups).toBe(2);
    state.verdict = 'deny';
    expect(await judge()).toMatchObject({ allowed: false });
    expect(verdicts.size).toBe(1);
  });

  it('is not made where the evidence of all lookups is more than memory may hold', async () => {
    const { state, judge, memory } = setup();
    const { wait, open } = gate();
    state.hold = wait;
    state.bytes = 60;
    const first = judge();
    const other = parseImageName('registry.example.com/team/other');
    await expect(judge(other)).rejects.toMatchObject({
      code: 'evidence',
      message: expect.stringMatching(/held at this moment/),
    });
    open();
    expect(await first).toMatchObject({ allowed: true });
    expect(await judge(other)).toMatchObject({ allowed: true });
    state.bytes = 101;
    await expect(judge(parseImageName('registry.example.com/team/large'))).rejects.toMatchObject({ code: 'evidence' });
    expect(memory.held).toBe(0);
  });

  it('about an image that no rule is for is made without asking anybody', async () => {
    const { state, verdicts, judge } = setup();
    state.covered = false;
    state.verdict = 'deny';
    expect(await judge()).toMatchObject({ allowed: false });
    expect(state.lookups).toBe(0);
    // Nor kept: they would push out others.
    expect(verdicts.size).toBe(0);
  });

  it('makes room for newer ones', async () => {
    const { state, verdicts, judge } = setup({ keep: { entries: 2 } });
    for (const name of ['a', 'b', 'c']) await judge(parseImageName(`registry.example.com/${name}`));
    expect(verdicts.size).toBe(2);
    await judge(parseImageName('registry.example.com/c'));
    expect(state.decisions).toBe(3);
    await judge(parseImageName('registry.example.com/a'));
    expect(state.decisions).toBe(4);
  });
});

describe('a lookup', () => {
  it('is one for all that ask at one time', async () => {
    const { state, judge } = setup();
    await Promise.all(Array.from({ length: 50 }, () => judge()));
    expect(state.lookups).toBe(1);
  });

  it('goes on for those that wait when one leaves, and ends with the last', async () => {
    const { state, judge } = setup();
    const { wait } = gate();
    state.hold = wait;
    const [one, two] = [new AbortController(), new AbortController()];
    const first = judge(APP, DIGEST, one.signal);
    const second = judge(APP, DIGEST, two.signal);
    await until(() => state.lookups === 1);
    one.abort(new Error('first left'));
    await expect(first).rejects.toThrow('first left');
    expect(state.signals[0]!.aborted).toBe(false);
    two.abort(new Error('second left'));
    await expect(second).rejects.toThrow('second left');
    expect(state.signals[0]!.aborted).toBe(true);
    state.hold = undefined;
    expect(await judge()).toMatchObject({ allowed: true });
    expect(state.lookups).toBe(2);
  });

  it('waits for its turn, and gives it up when nobody waits for it any more', async () => {
    const { state, judge } = setup({ lookups: 8 });
    const { wait, open } = gate();
    state.hold = wait;
    const names = Array.from({ length: 6 }, (_, at) => parseImageName(`registry.example.com/app${at}`));
    const leaver = new AbortController();
    const asked = names.map((name, at) => judge(name, DIGEST, at === 3 ? leaver.signal : undefined));
    await until(() => state.running === 2);
    leaver.abort(new Error('left'));
    await expect(asked[3]).rejects.toThrow('left');
    open();
    await Promise.all(asked.filter((_, at) => at !== 3));
    expect(state.most).toBe(2);
    expect(state.lookups).toBe(5);
  });

  it('of one namespace, or at one registry, leaves turns to those of others', async () => {
    const { state, judge } = setup({ lookups: 8 });
    const { wait, open } = gate();
    state.hold = wait;
    const at = (host: string, count: number, namespace: string) =>
      Array.from({ length: count }, (_, n) => judge(parseImageName(`${host}/app${n}`), DIGEST, undefined, namespace));
    const slow = [
      ...at('one.example.com', 20, 'attacker'),
      ...at('two.example.com', 20, 'attacker'),
      ...at('ONE.example.com:443', 20, 'other'),
    ];
    await until(() => state.running === 2);
    state.hold = undefined;
    expect(await judge(APP)).toMatchObject({ allowed: true });
    expect(state.running).toBe(2);
    open();
    await Promise.all(slow);
    expect(state.lookups).toBe(61);
  });

  it('that waits in two namespaces is made once, and its verdict answers both', async () => {
    const { state, judge } = setup({ lookups: 4 });
    expect(await Promise.all([judge(APP, DIGEST, undefined, 'one'), judge(APP, DIGEST, undefined, 'two')])).toEqual([
      expect.objectContaining({ allowed: true }),
      expect.objectContaining({ allowed: true }),
    ]);
    expect(state.lookups).toBe(1);
  });

  it('is not begun for a caller that has left', async () => {
    const { state, judge } = setup();
    await expect(judge(APP, DIGEST, AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone');
    expect(state.lookups).toBe(0);
  });
});
