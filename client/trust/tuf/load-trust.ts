/** The followed repository as commands use it: from the local directory alone, and checked again at each use. */
import { timeText } from '../../../merkle/x509/utc-time.ts';
import { ClientError } from '../../errors.ts';
import { acceptRoot, acceptSnapshot, acceptTargets, acceptTimestamp, checkBytes, checkExpiry } from './accept.ts';
import { searchTarget, type Wanted } from './delegation-search.ts';
import type { Root, Snapshot, Targets, Timestamp } from './metadata.ts';
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
export interface FollowedTrust {
  readonly dir: string;
  readonly state: TrustState;
  readonly root: Root;
  readonly timestamp: Timestamp;
  readonly snapshot: Snapshot;
  readonly targets: Targets;
  /** Milliseconds since the timestamp was accepted first. */
  readonly age: number;
  /**
   * A target; undefined where the repository has none of this name.
   *
   * @throws ClientError `trust`: it is not here, or was changed; `tuf-expired`: of a delegated role
   */
  target(name: string): Uint8Array | undefined;
}

const UPDATE = 'run `stele trust update` where the mirror can be reached';

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
  const unexpired = (what: string, signed: Root | Targets): void => {
    if (takeExpired && now >= signed.expires) warn?.(`${what} has expired`);
    else checkExpiry(what, signed, now, UPDATE);
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
  return {
    dir: store.dir,
    state,
    root,
    timestamp,
    snapshot,
    targets,
    age,
    target(name) {
      const search = searchTarget(name, targets);
      let step = search.next();
      while (!step.done) step = search.next(delegated(step.value));
      const { value: file } = step;
      if (file === undefined) return undefined;
      const bytes = store.file(file.hashes.get('sha256')!, `the target ${name}`);
      checkBytes(`the target ${name}`, file, bytes);
      return bytes;
    },
  };
}

/** How far two clocks may be apart. */
const CLOCK_SLACK_MS = 5 * 60_000;

interface Age extends LoadOptions {
  readonly now: number;
  readonly age: number;
}

/** @throws ClientError `tuf-expired` */
function checkAge(timestamp: Timestamp, snapshot: Snapshot, { now, age, maxAge, warn }: Age): void {
  if (maxAge !== undefined && age > maxAge) {
    const why = `the newest timestamp of the followed repository is here for ${duration(age)}, longer than --max-trust-age`;
    throw new ClientError('tuf-expired', `${why}: ${UPDATE}`);
  }
  if (age < -CLOCK_SLACK_MS) {
    warn?.(
      `this machine's clock shows a time before the last update of the followed repository: what has expired since, it does not know`,
    );
  }
  const first = timestamp.expires <= snapshot.expires ? timestamp : snapshot;
  if (now < first.expires) return;
  const since = `${duration(now - first.expires)} ago, at ${timeText(first.expires)}`;
  warn?.(`the ${first.type} of the followed repository expired ${since}, and its news are not known here: ${UPDATE}`);
}

/** `3 days`, `5 hours`, `2 minutes`. */
export function duration(ms: number): string {
  const units = [
    [86_400_000, 'day'],
    [3_600_000, 'hour'],
    [60_000, 'minute'],
    [1000, 'second'],
  ] as const;
  const [size, name] = units.find(([unit]) => ms >= unit) ?? [1000, 'second'];
  const count = Math.max(0, Math.floor(ms / size));
  return `${count} ${name}${count === 1 ? '' : 's'}`;
}
