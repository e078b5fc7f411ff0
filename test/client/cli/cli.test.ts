import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

/** What `npm run build` made: the command line as users run it. */
const STELE = fileURLToPath(new URL('../../../dist/client/cli/main.js', import.meta.url));

interface Ran {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

let dir: string;
let server: ChildProcess;
let log: { url: string; vkey: string };

function stele(args: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(process.execPath, [STELE, ...args], { cwd: dir, env: { ...process.env, ...env } }, (error, out, err) => {
      resolve({ status: error === null ? 0 : Number(error.code), out, err });
    });
  });
}

const json = (ran: Ran) => JSON.parse(ran.out);
const logArgs = () => ['--log', log.url, '--log-key', log.vkey];
const verifyArgs = (file: string) => ['verify', file, '--key', `${file}.pub.pem`, '--log-key', log.vkey];

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'stele-cli-'));
  server = spawn(
    process.execPath,
    [STELE, 'serve', '--json', '--origin', 'localhost', '--listen-port', '0', '--admin-port', '0'],
    { cwd: dir },
  );
  let out = '';
  let err = '';
  server.stderr!.on('data', (text) => (err += text));
  const started = await new Promise<string>((resolve, reject) => {
    server.stdout!.on('data', (text) => {
      out += text;
      if (out.endsWith('}\n')) resolve(out);
    });
    server.on('exit', () => reject(new Error(`the log did not start: ${err}`)));
  });
  const { url, verifierKeys } = JSON.parse(started);
  log = { url, vkey: verifierKeys[0] };
});

afterAll(async () => {
  if (server.exitCode === null) {
    const ended = new Promise((resolve) => server.on('exit', resolve));
    server.kill('SIGTERM');
    await ended;
  }
  rmSync(dir, { recursive: true });
});

describe('stele sign and stele verify', () => {
  it('make a key, log the signature and check the proof', async () => {
    writeFileSync(join(dir, 'app.tgz'), 'hello');
    const signed = await stele(['sign', 'app.tgz', ...logArgs(), '--json']);
    expect(signed.err).toContain('made a key');
    expect(json(signed)).toMatchObject({ ok: true, index: 0, log: { origin: 'localhost', trustedOnFirstUse: false } });
    expect(statSync(join(dir, 'app.tgz.key.pem')).mode & 0o777).toBe(0o600);

    const verified = await stele(verifyArgs('app.tgz'));
    expect(verified).toMatchObject({ status: 0, err: '' });
    expect(verified.out).toContain('OK: app.tgz is signed');
    expect(verified.out).toContain('Not proven');
  });

  it('give the same entry when run again', async () => {
    writeFileSync(join(dir, 'again'), 'again');
    const first = json(await stele(['sign', 'again', ...logArgs(), '--json']));
    const key = readFileSync(join(dir, 'again.key.pem'));
    const second = json(await stele(['sign', 'again', ...logArgs(), '--json']));
    expect(second.index).toBe(first.index);
    expect(second.leafHash).toBe(first.leafHash);
    expect(readFileSync(join(dir, 'again.key.pem'))).toEqual(key);
  });

  it("warn where the log's own word is taken for its key", async () => {
    writeFileSync(join(dir, 'trusting'), 'trusting');
    const signed = await stele(['sign', 'trusting', '--log', log.url]);
    expect(signed.status).toBe(0);
    expect(signed.err).toContain('warning');
    expect(signed.err).toContain(log.vkey);
  });

  it('take a key of keygen, encrypted, and never print it', async () => {
    writeFileSync(join(dir, 'pass'), 'correct horse\n', { mode: 0o600 });
    await stele(['keygen', '--algorithm', 'ecdsa-p256', '--out', 'k.pem', '--passphrase-file', 'pass']);
    writeFileSync(join(dir, 'enc'), 'enc');
    const args = ['sign', 'enc', ...logArgs(), '--key', 'k.pem'];
    const signed = await stele([...args, '--passphrase-env', 'P', '--public-out', 'enc.pub.pem'], {
      P: 'correct horse',
    });
    expect(signed.status).toBe(0);
    expect(signed.out + signed.err).not.toContain('correct horse');
    expect((await stele(verifyArgs('enc'))).status).toBe(0);
    expect(await stele(args)).toMatchObject({ status: 2, err: expect.stringContaining('[passphrase]') });
    const wrong = await stele([...args, '--passphrase-env', 'P'], { P: 'wrong horse' });
    expect(wrong).toMatchObject({ status: 2, err: expect.stringContaining('[passphrase]') });
    expect(wrong.err).not.toContain('wrong horse');
  });

  it('exit with 1 where something does not hold, and 2 where it could not be tried', async () => {
    writeFileSync(join(dir, 'other'), 'other');
    const mixed = ['--bundle', 'app.tgz.sigstore.json', '--key', 'app.tgz.pub.pem', '--log-key', log.vkey];
    const failed = await stele(['verify', 'other', ...mixed, '--json']);
    expect(failed.status).toBe(1);
    expect(json(failed)).toMatchObject({ ok: false, error: { code: 'digest-mismatch' } });
    expect(failed.err).toMatch(/^stele: error \[digest-mismatch\]: .*\n$/);

    const usage: [string[], string][] = [
      [['verify', 'none', ...mixed], 'file'],
      [['verify', 'app.tgz'], 'usage'],
      [['verify', 'app.tgz', '--key', 'app.tgz.key.pem', '--log-key', log.vkey], 'key'],
      [['verify', 'app.tgz', '--key', 'app.tgz.pub.pem', '--log-key', 'x'], 'log-key'],
      [['sign', 'none', ...logArgs()], 'file'],
      [['sign', 'app.tgz', '--log', 'nonsense'], 'usage'],
      [['sing'], 'usage'],
      [['serve', '--batch-max-agee', '1ms'], 'usage'],
      [['serve', '--batch-max-age', '1'], 'config'],
    ];
    for (const [args, code] of usage) {
      const ran = await stele(args);
      expect(ran, args.join(' ')).toMatchObject({
        status: 2,
        err: expect.stringContaining(`stele: error [${code}]: `),
      });
      expect(ran.err, args.join(' ')).not.toContain('    at ');
    }
  });

  it('show where an error came from only when asked', async () => {
    const ran = await stele(['verify', 'none', '--key', 'none', '--log-key', log.vkey], { STELE_DEBUG: '1' });
    expect(ran.err).toContain('    at ');
  });

  it('make no key for what cannot be signed', async () => {
    mkdirSync(join(dir, 'folder'));
    for (const file of ['folder', 'none']) {
      expect(await stele(['sign', file, ...logArgs()]), file).toMatchObject({ status: 2 });
      expect(existsSync(join(dir, `${file}.key.pem`)), file).toBe(false);
    }
  });

  it('do not overwrite the public key of another signature', async () => {
    writeFileSync(join(dir, 'mine'), 'mine');
    writeFileSync(join(dir, 'mine.pub.pem'), readFileSync(join(dir, 'app.tgz.pub.pem')));
    const ran = await stele(['sign', 'mine', ...logArgs()]);
    expect(ran).toMatchObject({ status: 2, err: expect.stringContaining('not overwritten') });
  });
});

