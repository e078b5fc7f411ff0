/** What a repository has published and what waits in it: who has signed, who is missing, and what expires when. */
import type { Metadata, Root, Targets } from './metadata.ts';
import { holderOf, type PlannedRole, plannedRole, type TrustPlan } from './plan.ts';
import {
  isSameVersion,
  type PublicState,
  readPublicState,
  readStagedState,
  type StagedState,
} from './repository-state.ts';
import { RepositoryStore } from './repository-store.ts';
import { type Delegator, delegatorsOf } from './staged-signing.ts';
import { signedBy } from './threshold.ts';
import type { TufKey } from './tuf-key.ts';

/** Signatures of a staged version, counted by one set of keys. */
interface SignatureCount {
  /** `version 2 of root`: the metadata that name the keys. */
  readonly by: string;
  readonly threshold: number;
  /** Names of holders. */
  readonly signed: readonly string[];
  readonly missing: readonly string[];
  readonly complete: boolean;
}

interface PublishedRole {
  readonly version: number;
  /** Milliseconds since 1970. */
  readonly expires: number;
  /** `soon`: less than a quarter of the role's period is left. */
  readonly validity: 'valid' | 'soon' | 'expired';
}

interface StagedStatus {
  readonly version: number;
  readonly expires: number;
  readonly expired: boolean;
  /** Each must be complete. */
  readonly needed: readonly SignatureCount[];
  /** Signatures that keep the repository usable while a new root replaces these keys; without them it has a gap. */
  readonly further: readonly SignatureCount[];
  readonly complete: boolean;
}

export interface RoleStatus {
  readonly role: string;
  readonly published: PublishedRole | undefined;
  readonly staged: StagedStatus | undefined;
}

export interface RepositoryStatus {
  /** Top-level roles first, then delegated ones. */
  readonly roles: readonly RoleStatus[];
  /** What is published. */
  readonly targets: readonly {
    readonly name: string;
    readonly role: string;
    readonly length: number;
    readonly sha256: string;
  }[];
  /** What somebody must do, in sentences; empty where all is published, signed and valid. */
  readonly todo: readonly string[];
}

/**
 * @param now milliseconds since 1970
 * @throws ClientError `trust` where there is no repository or its files are damaged; `tuf-malformed`; RuntimeError `locked`
 */
export async function statusOf(dir: string, now: number): Promise<RepositoryStatus> {
  const store = new RepositoryStore(dir);
  return await store.locked(async () => {
    const [plan, state, staged] = [store.plan(), await readPublicState(store), await readStagedState(store)];
    const names = new Set(['root', 'targets', 'snapshot', 'timestamp', ...state.roles.keys(), ...staged.roles.keys()]);
    const roles = [...names].map((role) => roleStatus(role, plan, state, staged, now));
    const targets = targetsIn(state);
    return { roles, targets, todo: [...roles.flatMap(todoOf), ...lostTargets(store, targets)] };
  });
}

function roleStatus(role: string, plan: TrustPlan, state: PublicState, staged: StagedState, now: number): RoleStatus {
  const published = publicOf(state, role);
  const next = role === 'root' ? staged.root : staged.roles.get(role);
  const period = plannedRole(plan, role);
  return {
    role,
    published: published && { ...dated(published), validity: validityOf(published, period, now) },
    // A publication may have ended before it removed the staged file.
    staged:
      next === undefined || isSameVersion(next, published)
        ? undefined
        : stagedStatus(role, next, plan, state, staged, now),
  };
}

function publicOf(state: PublicState, role: string): Metadata | undefined {
  if (role === 'root') return state.root;
  if (role === 'snapshot') return state.snapshot;
  return role === 'timestamp' ? state.timestamp : state.roles.get(role);
}

function stagedStatus(
  role: string,
  metadata: Metadata<Root> | Metadata<Targets>,
  plan: TrustPlan,
  state: PublicState,
  staged: StagedState,
  now: number,
): StagedStatus {
  const { needed, further } = delegatorsOf(role, state, staged);
  const count = (delegator: Delegator): SignatureCount => {
    const { signed, missing, threshold } = signedBy(delegator, role, metadata);
    const names = (keys: readonly TufKey[]) => keys.map((key) => holderOf(plan, key)).sort();
    return {
      by: `version ${delegator.version} of ${delegator.type === 'root' ? 'root' : 'the delegating role'}`,
      threshold,
      signed: names(signed),
      missing: names(missing),
      complete: signed.length >= threshold,
    };
  };
  const counts = needed.map(count);
  return {
    ...dated(metadata),
    expired: metadata.signed.expires <= now,
    needed: counts,
    further: further.map(count),
    complete: counts.length > 0 && counts.every(({ complete }) => complete),
  };
}

function dated({ signed: { version, expires } }: Metadata): { version: number; expires: number } {
  return { version, expires };
}

function validityOf({ signed }: Metadata, period: PlannedRole | undefined, now: number): PublishedRole['validity'] {
  const left = signed.expires - now;
  if (left <= 0) return 'expired';
  return period !== undefined && left < period.expires / 4 ? 'soon' : 'valid';
}

function targetsIn(state: PublicState): RepositoryStatus['targets'] {
  return [...state.roles].flatMap(([role, { signed }]) =>
    [...signed.targets].map(([name, { length, hashes }]) => ({ name, role, length, sha256: hashes.get('sha256')! })),
  );
}

/** Targets that clients could not fetch. */
function lostTargets(store: RepositoryStore, targets: RepositoryStatus['targets']): string[] {
  const lost = targets.filter(({ name, sha256, length }) => store.publicTargetSize(name, sha256) !== length);
  return lost.map(
    ({ name }) =>
      `the file of the target ${name} is lost or cut off in public/targets: bring it back, or stage it again`,
  );
}

function todoOf({ role, published, staged }: RoleStatus): string[] {
  const todo: string[] = [];
  if (staged !== undefined) {
    for (const { complete, threshold, signed, missing, by } of staged.needed) {
      if (complete) continue;
      todo.push(
        `"${role}" version ${staged.version} lacks ${threshold - signed.length} of ${threshold} signatures by ${by}: ${missing.join(', ')} can sign`,
      );
    }
    if (staged.expired)
      todo.push(`"${role}" version ${staged.version} expired before it was published: stage it again`);
    if (staged.complete && !staged.expired)
      todo.push(`"${role}" version ${staged.version} is signed and not published`);
  } else if (published?.validity === 'expired') {
    todo.push(`"${role}" version ${published.version} is expired`);
  } else if (published === undefined) {
    todo.push(`"${role}" is not published`);
  }
  return todo;
}
