/** `stele trust files`: writes what others need to trust a log, for any log. */
import { join, relative } from 'node:path';
import { Command } from 'commander';
import { decodeUtf8, encodeUtf8, equal } from '../../../merkle/bytes.ts';
import { isLoopback, isTrialName } from '../../../merkle/loopback.ts';
import { formatVerifierKey, type VerifierKey } from '../../../merkle/note.ts';
import { MAX_POLICY } from '../../../merkle/policy.ts';
import { isThere, makeDirDurable, readFileIfThere } from '../../../merkle/runtime/disk/files.ts';
import { makeLogger } from '../../../merkle/runtime/service/logger.ts';
import { timeOfText } from '../../../merkle/x509/utc-time.ts';
import { ClientError, usage } from '../../errors.ts';
import { openHead } from '../../follow/signed-head.ts';
import { fetchLogInfo, type LogInfo } from '../../submit/log-info.ts';
import { parseLogUrl } from '../../submit/log-url.ts';
import { openSource } from '../../tiles/tiles.ts';
import type { SourceOptions } from '../../tiles/types.ts';
import { parseLogKey } from '../../trust/log-key.ts';
import { nameApart, SIGNING_CONFIG_FILE, servicesBeside, trustFiles } from '../../trust/trust-files.ts';
import { MAX_TRUSTED_ROOT } from '../../trust/trusted-root.ts';
import { calledAs, shellWord } from '../called-as.ts';
import { readWhole, verifierKeyText, writeWhole } from '../files.ts';
import { noteRetry } from '../log-options.ts';
import { print, warn } from '../report.ts';
import { type DescribeOptions, describeShards, type Shards } from '../rotate/described-shards.ts';
import { addSettings, configOf, type ServerMain } from '../settings-flags.ts';
import { addTlsOptions, fetchOf, type TlsOptions } from '../tls-authorities.ts';

/** `--help` lists these settings; the command takes all settings. */
const SHOWN = ['data', 'public-url', 'policy'];
const TIMEOUT_MS = 30_000;

const HELP = `
Of a log of your own it reads the configuration and the data directory, whether the log runs or not, and nothing but the
verifier keys there. Of somebody else's log it reads the checkpoint, which must be signed by the key that you give.

A log that takes opaque entries (\`entries: raw\`) or does not speak Rekor's API v2 gets no trusted root, signing
configuration and Sigstore monitor configuration, since the tools of Sigstore cannot use it.

A file that is there with another content is replaced with --force alone, and keeps the certificate and time-stamp
authorities that \`stele ca trust\` added. Publish the directory where people look for it:
whoever takes these files from you trusts them as they trust you.

Examples:
  stele trust files trust --config /etc/stele/stele.yaml
  stele trust files trust --data /var/lib/stele --public-url https://log.example.com
  stele trust files trust --log https://log.example.com --log-key 'log.example.com+1a2b3c4d+AbCd…' --policy policy`;

interface FilesOptions extends TlsOptions {
  readonly log?: string;
  readonly logKey?: readonly string[];
  readonly policy?: string;
  readonly validFrom?: string;
  readonly force?: boolean;
  readonly json?: boolean;
}

/** What says when the keys become valid: an earlier trusted root, or the user. */
type Known = Pick<DescribeOptions, 'before' | 'start'>;

export function filesCommand(server: ServerMain): Command {
  const command = new Command('files')
    .description('Write verifier key, policy, trusted root, signing configuration and monitor configurations of a log')
    .argument('<dir>', 'the directory to write to; it is made where it is missing');
  addSettings(command, server, SHOWN)
    .option('--log <url>', "somebody else's log, in place of one that is configured here")
    .option(
      '--log-key <vkey...>',
      'with --log: its verifier keys, the one that it signs entries with first; or files with one',
    )
    .option('--valid-from <time>', 'when the key becomes valid (RFC 3339; default: before all that it has signed)');
  return addTlsOptions(command)
    .option('--force', 'replace files with another content')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', HELP)
    .action((dir: string, options: FilesOptions) => files(dir, options, command, server));
}

