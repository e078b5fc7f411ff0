/** The client of a store: what a store of lies can do to a search, to a decision and to an attestation that is pushed. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AttestationRequests } from '../../../../client/evidence/attestation-requests.ts';
import { attestationSource } from '../../../../client/evidence/attestation-source.ts';
import { findAttestations } from '../../../../client/search/find-attestations.ts';
import { parseTrustPolicy } from '../../../../client/trust/quorum.ts';
import { FakeLog } from '../../../support/fake-log.ts';
import { testKey, text } from '../../verify/verify-parts.ts';
import { lyingStore } from './lying-store.ts';
import { attested, COMMIT, fresh, key, log, PROVENANCE, provenanceOf, sha256, TestStore } from './store-parts.ts';

const trust = { policy: parseTrustPolicy(text(`log ${log.vkey}\nquorum none\n`)) };
const never = new AbortController().signal;

const listing = (...pieces: { digest: string; size: number }[]) => JSON.stringify({ attestations: pieces });
const isList = ({ url }: IncomingMessage) => url!.includes('?');

/** Lists files, and gives for each what `bytesOf` says. */
const serving = (files: readonly Uint8Array[], bytesOf = (file: Uint8Array) => file) =>
  lyingStore((request, reply) => {
    if (isList(request)) {
      reply.end(listing(...files.map((file) => ({ digest: `sha256:${sha256(file)}`, size: file.length }))));
      return;
    }
    const file = files.find((one) => request.url!.endsWith(sha256(one)));
    if (file === undefined) reply.writeHead(404).end();
    else reply.end(bytesOf(file));
  });

let store: TestStore;
beforeAll(async () => {
  store = await TestStore.start();
});
afterAll(() => store.close());

describe('findAttestations', () => {
  it('finds and verifies what is there', async () => {
    const subject = fresh();
    const file = attested(provenanceOf(subject));
    await store.submit(file);
    const query = { subject: `sha256:${subject}`, predicateType: PROVENANCE, material: `gitCommit:${COMMIT}` };
    const { verified, refused } = await findAttestations({ store: store.url, query, trust });
    expect(refused).toEqual([]);
    expect(verified).toHaveLength(1);
    expect(verified[0]).toMatchObject({ digest: `sha256:${sha256(file)}`, statement: { predicateType: PROVENANCE } });
    expect(verified[0]!.outcome.entries[0]!.origin).toBe(log.origin);
    expect(await findAttestations({ store: store.url, query: { subject: `sha256:${fresh()}` }, trust })).toEqual({
      verified: [],
      refused: [],
    });
  });

  it('takes the pages together', async () => {
    const name = fresh();
    const count = 300;
    for (let at = 0; at < count; at++) {
      await store.submit(
        attested(
          JSON.stringify({
            _type: 'https://in-toto.io/Statement/v1',
            subject: [{ name, digest: { sha256: fresh() } }],
            predicateType: PROVENANCE,
          }),
        ),
      );
    }
    const { verified } = await findAttestations({ store: store.url, query: { name }, trust });
    expect(new Set(verified.map(({ digest }) => digest)).size).toBe(count);
    await expect(findAttestations({ store: store.url, query: { name }, trust, limit: 299 })).rejects.toMatchObject({
      code: 'evidence',
    });
  }, 60_000);

  it('refuses what the caller does not trust, and what another signed', async () => {
    const subject = fresh();
    await store.submit(attested(provenanceOf(subject)));
    const query = { subject: `sha256:${subject}` };
    const other = { policy: parseTrustPolicy(text(`log ${new FakeLog().vkey}\nquorum none\n`)) };
    const untrusted = await findAttestations({ store: store.url, query, trust: other });
    expect(untrusted).toMatchObject({ verified: [], refused: [{ error: { name: 'ClientError' } }] });
    const bySomebody = await findAttestations({ store: store.url, query, trust, signer: { key: testKey().info } });
    expect(bySomebody).toMatchObject({ verified: [], refused: [{ error: { code: 'bad-signature' } }] });
    expect(
      (await findAttestations({ store: store.url, query, trust, signer: { key: key.info } })).verified,
    ).toHaveLength(1);
  });

  it.each<[string, (file: Uint8Array) => Uint8Array, string]>([
    ['other bytes', (file) => Buffer.from(file).fill(0x20, 0, 1), 'evidence'],
    ['more bytes', (file) => Buffer.concat([file, Buffer.from(' ')]), 'evidence'],
    ['fewer bytes', (file) => file.subarray(1), 'evidence'],
    ['nothing', () => new Uint8Array(0), 'evidence'],
  ])('refuses %s for a digest', async (_name, change, code) => {
    const subject = fresh();
    const lying = await serving([attested(provenanceOf(subject))], change);
    const found = await findAttestations({ store: lying.url, query: { subject: `sha256:${subject}` }, trust });
    expect(found).toMatchObject({ verified: [], refused: [{ error: { code } }] });
    await expect(
      attestationSource({ url: lying.url }).find({ digest: `sha256:${subject}` }, never),
    ).rejects.toMatchObject({ code });
    await lying.close();
  });

  it('refuses what is about something else', async () => {
    const lying = await serving([attested(provenanceOf(fresh()))]);
    for (const query of [
      { subject: `sha256:${fresh()}` },
      { predicateType: 'https://example.com/x' },
      { material: 'gitCommit:0' },
      { signer: 'me@example.com' },
    ]) {
      expect(await findAttestations({ store: lying.url, query, trust }), JSON.stringify(query)).toMatchObject({
        verified: [],
        refused: [{ error: { code: 'attestation' } }],
      });
    }
    await lying.close();
  });

  it('refuses bytes that have the digest and are no bundle', async () => {
    const lying = await serving([Buffer.from('<html>'), Buffer.from('{}'), Buffer.from('[]')]);
    const { verified, refused } = await findAttestations({ store: lying.url, query: { name: 'x' }, trust });
    expect(verified).toEqual([]);
    expect(refused).toHaveLength(3);
    await lying.close();
  });
});

