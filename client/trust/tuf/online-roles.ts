/** The next snapshot and timestamp, signed with the online keys. */
import type { Signer } from '../../../merkle/runtime/keys/types.ts';
import { ClientError } from '../../errors.ts';
import type { TufObject } from './canonical-json.ts';
import {
  type Metadata,
  type Root,
  readSnapshot,
  readTimestamp,
  type Snapshot,
  type Targets,
  type Timestamp,
  type TufSignature,
  writeMetadata,
} from './metadata.ts';
import { tufTime } from './metadata-fields.ts';
import { holderOf, SPEC_VERSION, sameJson, type TrustPlan } from './plan.ts';
import { nextVersion, type PublicState } from './repository-state.ts';
import type { RepositoryStore } from './repository-store.ts';
import { keyFor } from './staged-signing.ts';
import { checkSigned } from './threshold.ts';
import { hexSha256, type TufKey } from './tuf-key.ts';

interface OnlineContext {
  readonly plan: TrustPlan;
  readonly store: RepositoryStore;
  readonly state: PublicState;
  /** The root that counts after the publication. */
  readonly root: Root;
  /** The root that counts until then, where another one follows it. */
  readonly before: Root | undefined;
  readonly online: readonly Signer[];
  readonly now: number;
}

/** The snapshot of these roles: the published one where it still says this, or a new version. */
export async function signSnapshot(
  context: OnlineContext,
  roles: ReadonlyMap<string, Metadata<Targets>>,
): Promise<Metadata<Snapshot>> {
  const { state, store, plan, now } = context;
  const meta = Object.fromEntries(
    [...roles].sort(byName).map(([role, { signed, bytes }]) => [`${role}.json`, metaOf(signed.version, bytes)]),
  );
  const usable = (one: Metadata<Snapshot> | undefined) =>
    one !== undefined && sameJson(one.signed.json.meta, meta) && isUsable(context, 'snapshot', one);
  if (usable(state.snapshot)) return state.snapshot!;
  // A publication that ended early left a snapshot that no timestamp names.
  const version = nextVersion(state, 'snapshot');
  const left =
    version - 1 > (state.snapshot?.signed.version ?? 0) ? await store.readPublic('snapshot', version - 1) : undefined;
  const leftover = left && readSnapshot(left);
  if (usable(leftover)) return leftover!;
  const json = {
    _type: 'snapshot',
    spec_version: SPEC_VERSION,
    version,
    expires: tufTime(now + plan.snapshot.expires),
    meta,
  };
  return readSnapshot(await sign(context, 'snapshot', json), 'the new snapshot.json');
}

/** The timestamp of this snapshot: the published one where it still says this, or a new version. */
export async function signTimestamp(
  context: OnlineContext,
  snapshot: Metadata<Snapshot>,
): Promise<Metadata<Timestamp>> {
  const { state, plan, now } = context;
  const meta = { 'snapshot.json': metaOf(snapshot.signed.version, snapshot.bytes) };
  const { timestamp } = state;
  if (
    timestamp !== undefined &&
    sameJson(timestamp.signed.json.meta, meta) &&
    isUsable(context, 'timestamp', timestamp)
  ) {
    return timestamp;
  }
  const version = (timestamp?.signed.version ?? 0) + 1;
  const json = {
    _type: 'timestamp',
    spec_version: SPEC_VERSION,
    version,
    expires: tufTime(now + plan.timestamp.expires),
    meta,
  };
  return readTimestamp(await sign(context, 'timestamp', json), 'the new timestamp.json');
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}

/** Length and hash as well: a mirror with another file of this version is found out at once. */
function metaOf(version: number, bytes: Uint8Array): TufObject {
  return { version, length: bytes.length, hashes: { sha256: hexSha256(bytes) } };
}

/** Whether clients take it, and more than half of its time is left. */
function isUsable(
  { plan, root, now }: OnlineContext,
  role: 'snapshot' | 'timestamp',
  metadata: Metadata<Snapshot> | Metadata<Timestamp>,
): boolean {
  if (metadata.signed.expires - now < plan[role].expires / 2) return false;
  try {
    checkSigned(root, role, metadata);
    return true;
  } catch {
    return false;
  }
}

/** @throws ClientError `tuf-signatures` where the given keys do not reach the threshold of the role */
async function sign(
  { plan, root, before, online }: OnlineContext,
  role: 'snapshot' | 'timestamp',
  json: TufObject,
): Promise<Uint8Array> {
  const unsigned = writeMetadata(json, []);
  const { signedBytes } = role === 'snapshot' ? readSnapshot(unsigned) : readTimestamp(unsigned);
  const signatures = new Map<string, TufSignature>();
  for (const signer of online) {
    const key = keyFor(role, before === undefined ? [root] : [root, before], signer.publicKey);
    if (key === undefined || signatures.has(key.keyid)) continue;
    signatures.set(key.keyid, { keyid: key.keyid, sig: Buffer.from(await signer.sign(signedBytes)).toString('hex') });
  }
  if (signatures.size === 0) {
    const { keyids } = root.roles[role];
    const names = keyids.map((keyid) => holderOf(plan, root.keys.get(keyid)!)).join(', ');
    throw new ClientError(
      'key',
      `no given key may sign "${role}": give the online key that the root names for it, that of ${names}`,
    );
  }
  const bytes = writeMetadata(json, [...signatures.values()]);
  const nameOf = (key: TufKey) => holderOf(plan, key);
  checkSigned(root, role, role === 'snapshot' ? readSnapshot(bytes) : readTimestamp(bytes), nameOf);
  return bytes;
}
