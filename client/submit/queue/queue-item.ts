/**
 * One entry of a queue, as a file:
 *
 *   { "sha256": <hex, over JSON.stringify of item>,
 *     "item": { "format": 1, "id", "queued", "log", "out", "replaces", "bundle", "key"?, "logKey"?, "policy"?, "logged"?, "problem"? } }
 *
 * The checksum finds damage, not malice: a program that can write the file can write the checksum. The log's answer in the
 * file is verified each time before use.
 */
import { createHash } from 'node:crypto';
import { isAbsolute } from 'node:path';
import { decodeBase64, encodeBase64, encodeHex, encodeUtf8 } from '../../../merkle/bytes.ts';
import { leafHash } from '../../../merkle/rfc6962.ts';
import { CLIENT_ERRORS, type ClientError, type ClientErrorCode } from '../../errors.ts';
import { type Bundle, bundleJson, MAX_BUNDLE, readBundle } from '../../formats/bundle.ts';
import { canonicalEntry } from '../../formats/entry-request.ts';
import { malformed, object, parseJson, string } from '../../formats/json.ts';
import { formatLogEntry, type LogEntry, parseLogEntry } from '../../formats/log-entry.ts';
import { parseLogKey } from '../../trust/log-key.ts';
import { parseTrustPolicy } from '../../trust/quorum.ts';
import type { LogTrust } from '../../verify/types.ts';
import { parseLogUrl } from '../log-url.ts';
import { fromBundle, keyVerifier, type Submission } from '../submission.ts';

/** Longest file of an entry, in bytes: the bundle, and as much again for the rest. */
export const MAX_ITEM = 2 * MAX_BUNDLE + 4 * 1024 * 1024;

/** Why the last flush did not log an entry. `time` is UTC, ISO 8601. */
export interface Problem {
  readonly code: ClientErrorCode;
  readonly message: string;
  readonly time: string;
}

export interface QueueItem {
  /** 64 hex digits, made from the entry, the log and the output. */
  readonly id: string;
  /** UTC, ISO 8601. */
  readonly queued: string;
  /** As `parseLogUrl` gives it. */
  readonly log: string;
  /** Absolute path of the file that the bundle with its proof is written to. */
  readonly out: string;
  /** SHA-256 in hex of the file at `out` when the entry was queued. A flush replaces no other file. */
  readonly replaces: string | undefined;
  /** Without entries. */
  readonly bundle: Bundle;
  /** SubjectPublicKeyInfo, DER, where the bundle carries no certificate. */
  readonly key: Uint8Array | undefined;
  /** Verifier key of the log, where the caller gave one. */
  readonly logKey: string | undefined;
  /** Text of a trust policy, where the caller gave one. */
  readonly policy: string | undefined;
  /** The log's answer, verified, whose bundle may not be at `out` yet. */
  readonly logged: LogEntry | undefined;
  readonly problem: Problem | undefined;
}

/** What every report about an entry of a queue names. */
export type Queued = Pick<QueueItem, 'id' | 'queued' | 'log' | 'out'>;

/** The log of a new entry, and the trust in it if the caller gives one. */
export interface NewLog {
  readonly log: string;
  readonly logKey?: string | undefined;
  readonly policy?: string | undefined;
}

/** The log and the output of a new entry. */
export interface NewItem extends NewLog {
  readonly out: string;
}

/** @param replaces SHA-256 in hex of the file at `out`; undefined where there is none */
export function newItem(submitted: Submission, about: NewItem, replaces: string | undefined): QueueItem {
  return {
    id: idOf(submitted, about.log, about.out),
    queued: new Date().toISOString(),
    log: about.log,
    out: about.out,
    replaces,
    bundle: submitted.bundle,
    key: submitted.signed.certificate === undefined ? submitted.signed.publicKey.spki : undefined,
    logKey: about.logKey,
    policy: about.policy,
    logged: undefined,
    problem: undefined,
  };
}

function idOf(submitted: Submission, log: string, out: string): string {
  return sha256Hex(encodeUtf8(`${log}\n${encodeHex(leafHash(canonicalEntry(submitted.signed)))}\n${out}`));
}

/** The same entry for another log, which the trust of the caller names. Without what the first log answered. */
export function movedItem(item: QueueItem, to: NewLog): QueueItem {
  const submitted = submissionOf(item);
  return {
    ...item,
    ...to,
    id: idOf(submitted, to.log, item.out),
    logKey: to.logKey,
    policy: to.policy,
    logged: undefined,
    problem: undefined,
  };
}

