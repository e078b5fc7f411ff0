/** What a version of TUF metadata changes, in words that a holder can compare with what was agreed. */

import { printable } from '../../../merkle/printable.ts';
import { counted } from '../../formats/counted.ts';
import type { AnySigned, Metadata, Root, Targets } from '../../trust/tuf/metadata.ts';
import { type TufRole, tufTime } from '../../trust/tuf/metadata-fields.ts';
import { sameJson } from '../../trust/tuf/plan.ts';
import { TOP_LEVEL_ROLES } from '../../trust/tuf/role.ts';
import { hexSha256, type TufKey } from '../../trust/tuf/tuf-key.ts';

/** Names a key for people: its holder, where the caller knows the holders. */
type NameKey = (key: TufKey) => string;

/** SHA-256 of what signatures cover: the same for everybody who signs, whoever signed before. */
export function signedDigest(metadata: Metadata<AnySigned>): string {
  return hexSha256(metadata.signedBytes);
}

/** @param before the published version; undefined where this is the first one */
export function changesOf(
  after: Metadata<Root | Targets>,
  before: Metadata<Root | Targets> | undefined,
  name: NameKey,
): string[] {
  const [next, last] = [after.signed, before?.signed];
  const lines = [
    last === undefined
      ? `expires ${tufTime(next.expires)}`
      : changed('expires', tufTime(last.expires), tufTime(next.expires)),
  ];
  if (next.type === 'root') lines.push(...rootChanges(next, last?.type === 'root' ? last : undefined, name));
  else lines.push(...targetsChanges(next, last?.type === 'targets' ? last : undefined, name));
  // Key IDs, keytypes and patterns of others' metadata are any text.
  return lines.map(printable);
}

function rootChanges(next: Root, last: Root | undefined, name: NameKey): string[] {
  return TOP_LEVEL_ROLES.flatMap((role) => {
    const { threshold, keyids } = next.roles[role];
    const lines = roleChanges(role, [next.roles[role], next.keys], last && [last.roles[role], last.keys], name);
    const same = `${role}: the same ${counted(keyids.length, 'key')}, ${threshold} of ${keyids.length} must sign`;
    return lines.length === 0 ? [same] : lines;
  });
}

type KeysOfRole = readonly [role: TufRole, keys: ReadonlyMap<string, TufKey>];

function roleChanges(role: string, next: KeysOfRole, last: KeysOfRole | undefined, name: NameKey): string[] {
  const keysOf = ([{ keyids }, keys]: KeysOfRole) => keyids.flatMap((keyid) => keys.get(keyid) ?? []);
  const described = (key: TufKey) => `${name(key)}, ${key.name}, key ID ${key.keyid}`;
  const [now, before] = [keysOf(next), last === undefined ? [] : keysOf(last)];
  const has = (keys: readonly TufKey[], { fingerprint }: TufKey) => keys.some((key) => key.fingerprint === fingerprint);
  const [of, ofBefore] = [`${next[0].threshold} of ${now.length}`, last && `${last[0].threshold} of ${before.length}`];
  return [
    ...(ofBefore === of
      ? []
      : [ofBefore === undefined ? `${role}: ${of} must sign` : changed(`${role}: who must sign`, ofBefore, of)]),
    ...now.filter((key) => !has(before, key)).map((key) => `${role}: ADDS ${described(key)}`),
    ...before.filter((key) => !has(now, key)).map((key) => `${role}: REMOVES ${described(key)}`),
  ];
}

function targetsChanges(next: Targets, last: Targets | undefined, name: NameKey): string[] {
  const lines: string[] = [];
  const before = last?.targets ?? new Map();
  for (const [target, { length, hashes }] of next.targets) {
    const sha256 = hashes.get('sha256');
    const there = before.get(target);
    if (there?.hashes.get('sha256') === sha256) continue;
    lines.push(`${there === undefined ? 'ADDS' : 'REPLACES'} ${target}: ${counted(length, 'byte')}, SHA-256 ${sha256}`);
  }
  for (const target of before.keys()) if (!next.targets.has(target)) lines.push(`REMOVES ${target}`);
  if (lines.length === 0) lines.push(`the same ${counted(next.targets.size, 'target')}`);
  const [now, then] = [next.delegations, last?.delegations];
  for (const [role, delegated] of now?.roles ?? []) {
    const other = then?.roles.get(role);
    const paths = (delegated.paths ?? []).join(', ');
    if (other === undefined) lines.push(`DELEGATES ${paths} to ${role}`);
    else if (!sameJson(other.paths, delegated.paths))
      lines.push(`DELEGATES ${paths} to ${role}, in place of ${(other.paths ?? []).join(', ')}`);
    if (other !== undefined && other.terminating !== delegated.terminating) {
      lines.push(`${role}: later delegations ${delegated.terminating ? 'no longer count' : 'count'} for its targets`);
    }
    lines.push(...roleChanges(role, [delegated, now!.keys], other && [other, then!.keys], name));
  }
  for (const role of then?.roles.keys() ?? [])
    if (!now?.roles.has(role)) lines.push(`DELEGATES nothing to ${role} any more`);
  return lines;
}

function changed(what: string, before: string, after: string): string {
  return before === after ? `${what} ${after}, as before` : `${what} ${after} (before: ${before})`;
}
