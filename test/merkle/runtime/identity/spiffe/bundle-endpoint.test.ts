/** Trust bundles of an endpoint: both profiles of SPIFFE Federation, and endpoints that are wrong. */
import { writeFile } from 'node:fs/promises';
import https from 'node:https';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { formatPem } from '../../../../../merkle/pem.ts';
import { openBundleSource } from '../../../../../merkle/runtime/identity/spiffe/open-sources.ts';
import type { BundleSource, TrustDomainSettings } from '../../../../../merkle/runtime/identity/spiffe/types.ts';
import { der } from '../../../../support/der.ts';
import { tempDir } from '../../../../support/log.ts';
import { keyPem, newAuthority, pemOf } from '../../../../support/tls-server.ts';
import { until } from '../../../../support/until.ts';
import { domainCa, issueSvid, SERVER_AUTH, x509Key } from '../../../spiffe/make-svid.ts';
import { type Authority, issue } from '../../../x509/make.ts';

const ENDPOINT = 'spiffe://example.org/bundle-server';

let dir: Awaited<ReturnType<typeof tempDir>>;
const open: { close(): Promise<void> }[] = [];
beforeEach(async () => {
  dir = await tempDir();
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
  await dir.remove();
});

/** What the endpoint answers; `requests` counts requests, not connections. */
interface Served {
  readonly url: string;
  status: number;
  body: string;
  headers: Record<string, string>;
  requests: number;
  /** Presents another certificate from now on. */
  present(leaf: Authority, ...chain: readonly Authority[]): void;
}

async function serve(leaf: Authority, ...chain: readonly Authority[]): Promise<Served> {
  const pair = (one: Authority, rest: readonly Authority[]) => ({
    key: keyPem(one),
    cert: [one, ...rest].map(pemOf).join(''),
  });
  const server = https.createServer(pair(leaf, chain), (_request, reply) => {
    served.requests += 1;
    reply.writeHead(served.status, served.headers).end(served.body);
  });
  await new Promise<void>((resolve) => server.listen(0, resolve));
  const served: Served = {
    url: `https://localhost:${(server.address() as AddressInfo).port}/bundle`,
    status: 200,
    body: '',
    headers: {},
    requests: 0,
    present: (one, ...rest) => server.setSecureContext(pair(one, rest)),
  };
  open.push({
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  });
  return served;
}

/** Time that passes when the test says so. */
function steps() {
  const waits: { ms: number; go: () => void }[] = [];
  return {
    waits,
    clock: {
      now: Date.now,
      sleep: (ms: number, signal?: AbortSignal) =>
        new Promise<void>((resolve) => {
          const wait = { ms, go: resolve };
          waits.push(wait);
          signal?.addEventListener('abort', () => {
            if (waits.includes(wait)) waits.splice(waits.indexOf(wait), 1);
            resolve();
          });
        }),
    },
    /** Ends the newest pause. */
    async next(): Promise<number> {
      const wait = await until(() => waits.at(-1));
      waits.pop();
      wait.go();
      return wait.ms;
    },
  };
}

async function source(domains: readonly TrustDomainSettings[], more = {}): Promise<BundleSource> {
  const opened = await openBundleSource({ trustDomains: domains }, { firstMs: 30_000, ...more });
  open.push(opened);
  return opened;
}

const file = async (name: string, text: string) => {
  await writeFile(join(dir.path, name), text);
  return join(dir.path, name);
};
const bundleOf = (sequence: number | undefined, hint: number | undefined, ...cas: readonly Authority[]) =>
  JSON.stringify({ spiffe_sequence: sequence, spiffe_refresh_hint: hint, keys: cas.map((ca) => x509Key(ca)) });
const rootsOf = (of: BundleSource, name = 'example.org') =>
  of
    .current()
    .get(name)
    ?.x509Authorities.map(({ der: bytes }) => Buffer.from(bytes).toString('hex'));
const hex = ({ certificate }: Authority) => Buffer.from(certificate.der).toString('hex');
const [one, two] = [domainCa('example.org'), domainCa('example.org')];

