/**
 * The local directory of a followed repository:
 *
 *     DIR/state.json      which files are trusted, and for what; replaced in one step, the last one of an update
 *         files/SHA256    metadata and targets by their hash; a file never changes
 *         lock/           one update at a time
 *
 * A crash at any step leaves the old state or the new one, and each of them whole. Nothing is believed because it lies here:
 * whoever loads the state checks signatures and hashes again. The directory and its files must belong to this user or to root,
 * and nobody else may write them.
 */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  rmdirSync,
  type Stats,
  statSync,
  unlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import { readOpened } from '../../../merkle/runtime/disk/bounded.ts';
import { makeDirDurable, removeTree, writeFileDurable } from '../../../merkle/runtime/disk/files.ts';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import { ClientError } from '../../errors.ts';
import { int64, object, parseJson, record, string } from '../../formats/json.ts';
import { parseMirrorUrl } from './mirror-url.ts';
import { TUF_LIMITS } from './role.ts';
import { hexSha256 } from './tuf-key.ts';

/** A whole set of metadata. Each name is the SHA-256 of a file, in hex. */
export interface TrustedSet {
  /** The root whose keys signed timestamp and snapshot. */
  readonly root: string;
  readonly timestamp: string;
  readonly snapshot: string;
  readonly targets: string;
  /** By role. */
  readonly delegated: Readonly<Record<string, string>>;
  /** Hashes of the targets that are here. */
  readonly files: readonly string[];
}

export interface TrustState {
  /** The URL of the mirror, with a slash at its end. */
  readonly mirror: string;
  /** The root that somebody named as trusted. */
  readonly first: string;
  /** The newest root. */
  readonly root: string;
  /** The newest timestamp and snapshot, below which the mirror must not go back; perhaps of an update that failed later. */
  readonly newest: { readonly timestamp?: string; readonly snapshot?: string };
  /** What commands use. */
  readonly set: TrustedSet;
  /** When the timestamp of the set was accepted first, in milliseconds since 1970. */
  readonly accepted: number;
}

const STATE = 'state.json';
const FORMAT = 'stele-trust-1';
const MAX_STATE = 1024 * 1024;
/** How long an update waits for another one. */
const LOCK_MS = 20_000;
const LOCK_PAUSE_MS = 50;

export class TrustStore {
  readonly dir: string;
  #checked = false;

  constructor(dir: string) {
    this.dir = dir;
  }

