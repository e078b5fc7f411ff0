/**
 * The public files of a log in the layout of c2sp.org/tlog-tiles (C2SP 1cd32db, 2026-02-05), over HTTP or in a directory.
 *
 *   <source>/checkpoint
 *   <source>/checkpoint.plain     of a frozen log (docs/wire.md)
 *   <source>/tile/<L>/<N>[.p/<W>]
 *   <source>/tile/entries/<N>[.p/<W>]
 *
 * A source checks the length of each file and nothing else. The caller checks whether a hash or a checkpoint is right.
 */
import { cutBundle } from '../../merkle/bundle.ts';
import { decodeUtf8 } from '../../merkle/bytes.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { printable } from '../../merkle/printable.ts';
import { HASH_SIZE } from '../../merkle/rfc6962.ts';
import { entryBundlePath, TILE_WIDTH, tilePath } from '../../merkle/tile.ts';
import { ClientError } from '../errors.ts';
import { parseLogUrl } from '../submit/log-url.ts';
import { logFiles } from './http-files.ts';
import { MAX_CHECKPOINT, maxBundle } from './limits.ts';
import { directoryFiles } from './store/directory.ts';
import type { Files, SourceOptions, TileSource } from './types.ts';

/**
 * Opens the log at `location`: an http or https URL (the files are there, or below Rekor's `/api/v2`), a `file:` URL, or a
 * directory. The directory holds `checkpoint` and `tile/`, or is the data directory of a Stele log, which has the public
 * files in `public/`.
 *
 * The calls of the source reject with ClientError:
 * - `missing`: the file is not there, nor the wider one that it could be cut from;
 * - `corrupt`: its length is impossible;
 * - `unsupported`: it is a certificate-transparency log, which keeps its entries elsewhere;
 * - `file`: it cannot be read;
 * - `network`, `unavailable`: the log does not answer, or answers that it cannot now, in each attempt;
 * - `refused`, `bad-reply`: the answer is not a file. A redirect is not followed;
 * - `cancelled`: the signal aborted.
 *
 * @throws ClientError `usage`: the location is neither a URL nor a directory
 */
export function openSource(location: string, options: SourceOptions = {}): TileSource {
  if (/^https?:/i.test(location)) return sourceOf(logFiles(parseLogUrl(location), options));
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(location) && !/^file:/i.test(location)) {
    throw new ClientError('usage', `"${printable(location)}" is neither an http or https URL nor a directory`);
  }
  return sourceOf(directoryFiles(location));
}

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
