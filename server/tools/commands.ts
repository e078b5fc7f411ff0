/**
 * The operator's commands on a data directory, whether its log is running or not: where another process owns the
 * directory, the admin port of that process does the work.
 */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { decodeUtf8 } from '../../merkle/bytes.ts';
import { parseVerifierKey } from '../../merkle/note.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { readFileIfThere } from '../../merkle/runtime/disk/files.ts';
import { lockDir, readOwner } from '../../merkle/runtime/disk/lock.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import type { Config } from '../config/load.ts';
import { type Identity, readIdentity } from '../dir/identity.ts';
import { layout, openDirStores } from '../dir/layout.ts';
import { ServerError } from '../errors.ts';
import type { Logger } from '../log/log.ts';
import { openLog } from '../open.ts';
import { CommittedTree } from '../tree/committed.ts';
import { openPublished } from '../tree/published.ts';
import { backupTree, exportTree } from './backup.ts';
import type { OnProgress } from './copy.ts';

export interface CommandOptions {
  readonly config: Config;
  readonly logger: Logger;
  /** Only where no other process does the work. */
  readonly onProgress?: OnProgress;
}

/** Freezes the log for ever and resolves with its last checkpoint. Run again, it goes on where it was cut off. */
export async function freezeLog({ config, logger }: CommandOptions): Promise<{ checkpoint: string }> {
  return await offlineOr(
    config.data,
    async () => {
      await existing(config.data);
      const opened = await openLog({ config, logger, onFatal: () => {} });
      try {
        return { checkpoint: await opened.log.freeze() };
      } finally {
        await opened.close();
      }
    },
    (admin) => admin('/freeze', {}),
  );
}

/** Copies the log into `dir`, empty or missing; resolves with the number of entries copied. */
export async function backupLog(dir: string, options: CommandOptions): Promise<{ size: number }> {
  const { config, onProgress } = options;
  return await offlineOr(
    config.data,
    () =>
      withTree(config.data, async (tree, checkpoint, { copy: _, ...identity }) => ({
        size: await backupTree(dir, tree, checkpoint, identity, onProgress),
      })),
    (admin) => admin('/backup', { dir: resolve(dir) }),
  );
}

/** Writes the published tree into `dir` as static files; resolves with its size. */
export async function exportLog(dir: string, options: CommandOptions): Promise<{ size: number }> {
  const { config, onProgress } = options;
  return await offlineOr(
    config.data,
    () =>
      withTree(config.data, async (tree, checkpoint, identity) => {
        const reader = await publishedReader(tree, identity);
        return { size: await exportTree(dir, reader, tree.tileStore(), checkpoint, onProgress) };
      }),
    (admin) => admin('/export', { dir: resolve(dir) }),
  );
}

async function publishedReader(tree: CommittedTree, identity: Identity) {
  const keys = identity.verifierKeys.map(parseVerifierKey);
  const published = await openPublished(tree, { origin: identity.origin, keys });
  return published!.reader;
}

async function withTree<T>(
  dir: string,
  work: (tree: CommittedTree, checkpoint: string, identity: Identity) => Promise<T>,
): Promise<T> {
  const lock = await lockDir(dir);
  try {
    const identity = await existing(dir);
    const stores = await openDirStores(dir);
    let tree: CommittedTree | undefined;
    try {
      tree = await CommittedTree.open(stores, fastSha256);
      const note = await tree.getCheckpoint();
      if (note === undefined)
        throw new ServerError('corrupt', `${dir} has no published checkpoint. Start the log once.`);
      return await work(tree, decodeUtf8(note), identity);
    } finally {
      if (tree === undefined) await Promise.allSettled([stores.tiles.close(), stores.state.close()]);
      await tree?.close();
    }
  } finally {
    await lock.release();
  }
}

async function existing(dir: string): Promise<Identity> {
  const identity = await readIdentity(dir);
  if (identity !== undefined) return identity;
  throw new ServerError('config', `${dir} holds no log. Name its data directory with --data or --config.`);
}

type Admin = <T>(path: string, body: object) => Promise<T>;

async function offlineOr<T>(dir: string, offline: () => Promise<T>, online: (admin: Admin) => Promise<T>): Promise<T> {
  // Taking the lock would make the directory: a mistyped name must not.
  await existing(dir);
  try {
    return await offline();
  } catch (error) {
    if (!(error instanceof RuntimeError && error.code === 'locked')) throw error;
    const url = (await readOwner(dir))?.admin;
    if (url === undefined) throw error;
    return await online((path, body) => callAdmin(dir, url, path, body));
  }
}

async function callAdmin<T>(dir: string, url: string, path: string, body: object): Promise<T> {
  const token = await readFileIfThere(layout.adminToken(dir), 1024);
  const authorization = `Bearer ${decodeUtf8(token ?? new Uint8Array()).trim()}`;
  const reply = await post(new URL(path, url), authorization, JSON.stringify(body));
  const answer = parse(reply.text);
  if (reply.status === 200) return answer as T;
  throw new ServerError('config', `the running log refused ${path}: ${String(answer.message ?? reply.status)}`);
}

/** Not `fetch`: it gives up when no answer comes in five minutes, and a large backup takes longer. */
async function post(url: URL, authorization: string, body: string): Promise<{ status: number; text: string }> {
  try {
    const headers = { authorization, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const call = request(url, { method: 'POST', headers }).end(body);
    const [reply] = (await once(call, 'response')) as [IncomingMessage];
    return { status: reply.statusCode ?? 0, text: await text(reply) };
  } catch (cause) {
    throw new ServerError(
      'config',
      `the running log's admin port at ${url.origin} does not answer. Run this on the machine where the log runs.`,
      { cause },
    );
  }
}

function parse(json: string): { message?: unknown } {
  try {
    return (JSON.parse(json) as { message?: unknown } | null) ?? {};
  } catch {
    return {};
  }
}
