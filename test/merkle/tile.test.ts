import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutBundle, encodeBundle, MAX_ENTRY, parseBundle } from '../../merkle/bundle.ts';
import { concat, encodeHex, MAX_SIZE } from '../../merkle/bytes.ts';
import {
  consistencyNodes,
  inclusionNodes,
  rootAt,
  rootNodes,
  verifyConsistency,
  verifyInclusion,
} from '../../merkle/proof.ts';
import { leafHash } from '../../merkle/rfc6962.ts';
import {
  entryBundlePath,
  nodeTile,
  parseEntryBundlePath,
  parseTilePath,
  proveConsistency,
  proveInclusion,
  readTiles,
  type Tile,
  TileNodes,
  tilePath,
  tilesForNodes,
  tileWidth,
} from '../../merkle/tile.ts';
import { MTH } from '../reference/rfc6962.ts';
import { codeOf, entriesOf, GrownTree, nodeSha256 } from './helpers.ts';

const index = fc.maxSafeNat();
const width = fc.integer({ min: 1, max: 256 });
// The example of the specification.
const entries = entriesOf(70_000);
const tree = new GrownTree(entries, false);

/** The bytes of a tile, cut from the tree's nodes. */
function tileBytes({ level, index, width }: Tile): Uint8Array {
  return concat(...tree.levels[8 * level]!.slice(index * 256, index * 256 + width));
}

const root = (size: number) => rootAt(size, tree.read, nodeSha256);

describe('tile paths', () => {
  it.each([
    [{ level: 0, index: 0, width: 256 }, 'tile/0/000'],
    [{ level: 0, index: 1234, width: 256 }, 'tile/0/x001/234'],
    [{ level: 0, index: 1234, width: 17 }, 'tile/0/x001/234.p/17'],
    [{ level: 3, index: 1_234_067, width: 256 }, 'tile/3/x001/x234/067'],
    [{ level: 63, index: 999, width: 1 }, 'tile/63/999.p/1'],
    [{ level: 1, index: 1000, width: 255 }, 'tile/1/x001/000.p/255'],
    [{ level: 0, index: MAX_SIZE, width: 256 }, 'tile/0/x009/x007/x199/x254/x740/991'],
  ])('%j is %s', (tile, path) => {
    expect(tilePath(tile)).toBe(path);
    expect(parseTilePath(path)).toEqual(tile);
  });

  it('come back as they went', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 63 }), index, width, (level, index, width) => {
        expect(parseTilePath(tilePath({ level, index, width }))).toEqual({ level, index, width });
        expect(parseEntryBundlePath(entryBundlePath(index, width))).toEqual({ index, width });
      }),
    );
  });

  it.each([
    '',
    'tile/0',
    '/tile/0/000',
    'tile/0/000/',
    'tile/0/000\n',
    'tile/00/000',
    'tile/01/000',
    'tile/64/000',
    'tile/-1/000',
    'tile/0/0',
    'tile/0/0000',
    'tile/0/x000/000',
    'tile/0/x000/001',
    'tile/0/001/234',
    'tile/0/x1/234',
    'tile/0/X001/234',
    'tile/0/x001/x234',
    'tile/0/x009/x007/x199/x254/x740/992',
    'tile/0/x001/x000/x000/x000/x000/x000/000',
    'tile/0/000.p/0',
    'tile/0/000.p/01',
    'tile/0/000.p/256',
    'tile/0/000.p/',
    'tile/0/000.p',
    'tile/0/٠٠٠',
    'tile/entries/000',
  ])('refuses %j', (path) => expect(codeOf(() => parseTilePath(path))).toBe('bad-tile'));

  it('never fail otherwise', () => {
    const near = fc.string({
      unit: fc.constantFrom('tile/', 'entries/', '0', '001', 'x', '/', '.p/', '256', '17', ' '),
    });
    fc.assert(
      fc.property(near, (path) => {
        const code = codeOf(() => expect(tilePath(parseTilePath(path))).toBe(path));
        expect([undefined, 'bad-tile']).toContain(code);
        expect([undefined, 'bad-tile']).toContain(codeOf(() => parseEntryBundlePath(path)));
      }),
      { numRuns: 2000 },
    );
    expect(codeOf(() => parseEntryBundlePath('tile/0/000'))).toBe('bad-tile');
    expect(codeOf(() => tilePath({ level: 64, index: 0, width: 1 }))).toBe('bad-tile');
    expect(codeOf(() => tilePath({ level: 0, index: -1, width: 1 }))).toBe('bad-tile');
    expect(codeOf(() => entryBundlePath(0, 257))).toBe('bad-tile');
  });
});

