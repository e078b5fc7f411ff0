/**
 * A log with its witnesses, over HTTP. The file is long because each test needs the same log, witnesses and clocks, whose
 * making takes its first hundred lines.
 */
import { generateKeyPairSync, sign } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { formatCheckpoint, parseCheckpoint } from '../../../merkle/checkpoint.ts';
import { checkpointVerifier } from '../../../merkle/cosignature.ts';
import { formatNote, openNote, parseNote } from '../../../merkle/note.ts';
import { parsePolicy } from '../../../merkle/policy.ts';
import { nodeNotePrimitives } from '../../../merkle/runtime/crypto/verify.ts';
import { Cosigner } from '../../../server/cosign/cosign.ts';
import { witnessMetrics } from '../../../server/cosign/witness-metrics.ts';
import { RequestError } from '../../../server/errors.ts';
import type { Log } from '../../../server/log/log.ts';
import type { CheckpointSigner } from '../../../server/log/sign.ts';
import type { LogOptions } from '../../../server/log/types.ts';
import { Metrics } from '../../../server/metrics.ts';
import type { LoggedEntry } from '../../../server/types.ts';
import { bodyOf, makeSigner, ORIGIN, openTestLog, tempDir } from '../../support/log.ts';
import { gate, turns, until as waitUntil } from '../../support/until.ts';
import { type Behaviour, policyOf, TestWitness } from '../../support/witness.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let log: Log | undefined;
let signer: CheckpointSigner;
let metrics: Metrics;
let logged: { level: string; fields: Record<string, unknown>; message: string }[];
let witnesses: TestWitness[];

beforeEach(async () => {
  dir = await tempDir();
  log = undefined;
  signer = await makeSigner(dir.path);
  metrics = new Metrics({ process: false });
  logged = [];
  witnesses = await Promise.all(['a', 'b', 'c'].map((name) => new TestWitness(name, signer.keys[0]!).start()));
});

afterEach(async () => {
  await log?.close();
  await Promise.all(witnesses.map((witness) => witness.stop()));
  await dir.remove();
});

/** No witness that answers takes so long, however busy the machine is. */
const TIMES = { timeoutMs: 20_000, refreshMs: 600_000, clockSkewMs: 24 * 3_600_000, failOpen: false };
/** For witnesses that do not answer. */
const IMPATIENT = { timeoutMs: 300 };
const LIMITS = { outstanding: 1000, unpublished: 1000, publishTimeout: 20_000, maxCheckpointDelay: 60_000 };
/** For a quorum that is away. */
const SOON = { limits: { ...LIMITS, publishTimeout: 700 } };

function cosigner(policy: string, settings: Partial<typeof TIMES> = {}): Cosigner {
  metrics = new Metrics({ process: false });
  return new Cosigner({
    policy: parsePolicy(policy),
    origin: ORIGIN,
    keys: signer.keys,
    settings: { ...TIMES, ...settings },
    metrics: witnessMetrics(metrics),
    logger: logger(),
  });
}

function logger() {
  const at = (level: string) => (fields: object, message: string) => {
    logged.push({ level, fields: fields as Record<string, unknown>, message });
  };
  return { info: at('info'), warn: at('warn'), error: at('error') };
}

async function open(
  policy = policyOf(witnesses, 2),
  settings: Partial<typeof TIMES> = {},
  changes: Partial<LogOptions> = {},
) {
  // A log closes its signer and its metrics end with it.
  signer = await makeSigner(dir.path);
  const asked = cosigner(policy, settings);
  log = await openTestLog(dir.path, {
    signer,
    metrics,
    limits: LIMITS,
    logger: logger(),
    cosigner: asked,
    ...changes,
  });
  return log;
}

async function submit(name: string): Promise<LoggedEntry> {
  const [outcome] = await log!.submit(bodyOf(name), 'json');
  if ('error' in outcome!) throw outcome.error;
  return outcome!.entry;
}

/** Names of the witnesses whose cosignatures stand in the note, all of them verified. */
function cosigners(note: string, further: readonly TestWitness[] = []): string[] {
  const { verified } = openNote(parseNote(note), [
    checkpointVerifier(signer.keys[0]!, nodeNotePrimitives),
    ...[...witnesses, ...further].map(({ key }) => checkpointVerifier(key, nodeNotePrimitives)),
  ]);
  return verified.map(({ name }) => name.replace('.test', '')).filter((name) => name !== ORIGIN.replace('.test', ''));
}

