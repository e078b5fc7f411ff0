/** `stele trust files`, for a log of one's own and for somebody else's. Built first (`npm test` does). */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseMonitoredLogs } from '../../../client/trust/monitor-config.ts';
import { parseTrustPolicy } from '../../../client/trust/quorum.ts';
import { parseSigningConfig } from '../../../client/trust/signing-config.ts';
import { parseTrustedRoot } from '../../../client/trust/trusted-root.ts';
import { parseVerifierKey } from '../../../merkle/note.ts';
import { tempDir } from '../../support/log.ts';
import { printedAtStart, type ServeProcess, startServer, stele, steleJson } from '../../support/serve.ts';
import { newAuthority, pemOf, tlsServer } from '../../support/tls-server.ts';

const SIGSTORE = ['monitor_config.json', 'signing_config.v0.2.json', 'trusted_root.json', 'trusted_root.v0.2.json'];
const ALL = ['log.example.com.vkey', 'log.vkey', 'monitor.yaml', 'policy', ...SIGSTORE].sort();

let dir: Awaited<ReturnType<typeof tempDir>>;
const at = (...names: string[]) => join(dir.path, ...names);
const read = (...names: string[]) => readFileSync(at(...names));

beforeAll(async () => {
  dir = await tempDir();
  for (const [name, algorithm] of [
    ['own', 'ecdsa-p256'],
    ['second', 'ed25519'],
  ]) {
    await steleJson(['keygen', '--out', at(`${name}.pem`), '--algorithm', algorithm!, '--origin', 'log.example.com']);
  }
});
afterAll(() => dir.remove());

/** A log that was started once, with this configuration. */
async function begun(name: string, lines: string): Promise<string> {
  const config = at(`${name}.yaml`);
  writeFileSync(config, `data: ${name}\nlisten: { port: 0 }\nadmin: { port: 0 }\nlog: { level: warn }\n${lines}`);
  const { stdout, stderr } = await printedAtStart(['serve', '--config', config]);
  expect(stdout, stderr).toContain('The log "');
  return config;
}