describe('tile widths', () => {
  it('are those of the specification at size 70,000', () => {
    const widths = (level: number, count: number) =>
      Array.from({ length: count }, (_, i) => tileWidth(level, i, 70_000));
    expect(widths(0, 275)).toEqual([...new Array(273).fill(256), 112, 0]);
    expect(widths(1, 3)).toEqual([256, 17, 0]);
    expect(widths(2, 2)).toEqual([1, 0]);
    expect(widths(3, 1)).toEqual([0]);
    expect([tileWidth(0, 0, 256), tileWidth(0, 1, 256), tileWidth(1, 0, 256)]).toEqual([256, 0, 1]);
    expect(tileWidth(0, 0, 0)).toBe(0);
  });

  it('are right up to 2^53 - 1', () => {
    fc.assert(
      fc.property(index, fc.integer({ min: 0, max: 63 }), index, (size, level, index) => {
        const count = BigInt(size) / 256n ** BigInt(level) - 256n * BigInt(index);
        const expected = count <= 0n ? 0 : count >= 256n ? 256 : Number(count);
        expect(tileWidth(level, index, size)).toBe(expected);
      }),
      {
        numRuns: 1000,
        examples: [
          [MAX_SIZE, 0, Math.floor(MAX_SIZE / 256)],
          [MAX_SIZE, 6, 0],
          [MAX_SIZE, 7, 0],
        ],
      },
    );
    expect(codeOf(() => tileWidth(-1, 0, 1))).toBe('bad-number');
    expect(codeOf(() => tileWidth(0, 0.5, 1))).toBe('bad-number');
  });
});

