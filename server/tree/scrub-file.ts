/**
 * How far the scrub has come, kept over restarts: one line of JSON. A file that cannot be read is as good as none, and the
 * round begins anew.
 *
 *   {"version":1,"next":77,"started":1764400000000,"completed":1763800000000,"since":1763200000000}
 */
import { decodeUtf8 } from '../../merkle/bytes.ts';
import { readFileIfThere, writeFileDurable } from '../../merkle/runtime/disk/files.ts';
import { mapped } from '../store/store-errors.ts';

/** Times are milliseconds since 1970. */
export interface ScrubProgress {
  /** The next full bundle of the round. */
  readonly next: number;
  /** When the round began. */
  readonly started: number;
  /** When the last whole round ended; undefined before the first end. */
  readonly completed?: number;
  /** When the first round began. */
  readonly since: number;
}

const VERSION = 1;
const MAX_BYTES = 4096;

/** @throws ServerError `store` where the file cannot be read; SyntaxError where it is not one of these */
export async function readProgress(path: string): Promise<ScrubProgress | undefined> {
  const bytes = await mapped(() => readFileIfThere(path, MAX_BYTES));
  if (bytes === undefined) return undefined;
  const { version, next, started, completed, since } = JSON.parse(decodeUtf8(bytes)) as Record<string, unknown>;
  if (version === VERSION && isCount(next) && isCount(started) && isCount(since)) {
    if (completed === undefined) return { next, started, since };
    if (isCount(completed)) return { next, started, completed, since };
  }
  throw new SyntaxError(`${path} does not say how far a scrub has come`);
}

/** Replaces the file. @throws ServerError `store` */
export async function writeProgress(path: string, { next, started, completed, since }: ScrubProgress): Promise<void> {
  const line = JSON.stringify({ version: VERSION, next, started, completed, since });
  await mapped(() => writeFileDurable(path, Buffer.from(`${line}\n`)));
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
