/** The room that is left is a metric of log, witness and monitor, and a reason not to be ready before it is gone. */
import { statfsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { FakeLog, View } from '../../support/fake-log.ts';
import { tempDir } from '../../support/log.ts';
import { startServer } from '../../support/serve.ts';
import { startWitness } from '../../support/witness-process.ts';
import { entryOf, startMonitor, until, writeConfig } from '../monitor/process.ts';

async function freshDir(): Promise<string> {
  const dir = await tempDir();
  onTestFinished(() => dir.remove());
  return dir.path;
}

/** The metric has the value of the file system itself, as far as others do not write meanwhile. */
async function expectMetric(url: string, name: string, dir: string): Promise<void> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const bytes = Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
  const { bavail, bsize } = statfsSync(dir);
  expect(Math.abs(bytes / (bavail * bsize) - 1)).toBeLessThan(0.5);
}

async function reasons(url: string): Promise<{ status: number; reasons: string[] }> {
  const reply = await fetch(`${url}/readyz`);
  return { status: reply.status, ...((await reply.json()) as { reasons: string[] }) };
}

const TOO_MUCH = ['--readiness-min-free', '1024GiB'];
const LITTLE = /MiB left, less than 1048576 MiB \(`readiness\.minFree`\): make room before nothing can be stored$/;

it('a log', async () => {
  const data = join(await freshDir(), 'data');
  const poor = await startServer(data, { args: TOO_MUCH });
  onTestFinished(() => poor.kill());
  await expectMetric(poor.adminUrl, 'stele_disk_free_bytes', data);
  expect(await reasons(poor.adminUrl)).toEqual({ status: 503, ready: false, reasons: [expect.stringMatching(LITTLE)] });
  expect((await fetch(`${poor.url}/checkpoint`)).status).toBe(200);
  await poor.stop();
  const rich = await startServer(data, { args: ['--readiness-min-free', '0B'] });
  onTestFinished(() => rich.kill());
  expect((await reasons(rich.adminUrl)).status).toBe(200);
});

it('a witness', async () => {
  const data = await freshDir();
  const witness = await startWitness(data, 'witness.example/w', [], 0, TOO_MUCH);
  onTestFinished(() => witness.kill());
  await expectMetric(witness.adminUrl, 'stele_witness_disk_free_bytes', data);
  expect(await reasons(witness.adminUrl)).toMatchObject({ status: 503, reasons: [expect.stringMatching(LITTLE)] });
});

it('a monitor', async () => {
  const log = new FakeLog(new View([entryOf('0', false)]));
  const dir = await freshDir();
  const more = 'metrics: { host: 127.0.0.1, port: 0 }';
  const config = await writeConfig(dir, { url: await log.listen(), vkey: log.vkey, sinks: '[{ type: stdout }]', more });
  const monitor = startMonitor(config, ['--from-start', '--json']);
  await until('the start', () => monitor.stdout().includes('"metrics":"http'));
  const { metrics } = JSON.parse(monitor.stdout().split('\n')[0]!);
  await expectMetric(metrics, 'stele_monitor_disk_free_bytes', dir);
});