describe('of a log of one’s own', () => {
  const KEYS = 'origin: log.example.com\nkey: { file: own.pem }\ned25519Key: { file: second.pem }\n';

  it('name its public address, its keys and its witnesses, and never this machine', async () => {
    const config = await begun('whole', `${KEYS}publicUrl: https://log.example.com\n`);
    const { verifierKey } = await steleJson(['keygen', '--out', at('w.pem'), '--cosigner', 'w.test/w']);
    writeFileSync(at('policy'), `# ours\nwitness w ${verifierKey} http://127.0.0.1:3100\nquorum w\n`);
    const made = await steleJson(['trust', 'files', at('trust'), '--config', config, '--policy', at('policy')]);
    expect(made).toMatchObject({ ok: true, origin: 'log.example.com', url: 'https://log.example.com', sigstore: true });
    expect((await readdir(at('trust'))).sort()).toEqual(ALL);
    const texts = ALL.map((name) => read('trust', name).toString());
    expect(texts.join('')).not.toMatch(/localhost|127\.0\.0\.1/);
    const { logs, witnesses, quorum } = parseTrustPolicy(read('trust', 'policy'));
    expect(logs.map(({ key, url }) => [key.name, key.type, url])).toEqual([
      ['log.example.com', 2, 'https://log.example.com'],
      ['log.example.com', 1, 'https://log.example.com'],
    ]);
    expect(witnesses.map(({ name, url }) => [name, url])).toEqual([['w', undefined]]);
    expect(quorum).toBeDefined();
    const [root, second] = ['trusted_root.json', 'trusted_root.v0.2.json'].map((name) =>
      parseTrustedRoot(read('trust', name)),
    );
    expect(root!.tlogs).toMatchObject([
      { baseUrl: 'https://log.example.com', key: { kind: 'ecdsa-p256' }, validFor: { start: 0 } },
    ]);
    expect(second!.tlogs).toMatchObject([{ operator: 'log.example.com' }]);
    expect(parseSigningConfig(read('trust', 'signing_config.v0.2.json')).rekorTlogUrls).toMatchObject([
      { url: 'https://log.example.com', majorApiVersion: 2 },
    ]);
    expect(parseMonitoredLogs(read('trust', 'monitor_config.json')).rekorLogs).toMatchObject([
      { readUrl: 'https://log.example.com', logOrigin: 'log.example.com' },
    ]);
    expect(parseVerifierKey(read('trust', 'log.vkey').toString().trim()).type).toBe(2);
    expect((await stele(['monitor', '--config', at('trust', 'monitor.yaml'), '--once'])).stderr).not.toContain(
      '[config]',
    );
  });

  it('are not written without its public address, nor over other files, nor for another log', async () => {
    const config = await begun('bare', KEYS);
    const files = (...more: string[]) => stele(['trust', 'files', at('out'), '--config', config, ...more]);
    expect(await files()).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/\[usage\]: `publicUrl` is not set.*--public-url/),
    });
    expect(await files('--public-url', 'http://localhost:3000')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('publicUrl'),
    });
    expect(await files('--public-url', 'https://a.example', '--origin', 'a.example')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('belongs to the log "log.example.com"'),
    });
    expect(await files('--public-url', 'https://a.example', '--valid-from', 'today')).toMatchObject({ code: 2 });
    expect(existsSync(at('out'))).toBe(false);

    const first = await files('--public-url', 'https://log.example.com', '--valid-from', '2026-01-01T00:00:00Z');
    expect(first).toMatchObject({ code: 0, stderr: '' });
    // The same again, with the start of before; another address only if it must.
    expect(await files('--public-url', 'https://log.example.com/')).toMatchObject({ code: 0 });
    const moved = ['--public-url', 'https://elsewhere.example'];
    const before = read('out', 'policy').toString();
    expect(await files(...moved)).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/\[file\].*policy.*--force/),
    });
    expect(read('out', 'policy').toString()).toBe(before);
    expect(await files(...moved, '--force')).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/warning: sigstore-go and cosign look for the name elsewhere.example/),
    });
    expect(parseTrustedRoot(read('out', 'trusted_root.json')).tlogs).toMatchObject([
      { baseUrl: 'https://elsewhere.example', validFor: { start: Date.parse('2026-01-01T00:00:00Z') } },
    ]);
  });

  it('have nothing for Sigstore where it takes opaque entries', async () => {
    const config = await begun('raw', 'origin: raw.example.com\nentries: raw\npublicUrl: https://raw.example.com\n');
    const { code, stdout } = await stele(['trust', 'files', at('raw-trust'), '--config', config]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/tools of Sigstore cannot use this log, so there is no trusted root/);
    expect(stdout).not.toMatch(/cosign verify|verify FILE/);
    expect((await readdir(at('raw-trust'))).sort()).toEqual([
      'log.vkey',
      'monitor.yaml',
      'policy',
      'raw.example.com.vkey',
    ]);
  });

  it('need a log that has begun', async () => {
    const { code, stderr } = await stele([
      'trust',
      'files',
      at('none'),
      '--data',
      at('nothing'),
      '--public-url',
      'https://a.b',
    ]);
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining('holds no log yet') });
    expect(existsSync(at('none'))).toBe(false);
  });
});

