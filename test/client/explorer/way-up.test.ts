/** The way of a leaf up to the root: against the verifier of proofs, and with each part of a log forged. */
import { describe, expect, it } from 'vitest';
import { proveEntry } from '../../../client/explorer/model/entry-proof.ts';
import { wayUp } from '../../../client/explorer/model/way-up.ts';
import { encodeBundle, parseBundle } from '../../../merkle/bundle.ts';
import { encodeUtf8, equal } from '../../../merkle/bytes.ts';
import { inclusionProof, verifyInclusion } from '../../../merkle/proof.ts';
import { leafHash, nodeHash } from '../../../merkle/rfc6962.ts';
import { codeOf, damaged, entriesOf, GrownTree } from '../../merkle/helpers.ts';
import { FakeLog, View } from '../../support/fake-log.ts';

const SIZE = 70;
const tree = new GrownTree(entriesOf(SIZE));
const leaves = entriesOf(SIZE).map((entry) => leafHash(entry));

function isVerified(claim: Parameters<typeof verifyInclusion>[0]): boolean {
  return codeOf(() => verifyInclusion(claim)) === undefined;
}

describe('the way up', () => {
  it('ends at the root of every small tree, and each step hashes what the tree has there', () => {
    for (let size = 1; size <= SIZE; size++) {
      const root = tree.roots[size]!;
      for (let index = 0; index < size; index++) {
        const hashes = inclusionProof(index, size, tree.read);
        const way = wayUp({ index, leafHash: leaves[index]!, hashes }, { size, root });
        expect(way.holds, `${index} of ${size}`).toBe(true);
        expect(way.steps).toHaveLength(hashes.length);
        for (const { sibling, parent } of way.steps) {
          expect(sibling.end > sibling.begin && sibling.begin >= parent.begin && sibling.end <= parent.end).toBe(true);
          expect(sibling.begin <= index && index < sibling.end).toBe(false);
          expect(parent.begin <= index && index < parent.end).toBe(true);
        }
      }
    }
  });

  it('holds exactly where the verifier of proofs says so', () => {
    let refused = 0;
    for (const [index, size] of [
      [0, 1],
      [0, 2],
      [6, 7],
      [12, 13],
      [31, 64],
      [64, 65],
      [69, 70],
      [40, 70],
    ] as const) {
      const head = { size, root: tree.roots[size]! };
      const claim = { index, leafHash: leaves[index]!, hashes: inclusionProof(index, size, tree.read) };
      const changed = [
        ...[...damaged(claim.hashes)].map((hashes) => ({ ...claim, hashes })),
        { ...claim, leafHash: leaves[(index + 1) % size]! },
        { ...claim, index: (index + 1) % size },
        { ...claim, index: size },
      ];
      for (const one of [claim, ...changed]) {
        let holds = false;
        codeOf(() => {
          ({ holds } = wayUp(one, head));
        });
        expect(holds).toBe(isVerified({ ...one, ...head }));
        if (!holds) refused++;
      }
    }
    expect(refused).toBeGreaterThan(60);
  });

  it.each([2 ** 40, 2 ** 40 + 1, 2 ** 53 - 1])('goes through a tree of %d entries', (size) => {
    for (const index of [0, 1, 2 ** 39 - 1, 2 ** 39, size - 2, size - 1]) {
      // A tree in which each subtree beside the way has the hash of its step.
      const bare = (count: number) => Array.from({ length: count }, (_, i) => new Uint8Array(32).fill(i + 1));
      const leaf = new Uint8Array(32).fill(255);
      let count = 0;
      while (codeOf(() => wayUp({ index, leafHash: leaf, hashes: bare(count) }, { size, root: leaf })) !== undefined)
        count++;
      const hashes = bare(count);
      const open = wayUp({ index, leafHash: leaf, hashes }, { size, root: leaf });
      expect(open).toMatchObject({ holds: false, fault: { at: count, above: -1 } });
      const root = open.steps.at(-1)!.parent.hash;
      expect(wayUp({ index, leafHash: leaf, hashes }, { size, root }).holds).toBe(true);
      verifyInclusion({ index, leafHash: leaf, hashes, size, root });
      expect(count).toBeLessThanOrEqual(53);
    }
  });

  it('is of an entry of the tree, or none', () => {
    const head = { size: 8, root: tree.roots[8]! };
    const claim = { index: 3, leafHash: leaves[3]!, hashes: inclusionProof(3, 8, tree.read) };
    expect(codeOf(() => wayUp({ ...claim, index: 8 }, head))).toBe('bad-proof');
    expect(codeOf(() => wayUp({ ...claim, index: -1 }, head))).toBe('bad-number');
    expect(codeOf(() => wayUp({ ...claim, index: 2 ** 53 }, head))).toBe('bad-number');
    expect(codeOf(() => wayUp({ ...claim, index: 0.5 }, head))).toBe('bad-number');
    expect(codeOf(() => wayUp({ ...claim, leafHash: new Uint8Array(31) }, head))).toBe('bad-hash');
    expect(codeOf(() => wayUp({ ...claim, hashes: claim.hashes.slice(1) }, head))).toBe('bad-proof');
    expect(codeOf(() => wayUp({ ...claim, hashes: Array(64).fill(claim.hashes[0]) }, head))).toBe('bad-proof');
  });
});

