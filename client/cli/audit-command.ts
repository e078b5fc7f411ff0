/** `stele audit`: rebuilds the tree of a whole log and compares with it everything that the log serves. */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { encodeBase64 } from '../../merkle/bytes.ts';
import { MAX_POLICY, type Policy } from '../../merkle/policy.ts';
import { printable } from '../../merkle/printable.ts';
import { makeDirDurable } from '../../merkle/runtime/disk/files.ts';
import type { AuditReport } from '../audit/types.ts';
import { ClientError, usage } from '../errors.ts';
import { counted } from '../formats/counted.ts';
import { parseLogUrl } from '../submit/log-url.ts';
import type { TileSource } from '../tiles/types.ts';
import { isEmptyEnd, MAX_LAST_CHECKPOINT, parseLastCheckpoint } from '../trust/last-checkpoint.ts';
import { MAX_MONITOR_CONFIG, parseMonitoredLogs } from '../trust/monitor-config.ts';
import type { FollowedTrust } from '../trust/tuf/load-trust.ts';
import { readWhole, verifierKeyText } from './files.ts';
import { followedLastCheckpoints } from './followed-files.ts';
import { followedMonitorConfig, isFollowedLog } from './followed-trust.ts';
import { trustOfFollowed } from './log-options.ts';
import { withProgress } from './progress.ts';
import { freshTrust } from './refresh-trust.ts';
import { describe, exitStatus, printJson, print as printResult, reportError } from './report.ts';
import { stopSignals } from './signals.ts';
import { addTlsOptions, fetchOf, type TlsOptions } from './tls-authorities.ts';
import { addTrustOptions, OR_FOLLOW, type TrustOptions } from './trust-options.ts';

interface AuditCommandOptions extends TrustOptions, TlsOptions {
  readonly monitorConfig?: string;
  readonly logKey?: string;
  readonly policy?: string;
  readonly lastCheckpoint?: string;
  readonly signatures?: boolean;
  readonly state?: string;
  readonly newOnly?: boolean;
  readonly index?: string;
  readonly indexKey?: string;
  readonly indexPolicy?: string;
  readonly checkpointsOnly?: boolean;
  readonly threads?: string;
  readonly timeout: string;
  readonly json?: boolean;
}

const HELP = `
The log is a URL that serves c2sp.org/tlog-tiles, or a directory with its checkpoint and tile/. Without --log-key and --policy
the repository vouches for it that \`stele trust use\` follows, if it knows the log. Otherwise nobody vouches for its
checkpoint, and the audit checks only that the log agrees with itself.

Without a log, all logs of the followed repository are audited, one after the other. Each has a state of its own then, in the
directory of --state.

With --state an audit goes on where an interrupted one stopped, and refuses a log that does not continue what it has shown
before. Keep the file: it holds the checkpoints. Where the log shows a smaller tree, it is asked three times more, past caches.

Exit status: 0 everything holds, 1 something does not, 2 the audit could not be made (or what the log shows is stale: the
beginning of the tree that it has shown before), 130 interrupted.

With --index the map of a verifiable index is rebuilt from the log, and compared with each leaf of the output log (docs/index.md):
the first wrong one is named. --state is a directory then, in which an audit goes on where an earlier one ended.

Examples:
  stele audit --state audits
  stele audit https://log.example.com --log-key 'log.example.com+1a2b3c4d+AbCd…' --state log.example.com.audit
  stele audit https://log.example.com --policy trust/policy --signatures
  stele audit log.example.com --monitor-config monitor_config.json --log-key 'log.example.com+1a2b3c4d+AbCd…'
  stele audit /srv/export --json
  stele audit https://log.example.com --policy log.policy --index https://output.example.com --index-policy output.policy`;

