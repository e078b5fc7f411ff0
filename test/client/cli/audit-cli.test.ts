/** `stele audit` as people run it, against logs that run and servers that misbehave. Needs `npm run build`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeLog } from '../../support/fake-log.ts';
import { type Handler, later, numbered, serve, tempDir } from '../../support/log-files.ts';
import { hashedRekordRequest, sharedSigner, toJsonBatch } from '../../support/requests.ts';
import { CLI, type ServeProcess, startServer, stele } from '../../support/serve.ts';
import { until } from '../../support/until.ts';
import { cosignerOf } from '../monitor/cosigner.ts';

const AUDIT = fileURLToPath(new URL('../../../dist/client/audit/audit.js', import.meta.url));

/** The files of `dir` over HTTP. */
const files =
  (dir: string): Handler =>
  (path, response) => {
    const file = join(dir, path);
    if (existsSync(file)) response.end(readFileSync(file));
    else response.writeHead(404).end();
  };

function staticLog(size: number): { dir: string; vkey: string; log: FakeLog } {
  const [dir, log] = [tempDir(), FakeLog.empty('static.test')];
  log.write(dir, numbered(size));
  return { dir, vkey: log.vkey, log };
}

const ended = async (child: ChildProcess): Promise<number | null> => {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'close');
  return child.exitCode;
};