describe('tiles', () => {
  it('hold the hashes that the specification defines', () => {
    const at = (level: number, n: number, i: number) => {
      const span = 256 ** level;
      return MTH(entries.slice((n * 256 + i) * span, (n * 256 + i + 1) * span));
    };
    const hash = (tile: Tile, i: number) => encodeHex(tileBytes(tile).subarray(i * 32, i * 32 + 32));
    expect(hash({ level: 0, index: 273, width: 112 }, 111)).toBe(encodeHex(at(0, 273, 111)));
    expect(hash({ level: 1, index: 0, width: 256 }, 3)).toBe(encodeHex(at(1, 0, 3)));
    expect(hash({ level: 1, index: 1, width: 17 }, 16)).toBe(encodeHex(at(1, 1, 16)));
    expect(hash({ level: 2, index: 0, width: 1 }, 0)).toBe(encodeHex(at(2, 0, 0)));
  });

  it('give every node of the tree', () => {
    let hashed = 0;
    const counting = (data: Uint8Array) => {
      hashed++;
      return nodeSha256(data);
    };
    const nodes = new TileNodes(tileBytes({ level: 0, index: 1, width: 256 }), counting);
    for (let again = 0; again < 2; again++) {
      for (let height = 8; height >= 0; height--) {
        for (let i = 0; i < 2 ** (8 - height); i++) {
          expect(encodeHex(nodes.node(height, i))).toBe(encodeHex(tree.read(height, 2 ** (8 - height) + i)));
        }
      }
    }
    expect(hashed).toBe(255);
  });

  it('give every node once while a tile grows, and at each width no other', () => {
    let hashed = 0;
    const counting = (data: Uint8Array) => {
      hashed++;
      return nodeSha256(data);
    };
    const full = tileBytes({ level: 0, index: 1, width: 256 });
    const widths = [1, 2, 3, 64, 100, 255, 256, 7, 256, 130];
    let nodes = new TileNodes(full.slice(0, 32), counting);
    for (const width of widths) {
      nodes = nodes.resized(full.slice(0, width * 32));
      expect(nodes.width).toBe(width);
      for (let height = 8; height >= 0; height--) {
        for (let i = 0; i < 2 ** (8 - height); i++) {
          if ((i + 1) * 2 ** height > width) expect(codeOf(() => nodes.node(height, i))).toBe('bad-tile');
          else expect(encodeHex(nodes.node(height, i))).toBe(encodeHex(tree.read(height, 2 ** (8 - height) + i)));
        }
      }
    }
    expect(hashed).toBe(255);
  });

  it('are no other tile at another width', () => {
    const full = tileBytes({ level: 0, index: 1, width: 256 });
    const nodes = new TileNodes(full.slice(0, 100 * 32));
    for (const at of [0, 99 * 32 + 31]) {
      const other = full.slice();
      other[at]! ^= 1;
      expect(codeOf(() => nodes.resized(other))).toBe('bad-tile');
    }
    const behind = full.slice();
    behind[100 * 32]! ^= 1;
    expect(nodes.resized(behind).width).toBe(256);
    expect(codeOf(() => nodes.resized(new Uint8Array(0)))).toBe('bad-tile');
  });

  it('give no node that is not all in them', () => {
    const nodes = new TileNodes(tileBytes({ level: 0, index: 0, width: 5 }));
    expect(nodes.width).toBe(5);
    expect(encodeHex(nodes.node(2, 0))).toBe(encodeHex(tree.read(2, 0)));
    for (const [height, offset] of [
      [0, 5],
      [1, 2],
      [2, 1],
      [3, 0],
      [9, 0],
      [-1, 0],
      [0, -1],
      [0.5, 0],
    ] as const) {
      expect(codeOf(() => nodes.node(height, offset))).toBe('bad-tile');
    }
    for (const length of [0, 31, 33, 257 * 32]) {
      expect(codeOf(() => new TileNodes(new Uint8Array(length)))).toBe('bad-tile');
    }
  });

  it('are found for every node, each once', () => {
    expect(nodeTile(0, 256)).toEqual({ tile: { level: 0, index: 1 }, height: 0, offset: 0 });
    expect(nodeTile(7, 3)).toEqual({ tile: { level: 0, index: 1 }, height: 7, offset: 1 });
    expect(nodeTile(8, 255)).toEqual({ tile: { level: 1, index: 0 }, height: 0, offset: 255 });
    expect(tilesForNodes(rootNodes(70_000), 70_000)).toEqual([
      { level: 2, index: 0, width: 1 },
      { level: 1, index: 1, width: 17 },
      { level: 0, index: 273, width: 112 },
    ]);
    expect(codeOf(() => tilesForNodes([{ level: 0, index: 10 }], 10))).toBe('bad-tile');
    expect(codeOf(() => tilesForNodes([{ level: 1, index: 0 }], 1))).toBe('bad-tile');
    fc.assert(
      fc.property(fc.integer({ min: 1, max: MAX_SIZE }), fc.nat(), fc.nat(), (size, a, b) => {
        // Every node that a proof reads is in a tile that the tree of that size has.
        tilesForNodes(inclusionNodes(a % size, size), size);
        tilesForNodes(consistencyNodes(b % size, size), size);
      }),
    );
  });
});

