/** `stele sign` and `stele attest`, as `npm run build` made them: into a queue, and without a log. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { run } from '../../../client/cli/main.ts';
import { parseBundle } from '../../../client/formats/bundle.ts';
import { tempDir } from '../../support/log.ts';
import { stele } from '../../support/serve.ts';
import { away, type FaultyLog, faultyLog } from '../submit/faulty-log.ts';

let dir: string;
let remove: () => Promise<void>;
let log: FaultyLog;

beforeEach(async () => {
  ({ path: dir, remove } = await tempDir());
  log = await faultyLog();
  for (const name of ['a', 'b']) writeFileSync(join(dir, name), name);
  writeFileSync(join(dir, 'p.json'), '{"builder":{"id":"https://builder.test"}}');
});
afterEach(async () => {
  await log.close();
  await remove();
});

const cli = (...args: readonly string[]) => stele(args, { cwd: dir });
const toLog = () => ['--log', log.url, '--log-key', log.vkey];
const at = (name: string) => parseBundle(readFileSync(join(dir, name)));
const verify = (file: string, ...more: readonly string[]) =>
  cli('verify', file, '--key', `${file}.pub.pem`, '--log-key', log.vkey, ...more);
const attest = (...more: readonly string[]) =>
  cli('attest', 'a', '--predicate', 'p.json', '--type', 'slsaprovenance1', '--key', 'a.key.pem', ...more);

describe('stele sign --no-log', () => {
  it('writes a bundle that stele submit completes, and that does not verify before', async () => {
    const signed = await cli('sign', 'a', '--no-log', '--json');
    expect(signed).toMatchObject({ code: 0 });
    expect(JSON.parse(signed.stdout)).toEqual({
      ok: true,
      file: 'a',
      bundle: 'a.sigstore.json',
      publicKey: 'a.pub.pem',
      logged: false,
    });
    expect(log.seen).toEqual([]);
    expect(at('a.sigstore.json')).toMatchObject({ version: '0.3', entries: [], content: { kind: 'message' } });
    expect(await verify('a')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/\[bad-proof\].*holds no log entry.*stele submit/),
    });

    // As the output says.
    const { stdout } = await cli('sign', 'a', '--no-log');
    const line = /^ {2}.* (submit .*) --log /m.exec(stdout)![1]!;
    expect(await cli(...line.split(' '), ...toLog())).toMatchObject({ code: 0, stderr: '' });
    expect(at('a.sigstore.json').entries).toHaveLength(1);
    expect(await verify('a')).toMatchObject({ code: 0, stderr: '' });
  });

  it('does not replace a proof', async () => {
    await cli('sign', 'a', ...toLog());
    const before = readFileSync(join(dir, 'a.sigstore.json'));
    expect(await cli('sign', 'a', '--no-log')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/\[file\].*holds the proof of a log entry, and is not replaced/),
    });
    expect(readFileSync(join(dir, 'a.sigstore.json'))).toEqual(before);
  });

  it('signs many, and says which failed', async () => {
    const { code, stdout, stderr } = await cli('sign', 'a', 'none', 'b', '--no-log', '--new-key', 'k.pem', '--json');
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('[file]: none') });
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({
      ok: false,
      signed: 2,
      failed: 1,
      files: [{ ok: true }, { ok: false }, { ok: true }],
    });
    expect([at('a.sigstore.json'), at('b.sigstore.json')].map(({ entries }) => entries)).toEqual([[], []]);
  });
});

describe('stele attest --no-log', () => {
  it('writes a bundle that stele submit completes', async () => {
    await cli('sign', 'a', '--no-log');
    expect(await attest('--no-log')).toMatchObject({ code: 0 });
    const bundle = 'a.slsaprovenance1.sigstore.json';
    expect(at(bundle)).toMatchObject({ entries: [], content: { kind: 'dsse' } });
    expect(await cli('submit', bundle, '--key', 'a.pub.pem', ...toLog())).toMatchObject({ code: 0 });
    expect(await verify('a', '--bundle', bundle)).toMatchObject({ code: 0 });
  });
});

describe('stele sign --queue', () => {
  it('asks no log; the flush writes the proof to the bundle of the file', async () => {
    log.otherwise = away;
    const signed = await cli('sign', 'a', ...toLog(), '--queue', 'q', '--json');
    expect(signed).toMatchObject({ code: 0 });
    const [entry] = JSON.parse(signed.stdout).entries;
    expect(entry).toMatchObject({ state: 'queued', out: join(dir, 'a.sigstore.json'), log: log.url });
    expect(log.seen).toEqual([]);
    expect(existsSync(join(dir, 'a.sigstore.json'))).toBe(false);
    expect(await cli('submit', '--status', '--queue', 'q')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('1 waiting'),
    });

    expect(await cli('submit', '--flush', '--queue', 'q', '--timeout', '1')).toMatchObject({ code: 1 });
    log.otherwise = undefined;
    expect(await cli('submit', '--flush', '--queue', 'q')).toMatchObject({ code: 0 });
    expect(await verify('a')).toMatchObject({ code: 0, stderr: '' });
  });

  it('queues the same file once', async () => {
    for (const state of ['queued', 'already-queued']) {
      const { stdout } = await cli('sign', 'a', ...toLog(), '--queue', 'q', '--json');
      expect(JSON.parse(stdout).entries).toEqual([expect.objectContaining({ state })]);
    }
  });

  it('queues many files and attestations, and says which failed', async () => {
    const many = await cli('sign', 'a', 'none', 'b', '--new-key', 'a.key.pem', ...toLog(), '--queue', 'q', '--json');
    expect(many.code).toBe(1);
    expect(JSON.parse(many.stdout).entries.map(({ state }: { state: string }) => state)).toEqual([
      'queued',
      'failed',
      'queued',
    ]);
    expect(await attest(...toLog(), '--queue', 'q')).toMatchObject({ code: 0 });
    expect(await cli('submit', '--flush', '--queue', 'q')).toMatchObject({ code: 0 });
    const names = ['a.sigstore.json', 'b.sigstore.json', 'a.slsaprovenance1.sigstore.json'];
    expect(names.map((name) => at(name).entries.length)).toEqual([1, 1, 1]);
  });
});

it.each([
  ['neither a log nor --no-log', []],
  ['a log and --no-log', ['--no-log', '--log', 'http://localhost']],
  ['a log after --no-log', ['--log', 'http://localhost', '--no-log']],
  ['a log key and --no-log', ['--no-log', '--log-key', 'localhost+00000000+AA==']],
  ['a policy and --no-log', ['--no-log', '--policy', 'policy']],
  ['a queue and --no-log', ['--no-log', '--queue', 'q']],
  ['a tlog-proof and --no-log', ['--no-log', '--tlog-proof']],
  ['a tlog-proof and a queue', ['--log', 'http://localhost', '--queue', 'q', '--tlog-proof']],
  ['a queue and no log', ['--queue', 'q']],
  ['a passphrase for a key that it makes', ['--no-log', '--passphrase-env', 'P']],
  ['two keys', ['--no-log', '--key', 'k', '--new-key', 'l']],
])('stele sign takes no arguments with %s', async (_what, args) => {
  const stderr = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  // In this process: a process for each would take longer than all the rest.
  const places = args.map((arg) => (arg === 'q' ? join(dir, 'q') : arg));
  const status = await run(['sign', join(dir, 'a'), ...places]);
  const said = stderr.mock.calls.join('');
  stderr.mockRestore();
  expect({ status, said }).toEqual({ status: 2, said: expect.stringMatching(/^stele: error \[(usage|log-key)\]: /) });
  expect([existsSync(join(dir, 'a.key.pem')), existsSync(join(dir, 'q'))]).toEqual([false, false]);
});
