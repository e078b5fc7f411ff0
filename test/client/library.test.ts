/** The library as its users have it: packed, found by its name, and checked by their compiler. */
import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exitStatus } from '../../client/cli/report.ts';
import { CLIENT_ERRORS, ClientError, type ClientErrorCode } from '../../client/errors.ts';
import { tempDir } from '../support/log.ts';
import { hashedRekordRequest, sharedSigner } from '../support/requests.ts';
import { type FaultyLog, faultyLog } from './submit/faulty-log.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

describe('each error code', () => {
  const codes = Object.entries(CLIENT_ERRORS);

  it('is documented where it is declared', () => {
    const documented = [...read('client/errors.ts').matchAll(/^ {2}'?([a-z-]+)'?: \d+, \/\/ \S/gm)].map(
      (match) => match[1],
    );
    expect(documented.sort()).toEqual(codes.map(([code]) => code).sort());
  });

  it('has the exit status that the command line ends with', () => {
    for (const [code, status] of codes) {
      expect(exitStatus(new ClientError(code as ClientErrorCode, 'why')), code).toBe(status);
    }
  });

  it('is in docs/library.md, with its exit status', () => {
    const table = read('docs/library.md').slice(read('docs/library.md').indexOf('## Errors'));
    const rows = [...table.matchAll(/^\| `([a-z-]+)` \| (\d+) \| \S/gm)].map((match) => [match[1]!, Number(match[2])]);
    expect(rows.sort()).toEqual(codes.sort());
  });
});

describe('the package', () => {
  let dir: string;
  let remove: () => Promise<void>;
  let log: FaultyLog;

  beforeAll(async () => {
    ({ path: dir, remove } = await tempDir());
    log = await faultyLog();
    const { stdout } = await run('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', dir], {
      cwd: ROOT,
    });
    const modules = join(dir, 'node_modules');
    mkdirSync(join(modules, 'stele'), { recursive: true });
    await run('tar', ['xzf', join(dir, stdout.trim()), '-C', join(modules, 'stele'), '--strip-components=1']);
    // What npm would install beside it.
    for (const name of readdirSync(join(ROOT, 'node_modules'))) {
      if (name !== 'stele' && !name.startsWith('.')) symlinkSync(join(ROOT, 'node_modules', name), join(modules, name));
    }
    writeFileSync(join(dir, 'package.json'), '{"type":"module"}');
  });
  afterAll(async () => {
    await log.close();
    await remove();
  });

  it('is imported by its name, submits and verifies', async () => {
    const signer = sharedSigner();
    const artifact = Buffer.from('artifact');
    const { digest, signature } = hashedRekordRequest(signer, artifact).hashedRekordRequestV002;
    const input = {
      url: log.url,
      vkey: log.vkey,
      spki: signer.spki.toString('base64'),
      digest: Buffer.from(digest).toString('base64'),
      signature: Buffer.from(signature.content).toString('base64'),
    };
    writeFileSync(join(dir, 'program.js'), PROGRAM);
    const { stdout, stderr } = await run(process.execPath, ['program.js', JSON.stringify(input)], { cwd: dir });
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual({ index: 0, verified: true, refused: 'digest-mismatch', size: 1, silent: true });
  });

  it('has types that a strict compiler takes, and does what docs/library.md shows', async () => {
    writeFileSync(join(dir, 'program.ts'), TYPED);
    const examples = [...read('docs/library.md').matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code]) => code);
    expect(examples.length).toBeGreaterThan(1);
    writeFileSync(join(dir, 'examples.ts'), examples.join('\n'));
    const options = {
      module: 'nodenext',
      target: 'es2023',
      strict: true,
      noEmit: true,
      types: ['node'],
      exactOptionalPropertyTypes: true,
    };
    writeFileSync(
      join(dir, 'tsconfig.json'),
      JSON.stringify({ compilerOptions: options, files: ['program.ts', 'examples.ts'] }),
    );
    const tsc = join(ROOT, 'node_modules', '.bin', 'tsc');
    const { stdout } = await run(tsc, ['-p', dir], { cwd: dir }).catch((error: { stdout: string }) => error);
    expect(stdout).toBe('');
  });
});

const PROGRAM = `
import { LogClient, fromDigest, keyVerifier, parseBundle, parseLogKey, parseSpki, verifyBundle } from 'stele';
const input = JSON.parse(process.argv[2]);
const bytes = (name) => new Uint8Array(Buffer.from(input[name], 'base64'));
let silent = true;
const { write } = process.stdout;
process.stdout.write = process.stderr.write = () => { silent = false; return true; };
const logKey = parseLogKey(input.vkey);
const client = new LogClient(input.url, { logKey });
const { entry, bundle } = await client.submit(fromDigest(bytes('digest'), bytes('signature'), keyVerifier(bytes('spki'))));
const request = { bundle: parseBundle(bundle), artifact: { sha256: bytes('digest') }, key: parseSpki(bytes('spki')), logKey };
const verified = verifyBundle(request).checks.length > 0;
let refused;
try {
  verifyBundle({ ...request, artifact: { sha256: new Uint8Array(32) } });
} catch (error) {
  refused = error.code;
}
const { size } = await client.checkpoint();
write.call(process.stdout, JSON.stringify({ index: entry.index, verified, refused, size, silent }));
`;

const TYPED = `
import { auditLog, ClientError, type ClientErrorCode, flushQueue, LogClient, newItem, type Outcome, parseBundle, parseLogKey,
  parsePublicKeyPem, parseSigned, QueueStore, signAndLog, verifyBundle, verifyTlogProof } from 'stele';
import { verifyBundle as verifyAnywhere } from 'stele/verify';

const logKey = parseLogKey('x');
export async function use(file: Uint8Array, signal: AbortSignal): Promise<Outcome> {
  const client = new LogClient('https://log.example.com', { logKey }, { deadline: 60_000 });
  const [submission] = parseSigned(file);
  if (submission === undefined) throw new ClientError('usage', 'nothing');
  const { bundle } = await client.submit(submission, { signal });
  const store = await QueueStore.open('queue', true);
  await store.add(newItem(submission, { log: client.url, out: '/x' }, await store.hashAt('/x')));
  const { results } = await flushQueue(store, { signal });
  // @ts-expect-error a code that there is not
  const code: ClientErrorCode = 'no-such-code';
  // @ts-expect-error a state that there is not
  if (results[0]?.state === 'lost') throw code;
  void [auditLog, signAndLog, verifyTlogProof];
  const key = parsePublicKeyPem('x').info;
  verifyAnywhere({ bundle: parseBundle(bundle), artifact: {}, key, logKey });
  return verifyBundle({ bundle: parseBundle(bundle), artifact: {}, key, logKey });
}
`;
