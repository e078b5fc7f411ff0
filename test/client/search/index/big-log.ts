/** A log in memory whose entries are made when they are asked for, so that a million of them need no room. */
import { generateKeyPairSync, sign } from 'node:crypto';
import type { FollowedLog } from '../../../../client/follow/types.ts';
import type { TileSource } from '../../../../client/tiles/types.ts';
import { encodeBundle } from '../../../../merkle/bundle.ts';
import { encodeUtf8 } from '../../../../merkle/bytes.ts';
import { formatCheckpoint } from '../../../../merkle/checkpoint.ts';
import { formatNote } from '../../../../merkle/note.ts';
import { CompactRange } from '../../../../merkle/range.ts';
import { leafHash } from '../../../../merkle/rfc6962.ts';
import { fastSha256 } from '../../../../merkle/runtime/crypto/hash.ts';
import { TILE_WIDTH } from '../../../../merkle/tile.ts';
import { ed25519VerifierKey } from '../../../../merkle/verifier-key.ts';

export class BigLog {
  readonly origin = 'big.test';
  readonly bodyOf: (index: number) => Uint8Array;
  readonly #pair = generateKeyPairSync('ed25519');
  readonly #range = CompactRange.empty(fastSha256);
  /** The hashes of each level of tiles. */
  readonly #levels: { bytes: Buffer; count: number }[] = [];
  readonly #roots = new Map<number, Uint8Array>();

  constructor(bodyOf: (index: number) => Uint8Array) {
    this.bodyOf = bodyOf;
    this.#roots.set(0, this.#range.root());
  }

  get size(): number {
    return this.#range.size;
  }

  /** The root of a size that was shown. */
  root(size: number): Uint8Array {
    return this.#roots.get(size)!;
  }

  growTo(size: number): void {
    while (this.#range.size < size) {
      this.#range.append(leafHash(this.bodyOf(this.#range.size), fastSha256), (height, _index, hash) => {
        if (height % 8 !== 0) return;
        this.#levels[height / 8] ??= { bytes: Buffer.alloc(32 * TILE_WIDTH), count: 0 };
        const level = this.#levels[height / 8]!;
        if (32 * level.count === level.bytes.length)
          level.bytes = Buffer.concat([level.bytes, Buffer.alloc(level.bytes.length)]);
        level.bytes.set(hash, 32 * level.count++);
      });
    }
    this.#roots.set(size, this.#range.root());
  }

  get followed(): FollowedLog {
    const raw = this.#pair.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
    return { origin: this.origin, keys: [ed25519VerifierKey(this.origin, raw)], location: this.origin };
  }

  source(): TileSource {
    return {
      name: this.origin,
      checkpoint: async () => {
        const [key] = this.followed.keys;
        const text = formatCheckpoint({
          origin: this.origin,
          size: this.size,
          root: this.#range.root(),
          extensions: [],
        });
        const signature = sign(null, encodeUtf8(text), this.#pair.privateKey);
        return encodeUtf8(formatNote(text, [{ name: this.origin, keyId: key!.keyId, signature }]));
      },
      tile: async ({ level, index, width }) => {
        const from = 32 * TILE_WIDTH * index;
        return new Uint8Array(this.#levels[level]!.bytes.subarray(from, from + 32 * width));
      },
      entries: async (index, width) =>
        encodeBundle(Array.from({ length: width }, (_, i) => this.bodyOf(index * TILE_WIDTH + i))),
      close: async () => {},
    };
  }
}
