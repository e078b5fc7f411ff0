/**
 * What an update found in the local state, so that `stele verify`, which starts often, need not verify the same bytes each time:
 *
 *   DIR/checked    SHA-256 of the rest, in hex, and a new line
 *                  { "format", "state": SHA-256 of state.json, "mirror", "accepted", "roles": { ROLE: { "version", "expires" } },
 *                    "targets": { NAME: { "sha256"?, "asked": { ROLE: { "version", "expires" } } } } }, times in ms since 1970
 *
 * A program that can write it can also write the root that is trusted, in the same directory. It says nothing of another state,
 * and a file that is damaged, or that others may write, says nothing at all: the whole state is then verified. Each use checks the
 * times, and each target against its hash.
 */
import { hash } from 'node:crypto';
import { join } from 'node:path';
import { concat, decodeUtf8, encodeUtf8, equal } from '../../../merkle/bytes.ts';
import { writeFileDurable } from '../../../merkle/runtime/disk/files.ts';
import { ClientError } from '../../errors.ts';
import { checkAge, checkExpiry, type Expiring, lastUsable, type TrustAge, UPDATE } from './expiry.ts';
import { type FollowedTargets, followedNames, isLastCheckpoint } from './followed-targets.ts';
import type { FollowedTrust } from './load-trust.ts';
import { CHECKED, dirsOf, fileOf, MAX_STATE, readTrusted, STATE } from './local-store.ts';
import type { TopLevelRole } from './role.ts';

/** Raise the number where a check of metadata becomes stricter: the notes of older versions then say nothing. */
const FORMAT_OF_CHECKED = 'stele-checked-1';

interface Checked {
  readonly format: typeof FORMAT_OF_CHECKED;
  readonly state: string;
  readonly mirror: string;
  readonly accepted: number;
  readonly roles: Readonly<Record<TopLevelRole, Expiring>>;
  readonly targets: Readonly<Record<string, CheckedTarget>>;
}

interface CheckedTarget {
  /** Absent where the repository has no such target. */
  readonly sha256?: string;
  /** The delegated roles that were asked for it: where one of them has expired, the answer no longer counts. */
  readonly asked: Readonly<Record<string, Expiring>>;
}

/** A digest and a new line. */
const HEAD_BYTES = 65;

/**
 * Notes what `trust` says of the targets that commands use.
 *
 * @param trust what `loadTrust` just gave, while no other process updates the directory
 * @throws ClientError `trust`; RuntimeError `file`
 */
export async function writeChecked(trust: FollowedTrust): Promise<void> {
  const { dir, mirror, state, targets, root, snapshot, timestamp } = trust;
  const bytes = readTrusted(join(dir, STATE), MAX_STATE);
  if (bytes === undefined) return;
  const found: [string, CheckedTarget][] = [];
  for (const name of followedNames(targets.targets.keys())) {
    const { file, asked } = trust.find(name);
    const roles = asked.map(({ role, signed }) => [role, expiringOf(signed)] as const);
    found.push([name, { ...(file && { sha256: file.hashes.get('sha256')! }), asked: Object.fromEntries(roles) }]);
  }
  const checked: Checked = {
    format: FORMAT_OF_CHECKED,
    state: sha256Of(bytes),
    mirror,
    accepted: state.accepted,
    roles: {
      root: expiringOf(root),
      targets: expiringOf(targets),
      snapshot: expiringOf(snapshot),
      timestamp: expiringOf(timestamp),
    },
    targets: Object.fromEntries(found),
  };
  const text = encodeUtf8(JSON.stringify(checked));
  // No reader would take it.
  if (HEAD_BYTES + text.length > MAX_STATE) return;
  // A crash before the end leaves the note of the state before, which says nothing of this one.
  await writeFileDurable(join(dir, CHECKED), concat(encodeUtf8(`${sha256Of(text)}\n`), text), { mode: 0o644 });
}

/** Whether `writeChecked` noted this state. @throws ClientError `trust`: others may write the state */
export function isChecked(dir: string): boolean {
  return readChecked(dir) !== undefined;
}

/**
 * The followed repository by what its last update found; undefined where that says nothing: `loadTrust` then decides.
 *
 * @throws ClientError `trust`: others may write the files; `tuf-expired`
 */
export function checkedTrust(dir: string, age: Omit<TrustAge, 'age'>): FollowedTargets | undefined {
  const there = dirsOf(dir);
  const checked = there.own && there.files ? readChecked(dir) : undefined;
  if (checked === undefined) return undefined;
  const { mirror, accepted, roles, targets } = checked;
  checkExpiry('the followed root', roles.root, age.now, UPDATE);
  checkExpiry('the followed targets metadata', roles.targets, age.now, UPDATE);
  checkAge(roles.timestamp, roles.snapshot, { ...age, age: age.now - accepted });
  const used: Expiring[] = [roles.root, roles.targets];
  return {
    mirror,
    lastCheckpoints: Object.keys(targets).filter(isLastCheckpoint),
    get usableUntil() {
      return lastUsable(used, accepted, age.maxAge);
    },
    target(name) {
      if (!Object.hasOwn(targets, name)) throw new Error(`no command uses the target ${name}`);
      const { sha256, asked } = targets[name]!;
      for (const [role, signed] of Object.entries(asked)) {
        checkExpiry(`the followed role ${role}`, signed, age.now, UPDATE);
        used.push(signed);
      }
      return sha256 === undefined ? undefined : fileOf(dir, sha256, `the target ${name}`);
    },
  };
}

function readChecked(dir: string): Checked | undefined {
  const state = readTrusted(join(dir, STATE), MAX_STATE);
  const bytes = noteOf(dir);
  if (state === undefined || bytes === undefined) return undefined;
  const text = bytes.subarray(HEAD_BYTES);
  if (!equal(encodeUtf8(`${sha256Of(text)}\n`), bytes.subarray(0, HEAD_BYTES))) return undefined;
  const checked = JSON.parse(decodeUtf8(text)) as Checked;
  return checked.format === FORMAT_OF_CHECKED && checked.state === sha256Of(state) ? checked : undefined;
}

function noteOf(dir: string): Uint8Array | undefined {
  try {
    return readTrusted(join(dir, CHECKED), MAX_STATE);
  } catch (error) {
    // It belongs to another user, others may write it, or it cannot be read: nothing depends on it.
    if (error instanceof ClientError) return undefined;
    throw error;
  }
}

function expiringOf({ version, expires }: Expiring): Expiring {
  return { version, expires };
}

function sha256Of(bytes: Uint8Array): string {
  return hash('sha256', bytes, 'hex');
}
