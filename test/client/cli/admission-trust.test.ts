/** `stele admission` with the trust of a followed repository: a real log, a real mirror, and updates while it runs. */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { trustFiles } from '../../../client/trust/trust-files.ts';
import { parseVerifierKey } from '../../../merkle/note.ts';
import { AdmissionProcess, writeTls } from '../../support/admission-process.ts';
import { SteleIn } from '../../support/stele-in.ts';
import { TufMaker } from '../../support/tuf-maker.ts';
import { startMirror, type TufMirror } from '../../support/tuf-mirror.ts';
import { until } from '../../support/until.ts';
import { podOf, reviewOf } from '../../support/webhook.ts';

const IMAGE = `registry.example.com/team/app@sha256:${createHash('sha256').update('signed').digest('hex')}`;
const POLICY = `version: 1
name: images of the team
signers:
  release: { keyFile: release.pub }
rules:
  - name: signed by release
    type: signature
    signers: [release]
`;

let stele: SteleIn;
/** Another log, which signed nothing of the tests. */
let other: SteleIn;
let maker: TufMaker;
let mirror: TufMirror;

beforeAll(async () => {
  [stele, other] = await Promise.all([SteleIn.start(), SteleIn.start('other.example.com')]);
  mkdirSync(stele.path('evidence'));
  stele.write('signed', 'signed');
  stele.write('policy.yaml', POLICY);
  const to = ['--log', stele.log.url, '--log-key', stele.log.vkey, '--out', 'evidence/signed.json'];
  await stele.done('sign', 'signed', ...to, '--new-key', 'release.pem', '--public-out', 'release.pub');
  writeTls(stele.dir);
  maker = new TufMaker();
  name(stele, other);
  maker.publish();
  mirror = await startMirror(maker.files);
  stele.write('root.json', maker.root());
  await stele.done('trust', 'use', mirror.url, '--root', 'root.json', '--trust', 'followed');
}, 60_000);

afterAll(async () => {
  await mirror?.close();
  await Promise.all([stele?.end(), other?.end()]);
});

/** Makes these logs the ones that the repository names. */
function name(first: SteleIn, ...more: readonly SteleIn[]): void {
  const shardOf = ({ log }: SteleIn) => {
    const key = parseVerifierKey(log.vkey);
    return { origin: key.name, url: log.url, rekor: true, policy: undefined, start: 0, keys: [key] as const };
  };
  for (const { name, text } of trustFiles([shardOf(first), ...more.map(shardOf)])) maker.target(name, text);
}

/** Publishes the next version of the targets, and follows it. */
async function publishNext(first: SteleIn, ...more: readonly SteleIn[]): Promise<void> {
  name(first, ...more);
  maker.publish();
  mirror.files = maker.files;
  await stele.done('trust', 'update', '--trust', 'followed');
}

const OWN = ['--policy', 'policy.yaml', '--trust-directory', 'followed', '--evidence-registry', 'false'];

it('admits what a followed log shows, takes each update, and denies everything once the trust is damaged', async () => {
  const webhook = await AdmissionProcess.start(stele.dir, [...OWN, '--evidence-directory', 'evidence']);
  onTestFinished(async () => void (await webhook.end('SIGKILL')));
  const ask = async () => (await webhook.post(reviewOf(podOf(IMAGE)))).response;
  expect(await ask()).toMatchObject({ allowed: true });
  expect((await webhook.post(reviewOf(podOf(IMAGE.replace(/.{8}$/, '00000000'))))).response.allowed).toBe(false);
  await publishNext(other);
  await until(async () => (await ask()).allowed === false);
  expect((await ask()).status?.message).toContain('there is no signature over the artifact');
  await publishNext(stele, other);
  await until(async () => (await ask()).allowed === true);
  const [state] = readdirSync(stele.path('followed')).filter((name) => name.endsWith('.json'));
  renameSync(stele.path(`followed/${state}`), stele.path('state.json'));
  writeFileSync(stele.path(`followed/${state}`), '{}', { mode: 0o600 });
  await until(async () => (await ask()).allowed === false);
  expect((await ask()).status?.message).toContain('the trust of this webhook cannot be used now');
  renameSync(stele.path('state.json'), stele.path(`followed/${state}`));
  await until(async () => (await ask()).allowed === true);
  expect(await webhook.end()).toBe(0);
});

it('--check says that nothing is followed there, and that the newest timestamp is too old', async () => {
  const check = (...args: readonly string[]) =>
    stele.run(
      'admission',
      '--check',
      '--tls-cert',
      'tls.crt',
      '--tls-key',
      'tls.key',
      '--evidence-directory',
      'evidence',
      ...args,
    );
  expect(await check(...OWN)).toMatchObject({ status: 0 });
  const nothing = await check(...OWN, '--trust-directory', 'evidence');
  expect(nothing.status).toBe(2);
  expect(nothing.err).toContain('no repository is followed');
  expect(await check(...OWN, '--trust-max-age', '1h')).toMatchObject({ status: 0 });
  const old = await until(async () => {
    const ran = await check(...OWN, '--trust-max-age', '1s');
    return ran.status === 0 ? undefined : ran;
  });
  expect(old).toMatchObject({ status: 2, err: expect.stringContaining('longer than --max-trust-age') });
});