function start(args: readonly string[]): { child: ChildProcess; out: () => string } {
  const child = spawn(process.execPath, [...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  later(() => child.kill('SIGKILL'));
  let text = '';
  for (const stream of [child.stdout!, child.stderr!]) stream.setEncoding('utf8').on('data', (part) => (text += part));
  return { child, out: () => text };
}

describe('a log with a pinned end', () => {
  it('that was frozen empty says so, with a policy and without one', async () => {
    const { dir, vkey } = staticLog(0);
    const [pin, policy] = [join(tempDir(), 'last'), join(tempDir(), 'policy')];
    writeFileSync(pin, readFileSync(join(dir, 'checkpoint')));
    writeFileSync(policy, `log ${vkey}\nwitness w ${cosignerOf('witness.test').vkey}\nquorum w\n`);
    const pinned = ['--last-checkpoint', pin];
    for (const trust of [
      ['--log-key', vkey],
      ['--policy', policy],
    ]) {
      const { code, stdout, stderr } = await stele(['audit', dir, ...trust, ...pinned]);
      expect(stderr).toBe('');
      expect(code).toBe(0);
      expect(stdout).toContain('the log was frozen empty, as its pinned last checkpoint says');
      expect(stdout).not.toMatch(/quorum {6}met|no witness was checked/);
    }
    const open = await stele(['audit', dir, '--log-key', vkey]);
    expect(open.stdout).toContain('no witness was checked');
    expect(open.stdout).not.toContain('frozen empty');
  });

  it('is not audited by the last checkpoint of another log, which would check nothing', async () => {
    const { dir, vkey } = staticLog(3);
    const [other, pin] = [tempDir(), join(tempDir(), 'last')];
    FakeLog.empty('other.test').write(other, numbered(1));
    writeFileSync(pin, readFileSync(join(other, 'checkpoint')));
    const { code, stderr } = await stele(['audit', dir, '--log-key', vkey, '--last-checkpoint', pin]);
    expect(stderr).toContain('--last-checkpoint is of the log other.test, and this one is static.test');
    expect(code).toBe(2);
  });
});

describe('a log that runs', () => {
  const ENTRIES = 600;
  let server: ServeProcess;
  let data: string;
  beforeAll(async () => {
    // `tempDir` takes its own away after each test.
    data = mkdtempSync(join(tmpdir(), 'stele-audit-'));
    server = await startServer(data);
    for (let sent = 0; sent < ENTRIES; sent += 200) {
      const body = toJsonBatch(Array.from({ length: 200 }, () => hashedRekordRequest(sharedSigner())));
      const url = `${server.url}/api/v2/log/entries:batch`;
      expect((await fetch(url, { method: 'POST', body: Buffer.from(body) })).status).toBe(200);
    }
  });
  afterAll(async () => {
    await server.kill();
    rmSync(data, { recursive: true });
  });

  it('is clean over HTTP, its signatures among it, and says what is not proven', async () => {
    const key = ['--log-key', server.verifierKeys[0]!];
    const { code, stdout, stderr } = await stele(['audit', server.url, ...key, '--signatures']);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(stdout).toContain(`OK: the ${ENTRIES} entries of localhost`);
    expect(stdout).toContain(`${ENTRIES} in entries verify; 0 entries of other kinds`);
    expect(stdout).toContain('no witness was checked');

    const json = JSON.parse((await stele(['audit', server.url, '--json'])).stdout);
    expect(json).toMatchObject({ ok: true, entries: ENTRIES, signedBy: [], tree: { size: ENTRIES } });
    expect((await stele(['audit', server.url])).stdout).toContain('nobody vouches for the checkpoint');
  });

  it('is clean as an export, in which a flipped byte is found', async () => {
    const dir = join(tempDir(), 'export');
    expect((await stele(['log', 'export', dir, '--data', data])).code).toBe(0);
    expect((await stele(['audit', dir])).code).toBe(0);
    const bundle = readFileSync(join(dir, 'tile/entries/001'));
    bundle[4000]! ^= 4;
    writeFileSync(join(dir, 'tile/entries/001'), bundle);
    const { code, stdout, stderr } = await stele(['audit', dir]);
    expect(code).toBe(1);
    expect(stderr).toContain('error [corrupt]: tile/entries/001: entry ');
    expect(stdout).toContain('first bad   tile/entries/001, entry ');
    const json = JSON.parse((await stele(['audit', dir, '--json'])).stdout);
    expect(json).toMatchObject({ ok: false, error: { code: 'corrupt' }, corruption: { path: 'tile/entries/001' } });
  });

  it('has its last entries in no file: they are audited over HTTP', async () => {
    const { code, stderr } = await stele(['audit', data]);
    expect(code).toBe(2);
    expect(stderr).toContain('stele log export');
  });
});

describe('exit statuses', () => {
  const HANDLERS: Record<string, [Handler, number]> = {
    hangs: [() => {}, 2],
    redirects: [(_, response) => void response.writeHead(301, { location: '/' }).end(), 2],
    'is away': [(_, response) => void response.destroy(), 2],
    'answers with a web page': [(_, response) => void response.end('<html>'), 1],
    'never ends': [
      (_, response) => {
        const more = () => {
          while (!response.destroyed && response.write(Buffer.alloc(65_536)));
          if (!response.destroyed) response.once('drain', more);
        };
        more();
      },
      1,
    ],
  };

  it.each(Object.keys(HANDLERS))('where the log %s: for the checkpoint, a bundle, a tile', async (name) => {
    const { dir } = staticLog(600);
    const [handler, status] = HANDLERS[name]!;
    await Promise.all(
      ['checkpoint', 'tile/entries/001', 'tile/1/000.p/2'].map(async (bad) => {
        const good = files(dir);
        const url = await serve((path, response, request) => (path === bad ? handler : good)(path, response, request));
        const { code, stdout, stderr } = await stele([
          'audit',
          url,
          '--timeout',
          name === 'hangs' ? '1' : '20',
          '--json',
        ]);
        expect(code, `${bad}: ${stderr}`).toBe(status);
        expect(JSON.parse(stdout)).toMatchObject({ ok: false, error: { message: expect.stringContaining(bad) } });
      }),
    );
  });

  it('2 where the arguments are wrong', async () => {
    const wrong = [
      [],
      ['/nonexistent'],
      ['ftp://example.com'],
      ['.', '--threads', '0'],
      ['.', '--timeout', 'x'],
      ['.', '--new-only'],
      ['.', '--log-key', 'x'],
      ['.', '--policy', '/nonexistent'],
    ];
    const cwd = tempDir();
    const codes = await Promise.all(wrong.map(async (args) => (await stele(['audit', ...args], { cwd })).code));
    expect(codes).toEqual(wrong.map(() => 2));
  });

  it('2 for a damaged state or a stale log, 1 for a checkpoint that went back or is of another tree', async () => {
    const { dir, log } = staticLog(600);
    const state = join(tempDir(), 'state');
    const args = ['audit', dir, '--state', state];
    expect((await stele(args)).code).toBe(0);
    const remembered = readFileSync(state);
    log.write(dir, numbered(599));
    const stale = await stele([...args, '--json']);
    expect(stale).toMatchObject({ code: 2, stderr: expect.stringContaining('stale or was rolled back') });
    expect(JSON.parse(stale.stdout)).toMatchObject({ ok: false, error: { code: 'stale' } });
    rmSync(join(dir, 'tile'), { recursive: true });
    log.write(dir, numbered(511));
    expect(await stele(args)).toMatchObject({ code: 1, stderr: expect.stringContaining('went back') });
    log.write(dir, numbered(512, 'another'));
    const other = await stele([...args, '--json']);
    expect(other).toMatchObject({ code: 1, stderr: expect.stringContaining('shows another tree than before') });
    expect(JSON.parse(other.stdout)).toMatchObject({
      error: { code: 'bad-checkpoint' },
      corruption: { note: readFileSync(join(dir, 'checkpoint'), 'utf8') },
    });
    expect((await stele(args)).stdout).toContain('  evidence    the checkpoint in the state, and this one');
    expect(readFileSync(state)).toEqual(remembered);
    writeFileSync(state, 'x');
    expect((await stele(args)).code).toBe(2);
  });
});

describe('an audit that is interrupted', () => {
  const [BUNDLES, STOP_AT] = [60, 40];

  /** Serves each file, and hangs at one bundle until it is told to go on. */
  async function hanging() {
    const { dir, vkey } = staticLog(BUNDLES * 256 + 7);
    const good = files(dir);
    const gate = { open: false, asked: new Set<string>() };
    let reached: () => void;
    const stuck = new Promise<void>((resolve) => {
      reached = resolve;
    });
    const url = await serve((path, response, request) => {
      gate.asked.add(path);
      if (!gate.open && path === `tile/entries/0${STOP_AT}`) reached();
      else good(path, response, request);
    });
    return { url, vkey, gate, stuck, state: join(tempDir(), 'state') };
  }

  async function goesOn({ url, vkey, gate, state }: Awaited<ReturnType<typeof hanging>>): Promise<void> {
    gate.open = true;
    gate.asked.clear();
    const ran = await stele(['audit', url, '--log-key', vkey, '--state', state, '--json']);
    expect(ran.code, ran.stderr).toBe(0);
    const { from, entries } = JSON.parse(ran.stdout);
    expect(entries).toBe(BUNDLES * 256 + 7);
    expect(from).toBeGreaterThan(0);
    expect(from).toBeLessThanOrEqual(STOP_AT * 256);
    expect(gate.asked.has('tile/entries/000')).toBe(false);
  }

  it('by SIGINT ends at once, says where, and goes on there', async () => {
    const log = await hanging();
    const { child, out } = start([CLI, 'audit', log.url, '--log-key', log.vkey, '--state', log.state]);
    await log.stuck;
    child.kill('SIGINT');
    expect(await ended(child), out()).toBe(130);
    expect(out()).toMatch(/error \[cancelled\]: the audit was stopped after \d+ of 15367 entries/);
    await goesOn(log);
  });

  it('by SIGKILL goes on where it last wrote its state', async () => {
    const log = await hanging();
    const script = `
      import { auditLog } from ${JSON.stringify(AUDIT)};
      await auditLog(${JSON.stringify(log.url)}, { stateFile: ${JSON.stringify(log.state)}, stateEveryMs: 1, threads: 1 });`;
    const { child, out } = start(['--input-type=module', '-e', script]);
    await log.stuck;
    await until(() => existsSync(log.state), out);
    child.kill('SIGKILL');
    await ended(child);
    expect(out()).toBe('');
    await goesOn(log);
  });
});

it('takes the same memory for a log of any size', async () => {
  const peakOf = async (bundles: number): Promise<number> => {
    const dir = tempDir();
    FakeLog.empty('static.test').writeSame(dir, bundles, 600);
    const script = `
      import { auditLog } from ${JSON.stringify(AUDIT)};
      const report = await auditLog(${JSON.stringify(dir)}, { threads: 2 });
      if (report.corruption || report.entries !== ${bundles * 256}) throw new Error(JSON.stringify(report));
      console.log(process.resourceUsage().maxRSS);`;
    const { child, out } = start(['--input-type=module', '-e', script]);
    expect(await ended(child), out()).toBe(0);
    return Number(out());
  };
  // 30 MB of bundles, and 225 MB; `npm run test:long` takes 900 MB.
  const many = process.env.TEST_LONG === undefined ? 1500 : 6000;
  const [small, large] = [await peakOf(200), await peakOf(many)];
  expect(large - small, `${small} and ${large} KiB`).toBeLessThan(32 * 1024);
});
