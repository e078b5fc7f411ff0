/** The built command: `npm run build` first. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { formatTrustedRoot } from '../../../client/trust/format-trusted-root.ts';
import { trustedRootOf } from '../../../client/trust/trust-files.ts';
import { entryBundlePath, tilePath, tileWidth } from '../../../merkle/tile.ts';
import { entriesOf, FakeLog, View } from '../../support/fake-log.ts';
import { later, tempDir } from '../../support/log-files.ts';
import { stele } from '../../support/serve.ts';
import { type ConfigParts, entryOf, receiver, startMonitor, until, writeConfig } from './process.ts';

const STDOUT = '[{ type: stdout }]';

/** A log of `size` entries, the first by the watched key, over HTTP, and a configuration that follows it. */
async function setUp(size = 3, parts: Partial<ConfigParts> = {}) {
  const log = new FakeLog(new View(Array.from({ length: size }, (_, i) => entryOf(`${i}`, i === 0))));
  const dir = await tempDir();
  const config = await writeConfig(dir, { url: await log.listen(), vkey: log.vkey, sinks: STDOUT, ...parts });
  const once = async (...args: string[]) => {
    const { code, stdout, stderr } = await stele(['monitor', '--config', config, '--once', '--json', ...args]);
    const lines = stdout.trim() === '' ? [] : stdout.startsWith('{\n') ? [stdout] : stdout.trim().split('\n');
    return {
      code,
      stderr,
      lines: lines.map((line) => JSON.parse(line)),
      report: lines.length > 0 ? JSON.parse(lines.at(-1)!) : undefined,
    };
  };
  return { log, dir, config, once };
}

describe('stele monitor --once', () => {
  it('ends with 1 where something is found, and then with 0, complete through the size', async () => {
    const { once } = await setUp();
    const first = await once('--from-start');
    expect(first.code).toBe(1);
    expect(first.lines).toContainEqual(expect.objectContaining({ kind: 'match', rule: 'my key', completeThrough: 3 }));
    expect(first.report).toMatchObject({
      type: 'report',
      ok: false,
      alerts: 1,
      delivered: true,
      logs: [{ log: 'log.test', completeThrough: 3, size: 3 }],
    });
    // Standard output is the sink's, and the alert is on it once.
    expect(first.lines.filter((line) => JSON.stringify(line).includes('is watched by'))).toHaveLength(1);
    const second = await once();
    expect(second).toMatchObject({ code: 0, report: { ok: true, alerts: 0, logs: [{ completeThrough: 3 }] } });
  });

  it('tells the alerts that the sink on standard output does not take', async () => {
    const { once } = await setUp(3, { sinks: '[{ type: stdout, severity: critical }]' });
    expect((await once('--from-start')).lines).toContainEqual(
      expect.objectContaining({ type: 'alerts', alerts: [expect.objectContaining({ kind: 'match' })] }),
    );
  });

  it('ends with 2 where the log cannot be looked at, and with what it is complete through', async () => {
    const { log, once } = await setUp();
    await once('--from-start');
    log.serve = () => undefined;
    const { code, report } = await once();
    expect(code).toBe(2);
    expect(report).toMatchObject({
      ok: false,
      alerts: 0,
      logs: [{ ok: false, completeThrough: 3, fault: expect.stringMatching(/checkpoint is not there/) }],
    });
  });

  it('ends with 1 where the log lies, also when that was told before; the evidence can be checked alone', async () => {
    const { log, once } = await setUp(600);
    await once('--from-start');
    log.show(entriesOf(700, 'another history'));
    const { code, lines, report } = await once();
    expect(code).toBe(1);
    expect(report).toMatchObject({ alerts: 1, logs: [{ lying: true, completeThrough: 600 }] });
    const { evidence } = lines.find(({ kind }) => kind === 'inconsistent') as { evidence: string };
    const checked = await stele(['verify', '--evidence', evidence, '--log-key', log.vkey, '--json']);
    expect(checked.code).toBe(0);
    expect(JSON.parse(checked.stdout)).toMatchObject({
      ok: true,
      kind: 'two-histories',
      firstSize: 600,
      secondSize: 700,
      keys: [log.vkey],
    });
    expect((await stele(['verify', '--evidence', evidence])).stdout).toMatch(
      /HOLDS: "log.test" has signed a tree of size 600/,
    );
    expect((await stele(['verify', '--evidence', evidence, '--log-key', new FakeLog().vkey])).code).toBe(1);
    await writeFile(evidence, (await readFile(evidence, 'utf8')).replace('"hashes":["', '"hashes":["A'));
    expect((await stele(['verify', '--evidence', evidence])).code).toBe(1);
    expect(await once()).toMatchObject({ code: 1, report: { alerts: 0, logs: [{ lying: true }] } });
  });

  it('finds a byte that was flipped in the files of a log, and keeps what shows it', async () => {
    const { log, dir } = await setUp(300);
    const files = join(dir, 'files');
    const write = async (path: string) => {
      await mkdir(dirname(join(files, path)), { recursive: true });
      await writeFile(join(files, path), log.view.file(path)!);
    };
    for (const index of [0, 1]) {
      await write(entryBundlePath(index, tileWidth(0, index, 300)));
      await write(tilePath({ level: 0, index, width: tileWidth(0, index, 300) }));
    }
    await write(tilePath({ level: 1, index: 0, width: 1 }));
    await writeFile(join(files, 'checkpoint'), log.sign(log.text()));
    const bundle = join(files, entryBundlePath(1, 44));
    const bytes = await readFile(bundle);
    bytes[bytes.length - 20]! ^= 1;
    await writeFile(bundle, bytes);
    const config = await writeConfig(dir, { url: files, vkey: log.vkey, sinks: STDOUT });
    const { code, stdout } = await stele(['monitor', '--config', config, '--once', '--from-start']);
    expect(code).toBe(1);
    const alert = JSON.parse(stdout.split('\n').find((line) => line.includes('bad-entry'))!);
    expect(alert).toMatchObject({ kind: 'bad-entry', severity: 'critical', entry: { index: 299 } });
    const checked = await stele(['verify', '--evidence', alert.evidence]);
    expect(checked).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/not entry 299 of the tree of size 300.*NOT PROVEN: that the log/s),
    });
  });

  it('delivers to a receiver before it ends, and says what is left where that is away', async () => {
    const { dir, log } = await setUp();
    const { sinks, alerts } = await receiver(dir);
    const config = await writeConfig(dir, { url: await log.listen(), vkey: log.vkey, sinks });
    expect((await stele(['monitor', '--config', config, '--once', '--from-start'])).code).toBe(1);
    expect(alerts).toMatchObject([{ kind: 'match', log: 'log.test', entry: { index: 0 } }]);
  });
});

