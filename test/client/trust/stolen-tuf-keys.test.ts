/**
 * The keys of a TUF repository, each in the hands of a thief: what the thief can do, what the monitor says of it, and what
 * clients take after the key was replaced. docs/trust.md says the same in words ("A stolen key"). The monitor is the built
 * command.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ClientError } from '../../../client/errors.ts';
import { loadTrust } from '../../../client/trust/tuf/load-trust.ts';
import { DAY, type TrustPlan } from '../../../client/trust/tuf/plan.ts';
import { publish } from '../../../client/trust/tuf/publish.ts';
import { changePlan, initRepository, stageTargets } from '../../../client/trust/tuf/staging.ts';
import { TrustStore } from '../../../client/trust/tuf/trust-store.ts';
import { tufKey } from '../../../client/trust/tuf/tuf-key.ts';
import { updateTrust, useTrust } from '../../../client/trust/tuf/update.ts';
import { tempDir } from '../../support/log.ts';
import { stele } from '../../support/serve.ts';
import { sha256Hex, signedText, targetPath, tufKeyOf } from '../../support/tuf-maker.ts';
import { startMirror, type TufMirror } from '../../support/tuf-mirror.ts';
import { type Holder, holder, signAll } from './tuf/repository.ts';

const POLICY = 'policy';
const GOOD = 'quorum none\n';
const EVIL = '# of the thief\nquorum none\n';

let dir: Awaited<ReturnType<typeof tempDir>>;
let mirror: TufMirror;
let store: TrustStore;
let keys: { root: Holder[]; targets: Holder[]; snapshot: Holder; timestamp: Holder };
const at = (...names: string[]) => join(dir.path, ...names);
const own = () => at('repository');
type Json = Record<string, unknown> & { version: number };

function planOf({ root, targets, snapshot, timestamp }: typeof keys): TrustPlan {
  const names = (holders: readonly Holder[]) => holders.map(({ name }) => name);
  const all = [...root, ...targets, snapshot, timestamp];
  return {
    holders: new Map(all.map(({ name, key }) => [name, tufKey(key.spki)])),
    root: { holders: names(root), threshold: 2, expires: 365 * DAY },
    targets: { holders: names(targets), threshold: 2, expires: 90 * DAY },
    snapshot: { holders: [snapshot.name], threshold: 1, expires: 7 * DAY },
    timestamp: { holders: [timestamp.name], threshold: 1, expires: DAY },
    delegations: [],
  };
}

/** What the operator has published, by path. */
function published(): Map<string, Uint8Array> {
  const below = at('repository', 'public');
  const files = readdirSync(below, { recursive: true, withFileTypes: true }).filter((one) => one.isFile());
  return new Map(
    files.map(({ parentPath, name }) => {
      const path = join(parentPath, name);
      return [path.slice(below.length + 1), readFileSync(path)];
    }),
  );
}

async function publishNow(online: readonly Holder[], ...signed: readonly (readonly [string, readonly Holder[]])[]) {
  for (const [role, holders] of signed) await signAll(own(), role, holders);
  await publish(own(), { online: online.map(({ signer }) => signer), now: Date.now() });
  mirror.files = published();
}

/** The operator replaces keys: a new root by two of its holders. */
async function replace(change: Partial<typeof keys>, resign: boolean): Promise<void> {
  const before = keys;
  keys = { ...keys, ...change };
  await changePlan(own(), Date.now(), () => planOf(keys));
  const online = [keys.snapshot, keys.timestamp, before.snapshot, before.timestamp];
  const targets = resign ? [['targets', keys.targets] as const] : [];
  await publishNow([...new Set(online)], ['root', before.root.slice(0, 2)], ...targets);
}

/** Puts a file of the thief on the mirror: the published one of the role, changed, and signed with these keys. */
function forge(role: string, name: string, change: (body: Json) => void, thieves: readonly Holder[]): Uint8Array {
  const files = new Map(mirror.files);
  const body = JSON.parse(String(files.get(name))).signed as Json;
  body.version += 1;
  change(body);
  const bytes = Buffer.from(
    signedText(
      body,
      thieves.map(({ key }) => tufKeyOf(key.privateKey)),
    ),
  );
  files.set(role === 'timestamp' ? 'timestamp.json' : `${body.version}.${role}.json`, bytes);
  mirror.files = files;
  return bytes;
}

const described = (bytes: Uint8Array, version: number) => ({
  version,
  length: bytes.length,
  hashes: { sha256: sha256Hex(bytes) },
});

