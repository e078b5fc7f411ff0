/**
 * A plain index is killed at random moments while a log grows and searches run. Each answer, before and after, is about a tree
 * of the log and has all of its hits. `npm run test:crash` kills it 100 times; a few kills keep the everyday run short.
 */
import { spawnSync } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { tempDir } from '../../../support/log-files.ts';
import { lacking, skips } from '../../../support/skip.ts';
import { until } from '../../monitor/process.ts';
import { checkHits, emptyLog, entryOf, grow, indexOf, keyOf, NEVER, term } from './index-bed.ts';
import { hitsOf, type IndexProcess, SearchFailed, startIndex } from './index-process.ts';

const KILLS = Number(process.env.STELE_INDEX_KILLS ?? 3);
/** Each so-many-th entry is by the known key. */
const EVERY = 41;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function growingLog() {
  const log = emptyLog();
  const add = (count: number) => {
    const from = log.view.entries.length;
    grow(
      log,
      Array.from({ length: count }, (_, i) => entryOf(`artifact ${from + i}`, signerOf(from + i))),
    );
  };
  return { log, add };
}

const signerOf = (index: number) => (index % EVERY === 0 ? 'known' : `other ${index % 50}`);
const wanted = (size: number) => Array.from({ length: Math.ceil(size / EVERY) }, (_, i) => i * EVERY);
const byKey = { log: 'log.test', terms: [term('key', keyOf('known'))], limit: 1000 };

it(
  `answers truly through ${KILLS} SIGKILLs`,
  async () => {
    const { log, add } = growingLog();
    add(1);
    const dir = join(await tempDir(), 'index');
    const url = await log.listen();
    const growing = setInterval(() => add(1 + Math.floor(Math.random() * 60)), 30);
    let largest = 0;
    let answers = 0;
    /** Searches without a pause. What it says is true, or the process was killed, or the index is not ready. */
    const ask = async (index: IndexProcess): Promise<void> => {
      try {
        for (;;) {
          const { size, hits } = await hitsOf(index, byKey, (page) => checkHits(page, log));
          expect(hits).toEqual(wanted(size));
          // What was answered once was durable.
          expect(size).toBeGreaterThanOrEqual(largest);
          largest = size;
          answers++;
          await sleep(5);
        }
      } catch (error) {
        if (!(error instanceof SearchFailed)) throw error;
        if (error.code === 'gone') return;
        expect(error.code).toBe('not-ready');
        await sleep(10);
        await ask(index);
      }
    };
    try {
      for (let kill = 0; kill < KILLS; kill++) {
        const index = startIndex(dir, url, log);
        const asking = index.ready
          .then(() => ask(index))
          .catch((error: unknown) => {
            if (!(error instanceof SearchFailed)) throw error;
          });
        // Some kills hit the start, which takes a third of a second or more, and some an index that answers.
        const answered = answers;
        if (kill % 2 === 0) await until('an answer', () => answers > answered, 120_000);
        await sleep(Math.random() * 700);
        expect(index.child.exitCode, index.stderr()).toBeNull();
        await index.kill();
        await asking;
      }
    } finally {
      clearInterval(growing);
    }
    const last = startIndex(dir, url, log);
    await last.ready;
    await until(
      'the index has read all',
      async () => (await hitsOf(last, byKey, () => {}).catch(() => ({ size: 0 }))).size === log.size,
    );
    const { hits } = await hitsOf(last, byKey, (page) => checkHits(page, log));
    expect(hits).toEqual(wanted(log.size));
    await last.kill();
    // A fresh index gives the same answers, byte for byte.
    const [{ index: old }, { index: fresh }] = [await indexOf([log], { dir }), await indexOf([log])];
    await fresh.once(NEVER);
    await old.once(NEVER);
    for (const query of [
      byKey,
      { ...byKey, terms: [term('digest', 'sha256:0', 'prefix')], order: 'descending' as const },
    ]) {
      const [first, second] = [await old.search(query, NEVER), await fresh.search(query, NEVER)];
      expect(first).toEqual(second);
    }
    expect(answers).toBeGreaterThanOrEqual(KILLS / 2);
    console.log(`${KILLS} kills, ${log.size} entries, ${answers} answers checked while it ran`);
  },
  KILLS * 10_000 + 60_000,
);

/** The soft limit alone, so that it can be lifted again without privilege. */
function limitFiles(pid: number, bytes: number | 'unlimited'): void {
  const { status, stderr } = spawnSync('prlimit', ['--pid', String(pid), `--fsize=${bytes}:`]);
  if (status !== 0) throw new Error(String(stderr));
}

it.skipIf(skips('a plain index whose disk is full', lacking('prlimit')))(
  'answers by what is durable while its disk is full, and goes on when there is room',
  async () => {
    const { log, add } = growingLog();
    add(700);
    const dir = join(await tempDir(), 'index');
    const index = startIndex(dir, await log.listen(), log);
    await index.ready;
    const sizeIs = (size: number) =>
      until(`answers for ${size}`, async () => (await index.search(byKey).catch(() => ({ size: -1 }))).size === size);
    await sizeIs(700);
    // Nothing can be written; a write is cut in its middle.
    for (const room of ['none', 'some'] as const) {
      const before = log.size;
      const bytes = room === 'none' ? 0 : (await newestJournal(dir)) + 3000;
      limitFiles(index.child.pid!, bytes);
      const told = index.troubles.length;
      add(600);
      await until('the trouble is told', () => index.troubles.length > told);
      // The store may be closed now, or open again and full still. Where it answers, the answer is of what was durable.
      const answer = await index.search(byKey).catch((error: unknown) => error);
      if (answer instanceof SearchFailed) expect(answer.code).toBe('store');
      else expect(answer).toMatchObject({ size: before });
      expect(index.child.exitCode, index.stderr()).toBeNull();
      limitFiles(index.child.pid!, 'unlimited');
      await sizeIs(log.size);
      const { hits } = await hitsOf(index, byKey, (page) => checkHits(page, log));
      expect(hits).toEqual(wanted(log.size));
    }
    await index.kill();
  },
  120_000,
);

/** Bytes of the journal that LevelDB writes to. */
async function newestJournal(dir: string): Promise<number> {
  const names = (await readdir(dir)).filter((name) => name.endsWith('.log')).sort();
  return names.length === 0 ? 0 : (await stat(join(dir, names.at(-1)!))).size;
}
