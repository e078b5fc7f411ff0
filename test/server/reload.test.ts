/** SIGHUP and changed certificates, against a real process with real TLS connections. */
import { mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseVerifierKey } from '../../merkle/note.ts';
import { issue } from '../merkle/x509/make.ts';
import { tempDir } from '../support/log.ts';
import { type ServeProcess, startServer } from '../support/serve.ts';
import { keyPem, newAuthority, pemOf } from '../support/tls-server.ts';
import { policyOf, TestWitness } from '../support/witness.ts';

const authority = newAuthority('reload.test');

let dir: Awaited<ReturnType<typeof tempDir>>;
let server: ServeProcess | undefined;
let witnesses: TestWitness[] = [];
const at = (name: string) => join(dir.path, name);

beforeEach(async () => {
  dir = await tempDir();
});
afterEach(async () => {
  await server?.kill();
  server = undefined;
  for (const witness of witnesses.splice(0)) await witness.stop();
  await dir.remove();
});

/** A certificate and its key, in PEM. */
function makePair() {
  const leaf = issue({ name: 'localhost', by: authority, keyUsage: 0x80, usages: ['1.3.6.1.5.5.7.3.1'] });
  return { cert: pemOf(leaf), key: keyPem(leaf), der: leaf.certificate.der };
}

const writePair = async (pair: { cert: string; key: string }, place = dir.path) => {
  await writeFile(join(place, 'cert.pem'), pair.cert);
  await writeFile(join(place, 'tls-key.pem'), pair.key, { mode: 0o600 });
};

/** The certificate that a new connection gets. */
function served(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: 'localhost', port: Number(new URL(url).port), rejectUnauthorized: false }, () => {
      resolve(Buffer.from(socket.getPeerCertificate().raw).toString('base64'));
      socket.end();
    });
    socket.on('error', reject);
  });
}
const base64 = (der: Uint8Array) => Buffer.from(der).toString('base64');

async function start(config: string, args: readonly string[] = []): Promise<ServeProcess> {
  await writeFile(at('stele.yaml'), config);
  server = await startServer(at('data'), {
    args: ['--config', at('stele.yaml'), ...args, '--log-format', 'json', '--log-level', 'info'],
  });
  return server;
}

const ready = async (process: ServeProcess) =>
  (await (await fetch(`${process.adminUrl}/readyz`)).json()) as { ready: boolean; alarms?: string[] };
const metric = async (process: ServeProcess, name: string) =>
  (await (await fetch(`${process.adminUrl}/metrics`)).text()).split('\n').find((line) => line.startsWith(name));
const alarms = async (process: ServeProcess) => ((await ready(process)).alarms ?? []).join('\n');

const TLS = () => `tls: { cert: ${at('cert.pem')}, key: ${at('tls-key.pem')} }\n`;

describe('TLS files', () => {
  it('are read anew on SIGHUP, and a pair that does not fit keeps the one before', async () => {
    const [first, second] = [makePair(), makePair()];
    await writePair(first);
    const log = await start(TLS());
    expect(await served(log.url)).toBe(base64(first.der));
    expect(await metric(log, 'stele_tls_certificate_not_after_timestamp_seconds')).toMatch(/ [1-9]/);
    await writeFile(at('cert.pem'), second.cert);
    log.signal('SIGHUP');
    await expect.poll(() => alarms(log)).toContain(at('tls-key.pem'));
    expect(await metric(log, 'stele_config_reload_failed')).toBe('stele_config_reload_failed 1');
    expect(log.log()).toContain(at('cert.pem'));
    expect(await served(log.url)).toBe(base64(first.der));
    await writeFile(at('tls-key.pem'), second.key, { mode: 0o600 });
    log.signal('SIGHUP');
    await expect.poll(() => served(log.url)).toBe(base64(second.der));
    await expect.poll(() => alarms(log)).toBe('');
    expect(await metric(log, 'stele_config_reload_failed')).toBe('stele_config_reload_failed 0');
    // A file that is gone, or is no certificate.
    for (const [change, says] of [
      [() => rm(at('cert.pem')), 'is not there'],
      [() => writeFile(at('cert.pem'), 'half a certif'), 'not a certificate chain'],
    ] as const) {
      await change();
      log.signal('SIGHUP');
      await expect.poll(() => alarms(log)).toContain(says);
      expect(await served(log.url)).toBe(base64(second.der));
    }
    expect(log.running()).toBe(true);
  });

  it('are read anew when they change, behind symbolic links as well', async () => {
    const pairs = [makePair(), makePair(), makePair()] as const;
    for (const [i, pair] of pairs.entries()) {
      await mkdir(at(`${i}`));
      await writePair(pair, at(`${i}`));
    }
    // As Kubernetes mounts a secret: a link to a directory is replaced, and two links go through it.
    await symlink('0', at('now'));
    for (const name of ['cert.pem', 'tls-key.pem']) await symlink(join('now', name), at(name));
    const log = await start(TLS());
    expect(await served(log.url)).toBe(base64(pairs[0].der));
    for (const i of [1, 2] as const) {
      await symlink(`${i}`, at('next'));
      await rename(at('next'), at('now'));
      await expect.poll(() => served(log.url)).toBe(base64(pairs[i].der));
    }
    expect(log.log()).toContain('another certificate is in use');
    // Half of a pair stays half: an alarm, and the pair before.
    await writeFile(at('2/tls-key.pem'), makePair().key);
    await expect.poll(() => alarms(log)).toContain(at('tls-key.pem'));
    expect(await served(log.url)).toBe(base64(pairs[2].der));
    await writeFile(at('2/tls-key.pem'), pairs[2].key);
    await expect.poll(() => alarms(log)).toBe('');
  });
});

