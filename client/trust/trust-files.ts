/**
 * The files that others need to trust a log: its verifier key, `policy` (c2sp.org/tlog-policy), and for a log that speaks
 * Rekor's API v2 `trusted_root.json`, `signing_config.json` and `monitor_config.json` as the tools of Sigstore read them.
 * cosign reads only v0.1 of the trusted root; v0.2 stands beside it, in `trusted_root.v0.2.json`.
 */
import { decodeUtf8, encodeUtf8, equal } from '../../merkle/bytes.ts';
import { isLoopback } from '../../merkle/loopback.ts';
import { formatVerifierKey, KEY_TYPE, logId, type VerifierKey } from '../../merkle/note.ts';
import { encodeSpki, parseSpki } from '../../merkle/rekor/spki.ts';
import { formatTrustedRoot } from './format-trusted-root.ts';
import { formatMonitoredLogs } from './monitor-config.ts';
import { parseTrustPolicy } from './quorum.ts';
import { formatSigningConfig, type SigningConfig } from './signing-config.ts';
import { parseTrustedRoot, type TrustedLog, type TrustedRoot } from './trusted-root.ts';

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
}

interface TrustFile {
  readonly name: string;
  readonly text: string;
  /** For people: what the file is. */
  readonly about: string;
}

/** @throws ClientError `policy` where the policy cannot be used */
export function trustFiles(log: DescribedLog): TrustFile[] {
  const { origin, url, keys, rekor, start } = log;
  const [own] = keys;
  const policy = policyFor(log);
  parseTrustPolicy(encodeUtf8(policy));
  const files = [
    { name: 'log.vkey', text: `${formatVerifierKey(own)}\n`, about: 'its verifier key, for --log-key' },
    { name: 'policy', text: policy, about: 'its keys, its witnesses and their quorum, for --policy' },
    { name: 'monitor.yaml', text: monitorYaml(log), about: 'to begin with, for `stele monitor --config`' },
  ];
  if (!rekor) return files;
  const root = trustedRootOf(url, own, start, origin);
  const monitored = { rekorLogs: [{ readUrl: url, logOrigin: origin, majorApiVersion: 2 }], ctLogs: [] };
  const sigstore = [
    ['trusted_root.json', formatTrustedRoot(root, '0.1'), 'for cosign, sigstore-go, sigstore-js and --trusted-root'],
    ['trusted_root.v0.2.json', formatTrustedRoot(root, '0.2'), 'the same in v0.2, which names its operator'],
    ['signing_config.json', formatSigningConfig(signingConfigOf(url, origin, start)), 'for --signing-config'],
    ['monitor_config.json', formatMonitoredLogs(monitored), 'where monitors of Sigstore read it'],
  ] as const;
  return [...files, ...sigstore.map(([name, bytes, about]) => ({ name, text: decodeUtf8(bytes), about }))];
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
    const [log] = parseTrustedRoot(file).tlogs;
    return log !== undefined && equal(log.logId, logId(key)) ? log.validFor.start : undefined;
  } catch {
    return undefined;
  }
}

/** The policy with this log alone, and its witnesses. */
function policyFor({ url, keys, policy }: DescribedLog): string {
  // Other implementations know no ML-DSA keys of logs, and one key of the log is enough.
  const known = keys.filter(({ type }) => type === KEY_TYPE.ed25519 || type === KEY_TYPE.ecdsa);
  const logs = known.map((key) => `log ${formatVerifierKey(key)} ${url}`);
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
export function trustedRootOf(baseUrl: string, key: VerifierKey, start: number, operator: string): TrustedRoot {
  const ed25519 = key.type === KEY_TYPE.ed25519;
  const id = logId(key);
  const log: TrustedLog = {
    baseUrl,
    key: parseSpki(ed25519 ? encodeSpki('ed25519', key.key) : key.key),
    hash: ed25519 ? undefined : 'sha256',
    validFor: { start },
    // Entries of Rekor v2 name the checkpoint key's whole ID, and sigstore-js compares it with this one.
    logId: id,
    checkpointKeyId: id,
    operator,
  };
  return { tlogs: [log], certificateAuthorities: [], ctlogs: [], timestampAuthorities: [] };
}

/** @param start milliseconds since 1970 */
function signingConfigOf(url: string, operator: string, start: number): SigningConfig {
  return {
    caUrls: [],
    oidcUrls: [],
    rekorTlogUrls: [{ url, majorApiVersion: 2, validFor: { start }, operator }],
    rekorTlogConfig: { selector: 'ANY' },
    tsaUrls: [],
    tsaConfig: undefined,
  };
}

/** JSON strings are YAML strings, whatever is in them. */
function monitorYaml({ url, keys }: DescribedLog): string {
  return `# For \`stele monitor --config\`. Relative paths are relative to this file.
state: monitor-state
logs:
  - url: ${JSON.stringify(url)}
    keys: [${keys.map((key) => JSON.stringify(formatVerifierKey(key))).join(', ')}]
    policy: policy

# The names to watch. Without rules only the log itself is watched.
rules: []
#  - name: our releases
#    watch: { identity: release@example.com }
#    expect: { identity: release@example.com, issuer: 'https://accounts.example.com' }

sinks:
  - type: stdout
`;
}
