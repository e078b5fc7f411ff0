/** The files that a step begins with or makes: their names, and SHA-256 of each. */
import { lstat, readdir, stat } from 'node:fs/promises';
import { posix } from 'node:path';
import { encodeHex } from '../../../merkle/bytes.ts';
import { printable } from '../../../merkle/printable.ts';
import { errnoOf } from '../../../merkle/runtime/disk/errno.ts';
import { cleanName } from '../../../merkle/runtime/policy/layout/artifact-rules.ts';
import { NamePattern } from '../../../merkle/runtime/policy/layout/name-pattern.ts';
import { ClientError, cancelled, usage } from '../../errors.ts';
import { digestFile } from '../digests.ts';
import { withProgress } from '../progress.ts';
import { note } from '../report.ts';

/** SHA-256 in hex by name: the path as it was given or found, without `.` and doubled slashes. */
type RecordedFiles = ReadonlyMap<string, string>;

const MAX_FILES = 200_000;
const MAX_DEPTH = 64;
/** A pattern of the command line, of a length that takes no time on any path. */
const MAX_PATTERN = 1_000;

/** @throws ClientError `usage` */
export function excluded(patterns: readonly string[]): (name: string) => boolean {
  const long = patterns.find((pattern) => pattern.length > MAX_PATTERN);
  if (long !== undefined) throw usage(`--exclude takes patterns of at most ${MAX_PATTERN} characters`);
  const all = patterns.map((pattern) => new NamePattern(pattern));
  return (name) => all.some((pattern) => pattern.matches(name, { left: Number.POSITIVE_INFINITY }));
}

/**
 * Hashes the files of `paths`, and of the folders in them. A symbolic link to a file is recorded under its own name with what
 * it leads to; one to a folder is passed over, as in-toto does by default, and is told.
 *
 * @param kind names the files in messages: `materials`
 * @throws ClientError `file` for a pipe, a socket, a device, a link that leads nowhere, and what changes meanwhile
 */
export async function recordFiles(
  paths: readonly string[],
  kind: string,
  isExcluded: (name: string) => boolean,
  signal: AbortSignal,
): Promise<RecordedFiles> {
  const walk: Walk = { kind, isExcluded, signal, files: new Map(), passedOver: 0 };
  for (const path of paths) await collect(walk, path, 0);
  if (walk.passedOver > 0) note(`${kind}: ${walk.passedOver} symbolic links to folders were not followed`);
  const names = [...walk.files].sort(([one], [other]) => (one < other ? -1 : 1));
  return await withProgress(`hashing ${kind}`, 'files', async (update) => {
    const recorded = new Map<string, string>();
    for (const [name, path] of names) {
      if (signal.aborted) throw cancelled();
      recorded.set(name, await hashOf(path, kind, signal));
      update(recorded.size, names.length);
    }
    return recorded;
  });
}

interface Walk {
  readonly kind: string;
  readonly isExcluded: (name: string) => boolean;
  readonly signal: AbortSignal;
  /** Paths by name. */
  readonly files: Map<string, string>;
  passedOver: number;
}

async function collect(walk: Walk, path: string, depth: number): Promise<void> {
  if (walk.signal.aborted) throw cancelled();
  const name = cleanName(path);
  if (walk.isExcluded(name)) return;
  const { kind } = walk;
  if (name.includes('\ufffd')) throw unrecorded(kind, path, 'its name is no UTF-8, or holds U+FFFD');
  if (depth > MAX_DEPTH) throw unrecorded(kind, path, `it lies more than ${MAX_DEPTH} folders deep`);
  const stats = await looking(kind, path, () => lstat(path));
  if (stats.isDirectory()) {
    const inner = await looking(kind, path, () => readdir(path));
    for (const one of inner) await collect(walk, posix.join(path, one), depth + 1);
    return;
  }
  const target = stats.isSymbolicLink() ? await looking(kind, path, () => stat(path)) : stats;
  if (target.isDirectory()) {
    walk.passedOver += 1;
    return;
  }
  if (!target.isFile()) throw unrecorded(kind, path, 'it is a pipe, a socket or a device');
  walk.files.set(name, path);
  if (walk.files.size > MAX_FILES) throw unrecorded(kind, path, `there are more than ${MAX_FILES} files`);
}

async function hashOf(path: string, kind: string, signal: AbortSignal): Promise<string> {
  const size = async () => (await looking(kind, path, () => stat(path))).size;
  const before = await size();
  // - alone would be standard input.
  const digest = await digestFile(path === '-' ? './-' : path, 'SHA2_256', signal);
  if ((await size()) !== before) throw unrecorded(kind, path, 'it changed meanwhile');
  return encodeHex(digest);
}

async function looking<T>(kind: string, path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const why = errnoOf(cause) === 'ENOENT' ? 'it is not there, or leads nowhere' : (cause as Error).message;
    throw unrecorded(kind, path, why, cause);
  }
}

function unrecorded(kind: string, path: string, why: string, cause?: unknown): ClientError {
  const hint = 'leave it out with --exclude if the step does not need it';
  return new ClientError('file', `${kind}: ${printable(path)} cannot be recorded: ${printable(why)}; ${hint}`, {
    cause,
  });
}
