/** `stele submit`: logs signatures that exist already, at once or through a queue that survives an outage. */
import { Command } from 'commander';
import { decodeHex } from '../../merkle/bytes.ts';
import { printable } from '../../merkle/printable.ts';
import { ClientError, type ClientErrorCode, usage } from '../errors.ts';
import { formatBundle, MAX_BUNDLE, parseBundle } from '../formats/bundle.ts';
import { FrozenLog } from '../submit/frozen-log.ts';
import { LogClient, type Submitted } from '../submit/log-client.ts';
import { parseLogUrl } from '../submit/log-url.ts';
import { type FlushResult, flushQueue } from '../submit/queue/queue-flush.ts';
import { queueStatus } from '../submit/queue/queue-status.ts';
import { SubmissionQueue } from '../submit/queue/queue-store.ts';
import {
  fromDigest,
  parseSignature,
  parseSigned,
  parseVerifierPem,
  type Submission,
  type Verifier,
} from '../submit/submission.ts';
import { enqueue } from './destination.ts';
import { readWhole, writeWhole } from './files.ts';
import { refuseUnnamed } from './input.ts';
import {
  addLogOptions,
  type CommandRequests,
  type GivenTrust,
  givenOrFirstUse,
  type LogArguments,
  noteRetry,
  readLogTrust,
  requestOptions,
  warnFirstUse,
} from './log-options.ts';
import { nextLog, nextOfQueued, stillFrozen } from './next-log.ts';
import { collect } from './program.ts';
import { withProgress } from './progress.ts';
import { signersTrust } from './refresh-trust.ts';
import { note } from './report.ts';
import { addSigningConfigOption } from './signing-options.ts';
import { logsOf, withServices } from './signing-services.ts';
import { failed, report, reportStatus, type SubmitResult, shown } from './submit-report.ts';
import { OR_FOLLOW } from './trust-options.ts';

interface SubmitOptions extends LogArguments {
  readonly log?: string;
  readonly signingConfig?: string;
  readonly key?: readonly string[];
  readonly certificate?: readonly string[];
  readonly digest?: string;
  readonly signature?: string;
  readonly out?: string;
  readonly queue?: string;
  readonly flush?: boolean;
  readonly status?: boolean;
  readonly wait?: boolean;
}

/** What to do about a file that cannot be submitted. */
const HINTS: Partial<Record<ClientErrorCode, string>> = {
  usage: '. --key and --certificate name what signed',
  malformed: '. A plain signature is given with --digest, --signature and --key',
};
const MAX_PEM = 256 * 1024;
const MAX_SIGNATURE = 16 * 1024;

const HELP = `
The content of a FILE tells what it is:
  a Sigstore bundle without a log entry   gets its proof, in place (or at --out)
  a DSSE envelope                         with --key or --certificate for each of its signatures; the bundle with its
                                          proof is written to FILE.sigstore.json
A plain signature is given with --digest, --signature and --key; its bundle is written to SIGNATURE.sigstore.json.

With --queue the entry is durable on disk when the command ends. The command sends no request, so a release does not wait.
--flush sends what is queued, as long as --timeout says or, with --wait, until all of it is done, and writes the proofs.
Submitting or flushing again is always safe: a log that has an entry answers with it.

Exit status: 0 all is queued or done, 1 something was refused, damaged or still waits after a flush, 2 not tried.

Examples:
  stele submit app.sigstore.json --log https://log.example.com --log-key 'log.example.com+1a2b3c4d+AbCd…'
  stele submit attestation.dsse --key builder.pub.pem --log https://log.example.com --queue /var/lib/release/queue
  stele submit --digest 9f86d0…0a08 --signature app.sig --key signer.pub.pem --log https://log.example.com
  stele submit --flush --queue /var/lib/release/queue --wait
  stele submit --status --queue /var/lib/release/queue --json`;

export function submitCommand(): Command {
  const command = new Command('submit')
    .description('Log what is signed already: bundles, DSSE envelopes, digest and signature; with a queue for outages')
    .argument('[files...]', 'Sigstore bundles without a log entry, or DSSE envelopes');
  return addSigningConfigOption(addLogOptions(command), '--log')
    .option('--key <path>', 'public key (PEM) that signed; may be given several times', collect)
    .option('--certificate <path>', 'certificate (PEM) that signed; may be given several times', collect)
    .option('--digest <hex>', 'digest of the file that was signed')
    .option('--signature <path>', 'the signature over it, raw or DER, or base64 of that')
    .option('--out <path>', 'where to write the bundle with its proof')
    .option('--queue <dir>', 'keep the entry in this directory until a log has it')
    .option('--flush', 'send what is in the queue')
    .option('--status', 'say what is in the queue, and what became of it')
    .option('--wait', 'with --flush: go on until all is done, however long the log is away')
    .addHelpText('after', HELP)
    .action(submit);
}

