/**
 * What a repository is to be: the holders of keys, the roles with their thresholds and periods, and the delegations. Metadata
 * follow from the plan and from what was published before.
 */
import { ClientError } from '../../errors.ts';
import type { TufJson, TufObject } from './canonical-json.ts';
import type { Root } from './metadata.ts';
import { tufTime } from './metadata-fields.ts';
import { isDelegatedName, TOP_LEVEL_ROLES, type TopLevelRole, TUF_LIMITS } from './role.ts';
import type { TufKey } from './tuf-key.ts';

export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;

/** What @tufjs/models, go-tuf and python-tuf take as well. */
export const SPEC_VERSION = '1.0.31';

export interface PlannedRole {
  /** Names of holders. */
  readonly holders: readonly string[];
  readonly threshold: number;
  /** How long a version of the role's metadata is valid, in milliseconds. */
  readonly expires: number;
}

interface PlannedDelegation extends PlannedRole {
  readonly name: string;
  /** Patterns of the names of targets that the role may sign. */
  readonly paths: readonly string[];
  /** Later delegations do not count for a name that matches this one. */
  readonly terminating: boolean;
}

export interface TrustPlan extends Readonly<Record<TopLevelRole, PlannedRole>> {
  /** The keys by the names of their holders. */
  readonly holders: ReadonlyMap<string, TufKey>;
  readonly delegations: readonly PlannedDelegation[];
}

/** Most holders and most delegations of a plan. */
export const MAX_PLANNED = 8_192;
/** When a version expires, where the plan does not say it. */
export const DEFAULT_EXPIRY: Readonly<Record<TopLevelRole, number>> = {
  root: 365 * DAY,
  targets: 90 * DAY,
  snapshot: 7 * DAY,
  timestamp: DAY,
};

/** A holder's name: it stands in sentences and in YAML without quotes. */
export const HOLDER_NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/;
const PATH_PATTERN = /^[A-Za-z0-9._@+=,~*?-]+(?:\/[A-Za-z0-9._@+=,~*?-]+)*$/;

/** Where a plan is wrong: names of members and positions in lists, and why. */
interface PlanProblem {
  readonly at: readonly (string | number)[];
  readonly why: string;
}

/** All that is wrong with a plan whose parts have the right types. */
export function planProblems(plan: TrustPlan): PlanProblem[] {
  const problems: PlanProblem[] = [];
  const problem = (why: string, ...at: (string | number)[]) => problems.push({ at, why });
  const owners = new Map<string, string>();
  for (const [name, key] of plan.holders) {
    if (!HOLDER_NAME.test(name)) problem('is no name of a holder: letters, digits, and . _ @ -', 'holders', name);
    const other = owners.get(key.fingerprint);
    if (other !== undefined)
      problem(`has the same key as ${other}: each holder has a key of their own`, 'holders', name);
    owners.set(key.fingerprint, name);
  }
  const checkRole = ({ holders, threshold }: PlannedRole, ...at: (string | number)[]) => {
    if (holders.length === 0 || holders.length > TUF_LIMITS.keys) {
      problem(`must be a list of 1 to ${TUF_LIMITS.keys} holders`, ...at, 'holders');
    }
    for (const [i, name] of holders.entries()) {
      if (holders.indexOf(name) !== i) problem(`names ${name} twice`, ...at, 'holders', i);
      if (!plan.holders.has(name))
        problem(`is "${name}", who is not among the holders of the plan`, ...at, 'holders', i);
    }
    const most = new Set(holders).size;
    if (!Number.isSafeInteger(threshold) || threshold < 1 || threshold > most) {
      problem(`is ${threshold}: it must be from 1 to ${most}, the number of holders`, ...at, 'threshold');
    }
  };
  for (const role of TOP_LEVEL_ROLES) checkRole(plan[role], role);
  // Clients believe a timestamp until it expires, also one that somebody holds back: it tells nothing that outlives the rest.
  for (const [role, other] of [
    ['timestamp', 'snapshot'],
    ['timestamp', 'targets'],
    ['timestamp', 'root'],
  ] as const) {
    if (plan[role].expires > plan[other].expires) problem(`is longer than the period of ${other}`, role, 'expires');
  }
  const names = new Map<string, string>();
  for (const [i, delegation] of plan.delegations.entries()) {
    const { name, paths } = delegation;
    if (!isDelegatedName(name))
      problem(`is "${name}": letters, digits, and . _ @ -, and no top-level role`, 'delegations', i, 'name');
    const other = names.get(name.toLowerCase());
    // Some file systems do not tell names of two cases apart.
    if (other !== undefined)
      problem(`is "${name}", and there is a delegation called ${other}`, 'delegations', i, 'name');
    names.set(name.toLowerCase(), name);
    if (paths.length === 0) problem('is empty: the role could sign nothing', 'delegations', i, 'paths');
    for (const [j, path] of paths.entries()) {
      if (!PATH_PATTERN.test(path)) {
        problem(`is "${path}": a relative path with * and ? for what may differ`, 'delegations', i, 'paths', j);
      }
    }
    checkRole(delegation, 'delegations', i);
  }
  return problems;
}

