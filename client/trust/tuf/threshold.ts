/** Whether enough different keys signed metadata (TUF 1.0.34 sections 5.3.4, 5.4.2, 5.5.3 and 5.6.3). */
import { ClientError } from '../../errors.ts';
import type { AnySigned, Metadata, Root, Targets } from './metadata.ts';
import type { TufRole } from './metadata-fields.ts';
import { isTopLevelRole } from './role.ts';
import { type TufKey, verifyTufSignature } from './tuf-key.ts';

interface SignedBy {
  /** The keys of the role with a valid signature, and the others. A key counts once, whatever its IDs are. */
  readonly signed: readonly TufKey[];
  readonly missing: readonly TufKey[];
  readonly threshold: number;
}

/**
 * Who signed `metadata` for `role`, by the keys that `delegator` names.
 *
 * @param enough stops once the threshold is met
 * @throws ClientError `tuf-malformed` for an unknown role
 */
export function signedBy(
  delegator: Root | Targets,
  role: string,
  metadata: Metadata<AnySigned>,
  enough = false,
): SignedBy {
  const { keyids, threshold } = roleOf(delegator, role);
  const keys = (delegator.type === 'root' ? delegator.keys : delegator.delegations?.keys) ?? new Map<string, TufKey>();
  const signatures = new Map(metadata.signatures.map(({ keyid, sig }) => [keyid, sig]));
  const signed = new Map<string, TufKey>();
  const missing: TufKey[] = [];
  for (const keyid of keyids) {
    const key = keys.get(keyid);
    if (key === undefined) continue;
    if (enough && signed.size >= threshold) break;
    const sig = signatures.get(keyid);
    if (sig !== undefined && verifyTufSignature(key, metadata.signedBytes, sig)) signed.set(key.fingerprint, key);
    else missing.push(key);
  }
  return { signed: [...signed.values()], missing, threshold };
}

/**
 * Checks the signatures of `metadata`.
 * @param delegator the root, or for a delegated role the targets metadata that delegate to it
 * @param role `root`, `targets`, `snapshot`, `timestamp`, or the name of a delegated role
 * @param nameOf what people call a key; by default the beginning of its key ID
 * @throws ClientError `tuf-signatures`, which names the keys that signed
 */
export function checkSigned(
  delegator: Root | Targets,
  role: string,
  metadata: Metadata<AnySigned>,
  nameOf: (key: TufKey) => string = ({ keyid }) => keyid.slice(0, 16),
): void {
  // No signature more than needed is verified: a command that verifies one file checks a whole chain of metadata first.
  if (signedBy(delegator, role, metadata, true).signed.length >= roleOf(delegator, role).threshold) return;
  const { signed, missing, threshold } = signedBy(delegator, role, metadata);
  const by = `${delegator.type === 'root' ? 'root' : 'the delegating role'} version ${delegator.version}`;
  const names = (keys: readonly TufKey[]) => keys.map(nameOf).join(', ');
  const who = signed.length === 0 ? 'none of its keys signed' : `${names(signed)} signed`;
  throw new ClientError(
    'tuf-signatures',
    `version ${metadata.signed.version} of "${role}" needs valid signatures of ${threshold} different keys by ${by}, and has ` +
      `${signed.length}: ${who}, missing ${threshold - signed.length} of ${names(missing)}`,
  );
}

/** @throws ClientError `tuf-malformed` where `delegator` does not name the role */
function roleOf(delegator: Root | Targets, role: string): TufRole {
  if (delegator.type === 'root') {
    if (isTopLevelRole(role)) return delegator.roles[role];
  } else {
    const delegated = delegator.delegations?.roles.get(role);
    if (delegated !== undefined) return delegated;
  }
  throw new ClientError(
    'tuf-malformed',
    `version ${delegator.version} of the ${delegator.type} metadata names no role "${role}"`,
  );
}
