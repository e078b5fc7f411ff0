/**
 * A readable log in memory, whose contents a test chooses. It serves in this process, over HTTP, or as files in a directory.
 * It has one key and any number of histories, and a test can change each file that it serves.
 *
 * For a log that accepts entries, see memory-log.ts. For a log behind a failing connection, see faulty-log.ts.
 */
import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ClientError } from '../../client/errors.ts';
import { canonicalEntry, type Signed } from '../../client/formats/entry-request.ts';
import type { LogEntry } from '../../client/formats/log-entry.ts';
import { sourceOf } from '../../client/tiles/tile-source.ts';
import type { TileSource } from '../../client/tiles/types.ts';
import { encodeBundle } from '../../merkle/bundle.ts';
import { concat, encodeUtf8 } from '../../merkle/bytes.ts';
import { formatCheckpoint } from '../../merkle/checkpoint.ts';
import {
  ed25519VerifierKey,
  formatNote,
  formatVerifierKey,
  logId,
  type NoteSignature,
  type VerifierKey,
} from '../../merkle/note.ts';
import { inclusionProof } from '../../merkle/proof.ts';
import { CompactRange } from '../../merkle/range.ts';
import { leafHash } from '../../merkle/rfc6962.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import {
  entryBundlePath,
  parseEntryBundlePath,
  parseTilePath,
  TILE_WIDTH,
  TileNodes,
  tilePath,
} from '../../merkle/tile.ts';
import { GrownTree, nodeSha256 } from '../merkle/helpers.ts';
import { later, linkFile, put } from './log-files.ts';

/** Entries whose contents depend on `name` from index `same` on: two names give two histories. */
export function entriesOf(size: number, name = 'entry', same = 0): Uint8Array[] {
  return Array.from({ length: size }, (_, i) => encodeUtf8(`${i < same ? 'entry' : name} ${i}`));
}

/** One history of a log. */
export class View {
  readonly entries: Uint8Array[];
  readonly tree: GrownTree;

  constructor(entries: Uint8Array[]) {
    this.entries = entries;
    this.tree = new GrownTree(entries);
  }

  grow(entries: readonly Uint8Array[]): void {
    for (const entry of entries) {
      this.entries.push(entry);
      this.tree.range.append(leafHash(entry, nodeSha256), (level, index, node) => {
        this.tree.levels[level] ??= [];
        this.tree.levels[level][index] = node;
      });
      this.tree.roots.push(this.tree.range.root());
    }
  }

  /** The paths of all tiles and bundles, with the partial ones of each level. */
  *paths(): Generator<string> {
    const widths = (count: number) =>
      Array.from({ length: Math.ceil(count / TILE_WIDTH) }, (_, i) => Math.min(TILE_WIDTH, count - i * TILE_WIDTH));
    for (const [i, width] of widths(this.entries.length).entries()) yield entryBundlePath(i, width);
    for (let level = 0; this.tree.levels[8 * level] !== undefined; level++) {
      for (const [index, width] of widths(this.tree.levels[8 * level]!.length).entries()) {
        yield tilePath({ level, index, width });
      }
    }
  }

  file(path: string): Uint8Array | undefined {
    if (path.startsWith('tile/entries/')) {
      const { index, width } = parseEntryBundlePath(path);
      const entries = this.entries.slice(index * 256, index * 256 + width);
      return entries.length < width ? undefined : encodeBundle(entries);
    }
    const { level, index, width } = parseTilePath(path);
    const hashes = this.tree.levels[8 * level]?.slice(index * 256, index * 256 + width) ?? [];
    return hashes.length < width ? undefined : Buffer.concat(hashes);
  }
}

export class FakeLog {
  readonly origin: string;
  readonly key: VerifierKey;
  readonly vkey: string;
  readonly #private: KeyObject;
  view: View;
  /** The size in the checkpoint, unless `note` is given. */
  size: number;
  note: string | undefined;
  extensions: string[] = [];
  cosignatures: NoteSignature[] = [];
  /** Changes the bytes of a file before the log serves them, or throws. */
  serve: (path: string, bytes: Uint8Array | undefined) => Uint8Array | undefined = (_path, bytes) => bytes;
  readonly asked: string[] = [];

  constructor(view = new View(entriesOf(600)), origin = 'log.test') {
    this.origin = origin;
    this.view = view;
    this.size = view.entries.length;
    const pair = generateKeyPairSync('ed25519');
    this.#private = pair.privateKey;
    const raw = createPublicKey(pair.privateKey).export({ format: 'der', type: 'spki' }).subarray(-32);
    this.key = ed25519VerifierKey(origin, raw);
    this.vkey = formatVerifierKey(this.key);
  }

  /** A log without entries. `add` fills it. */
  static empty(origin = 'localhost'): FakeLog {
    return new FakeLog(new View([]), origin);
  }

  get logId(): Uint8Array {
    return logId(this.key);
  }

