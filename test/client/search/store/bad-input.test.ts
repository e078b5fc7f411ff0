/** Every kind of bad input at the ports of an attestation store: nothing is kept, nothing ends it, and nothing is shown raw. */
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatBundle, parseBundle } from '../../../../client/formats/bundle.ts';
import { FakeLog } from '../../../support/fake-log.ts';
import { messageBundle, testKey, text } from '../../verify/verify-parts.ts';
import {
  attested,
  fresh,
  type Json,
  key,
  log,
  PROVENANCE,
  provenanceOf,
  sha256,
  signed,
  statementOf,
  TestStore,
} from './store-parts.ts';

let store: TestStore;
beforeAll(async () => {
  store = await TestStore.start();
});
afterAll(async () => {
  expect(store.errors).toEqual([]);
  await store.close();
});

const subjectOf = (digest: unknown, name: unknown = 'app') => statementOf([{ name, digest }]);
const json = (file: Uint8Array): Json => JSON.parse(Buffer.from(file).toString());
const change = (make: (bundle: Json) => void, file = attested(provenanceOf(fresh()))): string => {
  const bundle = json(file);
  make(bundle);
  return JSON.stringify(bundle);
};
const entryOf = (bundle: Json) => bundle.verificationMaterial.tlogEntries[0];
const flip = (base64: string) => `${base64[0] === 'A' ? 'B' : 'A'}${base64.slice(1)}`;