describe('an endpoint with a certificate of the web', () => {
  const web = newAuthority('web');
  const leaf = issue({
    name: 'localhost',
    by: web,
    keyUsage: 0x80,
    usages: [SERVER_AUTH],
    names: [der(0x82, Buffer.from('localhost'))],
  });
  const domain = async (served: Served) => ({
    name: 'example.org',
    bundle: served.url,
    ca: await file('ca.pem', pemOf(web)),
  });

  it('gives the bundle, and is asked again as it hints, within bounds', async () => {
    const served = await serve(leaf);
    served.body = bundleOf(1, 3600, one);
    const time = steps();
    const bundles = await source([await domain(served)], { clock: time.clock });
    expect(rootsOf(bundles)).toEqual([hex(one)]);
    served.body = bundleOf(2, 1, one, two);
    expect(await time.next()).toBe(3_600_000);
    await until(() => rootsOf(bundles)!.length === 2);
    served.body = bundleOf(3, 10 ** 9, two);
    expect(await time.next()).toBe(60_000);
    await until(() => rootsOf(bundles)!.join() === hex(two));
    served.body = bundleOf(undefined, undefined, two);
    expect(await time.next()).toBe(86_400_000);
    await until(() => served.requests === 4);
    served.body = bundleOf(undefined, undefined, one);
    expect(await time.next()).toBe(300_000);
    await until(() => rootsOf(bundles)!.join() === hex(one));
  });

  it('keeps its last bundle where it fails, until the next turn', async () => {
    const served = await serve(leaf);
    served.body = bundleOf(5, 3600, one);
    const time = steps();
    const bundles = await source([await domain(served)], { clock: time.clock });
    for (const [status, body, why] of [
      [500, '', /does not answer with 200, but 500/],
      [302, '', /it redirects \(302\), which is not followed/],
      [200, '{}', /has no list "keys"/],
      [200, ' '.repeat(5 * 1_048_576), /more than 4194304 bytes/],
      [200, bundleOf(4, 3600, two), /sequence 4, which is older than 5/],
    ] as const) {
      Object.assign(served, { status, body });
      expect(await time.next()).toBe(3_600_000);
      await until(() => bundles.problem !== undefined && why.test(bundles.problem));
      expect(rootsOf(bundles)).toEqual([hex(one)]);
    }
    Object.assign(served, { status: 200, body: bundleOf(6, 3600) });
    await time.next();
    await until(() => bundles.problem === undefined);
    expect(rootsOf(bundles)).toEqual([]);
  });

  it('is not trusted by other authorities, nor for another host', async () => {
    const served = await serve(leaf);
    served.body = bundleOf(1, 3600, one);
    const settings = await domain(served);
    const other = await file('other.pem', pemOf(newAuthority('other')));
    const numeric = served.url.replace('localhost', '127.0.0.1');
    for (const wrong of [{ ca: other }, { ca: undefined }, { bundle: numeric }]) {
      const bundles = await source([{ ...settings, ...wrong }]);
      expect(bundles.current().size).toBe(0);
      expect(bundles.problem).toMatch(/does not answer: /);
    }
    await expect(source([{ ...settings, ca: await file('none.pem', 'none') }])).rejects.toMatchObject({
      code: 'config',
    });
    expect(served.requests).toBe(0);
  });

  it('is asked again soon where it gave no bundle yet, beside one that did', async () => {
    const served = await serve(leaf);
    served.status = 503;
    const time = steps();
    const bundle = await file('bundle.json', bundleOf(1, 3600, two));
    const bundles = await source([await domain(served), { name: 'example.net', bundle }], { clock: time.clock });
    expect(bundles.current().has('example.org')).toBe(false);
    expect(bundles.problem).toMatch(/503/);
    Object.assign(served, { status: 200, body: bundleOf(1, 3600, one) });
    expect(await time.next()).toBeLessThanOrEqual(1000);
    await until(() => bundles.current().has('example.org') && bundles.problem === undefined);
  });
});

