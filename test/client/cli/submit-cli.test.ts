/** `stele submit` as `npm run build` made it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { run } from '../../../client/cli/main.ts';
import { parseBundle } from '../../../client/formats/bundle.ts';
import { lockDir } from '../../../merkle/runtime/disk/lock.ts';
import { tempDir } from '../../support/log.ts';
import { pae, sharedSigner } from '../../support/requests.ts';
import { CLI, stele } from '../../support/serve.ts';
import { answers, away, type Fault, type FaultyLog, faultyLog } from '../submit/faulty-log.ts';

const signer = sharedSigner();
const TYPE = 'application/vnd.in-toto+json';
let dir: string;
let remove: () => Promise<void>;
let log: FaultyLog;

beforeEach(async () => {
  ({ path: dir, remove } = await tempDir());
  log = await faultyLog();
  writeFileSync(join(dir, 'pub.pem'), signerPem());
  writeFileSync(join(dir, 'f.sig'), signer.sign(Buffer.from('f')));
});
afterEach(async () => {
  await log.close();
  await remove();
});

function signerPem(): string {
  return `-----BEGIN PUBLIC KEY-----\n${signer.spki
    .toString('base64')
    .match(/.{1,64}/g)!
    .join('\n')}\n-----END PUBLIC KEY-----\n`;
}
const digest = signer.digest(Buffer.from('f')).toString('hex');
const plain = ['--digest', digest, '--signature', 'f.sig', '--key', 'pub.pem'];
const submit = (...args: readonly string[]) => stele(['submit', ...args], { cwd: dir });
const toLog = () => ['--log', log.url, '--log-key', log.vkey];
const at = (name: string) => parseBundle(readFileSync(join(dir, name)));

function envelope(count = 1): object {
  const payload = Buffer.from('{}');
  const signatures = Array.from({ length: count }, () => ({ sig: signer.sign(pae(TYPE, payload)).toString('base64') }));
  return { payload: payload.toString('base64'), payloadType: TYPE, signatures };
}

describe('stele submit', () => {
  it('logs a digest with its signature, and takes the word of the log for its key with a warning', async () => {
    const { code, stdout, stderr } = await submit(...plain, '--log', log.url, '--json');
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining(log.vkey) });
    expect(JSON.parse(stdout)).toMatchObject({
      ok: true,
      entries: [{ state: 'done', out: 'f.sig.sigstore.json', index: 0 }],
    });
    expect(at('f.sig.sigstore.json').entries).toHaveLength(1);
  });

  it('completes a bundle in place, and writes one for each signature of an envelope', async () => {
    const certificate = { rawBytes: signer.certificate().toString('base64') };
    const dsse = {
      mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
      verificationMaterial: { certificate },
      dsseEnvelope: envelope(),
    };
    writeFileSync(join(dir, 'b.json'), JSON.stringify(dsse));
    expect(await submit('b.json', ...toLog())).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringContaining('entry 0'),
    });
    expect(at('b.json').entries).toHaveLength(1);
    expect(await submit('b.json', ...toLog())).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('[unsupported]: b.json'),
    });

    writeFileSync(join(dir, 'e.json'), JSON.stringify(envelope(2)));
    expect(await submit('e.json', ...toLog())).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^stele: error \[usage\]: e.json: .*--key/),
    });
    expect(await submit('e.json', '--key', 'pub.pem', ...toLog())).toMatchObject({ code: 0 });
    expect(
      [at('e.json.1.sigstore.json'), at('e.json.2.sigstore.json')].map(({ entries }) => entries[0]!.index),
    ).toEqual([1, 2]);
  });

  it('fails with the reason, and writes nothing', async () => {
    log.otherwise = away;
    const { code, stderr } = await submit(...plain, ...toLog(), '--timeout', '1');
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('error [network]') });
    log.otherwise = answers(400, { code: 3, message: 'not that' });
    expect(await submit(...plain, ...toLog())).toMatchObject({ code: 1, stderr: expect.stringContaining('not that') });
    expect(existsSync(join(dir, 'f.sig.sigstore.json'))).toBe(false);
  });

  it.each([
    ['nothing', []],
    ['no log', plain],
    ['no queue to flush', ['--flush']],
    ['a queue that is not there', ['--flush', '--queue', 'none']],
    ['a digest alone', ['--digest', digest, '--log', 'http://localhost']],
    ['a digest that is none', ['--digest', 'xy', ...plain.slice(2), '--log', 'http://localhost']],
    ['files and a digest', ['f', ...plain, '--log', 'http://localhost']],
    ['--wait alone', [...plain, '--wait', '--log', 'http://localhost']],
    ['--status of a log', ['--status', '--queue', 'q', '--log', 'http://localhost']],
    ['--flush to an output', ['--flush', '--queue', 'q', '--out', 'x']],
    ['--status with more', [...plain, '--status', '--queue', 'q']],
    ['a missing file', ['nofile', '--log', 'http://localhost']],
    ['a key that is none', ['--digest', digest, '--signature', 'f.sig', '--key', 'f.sig', '--log', 'http://localhost']],
    ['a log that is none', [...plain, '--log', 'ftp://localhost']],
  ])('is not tried with %s', async (_what, args) => {
    const path = (arg: string) => (['f.sig', 'pub.pem', 'none'].includes(arg) ? join(dir, arg) : arg);
    const stderr = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    // In this process: a dozen others would take longer than all the rest.
    const status = await run(['submit', ...args.map(path)]);
    const said = stderr.mock.calls.join('');
    stderr.mockRestore();
    expect({ status, said }).toEqual({
      status: 2,
      said: expect.stringMatching(/^stele: error \[(usage|file|key)\]: /),
    });
  });
});

/** Refuses every call that holds this digest. */
function refusing(bad: Buffer): Fault {
  return async (request, reply, pass, seen) => {
    if (seen.body.includes(bad.toString('base64')))
      return answers(400, { code: 3, message: 'not that' })(request, reply, pass, seen);
    const { status, headers, body } = await pass();
    reply.writeHead(status, headers).end(body);
  };
}