describe('a piece', () => {
  it.each<[string, () => Uint8Array | string, number, string]>([
    ['nothing', () => '', 400, 'malformed'],
    ['no JSON', () => 'hello', 400, 'malformed'],
    ['HTML', () => '<html><script>alert(1)</script></html>', 400, 'malformed'],
    ['null', () => 'null', 400, 'malformed'],
    ['a number', () => '7', 400, 'malformed'],
    ['a list', () => `[${Buffer.from(attested(provenanceOf(fresh())))}]`, 400, 'malformed'],
    ['an empty object', () => '{}', 400, 'malformed'],
    ['bytes that are no text', () => Buffer.from([0x7b, 0xff, 0x7d]), 400, 'malformed'],
    [
      'a byte order mark',
      () => Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), attested(provenanceOf(fresh()))]),
      400,
      'malformed',
    ],
    ['deep JSON', () => `${'['.repeat(100_000)}${']'.repeat(100_000)}`, 400, 'malformed'],
    [
      'a deep member',
      () => change((bundle) => (bundle.verificationMaterial = JSON.parse(`${'['.repeat(500)}${']'.repeat(500)}`))),
      400,
      'malformed',
    ],
    ['a member twice', () => change(() => {}).replace('{', '{"mediaType":"x",'), 400, 'malformed'],
    ['an unknown member', () => change((bundle) => (bundle.more = 1)), 400, 'malformed'],
    ['lines of JSON', () => `${change(() => {})}\n${change(() => {})}`, 400, 'malformed'],
    [
      'a list of attestations',
      () => JSON.stringify({ attestations: [{ bundle: json(attested(provenanceOf(fresh()))) }] }),
      400,
      'malformed',
    ],
    [
      'an unknown version',
      () => change((bundle) => (bundle.mediaType = 'application/vnd.dev.sigstore.bundle.v9+json')),
      422,
      'unsupported',
    ],
    ['a member of another type', () => change((bundle) => (bundle.dsseEnvelope = 7)), 400, 'malformed'],
    ['no signature', () => change((bundle) => (bundle.dsseEnvelope.signatures = [])), 400, 'malformed'],
    [
      'two signatures',
      () => change((bundle) => bundle.dsseEnvelope.signatures.push(bundle.dsseEnvelope.signatures[0])),
      400,
      'malformed',
    ],
    ['base64 that is none', () => change((bundle) => (bundle.dsseEnvelope.payload = '%%%')), 400, 'malformed'],
    ['no log entry', () => change((bundle) => (bundle.verificationMaterial.tlogEntries = [])), 422, 'not-verified'],
    [
      'a log entry twice',
      () => change((bundle) => bundle.verificationMaterial.tlogEntries.push(entryOf(bundle))),
      400,
      'malformed',
    ],
    [
      'another signature',
      () => change((bundle) => (bundle.dsseEnvelope.signatures[0].sig = flip(bundle.dsseEnvelope.signatures[0].sig))),
      422,
      'not-verified',
    ],
    [
      'another payload',
      () => change((bundle) => (bundle.dsseEnvelope.payload = Buffer.from(provenanceOf(fresh())).toString('base64'))),
      422,
      'not-verified',
    ],
    ['another index', () => change((bundle) => (entryOf(bundle).logIndex = '0')), 422, 'not-verified'],
    [
      'another root',
      () => change((bundle) => (entryOf(bundle).inclusionProof.rootHash = Buffer.alloc(32).toString('base64'))),
      422,
      'not-verified',
    ],
    [
      'the entry of another piece',
      () =>
        change((bundle) => (bundle.verificationMaterial = json(attested(provenanceOf(fresh()))).verificationMaterial)),
      422,
      'not-verified',
    ],
    ['another log', () => attested(provenanceOf(fresh()), key, new FakeLog()), 422, 'not-verified'],
    ['a payload that is no statement', () => attested('"hello"'), 400, 'malformed'],
    [
      'a payload of another type',
      () => {
        const bundle = json(attested(provenanceOf(fresh())));
        bundle.dsseEnvelope.payloadType = 'text/html';
        return JSON.stringify(bundle);
      },
      422,
      'not-verified',
    ],
    ['a statement without subjects', () => attested(statementOf([])), 400, 'malformed'],
    ['a statement whose subject has no digest', () => attested(statementOf([{ name: 'x' }])), 400, 'malformed'],
    [
      'a statement with a digest in capital letters',
      () => attested(subjectOf({ sha256: fresh().toUpperCase() })),
      400,
      'malformed',
    ],
    [
      'a statement of other digests alone',
      () => attested(subjectOf({ gitCommit: fresh().slice(0, 40) })),
      422,
      'unsupported',
    ],
    ['a statement whose digest is too short', () => attested(subjectOf({ sha256: 'ab' })), 422, 'not-verified'],
    [
      'a statement with a member twice',
      () => attested(subjectOf({ sha256: fresh() }).replace('{', '{"_type":"x",')),
      400,
      'malformed',
    ],
    [
      'a statement that is deep',
      () =>
        attested(
          statementOf(
            [{ name: 'x', digest: { sha256: fresh() } }],
            PROVENANCE,
            JSON.parse(`${'{"a":'.repeat(1000)}1${'}'.repeat(1000)}`),
          ),
        ),
      400,
      'malformed',
    ],
    [
      'a predicate type that is none',
      () => attested(statementOf([{ name: 'x', digest: { sha256: fresh() } }], 'provenance')),
      400,
      'malformed',
    ],
    [
      'too many subjects',
      () => attested(statementOf(Array.from({ length: 9000 }, () => ({ name: 'x', digest: { sha256: fresh() } })))),
      422,
      'too-many-subjects',
    ],
    [
      'too many bytes',
      () => Buffer.concat([attested(provenanceOf(fresh())), Buffer.alloc(4 * 1024 * 1024, 0x20)]),
      413,
      'too-large',
    ],
    ['far too many bytes', () => Buffer.alloc(8 * 1024 * 1024, 0x20), 413, 'too-large'],
    ['an envelope', () => JSON.stringify(json(attested(provenanceOf(fresh()))).dsseEnvelope), 422, 'unsupported'],
    ['a request that is none', () => '{"dsseRequestV002":7}', 400, 'malformed'],
    ['a request without an envelope', () => '{"dsseRequestV002":{"verifiers":[]}}', 400, 'malformed'],
    ['a request with more', () => '{"dsseRequestV002":{},"hashedRekordRequestV002":{}}', 400, 'malformed'],
    [
      'a request with a key that is none',
      () =>
        JSON.stringify({
          dsseRequestV002: {
            envelope: json(attested(provenanceOf(fresh()))).dsseEnvelope,
            verifiers: [{ publicKey: { rawBytes: 'AAAA' } }],
          },
        }),
      400,
      'malformed',
    ],
  ])('that is %s is refused', async (_name, body, status, code) => {
    const before = store.store.about().pieces;
    const answer = await store.submit(body());
    expect({ status: answer.status, code: answer.json.code, message: answer.json.message }).toMatchObject({
      status,
      code,
    });
    if (answer.json.message !== undefined) expect(answer.json.message).toMatch(/^[^\p{Cc}\p{Zl}\p{Zp}]{5,400}$/u);
    expect(store.store.about().pieces).toBe(before);
  });

  it('whose texts hold anything is kept, and found by exactly them', async () => {
    const subject = fresh();
    const names = [
      `<script>alert("${fresh()}")</script>`,
      `\u0000\u0007\u001b[31m${fresh()}`,
      `\u202e${fresh()}`,
      `${fresh()}${'x'.repeat(10_000)}`,
      `../../../etc/passwd-${fresh()}`,
      `\ud800${fresh()}`,
      `"'\n\r${fresh()}`,
    ];
    const statement = statementOf(
      names.map((name, at) => ({ name, digest: { sha256: at === 0 ? subject : fresh() } })),
    );
    const answer = await store.submit(attested(statement));
    expect(answer.status).toBe(201);
    const found = await store.find({ subject: `sha256:${subject}` });
    expect(found.json.attestations).toHaveLength(1);
    // No list repeats what strangers wrote.
    expect(Buffer.from(found.bytes).toString()).not.toMatch(/script|passwd|xxxxx|\\u/);
    expect(found.headers.get('content-security-policy')).toContain("default-src 'none'");
    for (const name of names) {
      if (name.includes('\ud800')) continue;
      expect(await store.all({ name }), name.slice(0, 40)).toHaveLength(1);
      expect(await store.all({ name: `${name} ` })).toEqual([]);
    }
  });

  it('about a thousand subjects is found by each', async () => {
    const digests = Array.from({ length: 1000 }, fresh);
    expect((await store.submit(attested(provenanceOf(...digests)))).status).toBe(201);
    for (const digest of [digests[0]!, digests[500]!, digests[999]!]) {
      expect(await store.all({ subject: `sha256:${digest}` })).toMatchObject([{ subjects: 1000 }]);
    }
  });

  it('with digests of other algorithms beside is found by each of them', async () => {
    const gitCommit = fresh().slice(0, 40);
    const subject = { sha256: fresh(), gitCommit, 'x:y': 'z', blake3: '\u0001' };
    expect((await store.submit(attested(subjectOf(subject)))).status).toBe(201);
    for (const value of [`sha256:${subject.sha256}`, `gitCommit:${gitCommit}`, 'x:y:z', 'blake3:\u0001']) {
      expect((await store.all({ subject: value })).length, value).toBeGreaterThan(0);
    }
  });

  it('of no message and of any key is taken alike', async () => {
    for (const kind of ['P-384', 'P-521', 'rsa'] as const) {
      const by = testKey(kind);
      expect((await store.submit(attested(provenanceOf(fresh()), by))).status, kind).toBe(201);
      expect((await store.submit(formatBundle(messageBundle(text(fresh()), by, log)))).status, kind).toBe(201);
    }
    const nameless = parseBundle(signed(fresh()));
    const content = { kind: 'message', signature: nameless.content.signature } as const;
    expect(await store.submit(formatBundle({ ...nameless, content }))).toMatchObject({
      status: 422,
      json: { code: 'unsupported' },
    });
  });
});

