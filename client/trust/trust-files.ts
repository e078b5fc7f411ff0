/**
 * The files that others need to trust a log, through all of its shards. An operator who replaces a log's key freezes the log
 * and goes on in a new shard: a log with an origin and a key of its own.
 *
 *   log.vkey                  the verifier key of the shard that takes entries
 *   ORIGIN.vkey               the verifier keys of each shard, one a line
 *   ORIGIN.last-checkpoint    the last checkpoint of a frozen shard: whatever its key signs beyond this tree is not of the log
 *   policy                    the logs, their witnesses and their quorum (c2sp.org/tlog-policy)
 *   monitor.yaml              to begin with, for `stele monitor`
 *
 * and, of a log that speaks Rekor's API v2, as the tools of Sigstore read them:
 *
 *   trusted_root.json, trusted_root.v0.2.json      the keys of all shards; cosign reads v0.1 alone
 *   signing_config.v0.2.json                       where clients write; the name by which they look for it in a TUF repository
 *   monitor_config.json                            where monitors read each shard
 *
 * **Times.** A frozen shard has one time, its `end` (`endOf` in last-checkpoint.ts): the second after the last signature of its
 * key and the last cosignature of its last checkpoint. The trusted root ends its key then. A signer stamps its signature before it logs
 * the signature, so no valid entry has evidence that is later. The keys of all shards are valid from the same `start`: a
 * signature that was stamped under one shard, and waited in a queue, may be logged by the next. The signing configuration
 * starts a shard ten minutes before the end of the one before it. All clients take the newest of one operator that is valid, so a
 * client whose clock is late finds the new shard too.
 */
import { decodeUtf8, encodeUtf8, equal } from '../../merkle/bytes.ts';
import { isLoopback } from '../../merkle/loopback.ts';
import { formatVerifierKey, KEY_TYPE, logId, type VerifierKey } from '../../merkle/note.ts';
import { encodeSpki, parseSpki } from '../../merkle/rekor/spki.ts';
import { usage } from '../errors.ts';
import { formatTrustedRoot } from './format-trusted-root.ts';
import { formatMonitoredLogs } from './monitor-config.ts';
import { parseTrustPolicy } from './quorum.ts';
import { formatSigningConfig, parseSigningConfig, type SigningConfig, type SigningService } from './signing-config.ts';
import { parseTrustedRoot, type TrustedLog, type TrustedRoot } from './trusted-root.ts';

/** A log, or one shard of it. */
export interface DescribedLog {
  /** The first line of its checkpoints, and the name of its keys. */
  readonly origin: string;
  /** Where others reach it, without a slash at its end. */
  readonly url: string;
  /** Its own key first. */
  readonly keys: readonly [VerifierKey, ...VerifierKey[]];
  /** It speaks Rekor's API v2; the tools of Sigstore can use no other log. */
  readonly rekor: boolean;
  /** Text of a policy with its witnesses and their quorum; without one no witness must have cosigned. */
  readonly policy: string | undefined;
  /** When its key becomes valid, in milliseconds since 1970. */
  readonly start: number;
  /** It takes no entries yet: its key counts, monitors read it, and no client writes to it. */
  readonly announced?: boolean;
  /** Of a frozen shard: when it ended, in milliseconds since 1970. The docstring of the file has the rule. */
  readonly end?: number;
  /** Of a frozen shard: the last checkpoint, a signed note. */
  readonly lastCheckpoint?: string;
}

type Shards = readonly [DescribedLog, ...DescribedLog[]];

/** What earlier files have beside the log: authorities of certificates and of time stamps, and where clients find them. */
interface OtherServices {
  readonly root: Omit<TrustedRoot, 'tlogs'>;
  readonly signing: Pick<SigningConfig, 'caUrls' | 'oidcUrls' | 'tsaUrls' | 'tsaConfig'>;
}

const NO_OTHERS: OtherServices = {
  root: { certificateAuthorities: [], ctlogs: [], timestampAuthorities: [] },
  signing: { caUrls: [], oidcUrls: [], tsaUrls: [], tsaConfig: undefined },
};

interface TrustFile {
  readonly name: string;
  readonly text: string;
  /** For people: what the file is. */
  readonly about: string;
}

/** The name of the file with the signing configuration, by which clients of a TUF repository look for it. */
export const SIGNING_CONFIG_FILE = 'signing_config.v0.2.json';

const ROOT_V2_FILE = 'trusted_root.v0.2.json';

/** The name of the file with the last checkpoint of a frozen log. */
export const lastCheckpointFile = (origin: string): string => `${origin}.last-checkpoint`;

/** How much later than the end of a shard the clock of a client may show the time, in milliseconds. */
const LATE_CLOCKS = 10 * 60_000;

/**
 * What `stele ca trust` and others added to earlier files, so that files written anew have it too. A file that is missing or
 * damaged has nothing.
 */
