/**
 * Reads: tiles and entry bundles of a million entries, newer ones more often (a Zipf mix), over kept-alive connections,
 * from Stele, from nginx on the same files, and from nginx before Stele as deploy/nginx has it. wrk sends the requests, because it costs little beside either server.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { entryBundlePath, TILE_WIDTH, tilePath } from '../../merkle/tile.ts';
import { fillLog } from '../load/growth.ts';
import { printedUrl } from '../load/server.ts';
import { startNginxBefore, startPlainNginx } from './nginx.ts';
import { cpuSeconds, stop } from './run.ts';

export interface ReadResult {
  readonly server: string;
  readonly requestsPerSecond: number;
  /** Requests in a second of processor time, of all the server's processes: what one core serves. */
  readonly perCore: number;
  readonly p99: string;
  readonly failed: number;
}

const STELE = resolve('dist/client/cli/main.js');
const ENTRIES = 1_000_000;
const REQUESTS = 20_000;
const CONNECTIONS = 64;

/** Why reads cannot be measured here, or undefined. */
export function missingForReads(): string | undefined {
  const missing = ['wrk', 'nginx'].filter((name) => spawnSync('which', [name]).status !== 0);
  return missing.length === 0 ? undefined : `${missing.join(' and ')} of Debian's packages`;
}

/** Measures each server `rounds` times, in turn. */
export async function measureReads(rounds: number, seconds: number, entries = ENTRIES): Promise<ReadResult[]> {
  const dir = mkdtempSync(join(tmpdir(), 'stele-peers-'));
  const running: ChildProcess[] = [];
  try {
    const data = join(dir, 'data');
    const files = join(dir, 'public');
    const flags = [
      '--origin',
      'localhost',
      '--data',
      data,
      '--listen-port',
      '0',
      '--admin-port',
      '0',
      '--log-level',
      'warn',
      '--json',
    ];
    const stele = async () => {
      const child = spawn(process.execPath, [STELE, 'serve', ...flags], { stdio: ['ignore', 'pipe', 'inherit'] });
      running.push(child);
      return { child, url: await printedUrl(child) };
    };
    await stop((await stele()).child);
    await fillLog(data, entries);
    // Publishes the entries that were filled in.
    await stop((await stele()).child);
    // Runs in another process: in the server this walk over the whole log would fill the cache for reads.
    execFileSync(process.execPath, [STELE, 'log', 'export', files, '--data', data], { stdio: 'ignore' });
    const own = await stele();
    const nginx = await startPlainNginx(join(dir, 'nginx'), files);
    running.push(nginx.child);
    const before = await startNginxBefore(join(dir, 'before'), own.url, data);
    running.push(before.child);
    const script = join(dir, 'mix.lua');
    writeFileSync(script, luaOf(zipfMix(entries)));
    const results: ReadResult[] = [];
    for (let round = 0; round <= rounds; round++) {
      for (const [server, { child, url }] of [
        ['stele', own],
        ['nginx', nginx],
        ['nginx before stele', before],
      ] as const) {
        const result = { server, ...ask(url, child, script, seconds) };
        // The first round fills the caches of both, and V8's compiler.
        if (round > 0) results.push(result);
      }
    }
    return results;
  } finally {
    for (const child of running) await stop(child);
    rmSync(dir, { recursive: true, force: true });
  }
}

function ask(url: string, child: ChildProcess, script: string, seconds: number): Omit<ReadResult, 'server'> {
  const used = cpuSeconds(child);
  const args = ['-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, '--latency', '-s', script, url];
  const said = execFileSync('wrk', args, { encoding: 'utf8' });
  const cpu = cpuSeconds(child) - used;
  const number = (pattern: RegExp) => Number(pattern.exec(said)?.[1] ?? 0);
  const total = number(/(\d+) requests in/);
  return {
    requestsPerSecond: number(/Requests\/sec:\s+([\d.]+)/),
    perCore: total / cpu,
    p99: /99%\s+(\S+)/.exec(said)?.[1] ?? '',
    failed: number(/Non-2xx or 3xx responses: (\d+)/),
  };
}

/** Full tiles of level 0 and bundles: the n-th newest with a weight of 1/n. */
function zipfMix(entries: number): string[] {
  const full = Math.floor(entries / TILE_WIDTH);
  const weights: number[] = [];
  let sum = 0;
  for (let rank = 1; rank <= full; rank++) {
    sum += 1 / rank;
    weights.push(sum);
  }
  return Array.from({ length: REQUESTS }, () => {
    const index = full - 1 - lowerBound(weights, Math.random() * sum);
    if (Math.random() < 0.5) return `/${entryBundlePath(index, TILE_WIDTH)}`;
    return `/${tilePath({ level: 0, index, width: TILE_WIDTH })}`;
  });
}

/** Index of the first value that is not below `value`. `value` is at most the last one. */
function lowerBound(sorted: readonly number[], value: number): number {
  let low = 0;
  for (let high = sorted.length; low < high; ) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function luaOf(paths: readonly string[]): string {
  return `local paths = {${paths.map((path) => JSON.stringify(path)).join(',')}}
local at = 0
function request()
  at = at % #paths + 1
  return wrk.format("GET", paths[at])
end
`;
}
