/** Where the public files of a log come from: the contracts of this folder. */
import type { Tile } from '../../merkle/tile.ts';

/** The public files of one log. All calls may run at the same time, in any number. */
export interface TileSource {
  /** The URL or the directory, for messages. */
  readonly name: string;
  /** The directory that holds the files, for workers that read them without this source; undefined over HTTP. */
  readonly directory?: string;
  /**
   * Set where the last, partial tiles may be missing although nothing is wrong: the reason, and what to do about it.
   * The data directory of a running Stele log keeps these tiles elsewhere.
   */
  readonly partialsElsewhere?: string;
  /**
   * The current checkpoint, at most 1 MiB. The source does not check it. With `fresh`, the request asks caches on the way to
   * let it pass.
   */
  checkpoint(signal?: AbortSignal, fresh?: boolean): Promise<Uint8Array>;
  /**
   * Of a frozen log: the checkpoint of the same tree without the line that says so, at most 1 MiB, unchecked; undefined where
   * there is none. A source without this call has none.
   */
  plainCheckpoint?(signal?: AbortSignal): Promise<Uint8Array | undefined>;
  /**
   * The verifier keys that the log names itself, where it says that it is new and has no entry; undefined where it says
   * anything else, or nothing. Unverified.
   */
  newLogKeys?(signal?: AbortSignal): Promise<readonly string[] | undefined>;
  /** The tile: exactly `tile.width` times 32 bytes, cut out of the full tile where the partial one is gone. */
  tile(tile: Tile, signal?: AbortSignal): Promise<Uint8Array>;
  /**
   * The entry bundle of `width` entries (1 to 256), cut in the same way. It has 2 to 65,537 bytes for each entry; the
   * source checks nothing else.
   */
  entries(index: number, width: number, signal?: AbortSignal): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** The tree that a checkpoint is about. */
export interface TreeHead {
  /** Number of entries. */
  readonly size: number;
  /** 32 bytes. */
  readonly root: Uint8Array;
}

/** Opens the log at a URL or in a directory. @throws ClientError `usage` where the location is neither */
export type OpenSource = (location: string) => TileSource;

/** Bytes at a path below the prefix of a log. */
export interface Files extends Pick<TileSource, 'name' | 'directory' | 'partialsElsewhere' | 'close'> {
  /**
   * At most `limit` bytes, in an array of their own; undefined where no file has this path. With `fresh`, the request asks
   * caches on the way to let it pass.
   *
   * @throws ClientError `corrupt` for a longer file; `file`, `network`, `unavailable`, `refused`, `bad-reply`, `cancelled`
   */
  get(path: string, limit: number, signal?: AbortSignal, fresh?: boolean): Promise<Uint8Array | undefined>;
}

export interface SourceOptions {
  /** Milliseconds for one attempt, up to its last byte; 30,000 by default. */
  readonly timeoutMs?: number;
  /** How many more attempts a file gets when the log does not answer, or answers that it cannot now; 3 by default. */
  readonly retries?: number;
  /** The `User-Agent` of the requests; `stele` by default. */
  readonly userAgent?: string;
  /** Node's `fetch` by default. */
  readonly fetch?: typeof fetch | undefined;
}
