/** Progress of long work, on stderr: a bar on a terminal, elsewhere a plain line every few seconds. */

interface Progress {
  readonly update: (done: number, total: number, rate: number) => void;
  stop(): void;
}

/** Shorter work shows nothing, and does not load the modules of terminals. */
const QUIET_MS = 400;
const LINE_EVERY_MS = 5000;

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
  const start = Date.now();
  const pace = pacer();
  let progress: Progress | undefined;
  try {
    return await work((done, total) => {
      const rate = pace(done);
      if (progress === undefined && Date.now() - start < QUIET_MS) return;
      progress ??= process.stderr.isTTY ? bar(label, unit) : lines(label, unit, start);
      progress.update(done, total, rate);
    });
  } finally {
    progress?.stop();
  }
}

function bar(label: string, unit: string): Progress {
  let shown: import('cli-progress').SingleBar | undefined;
  let loading = false;
  let stopped = false;
  return {
    update(done, total, rate) {
      if (shown !== undefined) {
        shown.setTotal(shownNumber(total, unit));
        shown.update(shownNumber(done, unit), { rate: shownRate(rate, unit) });
      } else if (!loading) {
        loading = true;
        void import('cli-progress').then(({ default: { SingleBar, Presets } }) => {
          if (stopped) return;
          const format = `${label} {bar} {percentage}% {value}/{total} ${shownUnit(unit)}, {rate}, {eta_formatted} left`;
          shown = new SingleBar(
            { format, stream: process.stderr, hideCursor: true, clearOnComplete: true },
            Presets.shades_classic,
          );
          shown.start(shownNumber(total, unit), shownNumber(done, unit), { rate: shownRate(rate, unit) });
        });
      }
    },
    stop() {
      stopped = true;
      shown?.stop();
    },
  };
}

function lines(label: string, unit: string, start: number): Progress {
  let last = start;
  return {
    update(done, total, rate) {
      if (Date.now() - last < LINE_EVERY_MS) return;
      last = Date.now();
      const percent = total === 0 ? 100 : Math.floor((100 * done) / total);
      process.stderr.write(
        `stele: ${label}: ${percent}% (${shownNumber(done, unit)} of ${shownNumber(total, unit)} ${shownUnit(unit)}, ` +
          `${shownRate(rate, unit)}, ${shownTime((total - done) / rate)} left)\n`,
      );
    },
    stop() {},
  };
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
