/**
 * The logs that a signing configuration of Sigstore names (`dev.sigstore.trustroot.v1.SigningConfig`, v0.2, proto3 JSON):
 *
 *   { "rekorTlogUrls": [ { "url", "majorApiVersion": 2, "validFor": { "start", "end"? }, "operator" } ], … }
 *
 * It says where clients write entries now. When a log is full, its operator freezes it and starts another one. The trusted
 * root has the key of each log, under the same URL.
 */

import { equal } from '../../merkle/bytes.ts';
import { ecdsaVerifierKey, ed25519VerifierKey, logId, type VerifierKey } from '../../merkle/note.ts';
import { printable } from '../../merkle/printable.ts';
import { pointOf } from '../../merkle/rekor/spki.ts';
import { ClientError } from '../errors.ts';
import { array, parseJson, string } from '../formats/json.ts';
import { MAX_TRUSTED_ROOT, parseTrustedRoot, type TrustedLog } from '../trust/trusted-root.ts';
import type { FollowedLog, ShardSource } from './types.ts';

const MAX_CONFIG = 1024 * 1024;
const MAX_LOGS = 64;

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
 * @throws ClientError `malformed`, `trusted-root`: a file is not what it should be; what `read` throws
 */
export async function readShards(
  source: ShardSource,
  read: ReadLocation,
  now: number,
  signal?: AbortSignal,
): Promise<Shards> {
  const [config, root] = await Promise.all([
    read(source.signingConfig, MAX_CONFIG, signal),
    read(source.trustedRoot, MAX_TRUSTED_ROOT, signal),
  ]);
  const { tlogs } = parseTrustedRoot(root);
  const logs = new Map<string, FollowedLog>();
  const unknown: string[] = [];
  for (const url of urlsOf(config, now)) {
    const keys = tlogs.filter(({ baseUrl }) => isAt(baseUrl, url)).flatMap((log) => keyOf(log, url));
    const [key] = keys;
    if (key === undefined) {
      const why = 'is not followed, as the trusted root has no key for it that can be used';
      unknown.push(`${source.name}: the log at ${printable(url)} ${why}`);
      continue;
    }
    // Rekor's API v2 has the log's files there; at the root they need not be.
    const location = `${url.replace(/\/+$/, '')}/api/v2`;
    const ofLog = keys.filter(({ name }) => name === key.name);
    logs.set(key.name, shardOf(source, { origin: key.name, keys: ofLog, location }));
  }
  return { logs: [...logs.values()], unknown };
}

/** A log of this signing configuration, with what the configuration asks of all its logs. */
export function shardOf(
  { policy, maxCheckpointAge, peers }: ShardSource,
  log: Pick<FollowedLog, 'origin' | 'keys' | 'location'>,
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
  const config = parseJson(bytes, 'the signing configuration', MAX_CONFIG);
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
function keyOf({ key, logId: id }: TrustedLog, url: string): VerifierKey[] {
  if (!URL.canParse(url)) return [];
  const { hostname, host, pathname } = new URL(url);
  if (key.kind === 'ecdsa-p256') return [ecdsaVerifierKey(hostname, key.spki)];
  if (key.kind !== 'ed25519') return [];
  return [hostname, host, `${host}${pathname}`.replace(/\/+$/, '')]
    .map((name) => ed25519VerifierKey(name, pointOf(key)))
    .filter((candidate) => equal(logId(candidate), id))
    .slice(0, 1);
}