const sizeOf = (note: string) => parseCheckpoint(`${note.split('\n\n')[0]}\n`).size;
const value = async (name: string) => {
  const lines = (await metrics.registry.metrics()).split('\n').filter((line) => line.startsWith(name));
  return lines.map((line) => Number(line.slice(line.lastIndexOf(' ')))).reduce((a, b) => a + b, 0);
};

const until = <T>(what: () => T | Promise<T>) => waitUntil(what, () => JSON.stringify(logged));

/** Holds the answers of a witness until `go`; whether one is held. */
function hold(witness: TestWitness): { held: () => boolean; go: () => void } {
  const { opened, open: go } = gate();
  const before = witness.requests;
  witness.before = opened;
  return { held: () => witness.requests > before, go };
}

describe('a log with witnesses', () => {
  it('publishes with the quorum, and adds the cosignature that comes late', async () => {
    const { held, go } = hold(witnesses[2]!);
    await open();
    const { proof } = await submit('one');
    expect(cosigners(proof.checkpoint)).toEqual(['a', 'b']);
    await until(held);
    go();
    await until(() => cosigners(log!.checkpoint).length === 3);
    expect(sizeOf(log!.checkpoint)).toBe(1);
    // Durable first: it is what a restart finds.
    const shown = log!.checkpoint;
    await log!.close();
    await open();
    expect(log!.checkpoint).toBe(shown);
  });

  it('takes entries before its first checkpoint is public, within its limits, and starts again', async () => {
    for (const witness of witnesses) witness.behaviour = 'error-500';
    const few = { limits: { ...SOON.limits, unpublished: 2 } };
    await open(undefined, {}, { ...few, isNew: true });
    for (const [index, name] of ['a', 'b'].entries()) {
      await expect(submit(name)).rejects.toMatchObject({ code: 'not-published', data: { index } });
    }
    await expect(submit('c')).rejects.toMatchObject({ code: 'pushback' });
    await log!.close();
    for (const witness of witnesses) witness.behaviour = 'good';
    await open(undefined, {}, few);
    expect(await until(() => submit('c').catch(() => undefined))).toMatchObject({ index: 2 });
  });

  it('neither publishes the empty tree nor shows it to a witness', async () => {
    await open(policyOf(witnesses, 2), { refreshMs: 50 });
    expect(() => log!.checkpoint).toThrow(expect.objectContaining({ code: 'no-checkpoint' }));
    expect(await log!.tile(0, 0, 1)).toBeUndefined();
    expect(await log!.entry(0)).toBeUndefined();
    expect(await log!.consistencyProof(0, 0)).toEqual([]);
    await expect(log!.consistencyProof(0, 1)).rejects.toMatchObject({ code: 'invalid-argument' });
    expect(log!.notReady()).toEqual([]);
    await submit('one');
    for (const { sizes } of witnesses) expect(sizes).not.toContain(0);
  });

  it('names a witness that holds the empty tree and takes no other, with the remedy', async () => {
    witnesses[0]!.behaviour = 'stuck';
    await open();
    await submit('one');
    const remedy =
      /^the witness a refuses each tree that follows the empty tree .* must stop it, empty the stored checkpoint/;
    await until(() => log!.alarms().length > 0);
    expect(log!.alarms()).toEqual([expect.stringMatching(remedy)]);
    expect(log!.notReady()).toEqual([]);
    expect(await value('stele_witness_failures_total{witness="a",reason="stuck"}')).toBeGreaterThan(0);
    witnesses[0]!.behaviour = 'good';
    await until(() => cosigners(log!.checkpoint).length === 3);
    expect(log!.alarms()).toEqual([]);
  });

  it('waits for all of them where the policy says so, nested', async () => {
    const lines = witnesses.map(({ policyLine }) => policyLine).join('');
    await open(`${lines}group ab all a b\ngroup top all ab c\nquorum top\n`);
    await submit('one');
    const { held, go } = hold(witnesses[1]!);
    const second = submit('two');
    await until(held);
    await until(() => [witnesses[0]!, witnesses[2]!].every((witness) => witness.held?.checkpoint.size === 2));
    await turns();
    expect(log!.publishedSize).toBe(1);
    go();
    expect(cosigners((await second).proof.checkpoint)).toEqual(['a', 'b', 'c']);
  });

  it('asks in the background where the quorum is none', async () => {
    witnesses[0]!.behaviour = 'hang';
    await open(`${witnesses[0]!.policyLine}${witnesses[1]!.policyLine}quorum none\n`);
    await submit('one');
    await until(() => cosigners(log!.checkpoint).join() === 'b');
  });

  describe('with a URL that two lines share', () => {
    /** The line of a further witness at the URL of the first one. */
    async function sharing(): Promise<{ other: TestWitness; lines: string }> {
      const other = await new TestWitness('d', signer.keys[0]!).start();
      const line = other.policyLine.replace(other.url, `${witnesses[0]!.url}/`);
      await other.stop();
      return { other, lines: `${witnesses[0]!.policyLine}${line}` };
    }

    it('asks it once, and takes what both keys sign', async () => {
      const { other, lines } = await sharing();
      witnesses[0]!.sharedBy.push(other);
      await open(`${lines}group both all a d\nquorum both\n`);
      const before = witnesses[0]!.requests;
      expect(cosigners((await submit('one')).proof.checkpoint, [other])).toEqual(['a', 'd']);
      expect(witnesses[0]!.requests - before).toBe(1);
    });

    it('reports that one of the keys did not sign', async () => {
      const { lines } = await sharing();
      await open(`${lines}quorum a\n`);
      await submit('one');
      await until(() => logged.some(({ message }) => message.includes('did not sign with each of its keys')));
    });
  });

  it.each<Behaviour>(['hang', 'garbage', 'another-tree', 'another-key', 'random-sizes', 'error-500', 'larger'])(
    'is not held up by a witness that misbehaves: %s',
    async (behaviour) => {
      witnesses[0]!.behaviour = behaviour;
      if (behaviour === 'hang') {
        // Nobody waits for it: it never answers, and entries are published all the same.
        await open();
        for (let i = 0; i < 5; i++) expect(cosigners((await submit(`h${i}`)).proof.checkpoint)).toEqual(['b', 'c']);
        await log!.close();
      }
      await open(policyOf(witnesses, 2), behaviour === 'hang' ? IMPATIENT : {});
      for (let i = 0; i < 5; i++) expect(cosigners((await submit(`e${i}`)).proof.checkpoint)).toEqual(['b', 'c']);
      await until(() => value('stele_witness_failures_total{witness="a"'));
      expect(log!.notReady()).toEqual([]);
      // It is asked again after a pause, not all the time.
      expect(witnesses[0]!.requests).toBeLessThan(15);
      if (behaviour === 'larger') {
        expect(await value('stele_witness_alarms_total')).toBeGreaterThan(0);
        expect(logged.some(({ level, message }) => level === 'error' && message.includes('names a larger tree'))).toBe(
          true,
        );
      }
      witnesses[0]!.behaviour = 'good';
      await until(() => cosigners(log!.checkpoint).length === 3);
      expect(logged.some(({ level, message }) => level === 'info' && message === 'the witness cosigns again')).toBe(
        true,
      );
    },
  );

  it.each([-3600, 3600])('asks a witness whose clock is wrong by %d s no more often, and no less', async (clock) => {
    witnesses[0]!.clock = clock;
    await open(policyOf(witnesses, 2), { refreshMs: 300 });
    await submit('one');
    await until(() => cosigners(log!.checkpoint).length === 3);
    const before = witnesses[0]!.requests;
    const began = performance.now();
    await until(() => witnesses[0]!.requests - before >= 3);
    const rounds = (performance.now() - began) / 300;
    expect(witnesses[0]!.requests - before).toBeLessThan(3 + rounds);
  });

  const HOUR = 3600;
  it.each([
    [-25, 'behind'],
    [25, 'ahead of'],
    // 2^53 - 1 s: beyond what a Date holds.
    [9_007_199_254_740_991 / HOUR, 'ahead of'],
  ])(
    'neither counts nor publishes a cosignature whose time is %d h from the clock, and names the witness',
    async (hours, side) => {
      const [a] = witnesses as [TestWitness];
      a.clock = hours > 100 ? 9_007_199_254_740_991 - Math.floor(Date.now() / 1000) - 60 : hours * HOUR;
      await open(policyOf(witnesses, 2));
      await submit('one');
      await until(() => cosigners(log!.checkpoint).length === 2);
      const [alarm] = (await until(() => (log!.alarms().length > 0 ? log!.alarms() : undefined))) as string[];
      expect(alarm).toMatch(/^the witness a cosigned with the time /);
      expect(alarm).toContain(`${side} this log's clock; 86400 s are allowed (publish.witnessClockSkew)`);
      expect(cosigners(log!.checkpoint)).toEqual(['b', 'c']);
      // The others suffice, so the log is ready.
      expect(log!.notReady()).toEqual([]);
      expect(await value('stele_witness_failures_total{witness="a",reason="wrong-clock"}')).toBeGreaterThan(0);
      expect(logged.some(({ level, message }) => level === 'warn' && message.includes(`${side} this log`))).toBe(true);
      a.clock = 0;
      await until(() => cosigners(log!.checkpoint).length === 3);
      await until(() => log!.alarms().length === 0);
    },
  );

  it.each([-23, 23])('takes a cosignature whose time is %d h from the clock', async (hours) => {
    witnesses[0]!.clock = hours * HOUR;
    await open(policyOf(witnesses, 3));
    await submit('one');
    expect(cosigners(log!.checkpoint)).toEqual(['a', 'b', 'c']);
    expect(log!.alarms()).toEqual([]);
  });

  it('takes the difference that the settings allow', async () => {
    witnesses[0]!.clock = -HOUR;
    await open(policyOf(witnesses, 2), { clockSkewMs: 60_000 });
    await submit('one');
    await until(() => log!.alarms().length > 0);
    expect(cosigners(log!.checkpoint)).toEqual(['b', 'c']);
  });

  it('publishes nothing where the quorum needs a witness whose clock is wrong, and names it', async () => {
    await open(policyOf(witnesses, 3));
    await submit('one');
    await log!.close();
    witnesses[1]!.clock = 48 * HOUR;
    await open(policyOf(witnesses, 3), {}, SOON);
    await expect(submit('two')).rejects.toMatchObject({ code: 'not-published' });
    const [reason] = (await until(() => (log!.notReady().length > 0 ? log!.notReady() : undefined))) as string[];
    expect(reason).toMatch(/^the quorum of the witnesses cannot be reached: b cosigned with the time .* 48 h ahead of/);
    expect(sizeOf(log!.checkpoint)).toBe(1);
    witnesses[1]!.clock = 0;
    await until(() => submit('two').catch(() => undefined));
    await until(() => log!.notReady().length === 0);
  });

  it('publishes no cosignature any more that was not made again in that time', async () => {
    await open(policyOf(witnesses, 2), { refreshMs: 500, clockSkewMs: 4000 });
    await submit('one');
    await until(() => cosigners(log!.checkpoint).length === 3);
    await witnesses[2]!.stop();
    await until(() => cosigners(log!.checkpoint).join() === 'a,b');
    await witnesses[2]!.start();
    await until(() => cosigners(log!.checkpoint).length === 3);
  });

  it('keeps the public checkpoint of another day until new cosignatures suffice', async () => {
    for (const witness of witnesses) witness.clock = -48 * HOUR;
    await open(policyOf(witnesses, 2), { clockSkewMs: 100 * 24 * HOUR * 1000 });
    await submit('one');
    await until(() => cosigners(log!.checkpoint).length === 3);
    const shown = log!.checkpoint;
    await log!.close();
    const [a, b, c] = witnesses as [TestWitness, TestWitness, TestWitness];
    a.clock = 0;
    const before = b.requests;
    await open(policyOf(witnesses, 2));
    await until(() => log!.alarms().length === 2 && b.requests > before + 1);
    expect(log!.checkpoint).toBe(shown);
    b.clock = 0;
    await until(() => log!.checkpoint !== shown);
    expect(cosigners(log!.checkpoint)).toEqual(['a', 'b']);
    c.clock = 0;
    await until(() => cosigners(log!.checkpoint).length === 3);
  });

  it('learns the size of a witness that is behind, or that it knew nothing of', async () => {
    await open();
    for (let i = 0; i < 3; i++) await submit(`e${i}`);
    await witnesses[2]!.stop();
    for (let i = 3; i < 300; i += 99) await Promise.all(Array.from({ length: 99 }, (_, j) => submit(`e${i + j}`)));
    await witnesses[2]!.start();
    await until(() => cosigners(log!.checkpoint).length === 3);
    expect(witnesses[2]!.held!.checkpoint.size).toBe(300);
    expect(await value('stele_witness_size_entries{witness="c"}')).toBe(300);
  });

  it('publishes nothing without the quorum, says why, and goes on when it returns', async () => {
    await open(policyOf(witnesses, 2), IMPATIENT, SOON);
    await until(() => submit('one').catch(() => undefined));
    const shown = log!.checkpoint;
    await witnesses[0]!.stop();
    witnesses[1]!.behaviour = 'hang';
    const refused = await submit('two').catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(RequestError);
    expect(refused).toMatchObject({ code: 'not-published', data: { index: 1 } });
    const missing = 'a refuses connections; b did not answer in 0.3 s';
    expect((refused as RequestError).message).toBe(
      `sequenced at index 1, not yet published: the quorum of the witnesses cannot be reached: ${missing}; retry`,
    );
    expect(sizeOf(log!.checkpoint)).toBe(1);
    const [reason] = (await until(() => (log!.notReady().length > 0 ? log!.notReady() : undefined))) as string[];
    expect(reason).toBe(
      'the quorum of the witnesses cannot be reached: a refuses connections; b did not answer in 0.3 s',
    );
    // The witness that is there has seen the new tree; the public one does not show it.
    expect(shown.split('\n\n')[0]).toBe(log!.checkpoint.split('\n\n')[0]);
    await witnesses[0]!.start();
    const again = await until(() => submit('two').catch(() => undefined));
    expect(again).toMatchObject({ index: 1, duplicate: true });
    expect(cosigners(again!.proof.checkpoint)).toEqual(expect.arrayContaining(['a', 'c']));
    await until(() => log!.notReady().length === 0);
  });

  it('starts while the quorum is away, serves what was public, and publishes what waited', async () => {
    await open();
    await submit('one');
    await log!.close();
    await Promise.all([witnesses[0]!.stop(), witnesses[1]!.stop()]);
    await open(policyOf(witnesses, 2), {}, SOON);
    expect(log!.publishedSize).toBe(1);
    // Until then it takes nothing new: the directory could be an old copy (confirmation.test.ts).
    await expect(submit('two')).rejects.toMatchObject({ code: 'unconfirmed' });
    await Promise.all([witnesses[0]!.start(), witnesses[1]!.start()]);
    expect(await until(() => submit('two').catch(() => undefined))).toMatchObject({ index: 1 });
    await witnesses[0]!.stop();
    await witnesses[1]!.stop();
    await expect(submit('three')).rejects.toMatchObject({ code: 'not-published' });
    await log!.close();
    await open();
    expect(log!.publishedSize).toBe(2);
    await Promise.all([witnesses[0]!.start(), witnesses[1]!.start()]);
    await until(() => log!.publishedSize === 3);
  });

  it('begins as a new log without its witnesses, and shows its first checkpoint when they come', async () => {
    await Promise.all(witnesses.map((witness) => witness.stop()));
    await open(undefined, {}, { isNew: true });
    expect(() => log!.checkpoint).toThrow(RequestError);
    await Promise.all(witnesses.map((witness) => witness.start()));
    await until(() => submit('one').catch(() => undefined));
    expect(log!.publishedSize).toBe(1);
  });

  it('publishes without the quorum where failOpen is set, and says so each time', async () => {
    await Promise.all([witnesses[0]!.stop(), witnesses[1]!.stop()]);
    await open(policyOf(witnesses, 2), { failOpen: true }, { isNew: true });
    expect(cosigners((await submit('one')).proof.checkpoint).length).toBeLessThan(2);
    expect(await value('stele_published_without_quorum_total')).toBeGreaterThanOrEqual(1);
    expect(logged.some(({ message }) => message.includes('publish.failOpen'))).toBe(true);
    await witnesses[0]!.start();
    await until(() => cosigners(log!.checkpoint).join() === 'a,c');
  });

  it('has a quiet log cosigned again', async () => {
    await open(policyOf(witnesses, 2), { refreshMs: 1000 });
    await submit('one');
    await until(() => cosigners(log!.checkpoint).length === 3);
    const shown = log!.checkpoint;
    await until(() => log!.checkpoint !== shown && cosigners(log!.checkpoint).length === 3);
    expect(sizeOf(log!.checkpoint)).toBe(1);
  });

  it('freezes once the plain checkpoint has the quorum, and waits for that', async () => {
    await open();
    await submit('one');
    await Promise.all([witnesses[0]!.stop(), witnesses[1]!.stop()]);
    const late = submit('two').catch((error: unknown) => error);
    await until(() => witnesses[2]!.held!.checkpoint.size === 2);
    const frozen = log!.freeze();
    let done = false;
    frozen.finally(() => {
      done = true;
    });
    await turns();
    expect(done).toBe(false);
    expect(Buffer.from(witnesses[2]!.held!.note).includes('\nLog frozen — ')).toBe(false);
    await witnesses[0]!.start();
    const last = await frozen;
    expect(await late).toMatchObject({ index: 1 });
    expect(last).toContain('\nLog frozen — ');
    expect(cosigners(last)).toEqual(['a', 'c']);
    expect(cosigners(log!.plainCheckpoint!)).toEqual(['a', 'c']);
    expect(log!.plainCheckpoint!.split('\n\n')[0]!.split('\n')).toEqual(last.split('\n').slice(0, 3));
    // Proofs lead to the one that has the quorum.
    expect((await log!.entry(0))!.proof.checkpoint).toBe(log!.plainCheckpoint);
    await witnesses[1]!.start();
    await until(() => cosigners(log!.checkpoint).length === 3);
    const shown = [log!.checkpoint, log!.plainCheckpoint];
    await log!.close();
    await open();
    expect([log!.checkpoint, log!.plainCheckpoint]).toEqual(shown);
    expect(log!.notReady()).toEqual([]);
  });

  it.each(['strict', 'three-lines'] as const)(
    'freezes with witnesses that take no further line: %s',
    async (behaviour) => {
      for (const witness of witnesses) witness.behaviour = behaviour;
      await open();
      await submit('one');
      const last = await log!.freeze();
      expect(cosigners(last)).toEqual([]);
      expect(cosigners(log!.plainCheckpoint!).length).toBeGreaterThanOrEqual(2);
      expect(log!.notReady()).toEqual([]);
      expect(log!.checkpoint).toBe(last);
      // They are not asked again and again.
      if (behaviour === 'strict') for (const { refused } of witnesses) expect(refused).toBe(1);
    },
  );

  it('keeps the pace that it is told', async () => {
    await open(policyOf(witnesses, 2), {}, { minPublishIntervalMs: 250 });
    const started = performance.now();
    for (const name of ['one', 'two', 'three']) await submit(name);
    expect(performance.now() - started).toBeGreaterThan(400);
  });

  it('closes at once while it waits for the quorum', async () => {
    await open();
    await Promise.all(witnesses.map((witness) => witness.stop()));
    const waiting = submit('one').catch((error: unknown) => error);
    await until(() => log!.notReady().length > 0);
    await log!.close();
    expect(await waiting).toMatchObject({ code: 'draining' });
  });
});

