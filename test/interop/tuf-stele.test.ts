/** A TUF repository that Stele writes and serves, before the clients of other projects: the same bytes in each. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { trustFiles } from '../../client/trust/trust-files.ts';
import { DAY, type TrustPlan } from '../../client/trust/tuf/plan.ts';
import { publish } from '../../client/trust/tuf/publish.ts';
import { changePlan, initRepository, stageTargets } from '../../client/trust/tuf/staging.ts';
import { tufKey } from '../../client/trust/tuf/tuf-key.ts';
import { parseVerifierKey } from '../../merkle/verifier-key.ts';
import { type Holder, holder, holders, planOf, signAll } from '../client/trust/tuf/repository.ts';
import { tempDir } from '../support/log.ts';
import { CLI, type ServeProcess, startServer } from '../support/serve.ts';
import { skips } from '../support/skip.ts';
import { until } from '../support/until.ts';
import { steleClient, TUF_CLIENTS, type TufClient } from './tuf-clients.ts';

const POLICY = 'policies/admission.yaml';
const all: readonly TufClient[] = [steleClient, ...TUF_CLIENTS];

let dir: Awaited<ReturnType<typeof tempDir>>;
let log: ServeProcess;
let mirror: { url: string; stop(): Promise<unknown> };
let targets: { readonly name: string; readonly bytes: Buffer }[];
const { five, online } = holders();
const author = holder('author', 'p256');
/** Who holds the root and the targets now. */
let held = five;
let count = 0;
const at = (...names: string[]) => join(dir.path, ...names);
const repository = () => at('repository');

async function publishNow(...signers: readonly (readonly [role: string, holders: readonly Holder[]])[]): Promise<void> {
  for (const [role, holders] of signers) await signAll(repository(), role, holders);
  await publish(repository(), { online: [online.signer], now: Date.now() });
}

async function stage(mark: string): Promise<void> {
  const { origin, url, verifierKeys } = log;
  const keys = verifierKeys.map(parseVerifierKey) as [ReturnType<typeof parseVerifierKey>];
  const described = { origin, url, keys, rekor: true, policy: undefined, start: Date.UTC(2026, 0, 1) };
  const files = trustFiles([described]).map(({ name, text }) => ({ name, bytes: Buffer.from(text) }));
  const own = [{ name: 'note', bytes: Buffer.from(mark) }];
  const delegated = [{ name: POLICY, bytes: Buffer.from(`# ${mark}\n`) }];
  await stageTargets(repository(), { files: [...files, ...own] }, Date.now());
  await stageTargets(repository(), { files: delegated, role: 'policies' }, Date.now());
  targets = [...files, ...own, ...delegated];
}

/** Three of the five holders of root and targets are replaced at once. */
async function replaceThree(): Promise<void> {
  const before = held;
  const fresh = [1, 2, 3].map((i) => holder(`new-${++count}`, i === 2 ? 'p256' : 'ed25519'));
  held = [...before.slice(3), ...fresh];
  const names = held.map(({ name }) => name);
  const change = (plan: TrustPlan): TrustPlan => ({
    ...plan,
    holders: new Map([...held, online, author].map(({ name, key }) => [name, tufKey(key.spki)])),
    root: { ...plan.root, holders: names },
    targets: { ...plan.targets, holders: names },
  });
  await changePlan(repository(), Date.now(), change);
  await stage(`after change ${count}`);
  await publishNow(['root', [...before.slice(0, 3), ...fresh]], ['targets', fresh], ['policies', [author]]);
}

beforeAll(async () => {
  dir = await tempDir();
  const plan = planOf(five, online, {
    delegations: [
      {
        name: 'policies',
        holders: ['author'],
        threshold: 1,
        paths: ['policies/*'],
        expires: 30 * DAY,
        terminating: false,
      },
    ],
  });
  const withAuthor = { ...plan, holders: new Map([...plan.holders, ['author', tufKey(author.key.spki)]]) };
  await initRepository(repository(), withAuthor, Date.now());
  log = await startServer(at('data'), { args: ['--trust-directory', repository()] });
  await stage('first');
  await publishNow(['root', five.slice(0, 3)], ['targets', five.slice(0, 2)], ['policies', [author]]);
  await writeFile(at('online.pem'), online.key.privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  mirror = await serveTrust(repository(), at('online.pem'));
});
afterAll(async () => {
  for (const client of all) await client.close?.();
  await mirror?.stop();
  await log?.stop();
  await dir?.remove();
});

describe.each(all)('$name', (client) => {
  describe.skipIf(skips(`a repository of Stele before ${client.name}`, client.lacking))('follows Stele', () => {
    /** Only what cosign and sigstore-go look for, where the client gets nothing else. */
    const gets = () =>
      targets.filter(
        ({ name }) => client.anyTarget || ['trusted_root.json', 'signing_config.v0.2.json'].includes(name),
      );

    async function fresh(url: string): Promise<string> {
      const own = at(`client-${++count}`);
      await mkdir(own);
      expect(await client.trust(url, at('repository', 'public', '1.root.json'), own)).toBeUndefined();
      return own;
    }

    async function getAll(url: string, own: string): Promise<void> {
      for (const { name, bytes } of gets()) {
        // Stele keeps the files that its commands use.
        if (client === steleClient && (name === 'note' || name === POLICY)) continue;
        const got = await client.get(url, name, own);
        expect(got.bytes?.equals(bytes), `${name}: ${got.said}`).toBe(true);
      }
    }

    it('from `stele trust serve` and from /trust/ of the log: the same bytes of every target', async () => {
      for (const url of [mirror.url, `${log.url}/trust`]) await getAll(url, await fresh(url));
    });

    it('over a root that replaces three of five keys at once, and from two roots behind', async () => {
      const url = `${log.url}/trust`;
      const [known, behind] = [await fresh(url), await fresh(url)];
      await getAll(url, known);
      await getAll(url, behind);
      await replaceThree();
      await getAll(url, known);
      await replaceThree();
      await getAll(url, known);
      await getAll(url, behind);
      await getAll(url, await fresh(url));
    });
  });
});

/** `stele trust serve` of the build. */
async function serveTrust(repository: string, key: string): Promise<typeof mirror> {
  const ports = ['--listen-port', '0', '--admin-port', '0', '--json'];
  const child = spawn(process.execPath, [CLI, 'trust', 'serve', repository, '--key-file', key, ...ports], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'close');
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  await until(
    () => out.endsWith('\n}\n') || child.exitCode !== null,
    () => err,
  );
  const { url } = JSON.parse(out) as { url: string };
  const stop = async () => {
    child.kill('SIGTERM');
    return await ended;
  };
  return { url, stop };
}
