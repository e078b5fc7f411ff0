/**
 * The keys of logs, from a trusted root, a verifier key or a policy. A `LogKey` hides how the two kinds of logs name
 * themselves:
 *
 *   Rekor v2, Stele, tlog-tiles   log ID and note key ID are of SHA-256(name || 0x0A || 0x01 || key) with Ed25519, and of
 *                                 SHA-256(SPKI) with ECDSA; the origin is the name in the signature line
 *   Rekor v1                      log ID and note key ID are of SHA-256(SPKI); the origin is "name - tree ID". The name is
 *                                 by default that of the log's host, which no trusted root has: only the key identifies the log
 */
import { concat, encodeHex, encodeUtf8, equal } from '../../merkle/bytes.ts';
import { type CosignaturePrimitives, checkpointVerifier } from '../../merkle/cosignature.ts';
import { MerkleError } from '../../merkle/errors.ts';
import {
  ecdsaVerifierKey,
  ed25519VerifierKey,
  formatVerifierKey,
  KEY_TYPE,
  logId,
  type NoteVerifier,
  parseVerifierKey,
  type VerifierKey,
} from '../../merkle/note.ts';
import { printable } from '../../merkle/printable.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { encodeSpki, type KeyInfo, parseSpki, pointOf } from '../../merkle/rekor/spki.ts';
import { isKeyName } from '../../merkle/verifier-key.ts';
import { type Period, within } from '../../merkle/x509/utc-time.ts';
import { ClientError } from '../errors.ts';
import type { TrustedLog, TrustedRoot } from './trusted-root.ts';

export interface LogKey {
  /** The key as the user gave it; undefined for a key of a trusted root. */
  readonly verifierKey: VerifierKey | undefined;
  /** 32 bytes. */
  readonly logId: Uint8Array;
  /** SubjectPublicKeyInfo, DER; undefined for a key of another kind. */
  readonly spki: Uint8Array | undefined;
  /** For people: the verifier key, or the log's address and its key. */
  readonly label: string;
  /** When the key counts; undefined if it always counts. */
  readonly validFor: Period | undefined;
  /** Whether the log may sign notes under this name; `v1` if the origin has Rekor v1's form. */
  isNamed(name: string, v1: boolean): boolean;
  noteVerifier(name: string, primitives: Primitives): NoteVerifier;
  /** Whether the log signed this message of a signed entry timestamp. */
  signed(message: Uint8Array, signature: Uint8Array, primitives: Primitives): boolean;
}

/** The key of a log whose entries a proof is about: Ed25519 or ECDSA. @throws ClientError `log-key` */
export function parseLogKey(vkey: string): VerifierKey {
  return parseKey(vkey, ({ type }) => {
    if (type === KEY_TYPE.ed25519 || type === KEY_TYPE.ecdsa) return;
    throw new MerkleError('bad-verifier-key', 'it is the key of a witness, not of a log');
  });
}

/** A key that may sign checkpoints, of any kind that `checkpointVerifier` takes. @throws ClientError `log-key` */
export function parseCheckpointKey(vkey: string, primitives: CosignaturePrimitives): VerifierKey {
  return parseKey(vkey, (key) => {
    if (key.type === KEY_TYPE.cosignature)
      throw new MerkleError('bad-verifier-key', 'it is the key of a witness, not of a log');
    checkpointVerifier(key, primitives);
  });
}

function parseKey(vkey: string, check: (key: VerifierKey) => void): VerifierKey {
  try {
    const key = parseVerifierKey(vkey.trim());
    check(key);
    return key;
  } catch (cause) {
    const why = cause instanceof MerkleError ? cause.message : 'it is not a verifier key';
    throw new ClientError(
      'log-key',
      `what was given as the log's key cannot be used: ${why}. It looks like log.example.com+1a2b3c4d+AbCd…; the log prints it at start and shows it at /stele/v1/log`,
      { cause },
    );
  }
}

/**
 * Keys of the trusted root for a log ID, or of all its logs. A log has several keys here if one key counts in several
 * periods.
 */
export function rootLogKeys({ tlogs }: TrustedRoot, id: Uint8Array | undefined, primitives: Primitives): LogKey[] {
  return tlogs
    .filter((log) => id === undefined || hasId(log, id, primitives))
    .map((log) => rootLogKey(log, primitives));
}

/**
 * Whether an entry that names `id` may be in this log. An entry of Rekor v2 names the whole ID of the checkpoint key, of
 * which a trusted root v0.2 may have the first bytes alone.
 */
function hasId(log: TrustedLog, id: Uint8Array, primitives: Primitives): boolean {
  const { key, logId, checkpointKeyId, baseUrl } = log;
  if (equal(logId, id) || equal(checkpointKeyId, id)) return true;
  if (!equal(checkpointKeyId, id.subarray(0, checkpointKeyId.length))) return false;
  if (key.kind === 'ed25519') return namesOf(baseUrl).some((name) => equal(ed25519Id(key, name, primitives), id));
  return equal(primitives.hash('sha256', key.spki), id);
}

/**
 * The trusted root with the log of `key`, for a person who trusts both. A root that has this log already stays as it is, so its
 * key and its period count.
 */
