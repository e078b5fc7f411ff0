/**
 * The README's walks, as they are written. The test puts its own addresses, ports and keys in the place of those that the
 * README shows, and starts `stele up` itself. test/client/examples.test.ts has the examples of docs/.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tempDir } from '../support/log.ts';
import { CLI, run, stele } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';
import { keyPem, newAuthority, pemOf } from '../support/tls-server.ts';
import { until } from '../support/until.ts';

const ROOT = join(import.meta.dirname, '../..');
const noCosign = skips("the README's example of cosign", lacking('cosign'));
const noKeyless = skips("the README's walk without keys", lacking('cosign', 'openssl', 'curl'));
const noSvids = skips("the README's walk of writers", lacking('openssl'));
const noHsm = skips("the README's walk with an HSM", lacking('softhsm2-util'));
const NPX = 'npx --no-install stele';

let dir: Awaited<ReturnType<typeof tempDir>>;
let home: Awaited<ReturnType<typeof tempDir>>;
let blocks: string[];
let running: { readonly child: ChildProcess; out: string }[] = [];
const at = (...names: string[]) => join(dir.path, ...names);

beforeAll(async () => {
  dir = await tempDir();
  home = await tempDir();
  const text = await readFile(join(ROOT, 'README.md'), 'utf8');
  blocks = [...text.matchAll(/^```\w*\n([\s\S]*?)^```/gm)].map(([, code]) => code!);
  // As after `npm ci && npm start` in a checkout.
  await Promise.all([mkdir(at('node_modules', '.bin'), { recursive: true }), mkdir(at('docs'))]);
  await symlink(CLI, at('node_modules', '.bin', 'stele'));
  await writeFile(at('package.json'), '{"name":"checkout"}\n');
  await writeFile(at('docs', 'operation.md'), '# Operation\n');
  await writeFile(at('README.md'), text);
  for (const script of ['docs/webhook-receiver.mjs', 'docs/identity-stand-ins.mjs']) {
    await copyFile(join(ROOT, script), at(script));
  }
});
afterAll(async () => {
  await stopAll();
  await dir.remove();
  await home.remove();
});

/** The block of the README that begins with these words. */
function block(begin: string): string {
  const found = blocks.find((code) => code.startsWith(begin));
  expect(found, begin).toBeDefined();
  return found!;
}

/** The clients keep what they follow in a home of the test. */
const sh = (script: string) =>
  run('sh', ['-ec', script], { cwd: dir.path, env: { HOME: home.path, TUF_ROOT: '', XDG_DATA_HOME: '' } });

/** Starts a command that runs on. A group of its own: npx does not end what it has started. */
function start(script: string): { readonly child: ChildProcess; out: string } {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('STELE_')));
  const child = spawn('sh', ['-ec', script], { cwd: dir.path, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const one = { child, out: '' };
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding('utf8').on('data', (part: string) => {
      one.out += part;
    });
  }
  running.push(one);
  return one;
}

async function stopAll(): Promise<void> {
  for (const { child } of running) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const ended = once(child, 'close');
    process.kill(-child.pid!, 'SIGTERM');
    await ended;
  }
  running = [];
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await once(server.close(), 'close');
  return port;
}

