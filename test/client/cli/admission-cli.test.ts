/** `stele admission` as a process: real evidence, files that change, kill -9 and hangs. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { issue } from '../../merkle/x509/make.ts';
import { AdmissionProcess, writeTls } from '../../support/admission-process.ts';
import { der } from '../../support/der.ts';
import { OciServer } from '../../support/oci-server.ts';
import { SteleIn } from '../../support/stele-in.ts';
import { keyPem, newAuthority, pemOf } from '../../support/tls-server.ts';
import { until } from '../../support/until.ts';
import { podOf, type Reply, reviewOf } from '../../support/webhook.ts';
import { cosignerOf } from '../monitor/cosigner.ts';

const imageOf = (text: string) =>
  `registry.example.com/team/app@sha256:${createHash('sha256').update(text).digest('hex')}`;
const SIGNED = imageOf('signed');
const LATER = imageOf('later');
const UNSIGNED = imageOf('unsigned');

const policyOf = (key: string, more = '') => `version: 1
name: images of the team
artifacts: ['registry.example.com/team/**']
signers:
  release: { keyFile: ${key} }
rules:
  - name: signed by release
    type: signature
    signers: [release]
${more}`;

let stele: SteleIn;

beforeAll(async () => {
  stele = await SteleIn.start();
  const how = ['--log', stele.log.url, '--log-key', stele.log.vkey];
  mkdirSync(stele.path('evidence'));
  for (const name of ['signed', 'later', 'stranger', 'old']) stele.write(name, name);
  await stele.done(
    'sign',
    'signed',
    ...how,
    '--new-key',
    'release.pem',
    '--public-out',
    'release.pub',
    '--out',
    'evidence/signed.json',
  );
  await stele.done('sign', 'later', ...how, '--key', 'release.pem', '--out', 'later.json');
  await stele.done('sign', 'stranger', ...how, '--new-key', 'stranger.pem', '--public-out', 'stranger.pub');
  stele.write('policy.yaml', policyOf('release.pub'));
}, 60_000);

afterAll(() => stele.end());

const OWN = ['--policy', 'policy.yaml', '--trust-quorum-policy', 'quorum', '--evidence-registry', 'false'];

async function start(...args: readonly string[]): Promise<AdmissionProcess> {
  const own = [...OWN, '--evidence-directory', 'evidence', ...args];
  const started = await AdmissionProcess.start(stele.dir, own);
  onTestFinished(async () => void (await started.end('SIGKILL')));
  return started;
}

/** Replaces a file at once, as programs that renew files do. */
function replace(name: string, text: string): void {
  stele.write(`${name}.new`, text);
  renameSync(stele.path(`${name}.new`), stele.path(name));
}

/** Takes requests and answers none. */
async function hangingRegistry() {
  const waiting = new Set<http.ServerResponse>();
  const registry = http.createServer((_request, response) => {
    waiting.add(response);
    response.once('close', () => waiting.delete(response));
  });
  registry.listen(0, '127.0.0.1');
  await once(registry, 'listening');
  onTestFinished(() => void registry.closeAllConnections());
  onTestFinished(() => void registry.close());
  return { host: `127.0.0.1:${(registry.address() as AddressInfo).port}`, waiting };
}

const allowed = async (process: AdmissionProcess, image: string) =>
  (await process.post(reviewOf(podOf(image)))).response.allowed;

