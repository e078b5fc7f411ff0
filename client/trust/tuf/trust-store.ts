/**
 * The local directory of a followed repository:
 *
 *     DIR/state.json      which files are trusted, and for what; replaced in one step
 *         files/SHA256    metadata and targets by their hash; a file never changes
 *         checked         what the last update verified in this state (checked-store.ts)
 *         lock/           one update at a time
 *
 * A crash at any step leaves the old state or the new one, and each of them whole. Commands check signatures, hashes
 * and times again when they load the state. `stele verify` checks times and hashes, and takes from `checked` that the last update
 * verified the signatures.
 */
import { readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import { makeDirDurable, removeTree, writeFileDurable } from '../../../merkle/runtime/disk/files.ts';
import { ClientError } from '../../errors.ts';
import { int64, object, parseJson, record, string } from '../../formats/json.ts';
import {
  BEGIN_AGAIN,
  CHECKED,
  damaged,
  dirsOf,
  fileOf,
  filePath,
  MAX_STATE,
  readTrusted,
  STATE,
  statsIfThere,
} from './local-store.ts';
import { parseMirrorUrl } from './mirror-url.ts';
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

const FORMAT = 'stele-trust-1';

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
    return fileOf(this.dir, sha256, what);
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
    const { lockOnceFree } = await import('../../../merkle/runtime/disk/lock.ts');
    const lock = await lockOnceFree(this.dir);
    try {
      return await work();
    } finally {
      await lock.release();
    }
  }

  /** Whether a state is there, whole or damaged. */
  isThere(): boolean {
    return statsIfThere(join(this.dir, STATE)) !== undefined;
  }

  /** Removes what is here, and the directory where nothing else is in it. @throws RuntimeError `file` */
  async forget(): Promise<void> {
    for (const name of [STATE, CHECKED, 'files', 'lock', 'owner.json']) await removeTree(join(this.dir, name));
    try {
      rmdirSync(this.dir);
    } catch {
      // Other files are in it, or it is gone.
    }
  }

  /** Whether the directory is there. @throws ClientError `trust` */
  #checkDirs(): boolean {
    if (this.#checked) return true;
    const there = dirsOf(this.dir);
    // A state without its files is damaged, and no command may go on as if nothing were followed.
    this.#checked = there.own && there.files;
    return there.own;
  }

  #path(sha256: string): string {
    return filePath(this.dir, sha256);
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
