/** What a log that was there before asks of its witnesses before it signs anything: an old copy must not go on. */
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseCheckpoint } from '../../../merkle/checkpoint.ts';
import { formatNote, parseNote } from '../../../merkle/note.ts';
import { parsePolicy } from '../../../merkle/policy.ts';
import { Cosigner } from '../../../server/cosign/cosign.ts';
import { witnessMetrics } from '../../../server/cosign/witness-metrics.ts';
import { openDirStores } from '../../../server/dir/layout.ts';
import type { Log } from '../../../server/log/log.ts';
import type { CheckpointSigner } from '../../../server/log/sign.ts';
import type { LogOptions } from '../../../server/log/types.ts';
import { Metrics } from '../../../server/metrics.ts';
import type { LoggedEntry } from '../../../server/types.ts';
import { Faults, faultyStores } from '../../support/faulty.ts';
import { bodyOf, LIMITS, makeSigner, ORIGIN, openTestLog, tempDir } from '../../support/log.ts';
import { until } from '../../support/until.ts';
import { type Behaviour, policyOf, TestWitness } from '../../support/witness.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let data: string;
let log: Log | undefined;
let metrics: Metrics;
let cosigner: Cosigner;
let witnesses: TestWitness[];
/** The sizes of the trees that the log has signed since it was opened. */
let signed: number[];

beforeEach(async () => {
  dir = await tempDir();
  data = join(dir.path, 'data');
  log = undefined;
  const { keys } = await makeSigner(dir.path);
  witnesses = await Promise.all(['a', 'b', 'c'].map((name) => new TestWitness(name, keys[0]!).start()));
});

afterEach(async () => {
  await log?.close();
  await Promise.all(witnesses.map((witness) => witness.stop()));
  await dir.remove();
});

const SETTINGS = { timeoutMs: 20_000, refreshMs: 600_000, clockSkewMs: 24 * 3_600_000, failOpen: false };

async function open(
  policy = policyOf(witnesses, 2),
  changes: Partial<LogOptions> = {},
  settings: Partial<typeof SETTINGS> = {},
): Promise<Log> {
  const signer = await makeSigner(dir.path);
  signed = [];
  const spied: CheckpointSigner = Object.create(signer, {
    sign: {
      value: async (...args: Parameters<CheckpointSigner['sign']>) => {
        signed.push(args[0].size);
        return await signer.sign(...args);
      },
    },
    ...Object.fromEntries(
      (['last', 'keys', 'verifierKeys', 'logId', 'origin'] as const).map((name) => [name, { get: () => signer[name] }]),
    ),
    ...Object.fromEntries(
      (['remember', 'freeze', 'close'] as const).map((name) => [name, { value: signer[name].bind(signer) }]),
    ),
  });
  metrics = new Metrics({ process: false });
  const logger = { info: () => {}, warn: () => {}, error: () => {} };
  cosigner = new Cosigner({
    policy: parsePolicy(policy),
    origin: ORIGIN,
    keys: signer.keys,
    settings: { ...SETTINGS, ...settings },
    metrics: witnessMetrics(metrics),
    logger,
  });
  const limits = { ...LIMITS, publishTimeout: 20_000 };
  const openStores = () => openDirStores(data);
  log = await openTestLog(dir.path, { openStores, signer: spied, metrics, limits, logger, cosigner, ...changes });
  return log;
}

async function close(): Promise<void> {
  await log?.close();
  log = undefined;
}

async function submit(name: string): Promise<LoggedEntry> {
  const [outcome] = await log!.submit(bodyOf(name), 'json');
  if ('error' in outcome!) throw outcome.error;
  return outcome!.entry;
}

/** A log of `count` entries that every witness has seen, closed. */
async function begun(count = 1, policy?: string): Promise<string> {
  await open(policy, { isNew: true });
  for (let i = 0; i < count; i++) await submit(`e${i}`);
  await until(() => witnesses.every(({ held }) => held?.checkpoint.size === count));
  const { checkpoint } = log!;
  await close();
  return checkpoint;
}

const stopAll = () => Promise.all(witnesses.map((witness) => witness.stop()));
const unconfirmed = { code: 'unconfirmed', message: expect.stringContaining('until its witnesses confirm') };
const value = async (name: string) =>
  Number(new RegExp(`^${name} (.*)$`, 'm').exec(await metrics.registry.metrics())![1]);
