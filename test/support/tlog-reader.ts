/**
 * A reader of any c2sp.org/tlog-tiles log that shares no code with Stele: it has its own parsers, and uses only Node's crypto.
 * It reads the whole tree, and verifies each byte against the signed checkpoint.
 */
import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';

/** Reads the file at a path below the log's prefix, such as `tile/0/000` or `checkpoint`. */
export type Get = (path: string) => Promise<Buffer>;

export interface Head {
  readonly origin: string;
  readonly size: number;
  readonly root: Buffer;
}

interface Key {
  readonly name: string;
  readonly id: Buffer;
  readonly key: KeyObject;
  readonly hash: 'sha256' | null;
}

const sha256 = (...parts: Uint8Array[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};
const LEAF = Buffer.from([0]);
const NODE = Buffer.from([1]);
export const hashLeaf = (entry: Uint8Array): Buffer => sha256(LEAF, entry);
const hashNode = (left: Uint8Array, right: Uint8Array): Buffer => sha256(NODE, left, right);

/** `name+hex key ID+base64(type, key)` of c2sp.org/signed-note: Ed25519 (1) and ECDSA (2). */
function parseKey(text: string): Key {
  const [, name, id, encoded] = /^([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)$/.exec(text) ?? fail(`key ${text}`);
  const [type, key] = [Buffer.from(encoded!, 'base64')[0], Buffer.from(encoded!, 'base64').subarray(1)];
  const spki = type === 1 ? Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), key]) : key;
  const computed = type === 1 ? sha256(Buffer.from(`${name}\n\x01`), key) : sha256(key);
  if (computed.subarray(0, 4).toString('hex') !== id) fail(`key ID of ${text}`);
  const parsed = createPublicKey({ key: spki, format: 'der', type: 'spki' });
  return { name: name!, id: computed.subarray(0, 4), key: parsed, hash: type === 1 ? null : 'sha256' };
}

/** The tree head of a checkpoint. Throws unless all `verifierKeys` signed the checkpoint. */
export function readCheckpoint(note: string, verifierKeys: readonly string[]): Head {
  const end = note.indexOf('\n\n');
  const text = Buffer.from(note.slice(0, end + 1));
  const signatures = note
    .slice(end + 2)
    .trimEnd()
    .split('\n')
    .map((line) => /^— (\S+) (\S+)$/.exec(line) ?? fail(`signature line ${line}`));
  for (const { name, id, key, hash } of verifierKeys.map(parseKey)) {
    const signed = signatures.some(([, signer, encoded]) => {
      const bytes = Buffer.from(encoded!, 'base64');
      return signer === name && bytes.subarray(0, 4).equals(id) && verify(hash, text, key, bytes.subarray(4));
    });
    if (!signed) fail(`no signature of ${name} with key ${id.toString('hex')}`);
  }
  const [origin, size, root] = text.toString().split('\n');
  if (!/^(0|[1-9][0-9]*)$/.test(size!)) fail(`size ${size}`);
  return { origin: origin!, size: Number(size), root: Buffer.from(root!, 'base64') };
}

/** 1234067 is `x001/x234/067`. */
function pathNumber(n: number): string {
  const last = String(n % 1000).padStart(3, '0');
  return n < 1000 ? last : `${pathNumber(Math.floor(n / 1000)).replace(/(\d{3})$/, 'x$1')}/${last}`;
}

/** The paths of the tiles that hold `count` hashes or entries, 256 each, with the width of each tile. */
function* tiles(prefix: string, count: number): Generator<{ path: string; width: number }> {
  for (let i = 0; i * 256 < count; i++) {
    const width = Math.min(256, count - i * 256);
    yield { path: `${prefix}/${pathNumber(i)}${width < 256 ? `.p/${width}` : ''}`, width };
  }
}

export interface Tree {
  readonly head: Head;
  readonly entries: readonly Buffer[];
  readonly leafHashes: readonly Buffer[];
}

/** Reads every entry of the tree of `head`, and compares every tile of every level with them. Throws if anything differs. */
export async function readTree(get: Get, head: Head): Promise<Tree> {
  const entries: Buffer[] = [];
  for (const { path, width } of tiles('tile/entries', head.size)) {
    entries.push(...splitBundle(await get(path), width, path));
  }
  const leafHashes = entries.map(hashLeaf);
  let nodes = leafHashes;
  for (let level = 0; nodes.length > 0; level++) {
    const above: Buffer[] = [];
    let at = 0;
    for (const { path, width } of tiles(`tile/${level}`, nodes.length)) {
      const mine = nodes.slice(at, at + width);
      if (!Buffer.concat(mine).equals(await get(path))) fail(`${path} does not follow from the entries`);
      if (width === 256) above.push(rootOf(mine));
      at += width;
    }
    nodes = above;
  }
  if (!rootOf(leafHashes).equals(head.root)) fail(`the entries do not give the root of size ${head.size}`);
  return { head, entries, leafHashes };
}

