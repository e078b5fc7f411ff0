/** Prepares the next versions of metadata, which holders then sign. Each function takes the repository for itself. */
import { ClientError } from '../../errors.ts';
import type { TufJson, TufObject } from './canonical-json.ts';
import { isDelegatedTo } from './delegated-path.ts';
import { type Metadata, type Targets, writeMetadata } from './metadata.ts';
import {
  checkPlan,
  delegationsOf,
  plannedRole,
  rootOf,
  sameJson,
  sameTrust,
  type TrustPlan,
  targetsOf,
} from './plan.ts';
import {
  nextVersion,
  type PublicState,
  readPublicState,
  readStagedState,
  type StagedState,
} from './repository-state.ts';
import { RepositoryStore } from './repository-store.ts';
import { isTargetName, TUF_LIMITS } from './role.ts';
import { signedBy } from './threshold.ts';
import { hexSha256 } from './tuf-key.ts';

export interface StagedRole {
  readonly role: string;
  readonly version: number;
}

interface TargetChange {
  /** Targets that are added or replaced. */
  readonly files?: readonly { readonly name: string; readonly bytes: Uint8Array; readonly custom?: TufObject }[];
  /** Names of targets that the role names no more. */
  readonly remove?: readonly string[];
  /** `targets` (the default) or the name of a delegated role. */
  readonly role?: string;
}

/**
 * Makes a repository: its plan, and the first versions of root, targets and delegated roles, without signatures.
 * @throws ClientError `trust` where the plan is wrong or there is a repository
 */
export async function initRepository(dir: string, plan: TrustPlan, now: number): Promise<StagedRole[]> {
  checkPlan(plan);
  const store = new RepositoryStore(dir);
  return await store.locked(async () => {
    if ((await store.isThere()) || (await store.publicVersions()).size > 0) {
      throw new ClientError('trust', `${dir} holds a TUF repository already: name another directory`);
    }
    await store.removeStaged(await store.stagedRoles());
    const staged = await stagePlan(store, plan, now, []);
    // Last: a directory without a plan is no repository, so that a crash before this changes nothing.
    await store.writePlan(plan);
    return staged;
  }, true);
}

/**
 * Brings what is staged in line with `plan.yaml`, which a person may have changed.
 * @param renew roles that get a new version with a new expiry although nothing else changed
 */
export async function restage(dir: string, now: number, renew: readonly string[] = []): Promise<StagedRole[]> {
  const store = new RepositoryStore(dir);
  return await store.locked(() => stagePlan(store, store.plan(), now, renew));
}

/** Changes the plan, and stages what follows from it. @throws ClientError `trust` where the changed plan is wrong */
export async function changePlan(
  dir: string,
  now: number,
  change: (plan: TrustPlan) => TrustPlan,
  renew: readonly string[] = [],
): Promise<StagedRole[]> {
  const store = new RepositoryStore(dir);
  return await store.locked(async () => {
    const plan = checkPlan(change(store.plan()));
    await store.writePlan(plan);
    return await stagePlan(store, plan, now, renew);
  });
}

/**
 * Adds, replaces and removes targets of one role, in its next version. Nothing is staged where nothing changes.
 * @throws ClientError `trust` for a name that the role may not sign, or no target has
 */
export async function stageTargets(dir: string, change: TargetChange, now: number): Promise<StagedRole[]> {
  const store = new RepositoryStore(dir);
  return await store.locked(async () => {
    const plan = store.plan();
    const { role = 'targets', files = [], remove = [] } = change;
    const [state, staged] = [await readPublicState(store), await readStagedState(store)];
    const planned = plannedRole(plan, role);
    if (planned === undefined || role === 'root' || role === 'snapshot' || role === 'timestamp') {
      throw new ClientError('trust', `"${role}" holds no targets: name "targets" or a delegated role of the plan`);
    }
    for (const { name, bytes } of files) checkTarget(plan, role, name, bytes.length);
    const base = latest(state, staged, role);
    // Not in an object: a target may be called `__proto__`.
    const named = new Map<string, TufJson>(Object.entries((base?.signed.json.targets ?? {}) as TufObject));
    for (const name of remove) {
      if (!named.delete(name)) throw new ClientError('trust', `"${role}" has no target ${name}`);
    }
    for (const { name, bytes, custom } of files) {
      const file = { length: bytes.length, hashes: { sha256: hexSha256(bytes) } };
      named.set(name, custom === undefined ? file : { ...file, custom });
    }
    const targets: TufObject = Object.fromEntries(named);
    if (base !== undefined && sameJson(targets, base.signed.json.targets)) return [];
    const version = nextVersion(state, role);
    const delegations = role === 'targets' ? delegationsOf(plan) : base?.signed.json.delegations;
    const json = targetsOf(version, now + planned.expires, targets, delegations);
    // First: metadata never name a file that is not there.
    await store.writeStagedTargets(files);
    await store.writeStaged([{ role, bytes: writeMetadata(json, []) }]);
    return [{ role, version }];
  });
}

