import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
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
  async function childLock(
    options: { readonly program?: true; readonly execArgv?: string[] } = {},
  ): Promise<{ child: ChildProcess; said: Record<string, unknown> }> {
    const args = options.program ? [dir, 'program'] : [dir];
    const { execArgv = [] } = options;
    const child = fork(new URL('../../../support/lock-child.mjs', import.meta.url), args, { execArgv });
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
    expect((await childLock()).said).toEqual({ held: true, warnings: [] });
  });

  it('is free again when its process was killed', async () => {
    const { child, said } = await childLock();
    expect(said).toEqual({ held: true, warnings: [] });
    await expect(lockDir(dir)).rejects.toThrow(`process ${child.pid} on`);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await readOwner(dir)).toMatchObject({ pid: child.pid });
    const lock = await lockDir(dir);
    expect(await readOwner(dir)).toMatchObject({ pid: process.pid });
    await lock.release();
  });

  it('holds where its files are removed, and tells which directory it is', async () => {
    const { child } = await childLock();
    for (const name of await readdir(dir)) await rm(join(dir, name), { recursive: true });
    expect(await readdir(dir)).toEqual([]);
    await expect(lockDir(dir)).rejects.toEqual(locked);
    await expect(lockDir(dir)).rejects.toThrow(`${dir} is in use by another process`);
    expect((await childLock()).said).toMatchObject({ code: 'locked' });
    expect(await readdir(dir)).toEqual([]);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await (await lockDir(dir)).release();
  });

  it('is one lock by whatever path the directory is reached', async () => {
    const lock = await lockDir(dir);
    await symlink(dir, join(dir, '..', 'other'));
    await rm(join(dir, 'lock'), { recursive: true });
    await expect(lockDir(join(dir, '..', 'other'))).rejects.toEqual(locked);
    await lock.release();
  });

  it('ends with its process, not with the programs that this one has started', async () => {
    const { child, said } = await childLock({ program: true });
    const program = said.program as number;
    try {
      child.kill('SIGKILL');
      await once(child, 'exit');
      expect(process.kill(program, 0)).toBe(true);
      await (await lockDir(dir)).release();
    } finally {
      process.kill(program, 'SIGKILL');
    }
  });

  it('says so where only its files keep two processes apart', async () => {
    const hook = join(dir, '..', 'no-koffi.cjs');
    const missing = "const m = require('module'); const load = m._load; m._load = (name, ...rest) => {";
    await writeFile(
      hook,
      `${missing} if (name.startsWith('@koromix/koffi-')) throw new Error('no koffi here'); return load(name, ...rest); };`,
    );
    const { said } = await childLock({ execArgv: ['--require', hook] });
    expect(said.warnings).toEqual([
      expect.stringMatching(/guarded by the files in .*lock alone: .*no koffi here\. Never/),
    ]);
    // A process that can take the lock of the directory is stopped by the files all the same.
    await expect(lockDir(dir)).rejects.toEqual(locked);
    expect((await childLock({ execArgv: ['--require', hook] })).said).toMatchObject({ code: 'locked' });
  });

  it.each<[string, (lock: string) => Promise<void>]>([
    ['CURRENT is not what LevelDB wrote', (lock) => writeFile(join(lock, 'CURRENT'), 'nothing')],
    ['CURRENT names a file that is not there', (lock) => writeFile(join(lock, 'CURRENT'), 'MANIFEST-000077\n')],
    [
      'the manifest is cut',
      async (lock) => {
        for (const name of await readdir(lock)) if (name.startsWith('MANIFEST')) await writeFile(join(lock, name), 'x');
      },
    ],
    [
      'LOCK is a directory',
      async (lock) => {
        await rm(join(lock, 'LOCK'));
        await mkdir(join(lock, 'LOCK'));
      },
    ],
    [
      'it is a file',
      async (lock) => {
        await rm(lock, { recursive: true });
        await writeFile(lock, '');
      },
    ],
  ])('that is damaged says what may be removed, and what may not: %s', async (_, damage) => {
    await (await lockDir(dir)).release();
    const lock = join(dir, 'lock');
    await writeFile(join(dir, 'data'), 'kept');
    await damage(lock);
    const error = await lockDir(dir).then(
      () => undefined,
      (reason: Error) => reason,
    );
    expect(error?.message).toContain(`the lock ${lock} is damaged`);
    expect(error?.message).toContain('No other process uses the directory.');
    expect(error?.message).toContain(`Then remove ${lock}, which holds nothing else`);
    expect(error?.message).toContain(`Remove nothing else in ${dir}`);
    await rm(lock, { recursive: true });
    await (await lockDir(dir)).release();
    expect(await readFile(join(dir, 'data'), 'utf8')).toBe('kept');
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
