/** What `stele submit` prints: the result of each entry, and what is in a queue. */
import type { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import type { ClientError } from '../errors.ts';
import type { FlushResult } from '../submit/queue/queue-flush.ts';
import type { Problem } from '../submit/queue/queue-item.ts';
import type { QueueStatus } from '../submit/queue/queue-status.ts';
import type { Damaged } from '../submit/queue/queue-store.ts';
import { calledAs } from './called-as.ts';
import { print } from './report.ts';

/** The result of one entry. */
export interface SubmitResult {
  readonly state: 'done' | 'queued' | 'already-queued' | 'refused' | 'pending' | 'failed';
  readonly out: string;
  readonly log: string;
  readonly id?: string;
  readonly index?: number;
  readonly error?: ClientError | RuntimeError | Problem;
}

const LABELS: Readonly<Record<SubmitResult['state'], string>> = {
  done: 'done    ',
  queued: 'queued  ',
  'already-queued': 'queued  ',
  refused: 'refused ',
  pending: 'waiting ',
  failed: 'failed  ',
};

/** Prints the results. Sets the exit status where one of them is an error. */
export function report(json: boolean | undefined, results: readonly SubmitResult[], damaged: readonly Damaged[]): void {
  const bad = damaged.length > 0 || results.some(({ error }) => error !== undefined);
  if (bad) process.exitCode = 1;
  const entries = results.map(({ error, ...rest }) => ({
    ...rest,
    ...(error === undefined ? {} : { error: { code: error.code, message: error.message } }),
  }));
  const lines = [
    ...results.map((result) => `${LABELS[result.state]} ${result.out}  ${outcomeOf(result)}`),
    ...damaged.map(({ file, reason }) => `damaged  ${file}  ${reason}; kept there, and not logged`),
  ];
  if (lines.length === 0) lines.push('The queue is empty: nothing waits.');
  print(json, { ok: !bad, entries, damaged }, lines.map(clean));
}

function outcomeOf({ state, log, index, error }: SubmitResult): string {
  if (error !== undefined) return error.message;
  if (state === 'already-queued') return `was queued before, for ${log}`;
  return state === 'queued'
    ? `for ${log}; \`${calledAs()} submit --flush\` sends it`
    : `entry ${index} of ${log}; its proof was checked`;
}

export function shown(result: FlushResult): SubmitResult {
  const { state, out, log, id } = result;
  return 'index' in result
    ? { state, out, log, id, index: result.index }
    : { state, out, log, id, error: result.problem };
}

export function failed(out: string, log: string, error: ClientError | RuntimeError): SubmitResult {
  return { state: error.code === 'refused' ? 'refused' : 'failed', out, log, error };
}

function because(problem: Problem | undefined): string {
  return problem === undefined ? '' : `: ${problem.message}`;
}

/** Paths and messages may hold control characters of a terminal. */
function clean(line: string): string {
  return line.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Surrogate}]+/gu, ' ');
}

function shownAge(age: number): string {
  if (age < 120) return `${age} s`;
  if (age < 7200) return `${Math.round(age / 60)} min`;
  return age < 172_800 ? `${Math.round(age / 3600)} h` : `${Math.round(age / 86_400)} days`;
}

/** Sets exit status 1 where an entry was refused or a file is damaged. An entry that waits is not an error. */
export function reportStatus(found: QueueStatus, json: boolean | undefined): void {
  const { pending, refused, done, damaged, logs } = found;
  const bad = refused.length > 0 || damaged.length > 0;
  if (bad) process.exitCode = 1;
  const lines = [
    `Queue ${found.queue}: ${pending.length} waiting, ${refused.length} refused, ${done.length} done, ${damaged.length} damaged`,
    ...pending.map(
      ({ out, log, age, logged, problem }) =>
        `  waiting  ${out}  ${logged ? 'logged, not written yet' : `for ${log}`}, since ${shownAge(age)}${because(problem)}`,
    ),
    ...refused.map(
      ({ out, log, age, problem }) => `  refused  ${out}  by ${log}, queued ${shownAge(age)} ago${because(problem)}`,
    ),
    ...done.map(({ out, log, index }) => `  done     ${out}  entry ${index} of ${log}`),
    ...damaged.map(({ file, reason }) => `  damaged  ${file}  ${reason}`),
    ...logs.flatMap(({ log, verifierKey, notBefore, problem }) => [
      ...(verifierKey === undefined ? [] : [`  log      ${log}  trusted on first use: ${verifierKey}`]),
      ...(notBefore === undefined ? [] : [`  log      ${log}  takes no requests before ${notBefore}`]),
      ...(problem === undefined ? [] : [`  log      ${log}  last failed at ${problem.time}: ${problem.message}`]),
    ]),
  ];
  print(json, { ok: !bad, ...found }, lines.map(clean));
}
