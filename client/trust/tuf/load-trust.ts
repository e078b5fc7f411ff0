/** The followed repository as commands use it: from the local directory alone, with each signature checked again. */
import { ClientError } from '../../errors.ts';
import { acceptRoot, acceptSnapshot, acceptTargets, acceptTimestamp, checkBytes } from './accept.ts';
import { searchTarget, type Wanted } from './delegation-search.ts';
import { checkAge, checkExpiry, type Expiring, lastUsable, UPDATE } from './expiry.ts';
import { type FollowedTargets, isLastCheckpoint } from './followed-targets.ts';
import type { Root, Snapshot, Targets, Timestamp } from './metadata.ts';
import type { TargetFile } from './metadata-fields.ts';
import type { TrustState, TrustStore } from './trust-store.ts';

interface LoadOptions {
  /** Milliseconds since 1970; the clock of this machine by default. */
  readonly now?: number | undefined;
  /** The longest time, in milliseconds, since the timestamp was accepted first. Without it an expired timestamp is a warning. */
  readonly maxAge?: number | undefined;
  /** What has expired is taken all the same, with a warning: to show it, and for nothing else. */
  readonly takeExpired?: boolean;
  /** Receives sentences about trust that is old. */
  readonly warn?: ((sentence: string) => void) | undefined;
}

/** Metadata that hold, and the targets that they name. */
export interface FollowedTrust extends FollowedTargets {
  readonly dir: string;
  readonly state: TrustState;
  readonly root: Root;
  readonly timestamp: Timestamp;
  readonly snapshot: Snapshot;
  readonly targets: Targets;
  /** Milliseconds since the timestamp was accepted first. */
  readonly age: number;
  /** What the metadata say of a target, and the delegated roles that were asked. @throws ClientError as `target` */
  find(name: string): Found;
}

interface Found {
  readonly file: TargetFile | undefined;
  readonly asked: readonly { readonly role: string; readonly signed: Targets }[];
}

/**
 * The followed repository; undefined where none is followed. Sends no request.
 *
 * Root and targets must not be expired. An expired timestamp or snapshot is a warning, and an error with `maxAge`.
 *
 * @throws ClientError `trust`: the local trust is damaged, or others may write it; `tuf-expired`; `tuf-signatures`: the newest
 *   root has replaced keys, and the update that brought it did not finish
 */
export function loadTrust(store: TrustStore, options: LoadOptions = {}): FollowedTrust | undefined {
  for (let before: string | undefined; ; ) {
    const state = store.read();
    if (state === undefined) return undefined;
    try {
      return load(store, state, options);
    } catch (error) {
      // An update removes the files of older states, perhaps while this reads them.
      const read = JSON.stringify(state);
      if (!(error instanceof ClientError) || error.code !== 'trust' || read === before) throw error;
      before = read;
    }
  }
}

function load(store: TrustStore, state: TrustState, options: LoadOptions): FollowedTrust {
  const { now = Date.now(), maxAge, warn, takeExpired = false } = options;
  const { set } = state;
  const used: Expiring[] = [];
  const unexpired = (what: string, signed: Root | Targets): void => {
    if (takeExpired && now >= signed.expires) warn?.(`${what} has expired`);
    else checkExpiry(what, signed, now, UPDATE);
    used.push(signed);
  };
  const root = acceptRoot(store.file(state.root, 'the root')).signed;
  const setRoot = set.root === state.root ? root : acceptRoot(store.file(set.root, 'a root')).signed;
  const timestamp = acceptTimestamp(setRoot, store.file(set.timestamp, 'the timestamp')).signed;
  const snapshot = acceptSnapshot(setRoot, timestamp.snapshot, store.file(set.snapshot, 'the snapshot')).signed;
  const top = store.file(set.targets, 'the targets metadata');
  const targets = acceptTargets(root, 'targets', snapshot.meta.get('targets')!, top).signed;
  unexpired('the followed root', root);
  unexpired('the followed targets metadata', targets);
  const age = now - state.accepted;
  checkAge(timestamp, snapshot, { now, age, maxAge, warn });
  const roles = new Map<string, Targets>();
  const delegated = ({ delegator, role }: Wanted): Targets => {
    const known = roles.get(role);
    if (known !== undefined) return known;
    const name = set.delegated[role];
    const described = snapshot.meta.get(role);
    if (name === undefined || described === undefined) {
      throw new ClientError('trust', `the metadata of the delegated role ${role} are not here: ${UPDATE}`);
    }
    const { signed } = acceptTargets(delegator, role, described, store.file(name, `the metadata of ${role}`));
    unexpired(`the followed role ${role}`, signed);
    roles.set(role, signed);
    return signed;
  };
  const find = (name: string): Found => {
    const asked: { role: string; signed: Targets }[] = [];
    const search = searchTarget(name, targets);
    let step = search.next();
    while (!step.done) {
      const signed = delegated(step.value);
      asked.push({ role: step.value.role, signed });
      step = search.next(signed);
    }
    return { file: step.value, asked };
  };
  return {
    dir: store.dir,
    mirror: state.mirror,
    lastCheckpoints: [...targets.targets.keys()].filter(isLastCheckpoint),
    state,
    root,
    timestamp,
    snapshot,
    targets,
    age,
    find,
    get usableUntil() {
      return lastUsable(used, state.accepted, maxAge);
    },
    target(name) {
      const { file } = find(name);
      if (file === undefined) return undefined;
      const bytes = store.file(file.hashes.get('sha256')!, `the target ${name}`);
      checkBytes(`the target ${name}`, file, bytes);
      return bytes;
    },
  };
}
