/**
 * The files of a repository on its operator's machine.
 *
 *   plan.yaml                who holds keys, thresholds, periods, delegations
 *   staged/ROLE.json         the next version of a role's metadata, while holders sign it
 *   staged/targets/NAME      targets that the staged metadata name
 *   public/                  what a mirror serves: N.root.json, timestamp.json, N.snapshot.json, N.targets.json, N.ROLE.json
 *   public/targets/          targets as DIR/HASH.NAME
 *
 * A file of `public` with a version or a hash in its name never changes.
 */
import { dirname, join } from 'node:path';
import { encodeUtf8, equal } from '../../../merkle/bytes.ts';
import {
  linkFilesDurable,
  makeDirDurable,
  makeManyDirsBelow,
  namesIn,
  readFileIfThere,
  removeFiles,
  removeLeftovers,
  removeTree,
  writeFileDurable,
  writeFilesDurable,
} from '../../../merkle/runtime/disk/files.ts';
import { sizeOfFileSync } from '../../../merkle/runtime/disk/files-sync.ts';
import { lockOnceFree } from '../../../merkle/runtime/disk/lock.ts';
import { ClientError } from '../../errors.ts';
import type { TrustPlan } from './plan.ts';
import { formatPlan, readPlan } from './plan-config.ts';
import { isTopLevelRole, metadataFileName, TUF_LIMITS, targetFileName } from './role.ts';
import { hexSha256 } from './tuf-key.ts';

interface NamedFile {
  /** Below `public`. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

const READS_AT_ONCE = 32;

export class RepositoryStore {
  readonly dir: string;
  readonly public: string;
  readonly staged: string;

  constructor(dir: string) {
    this.dir = dir;
    this.public = join(dir, 'public');
    this.staged = join(dir, 'staged');
  }

  /**
   * Runs `work` while no other process changes the repository. Waits while another one does: `stele trust serve` takes the
   * repository for a moment now and then.
   * @param isNew the repository is made now
   * @throws ClientError `trust` where there is no repository; RuntimeError `locked`, `file`
   */
  async locked<T>(work: () => Promise<T>, isNew = false): Promise<T> {
    if (!isNew && !(await this.isThere())) {
      const why = `${this.dir} is no TUF repository: it has no plan.yaml. \`stele trust init\` makes one`;
      throw new ClientError('trust', why);
    }
    const lock = await lockOnceFree(this.dir);
    try {
      if (!isNew) await this.#checkPublic();
      const dirs = [this.staged, this.public];
      for (const dir of dirs.flatMap((one) => [one, join(one, 'targets')])) await makeDirDurable(dir);
      // A crash leaves temporary files behind, and a mirror must not serve them.
      for (const dir of dirs) await removeLeftovers(dir, { recursive: true });
      return await work();
    } finally {
      await lock.release();
    }
  }