async function submit(files: readonly string[], chosen: SubmitOptions): Promise<void> {
  const plain = chosen.digest !== undefined || chosen.signature !== undefined;
  const any = files.length > 0 || plain;
  // An entry in a queue knows its log and whom to trust.
  const followed = any && chosen.status !== true ? await signersTrust(chosen) : undefined;
  const options = await withServices(chosen, followed);
  if (options.status === true) {
    const more = [options.flush, options.wait, options.log, options.logKey, options.policy, options.out];
    if (any || more.some((option) => option !== undefined)) throw usage('--status goes with --queue alone');
    return reportStatus(await queueStatus(await SubmissionQueue.open(queueDir(options), false)), options.json);
  }
  if (!any && (options.out !== undefined || options.key !== undefined || options.certificate !== undefined)) {
    throw usage('--out, --key and --certificate are about files to submit: name one, or leave them out');
  }
  if (!any && options.flush !== true) throw usage('name a file, or --digest with --signature, or --flush or --status');
  if (plain && files.length > 0) throw usage('give files, or --digest with --signature, not both');
  if (options.wait === true && options.flush !== true) throw usage('--wait goes with --flush');
  if (options.out === undefined) refuseUnnamed([...files, options.signature], 'the bundle with its proof: give --out');
  const given = await readLogTrust(options, logsOf(options), followed);
  const http = await requestOptions(options);
  if (any) {
    const submissions = plain ? [await plainSubmission(options)] : await fileSubmissions(files, options);
    if (options.out !== undefined && submissions.length > 1) throw usage('--out names one file: submit one at a time');
    if (options.log === undefined) throw usage(`name the log with --log or --signing-config${OR_FOLLOW}`);
    const log = parseLogUrl(options.log);
    if (options.queue === undefined) {
      return await direct(submissions, [log, ...options.moreLogs], given, http, options, chosen);
    }
    await queueAll(submissions, log, given, options);
  }
  if (options.flush === true) await flush(given, http, options, chosen);
}

interface Named {
  readonly submission: Submission;
  readonly out: string;
}

async function plainSubmission(options: SubmitOptions): Promise<Named> {
  if (options.digest === undefined || options.signature === undefined) {
    throw usage('--digest and --signature go together, with --key or --certificate');
  }
  const [verifier, ...more] = await readVerifiers(options);
  if (verifier === undefined || more.length > 0)
    throw usage('name the one key that signed with --key or --certificate');
  if (!/^(?:[0-9a-fA-F]{2}){1,64}$/.test(options.digest)) throw usage('--digest is not a digest in hex');
  const signature = parseSignature(await readWhole(options.signature, MAX_SIGNATURE, 'a signature'));
  const submission = fromDigest(decodeHex(options.digest.toLowerCase()), signature, verifier);
  return { submission, out: options.out ?? `${options.signature}.sigstore.json` };
}

/** Reads all files before anything is sent: a wrong file keeps all others from the log. */
async function fileSubmissions(files: readonly string[], options: SubmitOptions): Promise<Named[]> {
  const verifiers = await readVerifiers(options);
  const all: Named[] = [];
  for (const file of files) {
    try {
      const submissions = parseSigned(await readWhole(file, MAX_BUNDLE, 'a bundle or an envelope'), verifiers);
      const inPlace = submissions[0]!.fromBundle;
      for (const [at, submission] of submissions.entries()) {
        const number = submissions.length > 1 ? `.${at + 1}` : '';
        all.push({ submission, out: options.out ?? (inPlace ? file : `${file}${number}.sigstore.json`) });
      }
    } catch (cause) {
      if (!(cause instanceof ClientError) || cause.code === 'file') throw cause;
      throw new ClientError(cause.code, `${printable(file)}: ${cause.message}${HINTS[cause.code] ?? ''}`, { cause });
    }
  }
  return all;
}

async function readVerifiers({ key = [], certificate = [] }: SubmitOptions): Promise<Verifier[]> {
  const verifiers: Verifier[] = [];
  for (const path of [...key, ...certificate]) {
    try {
      verifiers.push(
        parseVerifierPem(Buffer.from(await readWhole(path, MAX_PEM, 'a key or a chain')).toString('latin1')),
      );
    } catch (cause) {
      if (!(cause instanceof ClientError) || cause.code === 'file') throw cause;
      throw new ClientError('key', `${path}: ${cause.message}`, { cause });
    }
  }
  return verifiers;
}

