/** Trust bundles from files and from a Workload API, as they change. The API is the stand-in of test/support. */
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openBundleSource } from '../../../../../merkle/runtime/identity/spiffe/open-sources.ts';
import type { BundleSettings, BundleSource } from '../../../../../merkle/runtime/identity/spiffe/types.ts';
import { tempDir } from '../../../../support/log.ts';
import { until } from '../../../../support/until.ts';
import { WorkloadApiServer } from '../../../../support/workload-api.ts';
import { domainCa, x509Key } from '../../../spiffe/make-svid.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
const open: { close(): Promise<void> }[] = [];

beforeEach(async () => {
  dir = await tempDir();
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
  await dir.remove();
});

const at = (name: string) => join(dir.path, name);
const watchMs = 10;

async function source(settings: BundleSettings, firstMs = 30_000): Promise<BundleSource> {
  const opened = await openBundleSource(settings, { firstMs, watchMs });
  open.push(opened);
  return opened;
}

async function startApi(options = {}): Promise<WorkloadApiServer> {
  const api = await WorkloadApiServer.start({ socket: at('api.sock'), ...options });
  open.push(api);
  return api;
}

/** Replaces a file at once, as helpers do. */
async function put(name: string, text: string): Promise<string> {
  await writeFile(at(`${name}.new`), text);
  await rename(at(`${name}.new`), at(name));
  return at(name);
}

const change = (of: BundleSource) => new Promise<void>((resolve) => of.onChange(resolve));
const counts = (of: BundleSource) =>
  Object.fromEntries(
    [...of.current()].map(([name, { x509Authorities, jwtAuthorities }]) => [
      name,
      [x509Authorities.length, jwtAuthorities.length],
    ]),
  );

const hex = ({ certificate }: ReturnType<typeof domainCa>) => Buffer.from(certificate.der).toString('hex');
const rootOf = (of: BundleSource, name: string) =>
  Buffer.from(of.current().get(name)!.x509Authorities[0]!.der).toString('hex');