export async function servicesBeside(read: (name: string) => Promise<Uint8Array | undefined>): Promise<OtherServices> {
  const parsed = async <T>(name: string, parse: (file: Uint8Array) => T): Promise<T | undefined> => {
    const file = await read(name);
    try {
      return file && parse(file);
    } catch {
      return undefined;
    }
  };
  const root = (await parsed(ROOT_V2_FILE, parseTrustedRoot)) ?? (await parsed('trusted_root.json', parseTrustedRoot));
  const signing = await parsed(SIGNING_CONFIG_FILE, parseSigningConfig);
  return { root: root ?? NO_OTHERS.root, signing: signing ?? NO_OTHERS.signing };
}

/**
 * @param shards the oldest first. The operator of all is the origin of the first.
 * @throws ClientError `policy` where the policy of the last shard, with the logs of all, cannot be used; `usage`: two shards
 *   have one origin or one key
 */
export function trustFiles(shards: Shards, beside: OtherServices = NO_OTHERS): TrustFile[] {
  checkDifferent(shards);
  const current = currentOf(shards);
  const policy = policyFor(shards);
  parseTrustPolicy(encodeUtf8(policy));
  const files = [
    { name: 'log.vkey', text: `${formatVerifierKey(current.keys[0])}\n`, about: 'its verifier key, for --log-key' },
    ...shards.flatMap(ofShard),
    { name: 'policy', text: policy, about: 'its keys, its witnesses and their quorum, for --policy' },
    { name: 'monitor.yaml', text: monitorYaml(shards), about: 'to begin with, for `stele monitor --config`' },
  ];
  if (!shards.every(({ rekor }) => rekor)) return files;
  const [{ origin: operator }] = shards;
  const tlogs = shards.map((shard) => trustedLog(shard, operator));
  const root = { ...beside.root, tlogs };
  const rekorLogs = shards.map(({ url, origin }) => ({ readUrl: url, logOrigin: origin, majorApiVersion: 2 }));
  const sigstore = [
    ['trusted_root.json', formatTrustedRoot(root, '0.1'), 'for cosign, sigstore-go, sigstore-js and --trusted-root'],
    [ROOT_V2_FILE, formatTrustedRoot(root, '0.2'), 'the same in v0.2, which names its operator'],
    [
      SIGNING_CONFIG_FILE,
      formatSigningConfig({ ...signingConfigOf(shards, operator), ...pickSigning(beside) }),
      'for --signing-config',
    ],
    ['monitor_config.json', formatMonitoredLogs({ rekorLogs, ctLogs: [] }), 'where monitors of Sigstore read it'],
  ] as const;
  return [...files, ...sigstore.map(([name, bytes, about]) => ({ name, text: decodeUtf8(bytes), about }))];
}

function checkDifferent(shards: Shards): void {
  for (const [i, { origin, keys }] of shards.entries()) {
    const before = shards.slice(0, i);
    if (before.some((one) => one.origin === origin)) throw usage(`two shards have the origin ${origin}`);
    const again = keys.find(({ key }) => before.some((one) => one.keys.some((known) => equal(known.key, key))));
    if (again !== undefined)
      throw usage(`the shard ${origin} has the key of a shard before it: each has a key of its own`);
  }
}

/** The shard that takes entries: the last one that is not only announced. */
function currentOf(shards: Shards): DescribedLog {
  return shards.findLast(({ announced }) => announced !== true) ?? shards[0];
}

/** The files of one shard. Only a host name is the name of a file as it is; `log` would be `log.vkey`. */
function ofShard({ origin, keys, lastCheckpoint }: DescribedLog): TrustFile[] {
  if (!/^[a-z0-9][a-z0-9.-]{0,252}$/i.test(origin) || origin === 'log') return [];
  const files = [
    {
      name: `${origin}.vkey`,
      text: keys.map((key) => `${formatVerifierKey(key)}\n`).join(''),
      about: `the verifier keys of ${origin}`,
    },
  ];
  if (lastCheckpoint === undefined) return files;
  const about = `the last checkpoint of ${origin}, which is frozen`;
  return [...files, { name: lastCheckpointFile(origin), text: lastCheckpoint, about }];
}

/** Why the tools of Sigstore will not find the log under its name; undefined where they will. */
export function nameApart({ origin, url }: Pick<DescribedLog, 'origin' | 'url'>): string | undefined {
  const { hostname } = new URL(url);
  if (hostname === origin) return undefined;
  return `sigstore-go and cosign look for the name ${hostname} in the checkpoints of a log at ${url}, and this one is called ${origin}`;
}

/** The start in an earlier trusted root of the same key, in milliseconds since 1970; undefined where there is none. */
export function knownStart(file: Uint8Array, key: VerifierKey): number | undefined {
  try {
    return parseTrustedRoot(file).tlogs.find((log) => equal(log.logId, logId(key)))?.validFor.start;
  } catch {
    return undefined;
  }
}