describe('the policy', () => {
  it('is read anew on SIGHUP: a changed quorum is logged, and decides about what waits', async () => {
    // The witnesses must know the log's key, which another log has made.
    const made = await startServer(at('other'));
    const key = parseVerifierKey(made.verifierKeys[0]!);
    expect(await made.stop()).toBe(0);
    witnesses = await Promise.all(['alice', 'bob'].map((name) => new TestWitness(name, key).start()));
    const [alice, bob] = witnesses as [TestWitness, TestWitness];
    await alice.stop();
    await writeFile(at('policy'), policyOf([alice], 1));
    const log = await start(`entries: raw\npolicy: ${at('policy')}\nkey: { file: ${at('other/key.pem')} }\n`);
    const added = fetch(`${log.url}/add`, { method: 'POST', body: 'an entry' });
    await expect.poll(() => ready(log)).toMatchObject({ ready: false });
    for (const [policy, says] of [
      ['quorum nobody\n', 'nobody'],
      [`witness alice ${alice.policyLine.split(' ')[2]}\nquorum alice\n`, 'cannot be reached'],
    ] as const) {
      await writeFile(at('policy'), policy);
      log.signal('SIGHUP');
      await expect.poll(() => alarms(log)).toContain(says);
      expect(await alarms(log)).toContain('the policy was not taken');
    }
    await writeFile(at('policy'), policyOf([alice, bob], 'any'));
    log.signal('SIGHUP');
    await expect.poll(() => ready(log)).toMatchObject({ ready: true });
    expect((await ready(log)).alarms).toBeUndefined();
    expect((await added).status).toBe(200);
    await expect.poll(async () => (await fetch(`${log.url}/checkpoint`)).text()).toContain('bob.test');
    const line = log
      .log()
      .split('\n')
      .find((text) => text.includes('the quorum of the policy has changed'))!;
    expect(JSON.parse(line)).toMatchObject({
      before: { quorum: '1 of (alice)' },
      after: { quorum: '1 of (alice, bob)' },
    });
  });
});

describe('the configuration', () => {
  it('is read anew on SIGHUP: limits take effect, and what needs a restart is named', async () => {
    const log = await start('entries: raw\nlimits: { urlBytes: 512B }\n');
    const long = () => fetch(`${log.url}/checkpoint?${'x'.repeat(600)}`).then(({ status }) => status);
    const add = (i: number) =>
      fetch(`${log.url}/add`, { method: 'POST', body: `entry ${i}` }).then(({ status }) => status);
    expect([await long(), await add(1)]).toEqual([414, 200]);
    await writeFile(
      at('stele.yaml'),
      'entries: raw\nlimits: { urlBytes: 1KiB, headerBytes: 32KiB }\nrateLimit: { max: 3 }\nretryAfter: 7s\nbatch: { maxSize: 5 }\n',
    );
    log.signal('SIGHUP');
    await expect.poll(() => log.log()).toContain('SIGHUP: read again');
    const lines = log
      .log()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.find(({ msg }) => String(msg).includes('restart'))).toMatchObject({
      settings: ['limits.headerBytes', 'batch.maxSize'].sort((a, b) => (a < b ? 1 : -1)).sort(),
    });
    expect(lines.find(({ msg }) => msg === 'SIGHUP: read again')).toMatchObject({
      changed: expect.arrayContaining(['limits.urlBytes', 'rateLimit.max', 'retryAfter']),
    });
    const statuses = [await long(), await add(2), await add(3), await add(4)];
    expect(statuses[0]).not.toBe(414);
    expect(statuses.at(-1)).toBe(429);
  });

  it('stays as it is where the file cannot be used, and the error names the file', async () => {
    const log = await start('entries: raw\n');
    for (const [text, says] of [
      ['limits: { urlBytes: many }\n', 'limits.urlBytes'],
      ['entries: [raw\n', at('stele.yaml')],
      ['no.such.setting: 1\n', 'no.such.setting'],
    ] as const) {
      await writeFile(at('stele.yaml'), text);
      log.signal('SIGHUP');
      await expect.poll(() => alarms(log)).toContain(says);
      expect(await metric(log, 'stele_config_reload_failed')).toBe('stele_config_reload_failed 1');
    }
    expect(await metric(log, 'stele_config_reloads_total{result="failed"}')).toMatch(/ 3$/);
    await writeFile(at('stele.yaml'), 'entries: raw\n');
    log.signal('SIGHUP');
    await expect.poll(() => alarms(log)).toBe('');
    expect((await fetch(`${log.url}/add`, { method: 'POST', body: 'still here' })).status).toBe(200);
  });
});

describe('SIGHUP', () => {
  it('never ends the process: many at once, and while the log closes', async () => {
    const log = await start('entries: raw\n');
    for (let i = 0; i < 50; i++) log.signal('SIGHUP');
    await expect.poll(() => log.log()).toContain('SIGHUP: read again');
    expect((await fetch(`${log.url}/add`, { method: 'POST', body: 'entry' })).status).toBe(200);
    const stopped = log.stop();
    for (let i = 0; i < 50; i++) log.signal('SIGHUP');
    expect(await stopped).toBe(0);
  });

  it('does not end a process that still starts, which then reads its configuration again', async () => {
    await writeFile(at('stele.yaml'), 'entries: raw\n');
    const early = startServer(at('data'), {
      args: ['--config', at('stele.yaml'), '--log-level', 'info'],
      onSpawn: (child) => {
        // The first bytes on stderr say that the program runs; Node alone dies of the signal.
        child.stderr?.once('data', () => child.kill('SIGHUP'));
      },
    });
    server = await early;
    await expect.poll(() => server!.log()).toContain('SIGHUP: read again');
    expect(await readFile(at('stele.yaml'), 'utf8')).toBe('entries: raw\n');
  });
});
