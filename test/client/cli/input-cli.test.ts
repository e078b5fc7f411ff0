import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatBundle } from '../../../client/formats/bundle.ts';
import { formatPublicKeyPem } from '../../../client/formats/key.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { CLI, run, type ServeProcess, startServer, stele } from '../../support/serve.ts';
import { skips } from '../../support/skip.ts';
import { digestsOf, hex, messageBundle, testKey, text } from '../verify/verify-parts.ts';

const file = text('hello');
const key = testKey();
const log = FakeLog.empty();
const bundle = formatBundle(messageBundle(file, key, log));
const pem = formatPublicKeyPem(key.info);
const NO_FIFO = spawnSync('mkfifo', ['--version']).error === undefined ? undefined : 'there is no mkfifo';
let dir: string;
let server: ServeProcess;

const at = (name: string) => join(dir, name);
const refused = (code: number, why: string) => ({ code, stdout: '', stderr: expect.stringContaining(why) });
const TRUST = ['--log-key', log.vkey];
const verify = (input: string | Uint8Array, ...args: readonly string[]) =>
  stele(['verify', ...args, ...TRUST], { cwd: dir, input });
/** A command in bash, with `stele` as it is here. */
const bash = (command: string) =>
  run('bash', ['-c', `stele() { "${process.execPath}" "${CLI}" "$@"; }; ${command}`], { cwd: dir });

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'stele-input-'));
  writeFileSync(at('app'), file);
  writeFileSync(at('app.sigstore.json'), bundle);
  writeFileSync(at('key.pub'), pem);
  if (NO_FIFO === undefined) spawnSync('mkfifo', [at('fifo')]);
  server = await startServer(at('log'));
}, 60_000);
afterAll(async () => {
  await server.stop();
  rmSync(dir, { recursive: true });
});

describe('standard input', () => {
  it('is the file, the bundle, the key or the list', async () => {
    const asFile = await verify(file, '-', '--bundle', 'app.sigstore.json', '--key', 'key.pub');
    expect(asFile).toMatchObject({ code: 0, stderr: '' });
    expect(asFile.stdout).toContain('OK: standard input is signed');
    expect(await verify(bundle, 'app', '--bundle', '-', '--key', 'key.pub')).toMatchObject({ code: 0, stderr: '' });
    expect(await verify(pem, 'app', '--key', '-')).toMatchObject({ code: 0, stderr: '' });
    const list = `${hex(digestsOf(file).sha256)}  app\n`;
    expect(await verify(list, '--checksums', '-', '--key', 'key.pub')).toMatchObject({ code: 0, stderr: '' });
  });

  it('is held to what a file is held to', async () => {
    const asFile = ['-', '--bundle', 'app.sigstore.json', '--key', 'key.pub'];
    expect(await verify('other', ...asFile)).toMatchObject(refused(1, '[digest-mismatch]'));
    expect(await verify('', ...asFile)).toMatchObject(refused(1, 'standard input is empty'));
    expect(await verify(Buffer.alloc(65 * 1024, 'x'), 'app', '--key', '-')).toMatchObject(
      refused(2, 'standard input is larger than 65536 bytes, the most that a key may have'),
    );
    expect(await verify('', 'app', '--bundle', '-', '--key', 'key.pub')).toMatchObject(refused(1, 'is empty'));
    expect(await verify(`${'0'.repeat(64)} x\n`, '--checksums', '-', '--key', 'key.pub')).toMatchObject(
      refused(2, 'line 1 of the list standard input'),
    );
  });

  it('is given once, and has no name for a bundle', async () => {
    for (const args of [
      ['-', '--bundle', '-', '--key', 'key.pub'],
      ['app', '--bundle', '-', '--key', '-'],
      ['-', '-', '--key', 'key.pub'],
      ['app', '--key', '-', '--trusted-root', '-'],
    ]) {
      expect(await verify('', ...args), args.join(' ')).toMatchObject(refused(2, 'is read once'));
    }
    expect(await verify(file, '-', '--key', 'key.pub')).toMatchObject(refused(2, 'give --bundle'));
    const sign = (...args: readonly string[]) => stele([...args, '--log', server.url], { cwd: dir, input: file });
    expect(await sign('sign', '-', '--new-key', 'new.pem')).toMatchObject(refused(2, 'give --out'));
    expect(await sign('sign', '-', '--out', 'x', '--tlog-proof')).toMatchObject(refused(2, 'leave out --tlog-proof'));
    expect(await sign('sign', '-', '--out', 'x')).toMatchObject(refused(2, 'say which key'));
    const attest = ['attest', '-', '--predicate', 'p.json', '--type', 'link', '--key', 'k', '--out', 'x'];
    expect(await sign(...attest)).toMatchObject(refused(2, 'the statement about it'));
    expect(await sign('attest', '--statement', '-', '--key', 'k')).toMatchObject(refused(2, 'give --out'));
    expect(await sign('submit', '-')).toMatchObject(refused(2, 'give --out'));
    expect(existsSync(at('-.sigstore.json'))).toBe(false);
    expect(existsSync(at('-.key.pem'))).toBe(false);
  });

  it('may be a file that a shell has opened, and a file called - is ./-', async () => {
    writeFileSync(at('-'), file);
    const how = `--bundle app.sigstore.json --key key.pub --log-key '${log.vkey}'`;
    expect(await bash(`stele verify - ${how} < app`)).toMatchObject({ code: 0, stderr: '' });
    expect(await bash(`stele verify ./- ${how} < /dev/null`)).toMatchObject({ code: 0, stderr: '' });
    expect(await bash(`stele verify - ${how} < /dev/null`)).toMatchObject({ code: 1 });
    expect(await bash(`stele verify - ${how} <&-`)).toMatchObject({ code: 1 });
  });

  it('signs, and its key may come through it', async () => {
    writeFileSync(at('p.json'), '{"a":1}');
    const how = ['--log', server.url, '--log-key', server.verifierKeys[0]!];
    const made = await stele(
      ['sign', '-', '--new-key', 'own.pem', '--public-out', 'own.pub', '--out', 'in.json', ...how],
      {
        cwd: dir,
        input: file,
      },
    );
    expect(made).toMatchObject({ code: 0, stdout: expect.stringContaining('Signed standard input') });
    const own = readFileSync(at('own.pem'));
    const attested = await stele(['attest', 'app', '--predicate', 'p.json', '--type', 'link', '--key', '-', ...how], {
      cwd: dir,
      input: own,
    });
    expect(attested).toMatchObject({ code: 0 });
    const trust = ['--key', 'own.pub', '--log-key', server.verifierKeys[0]!];
    for (const [path, ...args] of [['in.json'], ['app.link.sigstore.json', '--type', 'link', '--subject', 'app']]) {
      const ran = await stele(['verify', 'app', '--bundle', path!, ...args, ...trust], { cwd: dir });
      expect(ran, path).toMatchObject({ code: 0, stderr: '' });
    }
  });
});

