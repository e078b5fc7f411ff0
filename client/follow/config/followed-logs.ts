/**
 * The logs that a service follows, as its configuration names them: the settings, each declared once, and what reads them.
 * The monitor and the index have them in the same words.
 */
import { resolve } from 'node:path';
import { type TSchema, Type } from 'typebox';
import { type Policy, parsePolicy } from '../../../merkle/policy.ts';
import { printable } from '../../../merkle/printable.ts';
import { readSmallFile, type SettingPath } from '../../../merkle/runtime/config/settings-file.ts';
import { type OwnReader, type SettingsWalk, shown } from '../../../merkle/runtime/config/settings-walk.ts';
import { count, duration, path, size, text } from '../../../merkle/runtime/config/values.ts';
import { parseVerifierKey, type VerifierKey } from '../../../merkle/verifier-key.ts';
import { MAX_LAST_CHECKPOINT } from '../../trust/last-checkpoint.ts';
import { openHead } from '../signed-head.ts';
import type { FollowedLog, ShardSource } from '../types.ts';
import { followedSource, isFollowedIn } from './followed-source.ts';

const opt = Type.Optional;
const MAX_LOGS = 64;
const MAX_KEYS = 16;
const MAX_PEERS = 16;
const MAX_POLICY_BYTES = 1024 * 1024;
export const SETTING_NAME = /^[A-Za-z0-9][A-Za-z0-9 ._:/@-]{0,99}$/;

/** A leaf with a reader of its own in `FOLLOWED_READERS`, because TypeBox could only say that the value is wrong. */
export function followedLeaf(kind: 'url' | 'vkey' | 'frozen', allowed: string, description: string): TSchema {
  return Type.Unknown({ kind, allowed, description });
}

export const listOf = (item: TSchema, minItems: number, maxItems: number, description: string) =>
  Type.Array(item, { minItems, maxItems, allowed: `a list of ${minItems} to ${maxItems}`, description });

const peers = opt(
  listOf(
    followedLeaf('url', 'an http(s) URL, or the path of a directory', ''),
    0,
    MAX_PEERS,
    'Other views of the same log, compared at each round: URLs of copies or witnesses, or directories.',
  ),
);
const policy = opt(
  path({
    description: 'Witness policy (c2sp.org/tlog-policy): its log keys and the quorum that each checkpoint needs.',
    defaultText: 'none: no witness has to cosign the log',
  }),
);
const maxCheckpointAge = opt(
  duration('1m', '8760h', {
    description:
      'A checkpoint that the quorum of `policy` cosigned longer ago is reported as `stale`. For logs that have an unchanged checkpoint cosigned again.',
    defaultText: 'none: a checkpoint may be of any age',
  }),
);

/** One log. */
export const LogSchema = Type.Object({
  url: opt(
    followedLeaf(
      'url',
      'an http(s) URL without user name, query and fragment',
      'Where the log is read. For a Rekor server its base URL: `/api/v2` below it is found.',
    ),
  ),
  dir: opt(
    path({
      description:
        "In place of `url`: a directory with the log's files, such as the storage directory of `rekor-server-posix`, which serves none of them.",
    }),
  ),
  keys: opt(
    listOf(
      followedLeaf('vkey', "a verifier key, such as 'log.example.com+1a2b3c4d+AbCd…'", ''),
      1,
      MAX_KEYS,
      "The log's verifier keys, several for a log that changes them (one of Stele keeps its own); all have one name, which is the log's origin.",
    ),
  ),
  policy,
  maxCheckpointAge,
  frozen: opt(
    followedLeaf(
      'frozen',
      'true, false or a tree size',
      'The log is frozen: growth past this size, or with `true` past the size that is seen first, is reported.',
    ),
  ),
  lastCheckpoint: opt(
    path({
      description:
        'The last checkpoint of a frozen log, as its operator pinned it (`ORIGIN.last-checkpoint` of its trust files): a later one and a different one are reported.',
      defaultText: 'none: the log may grow',
    }),
  ),
  peers,
});

const ShardSchema = Type.Object({
  name: text(SETTING_NAME, 'a name of at most 100 characters', { description: 'For messages.', default: 'shards' }),
  signingConfig: opt(
    followedLeaf(
      'url',
      'a path, or an http(s) URL',
      "A Sigstore `signing_config.json`, read anew each minute: each of its logs of Rekor's API v2 is followed.",
    ),
  ),
  monitorConfig: opt(
    followedLeaf(
      'url',
      'a path, or an http(s) URL',
      "In place of `signingConfig`: a Sigstore monitor configuration (`MonitorConfig`), which says where each log is read. Each of its `rekorLogs` of Rekor's API v2 is followed.",
    ),
  ),
  trustedRoot: followedLeaf('url', 'a path, or an http(s) URL', 'The `trusted_root.json` with the keys of these logs.'),
  lastCheckpoints: opt(
    followedLeaf(
      'url',
      'a path of a directory, or an http(s) URL',
      'Where the last checkpoints of those that are frozen lie, each as `ORIGIN.last-checkpoint`, read anew each minute. A log without one may grow.',
    ),
  ),
  policy,
  maxCheckpointAge,
  peers,
});

/** Which logs are followed. */
export const FOLLOWED_LOGS = {
  logs: opt(listOf(LogSchema, 0, MAX_LOGS, 'The logs. With `shards` at least one.')),
  shards: opt(
    listOf(ShardSchema, 0, MAX_LOGS, 'Configurations of Sigstore, whose logs are followed as they come and go.'),
  ),
  trust: opt(
    path({
      description:
        'Directory of a TUF repository that `stele trust use` follows: its logs, their keys and its policy count, and its news are fetched each minute.',
      defaultText: 'without `logs` and `shards`, the repository that the commands of this user follow; else none',
    }),
  ),
};