/** The thief has targets, snapshot and timestamp name a policy of their own. */
function forgeTargets(thieves: readonly Holder[], { snapshot, timestamp } = keys): void {
  const evil = Buffer.from(EVIL);
  const add = (body: Json) => {
    body.targets = { [POLICY]: { length: evil.length, hashes: { sha256: sha256Hex(evil) } } };
  };
  mirror.files = new Map([...mirror.files, [targetPath(POLICY, evil), evil]]);
  const targets = forge('targets', '1.targets.json', add, thieves);
  const names = (body: Json) => {
    body.meta = { 'targets.json': described(targets, 2) };
  };
  const file = forge('snapshot', '1.snapshot.json', names, [snapshot]);
  const newest = (body: Json) => {
    body.meta = { 'snapshot.json': described(file, 2) };
  };
  forge('timestamp', 'timestamp.json', newest, [timestamp]);
}

/** The code with which a client refuses the mirror; undefined where it takes what is there. */
async function refusal(client = store): Promise<string | undefined> {
  try {
    await updateTrust(client);
    return undefined;
  } catch (error) {
    if (error instanceof ClientError) return error.code;
    throw error;
  }
}
const policy = async () => String(await loadTrust(store)!.target(POLICY));

/** One look of the monitor: the kinds of its alerts, with their severity. */
async function monitored(...args: string[]): Promise<string[]> {
  const { stdout, stderr, code } = await stele(['monitor', '--config', at('monitor.yaml'), '--once', ...args]);
  const alerts = stdout
    .split('\n')
    .filter((line) => line.startsWith('{"id"') || line.startsWith('{"kind"') || line.startsWith('{'));
  expect(code, stderr).not.toBe(-1);
  return alerts.map((line) => {
    const { kind, severity, summary } = JSON.parse(line) as { kind: string; severity: string; summary: string };
    return `${kind} ${severity}: ${summary}`;
  });
}

beforeEach(async () => {
  dir = await tempDir();
  const many = (role: string) => [1, 2, 3].map((i) => holder(`${role}-${i}`, i === 2 ? 'p256' : 'ed25519'));
  keys = { root: many('root'), targets: many('targets'), snapshot: holder('snapshot'), timestamp: holder('timestamp') };
  await initRepository(own(), planOf(keys), Date.now());
  await stageTargets(own(), { files: [{ name: POLICY, bytes: Buffer.from(GOOD) }] }, Date.now());
  mirror = await startMirror(new Map());
  await publishNow(
    [keys.snapshot, keys.timestamp],
    ['root', keys.root.slice(0, 2)],
    ['targets', keys.targets.slice(0, 2)],
  );
  const root = mirror.files.get('1.root.json')!;
  store = new TrustStore(at('client'));
  await useTrust(store, `${mirror.url}/`, root);
  writeFileSync(at('1.root.json'), root);
  writeFileSync(
    at('monitor.yaml'),
    `repositories: [{ url: '${mirror.url}', root: 1.root.json, directory: repository }]\nsinks: [{ type: stdout }]\nconfirmations: 2\nretry: 10ms\n`,
  );
  expect(await monitored('--from-now')).toEqual([]);
});
afterEach(async () => {
  await mirror.close();
  await dir.remove();
});