describe('a start', () => {
  it('without a state is an error that says so, and makes nothing', async () => {
    const { dir, once } = await setUp();
    const { code, report, stderr } = await once();
    expect(code).toBe(2);
    expect(report).toMatchObject({ ok: false, error: { code: 'state' } });
    expect(stderr).toMatch(/there is no state of a monitor.*--from-start.*--from-now/);
    expect(existsSync(join(dir, 'state'))).toBe(false);
  });

  it('with both beginnings is refused', async () => {
    const { once } = await setUp();
    expect(await once('--from-now', '--from-start')).toMatchObject({ code: 2, report: { error: { code: 'usage' } } });
  });

  it('from now finds nothing of before; the flags change nothing for a log with a state', async () => {
    const { log, once } = await setUp();
    expect((await once('--from-now')).code).toBe(0);
    log.view.grow([entryOf('new', true)]);
    log.size = 4;
    const { code, lines } = await once('--from-start');
    expect(code).toBe(1);
    expect(lines.filter(({ kind }) => kind === 'match').map(({ entry }) => entry.index)).toEqual([3]);
  });

  it('with the queue of alerts gone is an error that says so', async () => {
    const { dir, once } = await setUp();
    await once('--from-start');
    await rm(join(dir, 'state', 'queue'), { recursive: true });
    const { code, report } = await once();
    expect(code).toBe(2);
    expect(report.error.message).toMatch(/queue of alerts.*is lost/);
  });

  it('of a second one on the same state is refused', async () => {
    const { config, once } = await setUp();
    const running = startMonitor(config, ['--from-now']);
    await until('the first is up', () => running.stderr().includes('follows one log'));
    expect(await once()).toMatchObject({ code: 2, report: { error: { code: 'locked' } } });
  });
});

