/** Signatures of staged metadata: made here, or on other machines and brought back. */
import { equal } from '../../../merkle/bytes.ts';
import type { Signer } from '../../../merkle/runtime/keys/types.ts';
import { ClientError } from '../../errors.ts';
import { type Metadata, type Root, readRootOrTargets, type Targets, writeMetadata } from './metadata.ts';
import type { TrustPlan } from './plan.ts';
import { type PublicState, readPublicState, readStagedState, type StagedState } from './repository-state.ts';
import { RepositoryStore } from './repository-store.ts';
import { signedBy } from './threshold.ts';
import { type TufKey, tufKey, verifyTufSignature } from './tuf-key.ts';

/** Metadata that name the keys of a role. */
export type Delegator = Root | Targets;

/**
 * Who must sign a role's staged metadata, and who may besides. A root is signed by the keys of the root before it as well
 * (section 5.3.4). Targets that follow a staged root are signed by its keys; with those of the published root too, clients
 * can read them before and after the new root.
 */
export function delegatorsOf(
  role: string,
  state: Pick<PublicState, 'root' | 'roles'>,
  staged: StagedState,
): { readonly needed: readonly Delegator[]; readonly further: readonly Delegator[] } {
  const [before, next] = [state.root?.signed, staged.root?.signed];
  if (role === 'root') return { needed: present(before, next), further: [] };
  if (role === 'targets')
    return next === undefined ? { needed: present(before), further: [] } : { needed: [next], further: present(before) };
  // The closest role that delegates to this one: staged metadata come before published ones.
  const roles = [...new Set([...staged.roles.keys(), ...state.roles.keys()])];
  const delegating = roles.flatMap((name) => {
    const newest = (staged.roles.get(name) ?? state.roles.get(name))!.signed;
    return newest.delegations?.roles.has(role) ? [newest] : [];
  });
  return { needed: delegating, further: [] };
}

function present<T>(...values: readonly (T | undefined)[]): T[] {
  return values.filter((value) => value !== undefined);
}

/** The key of `delegators` that this public key is, for this role. */
export function keyFor(role: string, delegators: readonly Delegator[], spki: Uint8Array): TufKey | undefined {
  const { fingerprint } = tufKey(spki);
  for (const delegator of delegators) {
    const keys = delegator.type === 'root' ? delegator.keys : delegator.delegations?.keys;
    const { keyids = [] } =
      (delegator.type === 'root' ? delegator.roles[role as 'root'] : delegator.delegations?.roles.get(role)) ?? {};
    for (const keyid of keyids) {
      const key = keys?.get(keyid);
      if (key?.fingerprint === fingerprint) return key;
    }
  }
  return undefined;
}

/**
 * Adds the signer's signature to metadata. Metadata that it signed already come back as they are.
 * @throws ClientError `key` where the key is none of those that may sign `role`
 */
export async function addSignature(
  metadata: Metadata,
  role: string,
  delegators: readonly Delegator[],
  signer: Signer,
): Promise<Uint8Array> {
  const key = keyFor(role, delegators, signer.publicKey);
  if (key === undefined) {
    const { keyid } = tufKey(signer.publicKey);
    throw new ClientError('key', `the key ${keyid} may not sign "${role}": the metadata do not name it for this role`);
  }
  const before = metadata.signatures.find(({ keyid }) => keyid === key.keyid);
  if (before !== undefined && verifyTufSignature(key, metadata.signedBytes, before.sig)) return metadata.bytes;
  const sig = Buffer.from(await signer.sign(metadata.signedBytes)).toString('hex');
  const others = metadata.signatures.filter(({ keyid }) => keyid !== key.keyid);
  return writeMetadata(metadata.signed.json, [...others, { keyid: key.keyid, sig }]);
}

/** Keys of the role whose signatures in the file do not hold: it was changed after they signed. */
export function wrongSigners(role: string, metadata: Metadata, delegators: readonly Delegator[]): TufKey[] {
  const missing = delegators.flatMap((delegator) => signedBy(delegator, role, metadata).missing);
  const wrong = missing.filter((key) => metadata.signatures.some(({ keyid }) => keyid === key.keyid));
  return [...new Map(wrong.map((key) => [key.fingerprint, key])).values()];
}

/** A staged version, with what a holder must see before signing it. */
export interface VersionToSign {
  readonly role: string;
  readonly metadata: Metadata<Root> | Metadata<Targets>;
  /** The published version; undefined before the first one. */
  readonly before: Metadata<Root> | Metadata<Targets> | undefined;
  /** What names the keys that must or may sign it. */
  readonly delegators: readonly Delegator[];
}

