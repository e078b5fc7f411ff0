/**
 * The TUF repository of `stele up`: `trust-repository/` in the log's data directory, which the log serves below `/trust/`. All
 * of its keys are on this machine, in its `keys/`: root.pem, targets.pem, and online.pem for snapshot and timestamp. So it needs
 * no ceremony, and protects nobody from the operator of this machine. Its root expires in 90 days. Each start renews what
 * nears its end, and brings the targets up to date.
 */
import { join } from 'node:path';
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import { isThere, makeDirDurable, readFileIfThere } from '../../../merkle/runtime/disk/files.ts';
import { createKeyFile } from '../../../merkle/runtime/keys/keyfile.ts';
import { openSigner } from '../../../merkle/runtime/keys/open-signer.ts';
import type { Signer } from '../../../merkle/runtime/keys/types.ts';
import { ClientError } from '../../errors.ts';
import { DAY, DEFAULT_EXPIRY, type TrustPlan } from '../../trust/tuf/plan.ts';
import { publish } from '../../trust/tuf/publish.ts';
import { RepositoryStore } from '../../trust/tuf/repository-store.ts';
import { metadataFileName, TUF_LIMITS } from '../../trust/tuf/role.ts';
import { servedRoles } from '../../trust/tuf/serve/served-roles.ts';
import { signStaged } from '../../trust/tuf/staged-signing.ts';
import { initRepository, restage, stageTargets } from '../../trust/tuf/staging.ts';
import { hexSha256, tufKey } from '../../trust/tuf/tuf-key.ts';

const HOLDERS = ['root', 'targets', 'online'] as const;
type Holder = (typeof HOLDERS)[number];
type Signers = Readonly<Record<Holder, Signer>>;

const ROOT_LIFE = 90 * DAY;

export interface UpTrust {
  readonly directory: string;
  /** File of the newest root. */
  readonly root: string;
  /** SHA-256 of that file, in hex. */
  readonly rootSha256: string;
  /** Milliseconds since 1970. */
  readonly rootExpires: number;
}

export function upTrustDir(data: string): string {
  return join(data, 'trust-repository');
}

/** The key file of a holder of the repository in `directory`. */
export function upTrustKey(directory: string, holder: Holder): string {
  return join(directory, 'keys', `${holder}.pem`);
}

/** Opens the keys of a repository that was published. @throws ClientError `file`, RuntimeError `key-…` */
export async function checkUpTrust(directory: string): Promise<void> {
  if (await hasBegun(directory)) await closeAll(await openKeys(directory));
}

/**
 * Makes the repository where there is none, goes on where a crash cut that off, and publishes what is new: targets that
 * changed, and a new version of root and targets where they near their end.
 *
 * @param files targets; others that the repository has stay
 * @param now milliseconds since 1970
 * @throws ClientError, RuntimeError
 */
export async function publishUpTrust(
  directory: string,
  files: readonly { readonly name: string; readonly text: string }[],
  now: number,
): Promise<UpTrust> {
  const begun = await hasBegun(directory);
  if (!begun) await makeKeys(directory);
  const signers = await openKeys(directory);
  try {
    if (!(await isThere(join(directory, 'plan.yaml')))) await initRepository(directory, planOf(signers), now);
    await restage(directory, now, begun ? await due(directory, now) : []);
    const targets = files.map(({ name, text }) => ({ name, bytes: encodeUtf8(text) }));
    await stageTargets(directory, { files: targets }, now);
    // Also what a start before this one has staged, and did not come to sign.
    const staged = await new RepositoryStore(directory).stagedRoles();
    for (const role of ['root', 'targets'] as const) {
      if (staged.includes(role)) await signStaged(directory, signers[role], role);
    }
    await publish(directory, { online: [signers.online], now });
  } finally {
    await closeAll(signers);
  }
  const [root] = await servedRoles(directory, now);
  const file = join(directory, 'public', metadataFileName('root', root!.version));
  const bytes = await readFileIfThere(file, TUF_LIMITS.file.root);
  return { directory, root: file, rootSha256: hexSha256(bytes!), rootExpires: root!.expires };
}

async function hasBegun(directory: string): Promise<boolean> {
  return await isThere(join(directory, 'public', 'timestamp.json'));
}

async function makeKeys(directory: string): Promise<void> {
  await makeDirDurable(join(directory, 'keys'), { mode: 0o700 });
  for (const holder of HOLDERS) {
    const file = upTrustKey(directory, holder);
    if (!(await isThere(file))) await createKeyFile(file, 'ed25519');
  }
}

/** @throws RuntimeError `key-…`; ClientError `file` where one is missing */
async function openKeys(directory: string): Promise<Signers> {
  const opened: Partial<Record<Holder, Signer>> = {};
  try {
    for (const holder of HOLDERS) {
      const file = upTrustKey(directory, holder);
      if (!(await isThere(file))) {
        throw new ClientError(
          'file',
          `the key ${file} is missing: put it back. Without it \`stele up\` cannot keep ${directory} fresh; remove that directory ` +
            'to begin with a new repository, which those who followed the old one do not trust',
        );
      }
      opened[holder] = await openSigner({ file });
    }
    return opened as Signers;
  } catch (error) {
    await closeAll(opened);
    throw error;
  }
}

async function closeAll(signers: Partial<Signers>): Promise<void> {
  for (const signer of Object.values(signers)) await signer.close();
}

function planOf(signers: Signers): TrustPlan {
  const role = (holder: Holder, expires: number) => ({ holders: [holder], threshold: 1, expires });
  return {
    holders: new Map(HOLDERS.map((holder) => [holder, tufKey(signers[holder].publicKey)])),
    root: role('root', ROOT_LIFE),
    targets: role('targets', DEFAULT_EXPIRY.targets),
    snapshot: role('online', DEFAULT_EXPIRY.snapshot),
    timestamp: role('online', DEFAULT_EXPIRY.timestamp),
    delegations: [],
  };
}

/** Root and targets where they near their end, or are past it. */
async function due(directory: string, now: number): Promise<string[]> {
  const roles = await servedRoles(directory, now);
  const offline = roles.filter(({ name }) => name === 'root' || name === 'targets');
  return offline.filter(({ validity }) => validity !== 'valid').map(({ name }) => name);
}
