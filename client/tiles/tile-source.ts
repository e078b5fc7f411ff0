/** A source of tiles over any `Files`: on Node, and in a browser. */
import { cutBundle } from '../../merkle/bundle.ts';
import { decodeUtf8 } from '../../merkle/bytes.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { printable } from '../../merkle/printable.ts';
import { HASH_SIZE } from '../../merkle/rfc6962.ts';
import { entryBundlePath, TILE_WIDTH, tilePath } from '../../merkle/tile.ts';
import { ClientError } from '../errors.ts';
import { MAX_CHECKPOINT, maxBundle } from './limits.ts';
import type { Files, TileSource } from './types.ts';

/** Bytes of 256 certificates with their chains' fingerprints: far more than any has. */
const MAX_DATA_TILE = 64 * 1024 * 1024;

/** A source over any `Files`. */
export function sourceOf(files: Files): TileSource {
  const need = async (
    path: string,
    limit: number,
    signal: AbortSignal | undefined,
    fresh = false,
  ): Promise<Uint8Array> => {
    const bytes = await files.get(path, limit, signal, fresh);
    if (bytes === undefined) throw new ClientError('missing', `${path} is not there (${printable(files.name)})`);
    return bytes;
  };
  /** Where an entry bundle is missing: a certificate-transparency log keeps its entries elsewhere, and nothing is wrong with it. */
  const refuseCt = async (path: string, signal: AbortSignal | undefined) => {
    const data = path.replace(/^tile\/entries\//, 'tile/data/');
    if (data === path || (await files.get(data, MAX_DATA_TILE, signal)) === undefined) return;
    const what = `${printable(files.name)} is a certificate-transparency log (c2sp.org/static-ct-api), another kind of log`;
    throw new ClientError(
      'unsupported',
      `${what}: its entries are in tile/data, and Stele reads those in tile/entries`,
    );
  };
  /** The file of this width. Where that file is gone, `cut` takes the part out of the full one. */
  const part = async (
    pathOf: (width: number) => string,
    limitOf: (width: number) => number,
    width: number,
    signal: AbortSignal | undefined,
    cut: (full: Uint8Array) => Uint8Array,
  ): Promise<Uint8Array> => {
    if (width === TILE_WIDTH) {
      const bytes = await files.get(pathOf(width), limitOf(width), signal);
      if (bytes !== undefined) return bytes;
      await refuseCt(pathOf(width), signal);
      throw new ClientError('missing', `${pathOf(width)} is not there (${printable(files.name)})`);
    }
    const there = await files.get(pathOf(width), limitOf(width), signal);
    if (there !== undefined) return there;
    const full = await files.get(pathOf(TILE_WIDTH), limitOf(TILE_WIDTH), signal);
    if (full !== undefined) return cut(full);
    await refuseCt(pathOf(width), signal);
    throw new ClientError('missing', `${pathOf(width)} is not there, nor is ${pathOf(TILE_WIDTH)}`);
  };
  return {
    name: files.name,
    ...(files.directory === undefined ? {} : { directory: files.directory }),
    ...(files.partialsElsewhere === undefined ? {} : { partialsElsewhere: files.partialsElsewhere }),
    checkpoint: (signal, fresh) => need('checkpoint', MAX_CHECKPOINT, signal, fresh),
    plainCheckpoint: (signal) => files.get('checkpoint.plain', MAX_CHECKPOINT, signal),
    async newLogKeys(signal) {
      const bytes = await files.get('stele/v1/log', MAX_CHECKPOINT, signal);
      return bytes === undefined ? undefined : keysOfNew(bytes);
    },
    async tile({ level, index, width }, signal) {
      const pathOf = (at: number) => tilePath({ level, index, width: at });
      const bytes = await part(pathOf, tileBytes, width, signal, (full) => {
        checkTile(pathOf(TILE_WIDTH), full, TILE_WIDTH);
        return full.slice(0, tileBytes(width));
      });
      checkTile(pathOf(width), bytes, width);
      return bytes;
    },
    async entries(index, width, signal) {
      const pathOf = (at: number) => entryBundlePath(index, at);
      const bytes = await part(pathOf, maxBundle, width, signal, (full) => {
        try {
          return cutBundle(full, width).slice();
        } catch (cause) {
          if (!(cause instanceof MerkleError)) throw cause;
          throw new ClientError('corrupt', `${pathOf(TILE_WIDTH)}: ${cause.message}`, { cause });
        }
      });
      if (bytes.length < 2 * width) {
        throw new ClientError('corrupt', `${pathOf(width)} has ${bytes.length} bytes, too few for ${width} entries`);
      }
      return bytes;
    },
    close: () => files.close(),
  };
}

/** The keys in the description of a log (docs/wire.md) that says it is open and has no entry. */
function keysOfNew(bytes: Uint8Array): readonly string[] | undefined {
  try {
    const { status, size, verifierKeys } = JSON.parse(decodeUtf8(bytes)) as Record<string, unknown>;
    const isNew = status === 'open' && size === 0 && Array.isArray(verifierKeys);
    return isNew ? verifierKeys.filter((key) => typeof key === 'string') : undefined;
  } catch {
    return undefined;
  }
}

function tileBytes(width: number): number {
  return width * HASH_SIZE;
}

function checkTile(path: string, bytes: Uint8Array, width: number): void {
  if (bytes.length !== tileBytes(width)) {
    throw new ClientError('corrupt', `${path} has ${bytes.length} bytes, and ${width} hashes have ${tileBytes(width)}`);
  }
}