describe('proofs from tiles', () => {
  const fetchTile = async (tile: Tile) => {
    expect(tile.width).toBeGreaterThan(0);
    return tileBytes(tile);
  };

  it('verify', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 70_000 }), fc.nat(), async (size, seed) => {
        const index = seed % size;
        const leaf = leafHash(entries[index]!, nodeSha256);
        const hashes = await proveInclusion(index, size, fetchTile, nodeSha256);
        verifyInclusion({ index, size, leafHash: leaf, root: root(size), hashes }, nodeSha256);
        const first = seed % (size + 1);
        const proof = await proveConsistency(first, size, fetchTile, nodeSha256);
        const claim = { first, second: size, firstRoot: root(first), secondRoot: root(size), hashes: proof };
        verifyConsistency(claim, nodeSha256);
      }),
      {
        numRuns: 60,
        examples: [
          [70_000, 69_999],
          [65_536, 0],
          [257, 256],
          [256, 255],
          [1, 0],
        ],
      },
    );
  });

  it('refuse a tile of another width, and a node that was not asked for', async () => {
    const short = async (tile: Tile) => tileBytes(tile).subarray(32);
    await expect(proveInclusion(5, 70_000, short)).rejects.toMatchObject({ code: 'bad-tile' });
    await expect(proveInclusion(70_000, 70_000, fetchTile)).rejects.toMatchObject({ code: 'bad-number' });
    const read = await readTiles([{ level: 0, index: 0 }], 70_000, fetchTile);
    expect(codeOf(() => read(0, 256))).toBe('bad-tile');
  });
});

describe('entry bundles', () => {
  const list = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 256 });

  it('are length-prefixed entries', () => {
    expect(encodeBundle([Uint8Array.of(97), Uint8Array.of(98, 99)])).toEqual(Uint8Array.of(0, 1, 97, 0, 2, 98, 99));
    const longest = new Uint8Array(MAX_ENTRY).fill(7);
    expect(parseBundle(encodeBundle([longest, longest]), 2)).toEqual([longest, longest]);
  });

  it('come back as they went, and narrower ones are prefixes', () => {
    fc.assert(
      fc.property(list, fc.nat(), (entries, seed) => {
        const bytes = encodeBundle(entries);
        expect(parseBundle(bytes, entries.length)).toEqual(entries);
        const width = 1 + (seed % entries.length);
        expect(cutBundle(bytes, width)).toEqual(encodeBundle(entries.slice(0, width)));
      }),
    );
  });

  it('are refused cut short, with bytes left over, or of another width', () => {
    const bytes = encodeBundle([Uint8Array.of(97), Uint8Array.of(98, 99)]);
    for (let length = 0; length < bytes.length; length++) {
      expect(codeOf(() => parseBundle(bytes.subarray(0, length), 2))).toBe('bad-bundle');
      expect(codeOf(() => cutBundle(bytes.subarray(0, length), 2))).toBe('bad-bundle');
    }
    expect(codeOf(() => parseBundle(concat(bytes, Uint8Array.of(0)), 2))).toBe('bad-bundle');
    for (const width of [0, 1, 3, 257, 1.5, Number.NaN])
      expect(codeOf(() => parseBundle(bytes, width))).toBe('bad-bundle');
    for (const width of [0, 3, 257]) expect(codeOf(() => cutBundle(bytes, width))).toBe('bad-bundle');
    expect(codeOf(() => encodeBundle([]))).toBe('bad-bundle');
    expect(codeOf(() => encodeBundle([new Uint8Array(MAX_ENTRY + 1)]))).toBe('bad-bundle');
    expect(codeOf(() => encodeBundle(new Array(257).fill(bytes)))).toBe('bad-bundle');
  });

  it('never fail otherwise', () => {
    fc.assert(
      fc.property(fc.uint8Array(), width, (bytes, width) => {
        const code = codeOf(() => expect(encodeBundle(parseBundle(bytes, width))).toEqual(bytes));
        expect([undefined, 'bad-bundle']).toContain(code);
      }),
    );
  });
});