describe('a digest', () => {
  it.each([
    'sha256:',
    'sha256:..%2f..%2fetc%2fpasswd',
    `sha256:${'A'.repeat(64)}`,
    `sha256:${'a'.repeat(63)}`,
    `sha512:${'a'.repeat(64)}`,
    'a'.repeat(64),
    `sha256:${'a'.repeat(64)}%00`,
    `sha256%3A${'a'.repeat(63)}g`,
    '%2e%2e',
  ])('that is %s is none', async (digest) => {
    for (const [method, at] of [
      ['GET', store.url],
      ['DELETE', store.adminUrl],
    ] as const) {
      const headers = { authorization: `Bearer ${'t'.repeat(43)}` };
      const { status, json: said } = await store.ask(method, `/${digest}`, undefined, headers, at);
      expect([400, 404]).toContain(status);
      expect(status === 400 ? said.code : 'none').not.toBe('internal');
    }
  });
});

describe('a query', () => {
  it.each([
    '',
    'limit=5',
    'subject=',
    'subject=sha256',
    'subject=sha256:',
    `subject=sha256:${'a'.repeat(63)}`,
    `subject=sha256:${'A'.repeat(64)}`,
    `subject=sha256:${'a'.repeat(64)}&subject=sha256:${'b'.repeat(64)}`,
    'name=x&limit=0',
    'name=x&limit=257',
    'name=x&limit=-1',
    'name=x&limit=1e2',
    'name=x&limit=5&limit=6',
    'name=x&page=',
    'name=x&page=-1--1-0000000000000000',
    'name=x&__proto__=1',
    'name=x&constructor=1',
    'name=x&order=descending',
    'predicate=x',
    `name=${'x'.repeat(13_000)}y&material=`,
  ])('of %s is refused', async (query) => {
    const { status, json: said } = await store.ask('GET', query === '' ? '' : `?${query}`);
    expect({ status, code: said.code }).toEqual({ status: 400, code: expect.stringMatching(/^bad-(query|page)$/) });
    expect(said.message).toMatch(/^[^\p{Cc}]{5,400}$/u);
  });
});

