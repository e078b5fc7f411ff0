/** Small TUF metadata for tests: signed with Node's own primitives, and changed as text or as JSON before or after that. */
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { canonicalize } from '@tufjs/canonical-json';

// biome-ignore lint/suspicious/noExplicitAny: tests write what no type allows
export type Json = any;

export interface TestKey {
  readonly id: string;
  readonly json: Json;
  readonly spki: Uint8Array;
  readonly privateKey: KeyObject;
}

export function ed25519Key(): TestKey {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const hex = Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url').toString('hex');
  return testKey({ keytype: 'ed25519', scheme: 'ed25519', keyval: { public: hex } }, publicKey, privateKey);
}

export function p256Key(): TestKey {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = publicKey.export({ format: 'pem', type: 'spki' });
  return testKey({ keytype: 'ecdsa', scheme: 'ecdsa-sha2-nistp256', keyval: { public: pem } }, publicKey, privateKey);
}

export function testKey(json: Json, publicKey: KeyObject, privateKey: KeyObject): TestKey {
  const id = createHash('sha256').update(canonicalize(json)).digest('hex');
  return { id, json, spki: publicKey.export({ format: 'der', type: 'spki' }), privateKey };
}

export function signatureOf(key: TestKey, signed: Json): { keyid: string; sig: string } {
  const hash = key.privateKey.asymmetricKeyType === 'ed25519' ? null : 'sha256';
  return { keyid: key.id, sig: sign(hash, Buffer.from(canonicalize(signed)), key.privateKey).toString('hex') };
}

export function file(signed: Json, ...keys: readonly TestKey[]): Uint8Array {
  return Buffer.from(JSON.stringify({ signatures: keys.map((key) => signatureOf(key, signed)), signed }));
}

export function keysOf(...keys: readonly TestKey[]): Json {
  return Object.fromEntries(keys.map(({ id, json }) => [id, json]));
}

export function roleOf(threshold: number, ...keys: readonly TestKey[]): Json {
  return { keyids: keys.map(({ id }) => id), threshold };
}

/** A root with these root keys, and one key for all the other roles. */
export function rootJson(threshold: number, keys: readonly TestKey[], online: TestKey): Json {
  const other = roleOf(1, online);
  return {
    _type: 'root',
    spec_version: '1.0.31',
    version: 1,
    expires: '2030-01-01T00:00:00Z',
    consistent_snapshot: true,
    keys: keysOf(...keys, online),
    roles: { root: roleOf(threshold, ...keys), targets: other, snapshot: other, timestamp: other },
  };
}

export function targetsJson(): Json {
  return {
    _type: 'targets',
    spec_version: '1.0.31',
    version: 1,
    expires: '2030-01-01T00:00:00Z',
    targets: { 'trusted_root.json': { length: 3, hashes: { sha256: 'ab'.repeat(32) } } },
  };
}

export function snapshotJson(): Json {
  return {
    _type: 'snapshot',
    spec_version: '1.0.31',
    version: 1,
    expires: '2030-01-01T00:00:00Z',
    meta: { 'targets.json': { version: 1 } },
  };
}

export function timestampJson(): Json {
  return {
    _type: 'timestamp',
    spec_version: '1.0.31',
    version: 1,
    expires: '2030-01-01T00:00:00Z',
    meta: { 'snapshot.json': { version: 1, length: 3, hashes: { sha256: 'ab'.repeat(32) } } },
  };
}
