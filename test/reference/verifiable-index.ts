/**
 * docs/index.md, "Posting logs" to "Verification", written literally and slowly from its text. It shares no code with merkle/, so that
 * both are unlikely to have the same error.
 */
import { createHash } from 'node:crypto';
import { type ReferenceKey, referenceKeyHash } from './extractor.ts';
import { MTH } from './rfc6962.ts';

const sha256 = (...parts: readonly (Uint8Array | number[])[]) =>
  createHash('sha256')
    .update(Buffer.concat(parts.map((part) => Buffer.from(part as Uint8Array))))
    .digest();

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

export function referencePostingRoot(postings: readonly number[]): Buffer {
  return Buffer.from(MTH(postings.map(uint64)));
}

const ZERO = Buffer.alloc(32);

/** The root of the map with these postings, by the hex of the key hash. */
export function referenceMapRoot(map: ReadonlyMap<string, readonly number[]>): Buffer {
  const leaves = [...map].map(([hex, postings]) => ({
    bits: bitsOf(Buffer.from(hex, 'hex')),
    hash: mapLeaf(Buffer.from(hex, 'hex'), postings.length, referencePostingRoot(postings)),
  }));
  return subtree(leaves, 0);
}

function subtree(leaves: readonly { readonly bits: string; readonly hash: Buffer }[], depth: number): Buffer {
  if (leaves.length === 0) return ZERO;
  if (leaves.length === 1) return leaves[0]!.hash;
  const half = (bit: string) =>
    subtree(
      leaves.filter(({ bits }) => bits[depth] === bit),
      depth + 1,
    );
  return sha256([0x03], half('0'), half('1'));
}

const bitsOf = (hash: Buffer) => [...hash].map((byte) => byte.toString(2).padStart(8, '0')).join('');
const mapLeaf = (keyHash: Buffer, count: number, root: Buffer) => sha256([0x02], keyHash, uint64(count), root);

export interface ReferenceKnown {
  readonly count: number;
  readonly root: Uint8Array;
  readonly last?: number;
}

export interface ReferenceLookup {
  readonly indexes: number[];
  readonly present: boolean;
  readonly complete: boolean;
  readonly inputSize: number;
  readonly outputSize: number;
}

/** What the answer proves; throws if it is to be refused. */
export function referenceLookup(
  bytes: Uint8Array,
  key: ReferenceKey,
  origins: { readonly input: string; readonly output: string },
  known: ReferenceKnown = { count: 0, root: MTH([]) },
): ReferenceLookup {
  const answer = readAnswer(Buffer.from(bytes));
  // 1
  const output = readCheckpoint(answer.checkpoint);
  must(output.origin === origins.output && output.size >= 1, 'output checkpoint');
  const leafHash = sha256([0x00], answer.leaf);
  must(pathRoot(output.size - 1, output.size, leafHash, [...answer.proof]).equals(output.root), 'inclusion');
  // 2
  const leaf = readLeaf(answer.leaf);
  must(leaf.input.origin === origins.input, 'input checkpoint');
  // 3
  const there = answer.siblings.filter((sibling) => sibling !== undefined);
  must(
    there.every((sibling) => !sibling.equals(ZERO)),
    'zero sibling',
  );
  must(answer.siblings.length === 0 || answer.siblings.at(-1) !== undefined, 'last sibling');
  must(there.length + (answer.place === 0 ? 0 : 1) <= leaf.keys, 'number of keys');
  const keyHash = referenceKeyHash(key);
  const bits = bitsOf(keyHash);
  let hash = ZERO;
  let indexes: number[] = [];
  let complete = true;
  if (answer.other !== undefined) {
    // 4
    const { keyHash: other, count, root } = answer.other;
    must(!other.equals(keyHash), 'the same key');
    must(bitsOf(other).slice(0, answer.siblings.length) === bits.slice(0, answer.siblings.length), 'another place');
    must(count >= 1 && count <= leaf.input.size, 'count of the other key');
    hash = mapLeaf(other, count, root);
  }
  if (answer.own !== undefined) {
    // 5
    const { count, since, range, postings, rest } = answer.own;
    must(since === known.count, 'since');
    must(rangeRoot(since, range, []).equals(Buffer.from(known.root)), 'known root');
    const before = [known.last ?? -1, ...postings];
    must(
      postings.every((posting, i) => posting > before[i]! && posting < leaf.input.size),
      'ascending',
    );
    const size = since + postings.length;
    must(size <= count && count >= 1 && count <= leaf.input.size, 'count');
    must(postings.length > 0 || since === count, 'no postings');
    const root = rangeRoot(since, range, postings);
    hash = mapLeaf(keyHash, count, size === count ? root : laterRoot(size, count, root, [...rest]));
    must(size < count || rest.length === 0, 'rest');
    indexes = postings;
    complete = size === count;
  } else must(known.count === 0, 'known postings');
  // 6
  const root = answer.siblings.reduceRight((below: Buffer, sibling, depth) => {
    const beside = sibling ?? ZERO;
    return bits[depth] === '0' ? sha256([0x03], below, beside) : sha256([0x03], beside, below);
  }, hash);
  must(root.equals(leaf.root), 'map root');
  const sizes = { inputSize: leaf.input.size, outputSize: output.size };
  return { indexes, present: answer.own !== undefined, complete, ...sizes };
}