/** The policy with the logs of all shards, and the witnesses of the last one. */
function policyFor(shards: Shards): string {
  // Other implementations know no ML-DSA keys of logs, and one key of the log is enough.
  const known = ({ type }: VerifierKey) => type === KEY_TYPE.ed25519 || type === KEY_TYPE.ecdsa;
  const logs = shards.flatMap(({ keys, url }) =>
    keys.filter(known).map((key) => `log ${formatVerifierKey(key)} ${url}`),
  );
  const { policy, url } = shards.at(-1)!;
  if (policy === undefined) return ['# No witness has to cosign this log.', ...logs, 'quorum none', ''].join('\n');
  const others = policy
    .split(/\r?\n/)
    .filter((line) => !/^\s*log\s/.test(line))
    .map((line) => withoutLoopback(line, url));
  return [...logs, ...others].join('\n').replace(/\n*$/, '\n');
}

/** The URL of a witness is for its logs. One on the machine of the log means another machine to everybody else. */
function withoutLoopback(line: string, logUrl: string): string {
  const [, begin = '', url = ''] = /^(\s*witness\s+\S+\s+\S+)\s+(\S+)\s*$/.exec(line) ?? [];
  return URL.canParse(url) && isLoopback(url) && !isLoopback(logUrl) ? begin : line;
}

/** Sigstore's trusted root with only this log. `start`: when the key becomes valid, in milliseconds since 1970. */
export function trustedRootOf(url: string, key: VerifierKey, start: number, operator: string): TrustedRoot {
  return rootWith([trustedLog({ url, keys: [key], start }, operator)]);
}

function pickSigning({ signing: { caUrls, oidcUrls, tsaUrls, tsaConfig } }: OtherServices): OtherServices['signing'] {
  return { caUrls, oidcUrls, tsaUrls, tsaConfig };
}

function rootWith(tlogs: readonly TrustedLog[]): TrustedRoot {
  return { ...NO_OTHERS.root, tlogs };
}

type Signs = Pick<DescribedLog, 'url' | 'keys' | 'start' | 'end'>;

function trustedLog({ url: baseUrl, keys: [key], start, end }: Signs, operator: string): TrustedLog {
  const ed25519 = key.type === KEY_TYPE.ed25519;
  const id = logId(key);
  return {
    baseUrl,
    key: parseSpki(ed25519 ? encodeSpki('ed25519', key.key) : key.key),
    hash: ed25519 ? undefined : 'sha256',
    validFor: { start, ...(end !== undefined && { end: wholeSecond(end) }) },
    // Entries of Rekor v2 name the checkpoint key's whole ID, and sigstore-js compares it with this one.
    logId: id,
    checkpointKeyId: id,
    operator,
  };
}

const wholeSecond = (ms: number): number => Math.ceil(ms / 1000) * 1000;

/** The frozen shards stay in it: a monitor that reads it may not have read their last entries. */
function signingConfigOf(shards: Shards, operator: string): SigningConfig {
  const rekorTlogUrls: SigningService[] = [];
  for (const [i, { url, start: valid, end, announced }] of shards.entries()) {
    if (announced === true) continue;
    const ended = shards[i - 1]?.end;
    const before = rekorTlogUrls.at(-1)?.validFor.start ?? Number.NEGATIVE_INFINITY;
    // Clients take the newest one, so each must start later than the one before.
    const start = Math.max(ended === undefined ? valid : wholeSecond(ended - LATE_CLOCKS), before + 1000);
    const validFor = { start, ...(end !== undefined && { end: Math.max(wholeSecond(end), start) }) };
    rekorTlogUrls.push({ url, majorApiVersion: 2, validFor, operator });
  }
  return {
    caUrls: [],
    oidcUrls: [],
    rekorTlogUrls,
    rekorTlogConfig: { selector: 'ANY' },
    tsaUrls: [],
    tsaConfig: undefined,
  };
}

/** JSON strings are YAML strings, whatever is in them. */
function monitorYaml(shards: Shards): string {
  return `# For \`stele monitor --config\`. Relative paths are relative to this file.
state: monitor-state
logs:
${shards.map(monitoredLog).join('')}
# The names to watch. Without rules only the log itself is watched.
rules: []
#  - name: our releases
#    watch: { identity: release@example.com }
#    expect: { identity: release@example.com, issuer: 'https://accounts.example.com' }

sinks:
  - type: stdout
`;
}

function monitoredLog({ origin, url, keys, lastCheckpoint }: DescribedLog): string {
  const last = lastCheckpoint && `    lastCheckpoint: ${JSON.stringify(lastCheckpointFile(origin))}\n`;
  return `  - url: ${JSON.stringify(url)}
    keys: [${keys.map((key) => JSON.stringify(formatVerifierKey(key))).join(', ')}]
    policy: policy
${last ?? ''}`;
}