describe('an endpoint with an SVID', () => {
  const settings = async (served: Served, more: Partial<TrustDomainSettings> = {}): Promise<TrustDomainSettings> => ({
    name: 'example.org',
    bundle: served.url,
    endpointId: ENDPOINT,
    bootstrap: await file('bootstrap.json', bundleOf(1, 3600, one)),
    ...more,
  });

  it('proves itself by the first bundle, and later by the bundle that it gave last', async () => {
    const served = await serve(issueSvid(one, ENDPOINT));
    served.body = bundleOf(1, 3600, one, two);
    const time = steps();
    const bundles = await source([await settings(served)], { clock: time.clock });
    expect(rootsOf(bundles)).toEqual([hex(one), hex(two)]);
    served.present(issueSvid(two, ENDPOINT));
    served.body = bundleOf(2, 3600, two);
    await time.next();
    await until(() => rootsOf(bundles)!.join() === hex(two));
    // The first bundle proves nothing any more.
    served.present(issueSvid(one, ENDPOINT));
    served.body = bundleOf(3, 3600, one);
    await time.next();
    await until(() => bundles.problem?.includes('does not lead to its trust domain'));
    expect(rootsOf(bundles)).toEqual([hex(two)]);
    expect(served.requests).toBe(2);
  });

  it('may be of another trust domain, and have intermediates', async () => {
    const net = domainCa('example.net');
    const middle = issue({ name: 'middle', by: net, ca: true, keyUsage: 0x04 });
    const served = await serve(issueSvid(middle, 'spiffe://example.net/server'), middle);
    served.body = bundleOf(1, 3600, one);
    const bundle = await file('net.json', bundleOf(1, 3600, net));
    const endpointId = 'spiffe://example.net/server';
    const bundles = await source([
      { name: 'example.net', bundle },
      { name: 'example.org', bundle: served.url, endpointId },
    ]);
    expect(rootsOf(bundles)).toEqual([hex(one)]);
  });

  const stranger = domainCa('example.org');
  it.each<[string, Authority, RegExp]>([
    ['of another root', issueSvid(stranger, ENDPOINT), /does not lead to its trust domain/],
    [
      'of another ID',
      issueSvid(one, 'spiffe://example.org/other'),
      /the server is spiffe:\/\/example\.org\/other, and spiffe:\/\/example\.org\/bundle-server is expected/,
    ],
    [
      'of a longer ID',
      issueSvid(one, `${ENDPOINT}/more`),
      /bundle-server\/more, and spiffe:\/\/example\.org\/bundle-server is expected/,
    ],
    ['of another trust domain', issueSvid(one, 'spiffe://example.net/bundle-server'), /of which there is no bundle/],
    ['that expired', issueSvid(one, ENDPOINT, { to: '2021-01-01T00:00:00Z' }), /expired on 2021/],
    ['for clients alone', issueSvid(one, ENDPOINT, { usages: ['1.3.6.1.5.5.7.3.2'] }), /authentication of a server/],
    ['of an authority', domainCa('example.org', { names: [der(0x86, Buffer.from(ENDPOINT))] }), /is an authority's/],
  ])('is refused with one %s, before a request is sent', async (_, leaf, why) => {
    const served = await serve(leaf);
    served.body = bundleOf(1, 3600, two);
    const bundles = await source([await settings(served)]);
    expect(bundles.problem).toMatch(why);
    expect(bundles.current().size).toBe(0);
    expect(bundles.isAwaited('example.org')).toBe(true);
    expect(served.requests).toBe(0);
  });

  it('holds no connection where it never ends its handshake', async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => void sockets.push(socket.on('error', () => {})));
    await new Promise<void>((resolve) => silent.listen(0, resolve));
    const url = `https://localhost:${(silent.address() as AddressInfo).port}/`;
    const opening = openBundleSource(
      { trustDomains: [await settings({ url } as Served)] },
      { clock: { now: Date.now, sleep: () => until(() => sockets.length > 0).then(() => {}) } },
    );
    const bundles = await opening;
    expect(bundles.current().size).toBe(0);
    const closed = new Promise((resolve) => sockets[0]!.once('close', resolve).resume());
    await bundles.close();
    await closed;
    silent.close();
  });

  it('needs the bundle of its trust domain', async () => {
    const served = await serve(issueSvid(one, ENDPOINT));
    const bundles = await source([await settings(served, { bootstrap: undefined })]);
    expect(bundles.problem).toMatch(/of which there is no bundle here/);
    await expect(source([await settings(served, { endpointId: 'example.org' })])).rejects.toMatchObject({
      code: 'bad-spiffe-id',
    });
    const bad = await file('bad.json', formatPem('CERTIFICATE', issueSvid(one, ENDPOINT).certificate.der));
    await expect(source([await settings(served, { bootstrap: bad })])).rejects.toMatchObject({ code: 'trust-bundle' });
    expect(served.requests).toBe(0);
  });
});
