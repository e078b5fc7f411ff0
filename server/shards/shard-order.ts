/** What the operator says about the next shard of a log, and how a key is named in JSON. */
import { isAbsolute } from 'node:path';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';

const strict = { additionalProperties: false };
export const Text = Type.String({ minLength: 1, maxLength: 4096 });
const SecretPlace = Type.Union([Type.Object({ file: Text }, strict), Type.Object({ env: Text }, strict)]);
/** A `KeySpec` in JSON. A PIN and a passphrase are named by their place, and never given. */
export const Key = Type.Union([
  Type.Object({ file: Text, passphrase: Type.Optional(SecretPlace) }, strict),
  Type.Object({ pkcs11: Type.Object({ module: Text, token: Text, label: Text, pin: SecretPlace }, strict) }, strict),
  Type.Object({ agent: Type.Object({ key: Text, socket: Type.Optional(Text) }, strict) }, strict),
]);

export type Secret = Static<typeof SecretPlace>;
export type ShardKey = Static<typeof Key>;

const Order = Type.Object(
  { origin: Text, url: Text, key: Type.Optional(Key), ed25519Key: Type.Optional(Key), mldsaKey: Type.Optional(Text) },
  strict,
);

export interface ShardOrder {
  /** A bare host name in lower case: the host in `url`. */
  readonly origin: string;
  /** Where others reach the shard: https or http, without a slash at its end. */
  readonly url: string;
  /** Default: `key.pem` in the directory of the shard, an Ed25519 key that is made there. Paths are absolute. */
  readonly key?: ShardKey | undefined;
  /** For witnesses, where `key` is ECDSA. */
  readonly ed25519Key?: ShardKey | undefined;
  /** File of an ML-DSA-44 key that signs too. */
  readonly mldsaKey?: string | undefined;
}

/** Whether a value that came as JSON is an order. Its paths are absolute: the process that reads them works elsewhere. */
export function isShardOrder(value: unknown): value is ShardOrder {
  if (!Value.Check(Order, value)) return false;
  const { key, ed25519Key, mldsaKey } = value;
  return [...pathsIn(key), ...pathsIn(ed25519Key), ...(mldsaKey === undefined ? [] : [mldsaKey])].every(isAbsolute);
}

function pathsIn(key: ShardKey | undefined): string[] {
  if (key === undefined) return [];
  if ('agent' in key) return key.agent.socket === undefined ? [] : [key.agent.socket];
  const secret = 'pkcs11' in key ? key.pkcs11.pin : key.passphrase;
  const module = 'pkcs11' in key ? (key.pkcs11.module.includes('/') ? [key.pkcs11.module] : []) : [key.file];
  return [...module, ...(secret !== undefined && 'file' in secret ? [secret.file] : [])];
}
