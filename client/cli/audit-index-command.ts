/** `stele audit LOG --index OUTPUT-LOG`: rebuilds a verifiable index, and compares every leaf of its output log. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatVerifierKey, type VerifierKey } from '../../merkle/note.ts';
import { MAX_POLICY, type Policy } from '../../merkle/policy.ts';
import { printable } from '../../merkle/printable.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { ClientError, usage } from '../errors.ts';
import type { FollowedLog } from '../follow/types.ts';
import { counted } from '../formats/counted.ts';
import type { IndexAuditReport } from '../search/rebuild/audit-index.ts';
import { parseCheckpointKey } from '../trust/log-key.ts';
import { parseTrustPolicy } from '../trust/quorum.ts';
import { readWhole, verifierKeyText } from './files.ts';
import { withProgress } from './progress.ts';
import { print } from './report.ts';

export interface AuditIndexOptions {
  /** URL or directory of the output log. */
  readonly index: string;
  readonly indexKey?: string | undefined;
  readonly indexPolicy?: string | undefined;
  readonly logKey?: string | undefined;
  /** Of the input log. */
  readonly policy: Policy | undefined;
  /** Directory of the map and of the verdicts; a temporary one by default. */
  readonly state?: string | undefined;
  readonly checkpointsOnly: boolean;
  readonly threads: number;
  readonly timeoutMs: number;
  readonly json: boolean | undefined;
  readonly fetch: typeof fetch | undefined;
  readonly signal: AbortSignal;
}

/** Resolves with the exit status. @param input URL or directory of the log that is indexed */
export async function auditIndexOf(input: string, options: AuditIndexOptions): Promise<number> {
  const { index, indexPolicy, json } = options;
  const from = followed(input, await keysOf(options.logKey), options.policy, 'the log: give --log-key or --policy');
  const policy = indexPolicy && parseTrustPolicy(await readWhole(indexPolicy, MAX_POLICY, 'a policy'));
  const outputKeys = await keysOf(options.indexKey);
  const to = followed(index, outputKeys, policy || undefined, 'the output log: give --index-key or --index-policy');
  if (from.origin === to.origin) throw usage('--index is the output log of the index, and not the log that it indexes');
  const report = await withProgress(`auditing the index of ${printable(from.origin)}`, 'entries', (update) =>
    run(from, to, options, update),
  );
  const { wrong, halted } = report;
  if (wrong === undefined && halted === undefined) {
    print(json, { ok: true, ...toJson(report) }, holds(report, from, to));
    return 0;
  }
  const message = halted ?? `leaf ${wrong!.index} of "${to.origin}" is wrong: ${wrong!.why}`;
  process.stderr.write(`stele: error [bad-index]: ${printable(message)}\n`);
  print(json, { ok: false, error: { code: 'bad-index', message }, ...toJson(report) }, fails(report));
  return 1;
}

async function run(
  input: FollowedLog,
  output: FollowedLog,
  options: AuditIndexOptions,
  update: (done: number, total: number) => void,
): Promise<IndexAuditReport> {
  const { auditIndex, auditIndexCheckpoints } = await import('../search/rebuild/audit-index.ts');
  const { openSource } = await import('../tiles/tiles.ts');
  const { fetch, signal, threads, timeoutMs } = options;
  const onProgress = ({ entries, goal }: { readonly entries: number; readonly goal: number }) => update(entries, goal);
  const shared = { input, output, fetch, signal, onProgress };
  if (options.checkpointsOnly) {
    return await auditIndexCheckpoints({ ...shared, open: (place) => openSource(place, { timeoutMs, fetch }) });
  }
  const dir = options.state ?? (await mkdtemp(join(tmpdir(), 'stele-audit-index-')));
  try {
    return await auditIndex({ ...shared, dir, threads });
  } finally {
    if (options.state === undefined) await rm(dir, { recursive: true, force: true });
  }
}

async function keysOf(given: string | undefined): Promise<readonly VerifierKey[] | undefined> {
  return given === undefined ? undefined : [parseCheckpointKey(await verifierKeyText(given), nodeNotePrimitives)];
}

function followed(
  location: string,
  given: readonly VerifierKey[] | undefined,
  policy: Policy | undefined,
  missing: string,
): FollowedLog {
  const named = policy?.logs ?? [];
  // A policy of a log that was rotated names each shard, with its address.
  const here = named.filter(({ url }) => url?.replace(/\/+$/, '') === location.replace(/\/+$/, ''));
  const keys = given ?? (here.length > 0 ? here : named).map(({ key }) => key);
  const [first] = keys;
  if (first === undefined) throw usage(`nobody vouches for ${missing}`);
  if (keys.some(({ name }) => name !== first.name)) {
    throw new ClientError('usage', `the policy names several logs: say which one is meant by its key`);
  }
  return { origin: first.name, keys, location, ...(policy !== undefined && { policy }) };
}

function toJson({ input, output, ...rest }: IndexAuditReport): object {
  const log = ({ origin, size, signedBy }: IndexAuditReport['input']) => ({
    origin,
    size,
    signedBy: signedBy.map(formatVerifierKey),
  });
  return { ...rest, input: log(input), output: log(output) };
}

function holds(
  { verified, from, inputSize, input, output, depth }: IndexAuditReport,
  { policy: inputPolicy }: FollowedLog,
  { policy: outputPolicy }: FollowedLog,
): string[] {
  const quorum = (policy: Policy | undefined) => (policy?.quorum === undefined ? '' : ', with its quorum of witnesses');
  const map = depth === 'map';
  const open = [
    ...(map ? [] : ['that the roots are those of the map: leave out --checkpoints-only']),
    ...(inputPolicy?.quorum === undefined ? ['that the log shows everybody the same tree: give --policy'] : []),
    ...(outputPolicy?.quorum === undefined ? ['that everybody sees the same output log: give --index-policy'] : []),
    ...(inputSize === input.size
      ? []
      : [`anything about the last ${input.size - inputSize} entries: no leaf is over them`]),
  ];
  return [
    map
      ? `OK: the index of ${printable(input.origin)} has the map of its first ${counted(inputSize, 'entry', 'entries')}`
      : `OK: the leaves of ${printable(output.origin)} name trees of ${printable(input.origin)}, up to ${counted(inputSize, 'entry', 'entries')}`,
    '',
    'Checked:',
    `  leaves      ${verified} of the output log ${printable(output.origin)}${map ? ', each root computed anew' : ''}`,
    ...(from === 0 ? [] : [`              the first ${from} in an earlier run`]),
    `  input       each input checkpoint signed by the log, and of the tree that it shows${quorum(inputPolicy)}`,
    `  output      its checkpoint signed by the output log${quorum(outputPolicy)}`,
    ...(open.length === 0 ? [] : ['', 'Not proven:', ...open.map((line) => `  ${line}`)]),
  ];
}

function fails({ wrong, verified, output }: IndexAuditReport): string[] {
  return [
    `WRONG: the index with the output log ${printable(output.origin)}`,
    ...(wrong === undefined
      ? []
      : [
          `  first wrong  leaf ${wrong.index}${wrong.inputSize === undefined ? '' : `, over ${counted(wrong.inputSize, 'entry', 'entries')}`}: ${printable(wrong.why)}`,
          ...(wrong.expected === undefined ? [] : [`  expected     ${printable(wrong.expected)}`]),
          ...(wrong.found === undefined ? [] : [`  found        ${printable(wrong.found)}`]),
        ]),
    `  before it    ${counted(verified, 'leaf', 'leaves')} hold`,
  ];
}