  /** Logs an entry with `before` and `after` others around it. Returns the entry as a log of Rekor v2 answers. */
  add(body: Uint8Array, before = 3, after = 4): LogEntry {
    const index = this.view.entries.length + before;
    const fillers = (count: number) => Array.from({ length: count }, (_, i) => Uint8Array.of(i));
    this.view.grow([...fillers(before), body, ...fillers(after)]);
    this.size = this.view.entries.length;
    const { tree } = this.view;
    return {
      index,
      logId: this.logId,
      kind: 'hashedrekord',
      version: '0.0.2',
      integratedTime: 0,
      treeSize: this.size,
      root: tree.roots[this.size]!,
      hashes: inclusionProof(index, this.size, tree.read, nodeSha256),
      checkpoint: this.sign(this.text()),
      body,
    };
  }

  logged(signed: Signed): LogEntry {
    return this.add(canonicalEntry(signed));
  }

  show(entries: Uint8Array[]): void {
    this.view = new View(entries);
    this.size = entries.length;
  }

  text(size = this.size, view = this.view): string {
    return this.textOf(size, view.tree.roots[size]!);
  }

  textOf(size: number, root: Uint8Array): string {
    return formatCheckpoint({ origin: this.origin, size, root, extensions: this.extensions });
  }

  sign(text: string, others: readonly NoteSignature[] = []): string {
    const { name, keyId } = this.key;
    return formatNote(text, [{ name, keyId, signature: sign(null, encodeUtf8(text), this.#private) }, ...others]);
  }

  source(name = 'fake'): TileSource {
    return sourceOf({
      name,
      close: async () => {},
      get: async (path, limit) => {
        this.asked.push(path);
        const bytes = this.serve(path, this.#bytes(path));
        if (bytes !== undefined && bytes.length > limit) throw new ClientError('corrupt', 'too long');
        return bytes;
      },
    });
  }

  /** Serves the log over HTTP. Resolves with its URL; `later` closes the server. */
  async listen(): Promise<string> {
    const server = createServer((request, reply) => {
      const path = request.url!.slice(1).replace(/\?.*$/, '');
      const bytes = this.serve(path, this.#bytes(path));
      // As every log whose pages may be read by others.
      reply.setHeader('access-control-allow-origin', '*');
      if (bytes === undefined) reply.writeHead(404).end();
      else reply.end(bytes);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    later(async () => {
      server.closeAllConnections();
      await once(server.close(), 'close');
    });
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** Shows these entries, writes the files of their tree and its checkpoint, and returns the root. */
  write(dir: string, entries: readonly Uint8Array[]): Uint8Array {
    this.show([...entries]);
    for (const path of this.view.paths()) put(dir, path, this.view.file(path)!);
    put(dir, 'checkpoint', this.sign(this.text()));
    return this.view.tree.roots[this.size]!;
  }

  /** A tree of `bundles` full bundles that are all the same file: gigabytes of entries in little disk space. */
  writeSame(dir: string, bundles: number, entryBytes: number): void {
    const entry = new Uint8Array(entryBytes).fill(7);
    const bundle = encodeBundle(Array.from({ length: TILE_WIDTH }, () => entry));
    const leaf = leafHash(entry, fastSha256);
    const tile = concat(...Array.from({ length: TILE_WIDTH }, () => leaf));
    const tree = CompactRange.empty(fastSha256);
    let [count, hash] = [bundles, new TileNodes(tile, fastSha256).node(8, 0)];
    for (let i = 0; i < bundles; i++) tree.append(hash);
    const range = CompactRange.from(bundles * TILE_WIDTH, tree.hashes, fastSha256);
    put(dir, 'bundle', bundle);
    put(dir, 'tile0', tile);
    for (let i = 0; i < bundles; i++) {
      linkFile(dir, 'bundle', entryBundlePath(i, TILE_WIDTH));
      linkFile(dir, 'tile0', tilePath({ level: 0, index: i, width: TILE_WIDTH }));
    }
    for (let level = 1; count > 0; level++) {
      for (let i = 0; i * TILE_WIDTH < count; i++) {
        const width = Math.min(TILE_WIDTH, count - i * TILE_WIDTH);
        put(dir, tilePath({ level, index: i, width }), concat(...Array.from({ length: width }, () => hash)));
      }
      const above = concat(...Array.from({ length: TILE_WIDTH }, () => hash));
      [count, hash] = [Math.floor(count / TILE_WIDTH), new TileNodes(above, fastSha256).node(8, 0)];
    }
    const size = bundles * TILE_WIDTH;
    put(dir, 'checkpoint', this.sign(this.textOf(size, range.root())));
  }

  #bytes(path: string): Uint8Array | undefined {
    if (!/^(checkpoint$|tile\/)/.test(path)) return undefined;
    // A client looks whether this is a certificate-transparency log.
    if (path.startsWith('tile/data/')) return undefined;
    if (path !== 'checkpoint') return this.view.file(path);
    return encodeUtf8(this.note ?? this.sign(this.text(), this.cosignatures));
  }
}

/** A second view of `log`, under the same key. */
export function mirror(log: FakeLog, view: View, size = view.entries.length): TileSource {
  return sourceOf({
    name: 'mirror',
    close: async () => {},
    get: async (path) => (path === 'checkpoint' ? encodeUtf8(log.sign(log.text(size, view))) : view.file(path)),
  });
}