/** The newest metadata of a role: the staged ones, or else the published ones. */
function latest(state: PublicState, staged: StagedState, role: string): Metadata<Targets> | undefined {
  return staged.roles.get(role) ?? state.roles.get(role);
}

function checkTarget(plan: TrustPlan, role: string, name: string, length: number): void {
  if (!isTargetName(name)) {
    throw new ClientError(
      'trust',
      `"${name}" is no name of a target: letters, digits, . _ @ + = , ~ - and / between parts`,
    );
  }
  if (length > TUF_LIMITS.target) {
    throw new ClientError('trust', `${name} has ${length} bytes, and a target has at most ${TUF_LIMITS.target}`);
  }
  const delegation = plan.delegations.find((one) => one.name === role);
  if (delegation === undefined || isDelegatedTo({ paths: delegation.paths, pathHashPrefixes: undefined }, name)) return;
  throw new ClientError(
    'trust',
    `"${role}" may not sign ${name}: the plan delegates ${delegation.paths.join(', ')} to it`,
  );
}

async function stagePlan(
  store: RepositoryStore,
  plan: TrustPlan,
  now: number,
  renew: readonly string[],
): Promise<StagedRole[]> {
  for (const role of renew) {
    if (plannedRole(plan, role) === undefined || role === 'snapshot' || role === 'timestamp') {
      throw new ClientError('trust', `"${role}" is no role that holders sign: name root, targets or a delegated role`);
    }
  }
  const [state, staged] = [await readPublicState(store), await readStagedState(store)];
  const made: { role: string; version: number; json: TufObject }[] = [];
  const root = stageRoot(plan, state, staged, now, renew.includes('root'));
  if (root === 'unchanged') await store.removeStaged(['root']);
  else if (root !== 'kept') made.push({ role: 'root', version: root.version as number, json: root });
  const targets = stageTopLevel(plan, state, staged, now, renew.includes('targets'));
  if (targets !== undefined) made.push({ role: 'targets', version: targets.version as number, json: targets });
  for (const { name, expires } of plan.delegations) {
    const base = latest(state, staged, name);
    if (base !== undefined && !renew.includes(name)) continue;
    const version = nextVersion(state, name);
    const { targets = {}, delegations } = base?.signed.json ?? {};
    made.push({ role: name, version, json: targetsOf(version, now + expires, targets as TufObject, delegations) });
  }
  await store.writeStaged(made.map(({ role, json }) => ({ role, bytes: writeMetadata(json, []) })));
  return made.map(({ role, version }) => ({ role, version }));
}

/** The next root; `unchanged` where the published one does, `kept` where the staged one does. */
function stageRoot(
  plan: TrustPlan,
  { root, versions }: PublicState,
  staged: StagedState,
  now: number,
  renew: boolean,
): TufObject | 'unchanged' | 'kept' {
  const next = rootOf(plan, nextVersion({ versions }, 'root'), now);
  if (renew) return next;
  const kept = staged.root?.signed;
  if (kept !== undefined && kept.version === next.version && sameTrust(kept, next)) return 'kept';
  if (root !== undefined && sameTrust(root.signed, next)) return 'unchanged';
  return next;
}

/** The next targets metadata, where the plan's delegations or the keys of the role need them. */
function stageTopLevel(
  plan: TrustPlan,
  state: PublicState,
  staged: StagedState,
  now: number,
  renew: boolean,
): TufObject | undefined {
  const base = latest(state, staged, 'targets');
  const delegations = delegationsOf(plan);
  const targets = (base?.signed.json.targets ?? {}) as TufObject;
  const next = targetsOf(nextVersion(state, 'targets'), now + plan.targets.expires, targets, delegations);
  if (base === undefined || renew || !sameJson(base.signed.json.delegations, delegations)) return next;
  if (staged.roles.has('targets') || state.root === undefined) return undefined;
  // Holders whose keys count no more signed what is published.
  const { keyids, threshold } = plannedKeys(plan);
  const { signed } = signedBy(state.root.signed, 'targets', base);
  return signed.filter(({ fingerprint }) => keyids.has(fingerprint)).length < threshold ? next : undefined;
}

function plannedKeys(plan: TrustPlan): { readonly keyids: ReadonlySet<string>; readonly threshold: number } {
  const { holders, threshold } = plan.targets;
  return { keyids: new Set(holders.map((name) => plan.holders.get(name)!.fingerprint)), threshold };
}