/** How logs are read. */
export const FOLLOW_READING = {
  poll: duration('100ms', '24h', { description: 'From the end of one round to the next.', default: '10s' }),
  partialAfter: duration('0ms', '24h', {
    description: 'The entries of a bundle that is not full wait this long for more entries.',
    default: '10s',
  }),
  retry: duration('10ms', '1h', {
    description: 'Pause after a failure; it doubles up to `poll`, or up to 60s where that is longer.',
    default: '1s',
  }),
  parallel: count('bundles', 1, 64, { description: 'Bundles fetched at once from one log.', default: 8 }),
  chunk: size('1MiB', '256MiB', { description: 'Bundles held in memory at once for one log.', default: '16MiB' }),
};

/** Reads the kinds of `followedLeaf`. */
export const FOLLOWED_READERS: Readonly<Record<'url' | 'vkey' | 'frozen', OwnReader>> = {
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
};

/** Which followed repository counts beside what the file says. */
export interface FollowedDirs {
  /** The directory of a repository that counts in any case. */
  readonly trust?: string | undefined;
  /** The directory of one that counts where the file names no log. */
  readonly otherwise?: string | undefined;
}

/** One log as a configuration names it. */
export interface RawLog extends Pick<FollowedLog, 'maxCheckpointAge' | 'frozen' | 'peers'> {
  readonly url?: string;
  readonly dir?: string;
  readonly keys?: readonly VerifierKey[];
  readonly policy?: string;
  readonly lastCheckpoint?: string;
}

/** What `FOLLOWED_LOGS` decodes to. */
export interface RawFollowed {
  readonly logs?: readonly RawLog[];
  readonly shards?: readonly (Omit<ShardSource, 'policy'> & { readonly policy?: string })[];
  readonly trust?: string;
}

/** What `FOLLOW_READING` decodes to: milliseconds and bytes. */
export interface RawReading {
  readonly poll: number;
  readonly partialAfter: number;
  readonly retry: number;
  readonly parallel: number;
  readonly chunk: number;
}

interface Followed {
  /** No two have the same origin. */
  readonly logs: readonly FollowedLog[];
  readonly shards: readonly ShardSource[];
  /** The local directory of the followed repository, whose source is among the shards. */
  readonly trust?: string;
}

/**
 * Checks the rules between these settings, and reads the files that they name. Mistakes go to `walk`.
 *
 * @param needed a log must be named where nothing else says what the service is for
 */
export function followedLogs(raw: RawFollowed, walk: SettingsWalk, dirs: FollowedDirs, needed = true): Followed {
  const logs = (raw.logs ?? []).flatMap((log, i) => followedLog(log, ['logs', i], walk));
  const named: ShardSource[] = (raw.shards ?? []).map(({ policy: file, ...shard }, i) => {
    const { policy } = withPolicy(file, ['shards', i, 'policy'], walk);
    checkAge(shard.maxCheckpointAge, policy, ['shards', i], walk);
    if ((shard.signingConfig === undefined) === (shard.monitorConfig === undefined)) {
      walk.problem(['shards', i], 'must have one of "signingConfig" and "monitorConfig", which name the logs');
    }
    return { ...shard, ...(policy === undefined ? {} : { policy }) };
  });
  const empty = logs.length + named.length === 0 && walk.problems.length === 0;
  const otherwise = empty && dirs.otherwise !== undefined && isFollowedIn(dirs.otherwise) ? dirs.otherwise : undefined;
  const trust = dirs.trust ?? raw.trust ?? otherwise;
  const followed = trust && usable(['trust'], walk, () => followedSource(trust));
  const shards = followed ? [...named, followed] : named;
  if (empty && trust === undefined && needed) {
    walk.problem(
      ['logs'],
      'is missing: name at least one log to follow, here or under "shards", or follow a repository with `stele trust use`',
    );
  }
  const origins = new Set<string>();
  for (const [i, { origin }] of logs.entries()) {
    if (origins.has(origin))
      walk.problem(['logs', i], `is a second log "${printable(origin)}": other views of it go into its "peers"`);
    origins.add(origin);
  }
  checkUnique(shards, ['shards'], 'configuration of Sigstore', walk);
  return { logs, shards, ...(trust === undefined ? {} : { trust }) };
}

/** The log that the settings below `at` name; empty where they are wrong, which is in `walk`. */
export function followedLog(log: RawLog, at: SettingPath, walk: SettingsWalk): FollowedLog[] {
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
  const policy = path && usable(at, walk, () => readQuorumPolicy(path));
  return policy ? { policy } : {};
}

/** A policy (tlog-policy) in a file. @throws MerkleError `bad-policy`; RuntimeError `file` */
export function readQuorumPolicy(path: string): Policy {
  return parsePolicy(readSmallFile(path, path, MAX_POLICY_BYTES));
}

/** The result of `read`, which reads a file that a setting names. */
export function usable<T>(at: SettingPath, walk: SettingsWalk, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    return walk.problem(at, `cannot be used: ${printable((error as Error).message)}`);
  }
}

export function checkUnique(
  items: readonly { readonly name: string }[],
  at: SettingPath,
  what: string,
  walk: SettingsWalk,
): void {
  const seen = new Set<string>();
  for (const [i, { name }] of items.entries()) {
    if (seen.has(name)) walk.problem([...at, i, 'name'], `"${name}" is the name of another ${what} already`);
    seen.add(name);
  }
}