function splitBundle(bundle: Buffer, width: number, path: string): Buffer[] {
  const entries: Buffer[] = [];
  let at = 0;
  while (at < bundle.length) {
    const start = at + 2;
    at = start + bundle.readUInt16BE(at);
    if (at > bundle.length) fail(`${path} ends within an entry`);
    entries.push(bundle.subarray(start, at));
  }
  if (entries.length !== width) fail(`${path} has ${entries.length} entries, not ${width}`);
  return entries;
}

/** Grows a tree leaf by leaf, as the list of its perfect subtrees, the largest first. */
class Edge {
  readonly #subtrees: { size: number; hash: Buffer }[] = [];

  add(leaf: Buffer): void {
    let [size, hash] = [1, leaf];
    while (this.#subtrees.at(-1)?.size === size) {
      hash = hashNode(this.#subtrees.pop()!.hash, hash);
      size *= 2;
    }
    this.#subtrees.push({ size, hash });
  }

  root(): Buffer {
    const hashes = this.#subtrees.map(({ hash }) => hash);
    return hashes.length === 0 ? sha256() : hashes.reduceRight((right, left) => hashNode(left, right));
  }
}

function rootOf(leafHashes: readonly Buffer[]): Buffer {
  const edge = new Edge();
  for (const leaf of leafHashes) edge.add(leaf);
  return edge.root();
}

/** Throws unless each of `heads` is the head of the tree over the first `leafHashes`. */
export function checkHeads(heads: Iterable<Head>, leafHashes: readonly Buffer[]): void {
  const edge = new Edge();
  let size = 0;
  for (const head of [...heads].sort((a, b) => a.size - b.size)) {
    if (head.size > leafHashes.length)
      fail(`the tree of size ${head.size} was seen, and the log has ${leafHashes.length}`);
    while (size < head.size) edge.add(leafHashes[size++]!);
    if (!edge.root().equals(head.root)) fail(`the tree of size ${size} was seen with another root`);
  }
}

/** RFC 9162 section 2.1.3.2. Throws unless the proof leads from the entry to the root. */
export function checkInclusion(index: number, entry: Uint8Array, proof: readonly Buffer[], head: Head): void {
  let [fn, sn, hash] = [index, head.size - 1, hashLeaf(entry)];
  if (fn > sn) fail(`index ${index} in a tree of size ${head.size}`);
  for (const sibling of proof) {
    if (sn === 0) fail('inclusion proof too long');
    if (fn % 2 === 1 || fn === sn) {
      hash = hashNode(sibling, hash);
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [fn / 2, Math.floor(sn / 2)];
    } else {
      hash = hashNode(hash, sibling);
    }
    [fn, sn] = [Math.floor(fn / 2), Math.floor(sn / 2)];
  }
  if (sn !== 0 || !hash.equals(head.root)) fail(`the inclusion proof of ${index} in size ${head.size} does not hold`);
}

/** RFC 9162 section 2.1.4.2. Throws unless the proof shows that `second` begins with `first`. */
export function checkConsistency(first: Head, second: Head, proof: readonly Buffer[]): void {
  const wrong = () => fail(`the consistency proof from ${first.size} to ${second.size} does not hold`);
  if (first.size === second.size || first.size === 0) {
    if (proof.length > 0 || (first.size > 0 && !first.root.equals(second.root))) wrong();
    return;
  }
  const path = Number.isInteger(Math.log2(first.size)) ? [first.root, ...proof] : [...proof];
  let [fn, sn] = [first.size - 1, second.size - 1];
  while (fn % 2 === 1) [fn, sn] = [Math.floor(fn / 2), Math.floor(sn / 2)];
  let [fr, sr] = [path[0] ?? wrong(), path[0] ?? wrong()];
  for (const hash of path.slice(1)) {
    if (sn === 0) wrong();
    if (fn % 2 === 1 || fn === sn) {
      [fr, sr] = [hashNode(hash, fr), hashNode(hash, sr)];
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [fn / 2, Math.floor(sn / 2)];
    } else {
      sr = hashNode(sr, hash);
    }
    [fn, sn] = [Math.floor(fn / 2), Math.floor(sn / 2)];
  }
  if (sn !== 0 || !fr.equals(first.root) || !sr.equals(second.root)) wrong();
}

function fail(what: string): never {
  throw new Error(`tlog reader: ${what}`);
}
