/** What the commands say where a newcomer goes wrong. Built first (`npm test` does). */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseBundle } from '../../../merkle/bundle.ts';
import { leafHash } from '../../../merkle/rfc6962.ts';
import { fastSha256 } from '../../../merkle/runtime/crypto/hash.ts';
import { tempDir } from '../../support/log.ts';
import { printedAtStart, type ServeProcess, startServer, stele, steleJson } from '../../support/serve.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let log: ServeProcess;
let vkey: string;
const at = (...names: string[]) => join(dir.path, ...names);
const cli = (...args: string[]) => stele(args, { cwd: dir.path });

beforeAll(async () => {
  dir = await tempDir();
  log = await startServer(at('data'));
  vkey = log.verifierKeys[0]!;
  writeFileSync(at('app'), 'the release');
  await steleJson(['keygen', '--algorithm', 'ecdsa-p256', '--out', at('key.pem')]);
  const signed = ['sign', 'app', '--key', 'key.pem', '--log', log.url, '--log-key', vkey, '--tlog-proof'];
  expect(await cli(...signed)).toMatchObject({ code: 0 });
});
afterAll(async () => {
  await log.stop();
  await dir.remove();
});

describe('an address where nothing is', () => {
  it('is named in each line, with the reason in words', async () => {
    const url = 'http://nothing.invalid';
    const { code, stderr } = await cli(
      'sign',
      'app',
      '--key',
      'key.pem',
      '--log',
      url,
      '--log-key',
      vkey,
      '--timeout',
      '1',
    );
    expect(code).toBe(1);
    const [first] = stderr.split('\n');
    expect(first).toMatch(
      /^stele: http:\/\/nothing\.invalid: .*(there is no host of that name|cannot be looked up now) \(E[A-Z_]+\); trying again/,
    );
    expect(stderr).toMatch(
      /\[network\]: http:\/\/nothing\.invalid gave no final answer .*does the service there run\?/,
    );
  });

  it('of a time-stamp authority is not said to be that of the log', async () => {
    const key = ['--key', 'key.pem', '--log', log.url, '--log-key', vkey, '--out', 'stamped.json', '--timeout', '1'];
    const { code, stderr } = await cli('sign', 'app', ...key, '--tsa', 'http://nothing.invalid/tsa');
    expect(code).toBe(1);
    expect(stderr).toMatch(/^stele: http:\/\/nothing\.invalid\/tsa: /);
    expect(stderr).not.toMatch(/does the log run/);
  });
});

describe('stele verify', () => {
  it('points at --bundle where the proof is not beside the file', async () => {
    renameSync(at('app.sigstore.json'), at('elsewhere.json'));
    const { code, stderr } = await cli('verify', 'app', '--key', 'key.pub.pem', '--log-key', vkey);
    expect(code).toBe(2);
    expect(stderr).toBe(
      'stele: error [file]: there is no app.sigstore.json, the proof beside the file: give its bundle with --bundle\n',
    );
    const none = await cli('verify', 'app', '--bundle', 'none.json', '--key', 'key.pub.pem', '--log-key', vkey);
    expect(none.stderr).toBe('stele: error [file]: none.json cannot be read: there is no such file\n');
  });

  it('checks a tlog-proof by the key of the log alone, and by no other key', async () => {
    const bundle = new Uint8Array(await (await fetch(`${log.url}/tile/entries/000.p/1`)).arrayBuffer());
    const hash = Buffer.from(leafHash(parseBundle(bundle, 1)[0]!, fastSha256)).toString('hex');
    const other = await steleJson(['keygen', '--out', at('other.pem'), '--origin', 'localhost']);
    const proof = (...more: string[]) => cli('verify', '--tlog-proof', 'app.tlog-proof', ...more);
    const leaf = await proof('--leaf-hash', hash, '--log-key', vkey);
    expect(leaf).toMatchObject({ code: 0, stdout: expect.stringContaining('no quorum of witnesses was asked for') });
    expect(await proof('--leaf-hash', hash, '--log-key', String(other.verifierKey))).toMatchObject({ code: 1 });
    expect(
      await proof('--leaf-hash', hash.replace(/^../, hash.startsWith('00') ? '01' : '00'), '--log-key', vkey),
    ).toMatchObject({ code: 1 });
    expect(await proof('--leaf-hash', hash)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--log-key, or --policy'),
    });
    expect(
      await cli('verify', 'app', '--tlog-proof', 'app.tlog-proof', '--key', 'key.pub.pem', '--log-key', vkey),
    ).toMatchObject({ code: 0 });
  });
});

