/** Reads `monitor.yaml`, or a file with rules alone, and reports all mistakes at once, with paths and lines. */
import { availableParallelism } from 'node:os';
import { dirname, resolve } from 'node:path';
import { type Policy, parsePolicy } from '../../../merkle/policy.ts';
import {
  parseYaml,
  readSmallFile,
  readTextFile,
  type SettingPath,
} from '../../../merkle/runtime/config/settings-file.ts';
import { type OwnReader, problemText, SettingsWalk, shown } from '../../../merkle/runtime/config/settings-walk.ts';
import { parseVerifierKey, type VerifierKey } from '../../../merkle/verifier-key.ts';
import { ClientError } from '../../errors.ts';
import { openHead } from '../../follow/signed-head.ts';
import type { FollowedLog, ShardSource } from '../../follow/types.ts';
import { MAX_LAST_CHECKPOINT } from '../../trust/last-checkpoint.ts';
import { TUF_LIMITS } from '../../trust/tuf/role.ts';
import { MAX_SINKS, readSink, type SinkOptions } from '../alerts/sink-options.ts';
import type { IssuingAuthority } from '../rules/issuer-trust.ts';
import { escaped } from '../rules/text.ts';
import type { Rule } from '../rules/types.ts';
import { MAX_AUTHORITIES_BYTES, readAuthorities, readTrustDomains } from './authorities.ts';
import { readConditions, readExtensions, readMatch } from './conditions.ts';
import { followedSource, isFollowedIn } from './followed-source.ts';
import { MonitorSchema } from './schema.ts';
import type { MonitorConfig } from './types.ts';

const MAX_FILE_BYTES = 1024 * 1024;
const MAX_POLICY_BYTES = 1024 * 1024;
/** More threads than this only wait for the log. */
const MAX_THREADS = 4;

export interface LoadedRules {
  readonly rules: readonly Rule[];
  readonly authorities?: readonly IssuingAuthority[];
}

const { properties: MonitorProperties } = MonitorSchema as unknown as {
  readonly properties: Readonly<Record<'rules' | 'authorities' | 'spiffeBundles', typeof MonitorSchema>>;
};

/** Which followed repository counts beside what the file says. */
interface FollowedDirs {
  /** The directory of a repository that counts in any case. */
  readonly trust?: string | undefined;
  /** The directory of one that counts where the file names no log. */
  readonly otherwise?: string | undefined;
}

/** @throws ClientError `usage` naming everything that is unknown or wrong, `file` */
export function loadMonitorConfig(path: string, dirs: FollowedDirs = {}): MonitorConfig {
  const file = resolve(path);
  return parseMonitorConfig(readText(file, path), file, dirs);
}

/** @param file absolute path, for messages and for the paths in it. @throws as `loadMonitorConfig` */
export function parseMonitorConfig(text: string, file: string, dirs: FollowedDirs = {}): MonitorConfig {
  const { walk, value } = open(text, file);
  const config = assemble(walk.object(MonitorSchema, value, []), file, walk, dirs);
  failOn(walk.problems, file);
  return config!;
}

/**
 * The rules of a file that holds one rule, a list of rules, or a monitor's configuration. Of a configuration only `rules`,
 * `authorities` and `spiffeBundles` are read.
 *
 * @throws ClientError `usage`, `file`
 */
export function loadRules(path: string): LoadedRules {
  const file = resolve(path);
  const { walk, value } = open(readText(file, path), file);
  const inConfig = typeof value === 'object' && value !== null && 'rules' in value;
  const list: unknown = inConfig ? value.rules : Array.isArray(value) ? value : [value];
  const { rules: schema } = MonitorProperties;
  const at: SettingPath = inConfig ? ['rules'] : [];
  const rules = (walk.value(schema, list, at) ?? []) as Rule[];
  // The path of a problem in a single rule begins with [0], though the file has no list.
  if (rules.length === 0 && walk.problems.length === 0) walk.problem(at, 'holds no rule');
  checkUnique(rules, at, 'rule', walk);
  const pathOf = (name: 'authorities' | 'spiffeBundles'): string | undefined => {
    const given = inConfig && name in value ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
    return given === undefined ? undefined : (walk.value(MonitorProperties[name], given, [name]) as string | undefined);
  };
  const authorities = withAuthorities(pathOf('authorities'), pathOf('spiffeBundles'), walk);
  failOn(walk.problems, file);
  return { rules, ...authorities };
}