/** The note with the signatures of the log alone. */
const own = (note: string) => {
  const { text, signatures } = parseNote(note);
  return formatNote(
    text,
    signatures.filter(({ name }) => name === ORIGIN),
  );
};

describe('a log that was there before', () => {
  it('signs nothing and takes no entry until enough witnesses have cosigned its published checkpoint again', async () => {
    const shown = await begun();
    await stopAll();
    await open();
    await expect(submit('more')).rejects.toMatchObject(unconfirmed);
    // Duplicates too: their proofs may be of an old tree.
    await expect(submit('e0')).rejects.toMatchObject(unconfirmed);
    // Reads go on. The third cosignature may have come after `shown` was read.
    expect(own(log!.checkpoint)).toBe(own(shown));
    expect(await log!.tile(0, 0, 1)).toHaveLength(32);
    expect(await log!.entry(0)).toMatchObject({ index: 0 });
    const reasons = log!.notReady();
    expect(reasons[0]).toContain('takes no entry before its witnesses confirm');
    expect(reasons[1]).toMatch(/a refuses connections; b refuses connections; c refuses connections/);
    expect(await value('stele_unconfirmed')).toBe(1);

    // One of three is not enough where two make a quorum: the other two could have cosigned more.
    await witnesses[1]!.start();
    await until(() => log!.notReady()[1]?.endsWith('here: a refuses connections; c refuses connections'));
    await expect(submit('more')).rejects.toMatchObject(unconfirmed);
    // It got the very bytes that are public, and no proof.
    expect(witnesses[1]!.body).toBe(`old 1\n\n${own(shown)}`);
    expect(signed).toEqual([]);

    await witnesses[0]!.start();
    expect(await until(() => submit('more').catch(() => undefined))).toMatchObject({ index: 1 });
    expect(signed).toEqual([2]);
    await until(() => log!.notReady().length === 0);
    expect(await value('stele_unconfirmed')).toBe(0);
  });

  it.each([
    ['any', 3],
    [2, 2],
    [3, 1],
  ] as const)('needs one witness in each quorum: of %s of three it needs %d', async (k, needed) => {
    const policy = policyOf(witnesses, k);
    await begun(1, policy);
    await stopAll();
    await open(policy);
    for (const [i, witness] of witnesses.entries()) {
      if (i >= needed) break;
      await expect(submit('more')).rejects.toMatchObject(unconfirmed);
      await witness.start();
      const missing = witnesses.slice(i + 1).map(({ name }) => `${name} refuses`);
      if (i + 1 < needed) await until(() => log!.notReady()[1]?.includes(`here: ${missing[0]}`));
    }
    await until(() => log!.notReady().length === 0 || log!.notReady()[0]?.includes('quorum'));
    await Promise.all(witnesses.slice(needed).map((witness) => witness.start()));
    expect(await until(() => submit('more').catch(() => undefined))).toMatchObject({ index: 1 });
  });

  it('goes on under a policy that replaces the one of the start, with what was confirmed before', async () => {
    await begun();
    await stopAll();
    await open();
    await witnesses[1]!.start();
    await until(() => log!.notReady()[1]?.endsWith('here: a refuses connections; c refuses connections'));
    // A policy that cannot be used changes nothing.
    const [witness] = policyOf(witnesses, 'all').split(' http');
    const withoutUrl = parsePolicy(`${witness}\nquorum ${witnesses[0]!.name}\n`);
    expect(() => cosigner.replacePolicy(withoutUrl)).toThrow('cannot be reached');
    expect(await value('stele_unconfirmed')).toBe(1);
    // Every quorum of three has the witness that has confirmed.
    cosigner.replacePolicy(parsePolicy(policyOf(witnesses, 'all')));
    await until(async () => (await value('stele_unconfirmed')) === 0);
    const submitted = submit('more');
    await Promise.all([witnesses[0]!.start(), witnesses[2]!.start()]);
    expect(await submitted).toMatchObject({ index: 1 });
    expect(parseNote(log!.checkpoint).signatures).toHaveLength(4);
  });

  it('is not hurried by failOpen', async () => {
    await begun();
    await stopAll();
    await open(undefined, {}, { failOpen: true, timeoutMs: 100 });
    await until(() => log!.notReady()[1]?.match(/refuses connections/g)?.length === 3);
    await expect(submit('more')).rejects.toMatchObject(unconfirmed);
    expect(signed).toEqual([]);
  });

  it('has nothing to confirm where the policy has no quorum, and where it is frozen', async () => {
    const lines = witnesses.map(({ policyLine }) => policyLine).join('');
    const none = `${lines}quorum none\n`;
    await begun(1, none);
    await stopAll();
    await open(none);
    await submit('more');
    await close();
    await Promise.all(witnesses.map((witness) => witness.start()));
    await open();
    await until(() => log!.notReady().length === 0);
    const frozen = await log!.freeze();
    await close();
    await stopAll();
    await open();
    expect(log!.checkpoint.split('\n\n')[0]).toBe(frozen.split('\n\n')[0]);
    expect(await value('stele_unconfirmed')).toBe(0);
    await expect(submit('more')).rejects.toMatchObject({ code: 'frozen' });
  });

  it.each<[string, Behaviour | 'clock']>([
    ['another tree', 'another-tree'],
    ['another key', 'another-key'],
    ['a clock that is two days late', 'clock'],
    ['an error', 'error-500'],
    ['sizes at random', 'random-sizes'],
  ])('does not count a witness with %s', async (_, behaviour) => {
    await begun();
    for (const witness of witnesses.slice(0, 2)) {
      if (behaviour === 'clock') witness.clock = -48 * 3600;
      else witness.behaviour = behaviour;
    }
    const before = witnesses.map(({ requests }) => requests);
    await open();
    await until(() => witnesses.slice(0, 2).every(({ requests }, i) => requests > before[i]! + 1));
    await expect(submit('more')).rejects.toMatchObject(unconfirmed);
    expect(signed).toEqual([]);
    expect(log!.notReady()[1]).toMatch(/here: a .*; b /);
    witnesses[0]!.behaviour = 'good';
    witnesses[0]!.clock = 0;
    await until(() => log!.notReady()[0]?.includes('takes no entry') !== true);
  });

  it('waits again where its store fails meanwhile', async () => {
    await begun();
    await stopAll();
    const faults = new Faults();
    await open(undefined, { openStores: async () => faultyStores(await openDirStores(data), faults) });
    faults.failNext('not-persisted');
    await witnesses[0]!.start();
    // Its cosignature is written, and the write fails.
    await until(() => value('stele_store_failures_total'));
    await until(() => log!.notReady()[0]?.includes('takes no entry'));
    await expect(submit('more')).rejects.toMatchObject(unconfirmed);
    await witnesses[1]!.start();
    expect(await until(() => submit('more').catch(() => undefined))).toMatchObject({ index: 1 });
  });
});