function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(`refused: ${what}`);
}

// RFC 6962, from hashes alone.

function split(n: number): number {
  let k = 1;
  while (2 * k < n) k = 2 * k;
  return k;
}

/** Section 2.1.1, the other way round: `path` has the hash of the highest level last. */
function pathRoot(m: number, n: number, leaf: Buffer, path: Buffer[]): Buffer {
  if (n === 1) {
    must(path.length === 0, 'long path');
    return leaf;
  }
  const k = split(n);
  const last = popped(path);
  if (m < k) return sha256([0x01], pathRoot(m, k, leaf, path), last);
  return sha256([0x01], last, pathRoot(m - k, n - k, leaf, path));
}

/** The root of size `n` by PROOF(m, D[n]), which must give `root` for size `m`. */
function laterRoot(m: number, n: number, root: Buffer, proof: Buffer[]): Buffer {
  const [older, newer] = subproof(m, n, true);
  must(proof.length === 0, 'long proof');
  must(older.equals(root), 'older root');
  return newer;

  function subproof(first: number, second: number, b: boolean): [Buffer, Buffer] {
    if (first === second) {
      const own = b ? root : popped(proof);
      return [own, own];
    }
    const k = split(second);
    const last = popped(proof);
    if (first <= k) {
      const [left, grown] = subproof(first, k, b);
      return [left, sha256([0x01], grown, last)];
    }
    const [right, grown] = subproof(first - k, second - k, false);
    return [sha256([0x01], last, right), sha256([0x01], last, grown)];
  }
}

function popped(hashes: Buffer[]): Buffer {
  const last = hashes.pop();
  if (last === undefined) throw new Error('refused: short proof');
  return last;
}

/** MTH over the postings, the first `since` of which are in `range`. */
function rangeRoot(since: number, range: readonly Buffer[], postings: readonly number[]): Buffer {
  const perfect = new Map<string, Buffer>();
  let begin = 0;
  for (const hash of range) {
    let width = 1;
    while (begin + 2 * width <= since) width *= 2;
    perfect.set(`${begin} ${begin + width}`, hash);
    begin += width;
  }
  const root = (from: number, to: number): Buffer => {
    const given = perfect.get(`${from} ${to}`);
    if (given !== undefined) return given;
    if (to - from === 1) return sha256([0x00], uint64(postings[from - since]!));
    const k = split(to - from);
    return sha256([0x01], root(from, from + k), root(from + k, to));
  };
  const size = since + postings.length;
  return size === 0 ? sha256() : root(0, size);
}

// Encodings.