describe('bundles in files', () => {
  const set = (sequence: number | undefined, ...cas: ReturnType<typeof domainCa>[]) =>
    JSON.stringify({ spiffe_sequence: sequence, keys: cas.map((ca) => x509Key(ca)) });
  const [one, two] = [domainCa('example.org'), domainCa('example.org')];
  const settings = () => ({ trustDomains: [{ name: 'example.org', bundle: at('bundle.json') }] });

  it('are read again when they change', async () => {
    await put('bundle.json', set(1, one));
    const bundles = await source(settings());
    expect(counts(bundles)).toEqual({ 'example.org': [1, 0] });
    const changed = change(bundles);
    await put('bundle.json', set(2, one, two));
    await changed;
    expect(counts(bundles)).toEqual({ 'example.org': [2, 0] });
    expect(bundles.problem).toBeUndefined();
  });

  it('are kept where the new contents cannot be used, and the problem is said', async () => {
    await put('bundle.json', set(1, one));
    const bundles = await source(settings());
    await put('bundle.json', 'nothing');
    await until(() => bundles.problem?.includes('bundle.json: the SPIFFE trust bundle is not JSON'));
    expect(counts(bundles)).toEqual({ 'example.org': [1, 0] });
    await rm(at('bundle.json'));
    await until(() => bundles.problem?.includes('is not there'));
    await put('bundle.json', set(2, two));
    await until(() => bundles.problem === undefined);
  });

  it('never go back to an older sequence', async () => {
    await put('bundle.json', set(5, one));
    const bundles = await source(settings());
    await put('bundle.json', set(4, one, two));
    await until(() => bundles.problem?.includes('has the sequence 4, which is older than 5: it is not used'));
    expect(counts(bundles)).toEqual({ 'example.org': [1, 0] });
    await put('bundle.json', set(6));
    await until(() => bundles.problem === undefined);
    expect(counts(bundles)).toEqual({ 'example.org': [0, 0] });
  });

  it('say other keys under one sequence, and a sequence that is gone', async () => {
    await put('bundle.json', set(5, one));
    const bundles = await source(settings());
    await put('bundle.json', set(5, two));
    await until(() => bundles.problem?.includes('other keys than before under the same sequence 5'));
    expect(rootOf(bundles, 'example.org')).toBe(hex(two));
    await put('bundle.json', set(undefined, one));
    await until(() => bundles.problem?.includes('has no sequence any more'));
  });

  it('are of several trust domains, in one file too', async () => {
    const map = { trust_domains: { 'example.net': { keys: [x509Key(one)] }, 'example.org': { keys: [] } } };
    await put('bundle.json', set(1, one, two));
    const bundleMap = await put('map.json', JSON.stringify(map));
    const bundles = await source({ ...settings(), bundleMap });
    // The file of a domain counts before the one of several.
    expect(counts(bundles)).toEqual({ 'example.net': [1, 0], 'example.org': [2, 0] });
    await put('map.json', JSON.stringify({ trust_domains: {} }));
    await until(() => !bundles.current().has('example.net'));
  });

  it.each<[string, BundleSettings, string]>([
    ['no settings', {}, 'config'],
    ['a file that is not there', { trustDomains: [{ name: 'a', bundle: '/nowhere/bundle' }] }, 'trust-bundle'],
    ['an http URL', { trustDomains: [{ name: 'a', bundle: 'http://localhost/' }] }, 'config'],
    ['a URL with a user', { trustDomains: [{ name: 'a', bundle: 'https://me@localhost/' }] }, 'config'],
    ['another scheme', { trustDomains: [{ name: 'a', bundle: 'file:///etc/passwd' }] }, 'config'],
    ['a bad name', { trustDomains: [{ name: 'A', bundle: '/x' }] }, 'bad-spiffe-id'],
    [
      'a name twice',
      {
        trustDomains: [
          { name: 'a', bundle: '/x' },
          { name: 'a', bundle: '/y' },
        ],
      },
      'config',
    ],
    ['a bad socket', { workloadApi: 'agent.sock' }, 'config'],
    [
      'both kinds of proof',
      { trustDomains: [{ name: 'a', bundle: 'https://localhost/', ca: '/x', endpointId: 'spiffe://a/b' }] },
      'config',
    ],
    [
      'a first bundle without an ID',
      { trustDomains: [{ name: 'a', bundle: 'https://localhost/', bootstrap: '/x' }] },
      'config',
    ],
  ])('are not read with %s', async (_, wrong, code) => {
    await expect(source(wrong)).rejects.toMatchObject({ code });
  });
});

