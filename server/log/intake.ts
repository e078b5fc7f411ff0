/**
 * Admits, counts and measures requests. A body holds one item or many, an item one entry or several, and each item has its
 * own outcome. The way of each entry is in pipeline.ts.
 */
import { leafHash } from '../../merkle/rfc6962.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { RequestError, requestError } from '../errors.ts';
import type { Encoding, Ingested, IngestedEntry, LoggedEntry, Outcome, Writer } from '../types.ts';
import type { Backlog } from './backlog.ts';
import type { Pipeline } from './pipeline.ts';
import type { LogOptions } from './types.ts';

interface IntakeHost {
  /** The pipeline of the newest store. */
  pipeline(): Pipeline;
  /** @throws RequestError if the phase, the status or the limits of the log do not allow the call */
  admit(call: 'submit' | 'add'): void;
}

export class Intake {
  readonly #options: LogOptions;
  readonly #backlog: Backlog;
  readonly #host: IntakeHost;

  constructor(options: LogOptions, backlog: Backlog, host: IntakeHost) {
    this.#options = options;
    this.#backlog = backlog;
    this.#host = host;
  }

  /** See `LogService.submit`. */
  async submit(body: Uint8Array, encoding: Encoding, writer?: Writer): Promise<readonly Outcome[]> {
    this.#host.admit('submit');
    const { metrics } = this.#options;
    this.#backlog.enter();
    const started = performance.now();
    try {
      const ingested = await this.#host.pipeline().ingest(body, encoding);
      metrics.stage('ingest').observe((performance.now() - started) / 1000);
      if ('refusal' in ingested) {
        metrics.refused(ingested.refusal.reason);
        throw new RequestError(ingested.refusal.code, ingested.refusal.message);
      }
      const { items } = ingested;
      const outcomes =
        items.length === 1
          ? [await this.#logItem(items[0]!, writer)]
          : await Promise.all(items.map((item) => this.#logItem(item, writer)));
      metrics.stage('total').observe((performance.now() - started) / 1000);
      return outcomes;
    } finally {
      this.#backlog.leave();
    }
  }

  /** See `LogService.add`. An opaque entry needs no ingest, and is answered once it is committed. */
  async add(body: Uint8Array, writer?: Writer): Promise<number> {
    const { entries, metrics } = this.#options;
    if (entries !== 'raw') throw requestError('not-raw');
    this.#host.admit('add');
    const rule = writer?.ruleFor([{ kind: 'raw' }]) ?? '';
    this.#backlog.enter();
    const started = performance.now();
    const pipeline = this.#host.pipeline();
    try {
      const entry = { body, leafHash: leafHash(body, fastSha256) };
      const { index, duplicate } = await pipeline.place(entry);
      if (duplicate) metrics.duplicates.inc();
      else pipeline.answered();
      await writer?.record({ index, leafHash: entry.leafHash, duplicate, rule });
      metrics.stage('total').observe((performance.now() - started) / 1000);
      return index;
    } finally {
      this.#backlog.leave();
    }
  }

  /** The outcome of one item: its first entry, once all its entries are published, or why not. */
  async #logItem(item: Ingested, writer: Writer | undefined): Promise<Outcome> {
    if ('refusal' in item) {
      this.#options.metrics.refused(item.refusal.reason);
      return { error: new RequestError(item.refusal.code, item.refusal.message) };
    }
    // The store may have been opened again since the request came.
    const pipeline = this.#host.pipeline();
    try {
      const { entries } = item;
      if (writer !== undefined) return { entry: await logBy(writer, pipeline, entries) };
      if (entries.length === 1) return { entry: await pipeline.log(entries[0]!) };
      return { entry: await firstOf(entries.map((entry) => pipeline.log(entry))) };
    } catch (error) {
      if (error instanceof RequestError) return { error };
      this.#options.logger.error({ err: error }, 'an entry failed');
      return { error: requestError('internal') };
    }
  }
}

/** Logs the entries of one item where the policy allows all of them, and keeps who wrote them where that is configured. */
function logBy(writer: Writer, pipeline: Pipeline, entries: readonly IngestedEntry[]): Promise<LoggedEntry> {
  const rule = writer.ruleFor(entries.map(factsOf));
  return firstOf(
    entries.map(async (entry) => {
      const logged = await pipeline.log(entry);
      await writer.record({ index: logged.index, leafHash: entry.leafHash, duplicate: logged.duplicate, rule });
      return logged;
    }),
  );
}

/** The first, once all are there. All are awaited: if one fails, no other promise may be left without a handler. */
async function firstOf(entries: readonly Promise<LoggedEntry>[]): Promise<LoggedEntry> {
  if (entries.length === 1) return await entries[0]!;
  const results = await Promise.allSettled(entries);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
  return (results[0] as PromiseFulfilledResult<LoggedEntry>).value;
}

function factsOf({ facts }: IngestedEntry): NonNullable<IngestedEntry['facts']> {
  if (facts === undefined) throw new Error('an entry to be judged has no facts: the ingest was started without them');
  return facts;
}
