/** A monitor whose writes fail, by a limit on the size of its files: built first (`npm test` does). */
import { spawnSync } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FakeLog, View } from '../../support/fake-log.ts';
import { tempDir } from '../../support/log-files.ts';
import { lacking, skips } from '../../support/skip.ts';
import { entryOf, receiver, startMonitor, until, writeConfig } from './process.ts';

/** The soft limit alone, so that it can be lifted again without privilege. */
function limitFiles(pid: number, bytes: number | 'unlimited'): void {
  const { status, stderr } = spawnSync('prlimit', ['--pid', String(pid), `--fsize=${bytes}:`]);
  if (status !== 0) throw new Error(String(stderr));
}

/** Bytes in the journal that is written to: the newest one. LevelDB may keep one of before a while longer. */
async function journalBytes(store: string): Promise<number> {
  const newest = (await readdir(store))
    .filter((name) => name.endsWith('.log'))
    .sort()
    .at(-1);
  return newest === undefined ? 0 : (await stat(join(store, newest))).size;
}

describe.skipIf(skips('a monitor whose disk is full', lacking('prlimit')))('a monitor whose disk is full', () => {
  it('says so, goes on when there is room, and loses no match', async () => {
    const log = new FakeLog(new View([entryOf('0', true)]));
    let heads = 0;
    log.serve = (path, bytes) => {
      if (path === 'checkpoint') heads++;
      return bytes;
    };
    const dir = await tempDir();
    const { sinks, alerts } = await receiver(dir);
    const config = await writeConfig(dir, { url: await log.listen(), vkey: log.vkey, sinks });
    const monitor = startMonitor(config, ['--from-start']);
    const add = (count: number) => {
      const from = log.view.entries.length;
      log.view.grow(Array.from({ length: count }, (_, i) => entryOf(`${from + i}`, true)));
      log.size = log.view.entries.length;
    };
    const taken = () => new Set(alerts.map(({ entry }) => entry!.index)).size;
    await until('the first alert', () => taken() === 1);
    // Nothing can be written; a write is cut in its middle, of whatever file it is.
    for (const room of [0, 3000, 700]) {
      limitFiles(monitor.child.pid!, room);
      const told = monitor.stdout().length;
      add(20);
      await until('the trouble is told', () => /EFBIG|too large|failed|cannot be/i.test(monitor.stdout().slice(told)));
      const asked = heads;
      // The store of the follower stays closed, or the log is read again where only the alerts cannot be kept.
      const tries = () => heads > asked || monitor.stdout().includes('the store is not open; try again', told);
      await until('the monitor tries again', tries);
      expect(monitor.child.exitCode, monitor.stderr()).toBeNull();
      limitFiles(monitor.child.pid!, 'unlimited');
      await until('all are delivered', () => taken() === log.size);
    }
    // The queue alone fails where its journal is longer than that of the follower. A store that was opened again has a new one.
    const journal = (store: string) => journalBytes(join(dir, 'state', store));
    while ((await journal('queue')) < (await journal('follow')) + 4000) {
      add(20);
      await until('all are delivered', () => taken() === log.size);
    }
    const warned = monitor.stderr().length;
    limitFiles(monitor.child.pid!, (await journal('queue')) + 200);
    add(3);
    await until('the failure of the queue is told', () =>
      /its store is opened anew/.test(monitor.stderr().slice(warned)),
    );
    limitFiles(monitor.child.pid!, 'unlimited');
    await until('all are delivered', () => taken() === log.size);
    monitor.child.kill('SIGTERM');
    expect(await monitor.exited, monitor.stderr()).toBe(0);
    // Node warns of each handle that was never closed.
    expect(monitor.stderr()).not.toContain('garbage collection');
    expect(monitor.stdout()).toContain(`complete through tree size ${log.size}`);
    expect(new Set(alerts.map(({ id }) => id)).size).toBe(log.size);
  }, 120_000);
});
