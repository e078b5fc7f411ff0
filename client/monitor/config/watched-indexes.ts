/** The settings `indexes` of a monitor: which logs are watched by a verifiable index. */
import type { SettingsWalk } from '../../../merkle/runtime/config/settings-walk.ts';
import { followedLog, type RawLog, readQuorumPolicy, usable } from '../../follow/config/followed-logs.ts';
import type { FollowedLog } from '../../follow/types.ts';
import { checkLookupTrust } from '../../search/lookup-trust.ts';
import type { WatchedIndex } from '../lookup-follower.ts';
import { keyOfCondition } from '../rules/rule-keys.ts';
import { escaped } from '../rules/text.ts';
import type { Rule } from '../rules/types.ts';

export interface RawIndex {
  readonly log: string;
  readonly url: string;
  readonly outputLog: RawLog;
  readonly rebuilders?: string;
}

/** Reads the files that the settings name, and checks that the rules of each such log need no scan. Mistakes go to `walk`. */
export function watchedIndexes(
  raw: readonly RawIndex[],
  logs: readonly FollowedLog[],
  rules: readonly Rule[],
  walk: SettingsWalk,
): WatchedIndex[] {
  const used = new Set<string>();
  return raw.flatMap(({ log, url, outputLog, rebuilders: file }, i): WatchedIndex[] => {
    const at = ['indexes', i] as const;
    const input = logs.find(({ origin }) => origin === log);
    if (input === undefined) walk.problem([...at, 'log'], `"${escaped(log)}" is no log of "logs" in this file`);
    if (used.has(log)) walk.problem([...at, 'log'], `"${escaped(log)}" has another index above: keep one`);
    used.add(log);
    const [output] = followedLog(outputLog, [...at, 'outputLog'], walk);
    const rebuilders = file && usable([...at, 'rebuilders'], walk, () => readQuorumPolicy(file));
    checkRules(rules, log, walk);
    if (input === undefined || output === undefined) return [];
    const index = { log, url, output, ...(rebuilders && { rebuilders }) };
    usable([...at], walk, () => checkLookupTrust({ input, ...index }));
    return [index];
  });
}

/** A rule that takes a scan would miss entries, without any sign of it. */
function checkRules(rules: readonly Rule[], log: string, walk: SettingsWalk): void {
  for (const [i, { name, watch, logs }] of rules.entries()) {
    if (logs !== undefined && !logs.includes(log)) continue;
    if (watch.every((condition) => keyOfCondition(condition) !== undefined)) continue;
    walk.problem(
      ['rules', i, 'watch'],
      `("${escaped(name)}") takes a scan of "${escaped(log)}", which an index watches: each condition there needs an exact digest, key, ` +
        'identity, issuer or extension. Name other logs in "logs" of the rule, or leave out the index',
    );
  }
}
