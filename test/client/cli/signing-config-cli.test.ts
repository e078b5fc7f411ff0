/** `--signing-config`, with the built commands and real logs: `npm run build` first. */
import { generateKeyPairSync } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatTrustedRoot } from '../../../client/trust/format-trusted-root.ts';
import { trustedRootOf } from '../../../client/trust/trust-files.ts';
import { parseVerifierKey } from '../../../merkle/note.ts';
import { integer } from '../../merkle/x509/make.ts';
import { makeTimestamp } from '../../merkle/x509/make-timestamp.ts';
import { Instance, type Json } from '../../support/instance.ts';
import { tempDir } from '../../support/log.ts';
import { type ServeProcess, startServer, stele, steleJson } from '../../support/serve.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let logs: [ServeProcess, ServeProcess];
const authority = new Instance('time.example').timeAuthority;
const tsa = createServer(async (request, reply) => {
  const query = await buffer(request);
  const stamp = makeTimestamp({
    ...{ by: authority, message: Buffer.alloc(0), imprint: query.subarray(-35, -3) },
    ...{ time: '20260801120000Z', serial: integer(1, 2), infoMore: [], attributes: (list) => list.slice(0, 2) },
  });
  reply.writeHead(200, { 'content-type': 'application/timestamp-reply' }).end(stamp);
});
let tsaUrl: string;
const at = (name: string) => join(dir.path, name);