describe('of somebody else’s log', () => {
  let server: ServeProcess;
  beforeAll(async () => {
    const keys = ['--key-file', at('own.pem'), '--ed25519-key-file', at('second.pem')];
    server = await startServer(at('other'), { args: keys });
    writeFileSync(at('app'), 'the release');
    await steleJson(['keygen', '--algorithm', 'ecdsa-p256', '--out', at('signer.pem')]);
  });
  afterAll(async () => {
    await server.stop();
  });

  it('are taken by sign, verify, audit and monitor', async () => {
    writeFileSync(at('own.vkey'), `${server.verifierKeys[0]}\n`);
    const keys = ['--log-key', at('own.vkey'), server.verifierKeys[1]!];
    await steleJson(['trust', 'files', at('t'), '--log', server.url, ...keys]);
    const sign = [
      'sign',
      at('app'),
      '--key',
      at('signer.pem'),
      '--signing-config',
      at('t', 'signing_config.v0.2.json'),
    ];
    await steleJson([...sign, '--policy', at('t', 'policy')]);
    for (const trust of [
      ['--policy', at('t', 'policy')],
      ['--trusted-root', at('t', 'trusted_root.json')],
      ['--trusted-root', at('t', 'trusted_root.v0.2.json')],
      ['--log-key', read('t', 'log.vkey').toString().trim()],
    ]) {
      const verified = await stele(['verify', at('app'), '--key', at('signer.pub.pem'), ...trust]);
      expect(verified, trust.join(' ')).toMatchObject({ code: 0 });
    }
    expect(await steleJson(['audit', server.url, '--policy', at('t', 'policy')])).toMatchObject({ ok: true });
    const where = ['audit', 'localhost', '--monitor-config', at('t', 'monitor_config.json')];
    expect(await steleJson([...where, '--log-key', server.verifierKeys[0]!])).toMatchObject({ ok: true });
    const monitor = await stele(['monitor', '--config', at('t', 'monitor.yaml'), '--once', '--from-start']);
    expect(monitor).toMatchObject({ code: 0 });
  });

  it('are not written where the key is not that of the log, or is not given', async () => {
    const files = (...more: string[]) => stele(['trust', 'files', at('wrong'), '--log', server.url, ...more]);
    expect(await files()).toMatchObject({ code: 2, stderr: expect.stringContaining('--log needs --log-key') });
    const other = await steleJson(['keygen', '--out', at('other.pem'), '--origin', 'localhost']);
    expect(await files('--log-key', String(other.verifierKey))).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('[bad-checkpoint]'),
    });
    expect(await files('--log-key', server.verifierKeys[0]!, String(other.verifierKey))).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('does not sign its checkpoint'),
    });
    expect(existsSync(at('wrong'))).toBe(false);
  });

  it('name the public address that the log itself gives, where it is asked on its own machine', async () => {
    const args = ['--key-file', at('second.pem'), '--origin', 'log.example.com'];
    const [named, unnamed] = await Promise.all([
      startServer(at('named'), { args: [...args, '--public-url', 'https://log.example.com'] }),
      startServer(at('unnamed'), { args }),
    ]);
    try {
      const files = (to: string, { url, verifierKeys }: ServeProcess) =>
        stele(['trust', 'files', at(to), '--log', url, '--log-key', verifierKeys[0]!, '--json']);
      expect(JSON.parse((await files('named-trust', named)).stdout)).toMatchObject({ url: 'https://log.example.com' });
      expect(await files('unnamed-trust', unnamed)).toMatchObject({
        code: 2,
        stderr: expect.stringContaining('`publicUrl`'),
      });
    } finally {
      await Promise.all([named.stop(), unnamed.stop()]);
    }
  });

  it('are read over https, from an authority of one’s own', async () => {
    const by = newAuthority('ours');
    writeFileSync(at('ca.pem'), pemOf(by));
    const tls = await tlsServer(server.url, { by });
    try {
      const files = ['trust', 'files', at('https'), '--log', tls.url, '--log-key', server.verifierKeys[0]!];
      expect(await stele(files)).toMatchObject({ code: 1, stderr: expect.stringContaining('--ca') });
      expect(await steleJson([...files, '--ca', at('ca.pem')])).toMatchObject({ url: tls.url });
    } finally {
      await tls.close();
    }
  });
});
