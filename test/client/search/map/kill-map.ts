/** Kills an index again and again while it builds its map and publishes versions of it, and checks what is left each time. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { IndexMap } from '../../../../client/search/map/index-map.ts';
import { openSource } from '../../../../client/tiles/tiles.ts';
import { parseBundle } from '../../../../merkle/bundle.ts';
import { extractKeys } from '../../../../merkle/index/extract.ts';
import { keyHash } from '../../../../merkle/index/keys.ts';
import { parseOutputLeaf } from '../../../../merkle/index/map-leaf.ts';
import { formatVerifierKey } from '../../../../merkle/note.ts';
import { FakeLog } from '../../../support/fake-log.ts';
import { put, tempDir } from '../../../support/log-files.ts';
import { digestOf, entryOf, type OutputLog, startOutput } from './mapped-log.ts';
import { literalRoot } from './maps.ts';

const CHILD = fileURLToPath(new URL('./kill-child.mjs', import.meta.url));

interface Killed {
  /** Versions in the output log at the end. */
  readonly versions: number;
  /** Kills after which the map had entries that no version had yet, and those that left a version on its way. */
  readonly between: number;
  readonly pending: number;
}

export async function killMap(kills: number): Promise<Killed> {
  const output = await startOutput();
  const log = FakeLog.empty('input.test');
  const [dir, input] = [tempDir(), tempDir()];
  const entries: Uint8Array[] = [];
  /** The keys of each entry, for the definition. */
  const keyed: Uint8Array[] = [];
  const add = (count: number): void => {
    for (let i = 0; i < count; i++) {
      const entry = entryOf(digestOf(entries.length % 7 === 0 ? 7 : entries.length));
      entries.push(entry);
      keyed.push(new Uint8Array(Buffer.concat(extractKeys(entry).map((key) => keyHash(key)))));
    }
    writeLog(log, input, entries);
  };
  let [between, pending] = [0, 0];
  add(300);
  for (let i = 0; i < kills; i++) {
    if (i > 0) add(1 + (i % 40));
    await runChild(1 + ((7 * i) % 23)).exited;
    const map = await IndexMap.open({ dir, log: { origin: log.origin, keys: [log.key] }, threads: 0 });
    try {
      const shown = map.shown;
      if (map.size > (shown?.size ?? 0)) between++;
      const leaf = await map.record('pending');
      if (leaf !== undefined && leaf.length > 0) pending++;
      if (shown !== undefined) expect(hex(shown)).toEqual(literalRoot(keyed.slice(0, shown.size)));
      // The sealed root of the version that is on its way stays; the rest is computed without being stored.
      if (i % 4 === 3 && (leaf === undefined || leaf.length === 0)) {
        expect(hex(await map.seal(map.size))).toEqual(literalRoot(keyed.slice(0, map.size)));
      }
    } finally {
      await map.close();
    }
    await checkLeaves(output, keyed);
  }
  // It goes on to the end.
  const end = runChild(0);
  await expect.poll(async () => (await leavesOf(output)).at(-1)?.input.size).toBe(entries.length);
  await end.kill();
  return { versions: await checkLeaves(output, keyed), between, pending };

  function runChild(killAt: number) {
    const vkey = formatVerifierKey(output.followed.keys[0]!);
    const args = [CHILD, dir, input, log.vkey, output.followed.location, vkey, String(killAt)];
    const child = spawn(process.execPath, args, { stdio: 'inherit' });
    // It may have nothing to do, and so no further step.
    const timer = setTimeout(() => child.kill('SIGKILL'), QUIET_MS);
    const exited = once(child, 'exit').then(([code, signal]) => {
      clearTimeout(timer);
      if (signal !== 'SIGKILL') throw new Error(`the index ended by itself with ${code}`);
    });
    const kill = async () => {
      child.kill('SIGKILL');
      await exited;
    };
    return { exited, kill };
  }
}

/** Longer than all steps of a version take. */
const QUIET_MS = 10_000;

function hex({ root, count }: { readonly root: Uint8Array; readonly count: number }) {
  return { root: Buffer.from(root).toString('hex'), count };
}

/** The checkpoint last: until it is there, nobody asks for the new files. */
function writeLog(log: FakeLog, dir: string, entries: readonly Uint8Array[]): void {
  log.view.grow(entries.slice(log.view.entries.length));
  log.size = entries.length;
  for (const path of log.view.paths()) put(dir, path, log.view.file(path)!);
  put(dir, 'checkpoint', log.sign(log.text()));
}

async function leavesOf(output: OutputLog) {
  const size = await output.size();
  const source = openSource(output.followed.location);
  const leaves: ReturnType<typeof parseOutputLeaf>[] = [];
  for (let at = 0; at < size; at += 256) {
    const width = Math.min(256, size - at);
    leaves.push(...parseBundle(await source.entries(at / 256, width), width).map(parseOutputLeaf));
  }
  await source.close();
  return leaves;
}

/** Each leaf has the root of its size, and no two are of one size. Returns how many there are. */
async function checkLeaves(output: OutputLog, keyed: readonly Uint8Array[]): Promise<number> {
  const leaves = await leavesOf(output);
  let before = 0;
  for (const { root, keys, input } of leaves) {
    expect(input.size).toBeGreaterThan(before);
    before = input.size;
    expect(hex({ root, count: keys })).toEqual(known(keyed, input.size));
  }
  return leaves.length;
}

const roots = new WeakMap<readonly Uint8Array[], Map<number, { root: string; count: number }>>();

function known(keyed: readonly Uint8Array[], size: number): { root: string; count: number } {
  const found = roots.get(keyed) ?? new Map<number, { root: string; count: number }>();
  roots.set(keyed, found);
  const root = found.get(size) ?? literalRoot(keyed.slice(0, size));
  found.set(size, root);
  return root;
}