describe('a source of evidence', () => {
  const subject = { digest: `sha256:${'a'.repeat(64)}` };
  const find = (url: string, more: object = {}) =>
    attestationSource({ url, retries: 0, timeoutMs: 2000, ...more }).find(subject, never);

  it('gives all pieces about a subject, and an empty list only where the store says so', async () => {
    const digest = fresh();
    const files = [attested(provenanceOf(digest)), attested(provenanceOf(digest, fresh()))];
    for (const file of files) await store.submit(file);
    const pieces = await attestationSource({ url: store.url }).find({ digest: `sha256:${digest}` }, never);
    expect(pieces.map(({ bytes }) => Buffer.from(bytes))).toEqual(files.map((file) => Buffer.from(file)));
    expect(pieces[0]!.source).toContain('/stele/v1/attestations/sha256:');
    expect(await attestationSource({ url: store.url }).find({ digest: `sha256:${fresh()}` }, never)).toEqual([]);
  });

  it.each<[string, (request: IncomingMessage, reply: ServerResponse, at: string) => void, string]>([
    ['no store', (_, reply) => void reply.writeHead(404).end('not found'), 'bad-reply'],
    ['a page for people', (_, reply) => void reply.end('<html>empty</html>'), 'bad-reply'],
    ['nothing', (_, reply) => void reply.end(''), 'bad-reply'],
    ['null', (_, reply) => void reply.end('null'), 'bad-reply'],
    ['a list of nothing', (_, reply) => void reply.end('[]'), 'bad-reply'],
    ['no list', (_, reply) => void reply.end('{}'), 'bad-reply'],
    ['a list twice', (_, reply) => void reply.end('{"attestations":[],"attestations":[]}'), 'bad-reply'],
    ['a list that is a text', (_, reply) => void reply.end('{"attestations":""}'), 'bad-reply'],
    ['deep JSON', (_, reply) => void reply.end(`{"attestations":${'['.repeat(5000)}${']'.repeat(5000)}}`), 'bad-reply'],
    ['JSON that is cut off', (_, reply) => void reply.end('{"attestations":['), 'bad-reply'],
    ['bytes that are no text', (_, reply) => void reply.end(Buffer.from([0x7b, 0xff, 0x7d])), 'bad-reply'],
    [
      'a digest that climbs',
      (_, reply) => void reply.end(listing({ digest: 'sha256:../../etc/passwd', size: 1 })),
      'bad-reply',
    ],
    [
      'a digest in capital letters',
      (_, reply) => void reply.end(listing({ digest: `sha256:${'A'.repeat(64)}`, size: 1 })),
      'bad-reply',
    ],
    ['a size that is none', (_, reply) => void reply.end(listing({ digest: subject.digest, size: -1 })), 'bad-reply'],
    ['a huge piece', (_, reply) => void reply.end(listing({ digest: subject.digest, size: 2 ** 40 })), 'bad-reply'],
    [
      'one piece twice',
      (_, reply) => void reply.end(listing({ digest: subject.digest, size: 1 }, { digest: subject.digest, size: 1 })),
      'bad-reply',
    ],
    ['a redirect', (_, reply, at) => void reply.writeHead(302, { location: `${at}/elsewhere` }).end(), 'bad-reply'],
    ['a refusal', (_, reply) => void reply.writeHead(403).end('{"code":"no","message":"not you"}'), 'refused'],
    ['an outage', (_, reply) => void reply.writeHead(503).end(), 'unavailable'],
    ['a bug', (_, reply) => void reply.writeHead(500).end(), 'unavailable'],
    ['silence', () => {}, 'network'],
    ['a cut connection', (request) => void request.socket.destroy(), 'network'],
    [
      'a huge list',
      (_, reply) => void reply.end(`{"attestations":[],"x":"${'x'.repeat(3 * 1024 * 1024)}"}`),
      'evidence',
    ],
    ['one page for ever', (_, reply) => void reply.end('{"attestations":[],"next":"1"}'), 'bad-reply'],
    ['pages without an end', (_, reply) => void reply.end(`{"attestations":[],"next":"${fresh()}"}`), 'evidence'],
    [
      'too many pieces',
      (_, reply) =>
        void reply.end(
          JSON.stringify({
            attestations: Array.from({ length: 200 }, () => ({ digest: `sha256:${fresh()}`, size: 1 })),
            next: fresh(),
          }),
        ),
      'evidence',
    ],
    [
      'more bytes than it takes',
      (_, reply) =>
        void reply.end(
          listing(...Array.from({ length: 16 }, () => ({ digest: `sha256:${fresh()}`, size: 16 * 1024 * 1024 }))),
        ),
      'evidence',
    ],
    [
      'a piece that it does not have',
      (request, reply) =>
        void (isList(request) ? reply.end(listing({ digest: subject.digest, size: 3 })) : reply.writeHead(404).end()),
      'bad-reply',
    ],
    [
      'a redirect to a piece',
      (request, reply, at) =>
        void (isList(request)
          ? reply.end(listing({ digest: subject.digest, size: 3 }))
          : reply.writeHead(301, { location: at }).end()),
      'bad-reply',
    ],
    [
      'a piece without an end',
      (request, reply) => {
        if (isList(request)) {
          reply.end(listing({ digest: subject.digest, size: 3 }));
          return;
        }
        const more = () => {
          while (!reply.destroyed && reply.write(Buffer.alloc(65_536)));
        };
        reply.on('drain', more);
        more();
      },
      'evidence',
    ],
  ])('that answers with %s rejects', async (_name, answer, code) => {
    const lying = await lyingStore(answer);
    await expect(find(lying.url)).rejects.toMatchObject({ name: 'ClientError', code });
    expect(lying.asked.some((url) => url.includes('elsewhere'))).toBe(false);
    await lying.close();
  });

  it('that is not there rejects', async () => {
    const gone = await lyingStore(() => {});
    await gone.close();
    await expect(find(gone.url)).rejects.toMatchObject({ code: 'network' });
  });

  it('ends when its caller does', async () => {
    const silent = await lyingStore(() => {});
    const stop = new AbortController();
    const found = attestationSource({ url: silent.url }).find(subject, stop.signal);
    await expect.poll(() => silent.asked.length).toBe(1);
    stop.abort();
    await expect(found).rejects.toMatchObject({ code: 'cancelled' });
    await silent.close();
  });

  it('asks for memory before it takes it', async () => {
    const digest = fresh();
    const file = attested(provenanceOf(digest));
    await store.submit(file);
    let held = 0;
    const room = (most: number) => ({
      take: (bytes: number) => {
        if (held + bytes > most) throw Object.assign(new Error('no room'), { code: 'evidence' });
        held += bytes;
      },
      give: (bytes: number) => {
        held -= bytes;
      },
    });
    const source = attestationSource({ url: store.url });
    await source.find({ digest: `sha256:${digest}`, room: room(1e9) }, never);
    expect(held).toBe(file.length);
    held = 0;
    await expect(source.find({ digest: `sha256:${digest}`, room: room(file.length - 1) }, never)).rejects.toMatchObject(
      { code: 'evidence' },
    );
  });

  it('tries again where the store is busy', async () => {
    let count = 0;
    const busy = await lyingStore((_, reply) => {
      count += 1;
      if (count === 1) reply.writeHead(503, { 'retry-after': '0' }).end();
      else reply.end('{"attestations":[]}');
    });
    expect(await find(busy.url, { retries: 2 })).toEqual([]);
    await busy.close();
  });

  it.each([
    'ftp://example.com',
    'example.com',
    'https://user:pw@example.com',
    'https://example.com?x=1',
    'https://example.com#x',
    '',
  ])('is not at %j', (url) => {
    expect(() => attestationSource({ url })).toThrow(expect.objectContaining({ code: 'usage' }));
  });
});

describe('a push', () => {
  it('ends well only where the store says that it keeps these bytes', async () => {
    const file = attested(provenanceOf(fresh()));
    expect(await new AttestationRequests({ url: store.url }).submit(file)).toBe(`sha256:${sha256(file)}`);
    for (const body of ['{}', '{"attestations":[]}', `{"attestations":[{"digest":"sha256:${fresh()}"}]}`, 'ok']) {
      const lying = await lyingStore((_, reply) => void reply.writeHead(201).end(body));
      await expect(new AttestationRequests({ url: lying.url, retries: 0 }).submit(file), body).rejects.toMatchObject({
        code: 'bad-reply',
      });
      await lying.close();
    }
    const refused = new AttestationRequests({ url: store.url }).submit(text('{}'));
    await expect(refused).rejects.toMatchObject({ code: 'refused', message: expect.stringContaining('malformed') });
  });
});
