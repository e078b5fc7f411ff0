/**
 * Follows a TUF repository: the workflow of TUF 1.0.34 section 5. An update reads everything into memory, and then changes the
 * local state in one step. Where an update fails, the versions that it accepted before count from then on, and commands go on
 * with the set of before.
 */
import { equal } from '../../../merkle/bytes.ts';
import { ClientError } from '../../errors.ts';
import {
  acceptNextRoot,
  acceptRoot,
  acceptSnapshot,
  acceptTargets,
  acceptTimestamp,
  checkBytes,
  keysChanged,
  refuseOlderSnapshot,
  refuseOlderTimestamp,
} from './accept.ts';
import { isChecked, writeChecked } from './checked-store.ts';
import { searchTarget, type Wanted } from './delegation-search.ts';
import { checkExpiry } from './expiry.ts';
import { followedNames } from './followed-targets.ts';
import { keptFiles } from './kept-files.ts';
import { loadTrust } from './load-trust.ts';
import {
  type Metadata,
  type Root,
  readRoot,
  readSnapshot,
  readTimestamp,
  type Snapshot,
  type Targets,
  type Timestamp,
} from './metadata.ts';
import type { MetaFile, TargetFile } from './metadata-fields.ts';
import { type Mirror, openMirror } from './mirror.ts';
import { parseMirrorUrl } from './mirror-url.ts';
import { metadataFileName, TUF_LIMITS, targetFileName } from './role.ts';
import { notFollowed, type TrustedSet, type TrustState, type TrustStore } from './trust-store.ts';
import { hexSha256 } from './tuf-key.ts';

export interface UpdateOptions {
  /** Default: the one of Node. */
  readonly fetch?: typeof fetch | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds since 1970; the clock of this machine by default. */
  readonly now?: number | undefined;
  /** Milliseconds for the whole update; two minutes by default. */
  readonly timeoutMs?: number | undefined;
  /** The name of a target that is fetched beside those that commands use, where the repository has it. */
  readonly target?: string | undefined;
}

const UPDATE_MS = 120_000;
const RENEWED = 'the operator of the repository must renew it, unless the clock is wrong or the mirror is old';

/**
 * Fetches what is new of the followed repository.
 *
 * @returns whether the local trust changed, or was repaired
 * @throws ClientError `trust`: no repository is followed, or the local trust is damaged; `network`, `bad-reply`: the mirror
 *   does not serve; `tuf-malformed`, `tuf-signatures`, `tuf-expired`, `tuf-rollback`, `tuf-mismatch`, `tuf-missing`: what it
 *   serves is refused; `cancelled`. RuntimeError `locked`, `file`
 */
export async function updateTrust(store: TrustStore, options: UpdateOptions = {}): Promise<boolean> {
  if (store.read() === undefined) throw notFollowed(store.dir);
  return await store.locked(async () => {
    const state = store.read();
    if (state === undefined) throw notFollowed(store.dir);
    const update = new Update(store, mirrorOf(state.mirror, options), startOf(store, state), state);
    let next: TrustState;
    try {
      next = await update.run(options.now ?? Date.now(), options.target);
    } catch (error) {
      const reached = update.reached();
      if (reached !== undefined) await store.write(reached, update.files, state);
      throw error;
    }
    const whole = update.files.every((bytes) => store.fileIfGood(hexSha256(bytes)) !== undefined);
    const same = whole && sameState(state, next);
    if (!same) await store.write(next, update.files, state);
    if (!same || !isChecked(store.dir)) await noteChecked(store);
    return !same;
  });
}

/**
 * Begins to follow a repository, in the place of one that was followed before. Nothing is kept where it fails.
 *
 * @param url an http or https address of a mirror
 * @param root the file of the root that the caller trusts, of any version
 * @throws as `updateTrust`; ClientError `usage`: it is no such address
 */
export async function useTrust(
  store: TrustStore,
  url: string,
  root: Uint8Array,
  options: UpdateOptions = {},
): Promise<void> {
  const mirror = parseMirrorUrl(url);
  const trusted = acceptRoot(root);
  const update = new Update(undefined, mirrorOf(mirror, options), { root: trusted, first: root }, undefined);
  await update.checkServed(trusted);
  const state = await update.run(options.now ?? Date.now());
  await store.locked(async () => {
    await store.write(state, update.files, undefined);
    await noteChecked(store);
  });
}