export function auditCommand(): Command {
  const command = new Command('audit')
    .description('Rebuild the tree of a whole log, and check every tile, the checkpoint and what was seen before')
    .argument(
      '[url|dir]',
      'the log: its URL, a directory of its files, or its origin in --monitor-config or in the followed repository',
    )
    .option('--monitor-config <path>', 'monitor configuration of Sigstore, which says where the log is read')
    .option('--log-key <vkey>', "the log's verifier key, or a file with it: the checkpoint must be signed with it")
    .option('--policy <path>', 'trust policy (tlog-policy): its log must have signed, its quorum of witnesses cosigned')
    .option('--last-checkpoint <path>', 'the last checkpoint of a frozen log: it must show exactly that tree')
    .option('--signatures', 'check the signature in every entry too (hashedrekord 0.0.2)')
    .option('--state <path>', 'file that remembers checkpoints and how far the audit came')
    .option('--new-only', 'with --state: check only what is new since the last audit that came to its end')
    .option('--index <url|dir>', 'audit a verifiable index of the log: where its output log is')
    .option('--index-key <vkey>', 'verifier key of the output log, or a file with it')
    .option('--index-policy <path>', 'trust policy of the output log: it must have signed, its witnesses cosigned')
    .option('--checkpoints-only', 'with --index: compare the checkpoints in its leaves, and rebuild no map')
    .option('--threads <n>', 'threads that hash (default: one for each processor)');
  return addTlsOptions(addTrustOptions(command))
    .option('--timeout <seconds>', 'how long one answer of the log may take', '30')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', HELP)
    .action(audit);
}

async function audit(named: string | undefined, given: AuditCommandOptions): Promise<void> {
  const { index, indexKey, indexPolicy, checkpointsOnly } = given;
  if (index === undefined && (indexKey ?? indexPolicy ?? checkpointsOnly) !== undefined) {
    throw usage('--index-key, --index-policy and --checkpoints-only are about the output log that --index names');
  }
  if (index !== undefined) return await auditIndexed(named, index, given);
  const followed = await auditTrust(named, given);
  if (named !== undefined) return await auditOne(named, given, followed);
  const origins = followedOrigins(followed);
  const json: object[] = [];
  for (const origin of origins) {
    const options = { ...given, ...(given.state === undefined ? {} : { state: await stateOf(given.state, origin) }) };
    await auditOne(origin, options, followed, given.json === true ? (result) => json.push(result) : undefined);
  }
  if (given.json === true) printJson({ ok: (process.exitCode ?? 0) === 0, logs: json });
}

/** `--index`: the output log of an index, with the log that it indexes. */
async function auditIndexed(named: string | undefined, index: string, options: AuditCommandOptions): Promise<void> {
  if (named === undefined) throw usage('name the log that is indexed, before --index');
  const { signatures, newOnly, monitorConfig, lastCheckpoint, logKey, threads, timeout } = options;
  if ((signatures ?? newOnly ?? monitorConfig ?? lastCheckpoint) !== undefined) {
    throw usage('--signatures, --new-only, --monitor-config and --last-checkpoint are about a log: audit it by itself');
  }
  const { auditIndexOf } = await import('./audit-index-command.ts');
  const { parseTrustPolicy } = await import('../trust/quorum.ts');
  const stop = new AbortController();
  void stopSignals().then(() => stop.abort());
  const given = options.policy === undefined ? undefined : await readWhole(options.policy, MAX_POLICY, 'a policy');
  process.exitCode = await auditIndexOf(named, {
    index,
    indexKey: options.indexKey,
    indexPolicy: options.indexPolicy,
    logKey,
    policy: given && parseTrustPolicy(given),
    state: options.state,
    checkpointsOnly: options.checkpointsOnly === true,
    threads: whole(threads ?? String(availableParallelism()), '--threads', 256),
    timeoutMs: whole(timeout, '--timeout', 86_400) * 1000,
    json: options.json,
    fetch: await fetchOf(options),
    signal: stop.signal,
  });
}

/** @throws ClientError `usage` where nothing says what to audit; the codes of `freshTrust` */
async function auditTrust(named: string | undefined, options: AuditCommandOptions): Promise<FollowedTrust | undefined> {
  const { logKey, policy, monitorConfig, trust } = options;
  if (named === undefined && (logKey ?? policy ?? monitorConfig) !== undefined) {
    throw usage('name the log: --log-key, --policy and --monitor-config do not say which one to audit');
  }
  if ((logKey ?? policy) !== undefined) {
    if (trust === undefined) return undefined;
    throw usage('--log-key and --policy say who vouches for the log: leave out --trust');
  }
  const followed = await freshTrust(options);
  if (named === undefined && followed === undefined) throw usage(`name the log${OR_FOLLOW}`);
  return followed;
}