describe('bundles of a Workload API', () => {
  it('are those of all trust domains, for certificates and for tokens', async () => {
    const api = await startApi({ federated: ['example.net'] });
    const bundles = await source({ workloadApi: api.address });
    expect(counts(bundles)).toEqual({ 'example.org': [1, 1], 'example.net': [1, 1] });
    const changed = change(bundles);
    api.rotateAuthority('example.net');
    await changed;
    await until(() => counts(bundles)['example.net']!.join() === '2,2');
    expect(bundles.problem).toBeUndefined();
  });

  it('are dropped with a trust domain that a later message lacks', async () => {
    const api = await startApi({ federated: ['example.net'] });
    const bundles = await source({ workloadApi: api.address });
    api.federated = [];
    api.push();
    await until(() => !bundles.current().has('example.net'));
  });

  it('count after those of a file', async () => {
    const api = await startApi({ federated: ['example.net'] });
    const own = domainCa('example.net');
    const bundle = await put('bundle.json', JSON.stringify({ keys: [x509Key(own)] }));
    const bundles = await source({ workloadApi: api.address, trustDomains: [{ name: 'example.net', bundle }] });
    expect(rootOf(bundles, 'example.net')).toBe(hex(own));
    expect(rootOf(bundles, 'example.org')).toBe(hex(api.authority()));
  });

  it.each<[string, (bundles: Record<string, Uint8Array>) => Record<string, Uint8Array>, RegExp]>([
    ['no bundles', () => ({}), /a message without bundles/],
    [
      'random bytes',
      (bundles) => ({ ...bundles, 'spiffe://example.net': Uint8Array.of(1, 2, 3) }),
      /DER|not JSON|not UTF-8/,
    ],
    ['a bad name', (bundles) => ({ ...bundles, 'spiffe://Example.net': new Uint8Array() }), /SPIFFE ID/],
    [
      'the ID of a workload',
      (bundles) => ({ ...bundles, 'spiffe://example.net/a': new Uint8Array() }),
      /not of a trust domain/,
    ],
  ])('are kept where a message has %s', async (_, spoil, why) => {
    const api = await startApi();
    const bundles = await source({ workloadApi: api.address });
    api.spoilBundles = spoil;
    api.push();
    await until(() => bundles.problem);
    expect(bundles.problem).toMatch(why);
    expect(counts(bundles)).toEqual({ 'example.org': [1, 1] });
    api.spoilBundles = (good) => good;
    api.push();
    await until(() => bundles.problem === undefined);
  });

  it('without an authority prove nothing', async () => {
    const api = await startApi({ federated: ['example.net'] });
    const bundles = await source({ workloadApi: api.address });
    api.spoilBundles = (good) => ({
      ...good,
      'spiffe://example.net': Buffer.from(good['spiffe://example.net']![0] === 0x7b ? '{"keys":[]}' : ''),
    });
    api.push();
    await until(() => counts(bundles)['example.net']!.join() === '0,0');
  });

  it('stay while the API is gone, and go where it denies them', async () => {
    const api = await startApi();
    const bundles = await source({ workloadApi: api.address });
    for (const call of ['FetchX509Bundles', 'FetchJWTBundles'] as const) api.failures.set(call, status.UNAVAILABLE);
    api.cut();
    await until(() => bundles.problem?.includes('cannot be reached'));
    expect(counts(bundles)).toEqual({ 'example.org': [1, 1] });
    for (const call of ['FetchX509Bundles', 'FetchJWTBundles'] as const)
      api.failures.set(call, status.PERMISSION_DENIED);
    await until(() => bundles.current().size === 0);
    api.failures.clear();
    await until(() => bundles.current().size === 1 && bundles.problem === undefined);
  });

  it('are had without tokens where the API knows no JWT-SVIDs', async () => {
    const api = await startApi();
    api.failures.set('FetchJWTBundles', status.UNIMPLEMENTED);
    const bundles = await source({ workloadApi: api.address });
    expect(counts(bundles)).toEqual({ 'example.org': [1, 0] });
    expect(bundles.problem).toMatch(/does not know the call FetchJWTBundles/);
  });

  it('are awaited where the API is not there yet, and come when it is', async () => {
    const bundles = await source({ workloadApi: at('api.sock') });
    expect(bundles.current().size).toBe(0);
    expect(bundles.problem).toMatch(/api\.sock cannot be reached/);
    expect(bundles.isAwaited('example.org')).toBe(true);
    await startApi();
    await until(() => bundles.current().has('example.org') && bundles.problem === undefined);
    expect(['example.org', 'example.com'].map((name) => bundles.isAwaited(name))).toEqual([false, false]);
  });

  it('are awaited no longer than asked where the streams are silent', async () => {
    const api = await startApi();
    api.silent.add('FetchX509Bundles').add('FetchJWTBundles');
    const bundles = await source({ workloadApi: api.address }, 200);
    expect(bundles.current().size).toBe(0);
    await until(() => bundles.problem?.includes('sent nothing for FetchX509Bundles within 0.2 s'));
    api.silent.clear();
    await until(() => bundles.current().has('example.org'));
  });

  it('are refused where two have one trust domain', async () => {
    const api = await startApi();
    const bundles = await source({ workloadApi: api.address });
    api.spoilBundles = (good) => ({ ...good, 'example.org': Object.values(good)[0]! });
    api.push();
    await until(() => bundles.problem?.includes('two bundles of one trust domain'));
    expect(counts(bundles)).toEqual({ 'example.org': [1, 1] });
  });

  it('are had from no other thing that is in the place of the socket', async () => {
    await writeFile(at('api.sock'), 'a file');
    const bundles = await source({ workloadApi: at('api.sock') });
    expect(bundles.problem).toMatch(/cannot be reached/);
    await rm(at('api.sock'));
    await startApi();
    await until(() => bundles.current().has('example.org'));
  });
});
