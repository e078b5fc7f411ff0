/** A local log with a backlog of keyless entries, and a whole monitor of this log as a separate process. */
import { spawn } from 'node:child_process';
import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodeBundle } from '../../merkle/bundle.ts';
import { formatCheckpoint } from '../../merkle/checkpoint.ts';
import { formatNote } from '../../merkle/note.ts';
import { leafHash, nodeHash } from '../../merkle/rfc6962.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { entryBundlePath, TILE_WIDTH, tilePath } from '../../merkle/tile.ts';
import { ed25519VerifierKey, formatVerifierKey } from '../../merkle/verifier-key.ts';
import { hundredRules, keylessBodies } from './monitor-inputs.ts';

const ORIGIN = 'log.example.com';
const MAIN = fileURLToPath(new URL('../../client/cli/main.js', import.meta.url));

/** Makes a log of so many entries below `dir`. The result is the path of a monitor's configuration for this log. */
export async function makeLog(dir: string, entries: number, threads: number): Promise<string> {
  const vkey = writeLog(join(dir, 'log'), entries, keylessBodies);
  const config = join(dir, 'monitor.yaml');
  const yaml = {
    state: './state',
    logs: [{ dir: './log', keys: [vkey] }],
    rules: hundredRules(),
    sinks: [{ type: 'stdout' }],
    threads,
  };
  // JSON is YAML.
  writeFileSync(config, JSON.stringify(yaml));
  return config;
}

/** Writes the files of a log whose entries from `from` on are `bodiesOf(count, from)`. The result is its verifier key. */
export function writeLog(
  log: string,
  entries: number,
  bodiesOf: (count: number, from: number) => readonly Uint8Array[],
): string {
  const put = (path: string, bytes: Uint8Array): void => {
    mkdirSync(dirname(join(log, path)), { recursive: true });
    writeFileSync(join(log, path), bytes);
  };
  let level: Uint8Array[] = [];
  for (let index = 0; index * TILE_WIDTH < entries; index++) {
    const width = Math.min(TILE_WIDTH, entries - index * TILE_WIDTH);
    const bodies = bodiesOf(width, index * TILE_WIDTH);
    put(entryBundlePath(index, width), encodeBundle(bodies));
    level.push(...bodies.map((body) => leafHash(body, fastSha256)));
  }
  const root = rootOf(level);
  for (let tileLevel = 0; level.length > 0; tileLevel++) {
    const above: Uint8Array[] = [];
    for (let index = 0; index * TILE_WIDTH < level.length; index++) {
      const hashes = level.slice(index * TILE_WIDTH, (index + 1) * TILE_WIDTH);
      put(tilePath({ level: tileLevel, index, width: hashes.length }), Buffer.concat(hashes));
      if (hashes.length === TILE_WIDTH) above.push(rootOf(hashes));
    }
    level = above;
  }
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const key = ed25519VerifierKey(ORIGIN, Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url'));
  const text = formatCheckpoint({ origin: ORIGIN, size: entries, root, extensions: [] });
  const signature = sign(null, Buffer.from(text), privateKey);
  put('checkpoint', Buffer.from(formatNote(text, [{ name: ORIGIN, keyId: key.keyId, signature }])));
  return formatVerifierKey(key);
}

export interface WholeRun {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakBytes: number;
  readonly alerts: number;
}

/** Runs `stele monitor --once --from-start`. It writes its report to standard error, and alerts to standard output. */
export async function runMonitor(config: string, dir: string, main = MAIN): Promise<WholeRun> {
  const start = performance.now();
  const child = spawn(process.execPath, [main, 'monitor', '--config', config, '--once', '--from-start'], {
    cwd: dir,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (text) => {
    out += text;
  });
  child.stderr.on('data', (text) => {
    err += text;
  });
  let cpuSeconds = 0;
  let peakBytes = 0;
  // The last reading before the end of the process counts.
  const look = setInterval(() => {
    try {
      const fields = readFileSync(`/proc/${child.pid}/stat`, 'latin1').split(') ')[1]!.split(' ');
      cpuSeconds = (Number(fields[11]) + Number(fields[12])) / 100;
      const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, 'latin1'));
      if (peak !== null) peakBytes = Number(peak[1]) * 1024;
    } catch {
      // The process has ended.
    }
  }, 20);
  const status = await new Promise((resolve) => child.on('close', resolve));
  clearInterval(look);
  const seconds = (performance.now() - start) / 1000;
  const alerts = out.split('\n').filter((line) => line.startsWith('{')).length;
  if (status !== 0 && status !== 1) throw new Error(`the monitor failed with ${String(status)}: ${err}`);
  return { seconds, cpuSeconds, peakBytes, alerts };
}

function rootOf(hashes: readonly Uint8Array[]): Uint8Array {
  if (hashes.length === 1) return hashes[0]!;
  let half = 1;
  while (half * 2 < hashes.length) half *= 2;
  return nodeHash(rootOf(hashes.slice(0, half)), rootOf(hashes.slice(half)), fastSha256);
}