  /**
   * `public/targets` is made before the plan is written, and stays. Without the files of `public`, versions would begin at 1
   * again, and clients would refuse them.
   * @throws ClientError `trust`
   */
  async #checkPublic(): Promise<void> {
    if ((await namesIn(this.public)).length > 0) return;
    throw new ClientError(
      'trust',
      `${this.public} is gone or empty. The versions of the repository would begin again, and clients would refuse them: ` +
        `bring the directory back from a mirror or a backup. Where nothing was ever published, run ` +
        `\`mkdir -p ${join(this.public, 'targets')}\``,
    );
  }

  async isThere(): Promise<boolean> {
    return (await namesIn(this.dir)).includes('plan.yaml');
  }

  plan(): TrustPlan {
    return readPlan(join(this.dir, 'plan.yaml'));
  }

  async writePlan(plan: TrustPlan): Promise<void> {
    await writeFileDurable(join(this.dir, 'plan.yaml'), encodeUtf8(formatPlan(plan)));
  }

  // Staged.

  stagedPath(role: string): string {
    return join(this.staged, `${role}.json`);
  }

  async stagedRoles(): Promise<string[]> {
    const names = await namesIn(this.staged);
    return names.filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -'.json'.length));
  }

  readStaged(role: string): Promise<Uint8Array | undefined> {
    return readFileIfThere(this.stagedPath(role), sizeLimit(role));
  }

  async writeStaged(roles: readonly { readonly role: string; readonly bytes: Uint8Array }[]): Promise<void> {
    await writeFilesDurable(roles.map(({ role, bytes }) => ({ path: this.stagedPath(role), bytes })));
  }

  async removeStaged(roles: readonly string[]): Promise<void> {
    await removeFiles(roles.map((role) => this.stagedPath(role)));
  }

  readStagedTarget(name: string): Promise<Uint8Array | undefined> {
    return readFileIfThere(join(this.staged, 'targets', name), TUF_LIMITS.target);
  }

  async writeStagedTargets(files: readonly NamedFile[]): Promise<void> {
    const root = join(this.staged, 'targets');
    const placed = await placesBelow(root, files);
    await writeFilesDurable(placed);
  }

  async clearStagedTargets(): Promise<void> {
    await removeTree(join(this.staged, 'targets'));
  }

  // Public.

  readPublic(role: string, version: number): Promise<Uint8Array | undefined> {
    return readFileIfThere(join(this.public, metadataFileName(role, version)), sizeLimit(role));
  }

  /** The versions of each role whose files are public, in order. */
  async publicVersions(): Promise<ReadonlyMap<string, readonly number[]>> {
    const versions = new Map<string, number[]>();
    for (const name of await namesIn(this.public)) {
      const [, version, role] = /^([1-9][0-9]{0,15})\.(.+)\.json$/.exec(name) ?? [];
      if (version === undefined || role === undefined) continue;
      const list = versions.get(role);
      if (list === undefined) versions.set(role, [Number(version)]);
      else list.push(Number(version));
    }
    for (const list of versions.values()) list.sort((a, b) => a - b);
    return versions;
  }

  /** Bytes of the target's file, or undefined where it is not public. */
  publicTargetSize(name: string, sha256: string): number | undefined {
    return sizeOfFileSync(join(this.public, 'targets', targetFileName(name, sha256)));
  }

  readPublicTarget(name: string, sha256: string): Promise<Uint8Array | undefined> {
    return readFileIfThere(join(this.public, 'targets', targetFileName(name, sha256)), TUF_LIMITS.target);
  }

  /** Makes staged targets public. @param files as `readStagedTarget` read them */
  async placeTargets(files: readonly NamedFile[]): Promise<void> {
    const places = files.map(({ name, bytes }) => ({ name: targetFileName(name, hexSha256(bytes)), bytes }));
    const placed = await placesBelow(join(this.public, 'targets'), places);
    await linkFilesDurable(placed.map((one, i) => ({ ...one, from: join(this.staged, 'targets', files[i]!.name) })));
  }

  /**
   * Makes versions of metadata public that are not yet. A staged file gets a second name: its bytes are durable.
   * @throws ClientError `trust` where a version is public with other bytes
   */
  async placeMetadata(
    files: readonly { readonly role: string; readonly version: number; readonly bytes: Uint8Array }[],
  ): Promise<void> {
    const names = new Set(await namesIn(this.public));
    const missing: { role: string; path: string; bytes: Uint8Array }[] = [];
    await atOnce(files, async ({ role, version, bytes }) => {
      const name = metadataFileName(role, version);
      const there = names.has(name) ? await this.readPublic(role, version) : undefined;
      if (there === undefined) missing.push({ role, path: join(this.public, name), bytes });
      else if (!equal(there, bytes)) {
        throw new ClientError(
          'trust',
          `${name} is public with other bytes, and a published version never changes: stage "${role}" again`,
        );
      }
    });
    const staged = new Set<string>();
    await atOnce(missing, async ({ role, bytes }) => {
      const there = await this.readStaged(role);
      if (there !== undefined && equal(there, bytes)) staged.add(role);
    });
    await linkFilesDurable(
      missing.filter(({ role }) => staged.has(role)).map((one) => ({ ...one, from: this.stagedPath(one.role) })),
    );
    await writeFilesDurable(missing.filter(({ role }) => !staged.has(role)));
  }

  /** The one file that is replaced; whoever reads it gets the old one or the new one. */
  async replaceTimestamp(bytes: Uint8Array): Promise<void> {
    await writeFileDurable(join(this.public, 'timestamp.json'), bytes);
  }
}

/** The paths of files below `root`, whose directories are there then. */
async function placesBelow(root: string, files: readonly NamedFile[]) {
  const placed = files.map(({ name, bytes }) => ({ path: join(root, name), bytes }));
  await makeManyDirsBelow(
    root,
    placed.map(({ path }) => dirname(path)),
  );
  return placed;
}

function sizeLimit(role: string): number {
  return isTopLevelRole(role) ? TUF_LIMITS.file[role] : TUF_LIMITS.file.targets;
}

/** Calls `work` for each item, for 32 of them at once. */
export async function atOnce<T>(items: Iterable<T>, work: (item: T) => Promise<void>): Promise<void> {
  const left = items[Symbol.iterator]();
  const rest: Iterable<T> = { [Symbol.iterator]: () => left };
  await Promise.all(
    Array.from({ length: READS_AT_ONCE }, async () => {
      for (const item of rest) await work(item);
    }),
  );
}
