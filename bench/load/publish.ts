/**
 * `npm run bench:load -- --publish`: how long the publication of a TUF repository with 1,000 delegated roles takes, each with a
 * key and a target of its own. The holders' signatures are there already.
 */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readTargets, writeMetadata } from '../../client/trust/tuf/metadata.ts';
import { DAY, HOUR, type TrustPlan, targetsOf } from '../../client/trust/tuf/plan.ts';
import { publish } from '../../client/trust/tuf/publish.ts';
import { RepositoryStore } from '../../client/trust/tuf/repository-store.ts';
import { addSignature, signStaged } from '../../client/trust/tuf/staged-signing.ts';
import { initRepository } from '../../client/trust/tuf/staging.ts';
import { hexSha256, tufKey } from '../../client/trust/tuf/tuf-key.ts';
import { softwareSigner } from '../../merkle/runtime/keys/keyfile.ts';
import { median, type Row, round } from '../report.ts';

const ROLES = 1000;
const RUNS = 3;

interface Time {
  readonly wall: number;
  readonly cpu: number;
}
type Times = Record<'first' | 'one' | 'refresh', Time[]>;

/** The first publication, one of a single changed role, and a refresh of the timestamp. */
export async function publishRows(): Promise<Row[]> {
  const times: Times = { first: [], one: [], refresh: [] };
  for (let run = 0; run < RUNS; run++) {
    const dir = mkdtempSync(join(tmpdir(), 'stele-bench-'));
    try {
      await measure(join(dir, 'repository'), times);
    } finally {
      rmSync(dir, { recursive: true });
    }
  }
  const row = (what: string, list: readonly Time[]): Row => ({
    'publish 1,000 delegated roles': what,
    ms: round(median(list.map(({ wall }) => wall))),
    'processor ms': round(median(list.map(({ cpu }) => cpu))),
    aim: '2,000',
  });
  return [
    row('all are new, with a target each', times.first),
    row('one is new', times.one),
    row('a new timestamp', times.refresh),
  ];
}

async function measure(dir: string, times: Times): Promise<void> {
  const now = Date.now();
  const signer = () => softwareSigner(generateKeyPairSync('ed25519').privateKey);
  const [root, online] = [signer(), signer()];
  const teams = Array.from({ length: ROLES }, (_, i) => ({ name: `team-${i}`, signer: signer() }));
  const holders = [{ name: 'root', signer: root }, { name: 'online', signer: online }, ...teams];
  const role = (holder: string, expires: number) => ({ holders: [holder], threshold: 1, expires });
  const plan: TrustPlan = {
    holders: new Map(holders.map(({ name, signer }) => [name, tufKey(signer.publicKey)])),
    root: role('root', 365 * DAY),
    targets: role('root', 90 * DAY),
    snapshot: role('online', 7 * DAY),
    timestamp: role('online', DAY),
    delegations: teams.map(({ name }) => ({
      ...role(name, 90 * DAY),
      name,
      paths: [`teams/${name}.json`],
      terminating: true,
    })),
  };
  await initRepository(dir, plan, now);
  for (const name of ['root', 'targets']) await signStaged(dir, root, name);
  const store = new RepositoryStore(dir);
  const delegating = readTargets((await store.readStaged('targets'))!);
  const stage = async (team: (typeof teams)[number], version: number, text: string) => {
    const [name, bytes] = [`teams/${team.name}.json`, Buffer.from(text)];
    const file = { length: bytes.length, hashes: { sha256: hexSha256(bytes) } };
    const unsigned = readTargets(writeMetadata(targetsOf(version, now + 90 * DAY, { [name]: file }, undefined), []));
    const signed = await addSignature(unsigned, team.name, [delegating.signed], team.signer);
    return { role: team.name, bytes: signed, target: { name, bytes } };
  };
  const staged = [];
  for (const team of teams) staged.push(await stage(team, 1, `a target of ${team.name}`));
  await store.writeStagedTargets(staged.map(({ target }) => target));
  await store.writeStaged(staged);
  const timed = async (list: Time[], at: number) => {
    const [start, before] = [performance.now(), process.cpuUsage()];
    await publish(dir, { online: [online], now: at });
    const { user, system } = process.cpuUsage(before);
    list.push({ wall: performance.now() - start, cpu: (user + system) / 1000 });
  };
  await timed(times.first, now);
  const one = await stage(teams[0]!, 2, 'another target');
  await store.writeStagedTargets([one.target]);
  await store.writeStaged([one]);
  await timed(times.one, now);
  await timed(times.refresh, now + 13 * HOUR);
}
