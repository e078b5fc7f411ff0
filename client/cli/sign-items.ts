/** What `stele sign` and `stele attest` do with one file or many: sign, log, keep the proofs, report. */
import { encodeBase64 } from '../../merkle/bytes.ts';
import { formatVerifierKey } from '../../merkle/note.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { parseCertificate } from '../../merkle/x509/certificate.ts';
import { identityOf } from '../../merkle/x509/fulcio.ts';
import { timeText } from '../../merkle/x509/utc-time.ts';
import { ClientError, cancelled } from '../errors.ts';
import type { Bundle } from '../formats/bundle.ts';
import type { Signed } from '../formats/entry-request.ts';
import { formatLogEntry } from '../formats/log-entry.ts';
import { FrozenLog } from '../submit/frozen-log.ts';
import { type LoggedSignature, logAll, logSigned } from '../submit/log-signatures.ts';
import type { LogRequestOptions } from '../submit/types.ts';
import type { LogTrust } from '../verify/types.ts';
import { withProgress } from './progress.ts';
import { print, reportFailed } from './report.ts';

/** Bundles that are made durable at the same time. */
const WRITERS = 16;

/** What the first log answered, with a bundle that has the entries of all of them. */
interface LoggedEverywhere extends LoggedSignature {
  readonly others: readonly LoggedSignature[];
}

export interface SignItem<T> {
  readonly file: string;
  /** The file of the bundle. */
  readonly out: string;
  /** Reads the file and signs it. The bundle has no log entry. */
  sign(): Promise<{ readonly signed: Signed; readonly bundle: Bundle }>;
  /** Writes the proofs. */
  keep(logged: LoggedEverywhere): Promise<T>;
  /** The signature is kept elsewhere: what was kept in case of a crash is not needed any more. */
  kept(): Promise<void>;
}

export type ItemResult<T> =
  /** `logs`: where it was logged, if elsewhere than the first time. */
  | { readonly file: string; readonly value: T; readonly logs?: readonly string[] }
  | { readonly file: string; readonly error: ClientError | RuntimeError };

/** Where items are logged. */
interface Logs {
  /** URLs; each item goes to all of them, one after the other. */
  readonly logs: readonly string[];
  /** Gives the trust, and may ask the log for its key. It is called once all items are signed. */
  readonly ready: (log: string) => Promise<LogTrust>;
}

/**
 * Signs, logs and keeps items, and goes on elsewhere with those that a frozen log did not take.
 *
 * @param next the logs that follow the frozen ones; undefined where nobody knows them
 * @param stillFrozen the error then
 */
export async function signAt<T>(
  items: readonly SignItem<T>[],
  { logs, ready }: Logs,
  http: LogRequestOptions,
  next: () => Promise<Logs | undefined>,
  stillFrozen: (error: FrozenLog) => ClientError,
): Promise<ItemResult<T>[]> {
  const results = await signItems(items, logs, ready, http).catch((error: unknown) => {
    if (error instanceof FrozenLog) return [{ file: items[0]!.file, error }];
    throw error;
  });
  const left = items.filter((_, at) => frozenOf(results[at]) !== undefined);
  if (left.length === 0) return results;
  const moved = await next();
  const again = moved === undefined ? [] : await signItems(left, moved.logs, moved.ready, http);
  const all = results.map((result, at) => {
    const frozen = frozenOf(result);
    if (frozen === undefined) return result;
    const later = again[left.indexOf(items[at]!)];
    if (later === undefined || moved === undefined) return { file: result.file, error: stillFrozen(frozen) };
    return 'value' in later ? { ...later, logs: moved.logs } : later;
  });
  const [only] = all;
  if (items.length === 1 && only !== undefined && 'error' in only) throw only.error;
  return all;
}

function frozenOf(result: ItemResult<unknown> | undefined): FrozenLog | undefined {
  return result !== undefined && 'error' in result && result.error instanceof FrozenLog ? result.error : undefined;
}

/**
 * Signs, logs and keeps items. One item alone throws its error. Of many, each has its own result, in order, and is kept as
 * soon as its answer is there.
 *
 * @param logs each item goes to all of them, one after the other
 * @param ready gives the trust, and may ask the log for its key. It is called once all items are signed.
 */