async function files(dir: string, options: FilesOptions, command: Command, server: ServerMain): Promise<void> {
  const start = options.validFrom === undefined ? undefined : timeOf(options.validFrom);
  const before = await readFileIfThere(join(dir, 'trusted_root.json'), MAX_TRUSTED_ROOT);
  const known = { before, start };
  const shards =
    options.log === undefined
      ? await ownLog(options, command, server, known)
      : await otherLog(options.log, options, known);
  const log = shards.at(-1)!;
  const made = trustFiles(shards, await servicesBeside((name) => readFileIfThere(join(dir, name), MAX_TRUSTED_ROOT)));
  if (options.force !== true) await refuseOther(dir, made);
  await makeDirDurable(dir);
  for (const { name, text } of made) await writeWhole(join(dir, name), encodeUtf8(text));
  const apart = log.rekor ? nameApart(log) : undefined;
  if (apart !== undefined)
    warn(`${apart}: they will refuse what it logs. Use an address with the host name ${log.origin}`);
  const { origin, url, rekor } = log;
  const at = (name: string) => shellWord(relative('.', join(dir, name)) || name);
  print(options.json, { dir, origin, url, files: made.map(({ name }) => name), sigstore: rekor }, [
    `What others need to trust the log "${origin}" at ${url} is in ${dir}:`,
    ...made.map(({ name, about }) => `  ${name.padEnd(NAME_WIDTH)}  ${about}`),
    ...(rekor
      ? []
      : [
          'The tools of Sigstore cannot use this log, so there is no trusted root and no signing configuration for them.',
        ]),
    '',
    'Publish the directory, and say how its files are checked, such as:',
    `  ${calledAs()} audit ${shellWord(url)} --policy ${at('policy')}`,
    ...(rekor
      ? [
          `  ${calledAs()} verify FILE --key KEY.pub.pem --policy ${at('policy')}`,
          `  cosign verify-blob --key KEY.pub.pem --trusted-root ${at('trusted_root.json')} --bundle FILE.sigstore.json FILE`,
        ]
      : []),
  ]);
}

const NAME_WIDTH = SIGNING_CONFIG_FILE.length;

/** The log of the configuration, whether it runs or not. @throws ClientError `usage`, `policy`; ServerError, RuntimeError */
async function ownLog({ logKey }: FilesOptions, command: Command, server: ServerMain, known: Known): Promise<Shards> {
  if (logKey !== undefined)
    throw usage('--log-key is for --log: a log of your own names its keys in its data directory');
  const config = configOf(command, server);
  const { data, origin: configured, publicUrl, policy } = config;
  const identity = await server.readIdentity(data);
  if (identity === undefined) {
    throw usage(`${data} holds no log yet: start it once, name its data directory (--data, --config), or give --log`);
  }
  const { origin, verifierKeys, entries } = identity;
  if (configured !== undefined && configured !== origin) {
    throw usage(
      `the data directory ${data} belongs to the log "${origin}", and the configured origin is "${configured}"`,
    );
  }
  if (publicUrl === undefined) {
    throw usage(
      '`publicUrl` is not set: these files tell others where the log is. Set it to the address by which they reach it, such ' +
        `as https://${origin} (\`publicUrl\` in the configuration, --public-url)`,
    );
  }
  checkReachable(publicUrl, origin);
  const only = { origin, url: publicUrl, verifierKeys, status: 'open', size: 0 } as const;
  const several = await isThere(join(data, 'shards'));
  const infos = several ? await server.listShards({ config, logger: makeLogger({ level: 'warn' }) }) : [only];
  return describeShards(infos, { ...known, entries: entries ?? 'signed', policy: await textOf(policy) });
}