function open(text: string, file: string): { walk: SettingsWalk; value: unknown } {
  const { value, problems, lineOf } = parseYaml(text);
  if (problems.length > 0) {
    throw new ClientError('usage', `${escaped(file)} is not valid YAML: ${problemText(problems)}`);
  }
  const where = (at: SettingPath) => `line ${lineOf(at)}`;
  return { walk: new SettingsWalk({ base: dirname(file), where, own: OWN }), value };
}

function readText(file: string, name: string): string {
  try {
    return readTextFile(file, name, MAX_FILE_BYTES);
  } catch (cause) {
    throw new ClientError('file', (cause as Error).message, { cause });
  }
}

const OWN: Readonly<Record<string, OwnReader>> = {
  match: readMatch,
  extensions: readExtensions,
  conditions: readConditions,
  url: (value, at, walk) => {
    if (typeof value !== 'string' || value === '' || value.length > 2048) {
      return walk.problem(at, `is ${shown(value)}; allowed: an http(s) URL, for peers also a directory`);
    }
    if (!value.includes('://')) {
      return at.at(-1) === 'url'
        ? walk.problem(at, `is ${shown(value)}, which is no URL: for a directory write "dir"`)
        : resolve(walk.base, value);
    }
    const url = URL.canParse(value) ? new URL(value) : undefined;
    const isPlain = url && /^https?:$/.test(url.protocol) && url.username + url.password + url.search + url.hash === '';
    // The message does not repeat the URL: people put tokens into URLs.
    return isPlain
      ? value.replace(/\/+$/, '')
      : walk.problem(at, 'must be an http(s) URL without user name, query and fragment');
  },
  vkey: (value, at, walk) => {
    try {
      if (typeof value === 'string') return parseVerifierKey(value);
    } catch (error) {
      return walk.problem(at, `is no verifier key: ${(error as Error).message}`);
    }
    return walk.problem(at, 'is no verifier key: it is text such as log.example.com+1a2b3c4d+AbCd…');
  },
  frozen: (value, at, walk) =>
    typeof value === 'boolean' || (Number.isSafeInteger(value) && (value as number) >= 0)
      ? value
      : walk.problem(at, `is ${shown(value)}; allowed: true, false or a tree size`),
  sinks: readSinks,
};

function readSinks(value: unknown, at: SettingPath, walk: SettingsWalk): SinkOptions[] | undefined {
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_SINKS) {
    return walk.problem(at, `must be a list of 1 to ${MAX_SINKS}: without a sink no alert reaches anybody`);
  }
  return value.flatMap((item, i) => readSink(item, [...at, i], walk) ?? []);
}

interface RawLog extends Pick<FollowedLog, 'maxCheckpointAge' | 'frozen' | 'peers'> {
  readonly url?: string;
  readonly dir?: string;
  readonly keys?: readonly VerifierKey[];
  readonly policy?: string;
  readonly lastCheckpoint?: string;
}

type RawShard = Omit<ShardSource, 'policy'> & { readonly policy?: string };

type Raw = Omit<
  MonitorConfig,
  'file' | 'logs' | 'shards' | 'repositories' | 'follow' | 'rules' | 'authorities' | 'threads'
> & {
  readonly logs?: readonly RawLog[];
  readonly shards?: readonly RawShard[];
  readonly trust?: string;
  readonly repositories?: readonly { readonly url: string; readonly root: string; readonly directory?: string }[];
  readonly rules?: readonly Rule[];
  readonly authorities?: string;
  readonly spiffeBundles?: string;
  readonly threads?: number;
  readonly poll: number;
  readonly partialAfter: number;
  readonly staleAfter: number;
  readonly retry: number;
  readonly confirmations: number;
  readonly parallel: number;
  readonly chunk: number;
};

