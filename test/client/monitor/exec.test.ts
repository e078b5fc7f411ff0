/** Alerts to a program, and to standard output. */
import { chmod, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Queue } from '../../../client/monitor/alerts/alert-queue.ts';
import type { ExecOptions, StdoutOptions } from '../../../client/monitor/alerts/sink-options.ts';
import { ExecSink } from '../../../client/monitor/alerts/sinks/exec.ts';
import { StdoutSink } from '../../../client/monitor/alerts/sinks/stdout.ts';
import { GuardedLevel } from '../../../merkle/runtime/disk/level.ts';
import { tempDir } from '../../support/log.ts';
import { decodeSink } from '../../support/sinks.ts';
import { until } from '../../support/until.ts';
import { alertOf, alertsOf } from './alerts.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
const stop = new AbortController();

beforeEach(async () => {
  dir = await tempDir();
});

afterEach(() => dir.remove());

/** A hook in JavaScript; `out` is where it may write. */
function hook(code: string, more: object = {}): ExecSink {
  const source = `const out = ${JSON.stringify(join(dir.path, 'out'))}; const fs = require('node:fs'); ${code}`;
  const given = { type: 'exec', command: [process.execPath, '-e', source], timeout: '5s', ...more };
  const decoded = decodeSink(given, dir.path);
  if ('problems' in decoded) throw new Error(decoded.problems.join());
  return new ExecSink(decoded.sink as ExecOptions);
}

const out = () => readFile(join(dir.path, 'out'), 'utf8');

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('a program', () => {
  it('gets the alerts on its standard input', async () => {
    await hook('fs.writeFileSync(out, fs.readFileSync(0))').deliver(alertsOf(2), stop.signal);
    expect(JSON.parse(await out())).toEqual({ version: 1, alerts: alertsOf(2) });
  });

  it('gets its arguments as they are: no shell reads them', async () => {
    const args = ['$(id)', '; touch x', '`id`', '*', "'", '"', '%PATH%'];
    const code = `require('node:fs').writeFileSync(${JSON.stringify(join(dir.path, 'out'))}, JSON.stringify(process.argv.slice(1)))`;
    const decoded = decodeSink({ type: 'exec', command: [process.execPath, '-e', code, '--', ...args] }, dir.path);
    if ('problems' in decoded) throw new Error(decoded.problems.join());
    await new ExecSink(decoded.sink as ExecOptions).deliver(alertsOf(1), stop.signal);
    expect(JSON.parse(await out())).toEqual(args);
  });

  it('sees of the environment what it needs, and what is named', async () => {
    process.env.STELE_TEST_SECRET = 'hidden';
    process.env.STELE_TEST_NAMED = 'seen';
    const code = 'fs.writeFileSync(out, JSON.stringify([process.env, process.cwd()]))';
    await hook(code, { env: ['STELE_TEST_NAMED', 'STELE_NOT_SET'] }).deliver(alertsOf(1), stop.signal);
    const [env, cwd] = JSON.parse(await out()) as [Record<string, string>, string];
    expect(env).toMatchObject({ STELE_TEST_NAMED: 'seen', PATH: process.env.PATH });
    const allowed = ['PATH', 'LANG', 'TZ', 'STELE_TEST_NAMED', '__CF_USER_TEXT_ENCODING'];
    expect(Object.keys(env).filter((name) => !allowed.includes(name))).toEqual([]);
    expect(cwd).toBe('/');
  });

  it('that fails is told about, in printable text', async () => {
    const sink = hook('process.stderr.write("no\\u001b[31m pager\\n".repeat(10000), () => process.exit(3))');
    const error = await sink.deliver(alertsOf(1), stop.signal).catch((error: unknown) => error as Error);
    expect(error).toMatchObject({ code: 'delivery', reason: 'exec', message: expect.stringMatching(/status 3: no/) });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that none is there is what this looks at
    expect((error as Error).message).not.toMatch(/[\u0000-\u001f]/);
    expect((error as Error).message.length).toBeLessThan(600);
  });

  it('may end without reading', async () => {
    const large = alertsOf(50).map((alert) => ({ ...alert, summary: 'x'.repeat(10_000) }));
    await hook('process.exit(0)').deliver(large, stop.signal);
    await expect(hook('process.exit(1)').deliver(large, stop.signal)).rejects.toMatchObject({ reason: 'exec' });
  });

  it.each(['/no/such/program', '/etc/hostname'])('that cannot be started fails: %s', async (program) => {
    const decoded = decodeSink({ type: 'exec', command: [program] }, '/');
    if ('problems' in decoded) throw new Error(decoded.problems.join());
    const sink = new ExecSink(decoded.sink as ExecOptions);
    await expect(sink.deliver(alertsOf(1), stop.signal)).rejects.toMatchObject({
      reason: 'exec',
      message: /ENOENT|EACCES/,
    });
  });

  it('that hangs is killed with what it started', async () => {
    const inner = 'setInterval(() => {}, 1000)';
    const code = `const { spawn } = require('node:child_process');
      const child = spawn(process.execPath, ['-e', ${JSON.stringify(inner)}], { stdio: 'inherit' });
      fs.writeFileSync(out, String(child.pid));
      process.on('SIGTERM', () => {});
      setInterval(() => {}, 1000);`;
    const start = performance.now();
    await expect(hook(code, { timeout: '1s' }).deliver(alertsOf(1), stop.signal)).rejects.toMatchObject({
      reason: 'timeout',
    });
    expect(performance.now() - start).toBeLessThan(4000);
    const pid = Number(await out());
    await until(() => !alive(pid));
  });

  it('that leaves something behind with its output open holds nothing up', async () => {
    const code = `const { spawn } = require('node:child_process');
      const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 20000)'], { stdio: 'inherit', detached: true });
      child.unref(); fs.writeFileSync(out, String(child.pid)); process.exit(0);`;
    await expect(hook(code, { timeout: '1s' }).deliver(alertsOf(1), stop.signal)).rejects.toMatchObject({
      reason: 'timeout',
    });
    process.kill(Number(await out()), 'SIGKILL');
  });

  it('that writes for ever is killed, and its output kept by nobody', async () => {
    const code = 'for (;;) fs.writeSync(1, Buffer.alloc(65536))';
    await expect(hook(code).deliver(alertsOf(1), stop.signal)).rejects.toMatchObject({
      reason: 'exec',
      message: /wrote more/,
    });
  });

  it('is killed when the monitor stops', async () => {
    const control = new AbortController();
    const delivery = hook('fs.writeFileSync(out, String(process.pid)); setInterval(() => {}, 1000)', { timeout: '1m' });
    const ended = delivery.deliver(alertsOf(1), control.signal);
    ended.catch(() => {});
    await until(async () => Number(await out().catch(() => '0')));
    control.abort();
    await expect(ended).rejects.toMatchObject({ code: 'delivery' });
    expect(alive(Number(await out()))).toBe(false);
  });

  it('is asked again until it succeeds', async () => {
    const code = 'fs.appendFileSync(out, "x"); process.exit(fs.statSync(out).size < 3 ? 1 : 0)';
    const queue = await Queue.open(await GuardedLevel.open(join(dir.path, 'queue')), {
      sinks: [hook(code)],
      firstPauseMs: 10,
    });
    await queue.enqueue(alertsOf(1));
    expect(await queue.drain(stop.signal)).toBe(true);
    await queue.close();
    expect((await stat(join(dir.path, 'out'))).size).toBe(3);
  });

  it('must be named by an absolute path, and be a program', async () => {
    expect(decodeSink({ type: 'exec', command: ['page-me'] }, '/')).toMatchObject({ problems: [/absolute path/] });
    const script = join(dir.path, 'not-executable');
    await writeFile(script, '#!/bin/sh\n');
    await chmod(script, 0o600);
    const decoded = decodeSink({ type: 'exec', command: [script] }, '/');
    if ('problems' in decoded) throw new Error(decoded.problems.join());
    const delivery = new ExecSink(decoded.sink as ExecOptions).deliver(alertsOf(1), stop.signal);
    await expect(delivery).rejects.toMatchObject({ reason: 'exec', message: /EACCES/ });
  });
});

