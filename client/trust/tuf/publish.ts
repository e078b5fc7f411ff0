/**
 * Publishes what is staged and signed.
 *
 * Everything is verified by the rules of clients before the first byte is public. Then files are written so that a crash
 * leaves a repository that clients can use, and a repeat goes on:
 *
 *   targets        nobody knows their names yet
 *   metadata       versions of targets roles and of the snapshot, which no timestamp names yet
 *   root           clients take it at once; what is published stays valid under it
 *   timestamp      from now on clients see the new versions
 *   staged         the staged files go
 *
 * A root may replace keys so that what is published is not valid under it. Then the timestamp comes before the root, where
 * both roots accept the new versions; otherwise clients have to wait until both are there.
 */
import type { Signer } from '../../../merkle/runtime/keys/types.ts';
import { ClientError } from '../../errors.ts';
import type { Metadata, Root, Snapshot, Targets, Timestamp } from './metadata.ts';
import { signSnapshot, signTimestamp } from './online-roles.ts';
import { holderOf, type TrustPlan } from './plan.ts';
import { checkNotExpired, checkTree, type NewVersion } from './publish-checks.ts';
import {
  isSameVersion,
  type PublicState,
  readPublicState,
  readStagedState,
  type StagedState,
} from './repository-state.ts';
import { RepositoryStore } from './repository-store.ts';
import { checkSigned } from './threshold.ts';
import type { TufKey } from './tuf-key.ts';

type PublishStep = 'targets' | 'metadata' | 'root' | 'timestamp' | 'staged';

interface PublishOptions {
  /** The keys of snapshot and timestamp; besides, those of the root before where a new root replaces them. */
  readonly online: readonly Signer[];
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Publishes these staged roles alone; by default all of them. */
  readonly roles?: readonly string[];
  /** Called before each step. */
  readonly onStep?: (step: PublishStep) => void;
}

interface Publication {
  /** What became public, with versions; empty where everything was public already. */
  readonly published: readonly { readonly role: string; readonly version: number; readonly expires: number }[];
  /** Names of targets that became public. */
  readonly targets: readonly string[];
  /**
   * Between the new root and the timestamp after it, clients could not use the repository: the keys that sign the old
   * metadata count no more, and the new metadata have no signatures that the old root accepts.
   */
  readonly gap: boolean;
}

/**
 * Publishes all staged metadata, with a new snapshot and timestamp.
 * @throws ClientError `tuf-signatures`: a staged role has too few signatures; `tuf-expired`: something is expired, or would
 * be; `tuf-missing`; `trust`; RuntimeError `locked`, `file`, and those of the signers
 */
export async function publish(dir: string, options: PublishOptions): Promise<Publication> {
  const store = new RepositoryStore(dir);
  return await store.locked(async () => {
    const [plan, state] = [store.plan(), await readPublicState(store)];
    const staged = chosen(await readStagedState(store), options.roles);
    return await publishStaged(store, plan, state, staged, options);
  });
}

/**
 * Signs a new snapshot and a new timestamp where less than half of their time is left, and publishes nothing else.
 * @throws as `publish`
 */
export async function refresh(dir: string, options: Omit<PublishOptions, 'roles'>): Promise<Publication> {
  return await publish(dir, { ...options, roles: [] });
}

function chosen(staged: StagedState, roles: readonly string[] | undefined): StagedState {
  if (roles === undefined) return staged;
  for (const role of roles) {
    if (role === 'root' ? staged.root === undefined : !staged.roles.has(role)) {
      throw new ClientError('trust', `no version of "${role}" is staged`);
    }
  }
  return {
    root: roles.includes('root') ? staged.root : undefined,
    roles: new Map([...staged.roles].filter(([role]) => roles.includes(role))),
  };
}

