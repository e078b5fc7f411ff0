/** Checks the tree of targets roles as a client would, before it is published (TUF 1.0.34 section 5.6). */
import { ClientError } from '../../errors.ts';
import { isDelegatedTo } from './delegated-path.ts';
import type { DelegatedRole, Metadata, Root, Targets } from './metadata.ts';
import { tufTime } from './metadata-fields.ts';
import type { PublicState, StagedState } from './repository-state.ts';
import type { RepositoryStore } from './repository-store.ts';
import { TUF_LIMITS } from './role.ts';
import { checkSigned } from './threshold.ts';
import { hexSha256, type TufKey } from './tuf-key.ts';

export interface NewVersion {
  readonly role: string;
  readonly version: number;
  readonly expires: number;
  readonly bytes: Uint8Array;
}

interface CheckedTree {
  /** All roles that the snapshot names. */
  readonly roles: ReadonlyMap<string, Metadata<Targets>>;
  /** Those of them that no published snapshot names yet. */
  readonly added: readonly NewVersion[];
  /** Targets that are not public yet. */
  readonly files: readonly { readonly name: string; readonly bytes: Uint8Array }[];
}

/** What leads to a role: each step must delegate the names of its targets. */
interface Visit {
  readonly role: string;
  readonly delegator: Root | Targets;
  readonly chain: readonly DelegatedRole[];
}

/**
 * The targets role and all delegated roles, each from what is staged or else from what is published.
 * @param nameOf the holder of a key
 * @throws ClientError `tuf-signatures`, `tuf-expired`, `tuf-missing`, `tuf-malformed`, `trust`
 */
export async function checkTree(
  store: RepositoryStore,
  root: Root,
  state: PublicState,
  staged: StagedState,
  nameOf: (key: TufKey) => string,
  now: number,
): Promise<CheckedTree> {
  // Roles that were delegated once stay in the snapshot: a client refuses one that names fewer files (section 5.5.5).
  const roles = new Map(state.roles);
  const seen = new Set<string>();
  const added: NewVersion[] = [];
  const files = new Map<string, { name: string; bytes: Uint8Array }>();
  const open: Visit[] = [{ role: 'targets', delegator: root, chain: [] }];
  for (const { role, delegator, chain } of open) {
    if (chain.length > TUF_LIMITS.delegationLevels) {
      throw new ClientError(
        'tuf-malformed',
        `"${role}" is more than ${TUF_LIMITS.delegationLevels} delegations below targets`,
      );
    }
    const metadata = await pick(store, role, state, staged);
    checkSigned(delegator, role, metadata, nameOf);
    checkNotExpired(role, metadata, now);
    checkNames(role, metadata.signed, chain);
    if (seen.has(role)) continue;
    seen.add(role);
    roles.set(role, metadata);
    if (metadata !== state.roles.get(role)) {
      added.push({ role, version: metadata.signed.version, expires: metadata.signed.expires, bytes: metadata.bytes });
    }
    for (const file of await newTargets(store, role, metadata.signed))
      files.set(`${file.name} ${hexSha256(file.bytes)}`, file);
    for (const delegated of metadata.signed.delegations?.roles.values() ?? []) {
      // A circle of delegations ends here: the role was checked under this delegation before.
      if (chain.includes(delegated)) continue;
      open.push({ role: delegated.name, delegator: metadata.signed, chain: [...chain, delegated] });
    }
  }
  for (const role of staged.roles.keys()) {
    if (!seen.has(role))
      throw new ClientError('trust', `"${role}" is staged, and nothing delegates to it: remove staged/${role}.json`);
  }
  return { roles, added, files: [...files.values()] };
}

/** The metadata that the next snapshot names for a role. */
async function pick(
  store: RepositoryStore,
  role: string,
  state: PublicState,
  staged: StagedState,
): Promise<Metadata<Targets>> {
  const [published, next] = [state.roles.get(role), staged.roles.get(role)];
  if (next === undefined) {
    if (published !== undefined) return published;
    throw new ClientError(
      'tuf-missing',
      `"${role}" is delegated, and has no metadata yet: stage them, and have them signed`,
    );
  }
  if (published === undefined || next.signed.version > published.signed.version) return next;
  // A publication that ended before it removed the staged file.
  const there = await store.readPublic(role, next.signed.version);
  if (
    next.signed.version === published.signed.version &&
    there !== undefined &&
    Buffer.compare(next.signedBytes, published.signedBytes) === 0
  ) {
    return published;
  }
  throw new ClientError(
    'trust',
    `version ${next.signed.version} of "${role}" is staged, and version ${published.signed.version} is published: stage "${role}" again`,
  );
}

/** @throws ClientError `tuf-expired` */
export function checkNotExpired(role: string, { signed }: Metadata, now: number): void {
  if (signed.expires > now) return;
  throw new ClientError(
    'tuf-expired',
    `version ${signed.version} of "${role}" expired at ${tufTime(signed.expires)}, and clients refuse it: stage a new version ` +
      'with `stele trust expire`, and have it signed',
  );
}

function checkNames(role: string, { targets }: Targets, chain: readonly DelegatedRole[]): void {
  for (const [name, { hashes }] of targets) {
    const stranger = chain.find((delegated) => !isDelegatedTo(delegated, name));
    if (stranger !== undefined) {
      throw new ClientError(
        'trust',
        `"${role}" names ${name}, which is not delegated to "${stranger.name}": clients would not find it`,
      );
    }
    // With several hashes, clients differ in the one that names the file.
    if (hashes.size !== 1)
      throw new ClientError('trust', `"${role}" lists ${hashes.size} hashes for ${name}: one SHA-256 is published`);
  }
}

/** The files of targets that are not public yet. @throws ClientError `tuf-missing`, `tuf-mismatch` */
async function newTargets(store: RepositoryStore, role: string, { targets }: Targets) {
  const files: { name: string; bytes: Uint8Array }[] = [];
  for (const [name, { length, hashes }] of targets) {
    const sha256 = hashes.get('sha256')!;
    if (store.publicTargetSize(name, sha256) === length) continue;
    const bytes = await store.readStagedTarget(name);
    if (bytes === undefined) {
      throw new ClientError(
        'tuf-missing',
        `"${role}" names ${name}, and its file is neither staged nor public: stage it`,
      );
    }
    if (bytes.length !== length || hexSha256(bytes) !== sha256) {
      throw new ClientError(
        'tuf-mismatch',
        `staged/targets/${name} is not the file that "${role}" names: stage it again`,
      );
    }
    files.push({ name, bytes });
  }
  return files;
}