/** @throws ClientError `trust`, with everything that is wrong */
export function checkPlan(plan: TrustPlan): TrustPlan {
  const problems = planProblems(plan);
  if (problems.length === 0) return plan;
  throw new ClientError(
    'trust',
    `the plan is wrong: ${problems.map(({ at, why }) => `${at.join('.')} ${why}`).join('; ')}`,
  );
}

/** The signed part of a root of this plan. @param now milliseconds since 1970 */
export function rootOf(plan: TrustPlan, version: number, now: number): TufObject {
  const roles = TOP_LEVEL_ROLES.map((role) => [role, roleJson(plan, plan[role])]);
  return {
    _type: 'root',
    spec_version: SPEC_VERSION,
    version,
    expires: tufTime(now + plan.root.expires),
    consistent_snapshot: true,
    keys: keysJson(
      plan,
      TOP_LEVEL_ROLES.flatMap((role) => plan[role].holders),
    ),
    roles: Object.fromEntries(roles) as TufObject,
  };
}

/** The signed part of targets metadata. @param now milliseconds since 1970 */
export function targetsOf(
  version: number,
  expires: number,
  targets: TufObject,
  delegations: TufJson | undefined,
): TufObject {
  const common = { _type: 'targets', spec_version: SPEC_VERSION, version, expires: tufTime(expires), targets };
  return delegations === undefined ? common : { ...common, delegations };
}

/** The delegations of the plan as the targets metadata have them; undefined without any. */
export function delegationsOf(plan: TrustPlan): TufObject | undefined {
  if (plan.delegations.length === 0) return undefined;
  const roles = plan.delegations.map((role) => {
    const { name, paths, terminating } = role;
    return { name, paths: [...paths], terminating, ...roleJson(plan, role) };
  });
  return {
    keys: keysJson(
      plan,
      plan.delegations.flatMap(({ holders }) => holders),
    ),
    roles,
  };
}

/** The plan's words for a role: a top-level role or a delegation. */
export function plannedRole(plan: TrustPlan, role: string): PlannedRole | undefined {
  if ((TOP_LEVEL_ROLES as readonly string[]).includes(role)) return plan[role as TopLevelRole];
  return plan.delegations.find(({ name }) => name === role);
}

/** The name of a key's holder, or the beginning of its key ID where the plan does not know the key. */
export function holderOf(plan: TrustPlan, key: TufKey): string {
  for (const [name, { fingerprint }] of plan.holders) if (fingerprint === key.fingerprint) return name;
  return `key ${key.keyid.slice(0, 16)}`;
}

/** Whether two roots name the same keys for the same roles, whatever their versions and expiries are. */
export function sameTrust(a: Pick<Root, 'json'>, b: TufObject): boolean {
  return ['keys', 'roles', 'consistent_snapshot'].every((name) => sameJson(a.json[name], b[name]));
}

/** Whether two values of JSON are the same, in whatever order their members stand. */
export function sameJson(a: unknown, b: unknown): boolean {
  return JSON.stringify(a, sorted) === JSON.stringify(b, sorted);
}

function sorted(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function roleJson(plan: TrustPlan, { holders, threshold }: PlannedRole): TufObject {
  return { keyids: holders.map((name) => plan.holders.get(name)!.keyid).sort(), threshold };
}

function keysJson(plan: TrustPlan, holders: readonly string[]): TufObject {
  return Object.fromEntries(
    [...new Set(holders)].map((name) => {
      const { keyid, json } = plan.holders.get(name)!;
      return [keyid, json];
    }),
  );
}