async function stateOf(dir: string, origin: string): Promise<string> {
  await makeDirDurable(dir);
  return join(dir, `${encodeURIComponent(origin)}.audit`);
}

/** @param onResult takes the result in the place of standard output */
async function auditOne(
  location: string,
  options: AuditCommandOptions,
  followed: FollowedTrust | undefined,
  onResult?: (result: object) => void,
): Promise<void> {
  const print: typeof printResult = (json, result, lines) =>
    onResult === undefined ? printResult(json, result, lines) : onResult({ ok: true, ...result });
  try {
    const { report, emptyEnd } = await run(location, options, followed);
    if (report.corruption === undefined) {
      return print(options.json, toJson(report), found(report, options, emptyEnd));
    }
    const { code, message } = report.corruption;
    process.stderr.write(`stele: error [${code}]: ${printable(message)}\n`);
    print(options.json, { ok: false, error: { code, message }, ...toJson(report) }, corrupt(report));
    process.exitCode = 1;
  } catch (error) {
    // An audit that could not read the log to its end has found nothing wrong.
    if (exitStatus(error) !== 1) throw error;
    const known = (await otherService(location, options, error)) ?? (await ofNewLog(location, options, error));
    reportError(known ?? error, options.json === true && onResult === undefined);
    const { code, message } = describe(known ?? error);
    onResult?.({ ok: false, log: location, error: { code, message } });
    // What was found wrong in another log counts more.
    if (process.exitCode !== 1) process.exitCode = 2;
  }
}

/** The error that says so where an address without a checkpoint is that of a witness or of another kind of log. */
async function otherService(
  location: string,
  options: AuditCommandOptions,
  error: unknown,
): Promise<ClientError | undefined> {
  if (!(error instanceof ClientError) || !['missing', 'refused'].includes(error.code) || !/^https?:/i.test(location)) {
    return undefined;
  }
  const { ctLogAt, witnessAt } = await import('../submit/witness-port.ts');
  const fetch = await fetchOf(options);
  const http = fetch === undefined ? {} : { fetch };
  const log = parseLogUrl(location);
  // A server that answers 400 to every unknown path is not a witness for that.
  return (await ctLogAt(log, http)) ?? (await witnessAt(log, http));
}

/** The error that says so where a log without a checkpoint is new: one with witnesses has none before its first entries. */
async function ofNewLog(
  location: string,
  options: AuditCommandOptions,
  error: unknown,
): Promise<ClientError | undefined> {
  if (!(error instanceof ClientError) || error.code !== 'missing' || !/^https?:/i.test(location)) return undefined;
  const { openSource } = await import('../tiles/tiles.ts');
  const timeoutMs = whole(options.timeout, '--timeout', 86_400) * 1000;
  const source = openSource(location, { timeoutMs, retries: 0, fetch: await fetchOf(options) });
  const keys = await source.newLogKeys?.().catch(() => undefined);
  await source.close();
  if (keys === undefined) return undefined;
  return new ClientError(
    'missing',
    `${printable(location)} is a new log without a checkpoint: there is nothing to audit yet`,
  );
}

interface Audited {
  readonly report: AuditReport;
  /** The log was frozen empty, and its last checkpoint is pinned. */
  readonly emptyEnd: boolean;
}

