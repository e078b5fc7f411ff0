/** An attestation store as people and clusters use it: what is signed is pushed, found, verified, decided on and admitted. */
import { createHash } from 'node:crypto';
import { chmodSync, readFileSync } from 'node:fs';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { parseTrustPolicy } from '../../../client/trust/quorum.ts';
import { issue } from '../../merkle/x509/make.ts';
import { AdmissionProcess } from '../../support/admission-process.ts';
import { der } from '../../support/der.ts';
import { SteleIn } from '../../support/stele-in.ts';
import { keyPem, newAuthority, pemOf } from '../../support/tls-server.ts';
import { podOf, reviewOf } from '../../support/webhook.ts';
import { lyingStore } from '../search/store/lying-store.ts';
import { TestStore } from '../search/store/store-parts.ts';

const PREDICATE = {
  buildDefinition: {
    buildType: 'https://example.com/build',
    externalParameters: {},
    resolvedDependencies: [{ uri: 'git+https://example.com/app', digest: { gitCommit: 'c'.repeat(40) } }],
  },
  runDetails: { builder: { id: 'https://example.com/builder' } },
};
const sha256 = (bytes: string | Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const digestOf = (file: string) => `sha256:${sha256(readFileSync(stele.path(file)))}`;
const imageOf = (file: string) => `registry.example.com/team/${file}@${digestOf(file)}`;

let stele: SteleIn;
let store: TestStore;
let how: string[];

beforeAll(async () => {
  stele = await SteleIn.start();
  store = await startStore();
  how = ['--log', stele.log.url, '--log-key', stele.log.vkey, '--store', store.url];
  for (const name of ['app', 'other', 'unstored']) stele.write(name, `the file ${name}`);
  stele.write('predicate.json', JSON.stringify(PREDICATE));
  stele.write(
    'policy.yaml',
    `version: 1
name: built
signers: { builder: { keyFile: builder.pub } }
rules: [{ name: built by the builder, type: https://slsa.dev/provenance/v1, signers: [builder] }]
`,
  );
  await stele.done('attest', 'app', ...attested, ...how, '--new-key', 'builder.pem', '--public-out', 'builder.pub');
  await stele.done('attest', 'unstored', ...attested, ...how.slice(0, 4), '--key', 'builder.pem');
}, 60_000);
afterAll(async () => {
  await store.close();
  await stele.end();
});

const attested = ['--predicate', 'predicate.json', '--type', 'slsaprovenance1'];
const startStore = () =>
  TestStore.start({}, { logs: [{ trust: { policy: parseTrustPolicy(readFileSync(stele.path('quorum'))) } }] });
const ask = (...args: string[]) => stele.run('attestations', ...args, '--quorum-policy', 'quorum');

describe('stele attest --store', () => {
  it('gives the bundle to the store once it is kept here', async () => {
    const found = await store.all({ subject: digestOf('app') });
    expect(found.map(({ digest }) => digest)).toEqual([digestOf('app.slsaprovenance1.sigstore.json')]);
    const { status, out } = await stele.run('attest', 'other', ...attested, ...how, '--key', 'builder.pem', '--json');
    expect(status).toBe(0);
    expect(JSON.parse(out).stored).toEqual({
      store: store.url,
      digest: digestOf('other.slsaprovenance1.sigstore.json'),
    });
  });

  it('ends with 1 where the store takes nothing, and loses no bundle', async () => {
    const lying = await lyingStore((_, reply) => void reply.writeHead(507).end('{"code":"full","message":"no room"}'));
    onTestFinished(() => lying.close());
    stele.write('lost', 'a file');
    const args = ['attest', 'lost', ...attested, ...how.slice(0, 4), '--key', 'builder.pem', '--store', lying.url];
    const { status, out, err } = await stele.run(...args, '--json');
    expect({ status, err }).toEqual({
      status: 1,
      err: expect.stringMatching(/error \[refused\].*is logged and kept.*no room/s),
    });
    expect(JSON.parse(out)).toMatchObject({ ok: true, stored: { error: { code: 'refused' } } });
    expect(
      (
        await stele.run(
          'verify',
          'lost',
          '--bundle',
          'lost.slsaprovenance1.sigstore.json',
          '--key',
          'builder.pub',
          '--policy',
          'quorum',
        )
      ).status,
    ).toBe(0);
    for (const more of [['--no-log'], ['--queue', 'queue', '--log', stele.log.url]]) {
      const refused = await stele.run(
        'attest',
        'lost',
        ...attested,
        '--key',
        'builder.pem',
        '--store',
        store.url,
        ...more,
      );
      expect({ status: refused.status, err: refused.err }).toEqual({
        status: 2,
        err: expect.stringContaining('--store'),
      });
    }
    expect((await stele.run(...args.slice(0, -1), 'nonsense')).status).toBe(2);
  });

  it('is there for `stele sign` too', async () => {
    stele.write('signed', 'a signed file');
    await stele.done('sign', 'signed', ...how, '--key', 'builder.pem');
    expect(await store.all({ subject: digestOf('signed') })).toHaveLength(1);
  });
});

describe('stele attestations', () => {
  it('finds by file, digest, image, type and material, and verifies each', async () => {
    const expected = [digestOf('app.slsaprovenance1.sigstore.json')];
    for (const subject of ['app', digestOf('app'), imageOf('app')]) {
      const { status, out } = await ask(subject, '--store', store.url, '--type', 'slsaprovenance1', '--json');
      const { attestations, refused, ok } = JSON.parse(out);
      expect(
        { status, ok, refused, found: attestations.map(({ digest }: { digest: string }) => digest) },
        subject,
      ).toEqual({ status: 0, ok: true, refused: [], found: expected });
      expect(attestations[0]).toMatchObject({
        predicateType: 'https://slsa.dev/provenance/v1',
        entries: [{ log: 'localhost' }],
      });
    }
    const material = await ask(
      'app',
      '--material',
      `gitCommit:${'c'.repeat(40)}`,
      '--store',
      store.url,
      '--key',
      'builder.pub',
      '--output',
      'found',
    );
    expect(material.status).toBe(0);
    expect(material.out).toMatch(/signed by {2}the key sha256:[0-9a-f]{64}/);
    expect(material.out).toContain('no promise of a log');
    const file = `found/${expected[0]!.replace(':', '-')}.sigstore.json`;
    expect(readFileSync(stele.path(file))).toEqual(readFileSync(stele.path('app.slsaprovenance1.sigstore.json')));
    const none = await ask('unstored', '--store', store.url, '--json');
    expect({ status: none.status, ...JSON.parse(none.out) }).toMatchObject({
      status: 0,
      attestations: [],
      notice: expect.stringContaining('no promise'),
    });
  });

  it('refuses what does not verify, and ends with 1', async () => {
    await stele.done(
      'sign',
      'app',
      ...how.slice(0, 4),
      '--new-key',
      'other.pem',
      '--public-out',
      'other.pub',
      '--out',
      'x.json',
    );
    const { status, out, err } = await ask('app', '--store', store.url, '--key', 'other.pub');
    expect({ status, err }).toEqual({ status: 1, err: expect.stringContaining('bad-signature') });
    expect(out).toContain('0 attestations verified, 1 refused');
  });

  it('could not try', async () => {
    for (const args of [
      ['app'],
      ['--store', store.url],
      ['missing', '--store', store.url],
      ['app', '--store', 'ftp://x'],
      ['app', '--store', store.url, '--type', 'no type'],
    ]) {
      expect((await ask(...args)).status, args.join(' ')).toBe(2);
    }
    expect((await stele.run('attestations', 'app', '--store', store.url)).status).toBe(2);
    const gone = await lyingStore(() => {});
    await gone.close();
    expect((await ask('app', '--store', gone.url)).status).toBe(1);
  });
});

describe('stele decide --store', () => {
  const decide = (...args: string[]) =>
    stele.run('decide', ...args, '--policy', 'policy.yaml', '--quorum-policy', 'quorum');

  it('decides by what the store has', async () => {
    expect((await decide('app', '--store', store.url)).status).toBe(0);
    expect((await decide('unstored', '--store', store.url)).status).toBe(1);
    // Together with files.
    expect(
      (await decide('unstored', '--store', store.url, '--evidence', 'unstored.slsaprovenance1.sigstore.json')).status,
    ).toBe(0);
  });

  it('decides nothing while the store does not answer, whatever the files say', async () => {
    const away = await lyingStore((_, reply) => void reply.writeHead(503).end());
    onTestFinished(() => away.close());
    const { status, err } = await decide('app', '--store', away.url, '--evidence', 'app.slsaprovenance1.sigstore.json');
    expect({ status, err }).toEqual({ status: 2, err: expect.stringContaining('unavailable') });
    expect((await decide('app', '--evidence', 'app.slsaprovenance1.sigstore.json', '--store-ca', 'x')).status).toBe(2);
  });
});

describe('stele admission with a store', () => {
  const start = async (url: string, ...args: string[]) => {
    const own = [
      '--policy',
      'policy.yaml',
      '--trust-quorum-policy',
      'quorum',
      '--evidence-registry',
      'false',
      '--cache-deny',
      '0s',
      '--cache-allow',
      '0s',
    ];
    const started = await AdmissionProcess.start(stele.dir, [...own, '--evidence-store', url, ...args]);
    onTestFinished(async () => void (await started.end('SIGKILL')));
    return started;
  };
  const judged = async (webhook: AdmissionProcess, file: string) =>
    (await webhook.post(reviewOf(podOf(imageOf(file))))).response;

  it('admits what has evidence there, and denies the rest', async () => {
    const webhook = await start(store.url);
    expect(await judged(webhook, 'app')).toMatchObject({ allowed: true });
    expect(await judged(webhook, 'unstored')).toMatchObject({ allowed: false });
    expect(await webhook.end()).toBe(0);
  });

  it('denies while the store is away, though a directory has the evidence', async () => {
    const other = await startStore();
    const webhook = await start(
      other.url,
      '--evidence-directory',
      'app.slsaprovenance1.sigstore.json',
      '--evidence-timeout',
      '500ms',
    );
    expect(await judged(webhook, 'app')).toMatchObject({ allowed: true });
    await other.close();
    const denied = await judged(webhook, 'app');
    expect(denied.allowed).toBe(false);
    expect(denied.status?.message).toContain('attestations');
  });

  it.each<[string, Parameters<typeof lyingStore>[0]]>([
    ['an empty page for people', (_, reply) => void reply.end('<html></html>')],
    ['a redirect', (_, reply) => void reply.writeHead(302, { location: store.url }).end()],
    ['pages without an end', (_, reply) => void reply.end(`{"attestations":[],"next":"${Math.random()}"}`)],
    ['a huge reply', (_, reply) => void reply.end(Buffer.alloc(4 * 1024 * 1024, 0x20))],
    ['silence', () => {}],
  ])('denies where the store answers with %s', async (_name, answer) => {
    const lying = await lyingStore(answer);
    onTestFinished(() => lying.close());
    const webhook = await start(
      lying.url,
      '--evidence-timeout',
      '200ms',
      '--evidence-directory',
      'app.slsaprovenance1.sigstore.json',
    );
    expect(await judged(webhook, 'app')).toMatchObject({ allowed: false });
  });

  it('denies where the store gives the evidence of another image', async () => {
    const file = readFileSync(stele.path('app.slsaprovenance1.sigstore.json'));
    const lying = await lyingStore((request, reply) => {
      if (request.url!.includes('?'))
        reply.end(JSON.stringify({ attestations: [{ digest: `sha256:${sha256(file)}`, size: file.length }] }));
      else reply.end(file);
    });
    onTestFinished(() => lying.close());
    const webhook = await start(lying.url);
    expect(await judged(webhook, 'app')).toMatchObject({ allowed: true });
    expect(await judged(webhook, 'unstored')).toMatchObject({ allowed: false });
  });

  it('shows its certificate to a store that asks for one, and trusts the authority of the store alone', async () => {
    const by = newAuthority('stores');
    const names = [der(0x82, Buffer.from('localhost'))];
    const server = issue({ name: 'localhost', by, keyUsage: 0x80, usages: ['1.3.6.1.5.5.7.3.1'], names });
    const client = issue({ name: 'webhook', by, keyUsage: 0x80, usages: ['1.3.6.1.5.5.7.3.2'], names });
    const proxy = https.createServer(
      { key: keyPem(server), cert: pemOf(server), ca: pemOf(by), requestCert: true, rejectUnauthorized: true },
      async (request, reply) => {
        const answer = await fetch(`${store.url}${request.url}`);
        reply.writeHead(answer.status).end(Buffer.from(await answer.arrayBuffer()));
      },
    );
    await new Promise<void>((resolve) => proxy.listen(0, resolve));
    onTestFinished(() => void proxy.close());
    const url = `https://localhost:${(proxy.address() as AddressInfo).port}`;
    stele.write('store-ca.pem', pemOf(by));
    stele.write('client.pem', pemOf(client));
    stele.write('client.key', keyPem(client));
    chmodSync(stele.path('client.key'), 0o600);
    const shown = ['--outgoing-ca', 'store-ca.pem', '--outgoing-cert', 'client.pem', '--outgoing-key', 'client.key'];
    expect(await judged(await start(url, ...shown), 'app')).toMatchObject({ allowed: true });
    for (const args of [[], shown.slice(0, 2), shown.slice(2)]) {
      expect(await judged(await start(url, ...args), 'app'), args.join(' ')).toMatchObject({ allowed: false });
    }
    const decide = ['decide', 'app', '--policy', 'policy.yaml', '--quorum-policy', 'quorum', '--store', url];
    expect(
      (
        await stele.run(
          ...decide,
          '--store-ca',
          'store-ca.pem',
          '--store-cert',
          'client.pem',
          '--store-key',
          'client.key',
        )
      ).status,
    ).toBe(0);
    expect((await stele.run(...decide, '--store-ca', 'store-ca.pem')).status).toBe(2);
    proxy.closeAllConnections();
  });

  it('is refused where its settings contradict each other', async () => {
    const run = (...args: string[]) =>
      stele.run(
        'admission',
        '--check',
        '--policy',
        'policy.yaml',
        '--trust-quorum-policy',
        'quorum',
        '--tls-cert',
        'tls.crt',
        '--tls-key',
        'tls.key',
        ...args,
      );
    for (const args of [
      ['--evidence-registry', 'false'],
      ['--evidence-store', 'ftp://example.com'],
      ['--evidence-store', 'https://user:pw@example.com'],
      ['--outgoing-ca', 'quorum'],
      ['--evidence-store', 'https://example.com', '--outgoing-cert', 'client.pem'],
    ]) {
      const { status, err } = await run(...args);
      expect({ status, err }, args.join(' ')).toEqual({ status: 2, err: expect.stringMatching(/evidence|outgoing/) });
    }
  });
});
