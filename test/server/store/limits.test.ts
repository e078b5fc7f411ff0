/** A real limit cuts real writes: `prlimit --fsize` on the process that writes, which is then killed. */
import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openLevelState } from '../../../server/store/level/level.ts';
import { lacking, skips } from '../../support/skip.ts';

describe.skipIf(skips('stores under a file-size limit', lacking('prlimit')))('stores under a file-size limit', () => {
  let dir: string;
  let child: ChildProcess;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'stele-limit-'));
    child = fork(new URL('../../support/store-child.mjs', import.meta.url), [dir]);
    child.setMaxListeners(100);
  });
  afterEach(async () => {
    child.kill('SIGKILL');
    await rm(dir, { recursive: true });
  });

  async function call(name: string, args: object = {}): Promise<unknown> {
    const exited = once(child, 'exit').then(([status]) => Promise.reject(new Error(`exit ${status}: npm run build?`)));
    child.send({ name, ...args });
    const [reply] = await Promise.race([once(child, 'message'), exited]);
    return reply;
  }

  /** The soft limit alone, so that it can be lifted again without privilege. */
  function limitFiles(bytes: number | 'unlimited'): void {
    const { status, stderr } = spawnSync('prlimit', ['--pid', String(child.pid), `--fsize=${bytes}:`]);
    if (status !== 0) throw new Error(String(stderr));
  }

  async function journalBytes(): Promise<number> {
    const state = join(dir, 'state');
    const journals = (await readdir(state)).filter((name) => name.endsWith('.log'));
    return Math.max(...(await Promise.all(journals.map(async (name) => (await stat(join(state, name))).size))));
  }

  it('loses no acknowledged commit when one is cut in the middle, the limit is lifted and the process killed', async () => {
    expect(await call('open')).toEqual({ ok: 0 });
    expect(await call('commit', { from: 0, count: 100, length: 1000 })).toEqual({ ok: 100 });

    limitFiles((await journalBytes()) + 50_000);
    expect(await call('commit', { from: 100, count: 100, length: 1000 })).toEqual({ code: 'store' });
    limitFiles('unlimited');
    // Here a plain LevelDB would take the commit, say that it is stored, and lose it at the next open.
    expect(await call('commit', { from: 100, count: 1, length: 1000 })).toEqual({ code: 'store' });

    expect(await call('open')).toEqual({ ok: 100 });
    for (let size = 100; size < 400; size += 30) {
      expect(await call('commit', { from: size, count: 30, length: 1000 })).toEqual({ ok: size + 30 });
    }
    child.kill('SIGKILL');
    await once(child, 'exit');

    const store = await openLevelState(join(dir, 'state'), { create: false });
    expect((await store.read())?.size).toBe(400);
    expect(await store.tail(0, 400)).toHaveLength(400);
    await store.close();
  });

  it('shows no part of a tile that was cut, and stores it when there is room', async () => {
    await call('open');
    limitFiles(5000);
    expect(await call('put', { tile: 'tile/0/000', length: 8192 })).toEqual({ code: 'store' });
    limitFiles('unlimited');
    expect(await readdir(join(dir, 'public', 'tile', '0'))).toEqual([]);
    expect(await call('put', { tile: 'tile/0/000', length: 8192 })).toEqual({ code: 'store' });
    expect(await call('open')).toEqual({ ok: 0 });
    expect(await call('put', { tile: 'tile/0/000', length: 8192 })).toEqual({ ok: true });
    expect((await stat(join(dir, 'public', 'tile', '0', '000'))).size).toBe(8192);
  });
});
