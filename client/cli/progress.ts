/** Progress of long work, on stderr: one line that changes on a terminal, elsewhere a new line every few seconds. */

import { printable } from '../../merkle/printable.ts';

/** Shorter work shows nothing. */
const QUIET_MS = 400;
const REDRAW_EVERY_MS = 100;
const LINE_EVERY_MS = 5000;
const BAR_WIDTH = 24;
/** ECMA-48: erases the line that the cursor is in. */
const ERASE_LINE = '\r\x1b[K';

/**
 * Shows the progress of `work` until it ends.
 *
 * @param label names the work, such as `hashing app.tgz`
 * @param unit names the counted things; `bytes` are shown as MiB
 * @param work calls `update` with `done` of `total` units
 */
export async function withProgress<T>(
  label: string,
  unit: string,
  work: (update: (done: number, total: number) => void) => Promise<T>,
): Promise<T> {
  const pace = pacer();
  const { isTTY = false, columns = 80 } = process.stderr;
  const every = isTTY ? REDRAW_EVERY_MS : LINE_EVERY_MS;
  let next = Date.now() + (isTTY ? QUIET_MS : LINE_EVERY_MS);
  let drawn = false;
  try {
    return await work((done, total) => {
      const rate = pace(done);
      if (Date.now() < next) return;
      next = Date.now() + every;
      const text = `${printable(label)}: ${isTTY ? `${barOf(done, total)} ` : ''}${textOf(unit, done, total, rate)}`;
      // A line that is too long for the terminal would go on in the next one, which is not erased.
      process.stderr.write(isTTY ? ERASE_LINE + text.slice(0, columns - 1) : `stele: ${text}\n`);
      drawn = isTTY;
    });
  } finally {
    if (drawn) process.stderr.write(ERASE_LINE);
  }
}

function barOf(done: number, total: number): string {
  const full = total === 0 ? BAR_WIDTH : Math.min(BAR_WIDTH, Math.floor((BAR_WIDTH * done) / total));
  return '█'.repeat(full) + '░'.repeat(BAR_WIDTH - full);
}

function textOf(unit: string, done: number, total: number, rate: number): string {
  const percent = total === 0 ? 100 : Math.floor((100 * done) / total);
  const counted = `${shownNumber(done, unit)} of ${shownNumber(total, unit)} ${shownUnit(unit)}`;
  return `${percent}% (${counted}, ${shownRate(rate, unit)}, ${shownTime((total - done) / rate)} left)`;
}

/** The rate a second since the first call: work that continues after an interruption does not begin at 0. */
function pacer(): (done: number) => number {
  let start: { readonly at: number; readonly done: number } | undefined;
  return (done) => {
    start ??= { at: Date.now(), done };
    return ((done - start.done) * 1000) / Math.max(1, Date.now() - start.at);
  };
}

function shownRate(rate: number, unit: string): string {
  return `${Math.round(shownNumber(rate, unit))} ${shownUnit(unit)}/s`;
}

function shownTime(seconds: number): string {
  if (!Number.isFinite(seconds)) return 'unknown time';
  const [minutes, rest] = [Math.floor(seconds / 60), Math.ceil(seconds % 60)];
  return minutes === 0 ? `${rest} s` : `${minutes} min ${rest} s`;
}

function shownNumber(value: number, unit: string): number {
  return unit === 'bytes' ? Math.round(value / 1024 ** 2) : value;
}

function shownUnit(unit: string): string {
  return unit === 'bytes' ? 'MiB' : unit;
}
