/** The settings of the verifiable index: `maps` of `index.yaml`. */
import { Type } from 'typebox';
import { equal } from '../../../merkle/bytes.ts';
import type { Policy } from '../../../merkle/policy.ts';
import { printable } from '../../../merkle/printable.ts';
import type { SettingPath } from '../../../merkle/runtime/config/settings-file.ts';
import type { SettingsWalk } from '../../../merkle/runtime/config/settings-walk.ts';
import { checkOutgoing, outgoingSettings } from '../../../merkle/runtime/config/tls-settings.ts';
import { duration, path, text } from '../../../merkle/runtime/config/values.ts';
import type { OutgoingSettings } from '../../../merkle/runtime/identity/outgoing.ts';
import {
  followedLog,
  LogSchema,
  listOf,
  type RawLog,
  readQuorumPolicy,
  usable,
} from '../../follow/config/followed-logs.ts';
import type { FollowedLog } from '../../follow/types.ts';
import type { RebuilderSettings } from './rebuilders.ts';

const MAX_MAPS = 16;
const ORIGIN = /^[^\s+]{1,255}$/;

const MapSchema = Type.Object({
  log: Type.Optional(
    text(ORIGIN, 'the origin of a log', {
      description: 'The log that the map is of: the origin of one of `logs`.',
      defaultText: 'the log of `logs`, where that is only one',
    }),
  ),
  outputLog: LogSchema,
  rebuilders: Type.Optional(
    path({
      description:
        'Policy (c2sp.org/tlog-policy) whose witnesses are the rebuilders, each with its URL: they are asked for their cosignatures on each version.',
      defaultText: 'none',
    }),
  ),
  wait: duration('0ms', '10m', {
    description:
      'The longest time that a new version waits for the quorum of `rebuilders`, before it is given out without.',
    default: '10s',
  }),
  interval: duration('0ms', '24h', { description: 'Shortest time from one version to the next.', default: '2s' }),
  outgoing: outgoingSettings('the output log and the rebuilders'),
});

export const MAP_SETTINGS = {
  maps: Type.Optional(
    listOf(
      MapSchema,
      0,
      MAX_MAPS,
      'Verifiable indexes (docs/index.md), one for a log. Each has an output log of its own: a log of `stele serve` with `entries: raw` that takes leaves of this index alone (`identity.access`).',
    ),
  ),
};

export interface MapConfig {
  readonly input: FollowedLog;
  /** Its location is an http(s) URL. */
  readonly output: FollowedLog;
  readonly rebuilders?: RebuilderSettings;
  readonly intervalMs: number;
  readonly outgoing: OutgoingSettings;
}

/** What `MAP_SETTINGS` decodes to. */
export interface RawMap {
  readonly log?: string;
  readonly outputLog: RawLog;
  readonly rebuilders?: string;
  readonly wait: number;
  readonly interval: number;
  readonly outgoing: OutgoingSettings & { readonly ca?: string; readonly identity?: string };
}

/** Checks the rules between these settings, and reads the files that they name. Mistakes go to `walk`. */
export function mapsOf(maps: readonly RawMap[], logs: readonly FollowedLog[], walk: SettingsWalk): MapConfig[] {
  const used = new Map<string, string>();
  for (const { origin } of logs) used.set(origin, 'a log that is followed');
  const inputs = new Set<string>();
  return maps.flatMap((raw, i): MapConfig[] => {
    const at: SettingPath = ['maps', i];
    const input = inputOf(raw, logs, at, walk);
    const [output] = followedLog(raw.outputLog, [...at, 'outputLog'], walk);
    if (input !== undefined && inputs.has(input.origin)) walk.problem(at, 'is a second map of this log: a log has one');
    if (input !== undefined) inputs.add(input.origin);
    if (output !== undefined) checkOutput(output, used, [...at, 'outputLog'], walk);
    const policy = raw.rebuilders && usable([...at, 'rebuilders'], walk, () => readQuorumPolicy(raw.rebuilders!));
    if (policy && output) checkRebuilders(policy, output, [...at, 'rebuilders'], walk);
    const problems: string[] = [];
    checkOutgoing(raw.outgoing as Parameters<typeof checkOutgoing>[0], problems);
    for (const problem of problems) walk.problem(at, problem);
    if (input === undefined || output === undefined) return [];
    return [
      {
        input,
        output,
        ...(policy && { rebuilders: { policy, waitMs: raw.wait } }),
        intervalMs: raw.interval,
        outgoing: raw.outgoing,
      },
    ];
  });
}

function inputOf(
  { log }: RawMap,
  logs: readonly FollowedLog[],
  at: SettingPath,
  walk: SettingsWalk,
): FollowedLog | undefined {
  if (log === undefined && logs.length === 1) return logs[0];
  const found = logs.find(({ origin }) => origin === log);
  if (found === undefined) {
    const names = logs.map(({ origin }) => printable(origin)).join(', ') || 'none';
    walk.problem(
      [...at, 'log'],
      `must be the origin of one of "logs" (${names}); a shard has a map where it stands there too`,
    );
  }
  return found;
}

function checkOutput(
  { origin, location }: FollowedLog,
  used: Map<string, string>,
  at: SettingPath,
  walk: SettingsWalk,
): void {
  if (!/^https?:/.test(location)) walk.problem(at, 'must have a "url": leaves are added there');
  const other = used.get(origin);
  if (other !== undefined) walk.problem(at, `is ${other}: an output log holds the leaves of one map, and nothing else`);
  used.set(origin, 'the output log of another map');
}

function checkRebuilders(policy: Policy, output: FollowedLog, at: SettingPath, walk: SettingsWalk): void {
  const { witnesses, quorum, logs } = policy;
  if (quorum === undefined || witnesses.length === 0) {
    walk.problem(
      at,
      'needs "witness" lines, which are the rebuilders, and a quorum of them: without one, leave it out',
    );
  }
  const without = witnesses.filter(({ url }) => url === undefined).map(({ name }) => printable(name));
  if (without.length > 0) walk.problem(at, `needs a URL for each rebuilder; none is there for ${without.join(', ')}`);
  if (logs.length > 0 && !logs.some(({ key }) => output.keys.some((own) => equal(own.keyId, key.keyId)))) {
    walk.problem(at, 'names another log than the output log');
  }
  const same = (output.policy?.witnesses ?? []).find((one) => witnesses.some(({ key }) => equal(key.key, one.key.key)));
  if (same !== undefined) {
    const why = 'whose cosignature says nothing about the map: a rebuilder has a key of its own';
    walk.problem(at, `has the key of the witness ${printable(same.name)} of the output log, ${why}`);
  }
}
