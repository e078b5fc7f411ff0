import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeHex, MAX_SIZE } from '../../merkle/bytes.ts';
import { MerkleError } from '../../merkle/errors.ts';
import {
  consistencyNodes,
  consistencyProof,
  inclusionNodes,
  inclusionProof,
  rootAt,
  rootNodes,
  verifyConsistency,
  verifyInclusion,
} from '../../merkle/proof.ts';
import { EMPTY_ROOT, leafHash } from '../../merkle/rfc6962.ts';
import { MTH, PATH, PROOF, UniformTree } from '../reference/rfc6962.ts';
import { codeOf, damaged, entriesOf, GrownTree, nodeSha256 } from './helpers.ts';

/** Sizes up to here are all tried: past one power of two in `npm test`, past two in `npm run test:long`. */
const EXHAUSTIVE = process.env.TEST_LONG === undefined ? 66 : 130;
// Half a million errors are thrown here, and their stacks would take most of the time.
Error.stackTraceLimit = 0;
const entries = entriesOf(4000);
const leaves = entries.map((entry) => leafHash(entry, nodeSha256));
const tree = new GrownTree(entries);

/** The tree's nodes, but only those that were announced, each of which must be read. */
function announced(nodes: { level: number; index: number }[]) {
  const left = new Set(nodes.map(({ level, index }) => `${level}/${index}`));
  const read = (level: number, index: number) => {
    if (!left.delete(`${level}/${index}`)) throw new Error('a node was read and not announced, or read twice');
    return tree.read(level, index);
  };
  return { read, left };
}

/** Without `expect`, which costs more than the proof where it is called half a million times. */
function mustFail(run: () => void): void {
  try {
    run();
  } catch (error) {
    if (error instanceof MerkleError && error.code === 'bad-proof') return;
    throw error;
  }
  throw new Error('a damaged proof verified');
}

const hexes = (hashes: readonly Uint8Array[]) => hashes.map(encodeHex).join('\n');

function checkInclusion(index: number, size: number): void {
  const nodes = announced(inclusionNodes(index, size));
  const hashes = inclusionProof(index, size, nodes.read, nodeSha256);
  if (nodes.left.size > 0) throw new Error('a node was announced and not read');
  const root = tree.roots[size]!;
  expect(hexes(hashes)).toBe(hexes(PATH(index, entries.slice(0, size))));
  const claim = { index, size, leafHash: leaves[index]!, root, hashes };
  verifyInclusion(claim, nodeSha256);
  for (const bad of damaged(hashes)) {
    mustFail(() => verifyInclusion({ ...claim, hashes: bad }, nodeSha256));
  }
  const other = leaves[index + 1]!;
  mustFail(() => verifyInclusion({ ...claim, leafHash: other }, nodeSha256));
}

function checkConsistency(first: number, second: number): void {
  const nodes = announced(consistencyNodes(first, second));
  const hashes = consistencyProof(first, second, nodes.read, nodeSha256);
  if (nodes.left.size > 0) throw new Error('a node was announced and not read');
  expect(hexes(hashes)).toBe(hexes(first === 0 ? [] : PROOF(first, entries.slice(0, second))));
  const claim = { first, second, firstRoot: tree.roots[first]!, secondRoot: tree.roots[second]!, hashes };
  verifyConsistency(claim, nodeSha256);
  for (const bad of damaged(hashes)) {
    mustFail(() => verifyConsistency({ ...claim, hashes: bad }, nodeSha256));
  }
  const other = tree.roots[second + 1]!;
  mustFail(() => verifyConsistency({ ...claim, firstRoot: other }, nodeSha256));
  if (first > 0) mustFail(() => verifyConsistency({ ...claim, secondRoot: other }, nodeSha256));
}

/** Ten seconds each where nothing else runs; a busy machine takes many times as long, and has found nothing by that. */
const LONG = { timeout: 600_000 };

describe('proofs against the oracle', () => {
  it(`inclusion, every index of every size to ${EXHAUSTIVE}`, LONG, () => {
    for (let size = 1; size <= EXHAUSTIVE; size++) {
      for (let index = 0; index < size; index++) checkInclusion(index, size);
    }
  });

  it(`consistency, every pair of sizes to ${EXHAUSTIVE}`, LONG, () => {
    for (let second = 0; second <= EXHAUSTIVE; second++) {
      for (let first = 0; first <= second; first++) checkConsistency(first, second);
    }
  });

  it('sampled beyond', LONG, () => {
    const size = fc.integer({ min: EXHAUSTIVE + 1, max: entries.length - 1 });
    fc.assert(
      fc.property(size, fc.nat(), (size, index) => checkInclusion(index % size, size)),
      { numRuns: 60 },
    );
    fc.assert(
      fc.property(size, fc.nat(), (second, first) => checkConsistency(first % (second + 1), second)),
      { numRuns: 60 },
    );
  });

  it('roots at every size', () => {
    for (let size = 0; size <= 600; size++) {
      const nodes = announced(rootNodes(size));
      expect(encodeHex(rootAt(size, nodes.read, nodeSha256))).toBe(encodeHex(MTH(entries.slice(0, size))));
      expect(nodes.left.size).toBe(0);
    }
  });
});