describe('a stolen key of a TUF repository', { timeout: 120_000 }, () => {
  it('timestamp: holds news back, until its key is replaced', async () => {
    const thief = keys.timestamp;
    const years = (body: Json) => {
      body.expires = '2099-01-01T00:00:00Z';
    };
    forge('timestamp', 'timestamp.json', years, [thief]);
    const stolen = mirror.files;
    expect(await refusal()).toBeUndefined();
    expect(await monitored()).toEqual([expect.stringMatching(/^trust-foreign critical: .*timestamp of version 2/)]);
    await replace({ timestamp: holder('timestamp-2') }, false);
    expect(await refusal()).toBeUndefined();
    expect(await policy()).toBe(GOOD);
    mirror.files = new Map([...stolen, ['2.root.json', mirror.files.get('2.root.json')!]]);
    expect(await refusal()).toBe('tuf-signatures');
    expect(await policy()).toBe(GOOD);
  });

  it('snapshot: nothing alone, for no timestamp names what the thief signs', async () => {
    const nothing = () => {};
    const bytes = forge('snapshot', '1.snapshot.json', nothing, [keys.snapshot]);
    mirror.files = new Map([...mirror.files, ['1.snapshot.json', bytes]]);
    const fresh = new TrustStore(at('fresh'));
    await expect(useTrust(fresh, `${mirror.url}/`, readFileSync(at('1.root.json')))).rejects.toMatchObject({
      code: 'tuf-mismatch',
    });
    // With the key of the timestamp it is the thief's word which targets are the newest; the monitor has seen both files.
    const newest = (body: Json) => {
      body.meta = { 'snapshot.json': described(mirror.files.get('2.snapshot.json')!, 2) };
    };
    forge('timestamp', 'timestamp.json', newest, [keys.timestamp]);
    const stolen = mirror.files;
    expect(await monitored()).toEqual([
      expect.stringMatching(/^trust-foreign critical: .*timestamp of version 2/),
      expect.stringMatching(/^trust-foreign critical: .*snapshot of version 2/),
    ]);
    await replace({ snapshot: holder('snapshot-2'), timestamp: holder('timestamp-2') }, false);
    expect(await refusal()).toBeUndefined();
    expect(await policy()).toBe(GOOD);
    mirror.files = new Map([...stolen, ['2.root.json', mirror.files.get('2.root.json')!]]);
    expect(await refusal()).toBe('tuf-signatures');
  });

  it('targets, fewer than the threshold: nothing, also with the online keys', async () => {
    forgeTargets(keys.targets.slice(0, 1));
    expect(await refusal()).toBe('tuf-signatures');
    expect(await monitored()).toEqual([expect.stringMatching(/^trust-refused critical: .*has 1: /)]);
    expect(await policy()).toBe(GOOD);
  });

  it('targets, as many as the threshold: with the online keys files of the thief, until the keys are replaced', async () => {
    forgeTargets(keys.targets.slice(0, 2));
    const stolen = mirror.files;
    expect(await refusal()).toBeUndefined();
    expect(await policy()).toBe(EVIL);
    expect(await monitored()).toEqual([
      expect.stringMatching(/^trust-changed alert: .*version 2 of targets/),
      expect.stringMatching(/^trust-foreign critical/),
      expect.stringMatching(/^trust-foreign critical/),
    ]);
    const fresh = [holder('targets-4'), holder('targets-5')];
    await stageTargets(own(), { files: [{ name: 'notice', bytes: Buffer.from('keys were replaced\n') }] }, Date.now());
    await replace({ targets: fresh, snapshot: holder('snapshot-2'), timestamp: holder('timestamp-2') }, true);
    expect(await refusal()).toBeUndefined();
    expect(await policy()).toBe(GOOD);
    mirror.files = new Map([...stolen, ['2.root.json', mirror.files.get('2.root.json')!]]);
    expect(await refusal()).toBe('tuf-signatures');
    expect(await policy()).toBe(GOOD);
  });

  it('root: below the threshold nothing; at it everything, and the monitor says so at once', async () => {
    const thief = holder('thief');
    const take = (body: Json) => {
      const { keyid, ...key } = { ...tufKeyOf(thief.key.privateKey).form, keyid: tufKeyOf(thief.key.privateKey).id };
      body.keys = { [keyid]: key };
      const role = { keyids: [keyid], threshold: 1 };
      body.roles = { root: role, targets: role, snapshot: role, timestamp: role };
    };
    const good = mirror.files;
    forge('root', '1.root.json', take, [keys.root[0]!, thief]);
    expect(await refusal()).toBe('tuf-signatures');
    expect(await monitored()).toEqual([expect.stringMatching(/^trust-refused critical/)]);
    mirror.files = good;
    forge('root', '1.root.json', take, [...keys.root.slice(0, 2), thief]);
    forgeTargets([thief], { ...keys, snapshot: thief, timestamp: thief });
    expect(await refusal()).toBeUndefined();
    expect(await policy()).toBe(EVIL);
    expect(await monitored()).toContainEqual(expect.stringMatching(/^trust-changed critical: .*version 2 of root/));
    // Nothing repairs this from afar: each client gets a root of a new repository by another way.
    const stolen = mirror.files;
    const many = (role: string) => [6, 7].map((i) => holder(`${role}-${i}`));
    keys = { root: many('root'), targets: many('targets'), snapshot: holder('s-2'), timestamp: holder('t-2') };
    await makeAnew();
    await useTrust(store, `${mirror.url}/`, mirror.files.get('1.root.json')!);
    expect(await policy()).toBe(GOOD);
    mirror.files = new Map([...stolen].map(([name, bytes]) => [name.replace(/^1\.root/, '0.root'), bytes]));
    expect(await refusal()).toBe('tuf-signatures');
    expect(await policy()).toBe(GOOD);
  });
});

/** A new repository in the place of the one whose root is lost. */
async function makeAnew(): Promise<void> {
  await rm(own(), { recursive: true });
  await initRepository(own(), planOf(keys), Date.now());
  await stageTargets(own(), { files: [{ name: POLICY, bytes: Buffer.from(GOOD) }] }, Date.now());
  await publishNow([keys.snapshot, keys.timestamp], ['root', keys.root], ['targets', keys.targets]);
}