/** All staged versions of the repository, and its plan, which names the holders. @throws ClientError `trust`, `tuf-malformed` */
export async function versionsToSign(
  dir: string,
): Promise<{ readonly plan: TrustPlan; readonly versions: readonly VersionToSign[] }> {
  const store = new RepositoryStore(dir);
  return await store.locked(async () => {
    const [state, staged] = [await readPublicState(store), await readStagedState(store)];
    const roles = [...(staged.root === undefined ? [] : ['root']), ...[...staged.roles.keys()].sort()];
    const versions = roles.map((role) => {
      const { needed, further } = delegatorsOf(role, state, staged);
      const before = role === 'root' ? state.root : state.roles.get(role);
      return { role, metadata: stagedOf(staged, role), before, delegators: [...needed, ...further] };
    });
    return { plan: store.plan(), versions };
  });
}

/**
 * Signs a staged role of the repository.
 * @param shown what was shown to the holder; other metadata than these are not signed
 * @throws ClientError `trust` where it is not staged, or is not what was shown; `key`; RuntimeError of the signer
 */
export async function signStaged(dir: string, signer: Signer, role: string, shown?: Metadata): Promise<void> {
  const store = new RepositoryStore(dir);
  await store.locked(async () => {
    const [state, staged] = [await readPublicState(store), await readStagedState(store)];
    const metadata = stagedOf(staged, role);
    if (shown !== undefined && !equal(shown.signedBytes, metadata.signedBytes)) {
      throw new ClientError('trust', `staged/${role}.json changed after it was shown: nothing was signed`);
    }
    const { needed, further } = delegatorsOf(role, state, staged);
    const bytes = await addSignature(metadata, role, [...needed, ...further], signer);
    await store.writeStaged([{ role, bytes }]);
  });
}

/**
 * Takes the signatures of a copy of staged metadata that was signed elsewhere.
 * @returns the role, and how many signatures are new
 * @throws ClientError `trust` where the copy is of other metadata than those that are staged; `tuf-signatures` where it
 * brings no valid signature of a key of the role
 */
export async function collectSignatures(
  dir: string,
  bytes: Uint8Array,
): Promise<{ readonly role: string; readonly signatures: number }> {
  const store = new RepositoryStore(dir);
  return await store.locked(async () => {
    const [state, staged] = [await readPublicState(store), await readStagedState(store)];
    const copy = readRootOrTargets(bytes, 'the signed copy');
    const all: [string, Metadata<Root> | Metadata<Targets>][] = [...staged.roles];
    if (staged.root !== undefined) all.push(['root', staged.root]);
    const found = all.find(([, one]) => equal(one.signedBytes, copy.signedBytes));
    if (found === undefined) {
      const { type, version } = copy.signed;
      throw new ClientError(
        'trust',
        `version ${version} of ${type} in the copy is not what is staged: sign the staged file again`,
      );
    }
    const [role, metadata] = found;
    const { needed, further } = delegatorsOf(role, state, staged);
    const idsIn = (one: Metadata) =>
      new Set(
        [...needed, ...further].flatMap((delegator) => signedBy(delegator, role, one).signed.map(({ keyid }) => keyid)),
      );
    const [valid, held] = [idsIn(copy), idsIn(metadata)];
    if (valid.size === 0) {
      throw new ClientError('tuf-signatures', `the copy has no valid signature of a key that may sign "${role}"`);
    }
    const added = copy.signatures.filter(({ keyid }) => valid.has(keyid) && !held.has(keyid));
    const kept = metadata.signatures.filter(({ keyid }) => !added.some((one) => one.keyid === keyid));
    if (added.length > 0) {
      await store.writeStaged([{ role, bytes: writeMetadata(metadata.signed.json, [...kept, ...added]) }]);
    }
    return { role, signatures: added.length };
  });
}

/** @throws ClientError `trust` */
function stagedOf(staged: StagedState, role: string): Metadata<Root> | Metadata<Targets> {
  const metadata = role === 'root' ? staged.root : staged.roles.get(role);
  if (metadata !== undefined) return metadata;
  const there = [...(staged.root === undefined ? [] : ['root']), ...staged.roles.keys()];
  const hint = there.length === 0 ? 'nothing is staged' : `staged are ${there.slice(0, 10).join(', ')}`;
  throw new ClientError('trust', `no version of "${role}" waits for signatures: ${hint}`);
}