async function run(
  location: string,
  options: AuditCommandOptions,
  followed: FollowedTrust | undefined,
): Promise<Audited> {
  const { auditLog } = await import('../audit/audit.ts');
  const { openSource } = await import('../tiles/tiles.ts');
  const { parseTrustPolicy } = await import('../trust/quorum.ts');
  const threads = whole(options.threads ?? String(availableParallelism()), '--threads', 256);
  const timeoutMs = whole(options.timeout, '--timeout', 86_400) * 1000;
  const given =
    options.policy === undefined
      ? undefined
      : parseTrustPolicy(await readWhole(options.policy, MAX_POLICY, 'a policy'));
  const logKey = options.logKey === undefined ? undefined : await verifierKeyText(options.logKey);
  const { lastCheckpoint: file } = options;
  const pinned =
    file === undefined ? [] : [parseLastCheckpoint(await readWhole(file, MAX_LAST_CHECKPOINT, 'a checkpoint'))];
  const known = followed === undefined ? [] : followedLastCheckpoints(followed).map(parseLastCheckpoint);
  const lastCheckpoints = [...pinned, ...known];
  const stop = new AbortController();
  void stopSignals().then(() => stop.abort());
  const place = await placeOf(location, options, followed);
  const source = openSource(place, { timeoutMs, fetch: await fetchOf(options) });
  try {
    for (const { origin } of pinned) await checkPinned(source, origin, stop.signal);
    const policy =
      followed === undefined ? given : await followedPolicyFor(source, { location, place }, followed, stop.signal);
    const report = await withProgress(`auditing ${printable(source.name)}`, 'entries', (update) =>
      auditLog(source, {
        logKey,
        policy,
        lastCheckpoints,
        signatures: options.signatures === true,
        stateFile: options.state,
        newOnly: options.newOnly === true,
        threads,
        signal: stop.signal,
        onProgress: ({ entries, total }) => update(entries, total),
      }),
    );
    return { report, emptyEnd: report.tree !== undefined && isEmptyEnd(report.tree, lastCheckpoints) };
  } finally {
    await source.close();
  }
}

/** The last checkpoint of another log would check nothing. @throws ClientError `usage` */
async function checkPinned(source: TileSource, pinned: string, signal: AbortSignal): Promise<void> {
  const origin = await originAt(source, signal);
  if (origin === undefined || origin === pinned) return;
  throw usage(`--last-checkpoint is of the log ${printable(pinned)}, and this one is ${printable(origin)}`);
}

/** The first line of the log's checkpoint; undefined where there is none that can be read. */
async function originAt(source: TileSource, signal: AbortSignal): Promise<string | undefined> {
  const bytes = await source.checkpoint(signal).catch(() => undefined);
  return bytes && Buffer.from(bytes).toString().split('\n', 1)[0];
}

/** Where the log is read: what is neither a URL nor a path is an origin, where a followed repository has a configuration. */
async function placeOf(
  location: string,
  { monitorConfig: path }: AuditCommandOptions,
  followed: FollowedTrust | undefined,
): Promise<string> {
  if (path !== undefined) {
    return readUrlOf(location, await readWhole(path, MAX_MONITOR_CONFIG, 'a monitor configuration'));
  }
  if (followed === undefined || /^https?:/i.test(location) || existsSync(location)) return location;
  return readUrlOf(location, followedMonitorConfig(followed));
}

/** @throws ClientError `trust`, `monitor-config` */
function followedOrigins(followed: FollowedTrust | undefined): string[] {
  const { rekorLogs } = parseMonitoredLogs(followedMonitorConfig(followed!));
  const origins = rekorLogs.filter(({ majorApiVersion }) => majorApiVersion === 2).map(({ logOrigin }) => logOrigin);
  if (origins.length > 0) return [...new Set(origins)];
  throw new ClientError('monitor-config', 'the followed monitor configuration names no log of API v2: name the log');
}

/** The followed policy where it knows the log, by the address or by the origin of the checkpoint; a log of others has none. */
async function followedPolicyFor(
  source: TileSource,
  { location, place }: { readonly location: string; readonly place: string },
  followed: FollowedTrust,
  signal: AbortSignal,
): Promise<Policy | undefined> {
  const { trust } = trustOfFollowed(followed);
  const policy = trust !== undefined && 'policy' in trust ? trust.policy : undefined;
  // An origin must have signed as itself, and not as another shard.
  const named = policy?.logs.filter(({ key }) => key.name === location) ?? [];
  if (policy !== undefined && location !== place) return { ...policy, logs: named };
  if (/^https?:/i.test(place) && isFollowedLog(followed, place)) return policy;
  const origin = await originAt(source, signal);
  return policy?.logs.some(({ key }) => key.name === origin) ? policy : undefined;
}

