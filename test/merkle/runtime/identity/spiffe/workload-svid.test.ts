/** The SVID of a process from a Workload API, also a bad one. The API is the stand-in of test/support. */
import { randomInt } from 'node:crypto';
import { rename } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openSvidSource } from '../../../../../merkle/runtime/identity/spiffe/open-sources.ts';
import type { SvidSettings, SvidSource } from '../../../../../merkle/runtime/identity/spiffe/types.ts';
import { fetchJwtSvid } from '../../../../../merkle/runtime/identity/spiffe/workload-svids.ts';
import { tempDir } from '../../../../support/log.ts';
import { until } from '../../../../support/until.ts';
import { type SvidMessage, WorkloadApiServer } from '../../../../support/workload-api.ts';
import { encodeAnswer } from '../../../../support/workload-proto.ts';
import { domainCa, issueSvid } from '../../../spiffe/make-svid.ts';

const ID = 'spiffe://example.org/workload';

let dir: Awaited<ReturnType<typeof tempDir>>;
let api: WorkloadApiServer;
const open: SvidSource[] = [];

beforeEach(async () => {
  dir = await tempDir();
  api = await WorkloadApiServer.start({ socket: join(dir.path, 'api.sock') });
});
afterEach(async () => {
  await Promise.all(open.splice(0).map((source) => source.close()));
  await api.close();
  await dir.remove();
});

async function source(settings: SvidSettings = {}, firstMs = 30_000): Promise<SvidSource> {
  const opened = await openSvidSource({ workloadApi: api.address, ...settings }, { firstMs });
  open.push(opened);
  return opened;
}

const change = (of: SvidSource) => new Promise<void>((resolve) => of.onChange(resolve));
const first = (svid: Partial<SvidMessage>) => (svids: SvidMessage[]) => [{ ...svids[0]!, ...svid }, ...svids.slice(1)];