describe('stele monitor', () => {
  it('says what it follows, reports, serves metrics, and ends in order', async () => {
    const { dir, log } = await setUp();
    const { sinks, alerts } = await receiver(dir);
    const more = 'metrics: { port: 0 }';
    const config = await writeConfig(dir, { url: await log.listen(), vkey: log.vkey, sinks, more });
    const running = startMonitor(config, ['--from-start', '--json']);
    await until('an alert', () => alerts.length > 0);
    const lines = () =>
      running
        .stdout()
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
    const { metrics } = lines()[0] as { metrics: string };
    const text = await (await fetch(`${metrics}/metrics`)).text();
    expect(text).toMatch(/stele_monitor_complete_entries\{log="log.test"\} 3/);
    expect((await fetch(`${metrics}/readyz`)).status).toBe(200);
    log.serve = () => undefined;
    await until('it is not ready', async () => (await fetch(`${metrics}/readyz`)).status === 503);
    running.child.kill('SIGTERM');
    expect(await running.exited, running.stderr()).toBe(0);
    expect(lines().map(({ type }) => type)).toEqual(
      expect.arrayContaining(['started', 'progress', 'alerts', 'fault', 'stopped']),
    );
    expect(lines().at(-1)).toMatchObject({ why: 'SIGTERM', pending: 0, logs: [{ completeThrough: 3 }] });
  });

  it('comes back from a log that was away', async () => {
    const { log, config } = await setUp();
    const running = startMonitor(config, ['--from-start']);
    await until('it is complete', () => running.stderr().includes('complete through 3 of 3'));
    log.serve = () => undefined;
    await until('the fault is told', () => running.stderr().includes('is not there'));
    log.view.grow([entryOf('new', false)]);
    log.size = 4;
    log.serve = (_path, bytes) => bytes;
    await until('it goes on', () => running.stderr().includes('complete through 4 of 4'));
    expect(running.stderr().match(/is not there/g)).toHaveLength(1);
    running.child.kill('SIGINT');
    expect(await running.exited).toBe(0);
  });

  it('shows its help', async () => {
    const { code, stdout } = await stele(['monitor', '--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/--from-now[\s\S]*Exit status with --once: 0 nothing/);
  });
});

describe('stele monitor logs', () => {
  it('prints a monitor configuration that a monitor follows', async () => {
    const files = new FakeLog(new View([entryOf('0', true)]), 'inner.test');
    const inner = await files.listen();
    // Rekor's API v2 has the files below /api/v2 alone.
    const server = createServer(async (request, reply) => {
      const path = /^\/api\/v2(\/.*)$/.exec(request.url ?? '')?.[1];
      const answer = path === undefined ? undefined : await fetch(`${inner}${path}`);
      reply.writeHead(answer?.status ?? 404).end(answer === undefined ? '' : Buffer.from(await answer.arrayBuffer()));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    later(() => void server.close());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { dir, config } = await setUp(1, { url, vkey: files.vkey });
    const log = files;
    const printed = await stele(['monitor', 'logs', '--config', config]);
    expect(printed).toMatchObject({ code: 0, stderr: '' });
    const { rekorLogs, ctLogs } = JSON.parse(printed.stdout);
    const [{ readUrl }] = rekorLogs;
    expect([rekorLogs, ctLogs]).toEqual([[{ readUrl, logOrigin: log.origin, majorApiVersion: 2 }], []]);
    await writeFile(join(dir, 'monitor_config.json'), printed.stdout);
    const root = trustedRootOf(`https://${log.origin}`, log.key, 0, 'x');
    await writeFile(join(dir, 'trusted_root.json'), formatTrustedRoot(root, '0.2'));
    const shards = 'shards: [{ monitorConfig: monitor_config.json, trustedRoot: trusted_root.json }]';
    const state = `state: ${join(dir, 'other-state')}`;
    const text = (await readFile(config, 'utf8'))
      .replace(/^state:.*$/m, state)
      .replace(/^logs:[\s\S]*?(?=^[a-z])/m, `${shards}\n`);
    await writeFile(join(dir, 'shards.yaml'), text);
    const once = ['monitor', '--config', join(dir, 'shards.yaml'), '--once', '--from-start', '--json'];
    const { code, stdout } = await stele(once);
    expect([code, JSON.parse(stdout.trim().split('\n').at(-1)!).logs]).toEqual([
      1,
      [expect.objectContaining({ log: log.origin, completeThrough: 1, ok: true })],
    ]);
    expect((await stele(['monitor', 'logs', '--config', join(dir, 'shards.yaml')])).stdout).toBe(printed.stdout);
  });

  it('leaves out a log that is read from a directory, and says so', async () => {
    const { log, dir } = await setUp();
    const text = [`logs: [{ dir: ${dir}, keys: ['${log.vkey}'] }]`, `sinks: ${STDOUT}`, 'rules: []'].join('\n');
    await writeFile(join(dir, 'dir.yaml'), text);
    const { stdout, stderr } = await stele(['monitor', 'logs', '--config', join(dir, 'dir.yaml')]);
    expect(JSON.parse(stdout)).toEqual({ rekorLogs: [], ctLogs: [] });
    expect(stderr).toMatch(/log\.test is read from a directory: left out/);
  });
});