describe('the README', () => {
  let started: {
    url: string;
    verifierKeys: string[];
    index: { url: string; outputLogs: [{ url: string }] };
    explorer: string;
  };

  async function up(): Promise<void> {
    const free = '--listen-port 0 --admin-port 0 --witness-port 0';
    const one = start(`exec ${process.execPath} ${CLI} up --json --data data --log-level warn ${free}`);
    started = await until(
      () => {
        const json = /^\{\n[\s\S]*?^\}$/m.exec(one.out)?.[0];
        return json === undefined ? undefined : (JSON.parse(json) as typeof started);
      },
      () => one.out,
    );
  }
  beforeAll(up);

  /** The text with the addresses and the key of the test. */
  const here = (text: string) =>
    text
      .replaceAll('http://localhost:3000', started.url)
      .replaceAll('http://localhost:3400', started.index.url)
      .replaceAll('http://localhost:3402', started.index.outputLogs[0].url)
      .replaceAll('http://127.0.0.1:3000', started.url.replace('localhost', '127.0.0.1'))
      .replaceAll('localhost+1a2b3c4d+AbCd…', `'${started.verifierKeys[0]!}'`);
  const example = (begin: string) => sh(here(block(begin)));

  it('signs and verifies', async () => {
    const ran = await example(`${NPX} sign docs/operation.md`);
    expect(ran).toMatchObject({ code: 0, stdout: expect.stringContaining('OK: operation.md is signed') });
    expect(ran.stdout).toContain(`  ${NPX} verify `);
  });

  it('finds it again, compares all that the index says, and shows it on a page', async () => {
    const ran = await until(async () => {
      const found = await example(`${NPX} search --index`);
      return found.stdout.includes('1 hit; each is in the log') && found.stdout.includes('OK: the index of') && found;
    });
    expect(ran, ran.stderr).toMatchObject({ code: 0, stdout: expect.stringContaining('1 hit; each is in the log') });
    expect(started.explorer).toBe(here('http://localhost:3000/explorer/'));
    expect((await fetch(started.explorer)).status).toBe(200);
  });

  it.skipIf(noCosign)('verifies with cosign', async () => {
    expect(await example('cosign verify-blob')).toMatchObject({ code: 0 });
    await writeFile(at('docs', 'operation.md'), '# operation\n');
    expect((await example('cosign verify-blob')).code).not.toBe(0);
  });

  it('audits, and finds the byte that the operator changes', async () => {
    expect(await example('mkdir -p walk && for i in $(seq 300)')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('300 verified'),
    });
    const { code, stderr } = await example(`${NPX} log export walk-copy`);
    expect(code).toBe(1);
    expect(stderr).toMatch(/entry \d+/);
  });

  it.skipIf(noCosign)('replaces the key, and cosign and Stele follow', async () => {
    const followed = await example('cosign initialize');
    // cosign ends with 0 also where it could not fetch a target.
    expect(followed, followed.stderr).toMatchObject({ code: 0, stderr: expect.not.stringContaining('WARNING') });
    const first = await example("echo 'release 1'");
    expect(first, first.stderr).toMatchObject({ code: 0, stdout: expect.stringContaining('OK: walk-1.txt is signed') });
    const rotated = await example(`${NPX} log rotate`);
    expect(rotated, rotated.stderr).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('"localhost" is frozen, and "127.0.0.1" takes entries'),
    });
    const second = await example("echo 'release 2'");
    expect(second, second.stderr).toMatchObject({ code: 0 });
    for (const name of ['walk-1.txt', 'walk-2.txt']) expect(second.stdout).toContain(`OK: ${name} is signed`);
    expect(second.stderr.match(/Verified OK/g)).toHaveLength(2);
    const next = started.url.replace('localhost', '127.0.0.1');
    expect(await (await fetch(`${next}/checkpoint`)).text()).toMatch(/^127\.0\.0\.1\n2\n/);
  });

  it('begins anew, watches the log, and has evidence of a lie', async () => {
    await stopAll();
    const [remove] = block('rm -rf data').split('\n');
    await sh(remove!);
    expect((await readdir(dir.path)).sort()).toEqual(['README.md', 'docs', 'node_modules', 'package.json']);
    await up();

    const port = await freePort();
    const mine = (text: string) => here(text).replaceAll('127.0.0.1:8080', `127.0.0.1:${port}`);
    const receiver = start(block('openssl rand').replace(/^(node .*)$/m, `exec $1 ${port}`));
    await until(
      () => receiver.out.includes('waiting for alerts'),
      () => receiver.out,
    );
    const monitor = start(mine(block('cat > monitor.yaml')).replace(`\n${NPX}`, `\nexec ${NPX}`));
    await until(
      () => monitor.out.includes('Alerts go to'),
      () => monitor.out,
    );

    const thief = await example('openssl req -x509');
    expect(thief, thief.stderr).toMatchObject({ code: 0 });
    const id = await until(
      () => /unexpected: [^\n]*\n {2}alert (\w+)/.exec(receiver.out)?.[1],
      () => receiver.out + monitor.out,
    );
    expect(await sh(block(`${NPX} monitor ack ID`).replace(' ID ', ` ${id} `))).toMatchObject({ code: 0 });

    const lines = mine(blocks.filter((code) => code.startsWith('mkdir -p walk')).at(-1)!);
    const [before, verify] = [
      lines.replace(/^npx.*verify --evidence.*\n/m, ''),
      /^npx.*verify --evidence.*$/m.exec(lines)![0],
    ];
    // The monitor that finds something ends with 1.
    const found = await sh(before);
    expect(found, found.stderr).toMatchObject({ code: 1, stdout: expect.stringContaining('FOUND') });
    await until(
      () => receiver.out.includes('bad-entry: '),
      () => receiver.out,
    );
    const proven = await sh(verify);
    expect(proven, proven.stderr).toMatchObject({ code: 0 });
  });

  it.skipIf(noKeyless)('signs without keys, and cosign, Stele and the monitor find what they expect', async () => {
    await stopAll();
    await sh(block('rm -rf data').split('\n')[0]!);
    await up();
    const [ca, admin, standIns] = [await freePort(), await freePort(), await freePort()];
    const mine = (text: string) =>
      here(text)
        .replaceAll('localhost:3300', `localhost:${ca}`)
        .replaceAll('localhost:4000', `localhost:${standIns}`)
        .replace('data: walk-ca-data', `data: walk-ca-data\nlisten: { port: ${ca} }\nadmin: { port: ${admin} }`);

    const team = await sh(mine(block(`${NPX} keygen --algorithm ecdsa-p256 --out walk-root.pem`)));
    expect(team, team.stderr).toMatchObject({ code: 0, stdout: expect.stringContaining('its proof was checked') });
    const others = start(`exec ${block('node docs/identity-stand-ins.mjs').trimEnd()} ${standIns}`);
    await until(
      () => others.out.includes('issuer http'),
      () => others.out,
    );
    const serving = block(`${NPX} keygen --algorithm ecdsa-p256 --out walk-ct.pem`);
    const authority = start(mine(serving.replace(`\n${NPX} ca serve`, `\nexec ${NPX} ca serve`)));
    await until(
      () => authority.out.includes('The authority issues certificates'),
      () => authority.out,
    );

    const script = block(`${NPX} ca trust`);
    expect(script).not.toContain('insecure');
    const signed = await sh(mine(script));
    expect(signed, signed.stderr).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('OK: README.md is signed'),
      stderr: expect.stringContaining('Verified OK'),
    });
    const seen = await sh(mine(block('cat > monitor-ca.yaml')));
    expect(seen, seen.stderr).toMatchObject({ code: 0, stderr: expect.stringContaining('nothing was found') });
    // The monitor has looked at them: somebody else is not what it expects.
    const token = await fetch(`http://localhost:${standIns}/token?email=intern@example.org`);
    await writeFile(at('walk-token'), await token.text());
    const trust = '--signing-config data/trust/signing_config.v0.2.json --trusted-root data/trust/trusted_root.json';
    const other = await sh(`${NPX} sign README.md --identity-token walk-token ${trust} --out walk-intern.json`);
    expect(other, other.stderr).toMatchObject({ code: 0 });
    expect(await sh(`${NPX} monitor --config monitor-ca.yaml --once`)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('signed by intern@example.org'),
    });
  });
});