describe('stele admission', () => {
  it('admits what has evidence, denies what has none in words for the developer, and ends in order', async () => {
    const webhook = await start();
    expect((await webhook.post(reviewOf(podOf(SIGNED)))).response).toMatchObject({ allowed: true });
    const { response, status } = await webhook.post(reviewOf(podOf(SIGNED, UNSIGNED)));
    expect(status).toBe(200);
    expect(response.allowed).toBe(false);
    expect(response.status?.message).toBe(
      `container "c1": ${UNSIGNED} is denied by the policy "images of the team": rule "signed by release": there is no signature over the artifact; 1 piece was refused`,
    );
    const other = SIGNED.replace('team', 'other');
    expect((await webhook.post(reviewOf(podOf(other)))).response.status?.message).toContain('has no rule for');
    const log = webhook.log();
    expect(log).toContain(`"image":"${SIGNED}","verdict":"allowed"`);
    // Of Node's 4 threads, names that nobody answers for would take those that look up names.
    if (process.platform === 'linux') expect(readdirSync(`/proc/${webhook.pid}/task`).length).toBeGreaterThan(128);
    expect(log).toContain(`"image":"${UNSIGNED}","verdict":"denied"`);
    for (const path of ['livez', 'readyz', 'metrics'])
      expect((await fetch(`${webhook.adminUrl}/${path}`)).status).toBe(200);
    expect(await (await fetch(`${webhook.adminUrl}/metrics`)).text()).toMatch(
      /^stele_admission_reviews_total\{webhook="validate",verdict="denied",reason="judged"\} 2$/m,
    );
    expect(await webhook.end()).toBe(0);
  });

  it('finds evidence that comes later', async () => {
    const webhook = await start('--cache-deny', '50ms');
    expect(await allowed(webhook, LATER)).toBe(false);
    copyFileSync(stele.path('later.json'), stele.path('evidence/later.json'));
    onTestFinished(() => rmSync(stele.path('evidence/later.json')));
    await until(() => allowed(webhook, LATER));
  });

  it('takes a new policy without a restart, and drops what the old one allowed', async () => {
    const webhook = await start('--cache-allow', '1h');
    onTestFinished(() => replace('policy.yaml', policyOf('release.pub')));
    expect(await allowed(webhook, SIGNED)).toBe(true);
    replace('policy.yaml', policyOf('stranger.pub'));
    await until(async () => !(await allowed(webhook, SIGNED)));
    replace('policy.yaml', policyOf('release.pub'));
    webhook.signal('SIGHUP');
    await until(() => allowed(webhook, SIGNED));
  });

  it('denies everything while the policy or the trust cannot be used, and stays ready', async () => {
    const webhook = await start('--cache-allow', '1h');
    const quorum = `log ${stele.log.vkey}\nquorum none\n`;
    onTestFinished(() => replace('policy.yaml', policyOf('release.pub')));
    onTestFinished(() => replace('quorum', quorum));
    const break_ = [
      () => replace('policy.yaml', policyOf('release.pub', 'unknownField: 1\n')),
      () => replace('policy.yaml', policyOf('release.pub').replace(/rules:.*/s, 'rules: []\n')),
      () => rmSync(stele.path('policy.yaml')),
      () => replace('quorum', 'log nonsense\n'),
    ];
    for (const breaks of break_) {
      await until(() => allowed(webhook, SIGNED));
      breaks();
      await until(async () => !(await allowed(webhook, SIGNED)));
      const { response } = await webhook.post(reviewOf(podOf(SIGNED)));
      expect(response.status?.message).toContain('the policy or the trust of this webhook cannot be used now');
      const ready = await fetch(`${webhook.adminUrl}/readyz`);
      expect(ready.status).toBe(200);
      expect(await ready.json()).toMatchObject({ alarms: [expect.stringContaining('everything is denied')] });
      replace('policy.yaml', policyOf('release.pub'));
      replace('quorum', quorum);
    }
    await until(() => allowed(webhook, SIGNED));
  });

  it('denies what no quorum of witnesses has cosigned, and drops what it allowed without one', async () => {
    const webhook = await start('--cache-allow', '1h');
    const quorum = `log ${stele.log.vkey}\nquorum none\n`;
    onTestFinished(() => replace('quorum', quorum));
    expect(await allowed(webhook, SIGNED)).toBe(true);
    replace('quorum', `log ${stele.log.vkey}\nwitness w ${cosignerOf('witness.test').vkey}\nquorum w\n`);
    webhook.signal('SIGHUP');
    await until(async () => !(await allowed(webhook, SIGNED)));
    await until(async () => {
      const { response } = await webhook.post(reviewOf(podOf(SIGNED)));
      return response.status!.message!.includes('1 piece was refused');
    });
    replace('quorum', quorum);
    webhook.signal('SIGHUP');
    await until(() => allowed(webhook, SIGNED));
  });

  it('denies where the evidence has a field that is not known', async () => {
    const webhook = await start('--cache-deny', '0s');
    onTestFinished(() => rmSync(stele.path('evidence/later.json')));
    const bundle = JSON.parse(readFileSync(stele.path('later.json'), 'utf8'));
    stele.write('evidence/later.json', JSON.stringify({ ...bundle, more: 1 }));
    const { response } = await webhook.post(reviewOf(podOf(LATER)));
    expect(response.allowed).toBe(false);
    expect(response.status?.message).toContain('2 pieces were refused');
    stele.write('evidence/later.json', JSON.stringify(bundle));
    expect(await allowed(webhook, LATER)).toBe(true);
  });

  it('shows the new certificate after it was renewed', async () => {
    const webhook = await start();
    onTestFinished(() => writeTls(stele.dir));
    const serial = () =>
      new Promise<string>((resolve, reject) => {
        const socket = connect({ port: Number(new URL(webhook.url).port), rejectUnauthorized: false }, () => {
          resolve(socket.getPeerCertificate().fingerprint256);
          socket.destroy();
        });
        socket.on('error', reject);
      });
    const before = await serial();
    const by = newAuthority('renewed');
    const leaf = issue({
      name: 'localhost',
      by,
      keyUsage: 0x80,
      usages: ['1.3.6.1.5.5.7.3.1'],
      names: [der(0x82, Buffer.from('localhost'))],
    });
    writeTls(stele.dir, { cert: pemOf(leaf), key: keyPem(leaf) });
    await until(async () => (await serial()) !== before);
  });

  it('ends its work on a registry that hangs within the time-out of the review', async () => {
    const { host, waiting } = await hangingRegistry();
    stele.write('any.yaml', policyOf('release.pub').replace(/artifacts:.*\n/, ''));
    const args = ['--policy', 'any.yaml', '--trust-quorum-policy', 'quorum', '--evidence-insecure-registries', host];
    const webhook = await AdmissionProcess.start(stele.dir, [...args, '--evidence-allow', 'loopback']);
    onTestFinished(async () => void (await webhook.end('SIGKILL')));
    const image = SIGNED.replace('registry.example.com', host);
    const reply = webhook.post(reviewOf(podOf(image)), '/validate?timeout=1s');
    await until(() => waiting.size > 0);
    const [held] = waiting;
    const closed = once(held!, 'close');
    expect((await reply).response).toMatchObject({ allowed: false });
    await closed;
    // Tags too.
    const tag = await webhook.post(reviewOf(podOf(`${host}/team/app:1`)), '/mutate?timeout=1s');
    expect(tag.response).toMatchObject({ allowed: false });
  });

  it('goes on for others while the pods of some namespaces name a registry that hangs', async () => {
    const { host, waiting } = await hangingRegistry();
    const good = await new OciServer().start();
    onTestFinished(() => good.close());
    stele.write('any.yaml', policyOf('release.pub').replace(/artifacts:.*\n/, ''));
    const registries = ['--evidence-insecure-registries', `${host},${good.host}`, '--evidence-directory', 'evidence'];
    const webhook = await AdmissionProcess.start(stele.dir, [
      '--policy',
      'any.yaml',
      '--trust-quorum-policy',
      'quorum',
      ...registries,
    ]);
    onTestFinished(async () => void (await webhook.end('SIGKILL')));
    const imagesOf = (tenant: string) =>
      Array.from({ length: 20 }, (_, n) => imageOf(`${tenant} ${n}`).replace('registry.example.com', host));
    let answered = 0;
    const slow = ['one', 'two', 'three', 'four', 'five'].map(async (namespace) => {
      const pods = [podOf(...imagesOf(namespace)), podOf(`${host}/team/app:1`)];
      const [pod, tag] = pods.map((pod) => reviewOf(pod, { namespace, uid: namespace }));
      for (const { response } of await Promise.all([webhook.post(pod), webhook.post(tag, '/mutate?timeout=10s')]))
        expect(response).toMatchObject({ allowed: false });
      answered++;
    });
    await until(() => waiting.size === 8);
    const image = SIGNED.replace('registry.example.com', good.host);
    const { response } = await webhook.post(reviewOf(podOf(image)), '/validate?timeout=8s');
    expect({ allowed: response.allowed, answered }).toEqual({ allowed: true, answered: 0 });
    await Promise.all(slow);
  });

  it('asks no registry what a tag stands for where no rule is for the image', async () => {
    const { host, waiting } = await hangingRegistry();
    const own = ['--policy', 'policy.yaml', '--trust-quorum-policy', 'quorum', '--evidence-insecure-registries', host];
    const webhook = await AdmissionProcess.start(stele.dir, own);
    onTestFinished(async () => void (await webhook.end('SIGKILL')));
    const { response } = await webhook.post(reviewOf(podOf(`${host}/team/app:1`)), '/mutate?timeout=10s');
    expect(response.status?.message).toContain('has no rule for');
    expect(waiting.size).toBe(0);
  });

  it('never admits what is not signed, however often it is killed or hangs while reviews come in', async () => {
    const replies: Reply[] = [];
    let failed = 0;
    for (let round = 0; round < 4; round++) {
      const webhook = await start('--cache-deny', '0s', '--cache-allow', '0s');
      let going = true;
      const senders = Array.from({ length: 8 }, async (_, sender) => {
        while (going) {
          const image = sender % 2 === 0 ? UNSIGNED : SIGNED;
          const reply = await webhook
            .post(reviewOf(podOf(image), { uid: `${round}-${sender}` }))
            .catch(() => undefined);
          if (reply === undefined) failed++;
          else if (image === UNSIGNED) replies.push(reply);
          if (reply === undefined) await new Promise(setImmediate);
        }
      });
      const before = replies.length;
      await until(() => replies.length > before + 20);
      if (round % 2 === 1) webhook.signal('SIGSTOP');
      if (round % 2 === 1) {
        const stopped = replies.length;
        webhook.signal('SIGCONT');
        await until(() => replies.length > stopped + 20);
      }
      const errors = failed;
      await webhook.end('SIGKILL');
      await until(() => failed > errors);
      going = false;
      await Promise.all(senders);
    }
    for (const { status, response } of replies)
      expect({ status, allowed: response.allowed }).toEqual({ status: 200, allowed: false });
  });

  it('answers the reviews under way when it ends', async () => {
    const webhook = await start('--cache-deny', '0s');
    const replies = Array.from({ length: 20 }, (_, at) => webhook.post(reviewOf(podOf(UNSIGNED), { uid: String(at) })));
    const first = await Promise.race(replies);
    expect(first.response.allowed).toBe(false);
    const ended = webhook.end();
    for (const reply of await Promise.allSettled(replies))
      if (reply.status === 'fulfilled') expect(reply.value.response.allowed).toBe(false);
    expect(await ended).toBe(0);
  });
});