describe('proofs in trees up to 2^53 - 1 entries', () => {
  const uniform = new UniformTree(entries[0]!);
  const anySize = fc.integer({ min: 1, max: MAX_SIZE });
  const reader = (size: number) => (level: number, index: number) => {
    if (!((index + 1) * 2 ** level <= size)) throw new Error(`node ${index} at level ${level} is not in the tree`);
    return uniform.MTH(2 ** level);
  };
  const edges = [1, 2, 2 ** 31, 2 ** 31 + 1, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 52, 2 ** 52 + 1, MAX_SIZE];

  it('inclusion', () => {
    const check = (size: number, seed: number) => {
      const index = Math.min(size - 1, Math.floor(size * seed));
      const hashes = inclusionProof(index, size, reader(size), nodeSha256);
      expect(hexes(hashes)).toBe(hexes(uniform.PATH(index, size)));
      verifyInclusion({ index, size, leafHash: leaves[0]!, root: uniform.MTH(size), hashes }, nodeSha256);
    };
    for (const size of edges) for (const seed of [0, 0.3, 0.5, 1]) check(size, seed);
    fc.assert(fc.property(anySize, fc.double({ min: 0, max: 1, noNaN: true }), check), { numRuns: 200 });
  });

  it('consistency', () => {
    const check = (a: number, b: number) => {
      const [first, second] = a < b ? [a, b] : [b, a];
      const hashes = consistencyProof(first, second, reader(second), nodeSha256);
      expect(hexes(hashes)).toBe(hexes(uniform.PROOF(first, second)));
      const claim = { first, second, firstRoot: uniform.MTH(first), secondRoot: uniform.MTH(second), hashes };
      verifyConsistency(claim, nodeSha256);
    };
    for (const a of edges) for (const b of edges) check(a, b);
    fc.assert(fc.property(anySize, anySize, check), { numRuns: 200 });
  });
});

describe('proof bounds', () => {
  const hash = new Uint8Array(32);
  const root = tree.roots[8]!;
  const hashes = inclusionProof(3, 8, tree.read);
  const inclusion = { index: 3, size: 8, leafHash: leaves[3]!, root, hashes };
  const consistency = {
    first: 3,
    second: 8,
    firstRoot: tree.roots[3]!,
    secondRoot: root,
    hashes: consistencyProof(3, 8, tree.read),
  };

  it('hold before the first hash', () => {
    verifyInclusion(inclusion);
    verifyConsistency(consistency);
    const never = () => {
      throw new Error('hashed');
    };
    const wrongInclusion = [
      { index: 8 },
      { index: -1 },
      { index: 1.5 },
      { size: 0 },
      { size: 2 ** 53 },
      { size: Number.POSITIVE_INFINITY },
      { index: Number.NaN },
      { leafHash: new Uint8Array(31) },
      { root: new Uint8Array(33) },
      { hashes: [hash, hash, new Uint8Array(0)] },
      { hashes: new Array<Uint8Array>(64).fill(hash) },
    ];
    for (const wrong of wrongInclusion) {
      expect(codeOf(() => verifyInclusion({ ...inclusion, ...wrong }, never))).toBe('bad-proof');
    }
    const wrongConsistency = [
      { first: 9 },
      { first: -1 },
      { second: 2 ** 53 },
      { first: 0 },
      { second: 3 },
      { first: 8 },
      { firstRoot: new Uint8Array(31) },
      { first: 0, firstRoot: EMPTY_ROOT },
      { first: 8, firstRoot: root },
      { secondRoot: new Uint8Array(0) },
      { hashes: [new Uint8Array(31)] },
      { hashes: new Array<Uint8Array>(64).fill(hash) },
      { hashes: [] },
    ];
    for (const wrong of wrongConsistency) {
      expect(codeOf(() => verifyConsistency({ ...consistency, ...wrong }, never))).toBe('bad-proof');
    }
  });

  it('a prover is asked for no node outside of the tree', () => {
    for (const [index, size] of [
      [8, 8],
      [0, 0],
      [-1, 8],
      [0.5, 8],
      [0, 2 ** 53],
    ] as const) {
      expect(codeOf(() => inclusionProof(index, size, tree.read))).toBe('bad-number');
      expect(codeOf(() => inclusionNodes(index, size))).toBe('bad-number');
    }
    expect(codeOf(() => consistencyProof(9, 8, tree.read))).toBe('bad-number');
    expect(codeOf(() => rootAt(-1, tree.read))).toBe('bad-number');
  });
});
