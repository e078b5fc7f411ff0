/** Reads `monitor.yaml`, or a file with rules alone, and reports all mistakes at once, with paths and lines. */
import { availableParallelism } from 'node:os';
import { dirname, resolve } from 'node:path';
import {
  parseYaml,
  readSmallFile,
  readTextFile,
  type SettingPath,
} from '../../../merkle/runtime/config/settings-file.ts';
import { type OwnReader, problemText, SettingsWalk, shown } from '../../../merkle/runtime/config/settings-walk.ts';
import { ClientError } from '../../errors.ts';
import {
  checkUnique,
  FOLLOWED_READERS,
  type FollowedDirs,
  followedLogs,
  type RawFollowed,
  type RawReading,
  usable,
} from '../../follow/config/followed-logs.ts';
import { TUF_LIMITS } from '../../trust/tuf/role.ts';
import { MAX_SINKS, readSink, type SinkOptions } from '../alerts/sink-options.ts';
import type { IssuingAuthority } from '../rules/issuer-trust.ts';
import { escaped } from '../rules/text.ts';
import type { Rule } from '../rules/types.ts';
import { MAX_AUTHORITIES_BYTES, readAuthorities, readTrustDomains } from './authorities.ts';
import { readConditions, readExtensions, readMatch } from './conditions.ts';
import { MonitorSchema } from './schema.ts';
import type { MonitorConfig } from './types.ts';
import { type RawIndex, watchedIndexes } from './watched-indexes.ts';

const MAX_FILE_BYTES = 1024 * 1024;
/** More threads than this only wait for the log. */
const MAX_THREADS = 4;

export interface LoadedRules {
  readonly rules: readonly Rule[];
  readonly authorities?: readonly IssuingAuthority[];
}

const { properties: MonitorProperties } = MonitorSchema as unknown as {
  readonly properties: Readonly<Record<'rules' | 'authorities' | 'spiffeBundles', typeof MonitorSchema>>;
};

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
  ...FOLLOWED_READERS,
  sinks: readSinks,
};

function readSinks(value: unknown, at: SettingPath, walk: SettingsWalk): SinkOptions[] | undefined {
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_SINKS) {
    return walk.problem(at, `must be a list of 1 to ${MAX_SINKS}: without a sink no alert reaches anybody`);
  }
  return value.flatMap((item, i) => readSink(item, [...at, i], walk) ?? []);
}

type Raw = Omit<
  MonitorConfig,
  'file' | 'logs' | 'shards' | 'indexes' | 'repositories' | 'follow' | 'rules' | 'authorities' | 'threads'
> &
  RawFollowed &
  RawReading & {
    readonly repositories?: readonly { readonly url: string; readonly root: string; readonly directory?: string }[];
    readonly indexes?: readonly RawIndex[];
    readonly rules?: readonly Rule[];
    readonly authorities?: string;
    readonly spiffeBundles?: string;
    readonly threads?: number;
    readonly staleAfter: number;
    readonly confirmations: number;
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
  const repositories = (raw.repositories ?? []).flatMap(({ url, root: file, directory }, i) => {
    const root = usable(['repositories', i, 'root'], walk, () => readSmallFile(file, file, TUF_LIMITS.file.root));
    return root === undefined ? [] : [{ url: `${url}/`, root, ...(directory === undefined ? {} : { directory }) }];
  });
  const { logs, shards, trust } = followedLogs(raw, walk, dirs, repositories.length === 0);
  if (raw.sinks === undefined && !walk.problems.some((problem) => problem.startsWith('"sinks'))) {
    walk.problem(['sinks'], 'is missing: without a sink no alert reaches anybody; the simplest is [{ type: stdout }]');
  }
  checkUnique(rules, ['rules'], 'rule', walk);
  checkUnique(sinks, ['sinks'], 'sink', walk);
  if (shards.length === 0) checkOrigins(rules, new Set(logs.map(({ origin }) => origin)), walk);
  const indexes = watchedIndexes(raw.indexes ?? [], logs, rules, walk);
  return {
    file,
    state,
    logs,
    shards,
    indexes,
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