describe('standard output', () => {
  const options = { type: 'stdout', name: 'stdout', severity: 'info' } as StdoutOptions;

  it('gets a line of JSON for each alert, without a character that a terminal would act on', async () => {
    const parts: Buffer[] = [];
    const sink = new StdoutSink(options, new Writable({ write: (part, _, done) => done(void parts.push(part)) }));
    const names = ['\u001b[2J\u0007', '\u202egpj.exe', 'two\nlines\u2028\u0085'];
    const alerts = [alertOf(0, { entry: { index: 0, leafHash: '', names } }), alertOf(1)];
    await sink.deliver(alerts, stop.signal);
    const text = Buffer.concat(parts).toString('latin1');
    expect(text).toMatch(/^[ -~]+\n[ -~]+\n$/);
    expect(
      text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual(alerts);
  });

  it('that nobody reads holds one write, however often it is tried', async () => {
    const waiting: (() => void)[] = [];
    const stream = new Writable({ highWaterMark: 1, write: (_part, _, done) => void waiting.push(done) });
    const sink = new StdoutSink(options, stream);
    for (let i = 0; i < 5; i++) {
      await expect(sink.deliver(alertsOf(1), AbortSignal.timeout(20))).rejects.toMatchObject({ reason: 'timeout' });
    }
    expect([waiting.length, stream.writableLength]).toEqual([1, JSON.stringify(alertOf(0)).length + 1]);
    const last = sink.deliver(alertsOf(1), stop.signal);
    waiting.shift()!();
    await until(() => waiting.length === 1);
    waiting.shift()!();
    await last;
  });

  it('that is closed is a failed delivery', async () => {
    const broken = new Writable({ write: (_part, _, done) => done(Object.assign(new Error('x'), { code: 'EPIPE' })) });
    const delivery = new StdoutSink(options, broken).deliver(alertsOf(1), stop.signal);
    await expect(delivery).rejects.toMatchObject({ reason: 'network', message: /EPIPE/ });
  });
});
