/** The public files of a log that a test makes up, in a directory or behind a server that behaves as the test wants. */
import { createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach } from 'vitest';
import { encodeBundle } from '../../merkle/bundle.ts';
import { concat, encodeUtf8 } from '../../merkle/bytes.ts';
import { formatCheckpoint } from '../../merkle/checkpoint.ts';
import { ed25519VerifierKey, formatNote, formatVerifierKey, type NoteSignature } from '../../merkle/note.ts';
import { CompactRange } from '../../merkle/range.ts';
import { leafHash } from '../../merkle/rfc6962.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { entryBundlePath, TILE_WIDTH, TileNodes, tilePath } from '../../merkle/tile.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});
export const later = (close: () => unknown): void => void closers.push(close);

export function tempDir(): string {
  const path = mkdtempSync(join(tmpdir(), 'stele-audit-'));
  later(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

export class StaticLog {
  readonly origin: string;
  readonly vkey: string;
  readonly #key = generateKeyPairSync('ed25519');
  readonly #id: Pick<NoteSignature, 'name' | 'keyId'>;

  constructor(origin = 'static.test') {
    this.origin = origin;
    const spki = createPublicKey(this.#key.privateKey).export({ format: 'der', type: 'spki' });
    const key = ed25519VerifierKey(origin, spki.subarray(-32));
    this.vkey = formatVerifierKey(key);
    this.#id = { name: key.name, keyId: key.keyId };
  }

  note(size: number, root: Uint8Array, others: (text: string) => NoteSignature[] = () => []): string {
    const text = formatCheckpoint({ origin: this.origin, size, root, extensions: [] });
    const signature = sign(null, encodeUtf8(text), this.#key.privateKey);
    return formatNote(text, [{ ...this.#id, signature }, ...others(text)]);
  }

  /** Writes the files of the tree over `entries`, with its checkpoint; its root. */
  write(dir: string, entries: readonly Uint8Array[]): Uint8Array {
    const tree = CompactRange.empty(fastSha256);
    const levels: Uint8Array[][] = [];
    for (const entry of entries) {
      tree.append(leafHash(entry, fastSha256), (level, _, hash) => {
        if (level % 8 !== 0) return;
        levels[level / 8] ??= [];
        levels[level / 8]!.push(hash);
      });
    }
    for (let at = 0; at < entries.length; at += TILE_WIDTH) {
      const mine = entries.slice(at, at + TILE_WIDTH);
      put(dir, entryBundlePath(at / TILE_WIDTH, mine.length), encodeBundle(mine));
    }
    for (const [level, hashes] of levels.entries()) {
      for (let at = 0; at < hashes.length; at += TILE_WIDTH) {
        const mine = hashes.slice(at, at + TILE_WIDTH);
        put(dir, tilePath({ level, index: at / TILE_WIDTH, width: mine.length }), concat(...mine));
      }
    }
    put(dir, 'checkpoint', this.note(entries.length, tree.root()));
    return tree.root();
  }

  /** A tree of `bundles` full bundles that are all the same file: gigabytes of entries that take no room. */
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
      link(dir, 'bundle', entryBundlePath(i, TILE_WIDTH));
      link(dir, 'tile0', tilePath({ level: 0, index: i, width: TILE_WIDTH }));
    }
    for (let level = 1; count > 0; level++) {
      for (let i = 0; i * TILE_WIDTH < count; i++) {
        const width = Math.min(TILE_WIDTH, count - i * TILE_WIDTH);
        put(dir, tilePath({ level, index: i, width }), concat(...Array.from({ length: width }, () => hash)));
      }
      const above = concat(...Array.from({ length: TILE_WIDTH }, () => hash));
      [count, hash] = [Math.floor(count / TILE_WIDTH), new TileNodes(above, fastSha256).node(8, 0)];
    }
    put(dir, 'checkpoint', this.note(bundles * TILE_WIDTH, range.root()));
  }
}

export function put(dir: string, path: string, bytes: Uint8Array | string): void {
  mkdirSync(dirname(join(dir, path)), { recursive: true });
  writeFileSync(join(dir, path), bytes);
}

function link(dir: string, from: string, to: string): void {
  mkdirSync(dirname(join(dir, to)), { recursive: true });
  linkSync(join(dir, from), join(dir, to));
}

/** Every file below `dir`, with its length; the checkpoint left out. */
export function filesIn(dir: string): { path: string; length: number }[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((path) => path !== 'checkpoint' && statSync(join(dir, path)).isFile())
    .map((path) => ({ path, length: statSync(join(dir, path)).size }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

export const numbered = (count: number, name = 'entry'): Uint8Array[] =>
  Array.from({ length: count }, (_, i) => encodeUtf8(`${name} ${i}`));

export type Handler = (path: string, response: ServerResponse, request: IncomingMessage) => void;

/** A server on a port of its own; `handler` gets the path without its first slash. */
export async function serve(handler: Handler): Promise<string> {
  const server = createServer((request, response) => handler(request.url!.slice(1), response, request));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  later(
    () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  );
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
