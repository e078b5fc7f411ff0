import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseCosignature } from '../../merkle/cosignature.ts';
import { parseVerifierKey } from '../../merkle/note.ts';
import { GuardedLevel } from '../../merkle/runtime/disk/level.ts';
import { parseCosignatures } from '../../merkle/witness.ts';
import { WitnessClock } from '../../witness/clock.ts';
import { layout } from '../../witness/identity.ts';
import { makeWitness, TestLog, tempDir } from './helpers.ts';

const log = new TestLog();
const NOW = Date.parse('2026-11-29T10:00:00Z');
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Two clocks that a test sets. */
function clocksAt(wall: number) {
  const at = { wall, steady: 5000 };
  const pass = (ms: number) => {
    at.wall += ms;
    at.steady += ms;
  };
  return { at, pass, clocks: { wall: () => at.wall, steady: () => at.steady } };
}

async function witnessAt(wall: number, options: { dir?: string; acceptClock?: boolean; flags?: object } = {}) {
  const { dir, acceptClock = false, flags } = options;
  const { clocks, at, pass } = clocksAt(wall);
  const witness = await makeWitness([log], {
    ...(dir !== undefined && { dir }),
    flags: { ...flags } as Record<string, string>,
    open: { clocks, acceptClock },
  });
  const key = parseVerifierKey(witness.verifierKeys[0]!);
  /** The time of the cosignature, as the clocks count. */
  const cosign = async (oldSize: number, size: number) => {
    const { status, body } = await witness.post(log.request(oldSize, size));
    if (status !== 200) return status;
    return parseCosignature(key, parseCosignatures(body)[0]!.signature).timestamp * 1000;
  };
  return { witness, at, pass, cosign };
}

describe('a clock that is set while it runs', () => {
  it('is wrong beyond a minute, ahead or back, and right again when it is back', () => {
    const changes: (string | undefined)[] = [];
    const { at, clocks } = clocksAt(NOW);
    const clock = new WitnessClock(clocks, (wrong) => changes.push(wrong));
    for (const step of [59_000, -59_000, 0]) {
      at.wall = NOW + step;
      expect(clock.wrong()).toBeUndefined();
      expect(clock.now()).toBe((NOW + step) / 1000);
    }
    for (const [step, side] of [
      [61_000, 'ahead by 61 s'],
      [-61_000, 'back by 61 s'],
      [365 * DAY, 'ahead by'],
    ] as const) {
      at.wall = NOW + step;
      expect(clock.wrong()).toContain(side);
      expect(() => clock.now()).toThrow(expect.objectContaining({ code: 'clock' }));
      at.wall = NOW;
      expect(clock.wrong()).toBeUndefined();
    }
    expect(changes.map((wrong) => wrong !== undefined)).toEqual([true, false, true, false, true, false]);
  });

  it('is right where it is slewed by a little, for however long, and wrong where small steps add up at once', () => {
    const { at, pass, clocks } = clocksAt(NOW);
    const clock = new WitnessClock(clocks);
    for (let i = 0; i < 10_000; i++) {
      pass(MINUTE);
      // 300 millionths: 25 s a day, and 3,000 s in the end.
      at.wall += 18;
      expect(clock.wrong()).toBeUndefined();
    }
    for (let i = 0; i < 3; i++) {
      at.wall += 30_000;
      pass(1000);
      if (i < 2) expect(clock.wrong()).toBeUndefined();
    }
    expect(clock.wrong()).toContain('ahead by 90 s');
  });

  it('stays wrong for as long as it is wrong', () => {
    const { at, pass, clocks } = clocksAt(NOW);
    const clock = new WitnessClock(clocks);
    at.wall += 90_000;
    for (let i = 0; i < 1000; i++) {
      pass(HOUR);
      expect(clock.wrong()).toBeDefined();
    }
  });

  it('stops cosigning, and readiness and metrics say so', async () => {
    const { witness, at, pass, cosign } = await witnessAt(NOW);
    expect(await cosign(0, 5)).toBe(NOW);
    const gauge = async (name: string) => {
      const line = (await witness.metrics.registry.metrics()).split('\n').find((text) => text.startsWith(`${name} `));
      return Number(line?.split(' ')[1]);
    };
    expect(await gauge('stele_witness_clock_wrong')).toBe(0);
    at.wall += DAY;
    const refused = await witness.post(log.request(5, 7));
    expect(refused).toMatchObject({ status: 503, retry: '1', body: expect.stringContaining('clock') });
    expect(witness.witness.notReady()).toEqual([expect.stringContaining('set ahead by 86400 s')]);
    expect(await gauge('stele_witness_clock_wrong')).toBe(1);
    expect(await gauge('stele_witness_clock_drift_seconds')).toBe(86_400);
    // Nothing was stored: the old size still holds.
    at.wall -= DAY;
    pass(1000);
    expect(witness.witness.notReady()).toEqual([]);
    expect(await cosign(5, 7)).toBe(NOW + 1000);
    expect(await gauge('stele_witness_newest_cosignature_timestamp_seconds')).toBe((NOW + 1000) / 1000);
  });

  it('never goes back for one log within the minute', async () => {
    const { at, cosign } = await witnessAt(NOW);
    expect(await cosign(0, 5)).toBe(NOW);
    at.wall -= 40_000;
    expect(await cosign(5, 7)).toBe(NOW);
  });
});