async function publishStaged(
  store: RepositoryStore,
  plan: TrustPlan,
  state: PublicState,
  staged: StagedState,
  { online, now, onStep = () => {} }: PublishOptions,
): Promise<Publication> {
  const nameOf = (key: TufKey) => holderOf(plan, key);
  const root = nextRoot(state, staged, nameOf, now);
  const isNewRoot = !isSameVersion(root, state.root);
  const tree = await checkTree(store, root.signed, state, staged, nameOf, now);
  const before = isNewRoot ? state.root?.signed : undefined;
  const context = { plan, store, state, root: root.signed, before, online, now };
  const snapshot = await signSnapshot(context, tree.roles);
  const timestamp = await signTimestamp(context, snapshot);
  const targets = tree.roles.get('targets')!;
  const [holds, bridged] = [
    before === undefined || isValidUnder(root.signed, state),
    before !== undefined && isValidUnder(before, { targets, snapshot, timestamp }),
  ];
  const metadata: NewVersion[] = [...tree.added];
  if (!isSameVersion(snapshot, state.snapshot)) metadata.push(versionOf('snapshot', snapshot));

  if (tree.files.length > 0) {
    onStep('targets');
    await store.placeTargets(tree.files);
  }
  if (metadata.length > 0) {
    onStep('metadata');
    await store.placeMetadata(metadata);
  }
  const isNewTimestamp = !isSameVersion(timestamp, state.timestamp);
  const showTimestamp = async () => {
    onStep('timestamp');
    await store.replaceTimestamp(timestamp.bytes);
  };
  // The new versions first where the new root would make the old ones invalid, and they have the signatures that both want.
  const early = isNewTimestamp && !holds && bridged;
  if (early) await showTimestamp();
  if (isNewRoot) {
    onStep('root');
    await store.placeMetadata([versionOf('root', root)]);
  }
  if (isNewTimestamp && !early) await showTimestamp();
  if (staged.root !== undefined || staged.roles.size > 0) onStep('staged');
  await removeStaged(store, staged);
  const published = [
    ...(isNewRoot ? [versionOf('root', root)] : []),
    ...metadata,
    ...(isNewTimestamp ? [versionOf('timestamp', timestamp)] : []),
  ];
  return {
    published: published.map(({ role, version, expires }) => ({ role, version, expires })),
    targets: tree.files.map(({ name }) => name),
    gap: isNewRoot && !holds && !bridged,
  };
}

/** The root of the publication. @throws ClientError `trust`, `tuf-signatures`, `tuf-expired` */
function nextRoot(
  state: PublicState,
  staged: StagedState,
  nameOf: (key: TufKey) => string,
  now: number,
): Metadata<Root> {
  const root = staged.root ?? state.root;
  if (root === undefined)
    throw new ClientError('trust', 'there is no root: `stele trust stage` makes one from the plan');
  if (staged.root !== undefined && !isSameVersion(staged.root, state.root)) {
    const next = (state.root?.signed.version ?? 0) + 1;
    const { version } = staged.root.signed;
    if (version !== next) {
      throw new ClientError(
        'trust',
        `the staged root is version ${version}, and version ${next} comes next: run \`stele trust stage\``,
      );
    }
    if (state.root !== undefined) checkSigned(state.root.signed, 'root', staged.root, nameOf);
    checkSigned(staged.root.signed, 'root', staged.root, nameOf);
    const odd = [...staged.root.signed.keys.values()].find(({ info }) => info === undefined);
    if (odd !== undefined)
      throw new ClientError(
        'trust',
        `the staged root has the key ${odd.keyid} of a kind that clients do not share: Ed25519 and P-256 are taken`,
      );
    if (!staged.root.signed.consistentSnapshot)
      throw new ClientError('trust', 'the staged root has no consistent snapshots, which this repository publishes');
  }
  checkNotExpired('root', root, now);
  // A root with this content is public: its file is the one that counts.
  return isSameVersion(root, state.root) ? state.root! : root;
}

/** Whether clients with this root take the metadata, as far as signatures say it. */
function isValidUnder(
  root: Root,
  set: {
    readonly targets?: Metadata<Targets> | undefined;
    readonly roles?: ReadonlyMap<string, Metadata<Targets>>;
    readonly snapshot: Metadata<Snapshot> | undefined;
    readonly timestamp: Metadata<Timestamp> | undefined;
  },
): boolean {
  const { snapshot, timestamp, targets = set.roles?.get('targets') } = set;
  // Nothing is published that could become invalid.
  if (timestamp === undefined || snapshot === undefined || targets === undefined) return true;
  try {
    checkSigned(root, 'timestamp', timestamp);
    checkSigned(root, 'snapshot', snapshot);
    checkSigned(root, 'targets', targets);
    return true;
  } catch {
    return false;
  }
}

function versionOf(role: string, { signed, bytes }: Metadata): NewVersion {
  return { role, version: signed.version, expires: signed.expires, bytes };
}

async function removeStaged(store: RepositoryStore, { root, roles }: StagedState): Promise<void> {
  await store.removeStaged([...(root === undefined ? [] : ['root']), ...roles.keys()]);
  if ((await store.stagedRoles()).length === 0) await store.clearStagedTargets();
}