/** Checks the rules between settings and makes the configuration; undefined where the file is no mapping. */
function assemble(
  read: Record<string, unknown> | undefined,
  file: string,
  walk: SettingsWalk,
  dirs: FollowedDirs,
): MonitorConfig | undefined {
  if (read === undefined) return undefined;
  const raw = read as unknown as Raw;
  const { state, sinks = [], metrics, rules = [] } = raw;
  const logs = (raw.logs ?? []).flatMap((log, i) => followedLog(log, ['logs', i], walk));
  const named: ShardSource[] = (raw.shards ?? []).map(({ policy: file, ...shard }, i) => {
    const { policy } = withPolicy(file, ['shards', i, 'policy'], walk);
    checkAge(shard.maxCheckpointAge, policy, ['shards', i], walk);
    if ((shard.signingConfig === undefined) === (shard.monitorConfig === undefined)) {
      walk.problem(['shards', i], 'must have one of "signingConfig" and "monitorConfig", which name the logs');
    }
    return { ...shard, ...(policy === undefined ? {} : { policy }) };
  });
  const repositories = (raw.repositories ?? []).flatMap(({ url, root: file, directory }, i) => {
    const root = usable(['repositories', i, 'root'], walk, () => readSmallFile(file, file, TUF_LIMITS.file.root));
    return root === undefined ? [] : [{ url: `${url}/`, root, ...(directory === undefined ? {} : { directory }) }];
  });
  const empty = logs.length + named.length === 0 && walk.problems.length === 0;
  const otherwise = empty && dirs.otherwise !== undefined && isFollowedIn(dirs.otherwise) ? dirs.otherwise : undefined;
  const trust = dirs.trust ?? raw.trust ?? otherwise;
  const followed = trust && usable(['trust'], walk, () => followedSource(trust));
  const shards = followed ? [...named, followed] : named;
  if (empty && trust === undefined && repositories.length === 0) {
    walk.problem(
      ['logs'],
      'is missing: name at least one log to follow, here or under "shards", or follow a repository with `stele trust use`',
    );
  }
  if (raw.sinks === undefined && !walk.problems.some((problem) => problem.startsWith('"sinks'))) {
    walk.problem(['sinks'], 'is missing: without a sink no alert reaches anybody; the simplest is [{ type: stdout }]');
  }
  const origins = new Set<string>();
  for (const [i, { origin }] of logs.entries()) {
    if (origins.has(origin))
      walk.problem(['logs', i], `is a second log "${escaped(origin)}": other views of it go into its "peers"`);
    origins.add(origin);
  }
  checkUnique(rules, ['rules'], 'rule', walk);
  checkUnique(sinks, ['sinks'], 'sink', walk);
  checkUnique(shards, ['shards'], 'configuration of Sigstore', walk);
  if (shards.length === 0) checkOrigins(rules, origins, walk);
  return {
    file,
    state,
    logs,
    shards,
    ...(trust === undefined ? {} : { trust }),
    repositories,
    follow: {
      pollMs: raw.poll,
      partialMs: raw.partialAfter,
      staleMs: raw.staleAfter,
      retryMs: raw.retry,
      confirmations: raw.confirmations,
      parallel: raw.parallel,
      chunkBytes: raw.chunk,
    },
    rules,
    ...withAuthorities(raw.authorities, raw.spiffeBundles, walk),
    threads: raw.threads ?? Math.min(MAX_THREADS, availableParallelism()),
    sinks,
    ...(metrics === undefined ? {} : { metrics }),
  };
}