describe('the clock of a start', () => {
  /** A directory whose newest cosignature is of `wall`. */
  async function cosignedAt(wall: number): Promise<string> {
    const dir = await tempDir();
    const { witness, cosign } = await witnessAt(wall, { dir });
    expect(await cosign(0, 5)).toBe(wall);
    await witness.close();
    return dir;
  }
  const accepted = async (dir: string) =>
    (await readFile(layout.acceptedClocks(dir), 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));

  it('may be whatever it is where nothing was cosigned', async () => {
    const dir = await tempDir();
    await (await witnessAt(NOW, { dir })).witness.close();
    await (await witnessAt(NOW - 1000 * DAY, { dir })).witness.close();
    expect(await (await witnessAt(NOW, { dir })).cosign(0, 5)).toBe(NOW);
  });

  it('is taken from a minute before the newest cosignature to 90 days after', async () => {
    const dir = await cosignedAt(NOW);
    for (const wall of [NOW - 59_000, NOW + 90 * DAY - MINUTE]) {
      await (await witnessAt(wall, { dir })).witness.close();
    }
    for (const [wall, says] of [
      [NOW - 61_000, 'which is later'],
      [NOW + 90 * DAY + MINUTE, '90 days earlier'],
    ] as const) {
      await expect(witnessAt(wall, { dir })).rejects.toMatchObject({
        code: 'clock',
        message: expect.stringContaining(says),
      });
      await expect(witnessAt(wall, { dir })).rejects.toThrow('--accept-clock');
    }
    // The setting moves the second bound.
    const flags = { 'clock-max-ahead': '8760h' };
    await (await witnessAt(NOW + 364 * DAY, { dir, flags })).witness.close();
  });

  it('is accepted by the operator, recorded, and from then on the one that counts', async () => {
    // A jump ahead that stuck to two cosignatures; only one of the logs grows again.
    const years = NOW + 1000 * DAY;
    const dir = await cosignedAt(years);
    const before = await witnessAt(years + MINUTE, { dir });
    const other = new TestLog('other.test');
    await before.witness.logs.add(other.vkey);
    expect((await before.witness.post(other.request(0, 3))).status).toBe(200);
    await before.witness.close();
    await expect(witnessAt(NOW, { dir })).rejects.toMatchObject({ code: 'clock' });
    const first = await witnessAt(NOW, { dir, acceptClock: true });
    const record = { clock: new Date(NOW).toISOString(), newest: new Date(years + MINUTE).toISOString() };
    expect(await accepted(dir)).toEqual([record]);
    expect(await first.cosign(5, 5)).toBe(NOW);
    expect(await first.cosign(5, 7)).toBe(NOW);
    await first.witness.close();
    // The other log's checkpoint still has the wrong time, which asks for nothing again.
    const second = await witnessAt(NOW + DAY, { dir });
    expect((await second.witness.post(other.request(3, 4))).status).toBe(200);
    expect(second.witness.store.current!.newest).toBe((NOW + DAY) / 1000);
    await second.witness.close();
    await expect(witnessAt(NOW + 92 * DAY, { dir })).rejects.toMatchObject({ code: 'clock' });
    await expect(witnessAt(NOW, { dir })).rejects.toMatchObject({ code: 'clock' });
    // So is a clock that is ahead.
    await (await witnessAt(NOW + 92 * DAY, { dir, acceptClock: true })).witness.close();
    await (await witnessAt(NOW + 92 * DAY, { dir })).witness.close();
    expect(await accepted(dir)).toHaveLength(2);
  });

  it('is not recorded where nothing speaks against it', async () => {
    const dir = await cosignedAt(NOW);
    await (await witnessAt(NOW + HOUR, { dir, acceptClock: true })).witness.close();
    await expect(accepted(dir)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('is compared with the checkpoints of a store that an older version wrote', async () => {
    const dir = await cosignedAt(NOW);
    const level = await GuardedLevel.open(join(dir, 'store'));
    await level.write((batch) => batch.del(Buffer.from('t')));
    await level.close();
    await expect(witnessAt(NOW - HOUR, { dir })).rejects.toMatchObject({ code: 'clock' });
    const { witness } = await witnessAt(NOW + HOUR, { dir });
    expect(witness.store.current!.newest).toBe(NOW / 1000);
  });
});
