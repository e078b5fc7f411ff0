/** The worked example of docs/index.md, computed again. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { extractKeys } from '../../../merkle/index/extract.ts';
import { type IndexKey, keyHash } from '../../../merkle/index/keys.ts';
import { formatLookup } from '../../../merkle/index/lookup.ts';
import { EMPTY_SUBTREE, mapLeafHash, mapNodeHash } from '../../../merkle/index/map-hashes.ts';
import { referencePostingRoot } from '../../reference/verifiable-index.ts';
import { MemoryIndex } from '../../support/memory-index.ts';

const doc = readFileSync(join(import.meta.dirname, '../../../docs/index.md'), 'utf8');
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const kind = (value: string): IndexKey => ({ kind: 'kind', value });

/** The block of the example that follows this line. */
function block(title: string): string {
  const [, found] = doc.slice(doc.indexOf(title)).match(/```\n([\s\S]*?)```/) ?? [];
  return found ?? '';
}

describe('the worked example', () => {
  const bodies = ['one', 'two', '{}'];
  const index = new MemoryIndex();
  index.publish();
  index.add(Buffer.from('one'));
  index.publish();
  index.add(Buffer.from('two'));
  index.add(Buffer.from('{}'));
  index.publish();

  it('has the hashes of its map', () => {
    expect(bodies.map((body) => extractKeys(Buffer.from(body)))).toEqual([
      [kind('opaque')],
      [kind('opaque')],
      [kind('unreadable')],
    ]);
    const opaque = { keyHash: keyHash(kind('opaque')), count: 2, postingRoot: referencePostingRoot([0, 1]) };
    const unreadable = { keyHash: keyHash(kind('unreadable')), count: 1, postingRoot: referencePostingRoot([2]) };
    const leaves = [mapLeafHash(opaque), mapLeafHash(unreadable)] as const;
    const lines = [
      `key hash of opaque       ${hex(opaque.keyHash)}`,
      `key hash of unreadable   ${hex(unreadable.keyHash)}`,
      `posting root of 0, 1     ${hex(opaque.postingRoot)}`,
      `posting root of 2        ${hex(unreadable.postingRoot)}`,
      `leaf of opaque           ${hex(leaves[0])}`,
      `leaf of unreadable       ${hex(leaves[1])}`,
      `map root                 ${hex(index.tree.root)}`,
    ];
    expect(block('### Its map')).toBe(`${lines.join('\n')}\n`);
    const both = mapNodeHash(leaves[0], leaves[1]);
    expect(index.tree.root).toEqual(mapNodeHash(EMPTY_SUBTREE, mapNodeHash(both, EMPTY_SUBTREE)));
  });

  it('has the output leaf, and the lookup of a key', () => {
    expect(block('### Its output leaf')).toBe(Buffer.from(index.outputLeaf).toString());
    const bytes = formatLookup(index.lookup(kind('opaque')));
    expect(block('### A lookup').replace(/\s/g, '')).toBe(hex(bytes));
  });
});
