/** Where `stele sign` and `stele attest` bring a signature: to a log, into a queue for a log, or only into its bundle. */
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { usage } from '../errors.ts';
import type { Bundle } from '../formats/bundle.ts';
import { parseLogUrl } from '../submit/log-url.ts';
import { newItem } from '../submit/queue/queue-item.ts';
import { SubmissionQueue } from '../submit/queue/queue-store.ts';
import type { Submission } from '../submit/submission.ts';
import { isKeyless, type KeylessOptions } from './keyless/keyless-options.ts';
import type { GivenTrust, LogArguments } from './log-options.ts';
import type { SubmitResult } from './submit-report.ts';
import { OR_FOLLOW } from './trust-options.ts';

export interface DestinationOptions extends LogArguments, KeylessOptions {
  readonly log?: string;
  /** `--no-log` */
  readonly noLog?: boolean;
  readonly queue?: string;
  readonly tlogProof?: boolean;
}

export type Destination =
  | { readonly kind: 'log'; readonly log: string }
  | { readonly kind: 'queue'; readonly log: string; readonly queue: SubmissionQueue }
  | { readonly kind: 'bundle' };

export function addDestinationOptions(command: Command): Command {
  const noLog = new Option(
    '--no-log',
    'log nothing: write a bundle without a log entry, for `stele submit` to log later',
  );
  // Otherwise commander takes it for the opposite of --log, and the last of both would count.
  noLog.negate = false;
  return command
    .addOption(noLog)
    .option('--queue <dir>', 'send nothing now: keep the entry in this directory for `stele submit --flush`');
}

/** Checks the options, and makes nothing. @throws ClientError `usage` */
export function checkDestination({
  log,
  noLog,
  queue,
  logKey,
  policy,
  trustedRoot,
  tlogProof,
  ...options
}: DestinationOptions): void {
  if (noLog === true) {
    const others = {
      '--log': log,
      '--log-key': logKey,
      '--policy': policy,
      // Without a key it says which certificate authorities count.
      '--trusted-root': isKeyless(options) ? undefined : trustedRoot,
      '--queue': queue,
    };
    const given = Object.entries(others).flatMap(([name, value]) => (value === undefined ? [] : [name]));
    if (given.length > 0) throw usage(`--no-log sends nothing to a log: leave out ${given.join(', ')}`);
  } else {
    if (log === undefined)
      throw usage(`name the log with --log or --signing-config, or sign without one with --no-log${OR_FOLLOW}`);
    parseLogUrl(log);
  }
  if (tlogProof === true && (noLog === true || queue !== undefined)) {
    throw usage('a tlog-proof needs the log now: leave out --tlog-proof');
  }
}

/** @throws ClientError `usage`; RuntimeError `file` where the queue cannot be made */
export async function openDestination(options: DestinationOptions): Promise<Destination> {
  checkDestination(options);
  if (options.log === undefined) return { kind: 'bundle' };
  const log = parseLogUrl(options.log);
  if (options.queue === undefined) return { kind: 'log', log };
  return { kind: 'queue', log, queue: await SubmissionQueue.open(options.queue, true) };
}

/** Adds an entry, which is durable when this resolves. @throws RuntimeError `file`; ClientError `malformed` */
export async function enqueue(
  queue: SubmissionQueue,
  submission: Submission,
  { log, out }: { readonly log: string; readonly out: string },
  given: GivenTrust,
): Promise<SubmitResult> {
  const path = resolve(out);
  const item = newItem(submission, { log, out: path, ...given }, await queue.hashAt(path));
  const added = await queue.add(item);
  return { state: added ? 'queued' : 'already-queued', out: path, log, id: item.id };
}

/** The bundles that wait for `out` in the queue of the destination. */
export async function waitingFor(destination: Destination, out: string): Promise<Bundle[]> {
  if (destination.kind !== 'queue') return [];
  const { queue, log } = destination;
  const bundles: Bundle[] = [];
  for (const id of await queue.pending()) {
    const read = await queue.read(id);
    if (read === undefined || !('item' in read)) continue;
    if (read.item.out === resolve(out) && read.item.log === log) bundles.push(read.item.bundle);
  }
  return bundles;
}