describe('an entry of a log', () => {
  const SIZES = 66_000;
  const view = new View(entriesOf(SIZES));
  const served = (change: FakeLog['serve'] = (_path, bytes) => bytes) => {
    const log = new FakeLog(view);
    log.serve = change;
    return { source: log.source(), head: { size: SIZES, root: view.tree.roots[SIZES]! } };
  };
  const read = async (index: number, change?: FakeLog['serve']) => {
    const { source, head } = served(change);
    return await proveEntry(source, head, index);
  };
  const flipped = (bytes: Uint8Array, at: number) => bytes.with(at, bytes[at]! ^ 1);

  it.each([0, 255, 256, 65_535, 65_536, SIZES - 1])(
    'number %d is proven, and agrees with each tile on its way',
    async (index) => {
      const { body, leafHash: leaf, way, hashes } = await read(index);
      expect(body).toEqual(encodeUtf8(`entry ${index}`));
      expect(way.holds).toBe(true);
      expect(way.fault).toBeUndefined();
      verifyInclusion({ index, size: SIZES, leafHash: leaf, root: view.tree.roots[SIZES]!, hashes });
      expect(way.leaf.state).toBe('agrees');
      const inTiles = way.steps.filter(
        ({ parent }) => parent.level % 8 === 0 && parent.end - parent.begin === 2 ** parent.level,
      );
      expect(inTiles.every(({ parent }) => parent.state === 'agrees')).toBe(true);
      if (index < 65_536) expect(inTiles.length).toBe(2);
    },
  );

  it('with another body goes wrong at the leaf', async () => {
    const { way } = await read(300, (path, bytes) => {
      if (path !== 'tile/entries/001') return bytes;
      const entries = parseBundle(bytes!, 256);
      return encodeBundle(entries.with(44, encodeUtf8('another')));
    });
    expect(way).toMatchObject({ holds: false, fault: { above: -1, at: 0 }, leaf: { state: 'differs' } });
    expect(equal(way.leaf.expected!, leafHash(encodeUtf8('entry 300')))).toBe(true);
  });

  it('with a forged sibling goes wrong below the next tile', async () => {
    const { way } = await read(300, (path, bytes) => (path === 'tile/0/001' ? flipped(bytes!, 32 * 45) : bytes));
    expect(way).toMatchObject({ holds: false, fault: { above: 0, at: 8 } });
    expect(way.steps[7]!.parent).toMatchObject({ level: 8, begin: 256, end: 512, state: 'differs' });
  });

  it('with a forged hash two tiles up goes wrong there', async () => {
    const { way } = await read(300, (path, bytes) => (path === 'tile/1/000' ? flipped(bytes!, 32 * 200) : bytes));
    expect(way).toMatchObject({ holds: false, fault: { above: 8, at: 16 } });
  });

  it('whose own hash is forged in the tile above is still in the tree: the way holds, and the place differs', async () => {
    const { way } = await read(300, (path, bytes) => (path === 'tile/1/000' ? flipped(bytes!, 32) : bytes));
    expect(way.holds).toBe(true);
    expect(way.steps[7]!.parent.state).toBe('differs');
  });

  it('with a consistent forgery of all tiles goes wrong at the root', async () => {
    const other = new View(entriesOf(SIZES).with(300, encodeUtf8('another')));
    const { way } = await read(300, (path) => other.file(path));
    expect(way.holds).toBe(false);
    expect(way.fault!.at).toBe(way.steps.length);
    expect(way.steps.slice(0, -1).every(({ parent }) => parent.state !== 'differs')).toBe(true);
  });

  it.each([
    [SIZES, 'usage'],
    [-1, 'usage'],
    [1.5, 'usage'],
    [Number.NaN, 'usage'],
  ])('number %d is none', async (index, code) => await expect(read(index)).rejects.toMatchObject({ code }));

  it('is refused where a file is gone, cut or too long', async () => {
    const gone = read(300, (path, bytes) => (path.startsWith('tile/entries') ? undefined : bytes));
    await expect(gone).rejects.toMatchObject({ code: 'missing' });
    const cut = read(300, (path, bytes) => (path === 'tile/entries/001' ? bytes!.slice(0, -1) : bytes));
    await expect(cut).rejects.toMatchObject({ code: 'corrupt' });
    const short = read(300, (path, bytes) => (path === 'tile/0/001' ? bytes!.slice(32) : bytes));
    await expect(short).rejects.toMatchObject({ code: 'corrupt' });
  });

  it('of a tree of one entry is its own root', async () => {
    const log = new FakeLog(new View(entriesOf(1)));
    const { way } = await proveEntry(log.source(), { size: 1, root: log.view.tree.roots[1]! }, 0);
    expect(way).toMatchObject({ holds: true, steps: [], leaf: { state: 'agrees' } });
    const other = { size: 1, root: nodeHash(way.leaf.hash, way.leaf.hash) };
    expect((await proveEntry(log.source(), other, 0)).way).toMatchObject({ holds: false, fault: { above: -1, at: 0 } });
  });
});
