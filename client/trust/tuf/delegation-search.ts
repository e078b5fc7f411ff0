/** Which role says what a target is (TUF 1.0.34 section 5.6.7): a search through delegations, depth first, in their order. */
import { ClientError } from '../../errors.ts';
import { isDelegatedTo } from './delegated-path.ts';
import type { Targets } from './metadata.ts';
import type { TargetFile } from './metadata-fields.ts';
import { TUF_LIMITS } from './role.ts';

/** A search wants the metadata of this role, which `delegator` delegates to. */
export interface Wanted {
  readonly delegator: Targets;
  readonly role: string;
}

/**
 * What the metadata say of a target; undefined where no role that is trusted for its name lists it. The caller gives the
 * metadata that the search yields for.
 *
 * @throws ClientError `tuf-malformed` beyond the limits of levels and roles
 */
export function* searchTarget(name: string, top: Targets): Generator<Wanted, TargetFile | undefined, Targets> {
  const visited = new Set<string>();
  type Found = { readonly file?: TargetFile; readonly ended: boolean };
  function* search(targets: Targets, level: number): Generator<Wanted, Found, Targets> {
    const file = targets.targets.get(name);
    if (file !== undefined) return { file, ended: true };
    for (const role of targets.delegations?.roles.values() ?? []) {
      if (!isDelegatedTo(role, name)) continue;
      if (!visited.has(role.name)) {
        visited.add(role.name);
        checkLimits(name, level, visited.size);
        const found = yield* search(yield { delegator: targets, role: role.name }, level + 1);
        if (found.ended) return found;
      }
      if (role.terminating) return { ended: true };
    }
    return { ended: false };
  }
  return (yield* search(top, 1)).file;
}

function checkLimits(name: string, level: number, visited: number): void {
  const { delegationLevels, visitedRoles } = TUF_LIMITS;
  if (level > delegationLevels) throw tooFar(name, `${delegationLevels} levels of delegations`);
  if (visited > visitedRoles) throw tooFar(name, `${visitedRoles} delegated roles`);
}

function tooFar(name: string, limit: string): ClientError {
  return new ClientError('tuf-malformed', `the search for the target ${name} ended: it may go through ${limit}`);
}
