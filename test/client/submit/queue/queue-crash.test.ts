/** A queue whose process is killed, or finds no room. Runs what `npm run build` made. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseBundle } from '../../../../client/formats/bundle.ts';
import { flushQueue } from '../../../../client/submit/queue/queue-flush.ts';
import { newItem } from '../../../../client/submit/queue/queue-item.ts';
import { queueStatus } from '../../../../client/submit/queue/queue-status.ts';
import { SubmissionQueue } from '../../../../client/submit/queue/queue-store.ts';
import { fromDigest, keyVerifier } from '../../../../client/submit/submission.ts';
import { tempDir } from '../../../support/log.ts';
import { sharedSigner } from '../../../support/requests.ts';
import { lacking, skips } from '../../../support/skip.ts';
import { type FaultyLog, faultyLog } from '../faulty-log.ts';

const CHILD = fileURLToPath(new URL('./queue-child.mjs', import.meta.url));
const signer = sharedSigner();

let dir: string;
let remove: () => Promise<void>;
let log: FaultyLog;
let queue: string;

beforeEach(async () => {
  ({ path: dir, remove } = await tempDir());
  queue = join(dir, 'queue');
  log = await faultyLog();
});
afterEach(async () => {
  await log.close();
  await remove();
});

async function addOne(): Promise<{ store: SubmissionQueue; out: string }> {
  const store = await SubmissionQueue.open(queue, true);
  const artifact = Buffer.from('a');
  const submission = fromDigest(signer.digest(artifact), signer.sign(artifact), keyVerifier(signer.spki));
  const out = join(dir, 'a.json');
  await store.add(newItem(submission, { log: log.url, logKey: log.vkey, out }, undefined));
  return { store, out };
}

function child(...args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [CHILD, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
}

/** Whatever came before: one more flush, and the entry is in the log once and its proof at its place. */
async function ends(store: SubmissionQueue, out: string): Promise<void> {
  const { results, damaged } = await flushQueue(store, { deadline: 5000 });
  expect(results.filter(({ state }) => state !== 'done')).toEqual([]);
  expect(damaged).toEqual([]);
  expect(log.log.publishedSize).toBe(1);
  expect(parseBundle(readFileSync(out)).entries[0]!.index).toBe(0);
  expect(await queueStatus(store)).toMatchObject({ pending: [], refused: [], damaged: [], done: [{ out, index: 0 }] });
  expect((await flushQueue(store)).results).toEqual([]);
}

describe('a flush that is killed', () => {
  const steps = ['request', 'update', 'deliver', 'record', 'remove'];
  it.each(steps.flatMap((step) => [[step, 'before'] as const, [step, 'after'] as const]))(
    'at the step "%s", %s it, loses nothing and logs nothing twice',
    async (step, when) => {
      const { store, out } = await addOne();
      const [, signal] = await once(child('flush', queue, step, when), 'close');
      expect(signal).toBe('SIGKILL');
      expect(log.posts()).toHaveLength(step === 'request' && when === 'before' ? 0 : 1);
      await ends(store, out);
    },
  );

  it('when the log has taken the entry and not answered yet, does so neither', async () => {
    const { store, out } = await addOne();
    let victim: ChildProcess | undefined;
    log.faults.push(async (_request, _reply, pass) => {
      await pass();
      victim?.kill('SIGKILL');
    });
    victim = child('flush', queue, 'none', 'before');
    expect((await once(victim, 'close'))[1]).toBe('SIGKILL');
    expect(log.log.publishedSize).toBe(1);
    expect(existsSync(out)).toBe(false);
    await ends(store, out);
  });
});

describe('entries that are queued', () => {
  const pem = () => {
    const path = join(dir, 'key.pem');
    writeFileSync(path, signer.privateKey.export({ format: 'pem', type: 'pkcs8' }));
    return path;
  };

  it('are on disk once it is said so, whenever the process is killed', async () => {
    const filling = child('add', queue, log.url, pem(), '100000');
    let said = '';
    filling.stdout!.on('data', (text) => {
      said += text;
      if (said.length > 40 * 65) filling.kill('SIGKILL');
    });
    expect((await once(filling, 'close'))[1]).toBe('SIGKILL');
    const ids = said.split('\n').filter((line) => line.length === 64);
    expect(ids.length).toBeGreaterThan(39);
    const { pending, damaged } = await queueStatus(await SubmissionQueue.open(queue, false));
    expect(damaged).toEqual([]);
    const there = new Set(pending.map(({ id }) => id));
    expect(ids.filter((id) => !there.has(id))).toEqual([]);
    // At most the one that was under way.
    expect(there.size - ids.length).toBeLessThanOrEqual(1);
  });

  it.skipIf(skips('a submission queue without room', lacking('prlimit')))(
    'are refused where there is no room, and leave nothing behind',
    async () => {
      const limited = spawnSync('prlimit', ['--fsize=100', process.execPath, CHILD, 'add', queue, log.url, pem(), '2']);
      expect(String(limited.stdout)).toMatch(/^file: .*EFBIG.*\nfile: .*EFBIG.*\n$/);
      expect(readdirSync(join(queue, 'pending'))).toEqual([]);
    },
  );
});