/** What was written is loaded again, as commands load it. Each use of the note checks the times. */
async function noteChecked(store: TrustStore): Promise<void> {
  const trust = loadTrust(store, { takeExpired: true });
  if (trust !== undefined) await writeChecked(trust);
}

function mirrorOf(url: string, { fetch, signal, timeoutMs = UPDATE_MS }: UpdateOptions): Mirror {
  return openMirror(url, { fetch, signal, deadline: Date.now() + timeoutMs });
}

interface Start {
  readonly root: Metadata<Root>;
  readonly first: Uint8Array;
}

/** A root that is damaged is found again from the first one. @throws ClientError `trust`, and those of `acceptRoot` */
function startOf(store: TrustStore, state: TrustState): Start {
  const newest = store.fileIfGood(state.root);
  const first = store.fileIfGood(state.first);
  const start = newest ?? first;
  if (start === undefined)
    return { root: acceptRoot(store.file(state.root, 'the trusted root')), first: new Uint8Array(0) };
  return { root: acceptRoot(start), first: first ?? start };
}

function sameState(before: TrustState, after: TrustState): boolean {
  return JSON.stringify(before) === JSON.stringify(after);
}

class Update {
  readonly #store: TrustStore | undefined;
  readonly #mirror: Mirror;
  readonly #before: TrustState | undefined;
  readonly #first: string;
  #root: Metadata<Root>;
  /** What is trusted so far: versions must not go back behind these. */
  #timestamp: Metadata<Timestamp> | undefined;
  #snapshot: Metadata<Snapshot> | undefined;
  readonly #files = new Map<string, Uint8Array>();

  constructor(store: TrustStore | undefined, mirror: Mirror, { root, first }: Start, before: TrustState | undefined) {
    this.#store = store;
    this.#mirror = mirror;
    this.#before = before;
    this.#root = root;
    this.#first = this.#keep(first);
    this.#keep(root.bytes);
  }