function readAnswer(bytes: Buffer) {
  must(bytes.length <= 1_048_576, 'length');
  let at = 0;
  const take = (length: number) => {
    must(at + length <= bytes.length, 'cut short');
    at += length;
    return bytes.subarray(at - length, at);
  };
  const number = (size: number) => {
    const value = BigInt(`0x${take(size).toString('hex')}`);
    must(value < 2n ** 53n, 'large number');
    return Number(value);
  };
  const atMost = (value: number, limit: number) => {
    must(value <= limit, 'limit');
    return value;
  };
  const hashes = (count: number) => Array.from({ length: count }, () => take(32));
  must(take(16).toString('latin1') === 'stele-lookup@v1\n', 'first line');
  const place = atMost(number(1), 2);
  const depth = atMost(number(2), 256);
  const bitmap = [...take(Math.ceil(depth / 8))].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  must(!bitmap.slice(depth).includes('1'), 'bits that are left');
  const siblings = [...bitmap.slice(0, depth)].map((bit) => (bit === '1' ? take(32) : undefined));
  const other = place === 1 ? { keyHash: take(32), count: number(8), root: take(32) } : undefined;
  const own = place === 2 ? readOwn() : undefined;
  const leaf = take(number(2));
  const proof = hashes(atMost(number(1), 63));
  const checkpoint = take(atMost(number(4), 262_144));
  must(at === bytes.length, 'bytes after the end');
  return { place, siblings, other, own, leaf, proof, checkpoint };

  function readOwn() {
    const count = number(8);
    const since = number(8);
    const range = hashes([...since.toString(2)].filter((bit) => bit === '1').length);
    const postings = Array.from({ length: atMost(number(4), 65_536) }, () => number(8));
    return { count, since, range, postings, rest: hashes(atMost(number(1), 63)) };
  }
}

function readLeaf(bytes: Buffer) {
  must(bytes.length <= 65_535, 'length of the leaf');
  const [, root, keys, note] = /^stele-index@v1\n([^\n]*)\n(0|[1-9][0-9]{0,15})\n([\s\S]*)$/.exec(utf8(bytes)) ?? [];
  const hash = base64(root ?? '');
  const input = readCheckpoint(Buffer.from(note ?? ''));
  must(hash.length === 32 && Number.isSafeInteger(Number(keys)), 'leaf');
  must(hash.equals(ZERO) === (input.size === 0) && (Number(keys) === 0) === (input.size === 0), 'empty map');
  return { root: hash, keys: Number(keys), input };
}

/** A signed note of c2sp.org/signed-note whose text is a checkpoint of c2sp.org/tlog-checkpoint. */
function readCheckpoint(bytes: Buffer) {
  const note = utf8(bytes);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a note has none
  must(!/[\u0000-\u0009\u000b-\u001f]/.test(note) && note.endsWith('\n'), 'note');
  const end = note.lastIndexOf('\n\n');
  must(end >= 0, 'no signatures');
  const lines = note.slice(end + 2, -1).split('\n');
  must(lines.length <= 100, 'signatures');
  for (const line of lines) {
    const [, name, signature] = /^— (\S+) (\S+)$/u.exec(line) ?? [];
    must(name !== undefined && !name.includes('+') && base64(signature!).length >= 5, 'signature');
  }
  const [origin, size, root, ...more] = note.slice(0, end).split('\n');
  must(/^(?:0|[1-9][0-9]{0,15})$/.test(size ?? '') && Number.isSafeInteger(Number(size)), 'size');
  must(origin !== '' && base64(root ?? '').length === 32 && !more.includes(''), 'checkpoint');
  return { origin, size: Number(size), root: base64(root!) };
}

function utf8(bytes: Buffer): string {
  const text = bytes.toString('utf8');
  must(Buffer.from(text, 'utf8').equals(bytes), 'UTF-8');
  return text;
}

function base64(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64');
  must(bytes.toString('base64') === text, 'base64');
  return bytes;
}
