/** The clock of a real process is set (libfaketime); its time since the machine's start is not. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseCosignature } from '../../merkle/cosignature.ts';
import { parseVerifierKey } from '../../merkle/note.ts';
import { parseCosignatures } from '../../merkle/witness.ts';
import { fakeClock, noFaketime } from '../support/faketime.ts';
import { skips } from '../support/skip.ts';
import { startWitness, type WitnessProcess } from '../support/witness-process.ts';
import { later, TestLog, tempDir } from './helpers.ts';

const log = new TestLog();
const HOUR_S = 3600;

async function start(dir: string, env: NodeJS.ProcessEnv, args: readonly string[] = []): Promise<WitnessProcess> {
  const witness = await startWitness(join(dir, 'data'), 'witness.test/w', [log.vkey], 0, args, env);
  later(() => witness.kill());
  return witness;
}

/** Seconds from now to the time of the cosignature; the status where there is none. */
async function cosign(witness: WitnessProcess, oldSize: number, size: number): Promise<number> {
  const body = Buffer.from(log.request(oldSize, size));
  const reply = await fetch(`${witness.url}/add-checkpoint`, { method: 'POST', body });
  if (reply.status !== 200) return reply.status;
  const key = parseVerifierKey(witness.verifierKeys[0]!);
  const { timestamp } = parseCosignature(key, parseCosignatures(await reply.text())[0]!.signature);
  return timestamp - Date.now() / 1000;
}

const near = (seconds: number) => (value: number) => Math.abs(value - seconds) < 60;

describe.skipIf(skips('a witness whose clock is set', noFaketime))('a witness whose clock is set', () => {
  it('cosigns nothing while the clock is wrong, says so everywhere, and goes on when the clock is back', async () => {
    const dir = await tempDir();
    const clock = await fakeClock(join(dir, 'faketime'));
    const witness = await start(dir, clock.env);
    expect(await cosign(witness, 0, 5)).toSatisfy(near(0));
    for (const jump of ['+2h', '-2h']) {
      await clock.set(jump);
      expect(await cosign(witness, 5, 7)).toBe(503);
      const ready = await fetch(`${witness.adminUrl}/readyz`);
      expect(ready.status).toBe(503);
      expect(((await ready.json()) as { reasons: string[] }).reasons.join()).toContain(
        'the clock of this machine was set',
      );
      expect(await (await fetch(`${witness.adminUrl}/metrics`)).text()).toMatch(/^stele_witness_clock_wrong 1$/m);
      await expect.poll(() => witness.log()).toContain(`was set ${jump.startsWith('+') ? 'ahead' : 'back'} by`);
      await clock.set('+0');
      expect((await fetch(`${witness.adminUrl}/readyz`)).status).toBe(200);
    }
    expect(await cosign(witness, 5, 7)).toSatisfy(near(0));
    expect(await witness.stop()).toBe(0);
  });

  it('does not start with a clock that cannot be right, and starts with --accept-clock', async () => {
    const dir = await tempDir();
    const ahead = await fakeClock(join(dir, 'ahead'), '+100d');
    const right = await fakeClock(join(dir, 'right'));
    const first = await start(dir, ahead.env);
    expect(await cosign(first, 0, 5)).toSatisfy(near(100 * 24 * HOUR_S));
    expect(await first.stop()).toBe(0);
    // Back at the right time, the newest cosignature is of the future.
    await expect(start(dir, right.env)).rejects.toThrow(/ended with 2 .*which is later.*--accept-clock/s);
    const accepted = await start(dir, right.env, ['--accept-clock']);
    expect(await cosign(accepted, 5, 7)).toSatisfy(near(0));
    expect(await accepted.stop()).toBe(0);
    const [record] = (await readFile(join(dir, 'data', 'accepted-clocks'), 'utf8')).trimEnd().split('\n');
    const { clock, newest } = JSON.parse(record!) as Record<string, string>;
    expect((Date.parse(newest!) - Date.parse(clock!)) / 1000).toSatisfy(near(100 * 24 * HOUR_S));
    // Accepted once, not for ever.
    await expect(start(dir, ahead.env)).rejects.toThrow(/ended with 2 .*90 days/s);
    expect(await cosign(await start(dir, right.env), 7, 9)).toSatisfy(near(0));
  });
});
