import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseBundle } from '../../../merkle/bundle.ts';
import { verifyConsistency } from '../../../merkle/proof.ts';
import { CompactRange } from '../../../merkle/range.ts';
import { leafHash } from '../../../merkle/rfc6962.ts';
import type { LogService } from '../../../server/types.ts';
import type { Injectable } from '../../support/inject.ts';
import { KEY_KINDS } from '../../support/requests.ts';
import { appOver, fill, LOGS, makeApp } from './support.ts';

const IMMUTABLE = 'public, max-age=31536000, immutable';
const SIZE = 300;

describe.each(Object.keys(LOGS))('on %s', (kind) => {
  let app: Injectable;
  let log: LogService;
  let leaves: Uint8Array[];
  let remove: () => Promise<void>;

  beforeAll(async () => {
    ({ log, remove } = await LOGS[kind]!());
    ({ app } = appOver(log));
    await fill(log, SIZE);
    const bundles = [await log.entryBundle(0, 256), await log.entryBundle(1, 44)];
    leaves = bundles.flatMap((bundle, at) => parseBundle(bundle!, at === 0 ? 256 : 44)).map((entry) => leafHash(entry));
  });

  afterAll(async () => {
    await app.close();
    await remove();
  });

  describe.each(['', '/api/v2'])('reads at "%s/"', (prefix) => {
    it('the checkpoint', async () => {
      const reply = await app.inject(`${prefix}/checkpoint`);
      expect(reply.statusCode).toBe(200);
      expect(reply.body).toBe(log.checkpoint);
      expect(reply.headers).toMatchObject({
        'content-type': 'text/plain; charset=utf-8',
        'cache-control': 'public, max-age=1',
        'access-control-allow-origin': '*',
      });
    });

    it.each([
      ['0/000', 0, 256],
      ['0/000.p/7', 0, 7],
      ['0/001.p/44', 256, 44],
    ])('tile %s', async (path, from, width) => {
      const reply = await app.inject(`${prefix}/tile/${path}`);
      expect(reply.statusCode).toBe(200);
      expect(reply.rawPayload).toEqual(Buffer.concat(leaves.slice(from, from + width)));
      expect(reply.headers).toMatchObject({
        'content-type': 'application/octet-stream',
        'cache-control': IMMUTABLE,
        'access-control-allow-origin': '*',
      });
      expect(reply.headers['content-encoding']).toBeUndefined();
    });

    it('a tile above the leaves', async () => {
      const range = CompactRange.empty();
      for (const leaf of leaves.slice(0, 256)) range.append(leaf);
      const reply = await app.inject(`${prefix}/tile/1/000.p/1`);
      expect(new Uint8Array(reply.rawPayload)).toEqual(new Uint8Array(range.root()));
    });

    it.each([
      ['000', 0, 256],
      ['000.p/3', 0, 3],
      ['001.p/44', 256, 44],
      ['001.p/2', 256, 2],
    ])('bundle %s, as it is and compressed', async (path, from, width) => {
      const url = `${prefix}/tile/entries/${path}`;
      const plain = await app.inject(url);
      expect(plain.statusCode).toBe(200);
      expect(parseBundle(plain.rawPayload, width).map((entry) => leafHash(entry))).toEqual(
        leaves.slice(from, from + width),
      );
      const headers = {
        'content-type': 'application/octet-stream',
        'cache-control': IMMUTABLE,
        vary: 'Accept-Encoding',
        'access-control-allow-origin': '*',
      };
      expect(plain.headers).toMatchObject(headers);
      expect(plain.headers['content-encoding']).toBeUndefined();
      for (let time = 0; time < 2; time++) {
        const packed = await app.inject({ url, headers: { 'accept-encoding': 'br, GZIP;q=0.8' } });
        expect(packed.headers).toMatchObject({ ...headers, 'content-encoding': 'gzip' });
        expect(gunzipSync(packed.rawPayload)).toEqual(plain.rawPayload);
      }
    });

    it.each(['identity', 'gzip;q=0', 'br', 'identity, gzip;q=0.5', ''])(
      'a bundle as it is for "%s"',
      async (accept) => {
        const reply = await app.inject({ url: `${prefix}/tile/entries/000`, headers: { 'accept-encoding': accept } });
        expect(reply.headers['content-encoding']).toBeUndefined();
        expect(reply.headers.vary).toBe('Accept-Encoding');
      },
    );

    it.each(['/checkpoint', '/tile/0/000', '/tile/entries/000'])('HEAD %s', async (path) => {
      const url = `${prefix}${path}`;
      const [head, get] = [await app.inject({ method: 'HEAD', url }), await app.inject(url)];
      expect(head.statusCode).toBe(200);
      expect(head.rawPayload).toHaveLength(0);
      const { date: _, ...headers } = get.headers;
      expect(head.headers).toMatchObject(headers);
      expect(head.headers['content-length']).toBe(String(get.rawPayload.length));
    });

    it.each([
      'the tree does not have: 0/001',
      'the tree does not have: 0/001.p/45',
      'the tree does not have: 0/002.p/1',
      'the tree does not have: 1/000.p/2',
      'the tree does not have: 1/000',
      'the tree does not have: 2/000.p/1',
      'the tree does not have: 63/000.p/1',
      'the tree does not have: entries/001',
      'the tree does not have: entries/002.p/1',
      'the tree does not have: entries/x001/000',
      'is not exactly right: 0/0',
      'is not exactly right: 0/00',
      'is not exactly right: 0/0000',
      'is not exactly right: 00/000',
      'is not exactly right: 64/000',
      'is not exactly right: -1/000',
      'is not exactly right: 0/x000/000',
      'is not exactly right: 0/001/000',
      'is not exactly right: 0/x001000',
      'is not exactly right: 0/000.p/0',
      'is not exactly right: 0/000.p/07',
      'is not exactly right: 0/000.p/256',
      'is not exactly right: 0/000.p/',
      'is not exactly right: 0/000.p',
      'is not exactly right: 0/000/',
      'is not exactly right: %30/000',
      'is not exactly right: 0/000%2ep/7',
      'is not exactly right: 0/..',
      'is not exactly right: ',
      'is not exactly right: entries/0',
      'is not exactly right: entries/x000/000',
      'is not exactly right: entries/000.p/256',
      'is not exactly right: entries/',
      'is not exactly right: entries',
    ])('404 for a tile that %s', async (text) => {
      const path = text.slice(text.indexOf(': ') + 2);
      const reply = await app.inject(`${prefix}/tile/${path}`);
      expect(reply.statusCode).toBe(404);
      expect(reply.headers['cache-control']).toBe('no-store');
      expect(reply.headers['access-control-allow-origin']).toBe('*');
      expect(reply.json()).toEqual({ code: 5, message: 'not found', details: [] });
    });
  });

  describe('/stele/v1/entries/:index', () => {
    it('an entry with a proof to the present checkpoint', async () => {
      const reply = await app.inject('/stele/v1/entries/256');
      expect(reply.statusCode).toBe(200);
      expect(reply.headers).toMatchObject({ 'content-type': 'application/json', 'access-control-allow-origin': '*' });
      expect(reply.json()).toMatchObject({
        logIndex: '256',
        inclusionProof: { treeSize: '300', checkpoint: { envelope: log.checkpoint } },
      });
    });

    it('404 beyond the published tree', async () => {
      for (const index of ['300', '9007199254740991']) {
        const reply = await app.inject(`/stele/v1/entries/${index}`);
        expect(reply.statusCode).toBe(404);
        expect(reply.json()).toEqual({ code: 5, message: 'not found', details: [] });
      }
    });

    it.each(['01', '-1', '1e2', '0x10', '%201', 'last', '9007199254740992', '99999999999999999'])(
      '400 for %s',
      async (index) => {
        const reply = await app.inject(`/stele/v1/entries/${index}`);
        expect(reply.statusCode).toBe(400);
        expect(reply.json()).toEqual({ code: 3, message: expect.stringContaining('index'), details: [] });
      },
    );
  });

  describe('/stele/v1/proofs/consistency', () => {
    const rootOf = (size: number) => {
      const range = CompactRange.empty();
      for (const leaf of leaves.slice(0, size)) range.append(leaf);
      return range.root();
    };

    it.each([
      [1, 300],
      [255, 257],
      [256, 300],
      [0, 0],
      [0, 300],
      [300, 300],
    ])('a proof from %i to %i', async (first, second) => {
      const reply = await app.inject(`/stele/v1/proofs/consistency?first=${first}&second=${second}`);
      expect(reply.statusCode).toBe(200);
      const { hashes, ...sizes } = reply.json();
      expect(sizes).toEqual({ first, second });
      verifyConsistency({
        first,
        second,
        firstRoot: rootOf(first),
        secondRoot: rootOf(second),
        hashes: hashes.map((hash: string) => new Uint8Array(Buffer.from(hash, 'base64'))),
      });
    });

    it.each([
      ['first=1', /second is missing/],
      ['', /first is missing/],
      ['first=2&second=1', /first <= second <= 300/],
      ['first=1&second=301', /first <= second <= 300/],
      ['first=01&second=3', /first must be one whole number/],
      ['first=1&first=2&second=3', /first must be one whole number/],
      ['first=%201&second=3', /first must be one whole number/],
      ['first=1&second=9007199254740992', /second is too large/],
      ['first=1&second=2&third=3', /not known here/],
    ])('400 for ?%s', async (query, message) => {
      const reply = await app.inject(`/stele/v1/proofs/consistency?${query}`);
      expect(reply.statusCode).toBe(400);
      expect(reply.json()).toEqual({ code: 3, message: expect.stringMatching(message), details: [] });
    });
  });

  describe('/stele/v1/log', () => {
    it('tells where others reach the log, if that is configured', async () => {
      expect((await app.inject('/stele/v1/log')).json()).not.toHaveProperty('url');
      const { app: known } = makeApp({ publicUrl: 'https://log.example.com/a' });
      expect((await known.inject('/stele/v1/log')).json()).toMatchObject({ url: 'https://log.example.com/a' });
    });

    it('tells what the log is and takes', async () => {
      const reply = await app.inject('/stele/v1/log');
      expect(reply.headers['access-control-allow-origin']).toBe('*');
      expect(reply.json()).toMatchObject({
        origin: log.info.origin,
        verifierKeys: log.info.verifierKeys,
        logId: Buffer.from(log.info.logId).toString('base64'),
        status: 'open',
        size: 300,
        limits: { bodyBytes: 4194304, entryBytes: 65535, bulkItems: 256 },
        kinds: [{ kind: 'hashedrekord', version: '0.0.2' }],
      });
      const taken = Object.values(KEY_KINDS).map(({ keyDetails, number, algorithm }) => ({
        keyDetails,
        number,
        digest: algorithm,
      }));
      expect(reply.json().keyTypes).toHaveLength(taken.length);
      expect(reply.json().keyTypes).toEqual(expect.arrayContaining(taken));
    });
  });
});
