/** Progress of long work: a bar on a terminal, a plain line now and then elsewhere. Always on stderr. */

export interface Progress {
  /** `done` of `total`, in whatever is counted. */
  update(done: number, total: number): void;
  stop(): void;
}

/** Work that is done sooner needs no bar. */
const QUIET_MS = 400;
const LINE_EVERY_MS = 5000;

/**
 * @param label what is done, such as `hashing app.tgz`
 * @param unit what is counted; `bytes` are shown as MiB
 */
export function startProgress(label: string, unit: string): Progress {
  return process.stderr.isTTY ? bar(label, unit) : lines(label, unit);
}

function bar(label: string, unit: string): Progress {
  const start = Date.now();
  let shown: import('cli-progress').SingleBar | undefined;
  let loading = false;
  let stopped = false;
  return {
    update(done, total) {
      if (shown !== undefined) {
        shown.setTotal(shownNumber(total, unit));
        shown.update(shownNumber(done, unit));
      } else if (!loading && Date.now() - start > QUIET_MS) {
        loading = true;
        void import('cli-progress').then(({ default: { SingleBar, Presets } }) => {
          if (stopped) return;
          const format = `${label} {bar} {percentage}% {value}/{total} ${shownUnit(unit)}, {eta_formatted} left`;
          shown = new SingleBar(
            { format, stream: process.stderr, hideCursor: true, clearOnComplete: true },
            Presets.shades_classic,
          );
          shown.start(shownNumber(total, unit), shownNumber(done, unit));
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
  return {
    update(done, total) {
      if (Date.now() - last < LINE_EVERY_MS) return;
      last = Date.now();
      const percent = total === 0 ? 100 : Math.floor((100 * done) / total);
      process.stderr.write(
        `stele: ${label}: ${percent}% (${shownNumber(done, unit)} of ${shownNumber(total, unit)} ${shownUnit(unit)})\n`,
      );
    },
    stop() {},
  };
}

function shownNumber(value: number, unit: string): number {
  return unit === 'bytes' ? Math.round(value / 1024 ** 2) : value;
}

function shownUnit(unit: string): string {
  return unit === 'bytes' ? 'MiB' : unit;
}
