/**
 * Where the trust files of a rotation go: a TUF repository, from which clients learn of them, or a directory.
 *
 * Each call can be repeated after a crash anywhere in it: it compares what is there with what should be.
 */
import { join } from 'node:path';
import { encodeUtf8, equal } from '../../../merkle/bytes.ts';
import { makeDirDurable, readFileIfThere } from '../../../merkle/runtime/disk/files.ts';
import { openSigner } from '../../../merkle/runtime/keys/open-signer.ts';
import type { KeySpec, Signer } from '../../../merkle/runtime/keys/types.ts';
import { ClientError } from '../../errors.ts';
import { lastCheckpointFile, SIGNING_CONFIG_FILE } from '../../trust/trust-files.ts';
import { MAX_TRUSTED_ROOT } from '../../trust/trusted-root.ts';
import { publish } from '../../trust/tuf/publish.ts';
import { isSameVersion, readPublicState, readStagedState } from '../../trust/tuf/repository-state.ts';
import { statusOf } from '../../trust/tuf/repository-status.ts';
import { RepositoryStore } from '../../trust/tuf/repository-store.ts';
import { signStaged } from '../../trust/tuf/staged-signing.ts';
import { stageTargets } from '../../trust/tuf/staging.ts';
import { calledAs, shellWord } from '../called-as.ts';
import { writeWhole } from '../files.ts';

interface TextFile {
  readonly name: string;
  readonly text: string;
}

/** What keeps the files from clients. */
export interface Waiting {
  readonly for: 'signatures' | 'publication';
  /** What a person must do, in sentences and commands. */
  readonly todo: readonly string[];
}

export interface TrustPlace {
  /** For people. */
  readonly name: string;
  /** @throws ClientError `trust`, `file` where the files cannot go there */
  check(): Promise<void>;
  /** A file that clients get now. */
  read(name: string): Promise<Uint8Array | undefined>;
  /** Undefined where clients get all of the files. */
  put(files: readonly TextFile[], now: number): Promise<Waiting | undefined>;
}

/** A directory that its operator publishes as it is. */
export function trustDirectory(dir: string): TrustPlace {
  const read = (name: string) => readFileIfThere(join(dir, name), MAX_TRUSTED_ROOT);
  return {
    name: dir,
    check: async () => {},
    read,
    put: async (files) => {
      await makeDirDurable(dir);
      // A client must not be sent to a log whose key it does not find.
      const last = ({ name }: TextFile) => (name === SIGNING_CONFIG_FILE || name === 'log.vkey' ? 1 : 0);
      for (const { name, text } of [...files].sort((a, b) => last(a) - last(b))) {
        const bytes = encodeUtf8(text);
        const there = await read(name);
        if (there === undefined || !equal(there, bytes)) await writeWhole(join(dir, name), bytes);
      }
      return undefined;
    },
  };
}

interface RepositoryKeys {
  /** Keys of holders that sign targets. */
  readonly targets: readonly KeySpec[];
  /** The keys of snapshot and timestamp. */
  readonly online: readonly KeySpec[];
}

/** A TUF repository of one's own (trust/tuf/repository-store.ts). */
export function trustRepository(dir: string, keys: RepositoryKeys): TrustPlace {
  const store = new RepositoryStore(dir);
  return {
    name: dir,
    check: () => checkRepository(store),
    read: (name) => store.locked(() => readTarget(store, name)),
    put: async (files, now) => {
      const all = files.map(({ name, text }) => ({ name, bytes: encodeUtf8(text) }));
      const changed: typeof all = [];
      for (const file of all) {
        const there = await store.locked(() => readTarget(store, file.name));
        if (there === undefined || !equal(there, file.bytes)) changed.push(file);
      }
      if (changed.length === 0 && !(await isStaged(store))) return undefined;
      // All of them: what an earlier run staged may differ in a file that is published as it should be.
      await stageTargets(dir, { files: all }, now);
      await withSigners(keys.targets, async (signers) => {
        for (const signer of signers) await signStaged(dir, signer, 'targets');
      });
      return (await missingSignatures(dir, now)) ?? (await publishTargets(dir, keys.online, now));
    },
  };
}

const OURS = [
  'log.vkey',
  'policy',
  'monitor.yaml',
  'trusted_root.json',
  'trusted_root.v0.2.json',
  'monitor_config.json',
];

