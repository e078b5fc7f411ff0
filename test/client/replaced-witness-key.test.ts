/**
 * The key of a witness is replaced, step by step as docs/operation.md says it ("A witness's key"), with real processes. Clients
 * follow the repository that the log serves, and name no other trust.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { later, tempDir } from '../support/log-files.ts';
import { startServer, stele } from '../support/serve.ts';
import { until } from '../support/until.ts';
import { startWitness, type WitnessProcess } from '../support/witness-process.ts';

const PLAN = `holders: { holder-1: holder-1.pub.pem, online: online.pub.pem }
root: { holders: [holder-1], threshold: 1 }
targets: { holders: [holder-1], threshold: 1 }
snapshot: { holders: [online] }
timestamp: { holders: [online] }
`;

it("a witness's key is replaced while clients follow", { timeout: 240_000 }, async () => {
  const dir = await tempDir();
  const at = (...names: string[]) => join(dir, ...names);
  const env = { STELE_TRUST: at('client') };
  const run = async (...args: string[]) => {
    const ended = await stele(args, { cwd: dir, env });
    expect(ended, `${args.join(' ')}: ${ended.stderr}`).toMatchObject({ code: 0 });
  };
  const first = await startServer(at('data'));
  const [key = ''] = first.verifierKeys;
  const { port } = new URL(first.url);
  expect(await first.stop()).toBe(0);

  const witness = async (name: string): Promise<WitnessProcess> => {
    const running = await startWitness(at(name), `${name}.test/w`, [key]);
    later(() => running.kill());
    return running;
  };
  const [w1, w2] = [await witness('w1'), await witness('w2')];
  const policy = async (...lines: string[]) => await writeFile(at('policy'), lines.join(''));
  await policy(w1.policyLine('w1'), w2.policyLine('w2'), 'group enough all w1 w2\nquorum enough\n');

  for (const name of ['holder-1', 'online', 'signer']) await run('keygen', '--out', `${name}.pem`);
  await writeFile(at('plan.yaml'), PLAN);
  await run('trust', 'init', 'repository', '--plan', 'plan.yaml');
  const url = `http://localhost:${port}`;
  const publishTrust = async () => {
    const log = ['--data', 'data', '--public-url', url, '--policy', 'policy'];
    await run('trust', 'files', 'files', ...log, '--force');
    await run('trust', 'stage', 'repository', 'files');
    await run('trust', 'sign', 'repository', '--key', 'holder-1.pem', '--yes');
    await run('trust', 'publish', 'repository', '--key', 'online.pem');
  };
  await publishTrust();
  const args = ['--policy', at('policy'), '--public-url', url, '--listen-port', port];
  const log = await startServer(at('data'), { args: [...args, '--trust-directory', at('repository')] });
  later(() => log.kill());
  await run('trust', 'use', `${url}/trust/`, '--root', 'repository/public/1.root.json');

  const sign = async (name: string) => {
    await writeFile(at(name), name);
    await run('sign', name, '--key', 'signer.pem');
  };
  const verify = async (name: string) =>
    (await stele(['verify', name, '--key', 'signer.pub.pem'], { cwd: dir, env })).code;
  const ready = async (text: string) =>
    await until(async () => ((await (await fetch(`${log.adminUrl}/readyz`)).text()).includes(text) ? true : undefined));
  await sign('before');
  expect(await verify('before')).toBe(0);

  // Steps 1 and 2: the new witness beside the old one, and a quorum that either satisfies.
  const w1New = await witness('w1-new');
  const either = 'group w1-either any w1 w1-new\ngroup enough all w1-either w2\nquorum enough\n';
  await policy(w1.policyLine('w1'), w1New.policyLine('w1-new'), w2.policyLine('w2'), either);
  log.signal('SIGHUP');
  await until(() => (log.log().includes('w1-new') ? true : undefined));
  await mkdir(at('old-client'));
  const old = { cwd: dir, env: { STELE_TRUST: at('old-client', 'trust') } };
  expect((await stele(['trust', 'use', `${url}/trust/`, '--root', 'repository/public/1.root.json'], old)).code).toBe(0);

  // Step 3: clients learn of both.
  await publishTrust();
  await run('trust', 'update');
  expect(await readFile(at('files', 'policy'), 'utf8')).toContain('w1-new.test/w');
  await sign('between');

  // Step 4: the old witness leaves.
  expect(await w1.stop()).toBe(0);
  await policy(w1New.policyLine('w1-new'), w2.policyLine('w2'), 'group enough all w1-new w2\nquorum enough\n');
  log.signal('SIGHUP');
  await ready('ready');
  await sign('after');
  for (const name of ['before', 'between', 'after']) expect(await verify(name), name).toBe(0);
  // A client without the news refuses what the old witness did not cosign, and takes what it did.
  expect((await stele(['verify', 'after', '--key', 'signer.pub.pem'], old)).code).toBe(1);
  expect((await stele(['verify', 'before', '--key', 'signer.pub.pem'], old)).code).toBe(0);
});
