/** Two processes on one directory, also after somebody removed the files of the lock: log, witness and monitor. */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { FakeLog, View } from '../../support/fake-log.ts';
import { tempDir } from '../../support/log.ts';
import { startServer, stele } from '../../support/serve.ts';
import { startWitness } from '../../support/witness-process.ts';
import { entryOf, startMonitor, until, writeConfig } from '../monitor/process.ts';

async function freshDir(): Promise<string> {
  const dir = await tempDir();
  onTestFinished(() => dir.remove());
  return dir.path;
}

async function removeLock(dir: string): Promise<void> {
  for (const name of ['lock', 'owner.json']) await rm(join(dir, name), { recursive: true });
}

/** The names below a directory with the sizes of the files. */
async function treeOf(dir: string): Promise<string[]> {
  const names = await readdir(dir, { recursive: true });
  return await Promise.all(names.sort().map(async (name) => `${name} ${(await stat(join(dir, name))).size}`));
}

it('a log: neither a second start nor an offline command touches the directory', async () => {
  const dir = await freshDir();
  const data = join(dir, 'data');
  const server = await startServer(data);
  onTestFinished(() => server.kill());
  await removeLock(data);
  const before = await treeOf(data);
  const where = ['--data', data];
  for (const args of [
    ['serve', ...where, '--listen-port', '0', '--admin-port', '0'],
    ['log', 'check', data],
    ['log', 'backup', join(dir, 'copy'), ...where],
    ['log', 'export', join(dir, 'copy'), ...where],
    ['log', 'freeze', ...where, '--yes'],
  ]) {
    const { code, stderr } = await stele(args);
    expect([code, stderr], args.join(' ')).toEqual([2, expect.stringContaining(`[locked]: ${data} is in use by`)]);
  }
  expect(await treeOf(data)).toEqual(before);
  expect(await readdir(dir)).toEqual(['data']);
  expect((await fetch(`${server.adminUrl}/readyz`)).status).toBe(200);
  expect(await server.stop()).toBe(0);
  expect((await stele(['log', 'check', data])).code).toBe(0);
});

it('a witness', async () => {
  const data = await freshDir();
  const witness = await startWitness(data, 'witness.example/w', []);
  onTestFinished(() => witness.kill());
  await removeLock(data);
  const before = await treeOf(data);
  for (const args of [
    ['--listen-port', '0', '--admin-port', '0'],
    ['log', 'list'],
  ]) {
    const { code, stderr } = await stele(['witness', ...args, '--data', data, '--name', 'witness.example/w']);
    expect([code, stderr], args.join(' ')).toEqual([2, expect.stringContaining(`[locked]: ${data} is in use by`)]);
  }
  expect(await treeOf(data)).toEqual(before);
});

it('a monitor', async () => {
  const log = new FakeLog(new View([entryOf('0', false)]));
  const dir = await freshDir();
  const config = await writeConfig(dir, { url: await log.listen(), vkey: log.vkey, sinks: '[{ type: stdout }]' });
  const monitor = startMonitor(config, ['--from-start', '--json']);
  await until('the first round', () => monitor.stdout().includes('"progress"'));
  const state = join(dir, 'state');
  await removeLock(state);
  const { code, stderr } = await stele(['monitor', '--config', config, '--once']);
  expect([code, stderr]).toEqual([2, expect.stringContaining(`[locked]: ${state} is in use by`)]);
  monitor.child.kill('SIGTERM');
  expect(await monitor.exited).toBe(0);
  expect((await stele(['monitor', '--config', config, '--once'])).code).toBe(0);
});
