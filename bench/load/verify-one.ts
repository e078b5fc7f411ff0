/** The second part of `npm run bench:load -- --verify`: a process that runs `stele verify` of one file. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatPublicKeyPem } from '../../client/formats/key.ts';
import { median, type Row, round } from '../report.ts';
import { makeBundles } from './verify-inputs.ts';

const TIMES = 10;
const MAIN = 'dist/client/cli/main.js';

/** Medians. On a machine with other work, compare the CPU time, after subtracting that of a Node that does nothing. */
export async function verifyOneRows(): Promise<Row[]> {
  const dir = mkdtempSync(join(tmpdir(), 'stele-bench-'));
  try {
    const verify = [MAIN, ...(await prepareVerifyOne(dir))];
    return [
      { command: 'node -e 0', ...measure(['-e', '0'], dir), aim: '' },
      { command: 'stele verify of one file', ...measure(verify, dir), aim: '150 ms' },
    ];
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

function measure(args: readonly string[], dir: string) {
  const runs = Array.from({ length: TIMES }, () => verifyOnce(args, dir));
  return {
    'wall ms': round(median(runs.map(({ wall }) => wall))),
    'CPU ms': round(median(runs.map(({ cpu }) => cpu))),
  };
}