/**
 * The submission in an entry, after its signature is verified again.
 *
 * @throws ClientError `malformed`, and the codes of `parseSigned`, where the entry was changed since
 */
export function submissionOf(item: QueueItem): Submission {
  const submitted = fromBundle(item.bundle, item.key === undefined ? [] : [keyVerifier(item.key)]);
  if (idOf(submitted, item.log, item.out) !== item.id) throw malformed('the entry', 'is not the one of its name');
  return submitted;
}

/** The trust that the entry names; undefined where it has neither a key nor a policy. @throws ClientError `log-key`, `policy` */
export function trustOfItem(item: QueueItem): LogTrust | undefined {
  const policy = item.policy === undefined ? undefined : parseTrustPolicy(encodeUtf8(item.policy));
  if (item.logKey !== undefined) return { logKey: parseLogKey(item.logKey), policy };
  return policy === undefined ? undefined : { policy };
}

export function formatItem(item: QueueItem): Uint8Array {
  const { bundle, key, logged, replaces, ...rest } = item;
  return seal({
    format: 1,
    ...rest,
    replaces: replaces ?? null,
    bundle: bundleJson(bundle),
    ...(key === undefined ? {} : { key: encodeBase64(key) }),
    ...(logged === undefined ? {} : { logged: formatLogEntry(logged) }),
  });
}

/** @throws ClientError `malformed` */
export function parseItem(file: Uint8Array, id: string): QueueItem {
  const json = unseal(file, MAX_ITEM);
  const item = object(json, 'the entry', [
    ...['format', 'id', 'queued', 'log', 'out', 'replaces', 'bundle', 'key', 'logKey', 'policy', 'logged', 'problem'],
  ]);
  if (item.format !== 1) throw malformed('format', 'is not 1: a newer version of stele wrote this entry');
  if (item.id !== id) throw malformed('id', 'is not that of the name of the file');
  const out = string(item.out, 'out');
  if (!isAbsolute(out)) throw malformed('out', 'is no absolute path');
  const log = string(item.log, 'log');
  if (parseLogUrl(log) !== log) throw malformed('log', 'is not the URL of a log');
  return {
    id,
    queued: time(item.queued, 'queued'),
    log,
    out,
    replaces: item.replaces === undefined ? undefined : string(item.replaces, 'replaces'),
    bundle: readBundle(item.bundle),
    key: item.key === undefined ? undefined : decodeBase64(string(item.key, 'key')),
    logKey: item.logKey === undefined ? undefined : string(item.logKey, 'logKey'),
    policy: item.policy === undefined ? undefined : string(item.policy, 'policy'),
    logged: item.logged === undefined ? undefined : parseLogEntry(item.logged, 'logged'),
    problem: item.problem === undefined ? undefined : parseProblem(item.problem, 'problem'),
  };
}

export function parseProblem(value: unknown, path: string): Problem {
  const { code, message, time: at } = object(value, path, ['code', 'message', 'time']);
  if (typeof code !== 'string' || !Object.hasOwn(CLIENT_ERRORS, code)) throw malformed(`${path}.code`, 'is unknown');
  return { code: code as ClientErrorCode, message: string(message, `${path}.message`), time: time(at, `${path}.time`) };
}

export function problemOf(error: ClientError): Problem {
  return { code: error.code, message: error.message, time: new Date().toISOString() };
}

/** A file with an item and its checksum. The item must be the same after `JSON.stringify` and `parseJson`. */
export function seal(item: object): Uint8Array {
  const text = JSON.stringify(item);
  return encodeUtf8(`${JSON.stringify({ sha256: sha256Hex(encodeUtf8(text)), item }, undefined, 1)}\n`);
}

/** @throws ClientError `malformed` */
export function unseal(file: Uint8Array, limit: number): unknown {
  const { sha256, item } = object(parseJson(file, 'the file', limit), 'the file', ['sha256', 'item']);
  if (sha256 !== sha256Hex(encodeUtf8(JSON.stringify(item) ?? '')))
    throw malformed('sha256', 'does not fit: the file was damaged');
  return item;
}

export function time(value: unknown, path: string): string {
  const text = string(value, path);
  if (!/^[0-9]{4}-[0-9T:.-]{15,19}Z$/.test(text) || Number.isNaN(Date.parse(text)))
    throw malformed(path, 'is not a time');
  return text;
}

export function sha256Hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
