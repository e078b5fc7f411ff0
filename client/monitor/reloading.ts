/**
 * A monitor that takes up another configuration while its process runs. All that it knows is in its state, so it closes
 * every part and opens them anew: no entry is missed, and no alert is lost.
 */
import type { MonitorConfig } from './config/types.ts';
import type { MonitorMetrics } from './monitor-metrics.ts';
import type { OpenMonitor } from './open-monitor.ts';

interface ReloadingOptions {
  readonly config: MonitorConfig;
  /** Reads the configuration again. Throws where it cannot be used. */
  readonly load: () => MonitorConfig;
  readonly open: (config: MonitorConfig) => Promise<OpenMonitor>;
  readonly metrics: MonitorMetrics;
  /** A sentence about what was taken and what was not. */
  readonly onReload: (message: string) => void;
}

/** What a running process cannot change: its lock and its port. */
const FIXED = ['state', 'metrics'] as const;

export class ReloadingMonitor {
  readonly #options: ReloadingOptions;
  #config: MonitorConfig;
  #opened: OpenMonitor;
  #problem: string | undefined;
  #next: MonitorConfig | undefined;
  #round = new AbortController();

  /** @throws as `open` of the options */
  static async open(options: ReloadingOptions): Promise<ReloadingMonitor> {
    return new ReloadingMonitor(options, await options.open(options.config));
  }

  private constructor(options: ReloadingOptions, opened: OpenMonitor) {
    this.#options = options;
    this.#config = options.config;
    this.#opened = opened;
    options.metrics.reloadFailed = () => this.#problem !== undefined;
  }

  /** The monitor of now. */
  get current(): OpenMonitor {
    return this.#opened;
  }

  /** Why the last configuration was not taken, in a sentence; empty where it was. */
  alarms(): string[] {
    return this.#problem === undefined ? [] : [this.#problem];
  }

  /** Reads the configuration, and has `run` take it up. A configuration that cannot be used changes nothing. */
  reload(): void {
    try {
      const next = this.#options.load();
      const restart = FIXED.filter((name) => JSON.stringify(next[name]) !== JSON.stringify(this.#config[name]));
      if (restart.length > 0) {
        this.#options.onReload(
          `these settings differ from those in use, and take effect with a restart: ${restart.join(', ')}`,
        );
      }
      const { state, metrics } = this.#config;
      const { metrics: _other, ...rest } = next;
      this.#next = { ...rest, state, ...(metrics !== undefined && { metrics }) };
      this.#round.abort();
    } catch (error) {
      this.#refuse(error);
    }
  }

  /** Follows all logs until the signal aborts, each configuration after the one before. @throws as `Monitor.run` */
  async run(signal: AbortSignal): Promise<void> {
    const stop = () => this.#round.abort();
    signal.addEventListener('abort', stop, { once: true });
    while (!signal.aborted) {
      if (this.#next === undefined) await this.#opened.monitor.run(this.#round.signal);
      if (signal.aborted) break;
      this.#round = new AbortController();
      await this.#takeUp();
    }
    signal.removeEventListener('abort', stop);
  }

  async close(): Promise<void> {
    await this.#opened.close();
  }

  async #takeUp(): Promise<void> {
    const next = this.#next;
    this.#next = undefined;
    if (next === undefined) return;
    await this.#opened.close();
    try {
      this.#opened = await this.#options.open(next);
      this.#config = next;
      this.#problem = undefined;
      this.#options.metrics.reloads.inc({ result: 'ok' });
      this.#options.onReload(`${next.file} was read again, and is in use`);
    } catch (error) {
      this.#refuse(error);
      this.#opened = await this.#options.open(this.#config);
    }
  }

  #refuse(error: unknown): void {
    const { message } = error as Error;
    this.#problem = `${this.#config.file} was not taken, and the configuration before stays in use: ${message}`;
    this.#options.metrics.reloads.inc({ result: 'failed' });
    this.#options.onReload(this.#problem);
  }
}