describe('a witness that holds more than was published', () => {
  /** A log that was killed between the cosignatures and the publication of its third entry. */
  async function killed(): Promise<void> {
    await begun(2);
    const file = join(data, 'public/checkpoint');
    const before = await readFile(file);
    await open();
    await submit('third');
    await until(() => witnesses.every(({ held }) => held?.checkpoint.size === 3));
    await close();
    await writeFile(file, before);
    for (const witness of witnesses) witness.sizes.length = 0;
  }

  it('counts once the log has fetched its checkpoint, which the committed tree extends', async () => {
    await killed();
    await open();
    await until(() => log!.publishedSize === 3);
    await submit('more');
    // The published checkpoint came first, and nothing was signed before the next publication.
    for (const { sizes } of witnesses) expect(sizes[0]).toBe(2);
    expect(signed).toEqual([3, 4]);
  });

  it('gets the committed tree where it shows its checkpoint to nobody', async () => {
    await killed();
    for (const witness of witnesses) witness.shows = false;
    await open();
    await until(() => log!.publishedSize === 3);
    await submit('more');
    expect(signed).toEqual(expect.arrayContaining([3, 4]));
    for (const { sizes } of witnesses) expect(sizes.slice(0, 2)).toEqual([2, 3]);
  });

  it('does not count by a checkpoint without its own cosignature', async () => {
    await killed();
    for (const witness of witnesses.slice(0, 2)) {
      const { checkpoint, note } = witness.held!;
      witness.held = { checkpoint, note: Buffer.from(own(note.toString())) };
    }
    await witnesses[2]!.stop();
    await open();
    await until(() => log!.publishedSize === 3);
    // The cosignature that it then gave over the committed tree counted.
    for (const witness of witnesses.slice(0, 2)) expect(witness.sizes).toContain(3);
  });

  it('never counts beyond the committed tree: the old copy waits, and stops where that is proven', async () => {
    await begun(1);
    const old = join(dir.path, 'old');
    await cp(data, old, { recursive: true });
    await open();
    await submit('newer');
    await until(() => witnesses.every(({ held }) => held?.checkpoint.size === 2));
    await close();
    data = old;
    // The witnesses show nothing, so the start cannot tell.
    for (const witness of witnesses) witness.shows = false;
    await open();
    await until(() => log!.notReady()[1]?.match(/has a tree of 2 entries, and was sent one of 1/g)?.length === 3);
    await expect(submit('fork')).rejects.toMatchObject(unconfirmed);
    expect(signed).toEqual([]);
    witnesses[2]!.shows = true;
    await until(() => log!.notReady()[0]?.includes('holds a checkpoint of 2 entries'));
    await expect(submit('fork')).rejects.toMatchObject({ code: 'halted' });
    expect(signed).toEqual([]);
  });
});

