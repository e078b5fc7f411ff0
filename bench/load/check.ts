/** After a run: whether every acknowledged entry is in the published tree, at the index in its reply. */
import { spawnSync } from 'node:child_process';
import { parseBundle } from '../../merkle/bundle.ts';
import { entryBundlePath, TILE_WIDTH } from '../../merkle/tile.ts';

const DIGEST = /"digest":"([^"]+)"/;

export function digestOf(body: Uint8Array): string {
  return DIGEST.exec(Buffer.from(body).toString('latin1'))?.[1] ?? '';
}

/** The size of the tree that the log at `url` has published. */
export async function publishedSize(url: string): Promise<number> {
  return Number((await (await fetch(`${url}/checkpoint`)).text()).split('\n')[1]);
}

/**
 * What is wrong, in one sentence each. Empty if each of `digests` is at its index, and no other entry has an index of `from`
 * or more.
 */
export async function checkEntries(
  url: string,
  digests: readonly string[],
  indexes: Float64Array,
  from = 0,
): Promise<string[]> {
  const wrong: string[] = [];
  const expected = new Map<number, string>();
  for (const [i, index] of indexes.entries()) {
    if (Number.isNaN(index)) continue;
    if (expected.has(index)) wrong.push(`index ${index} was given twice`);
    expected.set(index, digests[i]!);
  }
  const size = await publishedSize(url);
  if (size !== from + expected.size) {
    wrong.push(`the tree has ${size} entries, and to ${from} there ${expected.size} more were acknowledged`);
  }
  for (let first = from - (from % TILE_WIDTH); first < size; first += TILE_WIDTH) {
    const width = Math.min(TILE_WIDTH, size - first);
    const reply = await fetch(`${url}/${entryBundlePath(first / TILE_WIDTH, width)}`);
    const entries = parseBundle(new Uint8Array(await reply.arrayBuffer()), width);
    for (const [i, entry] of entries.entries()) {
      if (first + i >= from && digestOf(entry) !== expected.get(first + i))
        wrong.push(`another entry stands at index ${first + i}`);
    }
  }
  return wrong;
}

/** Runs `stele log check` over the whole directory. */
export function checkDirectory(main: string, data: string): string[] {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, 'log', 'check', data], { encoding: 'utf8' });
  return status === 0 ? [] : [`stele log check: ${stdout}${stderr}`];
}