describe('a log of opaque entries', () => {
  it('sends nobody to stele sign, and says what it is', async () => {
    const flags = ['--data', at('raw'), '--entries', 'raw', '--listen-port', '0', '--admin-port', '0'];
    const { stdout } = await printedAtStart(['serve', '--origin', 'localhost', '--log-level', 'warn', ...flags]);
    expect(stdout).toMatch(/curl --data-binary @\S+ http:\/\/localhost:\d+\/add\n.* audit http/);
    expect(stdout).not.toMatch(/stele sign|main\.js sign| sign /);
    const raw = await startServer(at('raw'), { args: ['--entries', 'raw'] });
    try {
      for (const key of [[], ['--log-key', raw.verifierKeys[0]!]]) {
        const { code, stderr } = await cli(
          'sign',
          'app',
          '--key',
          'key.pem',
          '--log',
          raw.url,
          ...key,
          '--out',
          'raw.json',
        );
        expect(code).toBe(1);
        expect(stderr).toContain(
          `[refused]: ${raw.url} is a log of opaque entries (\`entries: raw\`), which takes no signed ones`,
        );
      }
    } finally {
      await raw.stop();
    }
  });
});

describe('stele audit', () => {
  it('counts the entries before the first bad one', async () => {
    for (let i = 0; i < 3; i++) writeFileSync(at(`file${i}`), `file ${i}`);
    const files = ['file0', 'file1', 'file2'];
    await cli('sign', ...files, '--key', 'key.pem', '--log', log.url, '--log-key', vkey);
    await steleJson(['log', 'export', at('export'), '--data', at('data')]);
    const path = at('export', 'tile', 'entries', '000.p', '4');
    const bytes = readFileSync(path);
    const third = parseBundle(new Uint8Array(bytes), 4)[2]!;
    bytes.writeUInt8(third[20]! ^ 1, bytes.indexOf(third) + 20);
    writeFileSync(path, bytes);
    const { code, stdout } = await cli('audit', 'export', '--log-key', vkey);
    expect(code).toBe(1);
    expect(stdout).toMatch(/first bad .*, entry 2\n {2}before it {3}2 of 4 entries hash into the tree/);
  });

  it('refuses the key of a witness as that of a log, before it looks', async () => {
    const { verifierKey } = await steleJson(['keygen', '--out', at('w.pem'), '--cosigner', 'w.test/w']);
    const { code, stdout, stderr } = await cli('audit', log.url, '--log-key', String(verifierKey));
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/\[log-key\]: .*it is the key of a witness, not of a log/);
  });

  it('calls a certificate-transparency log another kind of log', async () => {
    await steleJson(['log', 'export', at('ct'), '--data', at('data')]);
    // As c2sp.org/static-ct-api has them.
    mkdirSync(at('ct', 'tile', 'data', '000.p'), { recursive: true });
    writeFileSync(at('ct', 'tile', 'data', '000.p', '4'), 'certificates');
    rmSync(at('ct', 'tile', 'entries'), { recursive: true });
    expect(await cli('audit', 'ct', '--log-key', vkey)).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(/\[unsupported\]: .*certificate-transparency log .*another kind of log/),
    });
    // Without them, entries are missing.
    rmSync(at('ct', 'tile', 'data'), { recursive: true });
    expect(await cli('audit', 'ct', '--log-key', vkey)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('[missing]'),
    });

    const rfc6962 = createServer((request, reply) => {
      if (request.url !== '/2026/ct/v1/get-sth') return void reply.writeHead(400).end('bad request\n');
      reply.end(JSON.stringify({ tree_size: 1, timestamp: 1, sha256_root_hash: 'AA==', tree_head_signature: 'AA==' }));
    });
    await new Promise<void>((resolve) => rfc6962.listen(0, '127.0.0.1', resolve));
    try {
      const url = `http://127.0.0.1:${(rfc6962.address() as AddressInfo).port}/2026`;
      expect(await cli('audit', url)).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/\[unsupported\]: .*certificate-transparency log \(RFC 6962\)/),
      });
    } finally {
      rfc6962.close();
    }
  });
});