export function withOwnLog(root: TrustedRoot, key: VerifierKey, primitives: Primitives): TrustedRoot {
  const info = keyInfo(key);
  const id = logId(key);
  if (info === undefined || rootLogKeys(root, id, primitives).length > 0) return root;
  const log = { baseUrl: key.name, key: info, hash: info.kind === 'ed25519' ? undefined : ('sha256' as const) };
  return { ...root, tlogs: [...root.tlogs, { ...log, validFor: { start: 0 }, logId: id, checkpointKeyId: id }] };
}

/**
 * The verifier key of a log of the trusted root under `name`, its origin; none where this is not its name, or where notes
 * have no such keys. With Ed25519 the checkpoint key's ID tells the name, with ECDSA only the log's address.
 */
export function rootVerifierKey({ key, checkpointKeyId, baseUrl }: TrustedLog, name: string): VerifierKey[] {
  if (!isKeyName(name)) return [];
  if (key.kind === 'ecdsa-p256') return namesOf(baseUrl).includes(name) ? [ecdsaVerifierKey(name, key.spki)] : [];
  if (key.kind !== 'ed25519') return [];
  const made = ed25519VerifierKey(name, pointOf(key));
  return equal(logId(made).subarray(0, checkpointKeyId.length), checkpointKeyId) ? [made] : [];
}

/** The verifier keys of all logs whose keys count at `now`, in milliseconds since 1970, each under its log's address. */
export function rootVerifierKeys({ tlogs }: TrustedRoot, now: number): VerifierKey[] {
  const current = tlogs.filter(({ validFor }) => within(validFor, now));
  const keys = current.flatMap((log) => namesOf(log.baseUrl).flatMap((name) => rootVerifierKey(log, name)));
  return [...new Map(keys.map((key) => [formatVerifierKey(key), key])).values()];
}

function rootLogKey(log: TrustedLog, primitives: Primitives): LogKey {
  const { key, hash, validFor, checkpointKeyId } = log;
  const fingerprint = encodeHex(primitives.hash('sha256', key.spki));
  return {
    verifierKey: undefined,
    logId: log.logId,
    spki: key.spki,
    label: `${printable(log.baseUrl)} (${key.name}, SHA-256 ${fingerprint})`,
    validFor,
    isNamed: (name, v1) =>
      (v1 && encodeHex(log.logId) === fingerprint) ||
      nameInId(log, name, primitives) ||
      namesOf(log.baseUrl).includes(name),
    noteVerifier: (name) => ({
      name,
      keyId: checkpointKeyId.slice(0, 4),
      verify: (message, signature) => primitives.verifyMessage(key, hash, message, signature),
    }),
    signed: (message, signature) => primitives.verifyMessage(key, hash, message, signature),
  };
}

// A caller that verifies many bundles uses the same key each time; preparing it takes a quarter of a verification.
const userKeys = new WeakMap<VerifierKey, LogKey>();

/** The key that the user gave. */
export function userLogKey(key: VerifierKey): LogKey {
  const known = userKeys.get(key);
  if (known !== undefined) return known;
  const made = makeUserKey(key);
  userKeys.set(key, made);
  return made;
}

function makeUserKey(key: VerifierKey): LogKey {
  const info = keyInfo(key);
  return {
    verifierKey: key,
    logId: logId(key),
    spki: info?.spki,
    label: formatVerifierKey(key),
    validFor: undefined,
    isNamed: (name) => name === key.name,
    noteVerifier: (_, primitives) => checkpointVerifier(key, primitives.cosignature),
    signed: (message, signature, primitives) =>
      info !== undefined &&
      primitives.verifyMessage(info, info.kind === 'ed25519' ? undefined : 'sha256', message, signature),
  };
}

/** Whether both are the same key, under the same log ID. */
export function isSameLog(a: LogKey, b: LogKey): boolean {
  return a === b || (a.spki !== undefined && b.spki !== undefined && equal(a.spki, b.spki) && equal(a.logId, b.logId));
}

function keyInfo(key: VerifierKey): KeyInfo | undefined {
  if (key.type === KEY_TYPE.ecdsa) return parseSpki(key.key);
  if (key.type === KEY_TYPE.ed25519) return parseSpki(encodeSpki('ed25519', key.key));
  return undefined;
}

/** With Ed25519 the log ID commits to the name. */
function nameInId({ key, checkpointKeyId }: TrustedLog, name: string, primitives: Primitives): boolean {
  if (key.kind !== 'ed25519' || /\p{Surrogate}/u.test(name)) return false;
  return equal(ed25519Id(key, name, primitives).subarray(0, checkpointKeyId.length), checkpointKeyId);
}

/** The hash of which a key ID is the start (c2sp.org/signed-note), 32 bytes. */
function ed25519Id(key: KeyInfo, name: string, primitives: Primitives): Uint8Array {
  return primitives.hash('sha256', concat(encodeUtf8(name), Uint8Array.of(0x0a, 0x01), pointOf(key)));
}

/** Names of a log by its address, with or without a scheme: its host, with and without its port, and host and path. */
function namesOf(baseUrl: string): string[] {
  const match = /^(?:https?:\/\/)?(([^/:?#]+|\[[0-9a-f:]+\])(?::[0-9]+)?)(\/[^?#]*)?$/i.exec(baseUrl);
  if (match === null || /\p{Surrogate}/u.test(baseUrl)) return [];
  const [, host = '', hostname = '', path = ''] = match;
  return [host, hostname, `${host}${path}`.replace(/\/+$/, '')];
}
