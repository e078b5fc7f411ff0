/** What `stele sign` and `stele attest` do with one file or many: sign, log, keep the proofs, report. */
import { encodeBase64 } from '../../merkle/bytes.ts';
import { formatVerifierKey } from '../../merkle/note.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { ClientError, cancelled } from '../errors.ts';
import type { Bundle } from '../formats/bundle.ts';
import type { Signed } from '../formats/entry-request.ts';
import { formatLogEntry } from '../formats/log-entry.ts';
import { type LoggedSignature, logAll, logSigned } from '../submit/log-signatures.ts';
import type { LogRequestOptions } from '../submit/types.ts';
import type { LogTrust } from '../verify/types.ts';
import { withProgress } from './progress.ts';
import { print, reportFailed } from './report.ts';

/** Bundles that are made durable at the same time. */
const WRITERS = 16;

export interface SignItem<T> {
  readonly file: string;
  /** The file of the bundle. */
  readonly out: string;
  /** Reads the file and signs it. The bundle has no log entry. */
  sign(): Promise<{ readonly signed: Signed; readonly bundle: Bundle }>;
  /** Writes the proof. */
  keep(logged: LoggedSignature): Promise<T>;
  /** The signature is kept elsewhere: what was kept in case of a crash is not needed any more. */
  kept(): Promise<void>;
}

export type ItemResult<T> =
  | { readonly file: string; readonly value: T }
  | { readonly file: string; readonly error: ClientError | RuntimeError };

/**
 * Signs, logs and keeps items. One item alone throws its error. Of many, each has its own result, in order, and is kept as
 * soon as its answer is there.
 *
 * @param ready gives the trust, and may ask the log for its key. It is called once all items are signed.
 */
export async function signItems<T>(
  items: readonly SignItem<T>[],
  log: string,
  ready: () => Promise<LogTrust>,
  http: LogRequestOptions,
): Promise<ItemResult<T>[]> {
  const [only] = items;
  if (items.length === 1 && only !== undefined) {
    const { signed } = await only.sign();
    const value = await only.keep(await logSigned(signed, log, await ready(), http));
    return [{ file: only.file, value }];
  }
  const results = new Map<SignItem<T>, ItemResult<T>>();
  const pairs: Pair<T>[] = [];
  for (const [at, result] of (
    await signEach(items, http.signal, async (item) => (await item.sign()).signed)
  ).entries()) {
    const item = items[at]!;
    if ('value' in result) pairs.push([item, result.value]);
    else results.set(item, result);
  }
  if (pairs.length > 0) await keepAll(pairs, log, await ready(), http, results);
  return items.map((item) => results.get(item)!);
}

type Pair<T> = readonly [SignItem<T>, Signed];

/** What `work` makes of each item, one after the other. One item alone throws its error. */
export async function signEach<R>(
  items: readonly SignItem<unknown>[],
  signal: AbortSignal | undefined,
  work: (item: SignItem<unknown>) => Promise<R>,
): Promise<ItemResult<R>[]> {
  const [only] = items;
  if (items.length === 1 && only !== undefined) return [{ file: only.file, value: await work(only) }];
  return await withProgress('signing', 'files', async (update) => {
    const results: ItemResult<R>[] = [];
    for (const [done, item] of items.entries()) {
      if (signal?.aborted) throw cancelled();
      const { file } = item;
      try {
        results.push({ file, value: await work(item) });
      } catch (error) {
        results.push({ file, error: known(error) });
      }
      update(done + 1, items.length);
    }
    return results;
  });
}

async function keepAll<T>(
  pairs: readonly Pair<T>[],
  log: string,
  trust: LogTrust,
  http: LogRequestOptions,
  results: Map<SignItem<T>, ItemResult<T>>,
): Promise<void> {
  await withProgress('logging', 'files', async (update) => {
    // A writer takes the next item once its last one is durable: thousands of files at once would run out of handles.
    const writers: Promise<void>[] = Array(WRITERS).fill(Promise.resolve());
    let done = 0;
    const keep = async (item: SignItem<T>, logged: LoggedSignature | ClientError): Promise<void> => {
      const { file } = item;
      try {
        if (logged instanceof ClientError) throw logged;
        results.set(item, { file, value: await item.keep(logged) });
      } catch (error) {
        results.set(item, { file, error: known(error) });
      }
      update(++done, pairs.length);
    };
    const signed = pairs.map(([, one]) => one);
    const onLogged = (index: number, logged: LoggedSignature | ClientError): void => {
      const at = index % WRITERS;
      writers[at] = writers[at]!.then(() => keep(pairs[index]![0], logged));
    };
    try {
      await logAll(signed, log, trust, { ...http, onLogged });
    } finally {
      // Also after a cancellation: keep the proofs of all items that are logged.
      await Promise.all(writers);
    }
  });
}

/** An error that belongs to one item. Any other is a fault in the program, and ends it. */
function known(error: unknown): ClientError | RuntimeError {
  if (error instanceof ClientError && error.code !== 'cancelled') return error;
  if (error instanceof RuntimeError) return error;
  throw error;
}

/** What each kept item has. */
export interface Kept {
  readonly logged: LoggedSignature;
  /** The file of the bundle. */
  readonly out: string;
}

export type KeptItem<T> = Extract<ItemResult<T>, { readonly value: unknown }>;

/** What holds for all items of a command. */
export interface SignContext<O> {
  /** URL. */
  readonly log: string;
  readonly options: O;
  readonly publicPath: string | undefined;
}

/** What scripts get about a kept item. */
export function factsOf({ file, value }: KeptItem<Kept>, { log, publicPath }: SignContext<unknown>) {
  const { verified, entry } = value.logged;
  return {
    file,
    bundle: value.out,
    publicKey: publicPath ?? null,
    log: { url: log, origin: verified.origin, verifierKey: formatVerifierKey(verified.logKey) },
    index: verified.index,
    treeSize: verified.treeSize,
    root: encodeBase64(verified.root),
    leafHash: encodeBase64(verified.leafHash),
    cosignatures: verified.cosigned,
    entry: formatLogEntry(entry),
  };
}

/** Prints the results of many files. Sets the exit status where one of them failed. */
export function reportItems<T>(
  json: boolean | undefined,
  results: readonly ItemResult<T>[],
  facts: (kept: KeptItem<T>) => object,
  lines: (kept: readonly KeptItem<T>[]) => readonly string[],
): void {
  const kept = results.filter((result): result is KeptItem<T> => 'value' in result);
  const failed = results.length - kept.length;
  const files = results.map((result) =>
    'value' in result
      ? { ok: true, ...facts(result) }
      : { ok: false, file: result.file, error: { code: result.error.code, message: result.error.message } },
  );
  print(json, { ok: failed === 0, logged: kept.length, failed, files }, lines(kept));
  for (const result of results) if ('error' in result) reportFailed(result.file, result.error);
  if (failed > 0) process.exitCode = 1;
}
