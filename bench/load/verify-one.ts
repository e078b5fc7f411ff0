/** `npm run bench:load -- --verify`, the second half: `stele verify` of one file as a process, from its start to its end. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatPublicKeyPem } from '../../client/formats/key.ts';
import { median, type Row, round } from '../report.ts';
import { makeBundles } from './verify-inputs.ts';

const TIMES = 10;
const MAIN = 'dist/client/cli/main.js';

/** Medians; the CPU time is what counts where others use the machine, less that of a Node that does nothing. */
export async function verifyOneRows(): Promise<Row[]> {
  const dir = mkdtempSync(join(tmpdir(), 'stele-bench-'));
  try {
    const { inputs, policy } = await makeBundles(64, 64);
    const { bundle, spki } = inputs[0]!;
    const at = (name: string) => join(dir, name);
    writeFileSync(at('file'), 'artifact 0');
    writeFileSync(at('file.sigstore.json'), bundle);
    writeFileSync(at('key.pub'), formatPublicKeyPem({ spki }));
    writeFileSync(at('policy'), policy);
    writeFileSync(at('cpu.cjs'), CPU.replace('OUT', JSON.stringify(at('cpu'))));
    const verify = [MAIN, 'verify', at('file'), '--key', at('key.pub'), '--policy', at('policy')];
    return [
      { command: 'node -e 0', ...measure(['-e', '0'], dir), aim: '' },
      { command: 'stele verify of one file', ...measure(verify, dir), aim: '150 ms' },
    ];
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** Loaded before everything else; nobody else tells the CPU time of a process that has ended. */
const CPU = `process.on('exit', () => require('node:fs').writeFileSync(OUT, JSON.stringify(process.cpuUsage())));`;

function measure(args: readonly string[], dir: string) {
  const wall: number[] = [];
  const cpu: number[] = [];
  for (let i = 0; i < TIMES; i++) {
    const started = performance.now();
    const { status, stderr } = spawnSync(process.execPath, ['--require', join(dir, 'cpu.cjs'), ...args]);
    wall.push(performance.now() - started);
    if (status !== 0) throw new Error(String(stderr));
    const { user, system } = JSON.parse(readFileSync(join(dir, 'cpu'), 'utf8')) as NodeJS.CpuUsage;
    cpu.push((user + system) / 1000);
  }
  return { 'wall ms': round(median(wall)), 'CPU ms': round(median(cpu)) };
}
