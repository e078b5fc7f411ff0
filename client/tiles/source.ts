/**
 * Where the public files of a log are read from: c2sp.org/tlog-tiles (C2SP 1cd32db, 2026-02-05), over HTTP or from a
 * directory in the same layout.
 *
 *   <source>/checkpoint
 *   <source>/tile/<L>/<N>[.p/<W>]
 *   <source>/tile/entries/<N>[.p/<W>]
 *
 * A source checks how long what it hands out is, and nothing else: whether a hash or a checkpoint is right is for the
 * caller to see.
 */
import { cutBundle, MAX_ENTRY } from '../../merkle/bundle.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { printable } from '../../merkle/printable.ts';
import { HASH_SIZE } from '../../merkle/rfc6962.ts';
import { entryBundlePath, TILE_WIDTH, type Tile, tilePath } from '../../merkle/tile.ts';
import { ClientError } from '../errors.ts';
import { parseLogUrl } from '../submit/http.ts';
import { type HttpSourceOptions, logFiles } from './http.ts';
import { directoryFiles } from './store/dir.ts';

/** Longest checkpoint that is taken, in bytes. */
export const MAX_CHECKPOINT = 1024 * 1024;

/** Longest entry bundle of `width` entries (1 to 256), in bytes: 16 MiB for a full one. */
export function maxBundle(width: number): number {
  return width * (2 + MAX_ENTRY);
}

/** The public files of one log. All calls may run at the same time, and any number of them. */
export interface TileSource {
  /** The URL or the directory, for people. */
  readonly name: string;
  /** The directory where the files are, for whoever reads them on its own; undefined over HTTP. */
  readonly directory?: string;
  /**
   * Set where the last, partial tiles may be missing though nothing is wrong: the reason, and what to do.
   * The data directory of a running Stele log keeps them elsewhere.
   */
  readonly partialsElsewhere?: string;
  /** The checkpoint as it is now, at most 1 MiB; unchecked. */
  checkpoint(signal?: AbortSignal): Promise<Uint8Array>;
  /** The tile: exactly `tile.width` times 32 bytes, cut out of the full tile where the partial one is gone. */
  tile(tile: Tile, signal?: AbortSignal): Promise<Uint8Array>;
  /** The entry bundle of `width` entries (1 to 256), cut likewise; 2 to 65,537 bytes an entry, otherwise unchecked. */
  entries(index: number, width: number, signal?: AbortSignal): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** Bytes at a path below a log's prefix. */
export interface Files {
  readonly name: string;
  readonly directory?: string;
  readonly partialsElsewhere?: string;
  /**
   * At most `limit` bytes, in an array of their own; undefined where nothing is there.
   *
   * @throws ClientError `corrupt` for more; `file`, `network`, `unavailable`, `refused`, `bad-reply`, `cancelled`
   */
  get(path: string, limit: number, signal?: AbortSignal): Promise<Uint8Array | undefined>;
  close(): Promise<void>;
}

export type SourceOptions = HttpSourceOptions;

/**
 * The source at `location`: an http or https URL, below which the files are or Rekor's `/api/v2`, a `file:` URL, or a
 * directory. A directory is one with `checkpoint` and
 * `tile/` in it, or the data directory of a Stele log, whose public files are in `public/`.
 *
 * Its calls reject with ClientError:
 * - `missing`: the file is not there, nor the wider one that it could be cut from;
 * - `corrupt`: it has another length than it can have;
 * - `file`: it cannot be read; `network`, `unavailable`: the log does not answer, however often it is asked;
 * - `refused`, `bad-reply`: it answers with something else than a file, such as a redirect, which is not followed;
 * - `cancelled`: the signal said so.
 *
 * @throws ClientError `usage`: neither a URL nor a directory
 */
export function openSource(location: string, options: SourceOptions = {}): TileSource {
  if (/^https?:/i.test(location)) return sourceOf(logFiles(parseLogUrl(location), options));
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(location) && !/^file:/i.test(location)) {
    throw new ClientError('usage', `"${printable(location)}" is neither an http or https URL nor a directory`);
  }
  return sourceOf(directoryFiles(location));
}

/** A source of whatever gives bytes at a path. */
export function sourceOf(files: Files): TileSource {
  const need = async (path: string, limit: number, signal: AbortSignal | undefined): Promise<Uint8Array> => {
    const bytes = await files.get(path, limit, signal);
    if (bytes === undefined) throw new ClientError('missing', `${path} is not there (${printable(files.name)})`);
    return bytes;
  };
  /** The file of this width; where it is gone, the full one, from which `cut` takes what is wanted. */
  const part = async (
    pathOf: (width: number) => string,
    limitOf: (width: number) => number,
    width: number,
    signal: AbortSignal | undefined,
    cut: (full: Uint8Array) => Uint8Array,
  ): Promise<Uint8Array> => {
    if (width === TILE_WIDTH) return await need(pathOf(width), limitOf(width), signal);
    const there = await files.get(pathOf(width), limitOf(width), signal);
    if (there !== undefined) return there;
    const full = await files.get(pathOf(TILE_WIDTH), limitOf(TILE_WIDTH), signal);
    if (full !== undefined) return cut(full);
    throw new ClientError('missing', `${pathOf(width)} is not there, nor is ${pathOf(TILE_WIDTH)}`);
  };
  return {
    name: files.name,
    ...(files.directory === undefined ? {} : { directory: files.directory }),
    ...(files.partialsElsewhere === undefined ? {} : { partialsElsewhere: files.partialsElsewhere }),
    checkpoint: (signal) => need('checkpoint', MAX_CHECKPOINT, signal),
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

function tileBytes(width: number): number {
  return width * HASH_SIZE;
}

function checkTile(path: string, bytes: Uint8Array, width: number): void {
  if (bytes.length !== tileBytes(width)) {
    throw new ClientError('corrupt', `${path} has ${bytes.length} bytes, and ${width} hashes have ${tileBytes(width)}`);
  }
}