describe('a log that has published nothing', () => {
  it('takes entries at once where this very start made it, and not at the next start', async () => {
    await stopAll();
    await open(undefined, { isNew: true, limits: { ...LIMITS, publishTimeout: 300 } });
    await expect(submit('one')).rejects.toMatchObject({ code: 'not-published' });
    await close();
    await open();
    await expect(submit('two')).rejects.toMatchObject(unconfirmed);
    await Promise.all(witnesses.map((witness) => witness.start()));
    expect(await until(() => submit('two').catch(() => undefined))).toMatchObject({ index: 1 });
    for (const { sizes } of witnesses) expect(sizes[0] ?? 1).toBe(1);
  });

  it('waits until its witnesses show that they hold nothing', async () => {
    await open(undefined, { isNew: true });
    await close();
    await stopAll();
    await open();
    await expect(submit('one')).rejects.toMatchObject(unconfirmed);
    await witnesses[0]!.start();
    await until(() => log!.notReady()[1]?.endsWith('here: b refuses connections; c refuses connections'));
    await expect(submit('one')).rejects.toMatchObject(unconfirmed);
    await witnesses[1]!.start();
    expect(await until(() => submit('one').catch(() => undefined))).toMatchObject({ index: 0 });
  });

  it('does not begin anew from a copy that was made before its first entry', async () => {
    await open(undefined, { isNew: true });
    await close();
    const old = join(dir.path, 'old');
    await cp(data, old, { recursive: true });
    await begun(1);
    data = old;
    await stopAll();
    await open();
    await witnesses[0]!.start();
    await until(() => log!.notReady()[0]?.includes('holds a checkpoint of 1 entries'));
    await expect(submit('fork')).rejects.toMatchObject({ code: 'halted' });
    expect(signed).toEqual([]);
    // Nor from a directory whose stores are gone.
    await close();
    await rm(old, { recursive: true });
    await expect(open()).rejects.toMatchObject({ code: 'rollback' });
  });

  it('takes the empty tree that an older version published for nothing', async () => {
    const lines = witnesses.map(({ policyLine }) => policyLine).join('');
    await open(`${lines}quorum none\n`, { isNew: true, cosigner: undefined });
    expect(parseCheckpoint(`${log!.checkpoint.split('\n\n')[0]}\n`).size).toBe(0);
    await close();
    await open();
    expect(await until(() => submit('one').catch(() => undefined))).toMatchObject({ index: 0 });
    for (const { sizes } of witnesses) expect(sizes).not.toContain(0);
  });
});

describe('a freeze that a failure cuts off', () => {
  it.each([1, 2, 3, 4])('ends with the quorum on its plain checkpoint: write %d fails', async (n) => {
    await begun();
    const faults = new Faults();
    await open(undefined, { openStores: async () => faultyStores(await openDirStores(data), faults) });
    await until(() => log!.notReady().length === 0);
    faults.failAt(faults.writes.length + n, 'not-persisted');
    const last = await log!.freeze();
    expect(last).toContain('\nLog frozen — ');
    const shown = [log!.checkpoint.split('\n\n')[0], log!.plainCheckpoint];
    expect(parseNote(log!.plainCheckpoint!).signatures.length).toBeGreaterThanOrEqual(3);
    await close();
    await open();
    expect([log!.checkpoint.split('\n\n')[0], log!.plainCheckpoint]).toEqual(shown);
    expect(log!.info.status).toBe('frozen');
  });
});
