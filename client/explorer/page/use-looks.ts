/**
 * Looks at the log again and again while the page is seen: every half minute, more and more rarely while the log does not answer, and
 * hardly ever where it is frozen.
 */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { ExplorerLog } from '../../../merkle/explorer-config.ts';
import type { LogLook } from '../model/looks.ts';
import { inWorker, TaskError } from './in-worker.ts';

const EVERY_MS = 30_000;
const RARELY_MS = 600_000;

interface Looks {
  readonly look: LogLook | TaskError | undefined;
  readonly looking: boolean;
  /** Looks at once. */
  readonly again: () => void;
}

export function useLooks(log: ExplorerLog): Looks {
  const [look, setLook] = useState<LogLook | TaskError>();
  const [looking, setLooking] = useState(true);
  const again = useRef<() => void>(() => {});
  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let [failures, isBusy] = [0, false];
    const wait = (ms: number) => {
      clearTimeout(timer);
      timer = setTimeout(once, ms);
    };
    const once = async () => {
      if (isBusy || document.visibilityState === 'hidden') return;
      isBusy = true;
      setLooking(true);
      try {
        const made = await inWorker('lookAtLog', { log }, { signal: stop.signal });
        failures = made.head === undefined ? failures + 1 : 0;
        setLook(made);
        wait(made.head?.frozen ? RARELY_MS : Math.min(EVERY_MS * 2 ** failures, RARELY_MS));
      } catch (error) {
        if (stop.signal.aborted) return;
        setLook(error instanceof TaskError ? error : new TaskError({ code: 'internal', message: String(error) }));
        wait(RARELY_MS);
      }
      isBusy = false;
      setLooking(false);
    };
    const seen = () => {
      if (document.visibilityState === 'visible') wait(0);
    };
    again.current = () => wait(0);
    document.addEventListener('visibilitychange', seen);
    addEventListener('online', seen);
    void once();
    return () => {
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', seen);
      removeEventListener('online', seen);
    };
  }, [log]);
  return { look, looking, again: () => again.current() };
}
