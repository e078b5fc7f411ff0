/**
 * The operator's commands, whether the witness is running or not: where a process owns the data directory, its admin port
 * does the work.
 */

import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { decodeUtf8 } from '../merkle/bytes.ts';
import { type EvidenceFinding, MAX_EVIDENCE, parseEvidence, verifyEvidence } from '../merkle/evidence.ts';
import { formatVerifierKey } from '../merkle/note.ts';
import { fastSha256 } from '../merkle/runtime/crypto/hash.ts';
import { nodePrimitives } from '../merkle/runtime/crypto/verify.ts';
import { isThere, readFileIfThere } from '../merkle/runtime/disk/files.ts';
import { lockDir, readOwner } from '../merkle/runtime/disk/lock.ts';
import { RuntimeError } from '../merkle/runtime/runtime-errors.ts';
import type { Config } from './config.ts';
import { WitnessError } from './errors.ts';
import { layout } from './identity.ts';
import { type Listing, listLogs } from './listing.ts';
import { Logs } from './logs.ts';
import { WitnessStore } from './store.ts';

/** Witnesses a log, or one more key of it. Resolves with its origin. Throws `WitnessError` and `RuntimeError`. */
export function addLog(config: Config, vkey: string, url?: string): Promise<{ origin: string }> {
  return offlineOr(
    config.data,
    async () => ({ origin: (await (await Logs.open(config.logs)).add(vkey, url)).origin }),
    (admin) => admin('POST', '/logs/add', { vkey, ...(url !== undefined && { url }) }),
  );
}

/** Stops witnessing a log or one of its keys; what was cosigned is remembered. Resolves with the keys. */
export function disableLog(config: Config, log: string): Promise<{ disabled: string[] }> {
  return offlineOr(
    config.data,
    async () => ({ disabled: await (await Logs.open(config.logs)).disable(log) }),
    (admin) => admin('POST', '/logs/disable', { log }),
  );
}

export function listKnownLogs(config: Config): Promise<{ logs: Listing[] }> {
  return offlineOr(
    config.data,
    async () => {
      const logs = await Logs.open(config.logs);
      const dir = layout.store(config.data);
      // Before the first start there is none, and a lost one must stay missing.
      const store = (await isThere(dir)) ? await WitnessStore.open(dir, false) : undefined;
      try {
        return { logs: listLogs(logs, store) };
      } finally {
        await store?.close();
      }
    },
    (admin) => admin('GET', '/logs'),
  );
}

/** What a file of evidence shows. */
export interface EvidenceReport {
  readonly origin: string;
  readonly kind: EvidenceFinding['kind'];
  readonly firstSize: number;
  readonly secondSize: number;
  /** Keys that signed; whether they are the log's is for the reader to know. */
  readonly keys: readonly string[];
}

/** Checks a file of evidence. Throws `WitnessError` `config` where it is not there, `MerkleError` where it does not hold. */
export async function checkEvidence(file: string): Promise<EvidenceReport> {
  const bytes = await readFileIfThere(file, MAX_EVIDENCE);
  if (bytes === undefined) throw new WitnessError('config', `${file} is not there.`);
  const evidence = parseEvidence(bytes);
  const { origin, kind, firstSize, secondSize, firstKeys, secondKeys } = verifyEvidence(
    evidence,
    nodePrimitives,
    fastSha256,
  );
  const keys = [...new Set([...firstKeys, ...secondKeys].map(formatVerifierKey))];
  return { origin, kind, firstSize, secondSize, keys };
}

type Admin = <T>(method: 'GET' | 'POST', path: string, body?: object) => Promise<T>;

async function offlineOr<T>(dir: string, offline: () => Promise<T>, online: (admin: Admin) => Promise<T>): Promise<T> {
  let release: (() => Promise<void>) | undefined;
  try {
    ({ release } = await lockDir(dir));
  } catch (error) {
    if (!(error instanceof RuntimeError && error.code === 'locked')) throw error;
    const url = (await readOwner(dir))?.admin;
    if (url === undefined) throw error;
    return await online((method, path, body) => callAdmin(dir, url, method, path, body));
  }
  try {
    return await offline();
  } finally {
    await release();
  }
}

async function callAdmin<T>(dir: string, admin: string, method: string, path: string, body?: object): Promise<T> {
  const token = await readFileIfThere(layout.adminToken(dir), 1024);
  const authorization = `Bearer ${decodeUtf8(token ?? new Uint8Array()).trim()}`;
  const payload = body === undefined ? '' : JSON.stringify(body);
  const reply = await send(new URL(path, admin), method, authorization, payload);
  if (reply.status === 200) return JSON.parse(reply.text) as T;
  let message: unknown;
  try {
    ({ message } = JSON.parse(reply.text) as { message?: unknown });
  } catch {
    message = reply.status;
  }
  throw new WitnessError(reply.status === 400 ? 'logs' : 'not-running', String(message ?? reply.status));
}

async function send(url: URL, method: string, authorization: string, body: string) {
  try {
    const json = body === '' ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const call = request(url, { method, headers: { authorization, ...json }, timeout: 30_000 }).end(body);
    const [reply] = (await once(call, 'response')) as [IncomingMessage];
    return { status: reply.statusCode ?? 0, text: await text(reply) };
  } catch (cause) {
    throw new WitnessError(
      'not-running',
      `the running witness's admin port at ${url.origin} does not answer. Run this on the machine where the witness runs.`,
      { cause },
    );
  }
}
