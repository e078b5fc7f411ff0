/**
 * The newest time that a witness gave, and the clocks that its operator accepted against it. The file `accepted-clocks` in
 * the data directory has a line of JSON for each:
 *
 *     {"clock":"2026-11-29T10:00:00.000Z","newest":"2031-11-29T09:58:12.000Z"}
 *
 * A time after the clock that was accepted last, up to its `newest`, was given by a wrong clock, and counts no more.
 */
import { decodeUtf8, encodeUtf8 } from '../merkle/bytes.ts';
import { parseCosignature } from '../merkle/cosignature.ts';
import type { VerifierKey } from '../merkle/note.ts';
import { readFileIfThere, writeFileDurable } from '../merkle/runtime/disk/files.ts';
import type { Logger } from '../merkle/runtime/service/logger.ts';
import { checkStartClock } from './clock.ts';
import type { Config } from './config.ts';
import { WitnessError } from './errors.ts';
import { signedBy } from './evidence.ts';
import { layout } from './identity.ts';
import type { WitnessStore } from './store.ts';

const MAX_BYTES = 1024 * 1024;

interface AcceptedClock {
  /** Seconds since 1970. */
  readonly clock: number;
  readonly newest: number;
}

interface StartClock {
  readonly config: Pick<Config, 'data' | 'clock'>;
  readonly store: WitnessStore;
  /** Every key that the witness ever signed with. */
  readonly keys: readonly VerifierKey[];
  /** Seconds since 1970. */
  readonly now: number;
  /** The operator says that the clock is right. */
  readonly accept: boolean;
  readonly logger: Logger;
}

/**
 * Compares the clock with the newest time that the witness gave, and keeps that time in the store: a store of an older
 * version has it in its checkpoints alone.
 * @throws WitnessError `clock`, `corrupt`; RuntimeError `store`, `file`
 */
export async function openClock({ config, store, keys, now, accept, logger }: StartClock): Promise<void> {
  const path = layout.acceptedClocks(config.data);
  const text = await readText(path);
  const newest = newestOf(store, keys, lastOf(text, path));
  try {
    checkStartClock(now, newest, config.clock.maxAhead);
  } catch (error) {
    if (!accept || newest === undefined) throw error;
    const accepted = { clock: isoOf(now), newest: isoOf(newest) };
    await writeFileDurable(path, encodeUtf8(`${text}${JSON.stringify(accepted)}\n`));
    await store.setNewest(now);
    logger.warn({ ...accepted, file: path }, 'the clock of this machine was accepted against the newest cosignature');
    return;
  }
  if (accept) logger.warn({}, '--accept-clock is not needed: the clock fits the newest cosignature');
  if (newest !== undefined && newest !== store.newest) await store.setNewest(newest);
}

function newestOf(
  store: WitnessStore,
  keys: readonly VerifierKey[],
  accepted: AcceptedClock | undefined,
): number | undefined {
  const kept = store.newest;
  let newest = kept;
  for (const { signatures } of store.all()) {
    for (const signature of signatures) {
      const key = keys.find((own) => signedBy(own, signature));
      if (key === undefined) continue;
      const { timestamp } = parseCosignature(key, signature.signature);
      const isWrong = accepted !== undefined && timestamp > (kept ?? accepted.clock) && timestamp <= accepted.newest;
      if (!isWrong) newest = Math.max(timestamp, newest ?? timestamp);
    }
  }
  return newest;
}

async function readText(path: string): Promise<string> {
  const bytes = await readFileIfThere(path, MAX_BYTES);
  return bytes === undefined ? '' : decodeUtf8(bytes);
}

function lastOf(text: string, path: string): AcceptedClock | undefined {
  const line = text.trimEnd().split('\n').at(-1) ?? '';
  if (line === '') return undefined;
  try {
    const { clock, newest } = JSON.parse(line) as Record<string, unknown>;
    return { clock: secondsOf(clock), newest: secondsOf(newest) };
  } catch {
    throw new WitnessError('corrupt', `${path} was not written by a witness. Put the file back, or remove it.`);
  }
}

function secondsOf(time: unknown): number {
  const ms = Date.parse(String(time));
  if (Number.isNaN(ms)) throw new Error('not a time');
  return ms / 1000;
}

function isoOf(seconds: number): string {
  return new Date(seconds * 1000).toISOString();
}