async function direct(
  named: readonly Named[],
  logs: readonly string[],
  given: GivenTrust,
  http: CommandRequests,
  options: SubmitOptions,
  chosen: SubmitOptions,
): Promise<void> {
  const results = await submitTo(named, logs, given, http);
  const left = named.filter((_, at) => results[at]?.error instanceof FrozenLog);
  const moved = left.length === 0 ? undefined : await nextLog(chosen, logs);
  const again = moved === undefined ? [] : await submitTo(left, moved.logs, moved.given, http);
  const all = results.map((result, at): SubmitResult => {
    if (!(result.error instanceof FrozenLog)) return result;
    return again[left.indexOf(named[at]!)] ?? { ...result, error: stillFrozen(result.error, chosen) };
  });
  const [only] = all;
  // A single file fails as in the other commands.
  if (all.length === 1 && only?.error !== undefined) throw only.error;
  report(options.json, all, []);
}

async function submitTo(
  named: readonly Named[],
  logs: readonly string[],
  given: GivenTrust,
  http: CommandRequests,
): Promise<SubmitResult[]> {
  const results: SubmitResult[] = [];
  // What the logs before the last one answered, in the order of `named`.
  const before: Submitted[][] = named.map(() => []);
  await withProgress('submitting', 'entries', async (update) => {
    const writing: Promise<void>[] = [];
    let answered = 0;
    for (const log of logs) {
      const { trust } = await givenOrFirstUse(given.trust, log, http);
      const client = new LogClient(log, trust, http);
      const left = [...named.keys()].filter((at) => results[at] === undefined);
      const settle = (position: number, result: Submitted | ClientError): void => {
        const at = left[position]!;
        const { out } = named[at]!;
        update(++answered, named.length * logs.length);
        if (result instanceof ClientError) results[at] = failed(out, log, result);
        else if (log !== logs.at(-1)) before[at]!.push(result);
        else {
          results[at] = { state: 'done', out, log, index: result.entry.index };
          const written = writeWhole(out, joined([...before[at]!, result])).catch((error: ClientError) => {
            results[at] = failed(out, log, error);
          });
          writing.push(written);
        }
      };
      try {
        if (left.length === 0) break;
        const submissions = left.map((at) => named[at]!.submission);
        await client.submitMany(submissions, { signal: http.signal, onResult: settle });
      } finally {
        await Promise.all(writing);
      }
    }
  });
  return results;
}

/** One bundle with the entries of all logs. */
function joined(answers: readonly Submitted[]): Uint8Array {
  const [first, ...others] = answers;
  if (others.length === 0) return first!.bundle;
  const bundles = answers.map(({ bundle }) => parseBundle(bundle));
  return formatBundle({ ...bundles[0]!, entries: bundles.flatMap(({ entries }) => entries) });
}

async function queueAll(
  named: readonly Named[],
  log: string,
  given: GivenTrust,
  options: SubmitOptions,
): Promise<void> {
  const store = await SubmissionQueue.open(queueDir(options), true);
  const results: SubmitResult[] = [];
  for (const { submission, out } of named) results.push(await enqueue(store, submission, { log, out }, given));
  // With --flush the flush reports the entries.
  if (options.flush !== true) report(options.json, results, []);
}

async function flush(
  given: GivenTrust,
  http: CommandRequests,
  options: SubmitOptions,
  chosen: SubmitOptions,
): Promise<void> {
  const store = await SubmissionQueue.open(queueDir(options), false);
  const log = options.log === undefined ? undefined : parseLogUrl(options.log);
  if (given.trust !== undefined && log === undefined) {
    throw usage('--log-key and --policy say which log to trust: name it with --log');
  }
  const results: FlushResult[] = [];
  try {
    const { damaged } = await withProgress('flushing the queue', 'entries', async (update) =>
      flushQueue(store, {
        log,
        trust: given.trust,
        deadline: options.wait === true ? Number.POSITIVE_INFINITY : http.deadline,
        signal: http.signal,
        ...(http.fetch === undefined ? {} : { fetch: http.fetch }),
        onResult: (result) => results.push(result),
        onProgress: update,
        onTrust: warnFirstUse,
        next: (frozen) => nextOfQueued(chosen, frozen),
        onMove: (from, to) =>
          note(`${from} is frozen, and what waits for it goes to ${to}, to which the followed repository leads`),
        onWait: ({ log: at, why, ms }) => noteRetry(at, why, ms),
      }),
    );
    report(options.json, results.map(shown), damaged);
  } catch (error) {
    if (!(error instanceof ClientError) || error.code !== 'cancelled' || results.length === 0) throw error;
    // Report the entries that are logged already.
    report(options.json, results.map(shown), []);
    note('interrupted: what is left stays in the queue');
    process.exitCode = 130;
  }
}

function queueDir({ queue }: SubmitOptions): string {
  if (queue === undefined) throw usage('name the directory of the queue with --queue');
  return queue;
}
