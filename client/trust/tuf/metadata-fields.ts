/** Readers of the parts of TUF metadata (TUF 1.0.34 section 4). Each throws ClientError `tuf-malformed`. */
import { printable } from '../../../merkle/printable.ts';
import { timeOfText, timeText } from '../../../merkle/x509/utc-time.ts';
import { isTufObject, type TufObject } from './canonical-json.ts';
import { TUF_LIMITS, tufMalformed } from './role.ts';
import { readTufKey, type TufKey } from './tuf-key.ts';

/** Who may sign for a role. */
export interface TufRole {
  readonly keyids: readonly string[];
  /** So many different keys must sign. */
  readonly threshold: number;
}

/** Hashes of a file in hex, by algorithm: `sha256`, perhaps `sha512`, and others that no client checks. */
type Hashes = ReadonlyMap<string, string>;

/** What one metadata file says about another one. */
export interface MetaFile {
  readonly version: number;
  readonly length: number | undefined;
  readonly hashes: Hashes | undefined;
}

export interface TargetFile {
  readonly length: number;
  /** With `sha256`. */
  readonly hashes: Hashes;
  readonly custom: TufObject | undefined;
}

const HASH_SIZES: Readonly<Record<string, number>> = { sha256: 64, sha512: 128 };

export function objectAt(value: unknown, what: string): TufObject {
  if (!isTufObject(value)) throw tufMalformed(what, value === undefined ? 'is missing' : 'is not an object');
  return value;
}

export function arrayAt(value: unknown, what: string, max: number): readonly unknown[] {
  if (!Array.isArray(value)) throw tufMalformed(what, value === undefined ? 'is missing' : 'is not a list');
  if (value.length > max) throw tufMalformed(what, `has ${value.length} items, more than ${max}`);
  return value;
}

export function textAt(value: unknown, what: string): string {
  if (typeof value !== 'string') throw tufMalformed(what, value === undefined ? 'is missing' : 'is not text');
  return value;
}

/** A version, a threshold: an integer from 1 to 2^53 - 1. */
export function positiveAt(value: unknown, what: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 1) return value;
  throw tufMalformed(what, `is ${quoted(value)}, not an integer of at least 1`);
}

function lengthAt(value: unknown, what: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw tufMalformed(what, `is ${quoted(value)}, not a number of bytes`);
}

/** Milliseconds since 1970 of `YYYY-MM-DDTHH:MM:SSZ`, the one form of a time (section 4.2.1: date-time). */
export function timeAt(value: unknown, what: string): number {
  const time = typeof value === 'string' ? timeOfText(value) : undefined;
  if (time !== undefined && tufTime(time) === value) return time;
  throw tufMalformed(what, `is ${quoted(value)}: a time is written as 2026-01-31T00:00:00Z`);
}

/** The time as metadata write it, whole seconds alone. */
export function tufTime(ms: number): string {
  return timeText(ms).replace(/\.\d{3}Z$/, 'Z');
}

/** The keys by their IDs. One key under two IDs would count twice towards a threshold. */
export function keysAt(value: unknown, what: string): ReadonlyMap<string, TufKey> {
  const keys = new Map<string, TufKey>();
  const known = new Map<string, string>();
  for (const [keyid, json] of Object.entries(objectAt(value, what))) {
    if (keyid.length === 0 || keyid.length > 256) throw tufMalformed(what, 'has a key ID that is empty or too long');
    const key = readTufKey(keyid, json, what);
    const other = known.get(key.fingerprint);
    if (other !== undefined)
      throw tufMalformed(what, `holds one key under two key IDs: ${quoted(other)} and ${quoted(keyid)}`);
    known.set(key.fingerprint, keyid);
    keys.set(keyid, key);
  }
  return keys;
}

/** A role whose threshold its keys can reach. */
export function roleAt(value: unknown, keys: ReadonlyMap<string, TufKey>, what: string): TufRole {
  const json = objectAt(value, what);
  const keyids = arrayAt(json.keyids, `${what}: keyids`, TUF_LIMITS.keys).map((id) => textAt(id, `${what}: a key ID`));
  const threshold = positiveAt(json.threshold, `${what}: the threshold`);
  const seen = new Set<string>();
  let counting = 0;
  for (const keyid of keyids) {
    if (seen.has(keyid)) throw tufMalformed(what, `names the key ID ${quoted(keyid)} twice`);
    seen.add(keyid);
    const key = keys.get(keyid);
    if (key === undefined) throw tufMalformed(what, `names the key ID ${quoted(keyid)}, which is not among the keys`);
    if (key.info !== undefined) counting += 1;
  }
  if (threshold > counting) {
    throw tufMalformed(
      what,
      `has the threshold ${threshold} and ${counting} keys that can sign (Ed25519 in hex, P-256 in PEM): it can never be reached`,
    );
  }
  return { keyids, threshold };
}

export function metaFileAt(value: unknown, what: string): MetaFile {
  const { version, length, hashes } = objectAt(value, what);
  return {
    version: positiveAt(version, `${what}: the version`),
    length: length === undefined ? undefined : lengthAt(length, `${what}: the length`),
    hashes: hashes === undefined ? undefined : hashesAt(hashes, `${what}: "hashes"`),
  };
}

export function targetFileAt(value: unknown, what: string): TargetFile {
  const { length, hashes: given, custom } = objectAt(value, what);
  const hashes = hashesAt(given, `${what}: "hashes"`);
  if (!hashes.has('sha256')) throw tufMalformed(what, 'has no SHA-256');
  return {
    length: lengthAt(length, `${what}: the length`),
    hashes,
    custom: custom === undefined ? undefined : objectAt(custom, `${what}: custom`),
  };
}

/** At least one hash that a client can check. */
function hashesAt(value: unknown, what: string): Hashes {
  const hashes = new Map<string, string>();
  for (const [name, text] of Object.entries(objectAt(value, what))) {
    const hex = textAt(text, `${what}: ${name}`);
    const size = Object.hasOwn(HASH_SIZES, name) ? HASH_SIZES[name] : undefined;
    if (size !== undefined && (hex.length !== size || !/^[0-9a-f]*$/.test(hex))) {
      throw tufMalformed(what, `has a ${name} that is not ${size} digits of lower-case hex`);
    }
    hashes.set(name, hex);
  }
  if (!Object.keys(HASH_SIZES).some((name) => hashes.has(name)))
    throw tufMalformed(what, 'has no sha256 and no sha512');
  return hashes;
}

export function quoted(value: unknown): string {
  if (value === undefined) return 'missing';
  const text = JSON.stringify(value) ?? String(value);
  return printable(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
