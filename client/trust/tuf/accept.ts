/**
 * Whether a file of metadata may be trusted, by those that are trusted already: the checks of TUF 1.0.34 section 5, step by
 * step. Nothing here has a clock, a file or a network.
 */
import { createHash } from 'node:crypto';
import { ClientError } from '../../errors.ts';
import {
  type Metadata,
  type Root,
  readRoot,
  readSnapshot,
  readTargets,
  readTimestamp,
  type Snapshot,
  type Targets,
  type Timestamp,
} from './metadata.ts';
import type { MetaFile } from './metadata-fields.ts';
import { checkSigned } from './threshold.ts';

/** The root that somebody names as trusted: its own keys must have signed it. @throws ClientError `tuf-malformed`, `tuf-signatures` */
export function acceptRoot(bytes: Uint8Array, what?: string): Metadata<Root> {
  const root = readRoot(bytes, what);
  checkSigned(root.signed, 'root', root);
  return root;
}

/** Section 5.3.4 and 5.3.5. @throws ClientError `tuf-malformed`, `tuf-signatures`, `tuf-rollback`, `tuf-mismatch` */
export function acceptNextRoot(trusted: Root, bytes: Uint8Array): Metadata<Root> {
  const name = `${trusted.version + 1}.root.json`;
  const next = readRoot(bytes, name);
  checkSigned(trusted, 'root', next);
  checkSigned(next.signed, 'root', next);
  const { version } = next.signed;
  if (version !== trusted.version + 1) {
    const code = version <= trusted.version ? 'tuf-rollback' : 'tuf-mismatch';
    throw new ClientError(code, `${name} holds version ${version} of the root`);
  }
  return next;
}

/** Section 5.4.2. @throws ClientError `tuf-malformed`, `tuf-signatures` */
export function acceptTimestamp(root: Root, bytes: Uint8Array): Metadata<Timestamp> {
  const timestamp = readTimestamp(bytes);
  checkSigned(root, 'timestamp', timestamp);
  return timestamp;
}

/** Section 5.4.3. An equal version is no rollback. @throws ClientError `tuf-rollback` */
export function refuseOlderTimestamp(trusted: Timestamp | undefined, next: Timestamp): void {
  if (trusted === undefined) return;
  refuseOlder('timestamp.json', trusted.version, next.version);
  refuseOlder('snapshot.json in the timestamp', trusted.snapshot.version, next.snapshot.version);
}

/** Section 5.5.2 to 5.5.4. @throws ClientError `tuf-mismatch`, `tuf-malformed`, `tuf-signatures` */
export function acceptSnapshot(root: Root, described: MetaFile, bytes: Uint8Array): Metadata<Snapshot> {
  checkBytes('snapshot.json', described, bytes);
  const snapshot = readSnapshot(bytes);
  checkSigned(root, 'snapshot', snapshot);
  checkVersion('snapshot.json', 'timestamp', described.version, snapshot.signed.version);
  return snapshot;
}

/** Section 5.5.5. @throws ClientError `tuf-rollback` */
export function refuseOlderSnapshot(trusted: Snapshot | undefined, next: Snapshot): void {
  for (const [role, { version }] of trusted?.meta ?? []) {
    const found = next.meta.get(role);
    if (found === undefined) {
      const why = 'a file that was listed once must stay listed';
      throw new ClientError('tuf-rollback', `the snapshot does not list ${role}.json any more: ${why}`);
    }
    refuseOlder(`${role}.json in the snapshot`, version, found.version);
  }
}

/**
 * Section 5.6.2 to 5.6.4, for `targets` and for delegated roles.
 *
 * @param delegator names the keys of the role
 * @param described what the snapshot says of the file
 * @throws ClientError `tuf-mismatch`, `tuf-malformed`, `tuf-signatures`
 */
export function acceptTargets(
  delegator: Root | Targets,
  role: string,
  described: MetaFile,
  bytes: Uint8Array,
): Metadata<Targets> {
  const name = `${role}.json`;
  checkBytes(name, described, bytes);
  const targets = readTargets(bytes, name);
  checkSigned(delegator, role, targets);
  checkVersion(name, 'snapshot', described.version, targets.signed.version);
  return targets;
}

/** The bytes are what signed metadata say of them. @throws ClientError `tuf-mismatch` */
export function checkBytes(
  name: string,
  { length, hashes }: Pick<MetaFile, 'length' | 'hashes'>,
  bytes: Uint8Array,
): void {
  if (length !== undefined && bytes.length !== length) {
    throw new ClientError('tuf-mismatch', `${name} has ${bytes.length} bytes, and the signed metadata say ${length}`);
  }
  for (const [algorithm, expected] of hashes ?? []) {
    if (algorithm !== 'sha256' && algorithm !== 'sha512') continue;
    const found = createHash(algorithm).update(bytes).digest('hex');
    if (found === expected) continue;
    const why = `has the ${algorithm} ${found}, and the signed metadata say ${expected}`;
    throw new ClientError('tuf-mismatch', `${name} ${why}`);
  }
}

function checkVersion(name: string, by: string, described: number, found: number): void {
  if (found === described) return;
  throw new ClientError('tuf-mismatch', `${name} has version ${found}, and the ${by} says ${described}`);
}

function refuseOlder(what: string, known: number, found: number): void {
  if (found >= known) return;
  const why = `version ${known} was there before. A mirror that goes back hides what came since`;
  throw new ClientError('tuf-rollback', `${what} has version ${found}, and ${why}`);
}

/** Section 5.3.11: whether a role has other keys, so that versions which the old keys signed count no more. */
export function keysChanged(role: 'timestamp' | 'snapshot', before: Root, after: Root): boolean {
  const [old, now] = [before, after].map(({ roles, keys }) =>
    roles[role].keyids
      .map((id) => keys.get(id)!.fingerprint)
      .sort()
      .join(),
  );
  return old !== now;
}