  /**
   * The state; undefined where no repository is followed.
   *
   * @throws ClientError `trust`: it is damaged, or others may write it
   */
  read(): TrustState | undefined {
    if (!this.#checkDirs()) return undefined;
    const bytes = readTrusted(join(this.dir, STATE), MAX_STATE);
    if (bytes === undefined) return undefined;
    try {
      return parseState(bytes);
    } catch (cause) {
      if (!(cause instanceof ClientError)) throw cause;
      throw damaged(`${join(this.dir, STATE)} is damaged (${cause.message})`, cause, BEGIN_AGAIN);
    }
  }

  /**
   * A file of the state.
   *
   * @param what names it in errors
   * @throws ClientError `trust` where it is not there, or was changed
   */
  file(sha256: string, what: string): Uint8Array {
    const path = this.#path(sha256);
    const bytes = readTrusted(path, TUF_LIMITS.target);
    if (bytes === undefined) throw damaged(`${path}, ${what}, is not there`);
    if (hexSha256(bytes) !== sha256) throw damaged(`${path}, ${what}, was changed`);
    return bytes;
  }

  /** The same; undefined where the file is not there, or was changed. */
  fileIfGood(sha256: string): Uint8Array | undefined {
    try {
      return this.file(sha256, 'a file');
    } catch (error) {
      if (error instanceof ClientError) return undefined;
      throw error;
    }
  }

  /**
   * Makes the files durable, then the state.
   *
   * @param files those that may not be there yet
   * @param before the state of before, whose files stay for the commands that still read them
   * @throws RuntimeError `file`
   */
  async write(state: TrustState, files: readonly Uint8Array[], before: TrustState | undefined): Promise<void> {
    const missing = new Map<string, Uint8Array>();
    for (const bytes of files) {
      const name = hexSha256(bytes);
      if (this.fileIfGood(name) === undefined) missing.set(this.#path(name), bytes);
    }
    await makeDirDurable(join(this.dir, 'files'), { mode: 0o755 });
    // With a mode: others must not write them, whatever the umask is.
    for (const [path, bytes] of missing) await writeFileDurable(path, bytes, { mode: 0o644 });
    const json = { format: FORMAT, ...state, accepted: String(state.accepted) };
    await writeFileDurable(join(this.dir, STATE), encodeUtf8(`${JSON.stringify(json, undefined, 2)}\n`), {
      mode: 0o644,
    });
    this.#clean([state, ...(before === undefined ? [] : [before])]);
  }

  /**
   * Runs `work` while no other process updates the directory, which is made. Waits for another process for some time.
   *
   * @throws RuntimeError `locked`: the other process takes too long; `file`
   */
  async locked<T>(work: () => Promise<T>): Promise<T> {
    await makeDirDurable(this.dir, { mode: 0o755 });
    this.#checkDirs();
    // Loaded here: commands that only read need no lock, and it is large.
    const { lockDir } = await import('../../../merkle/runtime/disk/lock.ts');
    const until = Date.now() + LOCK_MS;
    for (;;) {
      try {
        const lock = await lockDir(this.dir);
        try {
          return await work();
        } finally {
          await lock.release();
        }
      } catch (error) {
        if (!(error instanceof RuntimeError) || error.code !== 'locked' || Date.now() > until) throw error;
        await new Promise((resolve) => setTimeout(resolve, LOCK_PAUSE_MS));
      }
    }
  }

  /** Whether a state is there, whole or damaged. */
  isThere(): boolean {
    return statsIfThere(join(this.dir, STATE)) !== undefined;
  }

  /** Removes what is here, and the directory where nothing else is in it. @throws RuntimeError `file` */
  async forget(): Promise<void> {
    for (const name of [STATE, 'files', 'lock', 'owner.json']) await removeTree(join(this.dir, name));
    try {
      rmdirSync(this.dir);
    } catch {
      // Other files are in it, or it is gone.
    }
  }

  /** Whether the directory is there. @throws ClientError `trust` */
  #checkDirs(): boolean {
    if (this.#checked) return true;
    const [own, files] = [this.dir, join(this.dir, 'files')].map((path) => {
      const stats = statsIfThere(path);
      if (stats === undefined) return false;
      if (!stats.isDirectory()) {
        throw new ClientError(
          'trust',
          `${path} is no directory: name another one for the local trust (--trust, STELE_TRUST)`,
        );
      }
      checkOwner(path, stats);
      return true;
    });
    // A state without its files is damaged, and no command may go on as if nothing were followed.
    this.#checked = own! && files!;
    return own!;
  }

  #path(sha256: string): string {
    return join(this.dir, 'files', sha256);
  }

  /** Removes files that no state names. An earlier crash may have left some too. */
  #clean(states: readonly TrustState[]): void {
    const kept = new Set(states.flatMap(filesOf));
    for (const name of readdirSync(join(this.dir, 'files'))) if (!kept.has(name)) unlinkSync(this.#path(name));
  }
}

function filesOf({ first, root, newest, set }: TrustState): string[] {
  const { delegated, files, ...metadata } = set;
  return [first, root, ...Object.values(newest), ...Object.values(metadata), ...Object.values(delegated), ...files];
}

/** @throws ClientError `trust` where the path leads through a file, or this user may not look there */
function statsIfThere(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (cause) {
    throw new ClientError('trust', `${path} cannot be read (${(cause as NodeJS.ErrnoException).code})`, { cause });
  }
}

/** The stats are those of the very file that is read. @throws ClientError `trust` */
function readTrusted(path: string, limit: number): Uint8Array | undefined {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new ClientError('trust', `${path} cannot be read (${(cause as NodeJS.ErrnoException).code})`, { cause });
  }
  try {
    const stats = fstatSync(file);
    checkOwner(path, stats);
    return readOpened(file, stats, limit);
  } catch (cause) {
    if (cause instanceof ClientError) throw cause;
    throw damaged(`${path} ${(cause as Error).message}`, cause);
  } finally {
    closeSync(file);
  }
}

