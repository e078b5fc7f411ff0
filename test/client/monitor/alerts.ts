/** For the tests of alerts: alerts, a clock that is moved by hand, sinks that do as they are told. */
import { createHash } from 'node:crypto';
import type { ConfiguredSink, SinkSettings } from '../../../client/monitor/alerts/sink.ts';
import type { Alert } from '../../../client/monitor/types.ts';
import { GuardedLevel } from '../../../merkle/runtime/disk/level.ts';
import type { Clock } from '../../../merkle/runtime/service/back-off.ts';
import { turns } from '../../support/until.ts';

export function alertOf(index: number, more: Partial<Alert> = {}): Alert {
  return {
    id: createHash('sha256').update(`match log.example ${index}`).digest('hex'),
    kind: 'match',
    severity: 'alert',
    log: 'log.example',
    time: '2026-11-22T02:00:00.000Z',
    summary: `entry ${index} is signed by somebody`,
    rule: 'ours',
    entry: { index, leafHash: 'AAAA', names: ['a@example.com'] },
    completeThrough: index + 1,
    ...more,
  };
}

export const alertsOf = (count: number, from = 0) => Array.from({ length: count }, (_, i) => alertOf(from + i));
export const indexes = (alerts: readonly Alert[]) => alerts.map(({ entry }) => entry!.index);

/** Stands still until `advance` moves it; whoever sleeps is woken at the right moment. */
export class HandClock implements Clock {
  #now: number;
  #sleepers: { readonly at: number; readonly wake: () => void }[] = [];

  constructor(now = Date.UTC(2026, 10, 22)) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const sleeper = { at: this.#now + ms, wake: resolve };
      this.#sleepers.push(sleeper);
      signal?.addEventListener('abort', () => {
        this.#sleepers = this.#sleepers.filter((one) => one !== sleeper);
        resolve();
      });
    });
  }

  /** From one sleeper to the next, with real time in between for what each does. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await settle();
      const next = this.#sleepers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#now = Math.max(this.#now, next.at);
      this.#sleepers = this.#sleepers.filter((one) => one !== next);
      next.wake();
    }
    this.#now = end;
    await settle();
  }
}

/** Calls of any store that have not come back. */
let stored = 0;

function counted<T>(work: Promise<T>): Promise<T> {
  stored++;
  return work.finally(() => stored--);
}

const { get, getMany, write, close, scan } = GuardedLevel.prototype;
Object.assign(GuardedLevel.prototype, {
  get(this: GuardedLevel, ...given: Parameters<typeof get>) {
    return counted(get.apply(this, given));
  },
  getMany(this: GuardedLevel, ...given: Parameters<typeof getMany>) {
    return counted(getMany.apply(this, given));
  },
  write(this: GuardedLevel, ...given: Parameters<typeof write>) {
    return counted(write.apply(this, given));
  },
  close(this: GuardedLevel) {
    return counted(close.apply(this));
  },
  async *scan(this: GuardedLevel, ...given: Parameters<typeof scan>) {
    const rows = scan.apply(this, given);
    try {
      for (let next = await counted(rows.next()); !next.done; next = await counted(rows.next())) yield next.value;
    } finally {
      await rows.return(undefined);
    }
  },
});

/** Until nothing is under way any more but sleep, and deliveries that a test holds up. */
export async function settle(): Promise<void> {
  for (let idle = 0; idle < 10; idle = stored === 0 ? idle + 1 : 0) await turns(1);
}

export class TestSink implements ConfiguredSink {
  readonly name: string;
  readonly settings: SinkSettings;
  readonly taken: Alert[][] = [];
  attempts = 0;
  /** Set: what each delivery does in place of success. */
  behave: ((alerts: readonly Alert[], signal: AbortSignal) => Promise<void>) | undefined;

  constructor(name: string, settings: Partial<SinkSettings> = {}) {
    this.name = name;
    this.settings = { severity: 'info', ...settings };
  }

  async deliver(alerts: readonly Alert[], signal: AbortSignal): Promise<void> {
    this.attempts++;
    await this.behave?.(alerts, signal);
    this.taken.push([...alerts]);
  }

  get indexes(): number[] {
    return indexes(this.taken.flat());
  }
}
