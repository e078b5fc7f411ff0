/**
 * `npm run bench:load -- --audit`: `stele audit` of a directory. One audit checks hashes only, over two sizes, which
 * shows that memory does not grow; the other one also checks the signatures of distinct keys. The files are in the page cache,
 * because the run has just written them.
 */
import { execFileSync } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodeBundle } from '../../merkle/bundle.ts';
import { concat, decodeBase64 } from '../../merkle/bytes.ts';
import { formatCheckpoint } from '../../merkle/checkpoint.ts';
import { formatNote } from '../../merkle/note.ts';
import { CompactRange } from '../../merkle/range.ts';
import { formatHashedRekord } from '../../merkle/rekor/hashedrekord.ts';
import { leafHash } from '../../merkle/rfc6962.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { entryBundlePath, TILE_WIDTH, tilePath } from '../../merkle/tile.ts';
import { type Row, round } from '../report.ts';
import { requestBodies } from './requests.ts';
import { machineBusy } from './server.ts';

const ENTRY_BYTES = 600;
const SIZES: readonly number[] = [200_000, 2_000_000];
const SIGNED = 60_000;

export async function auditRows(repeat: number, quick: boolean): Promise<Row[]> {
  const rows: Row[] = [];
  for (const size of quick ? SIZES.slice(0, 1) : SIZES) {
    rows.push(...measured('hashes only', '800,000/s', size, repeat, false, randomEntries));
  }
  const signed = (await requestBodies('fresh', SIGNED)).map(entryOf);
  rows.push(
    ...measured('with signatures', '15,000/s', signed.length, repeat, true, (at, count) =>
      signed.slice(at, at + count),
    ),
  );
  return rows;
}

type Entries = (at: number, count: number) => readonly Uint8Array[];

interface Run {
  readonly seconds: number;
  readonly cpu: number;
  /** Processor time of the whole process, in seconds; `cpu` is that of the audit alone. */
  readonly wholeCpu: number;
  readonly peakMemory: number;
  readonly entries: number;
  readonly verified?: number;
}

function measured(
  name: string,
  aim: string,
  size: number,
  repeat: number,
  signatures: boolean,
  entries: Entries,
): Row[] {
  const dir = mkdtempSync(join(tmpdir(), 'stele-bench-'));
  try {
    writeLog(dir, size, entries);
    return Array.from({ length: repeat }, () => {
      const [busy, start] = [machineBusy(), performance.now()];
      const run = auditOnce(dir, signatures);
      const elapsed = (performance.now() - start) / 1000;
      const elsewhere = Math.max(0, machineBusy() - busy - run.wholeCpu) / elapsed / availableParallelism();
      if (run.entries !== size || (signatures && run.verified !== size))
        throw new Error(`${name}: not all was audited`);
      return {
        audit: name,
        entries: size.toLocaleString('en-US'),
        'entries/s': round(size / run.seconds),
        'CPU µs/entry': ((run.cpu / size) * 1e6).toFixed(2),
        'busy elsewhere': `${Math.round(elsewhere * 100)} %`,
        'peak MiB': round(run.peakMemory),
        aim,
      };
    });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function auditOnce(dir: string, signatures: boolean): Run {
  const script = fileURLToPath(new URL('./audit-run.js', import.meta.url));
  return JSON.parse(execFileSync(process.execPath, [script, dir, String(signatures)], { encoding: 'utf8' })) as Run;
}

/** The entry that a log makes from a request of `requestBodies`. */
function entryOf(body: Uint8Array): Uint8Array {
  const { hashedRekordRequestV002: request } = JSON.parse(Buffer.from(body).toString('latin1'));
  const { content, verifier } = request.signature;
  return formatHashedRekord({
    digestAlgorithm: 'SHA2_256',
    digest: decodeBase64(request.digest),
    signature: decodeBase64(content),
    keyDetails: verifier.keyDetails,
    verifier: { publicKey: decodeBase64(verifier.publicKey.rawBytes) },
  });
}

const block = new Uint8Array(TILE_WIDTH * ENTRY_BYTES);

function randomEntries(_: number, count: number): readonly Uint8Array[] {
  randomFillSync(block);
  return Array.from({ length: count }, (_, i) => block.subarray(i * ENTRY_BYTES, (i + 1) * ENTRY_BYTES));
}

/** The files of a tree of `size` entries, bundle by bundle. The checkpoint is not signed. */
function writeLog(dir: string, size: number, entriesOf: Entries): void {
  const tree = CompactRange.empty(fastSha256);
  const levels: Uint8Array[][] = [];
  const flush = (level: number, index: number): void => {
    const hashes = levels[level]!;
    write(dir, tilePath({ level, index, width: hashes.length }), concat(...hashes));
    levels[level] = [];
  };
  for (let at = 0; at < size; at += TILE_WIDTH) {
    const entries = entriesOf(at, Math.min(TILE_WIDTH, size - at));
    write(dir, entryBundlePath(at / TILE_WIDTH, entries.length), encodeBundle(entries));
    for (const entry of entries) {
      tree.append(leafHash(entry, fastSha256), (height, index, hash) => {
        if (height % 8 !== 0) return;
        const level = height / 8;
        levels[level] ??= [];
        if (levels[level].push(hash) === TILE_WIDTH) flush(level, Math.floor(index / TILE_WIDTH));
      });
    }
  }
  for (const [level, hashes] of levels.entries()) {
    if (hashes.length > 0) flush(level, Math.floor(size / TILE_WIDTH ** (level + 1)));
  }
  const text = formatCheckpoint({ origin: 'bench.test', size, root: tree.root(), extensions: [] });
  const signature = { name: 'bench.test', keyId: new Uint8Array(4), signature: new Uint8Array(64) };
  write(dir, 'checkpoint', Buffer.from(formatNote(text, [signature])));
}

function write(dir: string, path: string, bytes: Uint8Array): void {
  mkdirSync(dirname(join(dir, path)), { recursive: true });
  writeFileSync(join(dir, path), bytes);
}
