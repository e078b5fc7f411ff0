/** What a repository has published, and what is staged in it, as values. */
import { equal } from '../../../merkle/bytes.ts';
import { ClientError } from '../../errors.ts';
import {
  type Metadata,
  type Root,
  readRoot,
  readSnapshot,
  readTargets,
  readTimestamp,
  type Snapshot,
  type Targets,
  type Timestamp,
} from './metadata.ts';
import { atOnce, type RepositoryStore } from './repository-store.ts';
import { metadataFileName } from './role.ts';
import { checkSigned } from './threshold.ts';

export interface PublicState {
  /** The newest root of the chain; undefined before the first publication. */
  readonly root: Metadata<Root> | undefined;
  readonly timestamp: Metadata<Timestamp> | undefined;
  readonly snapshot: Metadata<Snapshot> | undefined;
  /** The targets roles that the snapshot names. */
  readonly roles: ReadonlyMap<string, Metadata<Targets>>;
  /** The versions of each role whose files are public, published or not, in order. */
  readonly versions: ReadonlyMap<string, readonly number[]>;
}

export interface StagedState {
  readonly root: Metadata<Root> | undefined;
  /** `targets` and delegated roles. */
  readonly roles: ReadonlyMap<string, Metadata<Targets>>;
}

/** @throws ClientError `trust` where public files are missing or contradict each other; `tuf-malformed`, `tuf-signatures` */
export async function readPublicState(store: RepositoryStore): Promise<PublicState> {
  const versions = await store.publicVersions();
  const root = await readRootChain(store, versions.get('root') ?? []);
  const roles = new Map<string, Metadata<Targets>>();
  const bytes = await store.readPublic('timestamp', 0);
  if (bytes === undefined) {
    // One version of each is what a first publication leaves that ended before its timestamp.
    const newest = Math.max(...['root', 'snapshot'].map((role) => versions.get(role)?.at(-1) ?? 0));
    if (newest > 1) throw damaged(store, 'timestamp.json is missing, whose versions must not begin again');
    return { root, timestamp: undefined, snapshot: undefined, roles, versions };
  }
  const timestamp = whole(store, 'timestamp.json', (name) => readTimestamp(bytes, name));
  const read = async (role: string, version: number): Promise<Uint8Array> => {
    const file = await store.readPublic(role, version);
    if (file !== undefined) return file;
    throw damaged(store, `timestamp.json leads to version ${version} of "${role}", whose file is not there`);
  };
  const listed = timestamp.signed.snapshot.version;
  const file = await read('snapshot', listed);
  const snapshot = whole(store, metadataFileName('snapshot', listed), (name) => readSnapshot(file, name));
  await atOnce(snapshot.signed.meta, async ([role, { version }]) => {
    if (role === 'root') return;
    const metadata = await read(role, version);
    roles.set(
      role,
      whole(store, metadataFileName(role, version), (name) => readTargets(metadata, name)),
    );
  });
  return { root, timestamp, snapshot, roles, versions };
}

/** @throws ClientError `tuf-malformed`, with the name of the file */
export async function readStagedState(store: RepositoryStore): Promise<StagedState> {
  let root: Metadata<Root> | undefined;
  const roles = new Map<string, Metadata<Targets>>();
  await atOnce(await store.stagedRoles(), async (role) => {
    const bytes = await store.readStaged(role);
    if (bytes === undefined) return;
    if (role === 'root') root = readRoot(bytes, 'staged/root.json');
    else roles.set(role, readTargets(bytes, `staged/${role}.json`));
  });
  return { root, roles };
}

/** The version that comes next: no file of an earlier one is there, published or not. @throws ClientError `trust` behind 2^53 - 1 */
export function nextVersion({ versions }: Pick<PublicState, 'versions'>, role: string): number {
  const newest = versions.get(role)?.at(-1) ?? 0;
  if (newest < Number.MAX_SAFE_INTEGER) return newest + 1;
  const why = `public/${metadataFileName(role, newest)} has the last version that there can be`;
  throw new ClientError('trust', `${why}: remove the file if it was never published`);
}

/** Whether a staged root is the newest public one: a publication put it there, and ended before it removed the staged file. */
export function isSameVersion(a: Metadata | undefined, b: Metadata | undefined): boolean {
  return a !== undefined && b !== undefined && equal(a.signedBytes, b.signedBytes);
}

/** The newest root, when each root is signed by the keys of the one before (section 5.3.4). */
async function readRootChain(store: RepositoryStore, versions: readonly number[]): Promise<Metadata<Root> | undefined> {
  let last: Metadata<Root> | undefined;
  for (const [i, version] of versions.entries()) {
    if (version !== i + 1) throw damaged(store, `version ${i + 1} of the root is missing`);
    const bytes = (await store.readPublic('root', version))!;
    const root = whole(store, `${version}.root.json`, (name) => readRoot(bytes, name));
    if (root.signed.version !== version) throw damaged(store, `${version}.root.json holds another version`);
    if (last !== undefined) checkSigned(last.signed, 'root', root);
    checkSigned(root.signed, 'root', root);
    last = root;
  }
  return last;
}

/** What `read` makes of a public file. @throws ClientError `tuf-malformed`, which says where to get the file again */
function whole<T>(store: RepositoryStore, name: string, read: (name: string) => T): T {
  try {
    return read(name);
  } catch (error) {
    if (!(error instanceof ClientError) || error.code !== 'tuf-malformed') throw error;
    const why = `${store.public} is damaged: ${error.message}`;
    throw new ClientError(error.code, `${why}. Bring the file back from a mirror or a backup`, { cause: error });
  }
}

function damaged(store: RepositoryStore, why: string): ClientError {
  return new ClientError('trust', `${store.public} is damaged: ${why}. Bring the file back from a mirror or a backup`);
}