async function signItems<T>(
  items: readonly SignItem<T>[],
  logs: readonly string[],
  ready: (log: string) => Promise<LogTrust>,
  http: LogRequestOptions,
): Promise<ItemResult<T>[]> {
  const [only] = items;
  if (items.length === 1 && only !== undefined) {
    const { signed } = await only.sign();
    const answers: LoggedSignature[] = [];
    for (const log of logs) answers.push(await logSigned(signed, log, await ready(log), http));
    const value = await only.keep(everywhere(answers));
    return [{ file: only.file, value }];
  }
  const results = new Map<SignItem<T>, ItemResult<T>>();
  let pairs: Pair<T>[] = [];
  for (const [at, result] of (
    await signEach(items, http.signal, async (item) => (await item.sign()).signed)
  ).entries()) {
    const item = items[at]!;
    if ('value' in result) pairs.push([item, result.value]);
    else results.set(item, result);
  }
  for (const log of logs.slice(0, -1)) pairs = await logToo(pairs, log, ready, http, results);
  const last = logs.at(-1);
  if (pairs.length > 0 && last !== undefined) await keepAll(pairs, last, await ready(last), http, results);
  return items.map((item) => results.get(item)!);
}

/** An item, its signature, and the answers of logs so far. */
type Pair<T> = readonly [item: SignItem<T>, signed: Signed, answers?: readonly LoggedSignature[]];

function everywhere([first, ...others]: readonly LoggedSignature[]): LoggedEverywhere {
  const entries = [first!, ...others].flatMap(({ bundle }) => bundle.entries);
  return { ...first!, bundle: { ...first!.bundle, entries }, others };
}

/** Logs to a log that is not the last one. Resolves with the items that it took. */
async function logToo<T>(
  pairs: readonly Pair<T>[],
  log: string,
  ready: (log: string) => Promise<LogTrust>,
  http: LogRequestOptions,
  results: Map<SignItem<T>, ItemResult<T>>,
): Promise<Pair<T>[]> {
  if (pairs.length === 0) return [];
  const signed = pairs.map(([, one]) => one);
  const answers = await logAll(signed, log, await ready(log), http);
  return pairs.flatMap(([item, one, before = []], at): Pair<T>[] => {
    const answer = answers[at]!;
    if (!(answer instanceof ClientError)) return [[item, one, [...before, answer]]];
    results.set(item, { file: item.file, error: answer });
    return [];
  });
}

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
    const keep = async ([item, , before = []]: Pair<T>, logged: LoggedSignature | ClientError): Promise<void> => {
      const { file } = item;
      try {
        if (logged instanceof ClientError) throw logged;
        results.set(item, { file, value: await item.keep(everywhere([...before, logged])) });
      } catch (error) {
        results.set(item, { file, error: known(error) });
      }
      update(++done, pairs.length);
    };
    const signed = pairs.map(([, one]) => one);
    const onLogged = (index: number, logged: LoggedSignature | ClientError): void => {
      const at = index % WRITERS;
      writers[at] = writers[at]!.then(() => keep(pairs[index]!, logged));
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
  readonly logged: LoggedEverywhere;
  /** The file of the bundle. */
  readonly out: string;
}

export type KeptItem<T> = Extract<ItemResult<T>, { readonly value: unknown }>;

/** What holds for all items of a command. */
export interface SignContext<O> {
  /** URLs. */
  readonly logs: readonly string[];
  readonly options: O;
  readonly publicPath: string | undefined;
}

/** What scripts get about a kept item. */
export function factsOf({ file, value, ...kept }: KeptItem<Kept>, { publicPath, ...context }: SignContext<unknown>) {
  const { logs } = { ...context, ...kept };
  const { logged } = value;
  const [first, ...more] = [logged, ...logged.others].map((one, at) => loggedFacts(one, logs[at] ?? ''));
  const signer = certifiedSigner(logged.signed);
  return {
    file,
    bundle: value.out,
    publicKey: publicPath ?? null,
    ...(signer === undefined ? {} : { signer }),
    ...first!,
    ...(more.length === 0 ? {} : { moreEntries: more }),
  };
}

/** Who signed, where a certificate says so. */
function certifiedSigner({ certificate: der }: Signed) {
  if (der === undefined) return undefined;
  const certificate = parseCertificate(der);
  const { names, issuer } = identityOf(certificate);
  return {
    names: names.map(({ type, value }) => ({ type, value })),
    issuer: issuer ?? null,
    validFrom: timeText(certificate.notBefore),
    validTo: timeText(certificate.notAfter),
  };
}

function loggedFacts({ verified, entry }: LoggedSignature, url: string) {
  return {
    log: { url, origin: verified.origin, verifierKey: formatVerifierKey(verified.logKey) },
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
