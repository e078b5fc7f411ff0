/**
 * The logs that a configuration of Sigstore names over time. When a log is full, its operator freezes it and starts another
 * one. Two configurations name logs, and the trusted root has the key of each:
 *
 *   a monitor configuration     where monitors read (trust/monitor-config.ts); the trusted root has the log by its origin
 *   a signing configuration     where clients write (`dev.sigstore.trustroot.v1.SigningConfig`, v0.2, proto3 JSON); the
 *                               trusted root has the log under the same URL, unless its operator writes through another
 *
 *   { "rekorTlogUrls": [ { "url", "majorApiVersion": 2, "validFor": { "start", "end"? }, "operator" } ], … }
 *
 * Rekor's API v2 has the log's files below `/api/v2`.
 */

import type { VerifierKey } from '../../merkle/note.ts';
import { printable } from '../../merkle/printable.ts';
import { ClientError } from '../errors.ts';
import { array, parseJson, string } from '../formats/json.ts';
import { MAX_LAST_CHECKPOINT } from '../trust/last-checkpoint.ts';
import { rootVerifierKey } from '../trust/log-key.ts';
import { parseMonitoredLogs } from '../trust/monitor-config.ts';
import { MAX_SIGNING_CONFIG } from '../trust/signing-config.ts';
import { lastCheckpointFile } from '../trust/trust-files.ts';
import { MAX_TRUSTED_ROOT, parseTrustedRoot, type TrustedLog } from '../trust/trusted-root.ts';
import { openHead } from './signed-head.ts';
import type { FollowedLog, ShardSource, SignedHead } from './types.ts';

const MAX_LOGS = 64;
const API = '/api/v2';

/** Reads a small file, of at most `limit` bytes, at a path or URL. */
export type ReadLocation = (location: string, limit: number, signal?: AbortSignal) => Promise<Uint8Array>;

interface Shards {
  readonly logs: readonly FollowedLog[];
  /** Why a log that the configuration names is not in `logs`, a sentence each. */
  readonly unknown: readonly string[];
}

/**
 * The logs of version 2 of the API that may have entries by now.
 *
 * @param now milliseconds since 1970
 * @throws ClientError `malformed`, `monitor-config`, `trusted-root`: a file is not what it should be; what `read` throws
 */
export async function readShards(
  source: ShardSource,
  readAny: ReadLocation,
  now: number,
  signal?: AbortSignal,
): Promise<Shards> {
  const { read = readAny } = source;
  const [config, root] = await Promise.all([
    read(source.monitorConfig ?? source.signingConfig ?? '', MAX_SIGNING_CONFIG, signal),
    read(source.trustedRoot, MAX_TRUSTED_ROOT, signal),
  ]);
  const { tlogs } = parseTrustedRoot(root);
  const named = source.monitorConfig === undefined ? toWrite(config, tlogs, now) : toRead(config, tlogs);
  const logs = new Map<string, FollowedLog>();
  const unknown: string[] = [];
  for (const { url, keys } of named) {
    const [key] = keys;
    if (key === undefined) {
      const why = 'is not followed, as the trusted root has no key for it that can be used';
      unknown.push(`${source.name}: the log at ${printable(url)} ${why}`);
      continue;
    }
    const base = url.replace(/\/+$/, '');
    const location = base.endsWith(API) ? base : `${base}${API}`;
    const log = { origin: key.name, keys: keys.filter(({ name }) => name === key.name), location };
    const last = await lastCheckpoint(source, log, read, signal);
    logs.set(key.name, shardOf(source, { ...log, ...(last !== undefined && { last }) }));
  }
  return { logs: [...logs.values()], unknown };
}

/**
 * The last checkpoint of a log that is frozen; undefined of a log for which there is none.
 *
 * @throws ClientError `bad-checkpoint`: the log did not sign it; what `read` throws
 */
async function lastCheckpoint(
  { lastCheckpoints }: ShardSource,
  log: Pick<FollowedLog, 'origin' | 'keys'>,
  read: ReadLocation,
  signal: AbortSignal | undefined,
): Promise<SignedHead | undefined> {
  if (lastCheckpoints === undefined) return undefined;
  try {
    const file = `${lastCheckpoints}/${encodeURIComponent(lastCheckpointFile(log.origin))}`;
    return openHead(log, await read(file, MAX_LAST_CHECKPOINT, signal));
  } catch (error) {
    if (error instanceof ClientError && error.code === 'missing') return undefined;
    throw error;
  }
}

interface NamedLog {
  readonly url: string;
  readonly keys: readonly VerifierKey[];
}

function toWrite(config: Uint8Array, tlogs: readonly TrustedLog[], now: number): NamedLog[] {
  return urlsOf(config, now).map((url) => ({
    url,
    keys: tlogs.filter(({ baseUrl }) => isAt(baseUrl, url)).flatMap((log) => keyOf(log, url)),
  }));
}

/** Logs of other APIs are left out, and certificate-transparency logs: nothing here reads their entries. */
function toRead(config: Uint8Array, tlogs: readonly TrustedLog[]): NamedLog[] {
  return parseMonitoredLogs(config)
    .rekorLogs.filter(({ majorApiVersion }) => majorApiVersion === 2)
    .map(({ readUrl: url, logOrigin }) => ({ url, keys: tlogs.flatMap((log) => rootVerifierKey(log, logOrigin)) }));
}

/** A log of this configuration, with what the settings ask of all its logs. */
export function shardOf(
  { policy, maxCheckpointAge, peers }: ShardSource,
  log: Pick<FollowedLog, 'origin' | 'keys' | 'location' | 'last'>,
): FollowedLog {
  return {
    ...log,
    shard: true,
    ...(policy !== undefined && { policy }),
    ...(maxCheckpointAge !== undefined && { maxCheckpointAge }),
    ...(peers !== undefined && { peers }),
  };
}

function urlsOf(bytes: Uint8Array, now: number): string[] {
  const config = parseJson(bytes, 'the signing configuration', MAX_SIGNING_CONFIG);
  // Not `object` of json.ts: a newer configuration may have more members.
  const { rekorTlogUrls } = fields(config, 'the signing configuration');
  return array(rekorTlogUrls, 'rekorTlogUrls', MAX_LOGS).flatMap((item, i) => {
    const { url, majorApiVersion, validFor } = fields(item, `rekorTlogUrls[${i}]`);
    if (majorApiVersion !== 2) return [];
    const { start } = fields(validFor ?? {}, `rekorTlogUrls[${i}].validFor`);
    const begins = start === undefined ? 0 : Date.parse(string(start, `rekorTlogUrls[${i}].validFor.start`));
    // A log whose time has ended counts too: a consumer may not have read its last entries.
    return begins > now ? [] : [string(url, `rekorTlogUrls[${i}].url`)];
  });
}

function fields(value: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new ClientError('malformed', `${what} is not an object`);
}

/** Whether a log of the trusted root is at `url`. Its address may have no scheme. */
function isAt(baseUrl: string, url: string): boolean {
  const [base, whole] = [baseUrl, url].map((one) => one.replace(/\/+$/, ''));
  return base === whole || base === whole!.replace(/^https?:\/\//, '');
}

/** The verifier key under the name that the log ID is a hash of; under the name of the host where the ID does not tell. */
function keyOf(log: TrustedLog, url: string): VerifierKey[] {
  if (!URL.canParse(url)) return [];
  const { hostname, host, pathname } = new URL(url);
  const names = [hostname, host, `${host}${pathname}`.replace(/\/+$/, '')];
  return names.flatMap((name) => rootVerifierKey({ ...log, baseUrl: url }, name)).slice(0, 1);
}