/** Where the monitor configuration reads the log of this origin. @throws ClientError `monitor-config`, `file` */
function readUrlOf(origin: string, config: Uint8Array): string {
  const { rekorLogs } = parseMonitoredLogs(config);
  const served = rekorLogs.filter(({ majorApiVersion }) => majorApiVersion === 2);
  const found = served.find(({ logOrigin }) => logOrigin === origin);
  if (found !== undefined) return `${found.readUrl.replace(/\/+$/, '').replace(/\/api\/v2$/, '')}/api/v2`;
  const known = served.map(({ logOrigin }) => printable(logOrigin)).join(', ') || 'none';
  const why = `the monitor configuration names no log of API v2 with the origin "${printable(origin)}"; it names: ${known}`;
  throw new ClientError('monitor-config', why);
}

function toJson({ tree, ...report }: AuditReport): object {
  if (tree === undefined) return report;
  return { ...report, tree: { origin: tree.origin, size: tree.size, root: encodeBase64(tree.root) } };
}

function found(report: AuditReport, { policy }: AuditCommandOptions, emptyEnd: boolean): string[] {
  const { tree, signedBy, cosigned, from, signatures, extended } = report;
  const { origin, size, root } = tree!;
  const checked = [
    `  tree        ${counted(size, 'entry', 'entries')}, every tile of every level; root ${encodeBase64(root)}`,
    ...(from === 0 ? [] : [`              the first ${from} entries in an earlier run`]),
    ...signedBy.map((key) => `  checkpoint  signed by ${printable(key)}`),
    ...cosigned.map(
      ({ verifierKey, timestamp }) =>
        `  cosigned    ${new Date(timestamp * 1000).toISOString()} by ${printable(verifierKey)}`,
    ),
    ...(emptyEnd
      ? ['  end         the log was frozen empty, as its pinned last checkpoint says: no witness cosigns an empty tree']
      : []),
    ...(cosigned.length === 0 && (policy === undefined || emptyEnd)
      ? []
      : [`  quorum      met, by the policy ${printable(policy ?? 'of the followed repository')}`]),
    ...(extended.length === 0
      ? []
      : [`  history     continues the tree seen before, of ${extended.join(', ')} entries`]),
    ...(signatures === undefined
      ? []
      : [
          `  signatures  ${signatures.verified} in entries verify; ${signatures.notChecked} entries of other kinds were not checked`,
        ]),
  ];
  const open = [
    ...(signedBy.length > 0 ? [] : ['whose log it is: nobody vouches for the checkpoint (give --log-key or --policy)']),
    ...(cosigned.length > 0 || emptyEnd
      ? []
      : ['that the log shows everybody the same tree: no witness was checked (give --policy)']),
    ...(signatures === undefined ? ['that the signatures in the entries hold (give --signatures)'] : []),
    'what the entries say: that is for the one whose name they carry to see',
  ];
  return [
    `OK: the ${counted(size, 'entry', 'entries')} of ${printable(origin)} ${size === 1 ? 'is' : 'are'} the tree of its checkpoint`,
    '',
    'Checked:',
    ...checked,
    '',
    'Not proven:',
    ...open.map((line) => `  ${line}`),
  ];
}

function corrupt({ corruption, entries, tree, source }: AuditReport): string[] {
  const { path, index, note } = corruption!;
  return [
    `CORRUPT: ${printable(source)}`,
    `  first bad   ${printable(path)}${index === undefined ? '' : `, entry ${index}`}`,
    ...(tree === undefined
      ? []
      : [
          `  before it   ${Math.max(entries, index ?? 0)} of ${counted(tree.size, 'entry', 'entries')} hash into the tree`,
        ]),
    ...(note === undefined ? [] : ['  evidence    the checkpoint in the state, and this one, which --json prints']),
  ];
}

function whole(text: string, what: string, most: number): number {
  if (!/^[1-9][0-9]{0,5}$/.test(text) || Number(text) > most) {
    throw usage(`${what} is a whole number from 1 to ${most}`);
  }
  return Number(text);
}