it('ends with status 2 where its port is taken', async () => {
  const webhook = await start();
  const { port } = new URL(webhook.url);
  const own = [...OWN, '--evidence-directory', 'evidence', '--tls-cert', 'tls.crt', '--tls-key', 'tls.key'];
  const { status, err } = await stele.run('admission', ...own, '--admin-port', '0', '--listen-port', port);
  expect(status).toBe(2);
  expect(err).toContain('EADDRINUSE');
});

describe('stele admission --check', () => {
  const check = (...args: readonly string[]) =>
    stele.run('admission', '--check', '--tls-cert', 'tls.crt', '--tls-key', 'tls.key', ...args);

  it('says that all of it can be used', async () => {
    writeTls(stele.dir);
    const { status, out, err } = await check(...OWN, '--evidence-directory', 'evidence', '--json');
    expect({ status, err }).toEqual({ status: 0, err: '' });
    expect(JSON.parse(out)).toMatchObject({ ok: true, policyDigest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) });
  });

  it.each([
    ['no policy', ['--trust-quorum-policy', 'quorum'], '"policy" is not set'],
    ['no trust', ['--policy', 'policy.yaml'], 'say which logs you trust'],
    [
      'two kinds of trust',
      ['--policy', 'policy.yaml', '--trust-quorum-policy', 'quorum', '--trust-directory', '.'],
      'not by both',
    ],
    [
      'no source of evidence',
      ['--policy', 'policy.yaml', '--trust-quorum-policy', 'quorum', '--evidence-registry', 'false'],
      'no source of evidence',
    ],
    ['a policy that is not there', ['--policy', 'none.yaml', '--trust-quorum-policy', 'quorum'], 'none.yaml'],
    [
      'a time for denials that is too long',
      [...OWN, '--evidence-directory', 'evidence', '--cache-deny', '11s'],
      'cache',
    ],
    [
      'a certificate that is none',
      [...OWN, '--evidence-directory', 'evidence', '--tls-cert', 'policy.yaml'],
      'policy.yaml',
    ],
  ])('says what is wrong, with status 2: %s', async (_what, args, message) => {
    writeTls(stele.dir);
    const { status, err } = await check(...args);
    expect(status).toBe(2);
    expect(err).toContain(message);
  });
});
