import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { createPool, type Pool, workerUrl } from '../../../../merkle/runtime/threads/pool.ts';

const dir = mkdtempSync(join(tmpdir(), 'stele-pool-'));
const open: Pool[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((pool) => pool.close()));
});
afterAll(() => rmSync(dir, { recursive: true }));

/** Byte 0 says what to do: 0 answers, 1 throws, 2 ends the thread, 3 throws outside of the task, 4 never ends. */
const WORKER = `
export default async function (task) {
  switch (new Uint8Array(task)[0]) {
    case 0: return task;
    case 1: throw new Error('thrown');
    case 2: process.exit(3);
    case 3: setImmediate(() => { throw new Error('outside'); }); return new Promise(() => {});
    case 4: return new Promise(() => {});
  }
}`;

function pool(threads: number, source = WORKER): Pool {
  const path = join(mkdtempSync(join(dir, 'worker-')), 'worker.mjs');
  writeFileSync(path, source);
  const made = createPool({ file: pathToFileURL(path), threads });
  open.push(made);
  return made;
}

const task = (what: number): ArrayBuffer => Uint8Array.of(what).buffer;

describe('createPool', () => {
  it('answers, and rejects what a worker throws', async () => {
    const workers = pool(2);
    expect(new Uint8Array(await workers.run(task(0)))).toEqual(Uint8Array.of(0));
    await expect(workers.run(task(1))).rejects.toMatchObject({ code: 'pool' });
  });

  it.each([
    ['ends', 2],
    ['fails outside of its task', 3],
  ])('rejects the tasks of a worker that %s, and starts another', async (_, how) => {
    const workers = pool(1);
    const results = await Promise.allSettled([how, 0, 0, 0].map((what) => workers.run(task(what))));
    expect(results[0]).toMatchObject({ status: 'rejected', reason: { code: 'pool' } });
    expect(new Uint8Array(await workers.run(task(0)))).toEqual(Uint8Array.of(0));
  });

  it('rejects where the worker cannot even start', async () => {
    const workers = pool(2, 'throw new Error("no start")');
    for (let round = 0; round < 3; round++) {
      await expect(workers.run(task(0))).rejects.toMatchObject({ code: 'pool' });
    }
  });

  it('rejects what is under way when it is closed, and all after', async () => {
    const workers = pool(1);
    const stuck = expect(workers.run(task(4))).rejects.toMatchObject({ code: 'pool' });
    await workers.close();
    await stuck;
    await expect(workers.run(task(0))).rejects.toMatchObject({ code: 'pool' });
  });

  it('does not end a thread while it loads: a native library that is cut off there takes the process with it', async () => {
    const marker = join(mkdtempSync(join(dir, 'marker-')), 'loaded');
    const workers = pool(
      1,
      `import { writeFileSync } from 'node:fs';
       Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
       writeFileSync(${JSON.stringify(marker)}, '');
       ${WORKER}`,
    );
    await workers.close();
    expect(existsSync(marker)).toBe(true);
  });
});

describe('workerUrl', () => {
  it('finds the built script, of a test too', () => {
    const built = fileURLToPath(workerUrl('server/ingest/ingest-worker'));
    expect(built.endsWith(join('dist', 'server', 'ingest', 'ingest-worker.js'))).toBe(true);
    expect(existsSync(built)).toBe(true);
  });

  it('says what to do where the script is not built', () => {
    expect(() => workerUrl('server/ingest/nothing')).toThrow(/dist\/server\/ingest\/nothing\.js .*npm run build/);
  });
});
