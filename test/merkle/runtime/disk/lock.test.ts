import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lockDir, readOwner } from '../../../../merkle/runtime/disk/lock.ts';

const locked = expect.objectContaining({ name: 'RuntimeError', code: 'locked' });

describe('the lock of a data directory', () => {
  let dir: string;
  let children: ChildProcess[];
  beforeEach(async () => {
    dir = join(await mkdtemp(join(tmpdir(), 'stele-lock-')), 'data');
    children = [];
  });
  afterEach(async () => {
    for (const child of children) child.kill('SIGKILL');
    await rm(join(dir, '..'), { recursive: true });
  });

  /** Starts a process that takes the lock; resolves with it and with what it said. */
  async function childLock(): Promise<{ child: ChildProcess; said: Record<string, unknown> }> {
    const child = fork(new URL('../../../support/lock-child.mjs', import.meta.url), [dir]);
    children.push(child);
    const [said] = await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(([status]) => Promise.reject(new Error(`exit ${status}: run npm run build first`))),
    ]);
    return { child, said };
  }

  it('is held once in a process, and free after its release', async () => {
    const lock = await lockDir(dir);
    await expect(lockDir(dir)).rejects.toEqual(locked);
    await expect(lockDir(dir)).rejects.toThrow(`process ${process.pid} on ${hostname()}, started 20`);
    await lock.release();
    await lock.release();
    await expect(lock.announce('http://127.0.0.1:3001')).rejects.toEqual(locked);
    expect(await readdir(dir)).toEqual(['lock']);
    await writeFile(join(dir, '.0123456789abcdef.tmp'), 'left by a crash');
    await (await lockDir(dir)).release();
    expect(await readdir(dir)).toEqual(['lock']);
  });

  it('is refused to a second process, which is told who holds it', async () => {
    const lock = await lockDir(dir);
    await lock.announce('http://127.0.0.1:3001');
    expect(await readOwner(dir)).toMatchObject({ pid: process.pid, admin: 'http://127.0.0.1:3001' });
    const { said } = await childLock();
    expect(said).toMatchObject({ code: 'locked' });
    expect(said.message).toContain(`process ${process.pid} on ${hostname()}`);
    expect(said.message).toContain('admin port http://127.0.0.1:3001');
    await lock.release();
    expect((await childLock()).said).toEqual({ held: true });
  });

  it('is free again when its process was killed', async () => {
    const { child, said } = await childLock();
    expect(said).toEqual({ held: true });
    await expect(lockDir(dir)).rejects.toThrow(`process ${child.pid} on`);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await readOwner(dir)).toMatchObject({ pid: child.pid });
    const lock = await lockDir(dir);
    expect(await readOwner(dir)).toMatchObject({ pid: process.pid });
    await lock.release();
  });

  it.each(['', '{', 'null', '{"pid":"1","host":"h","started":"s"}', `"${'x'.repeat(5000)}"`])(
    'is refused all the same when owner.json holds %j',
    async (text) => {
      const lock = await lockDir(dir);
      await writeFile(join(dir, 'owner.json'), text);
      expect(await readOwner(dir)).toBeUndefined();
      await expect(lockDir(dir)).rejects.toThrow(/in use by another process/);
      await lock.release();
    },
  );
});