it.skipIf(noSvids)(
  'the README has a log that refuses the workload of another trust domain, with the reason',
  async () => {
    const [port, admin] = [await freePort(), await freePort()];
    const mine = (text: string) => text.replaceAll('3443', String(port)).replaceAll('3444', String(admin));
    const serving = mine(block("ec='-newkey")).replace(`\n${NPX} serve`, `\nexec ${NPX} serve`);
    const log = start(serving);
    await until(
      () => log.out.includes('The log "internal.example.org" listens on'),
      () => log.out,
    );
    const script = mine(block(`${NPX} sign README.md --new-key`));
    const refused = await sh(script);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('status 403') });
    expect(refused.stderr).toContain('no rule lets spiffe://other.example/build/main log an entry');
    const written = await sh(script.replaceAll('other.example', 'build.example.org'));
    expect(written, written.stderr).toMatchObject({ code: 0, stdout: expect.stringContaining('entry 0 of 1') });
    await stopAll();
  },
);

it.skipIf(noHsm)('the README puts the key into an HSM', async () => {
  const walk = block('export SOFTHSM2_CONF');
  const serve = walk.indexOf(`${NPX} serve`);
  const free = '--listen-port 0 --admin-port 0 --log-level warn';
  const log = start(`${walk.slice(0, serve)}exec ${walk.slice(serve).trimEnd()} ${free}`);
  await until(
    () => /The log "localhost" listens on/.test(log.out),
    () => log.out,
  );
  const url = /listens on (http:\S+)/.exec(log.out)![1]!;
  const vkey = /^ {2}(localhost\+\S+)$/m.exec(log.out)![1]!;
  await writeFile(at('app'), 'the release');
  expect(await stele(['sign', 'app', '--log', url, '--log-key', vkey], { cwd: dir.path })).toMatchObject({ code: 0 });
  await stopAll();
});

it('the README runs a log with TLS, and writes what others need', async () => {
  const by = newAuthority('log.example.com');
  await writeFile(at('cert.pem'), pemOf(by));
  await writeFile(at('key.pem'), keyPem(by), { mode: 0o600 });
  const config = block('# stele.yaml')
    .replaceAll('/etc/stele/', `${dir.path}/`)
    .replace('/var/lib/stele', at('served'))
    .replace('host: 0.0.0.0, port: 443', 'port: 0');
  await writeFile(at('stele.yaml'), `${config}admin: { port: 0 }\nlog: { level: warn }\n`);
  const [serve, trust] = block(`${NPX} serve --config`).trimEnd().split('\n');
  const log = start(`exec ${serve}`);
  await until(
    () => log.out.includes('The log "log.example.com" is at https://log.example.com'),
    () => log.out,
  );
  expect(await sh(trust!)).toMatchObject({ code: 0, stdout: expect.stringContaining('trusted_root.json') });
  await stopAll();
});