describe('a log whose witnesses know another history of it', () => {
  it('does not start from an old copy of its directory', async () => {
    await open();
    await submit('one');
    await until(() => witnesses.every(({ held }) => held?.checkpoint.size === 1));
    await log!.close();
    const old = await tempDir();
    try {
      // A directory without the entry, and the same key.
      await expect(openTestLog(old.path, { signer, cosigner: cosigner(policyOf(witnesses, 2)) })).rejects.toMatchObject(
        {
          code: 'rollback',
          message: expect.stringContaining('holds a checkpoint of 1 entries'),
        },
      );
    } finally {
      await old.remove();
    }
  });

  it('goes on whatever a witness shows that this log has not signed', async () => {
    await open();
    await submit('one');
    const root = new Uint8Array(32).fill(7);
    const text = formatCheckpoint({ origin: ORIGIN, size: 5, root, extensions: [] });
    const [genuine] = parseNote(log!.checkpoint).signatures;
    const { privateKey } = generateKeyPairSync('ed25519');
    const stranger = { ...genuine!, signature: sign(null, Buffer.from(text), privateKey) };
    const notes = {
      'the signature of another checkpoint': formatNote(text, [genuine!]),
      'a signature of another key under the name and ID of the log': formatNote(text, [stranger]),
      'no signature of the log': formatNote(text, [{ ...stranger, keyId: new Uint8Array(4) }]),
      'no note': text,
    };
    witnesses[0]!.behaviour = 'larger';
    for (const [what, note] of Object.entries(notes)) {
      const shown = witnesses[0]!.shown;
      witnesses[0]!.held = { checkpoint: parseCheckpoint(text), note: Buffer.from(note) };
      await submit(what);
      await until(() => witnesses[0]!.shown > shown);
    }
    // Nor does it keep the log from starting.
    await log!.close();
    await open();
    await submit('more');
    expect(log!.notReady()).toEqual([]);
  });

  it('takes a damaged tile for what it is, and not for two histories', async () => {
    await open();
    const many = (first: number, last: number) =>
      Promise.all(Array.from({ length: last - first }, (_, i) => submit(`e${first + i}`)));
    await many(0, 200);
    await until(() => witnesses[2]!.held?.checkpoint.size === 200);
    await witnesses[2]!.stop();
    await many(200, 300);
    await many(300, 800);
    await log!.close();
    await open();
    const tile = join(dir.path, 'public/tile/0/000');
    const bytes = await readFile(tile);
    bytes[40]! ^= 1;
    await writeFile(tile, bytes);
    await witnesses[2]!.start();
    // The proof for the witness is made from the bundle.
    await until(() => (witnesses[2]!.held?.checkpoint.size ?? 0) >= 800);
    expect(witnesses[2]!.inconsistent).toBe(0);
    expect(log!.notReady()).toEqual([expect.stringContaining('tile/0/000')]);
    await submit('more');
    // Nor does a start take it for a second history.
    await log!.close();
    // It goes on with the bundle, and names the tile.
    await open();
    await submit('still more');
    expect(log!.notReady()).toEqual([expect.stringContaining('tile/0/000')]);
  });

  it('stops when two logs sign with one key: the witnesses refuse the second, which says so', async () => {
    const other = await tempDir();
    let conflict: { error: Error; evidence: string } | undefined;
    await open();
    const twin = await openTestLog(other.path, {
      signer: await makeSigner(dir.path),
      metrics: new Metrics({ process: false }),
      logger: logger(),
      limits: { outstanding: 100, unpublished: 100, publishTimeout: 700, maxCheckpointDelay: 1000 },
      cosigner: new Cosigner({
        policy: parsePolicy(policyOf(witnesses, 2)),
        origin: ORIGIN,
        keys: signer.keys,
        settings: TIMES,
        metrics: witnessMetrics(new Metrics({ process: false })),
        logger: logger(),
      }),
      onConflict: async (error, evidence) => {
        conflict = { error, evidence };
      },
    });
    try {
      await submit('one');
      const shown = await until(() => cosigners(log!.checkpoint).length === 3 && log!.checkpoint);
      const [outcome] = await twin.submit(bodyOf('another'), 'json');
      expect((outcome as { error: RequestError }).error).toMatchObject({
        code: expect.stringMatching(/halted|not-published/),
      });
      await until(() => conflict);
      expect(witnesses.reduce((sum, { inconsistent }) => sum + inconsistent, 0)).toBeGreaterThan(0);
      expect(conflict!.error).toMatchObject({ code: 'rollback', message: expect.stringContaining('another root') });
      expect(conflict!.evidence.split('\n\n')[0]).toBe((shown as string).split('\n\n')[0]);
      expect(twin.notReady().join()).toContain('two histories were signed');
      expect(twin.publishedSize).toBe(0);
      await expect(twin.submit(bodyOf('more'), 'json')).rejects.toMatchObject({ code: 'halted' });
      // The first one goes on.
      await submit('three');
    } finally {
      await twin.close();
      await other.remove();
    }
  });
});