  /** Files of the state, of which some are in the store already. */
  get files(): Uint8Array[] {
    return [...this.#files.values()];
  }

  /**
   * The mirror must serve the very root that a person names as trusted: otherwise the root is of another repository.
   *
   * @throws ClientError `tuf-missing`, `tuf-mismatch`
   */
  async checkServed({ signed: { version }, signedBytes }: Metadata<Root>): Promise<void> {
    const name = metadataFileName('root', version);
    const served = await this.#mirror.get(name, TUF_LIMITS.file.root);
    if (served === undefined) {
      const why = `${this.#mirror.url} does not serve ${name}, the root that you name`;
      throw new ClientError('tuf-missing', `${why}: is it the address of the repository, and the root of this one?`);
    }
    if (equal(readRoot(served, name).signedBytes, signedBytes)) return;
    const why = `${this.#mirror.url} serves another ${name} than the root that you name`;
    throw new ClientError('tuf-mismatch', `${why}: it is another repository, or not the root that its holders signed`);
  }

  /**
   * @param now the fixed start of the update, section 5.1
   * @param target one more that is wanted
   */
  async run(now: number, target?: string): Promise<TrustState> {
    this.#loadNewest();
    await this.#updateRoot();
    checkExpiry('the root', this.#root.signed, now, RENEWED);
    const timestamp = await this.#updateTimestamp(now);
    const snapshot = await this.#updateSnapshot(timestamp, now);
    const { top, roles, load } = await this.#updateTargets(snapshot, now);
    const files = await this.#updateFiles(top, load, target);
    const kept = this.#kept(snapshot, new Map(roles).set('targets', top));
    const set: TrustedSet = {
      root: this.#keep(this.#root.bytes),
      timestamp: this.#keep(timestamp.bytes),
      snapshot: this.#keep(snapshot.bytes),
      targets: this.#keep(top.bytes),
      delegated: Object.fromEntries(
        [
          ...Object.entries(kept.delegated),
          ...[...roles].map(([role, { bytes }]) => [role, this.#keep(bytes)] as const),
        ].sort(([a], [b]) => (a < b ? -1 : 1)),
      ),
      files: [...new Set([...files, ...kept.files])].sort(),
    };
    const isNew = this.#before?.set.timestamp !== set.timestamp;
    return { ...this.#reached(), set, accepted: isNew ? now : this.#before!.accepted };
  }

  /** The state with what was accepted before the update failed; undefined where nothing is new. */
  reached(): TrustState | undefined {
    if (this.#before === undefined) return undefined;
    const { set, accepted } = this.#before;
    const state = { ...this.#reached(), set, accepted };
    return sameState(this.#before, state) ? undefined : state;
  }

  #reached(): Omit<TrustState, 'set' | 'accepted'> {
    return {
      mirror: this.#mirror.url,
      first: this.#first,
      root: this.#keep(this.#root.bytes),
      newest: {
        ...(this.#timestamp && { timestamp: this.#keep(this.#timestamp.bytes) }),
        ...(this.#snapshot && { snapshot: this.#keep(this.#snapshot.bytes) }),
      },
    };
  }

  /** The state says that they were accepted: a later root does not take that back, unless it replaces their keys. */
  #loadNewest(): void {
    const { timestamp, snapshot } = this.#before?.newest ?? {};
    this.#timestamp = this.#local(timestamp, readTimestamp);
    this.#snapshot = this.#local(snapshot, readSnapshot);
  }

  /** Section 5.3. */
  async #updateRoot(): Promise<void> {
    for (let count = 0; count < TUF_LIMITS.rootVersions; count++) {
      const { signed: trusted } = this.#root;
      const bytes = await this.#mirror.get(metadataFileName('root', trusted.version + 1), TUF_LIMITS.file.root);
      if (bytes === undefined) return;
      const next = acceptNextRoot(trusted, bytes);
      const changed = (['timestamp', 'snapshot'] as const).some((role) => keysChanged(role, trusted, next.signed));
      if (changed) {
        this.#timestamp = undefined;
        this.#snapshot = undefined;
      }
      this.#root = next;
    }
  }

  /** Section 5.4. Of an equal version the one that is here counts: an update that failed later goes on with it. */
  async #updateTimestamp(now: number): Promise<Metadata<Timestamp>> {
    const bytes = await this.#fetch('timestamp.json', TUF_LIMITS.file.timestamp);
    const fetched = acceptTimestamp(this.#root.signed, bytes);
    refuseOlderTimestamp(this.#timestamp?.signed, fetched.signed);
    const same = this.#timestamp?.signed.version === fetched.signed.version ? this.#timestamp : undefined;
    const here = this.#local(same && this.#keep(same.bytes), (file) => acceptTimestamp(this.#root.signed, file));
    const next = here ?? fetched;
    checkExpiry('the timestamp', next.signed, now, RENEWED);
    this.#timestamp = next;
    return next;
  }

  /** Section 5.5. */
  async #updateSnapshot({ signed }: Metadata<Timestamp>, now: number): Promise<Metadata<Snapshot>> {
    const { snapshot: described } = signed;
    const accept = (bytes: Uint8Array) => acceptSnapshot(this.#root.signed, described, bytes);
    const next =
      this.#local(this.#snapshot && this.#keep(this.#snapshot.bytes), accept) ??
      accept(await this.#fetch(this.#name('snapshot', described), limitOf(described, TUF_LIMITS.file.snapshot)));
    refuseOlderSnapshot(this.#snapshot?.signed, next.signed);
    checkExpiry('the snapshot', next.signed, now, RENEWED);
    this.#snapshot = next;
    return next;
  }

  /** Section 5.6.1 to 5.6.6; delegated roles are fetched as the search comes to them. */
  async #updateTargets({ signed: snapshot }: Metadata<Snapshot>, now: number) {
    const roles = new Map<string, Metadata<Targets>>();
    const known = this.#before?.set;
    const accept = async (delegator: Root | Targets, role: string, local: string | undefined) => {
      const described = snapshot.meta.get(role);
      if (described === undefined) throw new ClientError('tuf-missing', `the snapshot does not list ${role}.json`);
      const take = (bytes: Uint8Array) => acceptTargets(delegator, role, described, bytes);
      const targets =
        this.#local(local, take) ??
        take(await this.#fetch(this.#name(role, described), limitOf(described, TUF_LIMITS.file.targets)));
      checkExpiry(`the role ${role}`, targets.signed, now, RENEWED);
      return targets;
    };
    const top = await accept(this.#root.signed, 'targets', known?.targets);
    const load = async ({ delegator, role }: Wanted): Promise<Targets> => {
      const there = roles.get(role) ?? (await accept(delegator, role, known?.delegated[role]));
      roles.set(role, there);
      return there.signed;
    };
    return { top, roles, load };
  }

  /** Section 5.7: the targets that commands use, and the one that is wanted. Gives their hashes. */
  async #updateFiles(
    { signed: top }: Metadata<Targets>,
    load: (wanted: Wanted) => Promise<Targets>,
    target: string | undefined,
  ): Promise<string[]> {
    const names = followedNames(top.targets.keys());
    if (target !== undefined) names.add(target);
    const hashes = new Set<string>();
    for (const name of names) {
      const search = searchTarget(name, top);
      let step = search.next();
      while (!step.done) step = search.next(await load(step.value));
      const { value: file } = step;
      if (file !== undefined) hashes.add(await this.#updateFile(name, file));
    }
    return [...hashes];
  }

  #kept(snapshot: Metadata<Snapshot>, fresh: ReadonlyMap<string, Metadata<Targets>>) {
    if (this.#before === undefined) return { delegated: {}, files: [] };
    return keptFiles(this.#before.set, snapshot.signed, fresh, (sha256) => this.#store?.fileIfGood(sha256));
  }

  async #updateFile(name: string, { length, hashes }: TargetFile): Promise<string> {
    const sha256 = hashes.get('sha256')!;
    if (this.#files.has(sha256) || this.#store?.fileIfGood(sha256) !== undefined) return sha256;
    if (length > TUF_LIMITS.target) {
      throw new ClientError('tuf-malformed', `the target ${name} has more than ${TUF_LIMITS.target} bytes`);
    }
    const path = this.#root.signed.consistentSnapshot ? targetFileName(name, sha256) : name;
    const bytes = await this.#fetch(`targets/${path}`, length);
    checkBytes(`the target ${name}`, { length, hashes }, bytes);
    return this.#keep(bytes);
  }

  /** A file that signed metadata name, or that each repository has. @throws ClientError `tuf-missing` */
  async #fetch(name: string, limit: number): Promise<Uint8Array> {
    const bytes = await this.#mirror.get(name, limit);
    if (bytes !== undefined) return bytes;
    throw new ClientError('tuf-missing', `${this.#mirror.url} has no ${name}, which the repository must have`);
  }

  /** Section 5.3.12: whether a file has its version before its name. */
  #name(role: string, { version }: MetaFile): string {
    return this.#root.signed.consistentSnapshot ? metadataFileName(role, version) : `${role}.json`;
  }

  /** A file that is here already, where it is what `accept` takes. */
  #local<T>(sha256: string | undefined, accept: (bytes: Uint8Array) => T): T | undefined {
    if (sha256 === undefined) return undefined;
    const bytes = this.#files.get(sha256) ?? this.#store?.fileIfGood(sha256);
    if (bytes === undefined) return undefined;
    try {
      return accept(bytes);
    } catch (error) {
      if (error instanceof ClientError) return undefined;
      throw error;
    }
  }

  /** Gives the name of the file in the store. */
  #keep(bytes: Uint8Array): string {
    const name = hexSha256(bytes);
    this.#files.set(name, bytes);
    return name;
  }
}

/** What signed metadata say of the length bounds the download. @throws ClientError `tuf-malformed` */
function limitOf({ length }: MetaFile, most: number): number {
  if (length === undefined) return most;
  if (length <= most) return length;
  throw new ClientError(
    'tuf-malformed',
    `signed metadata name a file of ${length} bytes, and at most ${most} are read`,
  );
}
