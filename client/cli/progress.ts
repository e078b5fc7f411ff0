/** Progress of long work, on stderr: a bar on a terminal, elsewhere a plain line every few seconds. */

interface Progress {
  readonly update: UpdateProgress;
  stop(): void;
}

/** Shows `done` of `total` units. */
type UpdateProgress = (done: number, total: number) => void;

/** Shorter work needs no bar. */
const QUIET_MS = 400;
const LINE_EVERY_MS = 5000;

/**
 * Shows the progress of `work` until it ends.
 *
 * @param label names the work, such as `hashing app.tgz`
 * @param unit names the counted things; `bytes` are shown as MiB
 */
export async function withProgress<T>(
  label: string,
  unit: string,
  work: (update: UpdateProgress) => Promise<T>,
): Promise<T> {
  const progress = process.stderr.isTTY ? bar(label, unit) : lines(label, unit);
  try {
    return await work(progress.update);
  } finally {
    progress.stop();
  }
}

function bar(label: string, unit: string): Progress {
  const start = Date.now();
  const pace = pacer();
  let shown: import('cli-progress').SingleBar | undefined;
  let loading = false;
  let stopped = false;
  return {
    update(done, total) {
      pace(done);
      if (shown !== undefined) {
        shown.setTotal(shownNumber(total, unit));
        shown.update(shownNumber(done, unit), { rate: shownRate(pace(done), unit) });
      } else if (!loading && Date.now() - start > QUIET_MS) {
        loading = true;
        void import('cli-progress').then(({ default: { SingleBar, Presets } }) => {
          if (stopped) return;
          const format = `${label} {bar} {percentage}% {value}/{total} ${shownUnit(unit)}, {rate}, {eta_formatted} left`;
          shown = new SingleBar(
            { format, stream: process.stderr, hideCursor: true, clearOnComplete: true },
            Presets.shades_classic,
          );
          shown.start(shownNumber(total, unit), shownNumber(done, unit), { rate: shownRate(pace(done), unit) });
        });
      }
    },
    stop() {
      stopped = true;
      shown?.stop();
    },
  };
}

function lines(label: string, unit: string): Progress {
  let last = Date.now();
  const pace = pacer();
  return {
    update(done, total) {
      const rate = pace(done);
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