/** A log that serves its checkpoint. @throws ClientError `usage`, `log-key`, `file`, `bad-checkpoint`, and those of requests */
async function otherLog(given: string, options: FilesOptions, known: Known): Promise<Shards> {
  const { logKey, policy } = options;
  const [own, ...others] = await Promise.all((logKey ?? []).map(keyOf));
  if (own === undefined)
    throw usage('--log needs --log-key: others will trust the log by what you write, so ask its operator for the key');
  const { name: origin } = own;
  if (others.some(({ name }) => name !== origin))
    throw usage('the keys of --log-key have different names: give those of one log');
  const url = parseLogUrl(given);
  const fetch = await fetchOf(options);
  const requests = { timeoutMs: TIMEOUT_MS, ...(fetch && { fetch }) };
  const source = openSource(url, requests);
  try {
    const bytes = await source.checkpoint().catch((error: unknown): never => {
      if (!(error instanceof ClientError) || error.code !== 'missing') throw error;
      const why = `${url} shows no checkpoint: is it the address of the log? A new log with witnesses has none before its first entry`;
      throw new ClientError('missing', why, { cause: error });
    });
    const keys = [own, ...others];
    const { keys: signed } = openHead({ origin, keys }, bytes);
    const missing = keys.find((key) => !signed.some((one) => equal(one.keyId, key.keyId)));
    if (missing !== undefined) {
      throw new ClientError(
        'bad-checkpoint',
        `the log at ${url} does not sign its checkpoint with the key ${missing.name}+… of --log-key`,
      );
    }
    const info = await infoOf(url, fetch);
    const reached = info?.url !== undefined && isLoopback(url) ? parseLogUrl(info.url) : url;
    checkReachable(reached, origin);
    const only = { origin, url: reached, verifierKeys: keys.map(formatVerifierKey), status: 'open', size: 0 } as const;
    const isRaw = info === undefined ? !(await isRekor(url, requests)) : info.raw;
    return describeShards([only], { ...known, entries: isRaw ? 'raw' : 'signed', policy: await textOf(policy) });
  } finally {
    await source.close();
  }
}

/** What the log says about itself; undefined for a log of another program. */
async function infoOf(url: string, fetch: typeof globalThis.fetch | undefined): Promise<LogInfo | undefined> {
  try {
    const deadline = Date.now() + TIMEOUT_MS;
    return await fetchLogInfo(url, {
      deadline,
      onRetry: (retry) => noteRetry(retry.url, retry.why, retry.wait),
      ...(fetch && { fetch }),
    });
  } catch (error) {
    if (error instanceof ClientError && (error.code === 'refused' || error.code === 'bad-reply')) return undefined;
    throw error;
  }
}

/** Whether the files of the log lie where Rekor's API v2 has them. */
async function isRekor(url: string, options: SourceOptions): Promise<boolean> {
  const api = openSource(`${url.replace(/\/api\/v2$/, '')}/api/v2`, options);
  try {
    await api.checkpoint();
    return true;
  } catch (error) {
    if (error instanceof ClientError && (error.code === 'missing' || error.code === 'refused')) return false;
    throw error;
  } finally {
    await api.close();
  }
}

/** A verifier key, or a file with one. */
async function keyOf(text: string): Promise<VerifierKey> {
  return parseLogKey(await verifierKeyText(text));
}

async function textOf(policy: string | undefined): Promise<string | undefined> {
  return policy === undefined ? undefined : decodeUtf8(await readWhole(policy, MAX_POLICY, 'a policy'));
}

function timeOf(text: string): number {
  const time = timeOfText(text);
  if (time !== undefined) return time;
  throw usage(`--valid-from is "${text}", which is no time: write it as 2026-01-31T00:00:00Z`);
}

/** Others must not read that a log is on their own machine. A log that is called localhost is only tried. */
function checkReachable(url: string, origin: string): void {
  if (!isLoopback(url) || isTrialName(origin)) return;
  throw usage(
    `${url} means another machine to everybody who reads these files: give the address by which others reach the log ` +
      '(`publicUrl` in its configuration, or --log)',
  );
}

/** @throws ClientError `file` where a file is there with another content */
async function refuseOther(dir: string, made: readonly { readonly name: string; readonly text: string }[]) {
  const other: string[] = [];
  for (const { name, text } of made) {
    const there = await readFileIfThere(join(dir, name), MAX_TRUSTED_ROOT);
    if (there !== undefined && !equal(there, encodeUtf8(text))) other.push(name);
  }
  if (other.length === 0) return;
  throw new ClientError(
    'file',
    `${dir} holds other files of these names: ${other.join(', ')}. Nothing was written: name another directory, or replace ` +
      'them with --force',
  );
}
