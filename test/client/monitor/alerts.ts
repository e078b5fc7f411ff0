/** For the tests of alerts: alerts, a clock that is moved by hand, sinks that do as they are told. */
import { createHash } from 'node:crypto';
import type { ConfiguredSink, SinkSettings } from '../../../client/monitor/alerts/sink.ts';
import type { Alert } from '../../../client/monitor/types.ts';
import type { Clock } from '../../../merkle/runtime/service/back-off.ts';

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

/** Long enough for a delivery and its write to the store. */
export const settle = () => new Promise((resolve) => setTimeout(resolve, 40));

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

  async close(): Promise<void> {}

  get indexes(): number[] {
    return indexes(this.taken.flat());
  }
}

export async function until(what: () => boolean): Promise<void> {
  for (const end = Date.now() + 20_000; !what(); ) {
    if (Date.now() > end) throw new Error(`did not come to pass: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
