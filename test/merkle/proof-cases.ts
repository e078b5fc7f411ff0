/**
 * Proofs that hold and proofs that were damaged, in the form of the published vectors of transparency-dev/merkle (its
 * `testdata`), made with the oracle of reference/rfc6962.ts: the same kinds of damage, on trees of other sizes.
 */
import { encodeBase64 } from '../../merkle/bytes.ts';
import { type Entries, MTH, PATH, PROOF } from '../reference/rfc6962.ts';
import { entriesOf } from './helpers.ts';

/** As in the JSON files; hashes in base64. */
export interface InclusionCase {
  readonly leafIdx: number;
  readonly treeSize: number;
  readonly root: string;
  readonly leafHash: string;
  readonly proof: readonly string[] | null;
  readonly wantErr: boolean;
}

export interface ConsistencyCase {
  readonly size1: number;
  readonly size2: number;
  readonly root1: string;
  readonly root2: string;
  readonly proof: readonly string[] | null;
  readonly wantErr: boolean;
}

const GARBAGE = '';
const entries = entriesOf(256);
const tree = (size: number): Entries => entries.slice(0, size);
const root = (size: number) => encodeBase64(MTH(tree(size)));
const leaf = (index: number) => encodeBase64(MTH(entries.slice(index, index + 1)));
const flipped = (hash: string) =>
  encodeBase64(Buffer.from(hash, 'base64').map((byte, i) => (i === 5 ? byte ^ 8 : byte)));

/** Name and proof: what every proof may suffer, with hashes of the tree that do not belong into it. */
function* damagedProofs(
  proof: readonly string[],
  hashes: Readonly<Record<string, string>>,
): Generator<[string, string[]]> {
  for (const [i, hash] of proof.entries()) {
    yield [`modified hash ${i}`, proof.with(i, flipped(hash))];
    yield [`hash ${i} removed`, proof.toSpliced(i, 1)];
    yield [`hash ${i} doubled`, proof.toSpliced(i, 0, hash)];
  }
  for (const [name, hash] of Object.entries({ garbage: GARBAGE, ...hashes })) {
    yield [`preceding ${name}`, [hash, ...proof]];
    yield [`trailing ${name}`, [...proof, hash]];
  }
  if (proof.length > 0) yield ['empty proof', []];
}

export function* inclusionCases(): Generator<[string, InclusionCase]> {
  for (const [index, size] of [
    [0, 1],
    [0, 8],
    [5, 8],
    [2, 3],
    [1, 5],
    [4, 5],
    [127, 200],
  ] as const) {
    const name = `entry ${index} of ${size}`;
    const proof = PATH(index, tree(size)).map(encodeBase64);
    const good = { leafIdx: index, treeSize: size, root: root(size), leafHash: leaf(index), proof, wantErr: false };
    yield [`${name}: happy path`, good];
    const wrong: [string, Partial<InclusionCase>][] = [
      ['index + 1', { leafIdx: index + 1 }],
      ['index - 1', { leafIdx: index - 1 }],
      ['index XOR 2', { leafIdx: index ^ 2 }],
      ['size * 2', { treeSize: size * 2 }],
      ['size / 2', { treeSize: Math.floor(size / 2) }],
      ['another leaf', { leafHash: leaf(index + 1) }],
      ['the empty root', { root: root(0) }],
      ['another root', { root: flipped(good.root) }],
      ['a root cut', { root: encodeBase64(Buffer.from(good.root, 'base64').subarray(1)) }],
    ];
    for (const [what, change] of wrong) yield [`${name}: ${what}`, { ...good, ...change, wantErr: true }];
    for (const [what, changed] of damagedProofs(proof, { root: good.root, leaf: good.leafHash })) {
      yield [`${name}: ${what}`, { ...good, proof: changed, wantErr: true }];
    }
  }
}

export function* consistencyCases(): Generator<[string, ConsistencyCase]> {
  for (const [first, second] of [
    [1, 1],
    [1, 8],
    [6, 8],
    [2, 5],
    [4, 8],
    [127, 200],
  ] as const) {
    const name = `${first} in ${second}`;
    const proof = PROOF(first, tree(second)).map(encodeBase64);
    const good = { size1: first, size2: second, root1: root(first), root2: root(second), proof, wantErr: false };
    yield [`${name}: happy path`, good];
    const wrong: [string, Partial<ConsistencyCase>][] = [
      ['first + 1', { size1: first + 1 }],
      ['first - 1', { size1: first - 1 }],
      ['first XOR 2', { size1: first ^ 2 }],
      ['second * 2', { size2: second * 2 }],
      ['second / 2', { size2: Math.floor(second / 2) }],
      ['another first root', { root1: flipped(good.root1) }],
      ['another second root', { root2: flipped(good.root2) }],
      ...(first === second ? [] : [['swapped roots', { root1: good.root2, root2: good.root1 }] as [string, object]]),
    ];
    for (const [what, change] of wrong) yield [`${name}: ${what}`, { ...good, ...change, wantErr: true }];
    for (const [what, changed] of damagedProofs(proof, { 'first root': good.root1, 'second root': good.root2 })) {
      yield [`${name}: ${what}`, { ...good, proof: changed, wantErr: true }];
    }
  }
  const two = { root1: root(2), root2: root(2), proof: [] };
  yield ['sizes equal', { size1: 2, size2: 2, ...two, wantErr: false }];
  yield ['sizes equal, roots not', { size1: 2, size2: 2, ...two, root2: root(3), wantErr: true }];
  yield ['first above second', { size1: 3, size2: 2, root1: root(3), root2: root(2), proof: [], wantErr: true }];
  yield ['from the empty tree', { size1: 0, size2: 2, root1: root(0), root2: root(2), proof: [], wantErr: false }];
}