function followedLog(log: RawLog, at: SettingPath, walk: SettingsWalk): FollowedLog[] {
  const { url, dir, maxCheckpointAge, frozen, peers } = log;
  if (url !== undefined && dir !== undefined) walk.problem(at, 'has "url" and "dir": keep one');
  const location = url ?? dir;
  const { policy } = withPolicy(log.policy, [...at, 'policy'], walk);
  checkAge(maxCheckpointAge, policy, at, walk);
  const keys = [...(log.keys ?? []), ...(log.keys === undefined ? (policy?.logs ?? []).map(({ key }) => key) : [])];
  const origin = keys[0]?.name;
  if (location === undefined && !walk.problems.some((problem) => problem.includes(`${at[0]}[${at[1]}].`))) {
    walk.problem(at, 'does not say where the log is: give "url" or "dir"');
  }
  if (origin === undefined) {
    if (log.keys === undefined)
      walk.problem([...at, 'keys'], "is missing: give the log's verifier keys, or a policy that has them");
    return [];
  }
  if (keys.some(({ name }) => name !== origin)) {
    walk.problem([...at, 'keys'], 'has keys of different names: a log has one, its origin');
  }
  if (location === undefined) return [];
  const last =
    log.lastCheckpoint &&
    usable([...at, 'lastCheckpoint'], walk, () =>
      openHead({ origin, keys }, readSmallFile(log.lastCheckpoint!, log.lastCheckpoint!, MAX_LAST_CHECKPOINT)),
    );
  return [
    {
      origin,
      keys,
      location,
      ...(policy === undefined ? {} : { policy }),
      ...(maxCheckpointAge === undefined ? {} : { maxCheckpointAge }),
      ...(frozen === undefined || frozen === false ? {} : { frozen }),
      ...(last ? { last } : {}),
      ...(peers === undefined ? {} : { peers }),
    },
  ];
}

/** Only the cosignatures of witnesses say when a checkpoint was seen. */
function checkAge(age: number | undefined, policy: Policy | undefined, at: SettingPath, walk: SettingsWalk): void {
  if (age === undefined || policy?.quorum !== undefined) return;
  const why = 'needs a "policy" with a quorum of witnesses, whose cosignatures have a time';
  walk.problem([...at, 'maxCheckpointAge'], why);
}

function withPolicy(path: string | undefined, at: SettingPath, walk: SettingsWalk): { policy?: Policy } {
  const policy = path && usable(at, walk, () => parsePolicy(readSmallFile(path, path, MAX_POLICY_BYTES)));
  return policy ? { policy } : {};
}

function withAuthorities(
  path: string | undefined,
  spiffe: string | undefined,
  walk: SettingsWalk,
): { authorities?: readonly IssuingAuthority[] } {
  const read = (file: string, parse: (bytes: Uint8Array) => readonly IssuingAuthority[], at: string) =>
    usable([at], walk, () => parse(readSmallFile(file, file, MAX_AUTHORITIES_BYTES))) ?? [];
  if (path === undefined && spiffe === undefined) return {};
  const issuers = path === undefined ? [] : read(path, readAuthorities, 'authorities');
  const domains = spiffe === undefined ? [] : read(spiffe, readTrustDomains, 'spiffeBundles');
  return { authorities: [...issuers, ...domains] };
}

/** The result of `read`, which reads a file that a setting names. */
function usable<T>(at: SettingPath, walk: SettingsWalk, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    return walk.problem(at, `cannot be used: ${escaped((error as Error).message)}`);
  }
}

type Named = { readonly name: string };

function checkUnique(items: readonly Named[], at: SettingPath, what: string, walk: SettingsWalk): void {
  const seen = new Set<string>();
  for (const [i, { name }] of items.entries()) {
    if (seen.has(name)) walk.problem([...at, i, 'name'], `"${name}" is the name of another ${what} already`);
    seen.add(name);
  }
}

/** A rule for a log that is not followed would never alert, without any sign of it. */
function checkOrigins(rules: readonly Rule[], origins: ReadonlySet<string>, walk: SettingsWalk): void {
  if (origins.size === 0) return;
  for (const [i, { logs = [] }] of rules.entries()) {
    const other = logs.find((origin) => !origins.has(origin));
    if (other !== undefined) {
      const why = `names ${shown(other)}, which is no log of this file; those are ${[...origins].join(', ')}`;
      walk.problem(['rules', i, 'logs'], why);
    }
  }
}

function failOn(problems: readonly string[], file: string): void {
  if (problems.length === 0) return;
  throw new ClientError('usage', `${escaped(file)}: ${problemText(problems)}\ndocs/monitor.md describes every setting`);
}
