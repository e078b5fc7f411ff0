/** Standard output: one alert a line, as JSON in ASCII. */
import type { Writable } from 'node:stream';
import type { Alert } from '../../types.ts';
import { lineOf } from '../render.ts';
import { type ConfiguredSink, DeliveryError, type SinkSettings, settingsOf } from '../sink.ts';
import type { StdoutOptions } from '../sink-options.ts';

export class StdoutSink implements ConfiguredSink {
  readonly name: string;
  readonly settings: SinkSettings;
  readonly #stream: Writable;
  /** The last write, until the operating system has taken it. */
  #written: Promise<void> = Promise.resolve();

  constructor(options: StdoutOptions, stream: Writable = process.stdout) {
    this.name = options.name;
    this.settings = settingsOf(options);
    this.#stream = stream;
    // Each write reports its own failure.
    stream.on('error', ignore);
  }

  /** @throws DeliveryError `network`: the reader is gone */
  async deliver(alerts: readonly Alert[], signal: AbortSignal): Promise<void> {
    // A reader that does not read holds back one write, and not one more with each attempt.
    await abortable(this.#written.catch(ignore), signal);
    this.#written = this.#write(alerts.map((alert) => `${lineOf(alert)}\n`).join(''));
    this.#written.catch(ignore);
    await abortable(this.#written, signal);
  }

  close(): void {
    this.#stream.off('error', ignore);
  }

  #write(text: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#stream.write(text, (error) => {
        if (!error) return resolve();
        const why = (error as NodeJS.ErrnoException).code ?? error.message;
        reject(new DeliveryError('network', `standard output cannot be written: ${why}`, error));
      });
    });
  }
}

function ignore(): void {}

function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(new DeliveryError('timeout', 'nobody reads standard output'));
    if (signal.aborted) return stop();
    signal.addEventListener('abort', stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