function isOurs(name: string): boolean {
  return (
    OURS.includes(name) ||
    name === SIGNING_CONFIG_FILE ||
    name.endsWith('.vkey') ||
    name.endsWith(lastCheckpointFile(''))
  );
}

/** What a holder signs is what is staged: other changes would be published with the rotation. @throws ClientError `trust` */
async function checkRepository(store: RepositoryStore): Promise<void> {
  const foreign = await store.locked(async () => {
    const [state, staged] = [await readPublicState(store), await readStagedState(store)];
    if (state.timestamp === undefined) {
      throw new ClientError('trust', `${store.dir} has published nothing yet: \`${calledAs()} trust publish\` does so`);
    }
    const roles = [...staged.roles].filter(([role, metadata]) => !isSameVersion(metadata, state.roles.get(role)));
    const others = roles.map(([role]) => role).filter((role) => role !== 'targets');
    if (staged.root !== undefined && !isSameVersion(staged.root, state.root)) others.unshift('root');
    const [before, after] = [state.roles.get('targets')?.signed, staged.roles.get('targets')?.signed];
    if (after === undefined) return others;
    const same = (value: unknown, other: unknown) => JSON.stringify(value ?? null) === JSON.stringify(other ?? null);
    if (!same(before?.json.delegations, after.json.delegations)) others.push('the delegations of targets');
    const [was, is] = [before, after].map(
      (signed) => (signed?.json.targets ?? {}) as Readonly<Record<string, unknown>>,
    );
    const names = new Set([...Object.keys(was!), ...Object.keys(is!)]);
    return [...others, ...[...names].filter((name) => !isOurs(name) && !same(was![name], is![name]))];
  });
  if (foreign.length === 0) return;
  throw new ClientError(
    'trust',
    `${store.dir} has other changes staged, which the rotation would publish: ${foreign.join(', ')}. Publish or drop them first ` +
      `(\`${calledAs()} trust status ${shellWord(store.dir)}\` shows them)`,
  );
}

async function readTarget(store: RepositoryStore, name: string): Promise<Uint8Array | undefined> {
  const { roles } = await readPublicState(store);
  const file = roles.get('targets')?.signed.targets.get(name);
  return file && (await store.readPublicTarget(name, file.hashes.get('sha256')!));
}

/** Whether targets are staged that are not published. */
async function isStaged(store: RepositoryStore): Promise<boolean> {
  return await store.locked(async () => {
    const staged = (await readStagedState(store)).roles.get('targets');
    return staged !== undefined && !isSameVersion(staged, (await readPublicState(store)).roles.get('targets'));
  });
}

async function missingSignatures(dir: string, now: number): Promise<Waiting | undefined> {
  const staged = (await statusOf(dir, now)).roles.find(({ role }) => role === 'targets')?.staged;
  if (staged === undefined || staged.complete) return undefined;
  const needed = staged.needed.filter(({ complete }) => !complete);
  return {
    for: 'signatures',
    todo: [
      ...needed.map(
        ({ signed, threshold, missing }) =>
          `${threshold} holders must sign the targets, and ${signed.length} have: the others are ${missing.join(', ')}`,
      ),
      `each of them: ${calledAs()} trust sign ${shellWord(dir)} --role targets --key KEY.pem (elsewhere: a copy of ${shellWord(join(dir, 'staged', 'targets.json'))})`,
    ],
  };
}

/** With the online keys at hand it publishes; without them the holder of the keys must. */
async function publishTargets(dir: string, online: readonly KeySpec[], now: number): Promise<Waiting | undefined> {
  if (online.length === 0) {
    return {
      for: 'publication',
      todo: [`with the online key: ${calledAs()} trust publish ${shellWord(dir)} --role targets --key KEY.pem`],
    };
  }
  await withSigners(online, (signers) => publish(dir, { online: signers, now, roles: ['targets'] }));
  return undefined;
}

async function withSigners<T>(keys: readonly KeySpec[], work: (signers: readonly Signer[]) => Promise<T>): Promise<T> {
  const signers: Signer[] = [];
  try {
    for (const key of keys) signers.push(await openSigner(key));
    return await work(signers);
  } finally {
    await Promise.all(signers.map((signer) => signer.close()));
  }
}
