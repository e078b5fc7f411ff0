/**
 * What somebody fetched beside the targets that commands use (`updateTrust` with `target`). It stays while the metadata say
 * the same of it, so that it is there offline. Nothing is downloaded for it.
 */
import { ClientError } from '../../errors.ts';
import { checkBytes } from './accept.ts';
import { type Metadata, readTargets, type Snapshot, type Targets } from './metadata.ts';
import type { TrustedSet } from './trust-store.ts';
import { hexSha256 } from './tuf-key.ts';

interface Kept {
  readonly delegated: Readonly<Record<string, string>>;
  readonly files: readonly string[];
}

/**
 * @param fresh the metadata of targets and delegated roles in the new set
 * @param fileIfGood a file of the store by its SHA-256
 */
export function keptFiles(
  before: TrustedSet,
  snapshot: Snapshot,
  fresh: ReadonlyMap<string, Metadata<Targets>>,
  fileIfGood: (sha256: string) => Uint8Array | undefined,
): Kept {
  const roles = new Map(fresh);
  for (const [role, sha256] of Object.entries(before.delegated)) {
    const metadata = roles.has(role) ? undefined : unchanged(role, snapshot, fileIfGood(sha256));
    if (metadata !== undefined) roles.set(role, metadata);
  }
  const named = new Set(
    [...roles.values()].flatMap(({ signed }) => [...signed.targets.values()].map(({ hashes }) => hashes.get('sha256'))),
  );
  const delegated = [...roles]
    .filter(([role]) => !fresh.has(role))
    .map(([role, { bytes }]) => [role, hexSha256(bytes)]);
  return {
    delegated: Object.fromEntries(delegated),
    files: before.files.filter((sha256) => named.has(sha256) && fileIfGood(sha256) !== undefined),
  };
}

/** The metadata where the snapshot still names them. Whoever uses them checks their signatures. */
function unchanged(role: string, { meta }: Snapshot, bytes: Uint8Array | undefined): Metadata<Targets> | undefined {
  const described = meta.get(role);
  if (described === undefined || bytes === undefined) return undefined;
  try {
    checkBytes(role, described, bytes);
    const metadata = readTargets(bytes, role);
    return metadata.signed.version === described.version ? metadata : undefined;
  } catch (error) {
    if (error instanceof ClientError) return undefined;
    throw error;
  }
}