describe('a pipe', () => {
  const NO_BASH = spawnSync('bash', ['-c', ': <(:)']).status === 0 ? undefined : 'there is no bash';

  it.skipIf(skips('pipes of bash', NO_BASH))('of a shell is a file, a bundle and a key', async () => {
    const how = `--log-key '${log.vkey}'`;
    const all = `stele verify <(cat app) --bundle <(cat app.sigstore.json) --key <(cat key.pub) ${how}`;
    expect(await bash(all)).toMatchObject({ code: 0, stderr: '' });
    expect(await bash(all.replace('cat app)', 'echo other)'))).toMatchObject({ code: 1 });
    expect(await bash(all.replace('cat key.pub', 'head -c 100000 /dev/zero'))).toMatchObject(
      refused(2, 'is larger than 65536 bytes'),
    );
    // A file that others can read is no place for a private key. A pipe has no such mode.
    const own = await stele(['keygen', '--algorithm', 'ecdsa-p256', '--out', 'piped.pem'], { cwd: dir });
    expect(own.code).toBe(0);
    chmodSync(at('piped.pem'), 0o644);
    const sign = (path: string) => `stele sign app --key ${path} --out piped.json --log ${server.url}`;
    expect(await bash(sign('piped.pem'))).toMatchObject({ code: 2, stderr: expect.stringContaining('chmod 600') });
    expect(await bash(sign('<(cat piped.pem)'))).toMatchObject({ code: 0 });
  });

  it.skipIf(skips('named pipes', NO_FIFO))('with a name is waited for, and read to its end', async () => {
    for (const args of [
      ['app', '--bundle', 'fifo', '--key', 'key.pub'],
      ['fifo', '--bundle', 'app.sigstore.json', '--key', 'key.pub'],
    ]) {
      const ran = verify('', ...args);
      const writer = await open(at('fifo'), 'w');
      const whole = args[0] === 'fifo' ? file : bundle;
      await writer.write(whole.subarray(0, 3));
      await writer.write(whole.subarray(3));
      await writer.close();
      expect(await ran, args.join(' ')).toMatchObject({ code: 0, stderr: '' });
    }
  });

  it.skipIf(skips('named pipes', NO_FIFO))(
    'that nobody writes to ends with SIGINT, as standard input does',
    async () => {
      const begin = (...args: readonly string[]) => {
        const child = spawn(process.execPath, [CLI, 'verify', ...args, ...TRUST], { cwd: dir });
        let err = '';
        child.stderr.on('data', (part) => {
          err += part;
        });
        return { child, ended: once(child, 'close').then(([code]) => ({ code, err })) };
      };
      for (const args of [
        ['app', '--bundle', 'fifo', '--key', 'key.pub'],
        ['app', '--key', 'fifo'],
        ['fifo', '--bundle', 'app.sigstore.json', '--key', 'key.pub'],
      ]) {
        const { child, ended } = begin(...args);
        // This open resolves when the other side has opened the pipe.
        const writer = await open(at('fifo'), 'w');
        child.kill('SIGINT');
        expect(await ended, args.join(' ')).toEqual({ code: 130, err: expect.stringContaining('[cancelled]') });
        await writer.close();
      }
      const { child, ended } = begin('-', '--bundle', 'app.sigstore.json', '--key', 'key.pub');
      // More than any pipe holds: the other side has begun to read.
      await new Promise((resolve) => child.stdin.write(Buffer.alloc(4 * 1024 * 1024), resolve));
      child.kill('SIGINT');
      expect(await ended).toEqual({ code: 130, err: expect.stringContaining('[cancelled]') });
    },
  );
});
