/** A repository for tests with holders in this process, and a reader of it that follows the rules of clients. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Metadata, MetadataKind, type Root, type Snapshot, type Targets, type Timestamp } from '@tufjs/models';
import { expect } from 'vitest';
import { DAY, HOUR, type TrustPlan } from '../../../../client/trust/tuf/plan.ts';
import { signStaged } from '../../../../client/trust/tuf/staged-signing.ts';
import { initRepository } from '../../../../client/trust/tuf/staging.ts';
import { tufKey } from '../../../../client/trust/tuf/tuf-key.ts';
import { softwareSigner } from '../../../../merkle/runtime/keys/keyfile.ts';
import type { Signer } from '../../../../merkle/runtime/keys/types.ts';
import { ed25519Key, p256Key, type TestKey } from './tuf-files.ts';

export const NOW = Date.UTC(2026, 0, 1);

export interface Holder {
  readonly name: string;
  readonly key: TestKey;
  readonly signer: Signer;
}

export function holder(name: string, kind: 'ed25519' | 'p256' = 'ed25519'): Holder {
  const key = kind === 'ed25519' ? ed25519Key() : p256Key();
  return { name, key, signer: softwareSigner(key.privateKey) };
}

/** holder-1 to holder-5 with both kinds of keys, and `online`. */
export function holders(): { readonly five: readonly Holder[]; readonly online: Holder } {
  const five = [1, 2, 3, 4, 5].map((i) => holder(`holder-${i}`, i % 2 === 0 ? 'p256' : 'ed25519'));
  return { five, online: holder('online') };
}

export function planOf(five: readonly Holder[], online: Holder, change: Partial<TrustPlan> = {}): TrustPlan {
  const names = five.map(({ name }) => name);
  return {
    holders: new Map([...five, online].map(({ name, key }) => [name, tufKey(key.spki)])),
    root: { holders: names, threshold: 3, expires: 365 * DAY },
    targets: { holders: names, threshold: 2, expires: 90 * DAY },
    snapshot: { holders: [online.name], threshold: 1, expires: 7 * DAY },
    timestamp: { holders: [online.name], threshold: 1, expires: DAY },
    delegations: [],
    ...change,
  };
}

export async function initSigned(dir: string, plan: TrustPlan, signers: readonly Holder[], now = NOW): Promise<void> {
  const staged = await initRepository(dir, plan, now);
  for (const { role } of staged) await signAll(dir, role, signers);
}

export async function signAll(dir: string, role: string, signers: readonly Holder[]): Promise<void> {
  for (const { signer } of signers) await signStaged(dir, signer, role);
}

/**
 * Reads `public` as a client does that has trusted version 1 of the root, with @tufjs/models: the chain of roots, then
 * timestamp, snapshot, targets and delegated roles, and each target. Fails where a client would.
 */
export function readAsClient(dir: string, now = NOW + HOUR, from = 1) {
  const at = (name: string) => readFileSync(join(dir, 'public', name));
  const json = (name: string) => JSON.parse(at(name).toString());
  let root = Metadata.fromJSON(MetadataKind.Root, json(`${from}.root.json`)) as Metadata<Root>;
  root.verifyDelegate('root', root);
  for (let version = from + 1; ; version++) {
    let next: Metadata<Root>;
    try {
      next = Metadata.fromJSON(MetadataKind.Root, json(`${version}.root.json`)) as Metadata<Root>;
    } catch (error) {
      expect((error as NodeJS.ErrnoException).code).toBe('ENOENT');
      break;
    }
    root.verifyDelegate('root', next);
    next.verifyDelegate('root', next);
    expect(next.signed.version).toBe(version);
    root = next;
  }
  const valid = (metadata: Metadata<Root | Timestamp | Snapshot | Targets>) =>
    expect(metadata.signed.isExpired(new Date(now))).toBe(false);
  valid(root);
  const timestamp = Metadata.fromJSON(MetadataKind.Timestamp, json('timestamp.json')) as Metadata<Timestamp>;
  root.verifyDelegate('timestamp', timestamp);
  valid(timestamp);
  const meta = timestamp.signed.snapshotMeta;
  meta.verify(at(`${meta.version}.snapshot.json`));
  const snapshot = Metadata.fromJSON(
    MetadataKind.Snapshot,
    json(`${meta.version}.snapshot.json`),
  ) as Metadata<Snapshot>;
  root.verifyDelegate('snapshot', snapshot);
  valid(snapshot);
  const targets: Record<string, Buffer> = Object.create(null);
  const read = (role: string, delegator: Metadata<Root> | Metadata<Targets>) => {
    const { version } = snapshot.signed.meta[`${role}.json`]!;
    snapshot.signed.meta[`${role}.json`]!.verify(at(`${version}.${role}.json`));
    const metadata = Metadata.fromJSON(MetadataKind.Targets, json(`${version}.${role}.json`)) as Metadata<Targets>;
    delegator.verifyDelegate(role, metadata);
    valid(metadata);
    expect(metadata.signed.version).toBe(version);
    for (const [name, { hashes, length }] of Object.entries(metadata.signed.targets)) {
      expect(Object.keys(hashes)).toEqual(['sha256']);
      const slash = name.lastIndexOf('/') + 1;
      const bytes = at(join('targets', name.slice(0, slash), `${hashes.sha256}.${name.slice(slash)}`));
      expect(bytes.length).toBe(length);
      expect(createHash('sha256').update(bytes).digest('hex')).toBe(hashes.sha256);
      targets[name] ??= bytes;
    }
    for (const { name } of Object.values(metadata.signed.delegations?.roles ?? {})) read(name, metadata);
  };
  read('targets', root);
  return {
    targets: Object.fromEntries(Object.entries(targets).map(([name, bytes]) => [name, bytes.toString()])),
    versions: {
      root: root.signed.version,
      timestamp: timestamp.signed.version,
      snapshot: snapshot.signed.version,
      ...Object.fromEntries(Object.entries(snapshot.signed.meta).map(([name, { version }]) => [name, version])),
    },
  };
}
