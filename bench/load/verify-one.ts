/**
 * The second part of `npm run bench:load -- --verify`: processes that run `stele verify` of one file, in turn with a Node that does
 * nothing. Each pair gives one difference, so that other work on the machine meets both.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatPublicKeyPem } from '../../client/formats/key.ts';
import { median, type Row, round } from '../report.ts';
import { makeBundles } from './verify-inputs.ts';

const PAIRS = 40;
const MAIN = 'dist/client/cli/main.js';
const NOTHING = ['-e', '0'];

/** Medians, and the medians of the differences. On a machine with other work, compare the CPU time. */
export async function verifyOneRows(): Promise<Row[]> {
  const dir = mkdtempSync(join(tmpdir(), 'stele-bench-'));
  try {
    return [measure('a bundle with a key', [MAIN, ...(await prepareVerifyOne(dir))], dir, '40 ms'), ...certified(dir)];
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** Fills `dir` with a file, its bundle, its key and a policy. Gives the arguments of `stele` that verify the file. */
export async function prepareVerifyOne(dir: string): Promise<string[]> {
  const { inputs, policy } = await makeBundles(64, 64);
  const { bundle, spki } = inputs[0]!;
  const at = (name: string) => join(dir, name);
  writeFileSync(at('file'), 'artifact 0');
  writeFileSync(at('file.sigstore.json'), bundle);
  writeFileSync(at('key.pub'), formatPublicKeyPem({ spki }));
  writeFileSync(at('policy'), policy);
  writeFileSync(at('cpu.cjs'), CPU.replace('OUT', JSON.stringify(at('cpu'))));
  return ['verify', at('file'), '--key', at('key.pub'), '--policy', at('policy')];
}

const IDENTITY =
  'https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main';
const ISSUER = 'https://token.actions.githubusercontent.com';

/** Rows of published bundles, where TEST_VECTORS names a folder with them (test/support/vectors.ts). */
function certified(dir: string): Row[] {
  const folder = join(process.env.TEST_VECTORS ?? '', 'sigstore-bundles');
  if (!existsSync(folder)) return [];
  const how = ['--trusted-root', join(folder, 'trusted_root.json'), '--identity', IDENTITY, '--issuer', ISSUER];
  const row = (what: string, name: string) => {
    const bundle = join(folder, name, 'bundle.sigstore.json');
    return measure(what, [MAIN, 'verify', join(folder, 'a.txt'), '--bundle', bundle, ...how], dir, '');
  };
  return [
    row('a bundle with a certificate', 'happy-path-v0.3-new-mediaType'),
    row('an attestation with a certificate', 'happy-path-intoto-in-dsse-v3'),
  ];
}

/** Loaded before everything else: once a process has ended, no other process can read its CPU time. */
const CPU = `process.on('exit', () => require('node:fs').writeFileSync(OUT, JSON.stringify(process.cpuUsage())));`;

/** Milliseconds of one run of Node from its start to its end. `prepareVerifyOne` fills `dir` before. */
export function verifyOnce(args: readonly string[], dir: string): { readonly wall: number; readonly cpu: number } {
  const started = performance.now();
  const { status, stderr } = spawnSync(process.execPath, ['--require', join(dir, 'cpu.cjs'), ...args]);
  const wall = performance.now() - started;
  if (status !== 0) throw new Error(String(stderr));
  const { user, system } = JSON.parse(readFileSync(join(dir, 'cpu'), 'utf8')) as NodeJS.CpuUsage;
  return { wall, cpu: (user + system) / 1000 };
}

function measure(what: string, args: readonly string[], dir: string, aim: string): Row {
  const pairs = Array.from({ length: PAIRS }, (_, at) => {
    // Each pair swaps which goes first.
    if (at % 2 === 0) return { nothing: verifyOnce(NOTHING, dir), verify: verifyOnce(args, dir) };
    const verify = verifyOnce(args, dir);
    return { nothing: verifyOnce(NOTHING, dir), verify };
  });
  const of = (value: (pair: (typeof pairs)[number]) => number) => round(median(pairs.map(value)));
  return {
    'stele verify of': what,
    'node -e 0, ms': of(({ nothing }) => nothing.wall),
    'beyond that, ms': of(({ nothing, verify }) => verify.wall - nothing.wall),
    'CPU ms of node -e 0': of(({ nothing }) => nothing.cpu),
    'CPU ms beyond that': of(({ nothing, verify }) => verify.cpu - nothing.cpu),
    aim,
  };
}
