/** `stele audit`: rebuilds the tree of a whole log and compares with it everything that the log serves. */
import { availableParallelism } from 'node:os';
import { Command } from 'commander';
import { encodeBase64 } from '../../merkle/bytes.ts';
import { MAX_POLICY } from '../../merkle/policy.ts';
import { printable } from '../../merkle/printable.ts';
import type { AuditReport } from '../audit/types.ts';
import { ClientError, usage } from '../errors.ts';
import { parseLogUrl } from '../submit/log-url.ts';
import { counted } from './counted.ts';
import { readWhole, verifierKeyText } from './files.ts';
import { withProgress } from './progress.ts';
import { exitStatus, print, reportError } from './report.ts';
import { stopSignals } from './signals.ts';
import { addCaOption, fetchOf } from './tls-authorities.ts';

interface AuditCommandOptions {
  readonly monitorConfig?: string;
  readonly logKey?: string;
  readonly policy?: string;
  readonly signatures?: boolean;
  readonly state?: string;
  readonly newOnly?: boolean;
  readonly threads?: string;
  readonly timeout: string;
  readonly ca?: string;
  readonly json?: boolean;
}

const HELP = `
The log is a URL that serves c2sp.org/tlog-tiles, or a directory with its checkpoint and tile/. Without --log-key and --policy
nobody vouches for its checkpoint, and the audit checks only that the log agrees with itself.

With --state an audit goes on where an interrupted one stopped, and refuses a log that does not continue what it has shown
before. Keep the file: it holds the checkpoints. Where the log shows a smaller tree, it is asked three times more, past caches.

Exit status: 0 everything holds, 1 something does not, 2 the audit could not be made (or what the log shows is stale: the
beginning of the tree that it has shown before), 130 interrupted.

Examples:
  stele audit https://log.example.com --log-key 'log.example.com+1a2b3c4d+AbCd…' --state log.example.com.audit
  stele audit https://log.example.com --policy trust/policy --signatures
  stele audit log.example.com --monitor-config monitor_config.json --log-key 'log.example.com+1a2b3c4d+AbCd…'
  stele audit /srv/export --json`;

export function auditCommand(): Command {
  const command = new Command('audit')
    .description('Rebuild the tree of a whole log, and check every tile, the checkpoint and what was seen before')
    .argument('<url|dir>', 'the log: its URL, or a directory of its files; with --monitor-config its origin')
    .option('--monitor-config <path>', 'monitor configuration of Sigstore, which says where the log is read')
    .option('--log-key <vkey>', "the log's verifier key, or a file with it: the checkpoint must be signed with it")
    .option('--policy <path>', 'trust policy (tlog-policy): its log must have signed, its quorum of witnesses cosigned')
    .option('--signatures', 'check the signature in every entry too (hashedrekord 0.0.2)')
    .option('--state <path>', 'file that remembers checkpoints and how far the audit came')
    .option('--new-only', 'with --state: check only what is new since the last audit that came to its end')
    .option('--threads <n>', 'threads that hash (default: one for each processor)');
  return addCaOption(command)
    .option('--timeout <seconds>', 'how long one answer of the log may take', '30')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', HELP)
    .action(audit);
}

async function audit(location: string, options: AuditCommandOptions): Promise<void> {
  try {
    const report = await run(location, options);
    if (report.corruption === undefined) return print(options.json, toJson(report), found(report, options));
    const { code, message } = report.corruption;
    process.stderr.write(`stele: error [${code}]: ${printable(message)}\n`);
    print(options.json, { ok: false, error: { code, message }, ...toJson(report) }, corrupt(report));
    process.exitCode = 1;
  } catch (error) {
    // An audit that could not read the log to its end has found nothing wrong.
    if (exitStatus(error) !== 1) throw error;
    const known = (await otherService(location, options, error)) ?? (await ofNewLog(location, options, error));
    reportError(known ?? error, options.json === true);
    process.exitCode = 2;
  }
}

/** The error that says so where an address without a checkpoint is that of a witness or of another kind of log. */
async function otherService(
  location: string,
  { ca }: AuditCommandOptions,
  error: unknown,
): Promise<ClientError | undefined> {
  if (!(error instanceof ClientError) || !['missing', 'refused'].includes(error.code) || !/^https?:/i.test(location)) {
    return undefined;
  }
  const { ctLogAt, witnessAt } = await import('../submit/witness-port.ts');
  const fetch = await fetchOf(ca);
  const http = fetch === undefined ? {} : { fetch };
  const log = parseLogUrl(location);
  // A server that answers 400 to every unknown path is not a witness for that.
  return (await ctLogAt(log, http)) ?? (await witnessAt(log, http));
}

/** The error that says so where a log without a checkpoint is new: one with witnesses has none before its first entries. */
async function ofNewLog(
  location: string,
  { ca, timeout }: AuditCommandOptions,
  error: unknown,
): Promise<ClientError | undefined> {
  if (!(error instanceof ClientError) || error.code !== 'missing' || !/^https?:/i.test(location)) return undefined;
  const { openSource } = await import('../tiles/tiles.ts');
  const timeoutMs = whole(timeout, '--timeout', 86_400) * 1000;
  const source = openSource(location, { timeoutMs, retries: 0, fetch: await fetchOf(ca) });
  const keys = await source.newLogKeys?.().catch(() => undefined);
  await source.close();
  if (keys === undefined) return undefined;
  return new ClientError(
    'missing',
    `${printable(location)} is a new log without a checkpoint: there is nothing to audit yet`,
  );
}

async function run(location: string, options: AuditCommandOptions): Promise<AuditReport> {
  const { auditLog } = await import('../audit/audit.ts');
  const { openSource } = await import('../tiles/tiles.ts');
  const { parseTrustPolicy } = await import('../trust/quorum.ts');
  const threads = whole(options.threads ?? String(availableParallelism()), '--threads', 256);
  const timeoutMs = whole(options.timeout, '--timeout', 86_400) * 1000;
  const policy =
    options.policy === undefined
      ? undefined
      : parseTrustPolicy(await readWhole(options.policy, MAX_POLICY, 'a policy'));
  const logKey = options.logKey === undefined ? undefined : await verifierKeyText(options.logKey);
  const stop = new AbortController();
  void stopSignals().then(() => stop.abort());
  const place = options.monitorConfig === undefined ? location : await readUrlOf(location, options.monitorConfig);
  const source = openSource(place, { timeoutMs, fetch: await fetchOf(options.ca) });
  try {
    return await withProgress(`auditing ${printable(source.name)}`, 'entries', (update) =>
      auditLog(source, {
        logKey,
        policy,
        signatures: options.signatures === true,
        stateFile: options.state,
        newOnly: options.newOnly === true,
        threads,
        signal: stop.signal,
        onProgress: ({ entries, total }) => update(entries, total),
      }),
    );
  } finally {
    await source.close();
  }
}

/** Where the monitor configuration reads the log of this origin. @throws ClientError `monitor-config`, `file` */
async function readUrlOf(origin: string, path: string): Promise<string> {
  const { MAX_MONITOR_CONFIG, parseMonitoredLogs } = await import('../trust/monitor-config.ts');
  const { rekorLogs } = parseMonitoredLogs(await readWhole(path, MAX_MONITOR_CONFIG, 'a monitor configuration'));
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

function found(report: AuditReport, { policy }: AuditCommandOptions): string[] {
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
    ...(policy === undefined ? [] : [`  quorum      met, by the policy ${printable(policy)}`]),
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
    ...(cosigned.length > 0
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