describe('an SVID of a Workload API', () => {
  it('comes with its chain and its key', async () => {
    const { id, chain, key, notAfter } = (await source()).current();
    expect(id.text).toBe(ID);
    expect(chain).toHaveLength(1);
    expect(key.type).toBe('private');
    expect(notAfter).toBeGreaterThan(Date.now());
  });

  it('is had by a bare path, and by TCP', async () => {
    await source({ workloadApi: join(dir.path, 'api.sock') });
    const tcp = await WorkloadApiServer.start();
    await source({ workloadApi: tcp.address });
    expect(open.map((one) => one.current().id.text)).toEqual([ID, ID]);
    await tcp.close();
  });

  it('is the first one, or the one of an ID or a hint', async () => {
    api.identities = [
      { id: ID },
      { id: 'spiffe://example.org/inner', hint: 'internal' },
      { id: 'spiffe://example.org/other', hint: 'internal' },
      { id: 'spiffe://example.org/outer', hint: 'external' },
    ];
    api.renew();
    const idOf = async (settings: SvidSettings) => (await source(settings)).current().id.path;
    expect(await idOf({})).toBe('/workload');
    expect(await idOf({ hint: 'internal' })).toBe('/inner');
    expect(await idOf({ hint: 'external' })).toBe('/outer');
    expect(await idOf({ id: 'spiffe://example.org/other' })).toBe('/other');
    await expect(idOf({ hint: 'none' })).rejects.toThrow('none of 4 SVIDs has the hint "none"');
    await expect(idOf({ id: 'spiffe://example.org/inner', hint: 'external' })).rejects.toMatchObject({ code: 'svid' });
  });

  it('follows rotation, of its key and of its authority', async () => {
    const svids = await source();
    const before = svids.current();
    let changed = change(svids);
    api.rotate();
    await changed;
    const after = svids.current();
    expect(after.key.equals(before.key)).toBe(false);
    changed = change(svids);
    api.rotateAuthority(undefined, { only: true });
    await changed;
    expect(svids.current().key.equals(after.key)).toBe(false);
    expect(svids.problem).toBeUndefined();
  });

  it('does not change where the same one comes again', async () => {
    const svids = await source();
    let changes = 0;
    svids.onChange(() => {
      changes += 1;
    });
    api.push();
    api.rotate();
    await until(() => changes > 0);
    expect(changes).toBe(1);
  });

  const foreign = issueSvid(domainCa('example.org'), ID);
  const pkcs8 = (one: typeof foreign) => one.keys.privateKey.export({ format: 'der', type: 'pkcs8' });
  it.each<[string, (svids: SvidMessage[]) => SvidMessage[], RegExp]>([
    ['no SVIDs', () => [], /a message without SVIDs/],
    ['an empty ID', first({ spiffeId: '' }), /SPIFFE ID "" does not start/],
    [
      'another ID',
      first({ spiffeId: 'spiffe://example.org/admin' }),
      /has a certificate of spiffe:\/\/example\.org\/workload/,
    ],
    [
      'an ID of another case',
      first({ spiffeId: 'spiffe://Example.org/workload' }),
      /has a trust domain that has a character/,
    ],
    ['no certificate', first({ x509Svid: new Uint8Array() }), /has no certificate/],
    ['random bytes as certificate', first({ x509Svid: Uint8Array.of(1, 2, 3) }), /not certificates in DER/],
    [
      'a cut certificate',
      (svids) => first({ x509Svid: svids[0]!.x509Svid.subarray(0, -1) })(svids),
      /not certificates in DER/,
    ],
    [
      'a certificate with bytes behind it',
      (svids) => first({ x509Svid: Buffer.concat([svids[0]!.x509Svid, Buffer.of(0)]) })(svids),
      /not certificates in DER/,
    ],
    [
      'an authority of another root',
      first({ x509Svid: foreign.certificate.der, x509SvidKey: pkcs8(foreign) }),
      /does not lead to its trust domain/,
    ],
    ['the key of another', first({ x509SvidKey: pkcs8(foreign) }), /the private key is not the one of the SVID/],
    ['no key', first({ x509SvidKey: new Uint8Array() }), /the private key of the SVID cannot be read/],
    [
      'random bytes as key',
      first({ x509SvidKey: Uint8Array.of(48, 3, 2, 1, 0) }),
      /the private key of the SVID cannot be read/,
    ],
    ['no bundle', first({ bundle: new Uint8Array() }), /has no X\.509 authority/],
    ['random bytes as bundle', first({ bundle: Uint8Array.of(48, 130, 255) }), /not certificates in DER/],
    ['a leaf as bundle', (svids) => first({ bundle: svids[0]!.x509Svid })(svids), /which is not an authority's/],
  ])('is refused with %s, and the last good one stays', async (_, spoil, why) => {
    const good = api.spoil;
    api.spoil = spoil;
    await expect(source()).rejects.toMatchObject({ code: 'svid', message: expect.stringMatching(why) });
    api.spoil = good;
    const svids = await source();
    const before = svids.current();
    api.spoil = spoil;
    api.push();
    await until(() => svids.problem);
    expect(svids.problem).toMatch(why);
    expect(svids.current()).toBe(before);
    api.spoil = good;
    api.rotate();
    await until(() => svids.problem === undefined);
    expect(svids.current()).not.toBe(before);
  });

  it.each<[string, NonNullable<(typeof api)['identities'][0]['wish']>, RegExp]>([
    ['an expired one', { from: '2020-01-01T00:00:00Z', to: '2021-01-01T00:00:00Z' }, /expired on 2021/],
    ['one of later', { from: '2039-01-01T00:00:00Z', to: '2039-06-01T00:00:00Z' }, /is valid from 2039/],
    ['one of an authority', { ca: true, keyUsage: 0x84 }, /is an authority's/],
    ['one for code signing alone', { usages: ['1.3.6.1.5.5.7.3.3'] }, /is not for the authentication/],
    ['one without names', { names: undefined as never }, /no URI/],
  ])('is not %s', async (_, wish, why) => {
    api.identities = [{ id: ID, wish }];
    api.renew();
    await expect(source()).rejects.toMatchObject({ code: 'svid', message: expect.stringMatching(why) });
  });

  it('is used until it expires where no other comes, and no longer', async () => {
    api.identities = [{ id: ID, lifetimeMs: 2000 }];
    api.renew();
    const svids = await source();
    const { notAfter } = svids.current();
    api.failures.set('FetchX509SVID', status.UNAVAILABLE);
    api.cut();
    await until(() => svids.problem);
    const held = () => {
      try {
        return svids.current();
      } catch (error) {
        expect(error).toMatchObject({
          code: 'svid',
          message: expect.stringMatching(/expired on .* and no newer one came: /),
        });
        return undefined;
      }
    };
    await until(() => held() === undefined);
    expect(Date.now()).toBeGreaterThan(notAfter);
    api.failures.clear();
    api.identities = [{ id: ID }];
    api.renew();
    await until(held);
  });

  it('is asked for again where a silent stream gives none before it expires', async () => {
    api.identities = [{ id: ID, lifetimeMs: 3000 }];
    api.renew();
    const svids = await source();
    const { key } = svids.current();
    api.identities = [{ id: ID }];
    // The agent has a new one, and does not send it.
    api.renew();
    await until(() => !svids.current().key.equals(key));
  });

  it('is given up where the API denies it', async () => {
    const svids = await source();
    const changed = change(svids);
    api.failures.set('FetchX509SVID', status.PERMISSION_DENIED);
    api.cut();
    await changed;
    expect(() => svids.current()).toThrow(/no SVID: .* has no identity for this process/);
    api.failures.clear();
    await change(svids);
    expect(svids.current().id.text).toBe(ID);
  });

  it.each([
    [status.PERMISSION_DENIED, /has no identity for this process/],
    [status.UNAVAILABLE, /cannot be reached/],
    [status.INVALID_ARGUMENT, /finds the request FetchX509SVID wrong/],
    [status.UNIMPLEMENTED, /does not know the call/],
    [status.INTERNAL, /ended FetchX509SVID with an error/],
  ])('is none where the call ends with %s', async (code, why) => {
    api.failures.set('FetchX509SVID', code);
    await expect(source()).rejects.toMatchObject({ code: 'svid', message: expect.stringMatching(why) });
  });

  it('is not asked for again where the API finds the request wrong', async () => {
    const svids = await source();
    api.failures.set('FetchX509SVID', status.INVALID_ARGUMENT);
    api.cut();
    await until(() => svids.problem?.includes('finds the request FetchX509SVID wrong'));
    const { length } = api.calls;
    const tcp = await WorkloadApiServer.start();
    await source({ workloadApi: tcp.address });
    await tcp.close();
    expect(api.calls).toHaveLength(length);
    expect(svids.current().id.text).toBe(ID);
  });

  it('is awaited no longer than asked where the stream is silent', async () => {
    api.silent.add('FetchX509SVID');
    await expect(source({}, 200)).rejects.toMatchObject({ code: 'svid' });
    expect(api.calls).toContain('FetchX509SVID');
    await until(() => api.streams === 0);
  });

  it('is none where nothing listens, and where something else listens', async () => {
    const nowhere = join(dir.path, 'nowhere.sock');
    await expect(source({ workloadApi: nowhere })).rejects.toThrow(/nowhere\.sock cannot be reached/);
    const sockets = new Set<Socket>();
    const other: Server = createServer((socket) => {
      sockets.add(socket.on('error', () => {}));
      socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
    });
    const path = join(dir.path, 'other.sock');
    await new Promise<void>((resolve) => other.listen(path, resolve));
    await expect(source({ workloadApi: path })).rejects.toMatchObject({ code: 'svid' });
    other.close();
  });

  it('is none where an answer is no message, or is too long', async () => {
    api.raw.set('FetchX509SVID', () => Buffer.from('this is no message'));
    await expect(source()).rejects.toThrow(/bytes that are no message of it/);
    api.raw.set('FetchX509SVID', () => Buffer.alloc(5 * 1_048_576));
    await expect(source()).rejects.toThrow(/too much, or is busy/);
  });

  it('comes again where the agent restarts behind a new socket', async () => {
    const svids = await source();
    const before = svids.current();
    await api.close();
    await until(() => svids.problem);
    const fresh = await WorkloadApiServer.start({ socket: join(dir.path, 'fresh.sock') });
    await rename(join(dir.path, 'fresh.sock'), join(dir.path, 'api.sock'));
    await until(() => svids.current() !== before);
    expect(svids.problem).toBeUndefined();
    await fresh.close();
  });

  it('is rotated in the middle of the opening of a stream', async () => {
    api.silent.add('FetchX509SVID');
    const opening = source();
    await until(() => api.streams > 0);
    api.silent.clear();
    const { cert } = api.files();
    api.rotateAuthority(undefined, { only: true });
    const svids = await opening;
    expect(api.files().cert).not.toBe(cert);
    expect(Buffer.from(svids.current().chain[0]!).toString('base64')).toBe(
      api.files().cert.replace(/-----[^-]+-----|\s/g, ''),
    );
  });

  it('survives messages with bytes changed at random, and shows nothing of the key', async () => {
    const svids = await source();
    const good = Buffer.from(encodeAnswer('FetchX509SVID', { svids: api.issued, federatedBundles: {} }));
    const key = Buffer.from(api.issued[0]!.x509SvidKey);
    const pieces = ['hex', 'base64', 'latin1'].flatMap((encoding) => {
      const text = key.toString(encoding as 'hex');
      return [text.slice(-64, -48), text.slice(-48, -32), text.slice(-32)];
    });
    const problems = new Set<string>();
    for (let round = 0; round < 300; round++) {
      const bad = Buffer.from(good);
      for (let i = 0; i <= round % 3; i++) bad[randomInt(bad.length)] = randomInt(256);
      api.raw.set('FetchX509SVID', () => (round % 5 === 0 ? bad.subarray(0, randomInt(bad.length)) : bad));
      api.push();
      if (round % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
      if (svids.problem !== undefined) problems.add(svids.problem);
      expect(svids.current().id.text).toBe(ID);
    }
    await until(() => svids.problem !== undefined || problems.size > 0);
    for (const problem of problems) for (const piece of pieces) expect(problem).not.toContain(piece);
    api.raw.clear();
    const before = svids.current();
    api.rotate();
    await until(() => svids.problem === undefined && svids.current() !== before);
  });

  it('leaves nothing open when its source closes', async () => {
    const svids = await source();
    await until(() => api.streams === 1);
    await svids.close();
    await until(() => api.streams === 0);
  });
});

describe('a JWT-SVID of a Workload API', () => {
  const fetch = (more: { id?: string; hint?: string; timeoutMs?: number } = {}) =>
    fetchJwtSvid({ workloadApi: api.address, audience: 'https://log.example.com', ...more });

  it('is for the audience, and of the ID', async () => {
    const { id, token, expires } = await fetch();
    expect(id.text).toBe(ID);
    const claims = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString());
    expect(claims).toMatchObject({ sub: ID, aud: ['https://log.example.com'] });
    expect(expires).toBe(claims.exp * 1000);
    api.identities = [{ id: ID }, { id: 'spiffe://example.org/b', hint: 'b' }];
    expect((await fetch({ id: 'spiffe://example.org/b' })).id.path).toBe('/b');
    expect((await fetch({ hint: 'b' })).id.path).toBe('/b');
  });

  it.each<[string, Record<string, unknown>, RegExp]>([
    ['another subject', { sub: 'spiffe://example.org/admin' }, /of another ID than/],
    ['another audience', { aud: ['other'] }, /of another audience/],
    ['no time', { exp: undefined }, /has expired/],
    ['a past time', { exp: 1 }, /has expired/],
  ])('is refused with %s', async (_, claims, why) => {
    api.claims = claims;
    await expect(fetch()).rejects.toMatchObject({ code: 'svid', message: expect.stringMatching(why) });
  });

  it('is refused where it is no token, or the answer no message, and never shown', async () => {
    const jwt = Buffer.from('secret.token').toString('base64url');
    const field = (id: number, text: string) => Buffer.concat([Buffer.of(id * 8 + 2, text.length), Buffer.from(text)]);
    const svid = Buffer.concat([field(1, ID), field(2, jwt)]);
    api.raw.set('FetchJWTSVID', () => Buffer.concat([Buffer.of(10, svid.length), svid]));
    await expect(fetch()).rejects.toThrow(/^(?!.*c2VjcmV0).*is not a JWT$/);
    api.raw.set('FetchJWTSVID', () => Buffer.from('secret.token'));
    await expect(fetch()).rejects.toThrow(/^(?!.*secret).*no message of it$/);
    api.raw.set('FetchJWTSVID', () => Buffer.alloc(0));
    await expect(fetch()).rejects.toThrow('a message without SVIDs');
  });

  it('is none where the API fails, or is silent', async () => {
    api.failures.set('FetchJWTSVID', status.PERMISSION_DENIED);
    await expect(fetch()).rejects.toMatchObject({ code: 'workload-api' });
    api.failures.clear();
    api.silent.add('FetchJWTSVID');
    await expect(fetch({ timeoutMs: 200 })).rejects.toThrow(/does not answer FetchJWTSVID in time/);
  });
});
