/** A folder of links on disk. Names of steps come from a layout, and hold no slash (layout-metadata.ts). */
import { closeSync, constants, fstatSync, openSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { printable } from '../../../merkle/printable.ts';
import { readOpened } from '../../../merkle/runtime/disk/bounded.ts';
import { errnoOf } from '../../../merkle/runtime/disk/errno.ts';
import { MAX_LAYOUT_FILE } from '../../../merkle/runtime/policy/layout/layout-metadata.ts';
import type { LinkFolder } from '../../../merkle/runtime/policy/layout/types.ts';
import { ClientError } from '../../errors.ts';
import { MAX_BUNDLE } from '../../formats/bundle.ts';

const MAX_NAMES = 100_000;
/** `build.2d243d7e.link`: eight characters between the step and the end. */
const SHORT_ID = /^[^/]{8}\.link$/u;

/**
 * @param path read once, when it is first asked for
 * @throws ClientError `file` where the folder, or a link in it, cannot be read: the verdict would be another without it
 */
export function linkFolder(path: string, isRoot = true): LinkFolder {
  let names: readonly string[] | undefined;
  return {
    // One by one: all files of a step together could fill the memory before the verification counts them.
    *linksOf(step) {
      names ??= namesIn(path, isRoot);
      for (const name of names) {
        if (!name.startsWith(`${step}.`) || !SHORT_ID.test(name.slice(step.length + 1))) continue;
        yield {
          name,
          read: () => readFileAt(join(path, name), MAX_LAYOUT_FILE)!,
          bundle: () => readFileAt(join(path, `${name}.sigstore.json`), MAX_BUNDLE, true),
        };
      }
    },
    below: (name) => linkFolder(join(path, name), false),
  };
}

function namesIn(path: string, isRoot: boolean): readonly string[] {
  try {
    const names = readdirSync(path).sort();
    if (names.length > MAX_NAMES) throw unreadable(path, `it has more than ${MAX_NAMES} files`);
    return names;
  } catch (cause) {
    const code = errnoOf(cause);
    // A sublayout without a folder has no links.
    if (!isRoot && (code === 'ENOENT' || code === 'ENOTDIR')) return [];
    throw cause instanceof ClientError ? cause : unreadable(path, (cause as Error).message, cause);
  }
}

/** A regular file; a pipe would be waited for. */
function readFileAt(path: string, limit: number, optional = false): Uint8Array | undefined {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    if (optional && errnoOf(cause) === 'ENOENT') return undefined;
    throw unreadable(path, (cause as Error).message, cause);
  }
  try {
    const stats = fstatSync(file);
    if (!stats.isFile()) throw unreadable(path, 'it is no regular file');
    if (stats.size > limit) throw unreadable(path, `it is larger than ${limit} bytes`);
    return readOpened(file, stats, limit);
  } finally {
    closeSync(file);
  }
}

function unreadable(path: string, why: string, cause?: unknown): ClientError {
  return new ClientError('file', `${printable(path)} cannot be read: ${printable(why)}`, { cause });
}