describe('of six files of which the log refuses one', () => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f'];

  it('stele submit logs the other five', async () => {
    const certificate = { rawBytes: signer.certificate().toString('base64') };
    for (const name of names) {
      const artifact = Buffer.from(name);
      const digest = signer.digest(artifact).toString('base64');
      const bundle = {
        mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
        verificationMaterial: { certificate },
        messageSignature: {
          messageDigest: { algorithm: 'SHA2_256', digest },
          signature: signer.sign(artifact).toString('base64'),
        },
      };
      writeFileSync(join(dir, `${name}.json`), JSON.stringify(bundle));
    }
    log.otherwise = refusing(signer.digest(Buffer.from('b')));
    const { code, stdout } = await submit(...names.map((name) => `${name}.json`), ...toLog(), '--json');
    expect(code).toBe(1);
    const { entries } = JSON.parse(stdout);
    expect(entries.map(({ state }: { state: string }) => state)).toEqual(
      names.map((name) => (name === 'b' ? 'refused' : 'done')),
    );
    expect(names.filter((name) => at(`${name}.json`).entries.length === 1)).toEqual(['a', 'c', 'd', 'e', 'f']);
  });

  it('stele sign logs the other five', async () => {
    for (const name of names) writeFileSync(join(dir, name), name);
    log.otherwise = refusing(signer.digest(Buffer.from('b')));
    const { code, stdout, stderr } = await stele(['sign', ...names, '--new-key', 'key.pem', ...toLog(), '--json'], {
      cwd: dir,
    });
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('[refused]: b: ') });
    expect(JSON.parse(stdout)).toMatchObject({ logged: 5, failed: 1 });
    expect(names.filter((name) => existsSync(join(dir, `${name}.sigstore.json`)))).toEqual(['a', 'c', 'd', 'e', 'f']);
  });
});

describe('stele submit --queue', () => {
  it('asks no log, and says later what became of the entry', async () => {
    log.otherwise = away;
    expect(await submit(...plain, ...toLog(), '--queue', 'q')).toMatchObject({ code: 0, stderr: '' });
    expect(log.seen).toEqual([]);
    expect(await submit('--status', '--queue', 'q')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('1 waiting'),
    });

    const failed = await submit('--flush', '--queue', 'q', '--timeout', '1', '--json');
    expect(failed.code).toBe(1);
    expect(JSON.parse(failed.stdout)).toMatchObject({
      ok: false,
      entries: [{ state: 'pending', error: { code: 'network' } }],
    });

    log.otherwise = undefined;
    expect(await submit('--flush', '--queue', 'q')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('entry 0 of'),
    });
    expect(at('f.sig.sigstore.json').entries).toHaveLength(1);
    const status = JSON.parse((await submit('--status', '--queue', 'q', '--json')).stdout);
    expect(status).toMatchObject({
      ok: true,
      pending: [],
      done: [{ index: 0, out: join(dir, 'f.sig.sigstore.json') }],
    });
  });

  it('keeps what the log refuses, and says so with status 1', async () => {
    log.otherwise = answers(400, { code: 3, message: 'not that' });
    expect(await submit(...plain, ...toLog(), '--queue', 'q', '--flush')).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^refused .*not that/),
    });
    expect(await submit('--status', '--queue', 'q')).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('not that'),
    });
  });

  it('waits with --wait until the log is back', async () => {
    await submit(...plain, ...toLog(), '--queue', 'q');
    log.otherwise = away;
    const { child, ended, out } = flushing('--wait');
    await expect.poll(() => log.seen.length, { timeout: 10_000 }).toBeGreaterThan(1);
    log.otherwise = undefined;
    expect(await ended).toEqual([0, null]);
    expect(out()).toContain('entry 0 of');
    expect(child.killed).toBe(false);
  });

  it('ends at SIGINT, and keeps the entry', async () => {
    await submit(...plain, ...toLog(), '--queue', 'q');
    log.otherwise = away;
    const { child, ended } = flushing('--wait');
    await expect.poll(() => log.seen.length, { timeout: 10_000 }).toBeGreaterThan(1);
    child.kill('SIGINT');
    expect(await ended).toEqual([130, null]);
    log.otherwise = undefined;
    expect(await submit('--flush', '--queue', 'q')).toMatchObject({ code: 0 });
  });

  it('names who holds the queue', async () => {
    await submit(...plain, ...toLog(), '--queue', 'q');
    const lock = await lockDir(join(dir, 'q'));
    expect(await submit('--flush', '--queue', 'q')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(`process ${process.pid}`),
    });
    await lock.release();
  });

  function flushing(...args: readonly string[]): { child: ChildProcess; ended: Promise<unknown[]>; out: () => string } {
    const child = spawn(process.execPath, [CLI, 'submit', '--flush', '--queue', 'q', ...args], {
      cwd: dir,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let out = '';
    child.stdout!.on('data', (text) => {
      out += text;
    });
    return { child, ended: once(child, 'close'), out: () => out };
  }
});
