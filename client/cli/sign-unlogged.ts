/** What `stele sign` and `stele attest` do with signatures that no log gets now. */
import { ClientError } from '../errors.ts';
import { type Bundle, formatBundle, MAX_BUNDLE, parseBundle } from '../formats/bundle.ts';
import { fromBundle } from '../submit/submission.ts';
import { calledAs, shellWord } from './called-as.ts';
import { type Destination, enqueue } from './destination.ts';
import { readWhole, writeWhole } from './files.ts';
import type { GivenTrust } from './log-options.ts';
import { print, reportFailed } from './report.ts';
import { type SignItem, signEach } from './sign-items.ts';
import { failed, report, type SubmitResult } from './submit-report.ts';

interface UnloggedContext {
  readonly given: GivenTrust;
  readonly signal: AbortSignal;
  readonly json: boolean | undefined;
  /** The file of the public key, where it was written. */
  readonly publicPath: string | undefined;
}

/**
 * Signs the items, keeps each in the queue or writes its bundle, and reports. One item alone throws its error.
 *
 * @throws ClientError, RuntimeError
 */
export async function signUnlogged(
  items: readonly SignItem<unknown>[],
  destination: Exclude<Destination, { kind: 'log' }>,
  context: UnloggedContext,
): Promise<void> {
  if (destination.kind === 'queue') await queueAll(items, destination, context);
  else await writeAll(items, context);
}

async function queueAll(
  items: readonly SignItem<unknown>[],
  { queue, log }: Extract<Destination, { kind: 'queue' }>,
  { given, signal, json }: UnloggedContext,
): Promise<void> {
  const queued = await signEach(items, signal, async (item): Promise<SubmitResult> => {
    const { signed, bundle } = await item.sign();
    const submission = fromBundle(bundle, signed.certificate === undefined ? [signed] : []);
    const result = await enqueue(queue, submission, { log, out: item.out }, given);
    await item.kept();
    return result;
  });
  const results = queued.map((result, at) =>
    'value' in result ? result.value : failed(items[at]!.out, log, result.error),
  );
  report(json, results, []);
}

async function writeAll(
  items: readonly SignItem<unknown>[],
  { signal, json, publicPath }: UnloggedContext,
): Promise<void> {
  const results = await signEach(items, signal, async (item) => {
    await refuseLogged(item.out);
    const { bundle } = await item.sign();
    await writeWhole(item.out, formatBundle(bundle));
    await item.kept();
    return { file: item.file, bundle: item.out, publicKey: publicPath ?? null, needsKey: needsKey(bundle) };
  });
  const [only] = results;
  if (results.length === 1 && only !== undefined && 'value' in only) {
    const { needsKey: bare, ...facts } = only.value;
    const key = bare ? ` --key ${shellWord(publicPath ?? 'PUBLIC_KEY.pem')}` : '';
    print(json, { ...facts, logged: false }, [
      `Signed ${facts.file}, and logged nothing: ${facts.bundle}`,
      ...(publicPath === undefined ? [] : [`Public key: ${publicPath}`]),
      '',
      'Verifiers want a log entry. This command logs the signature, and completes the bundle:',
      `  ${calledAs()} submit ${shellWord(facts.bundle)}${key} --log https://log.example.com`,
    ]);
    return;
  }
  reportMany(results, json);
}

type Written = Awaited<ReturnType<typeof signEach<{ file: string; bundle: string; needsKey: boolean }>>>;

function reportMany(results: Written, json: boolean | undefined): void {
  const errors = results.flatMap((result) => ('error' in result ? [result] : []));
  const files = results.map((result) => {
    if ('error' in result) {
      return { ok: false, file: result.file, error: { code: result.error.code, message: result.error.message } };
    }
    const { needsKey: _, ...facts } = result.value;
    return { ok: true, ...facts, logged: false };
  });
  const signed = results.length - errors.length;
  print(json, { ok: errors.length === 0, signed, failed: errors.length, files }, [
    ...results.flatMap((result) => ('value' in result ? [`Signed ${result.file}: ${result.value.bundle}`] : [])),
    `${signed} of ${results.length} files are signed, and nothing is logged: \`${calledAs()} submit\` logs the bundles`,
  ]);
  for (const { file, error } of errors) reportFailed(file, error);
  if (errors.length > 0) process.exitCode = 1;
}

function needsKey({ signer }: Bundle): boolean {
  return signer.kind === 'public-key';
}

/** A proof is not replaced by a bundle without one. @throws ClientError `file` */
async function refuseLogged(out: string): Promise<void> {
  let there: Bundle;
  try {
    there = parseBundle(await readWhole(out, MAX_BUNDLE, 'a bundle'));
  } catch (error) {
    if (error instanceof ClientError) return;
    throw error;
  }
  if (there.entries.length === 0) return;
  throw new ClientError(
    'file',
    `${out} holds the proof of a log entry, and is not replaced: move it away, or use --out`,
  );
}