/** Who can write these files decides what is trusted. @throws ClientError `trust` */
function checkOwner(path: string, { mode, uid }: Stats): void {
  const self = process.geteuid?.();
  // Windows has no such bits.
  if (self === undefined) return;
  if (uid !== self && uid !== 0) {
    const why = `${path} belongs to another user (${uid}), who could change what is trusted`;
    throw new ClientError('trust', `${why}: use a directory of your own (--trust, STELE_TRUST)`);
  }
  if ((mode & 0o022) === 0) return;
  const octal = (mode & 0o777).toString(8).padStart(4, '0');
  throw new ClientError('trust', `${path} can be written by others (mode ${octal}): run \`chmod go-w ${path}\``);
}

const BEGIN_AGAIN = 'run `stele trust forget`, and then `stele trust use` again';

function damaged(
  why: string,
  cause?: unknown,
  advice = `run \`stele trust update\`; if that does not help, ${BEGIN_AGAIN}`,
) {
  return new ClientError('trust', `the local trust cannot be used: ${why}. To repair it, ${advice}`, { cause });
}

export function notFollowed(dir: string): ClientError {
  const why = `no repository is followed in ${dir}`;
  return new ClientError('trust', `${why}: begin with \`stele trust use URL --root FILE\``);
}

const SHA256 = /^[0-9a-f]{64}$/;

/** @throws ClientError `malformed` */
function parseState(bytes: Uint8Array): TrustState {
  const json = record(parseJson(bytes, 'the file', MAX_STATE), 'the file', [
    'format',
    'mirror',
    'first',
    'root',
    'newest',
    'set',
    'accepted',
  ]);
  if (json.format !== FORMAT) throw new ClientError('malformed', `the file is not of the format ${FORMAT}`);
  const newest = object(json.newest, 'newest', ['timestamp', 'snapshot']);
  const set = record(json.set, 'set', ['root', 'timestamp', 'snapshot', 'targets', 'delegated', 'files']);
  const delegated = Object.entries(set.delegated ?? {}).map(([role, name]) => [role, hash(name, `delegated.${role}`)]);
  if (!Array.isArray(set.files)) throw new ClientError('malformed', 'files is not a list');
  return {
    mirror: parseMirrorUrl(string(json.mirror, 'mirror')),
    first: hash(json.first, 'first'),
    root: hash(json.root, 'root'),
    newest: {
      ...(newest.timestamp === undefined ? {} : { timestamp: hash(newest.timestamp, 'newest.timestamp') }),
      ...(newest.snapshot === undefined ? {} : { snapshot: hash(newest.snapshot, 'newest.snapshot') }),
    },
    set: {
      root: hash(set.root, 'set.root'),
      timestamp: hash(set.timestamp, 'set.timestamp'),
      snapshot: hash(set.snapshot, 'set.snapshot'),
      targets: hash(set.targets, 'set.targets'),
      // Without a prototype: a role may be called `constructor`.
      delegated: Object.assign(Object.create(null), Object.fromEntries(delegated)),
      files: set.files.map((name, i) => hash(name, `set.files[${i}]`)),
    },
    accepted: int64(json.accepted, 'accepted'),
  };
}

function hash(value: unknown, at: string): string {
  const text = string(value, at);
  if (SHA256.test(text)) return text;
  throw new ClientError('malformed', `${at} is not a SHA-256 in hex`);
}