describe('many at once', () => {
  it('submit one piece: it is kept once', async () => {
    const file = attested(provenanceOf(fresh()));
    const free = await TestStore.start({ underWay: 1000 });
    const answers = await Promise.all(Array.from({ length: 100 }, () => free.submit(file)));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(99);
    expect(free.store.about().pieces).toBe(1);
    await free.close();
  });

  it('submit and forget one piece: it is there whole or not at all', async () => {
    const subject = fresh();
    const file = attested(provenanceOf(subject));
    const digest = `sha256:${sha256(file)}`;
    const free = await TestStore.start({ underWay: 1000 });
    for (let round = 0; round < 20; round++) {
      const work = Array.from({ length: 12 }, (_, at) =>
        at % 2 === 0 ? free.submit(file) : free.order('DELETE', `/${digest}`),
      );
      for (const { status } of await Promise.all(work)) expect([200, 201, 404]).toContain(status);
      const { status, bytes } = await free.get(digest);
      const found = await free.all({ subject: `sha256:${subject}` });
      expect(found).toHaveLength(status === 200 ? 1 : 0);
      expect(free.store.about().pieces).toBe(found.length);
      if (status === 200) expect(sha256(bytes)).toBe(sha256(file));
    }
    expect(free.errors).toEqual([]);
    await free.close();
  });

  it('submit a thousand: each is kept, or told to wait', async () => {
    const files = Array.from({ length: 1000 }, () => attested(provenanceOf(fresh())));
    const answers = await Promise.all(files.map((file) => store.submit(file)));
    const kept = answers.filter(({ status }) => status === 201);
    for (const { status, json: said, headers } of answers) {
      if (status === 201) continue;
      expect({ status, code: said.code, wait: headers.get('retry-after') }).toEqual({
        status: 503,
        code: 'busy',
        wait: '2',
      });
    }
    expect(kept.length).toBeGreaterThan(0);
    for (const { json: said } of kept.slice(0, 50))
      expect((await store.get(said.attestations[0].digest)).status).toBe(200);
  }, 60_000);
});

it('a body that stops, and one that is none, hold nothing', async () => {
  const { port } = new URL(store.url);
  const sockets = Array.from({ length: 20 }, () => {
    const socket = connect(Number(port), '127.0.0.1');
    socket.on('error', () => {});
    socket.write('POST /stele/v1/attestations HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{"media');
    return socket;
  });
  expect((await store.submit(attested(provenanceOf(fresh())))).status).not.toBe(500);
  for (const socket of sockets) socket.destroy();
  store.errors.splice(0);
  await expect.poll(async () => (await store.submit(attested(provenanceOf(fresh())))).status).toBe(201);
  store.errors.splice(0);
});