beforeAll(async () => {
  dir = await tempDir();
  await new Promise<void>((resolve) => tsa.listen(0, '127.0.0.1', resolve));
  tsaUrl = `http://127.0.0.1:${(tsa.address() as AddressInfo).port}`;
  logs = [await startServer(at('log-a')), await startServer(at('log-b'))];
  const [a, b] = logs.map(({ url, verifierKeys }) => trustedRootOf(url, parseVerifierKey(verifierKeys[0]!), 0, url));
  await writeFile(at('root.json'), formatTrustedRoot({ ...a!, tlogs: [...a!.tlogs, ...b!.tlogs] }, '0.2'));
  await writeFile(at('root-a.json'), formatTrustedRoot(a!, '0.1'));
  for (const name of ['one', 'two']) await writeFile(at(name), name);
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  await writeFile(at('key.pem'), privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
});

afterAll(async () => {
  tsa.close();
  await Promise.all(logs.map((log) => log.stop()));
  await dir.remove();
});

const service = (url: string, more: Json = {}) => ({
  ...{ url, majorApiVersion: 2, validFor: { start: '2026-01-01T00:00:00Z' }, operator: url },
  ...more,
});

/** Options that name a signing configuration with both logs, after `change`. */
async function config(name: string, change: (json: Json) => void = () => {}): Promise<string[]> {
  const json = {
    mediaType: 'application/vnd.dev.sigstore.signingconfig.v0.2+json',
    rekorTlogUrls: logs.map(({ url }) => service(url)),
    rekorTlogConfig: { selector: 'EXACT', count: 2 },
  };
  change(json);
  await writeFile(at(name), JSON.stringify(json));
  return ['--signing-config', at(name)];
}

const bundleOf = async (path: string) => JSON.parse(await readFile(path, 'utf8')).verificationMaterial;
const root = () => ['--trusted-root', at('root.json')];
const sign = (file: string, ...more: string[]) => [
  'sign',
  at(file),
  '--key',
  at('key.pem'),
  '--public-out',
  at('key.pub'),
  ...more,
];

describe('a signing configuration', () => {
  it('gives each signature to so many logs of different operators, once', async () => {
    const both = await config('both.json');
    const signed = await steleJson(sign('one', ...both, ...root()));
    expect(signed).toMatchObject({
      log: { url: logs[0].url, verifierKey: logs[0].verifierKeys[0], trustedOnFirstUse: false },
      moreEntries: [{ log: { url: logs[1].url, verifierKey: logs[1].verifierKeys[0] } }],
    });
    const { tlogEntries } = await bundleOf(at('one.sigstore.json'));
    expect(tlogEntries).toHaveLength(2);
    const verify = ['verify', at('one'), '--key', at('key.pub'), ...root()];
    const verified = await steleJson(verify);
    expect(verified).toMatchObject({ moreEntries: [{ log: { origin: logs[1].origin } }] });
    const again = await steleJson(sign('one', ...both, ...root()));
    expect([again.index, (again.moreEntries as Json)[0].index]).toEqual([
      signed.index,
      (signed.moreEntries as Json)[0].index,
    ]);
    const lines = await stele(sign('one', ...both, ...root()));
    expect(lines.stdout).toMatch(/\nLogged by localhost as entry .*\nAnd by localhost as entry /);
  });

  it('does so for many files, for attestations and for what is signed already', async () => {
    const both = await config('both.json');
    const many = await steleJson(['sign', at('one'), at('two'), '--key', at('key.pem'), ...both, ...root()]);
    expect(many).toMatchObject({ logged: 2, files: [{ moreEntries: [{}] }, { moreEntries: [{}] }] });
    expect((await bundleOf(at('two.sigstore.json'))).tlogEntries).toHaveLength(2);

    await writeFile(at('predicate.json'), '{}');
    const attest = ['attest', at('one'), '--predicate', at('predicate.json'), '--type', 'https://example.com/p'];
    await steleJson([...attest, '--key', at('key.pem'), '--out', at('attested.json'), ...both, ...root()]);
    expect((await bundleOf(at('attested.json'))).tlogEntries).toHaveLength(2);

    const bundle = JSON.parse(await readFile(at('two.sigstore.json'), 'utf8'));
    bundle.verificationMaterial.tlogEntries = [];
    await writeFile(at('unlogged.json'), JSON.stringify(bundle));
    const submit = ['submit', at('unlogged.json'), '--key', at('key.pub'), '--out', at('submitted.json')];
    await steleJson([...submit, ...both, ...root()]);
    const bodies = async (path: string) => (await bundleOf(path)).tlogEntries.map((one: Json) => one.canonicalizedBody);
    expect(await bodies(at('submitted.json'))).toEqual(await bodies(at('two.sigstore.json')));
  });

  it('gives it to the first log with ANY, and only of a valid one of the newest API', async () => {
    const any = await config('any.json', (json) => {
      json.rekorTlogUrls[0].validFor.end = '2026-02-01T00:00:00Z';
      json.rekorTlogUrls.unshift(service('http://localhost:1', { majorApiVersion: 1 }));
      json.rekorTlogConfig = { selector: 'ANY' };
    });
    const signed = await steleJson(sign('two', '--out', at('any-bundle.json'), ...any, ...root()));
    expect(signed).toMatchObject({ log: { url: logs[1].url } });
    expect(signed).not.toHaveProperty('moreEntries');
  });

  it('has the signature stamped by each of its time-stamp authorities', async () => {
    const stamped = await config('stamped.json', (json) => {
      json.rekorTlogConfig = { selector: 'ANY' };
      json.tsaUrls = ['x', 'y', 'z'].map((path) => service(`${tsaUrl}/${path}`, { majorApiVersion: 1 }));
      json.tsaConfig = { selector: 'EXACT', count: 2 };
    });
    await steleJson(sign('one', '--out', at('stamped-bundle.json'), ...stamped, ...root()));
    const { timestampVerificationData } = await bundleOf(at('stamped-bundle.json'));
    expect(timestampVerificationData.rfc3161Timestamps).toHaveLength(2);
    const unlogged = await steleJson(sign('one', '--out', at('unlogged-bundle.json'), '--no-log', ...stamped));
    expect(unlogged).toBeDefined();
    const material = await bundleOf(at('unlogged-bundle.json'));
    expect(material.tlogEntries ?? []).toEqual([]);
    expect(material.timestampVerificationData.rfc3161Timestamps).toHaveLength(2);
  });

  it('is refused before anything is signed where it cannot be followed', async () => {
    const refused = async (...more: string[]) => {
      const { code, stderr } = await stele(sign('two', '--out', at('never.json'), ...more));
      expect(existsSync(at('never.json'))).toBe(false);
      return `${code} ${stderr}`;
    };
    const v1 = await config('v1.json', (json) => {
      for (const one of json.rekorTlogUrls) one.majorApiVersion = 1;
    });
    expect(await refused(...v1)).toMatch(
      /^2 .*error \[signing-config\]: .*names no log that speaks API v2, which Stele speaks/,
    );
    const three = await config('three.json', (json) => (json.rekorTlogConfig.count = 3));
    expect(await refused(...three)).toMatch(
      /^2 .*error \[signing-config\]: .*asks for 3 logs, each of another operator/,
    );
    const one = await config('one-operator.json', (json) => {
      for (const log of json.rekorTlogUrls) log.operator = 'x';
    });
    expect(await refused(...one)).toMatch(/^2 .*has logs of 1 operator/);
    const tsas = await config('tsas.json', (json) => (json.tsaConfig = { selector: 'EXACT', count: 1 }));
    expect(await refused(...tsas)).toMatch(/^2 .*error \[signing-config\]: .*names no time-stamp authority/);
    const both = await config('both.json');
    expect(await refused(...both, '--log', logs[0].url)).toMatch(/^2 .*error \[usage\]: .*leave out --log/);
    expect(await refused(...both, '--tsa', tsaUrl)).toMatch(/^2 .*error \[usage\]: .*leave out --tsa/);
    expect(await refused(...both, '--queue', at('queue'))).toMatch(
      /^2 .*error \[usage\]: .*asks for 2 logs, and --queue/,
    );
    expect(await refused('--signing-config', at('root.json'))).toMatch(/^2 .*error \[signing-config\]: .*mediaType/);
  });
});

describe('a trusted root for what a log answers', () => {
  it('has the log, or its answer is refused', async () => {
    const one = ['--log', logs[0].url, '--trusted-root', at('root-a.json'), '--out', at('rooted.json')];
    expect(await steleJson(sign('one', ...one))).toMatchObject({ log: { url: logs[0].url, trustedOnFirstUse: false } });
    const other = ['--log', logs[1].url, '--trusted-root', at('root-a.json'), '--out', at('other.json')];
    const { code, stderr } = await stele(sign('one', ...other));
    expect([code, stderr]).toEqual([1, expect.stringMatching(/error \[bad-checkpoint\]/)]);
    expect(existsSync(at('other.json'))).toBe(false);
  });

  it('stands alone, and has a key that counts now', async () => {
    const refused = async (...more: string[]) => {
      const { code, stderr } = await stele(sign('one', '--log', logs[0].url, '--out', at('never.json'), ...more));
      return `${code} ${stderr}`;
    };
    expect(await refused(...root(), '--log-key', logs[0].verifierKeys[0]!)).toMatch(/^2 .*error \[usage\]: .*keep one/);
    const ended = JSON.parse(await readFile(at('root-a.json'), 'utf8'));
    ended.tlogs[0].publicKey.validFor.end = '2026-01-01T00:00:00Z';
    await writeFile(at('ended.json'), JSON.stringify(ended));
    expect(await refused('--trusted-root', at('ended.json'))).toMatch(
      /^2 .*error \[trusted-root\]: .*no log whose key counts now/,
    );
  });
});

describe('a monitor configuration for an audit', () => {
  it('says where the log of an origin is read', async () => {
    const [log] = logs;
    const rekorLogs = [{ readUrl: log.url, logOrigin: log.origin, majorApiVersion: 2 }];
    await writeFile(at('monitor_config.json'), JSON.stringify({ rekorLogs }));
    const audit = (origin: string) =>
      stele([
        'audit',
        origin,
        '--monitor-config',
        at('monitor_config.json'),
        '--log-key',
        log.verifierKeys[0]!,
        '--json',
      ]);
    const good = await audit(log.origin);
    expect([good.code, JSON.parse(good.stdout)]).toMatchObject([0, { ok: true, source: `${log.url}/api/v2` }]);
    const { code, stderr } = await audit('other.example');
    expect([code, stderr]).toEqual([2, expect.stringMatching(/error \[monitor-config\]: .*it names: localhost/)]);
  });
});