describe('stele', () => {
  // A process for each; on a busy machine that takes minutes.
  it('shows help with examples for every command', { timeout: 600_000 }, async () => {
    const commands = [[], ['serve'], ['keygen'], ['sign'], ['verify'], ['completion'], ['log']];
    const inner = ['check', 'export', 'freeze', 'backup', 'restore'].map((name) => ['log', name]);
    for (const args of [...commands, ...inner]) {
      const ran = await stele([...args, '--help']);
      expect(ran, args.join(' ')).toMatchObject({ status: 0, err: '', out: expect.stringMatching(/Examples?:/) });
    }
  });

  it('refuses a directory that a running log holds, and says who holds it', async () => {
    const ran = await stele(['log', 'check', 'data']);
    expect(ran).toMatchObject({ status: 2, err: expect.stringContaining(`process ${server.pid}`) });
  });

  it('backs up and exports a running log; the copies check out', async () => {
    expect((await stele(['log', 'backup', 'copy', '--data', 'data'])).status).toBe(0);
    expect((await stele(['log', 'export', 'static', '--data', 'data'])).status).toBe(0);
    expect(json(await stele(['log', 'check', 'copy', '--json']))).toMatchObject({ ok: true, kind: 'backup' });
    expect(json(await stele(['log', 'check', 'static', '--log-key', log.vkey, '--json']))).toMatchObject({
      kind: 'static',
    });
  });

  it('freezes nothing unasked where there is no terminal to ask on', async () => {
    const ran = await stele(['log', 'freeze', '--data', 'data']);
    expect(ran).toMatchObject({ status: 2, err: expect.stringContaining('add --yes') });
  });

  it('completes commands and flags', async () => {
    const { out } = await stele(['completion', 'bash']);
    const complete = (words: string) =>
      new Promise<string>((resolve) => {
        const script = `${out}\nCOMP_WORDS=(${words}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _stele; echo "\${COMPREPLY[*]}"`;
        execFile('bash', ['-c', script], (_, text) => resolve(text.trim()));
      });
    expect(await complete('stele se')).toBe('serve search');
    expect(await complete('stele log ch')).toBe('check');
    expect(await complete('stele completion z')).toBe('zsh');
    expect(await complete('stele serve --batch-max-a')).toBe('--batch-max-age');
    expect(await complete('stele sign --log-')).toBe('--log-key');
    for (const shell of ['zsh', 'fish']) expect((await stele(['completion', shell])).out).toContain('batch-max-age');
  });

  it('closes in order at SIGTERM, and the key stays', async () => {
    const ended = new Promise<number | null>((resolve) => server.on('exit', resolve));
    server.kill('SIGTERM');
    expect(await ended).toBe(0);
    expect(json(await stele(['log', 'check', 'data', '--json']))).toMatchObject({ ok: true, kind: 'data' });
  });
});
