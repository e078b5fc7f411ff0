/** A log with two addresses, and a TUF repository whose keys lie in files, for tests of `stele log rotate` with real processes. */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { DAY, type TrustPlan } from '../../../../client/trust/tuf/plan.ts';
import { publish } from '../../../../client/trust/tuf/publish.ts';
import { signStaged } from '../../../../client/trust/tuf/staged-signing.ts';
import { initRepository } from '../../../../client/trust/tuf/staging.ts';
import { tufKey } from '../../../../client/trust/tuf/tuf-key.ts';
import { createKeyFile } from '../../../../merkle/runtime/keys/keyfile.ts';
import { openSigner } from '../../../../merkle/runtime/keys/open-signer.ts';
import { type ServeProcess, startServer } from '../../../support/serve.ts';
import { readAsClient } from '../../trust/tuf/repository.ts';

export interface Repository {
  readonly dir: string;
  /** Options of `stele log rotate` with all keys. */
  readonly options: readonly string[];
  readonly online: readonly string[];
  readonly holders: readonly string[];
  /** The targets as a client reads them, verified from the first root on. */
  targets(): Record<string, string>;
}

/** Three holders, of whom two sign targets, and an online key. Published without targets. */
export async function makeRepository(parent: string): Promise<Repository> {
  const dir = join(parent, 'repo');
  const names = ['holder-1', 'holder-2', 'holder-3', 'online'];
  const files = names.map((name) => join(parent, `${name}.pem`));
  const keys = await Promise.all(files.map((file) => createKeyFile(file, 'ed25519')));
  const three = names.slice(0, 3);
  const plan: TrustPlan = {
    holders: new Map(names.map((name, i) => [name, tufKey(keys[i]!.publicKey)])),
    root: { holders: three, threshold: 2, expires: 365 * DAY },
    targets: { holders: three, threshold: 2, expires: 90 * DAY },
    snapshot: { holders: ['online'], threshold: 1, expires: 7 * DAY },
    timestamp: { holders: ['online'], threshold: 1, expires: DAY },
    delegations: [],
  };
  const now = Date.now();
  const staged = await initRepository(dir, plan, now);
  const signers = await Promise.all(files.map((file) => openSigner({ file })));
  for (const { role } of staged) for (const signer of signers.slice(0, 2)) await signStaged(dir, signer, role);
  await publish(dir, { online: [signers[3]!], now });
  const holders = files.slice(0, 2).flatMap((file) => ['--targets-key', file]);
  const online = ['--online-key', files[3]!];
  return {
    dir,
    holders,
    online,
    options: ['--trust-repo', dir, ...holders, ...online],
    targets: () => readAsClient(dir, Date.now()).targets,
  };
}

export interface TwoNames {
  readonly data: string;
  readonly first: string;
  /** The address of the next shard: another name of the same server. */
  readonly next: string;
  /** The settings that all commands share. */
  readonly settings: readonly string[];
  start(): Promise<ServeProcess>;
}

export async function twoNames(data: string, more: readonly string[] = []): Promise<TwoNames> {
  const port = await freePort();
  const [first, next] = [`http://localhost:${port}`, `http://127.0.0.1:${port}`];
  const settings = ['--data', data, '--public-url', first, ...more];
  const args = ['--listen-port', String(port), '--public-url', first, ...more];
  return { data, first, next, settings, start: () => startServer(data, { args }) };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await once(server.close(), 'close');
  return port;
}

export const shardStatus = (targets: Record<string, string>) => JSON.parse(targets['trusted_root.json']!).tlogs;
export const readText = (...path: string[]) => readFileSync(join(...path), 'utf8');
