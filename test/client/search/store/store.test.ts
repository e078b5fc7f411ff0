/** The attestation store at its ports: what it keeps, how it finds it, and what it says of itself. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { digestsOf, hex, testKey } from '../../verify/verify-parts.ts';
import {
  attested,
  COMMIT,
  fresh,
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
afterAll(() => store.close());

const fingerprint = `sha256:${hex(digestsOf(key.info.spki).sha256)}`;

describe('a piece that is submitted', () => {
  it('is kept by the digest of its bytes, and comes back as it was', async () => {
    const file = attested(provenanceOf(fresh()));
    const first = await store.submit(file);
    const digest = `sha256:${sha256(file)}`;
    expect(first.status).toBe(201);
    expect(first.json.attestations).toMatchObject([{ kept: true, known: false, digest }]);
    const again = await store.submit(file);
    expect(again.status).toBe(200);
    expect(again.json.attestations).toMatchObject([{ kept: true, known: true, digest }]);
    const piece = await store.get(digest);
    expect(piece.status).toBe(200);
    expect(Buffer.from(piece.bytes)).toEqual(Buffer.from(file));
    expect(Object.fromEntries(piece.headers)).toMatchObject({
      'content-type': 'application/vnd.dev.sigstore.bundle.v0.3+json',
      etag: `"${digest}"`,
      'cache-control': expect.stringContaining('immutable'),
      'access-control-allow-origin': '*',
      'x-content-type-options': 'nosniff',
      'content-disposition': expect.stringContaining('attachment'),
    });
    expect((await store.get(digest, { 'if-none-match': `"${digest}"` })).status).toBe(304);
    expect((await store.get(digest, { 'if-none-match': '"other"' })).status).toBe(200);
  });

  it('is found by everything that it is about', async () => {
    const [one, other] = [fresh(), fresh()];
    const file = attested(provenanceOf(one, other));
    await store.submit(file);
    const digest = `sha256:${sha256(file)}`;
    const { index } = (await store.find({ subject: `sha256:${one}` })).json.attestations[0].entries[0];
    for (const query of [
      { subject: `sha256:${one}` },
      { subject: `sha256:${other}` },
      { subject: `sha256:${one}`, predicateType: PROVENANCE },
      { subject: `sha256:${one}`, signer: fingerprint },
      { subject: `sha256:${one}`, name: 'app-1', material: `gitCommit:${COMMIT}` },
      { subject: `sha256:${one}`, material: 'git+https://example.com/app' },
      { entry: `${log.origin}#${index}` },
    ]) {
      const { json } = await store.find(query);
      expect(
        json.attestations.map((found: { digest: string }) => found.digest),
        JSON.stringify(query),
      ).toEqual([digest]);
    }
    for (const query of [
      { subject: `sha256:${fresh()}` },
      { subject: `sha256:${one}`, predicateType: 'https://example.com/other' },
      { subject: `sha256:${one}`, signer: `sha256:${fresh()}` },
      { subject: `sha256:${one}`, issuer: 'https://accounts.example.com' },
      { subject: `sha512:${'0'.repeat(128)}` },
    ]) {
      expect((await store.find(query)).json.attestations, JSON.stringify(query)).toEqual([]);
    }
  });

  it('is a signature over a file, too', async () => {
    const name = fresh();
    const file = signed(name);
    expect((await store.submit(file)).status).toBe(201);
    const [found] = await store.all({ subject: `sha256:${sha256(name)}` });
    expect(found).toMatchObject({ digest: `sha256:${sha256(file)}`, subjects: 1, signer: { key: fingerprint } });
    expect(found.predicateType).toBeUndefined();
  });
});

describe('materials', () => {
  const digest = fresh();
  const sha1 = fresh().slice(0, 40);
  it.each<[string, string, unknown, string[]]>([
    [
      'provenance 0.2',
      'https://slsa.dev/provenance/v0.2',
      {
        materials: [{ uri: 'git+https://example.com/a', digest: { sha1 } }],
        invocation: { configSource: { uri: 'git+https://example.com/config' } },
      },
      [`sha1:${sha1}`, `gitCommit:${sha1}`, 'git+https://example.com/a', 'git+https://example.com/config'],
    ],
    [
      'a link',
      'https://in-toto.io/attestation/link/v0.3',
      { materials: [{ name: 'main.c', digest: { sha256: digest } }] },
      [`sha256:${digest}`, 'main.c'],
    ],
    [
      'an old link',
      'https://in-toto.io/Link/v1',
      { materials: { 'main.c': { sha256: digest } } },
      [`sha256:${digest}`, 'main.c'],
    ],
    [
      'CycloneDX',
      'https://cyclonedx.org/bom',
      { components: [{ purl: 'pkg:npm/a@1', hashes: [{ alg: 'SHA-256', content: digest.toUpperCase() }] }] },
      [`sha256:${digest}`, 'pkg:npm/a@1'],
    ],
    [
      'SPDX',
      'https://spdx.dev/Document',
      { packages: [{ checksums: [{ algorithm: 'SHA256', checksumValue: digest }] }] },
      [`sha256:${digest}`],
    ],
    [
      'VEX',
      'https://openvex.dev/ns/v0.2.0',
      { statements: [{ products: [{ '@id': 'pkg:oci/app', hashes: { 'sha-256': digest } }] }] },
      [`sha256:${digest}`, 'pkg:oci/app'],
    ],
  ])('of %s are found', async (_name, type, predicate, values) => {
    const subject = fresh();
    await store.submit(attested(statementOf([{ name: 'x', digest: { sha256: subject } }], type, predicate)));
    for (const material of values) {
      expect(await store.all({ material, subject: `sha256:${subject}` }), material).toHaveLength(1);
    }
    expect(await store.all({ material: `sha256:${fresh()}`, subject: `sha256:${subject}` })).toEqual([]);
  });

  it('that cannot be read are passed over', async () => {
    const subject = fresh();
    const predicate = {
      buildDefinition: { resolvedDependencies: [7, null, { digest: { sha256: 7 } }, { uri: ['x'] }] },
    };
    const file = attested(statementOf([{ name: 'x', digest: { sha256: subject } }], PROVENANCE, predicate));
    expect((await store.submit(file)).status).toBe(201);
  });

  it('of which there are too many are cut, and the answer says so', async () => {
    const subject = fresh();
    const resolvedDependencies = Array.from({ length: 5000 }, (_, at) => ({
      uri: `https://example.com/${subject}/${at}`,
    }));
    const file = attested(
      statementOf([{ name: 'x', digest: { sha256: subject } }], PROVENANCE, {
        buildDefinition: { resolvedDependencies },
      }),
    );
    expect((await store.submit(file)).status).toBe(201);
    expect(await store.all({ material: `https://example.com/${subject}/4095` })).toMatchObject([
      { materialsCut: true },
    ]);
    expect(await store.all({ material: `https://example.com/${subject}/4096` })).toEqual([]);
  });
});

describe('pages', () => {
  it('are stable while the store grows, and while pieces go', async () => {
    const subject = fresh();
    const files = Array.from({ length: 12 }, () =>
      attested(statementOf([{ name: fresh(), digest: { sha256: subject } }])),
    );
    const digests: string[] = [];
    for (const file of files) digests.push((await store.submit(file)).json.attestations[0].digest);
    const query = { subject: `sha256:${subject}`, limit: '5' };
    const first = await store.find(query);
    await store.submit(attested(statementOf([{ name: 'later', digest: { sha256: subject } }])));
    await store.order('DELETE', `/${digests[2]}`);
    const second = await store.find({ ...query, page: first.json.next });
    const third = await store.find({ ...query, page: second.json.next });
    const seen = [first, second, third].flatMap(({ json }) =>
      json.attestations.map((one: { digest: string }) => one.digest),
    );
    expect(seen).toEqual(digests);
    expect(third.json.next).toBeUndefined();
    expect(await store.all({ ...query })).toHaveLength(12);
  });

  it('are of their own query alone', async () => {
    const subject = fresh();
    for (let at = 0; at < 3; at++)
      await store.submit(attested(statementOf([{ name: fresh(), digest: { sha256: subject } }])));
    const { json } = await store.find({ subject: `sha256:${subject}`, limit: '1' });
    expect(json.next).toBeTypeOf('string');
    for (const page of [
      '',
      'x',
      `${json.next}0`,
      '0-0-0000000000000000',
      json.next.replace('-', '-0'),
      json.next.slice(0, -1),
    ]) {
      expect(await store.find({ subject: `sha256:${subject}`, page }), page).toMatchObject({
        json: { code: 'bad-page' },
      });
    }
    expect(await store.find({ subject: `sha256:${fresh()}`, page: json.next })).toMatchObject({
      status: 400,
      json: { code: 'bad-page' },
    });
  });

  it('end, however little of a common term fits', async () => {
    const found = await store.all({ predicateType: PROVENANCE, signer: fingerprint, name: 'no such name' });
    expect(found).toEqual([]);
  });
});

describe('the operator', () => {
  it('forgets a piece, and may keep it out in every form', async () => {
    const subject = fresh();
    const file = attested(provenanceOf(subject));
    const digest = (await store.submit(file)).json.attestations[0].digest;
    expect((await store.order('DELETE', `/${digest}`)).json).toMatchObject({
      forgotten: true,
      blocked: false,
      note: expect.stringContaining('log keeps'),
    });
    expect(await store.get(digest)).toMatchObject({ status: 404, json: { code: 'not-found' } });
    expect(await store.all({ subject: `sha256:${subject}` })).toEqual([]);
    expect((await store.order('DELETE', `/${digest}`)).status).toBe(404);
    expect((await store.submit(file)).status).toBe(201);
    expect((await store.order('POST', `/${digest}/forget`, { block: true })).json).toMatchObject({
      forgotten: true,
      blocked: true,
    });
    for (const form of [
      file,
      Buffer.concat([Buffer.from(file), Buffer.from('\n')]),
      JSON.stringify(JSON.parse(Buffer.from(file).toString())),
    ]) {
      expect(await store.submit(form)).toMatchObject({ status: 403, json: { code: 'blocked' } });
    }
    expect((await store.order('POST', `/${digest}/unblock`)).json).toMatchObject({ unblocked: true });
    expect((await store.submit(file)).status).toBe(201);
  });

  it('keeps out a piece that was never there', async () => {
    const file = attested(provenanceOf(fresh()));
    const digest = `sha256:${sha256(file)}`;
    expect((await store.order('DELETE', `/${digest}?block=true`)).json).toMatchObject({
      forgotten: false,
      blocked: true,
    });
    expect(await store.submit(file)).toMatchObject({ status: 403, json: { code: 'blocked' } });
  });

  it('needs the token, and is no page', async () => {
    const digest = `sha256:${fresh()}`;
    for (const token of ['wrong', '']) {
      expect((await store.order('DELETE', `/${digest}`, undefined, token)).status).toBe(401);
    }
    const none = await fetch(`${store.adminUrl}/stele/v1/attestations/${digest}`, { method: 'DELETE' });
    expect(none.status).toBe(401);
    const page = await fetch(`${store.adminUrl}/stele/v1/attestations/${digest}`, {
      method: 'DELETE',
      headers: { origin: 'https://example.com', authorization: `Bearer ${'t'.repeat(43)}` },
    });
    expect(page.status).toBe(403);
    // The public port has no such call.
    expect((await store.ask('DELETE', `/${digest}`)).status).toBe(404);
  });

  it('imports, whatever the limits of strangers', async () => {
    const closed = await TestStore.start({ submissions: false, perSigner: 1, perSubject: 1 });
    const subject = fresh();
    const files = [1, 2, 3].map(() => attested(statementOf([{ name: fresh(), digest: { sha256: subject } }])));
    expect(await closed.submit(files[0]!)).toMatchObject({ status: 403, json: { code: 'submissions-off' } });
    for (const file of files) {
      const { status, json } = await closed.order('POST', '', { piece: Buffer.from(file).toString('base64') });
      expect({ status, kept: json.attestations[0].kept }).toEqual({ status: 200, kept: true });
    }
    expect(await closed.all({ subject: `sha256:${subject}` })).toHaveLength(3);
    await closed.close();
  });
});

describe('by default', () => {
  const closed = { submissions: undefined };

  it('takes nothing from strangers, who could fill what is kept about an artifact', async () => {
    const own = await TestStore.start(closed);
    const answer = await own.submit(attested(provenanceOf(fresh())));
    expect(answer).toMatchObject({ status: 403, json: { code: 'submissions-off' } });
    expect(own.store.about()).toMatchObject({ pieces: 0, submissions: false });
    await own.close();
  });

  it('takes those of the signers that it names, and of nobody else', async () => {
    const own = await TestStore.start({ ...closed, signers: [fingerprint] });
    expect((await own.submit(attested(provenanceOf(fresh())))).status).toBe(201);
    const other = await own.submit(attested(provenanceOf(fresh()), testKey()));
    expect(other).toMatchObject({ status: 403, json: { code: 'not-accepted' } });
    expect(own.store.about()).toMatchObject({ pieces: 1, submissions: true });
    await own.close();
  });
});

it('says in each answer what it is', async () => {
  const digest = `sha256:${fresh()}`;
  const answers = [
    await store.submit(attested(provenanceOf(fresh()))),
    await store.submit('{}'),
    await store.find({ subject: digest }),
    await store.find({}),
    await store.get(digest),
  ];
  for (const { json } of answers) expect(json.notice).toContain('no promise of the log');
  expect(store.store.about()).toMatchObject({ notice: expect.stringContaining('convenience') });
});

describe('limits', () => {
  it('of one subject, one signer and one log entry', async () => {
    const small = await TestStore.start({ perSubject: 2, perSigner: 4 });
    const subject = fresh();
    const about = (by = key) => attested(statementOf([{ name: fresh(), digest: { sha256: subject } }]), by);
    const other = testKey();
    for (const by of [key, other]) expect((await small.submit(about(by))).status).toBe(201);
    expect(await small.submit(about())).toMatchObject({ status: 409, json: { code: 'subject-full' } });
    for (let at = 0; at < 3; at++) expect((await small.submit(attested(provenanceOf(fresh())))).status).toBe(201);
    expect(await small.submit(attested(provenanceOf(fresh())))).toMatchObject({
      status: 409,
      json: { code: 'signer-full' },
    });
    // What goes makes room.
    const [first] = await small.all({ subject: `sha256:${subject}` });
    await small.order('DELETE', `/${first.digest}`);
    expect((await small.submit(about(testKey()))).status).toBe(201);
    await small.close();
  });

  it('of one log entry, whatever the form of its bundle', async () => {
    const bundle = Buffer.from(attested(provenanceOf(fresh()))).toString();
    const statuses: number[] = [];
    for (let at = 0; at < 6; at++) statuses.push((await store.submit(`${bundle}${' '.repeat(at)}`)).status);
    expect(statuses).toEqual([201, 201, 201, 201, 409, 409]);
  });

  it('of the whole store: it refuses, or forgets the oldest', async () => {
    const refusing = await TestStore.start({ maxPieces: 3 });
    for (let at = 0; at < 3; at++) expect((await refusing.submit(attested(provenanceOf(fresh())))).status).toBe(201);
    expect(await refusing.submit(attested(provenanceOf(fresh())))).toMatchObject({
      status: 507,
      json: { code: 'full' },
    });
    expect(refusing.store.alarms().join()).toContain('nearly full');
    await refusing.close();
    const forgetting = await TestStore.start({ maxPieces: 3, whenFull: 'forget-oldest' });
    const digests: string[] = [];
    for (let at = 0; at < 7; at++)
      digests.push((await forgetting.submit(attested(provenanceOf(fresh())))).json.attestations[0].digest);
    const there = await Promise.all(digests.map(async (digest) => (await forgetting.get(digest)).status));
    expect(there).toEqual([404, 404, 404, 404, 200, 200, 200]);
    expect(await forgetting.all({ predicateType: PROVENANCE })).toHaveLength(3);
    expect(await forgetting.metrics.text()).toMatch(/stele_index_store_forgotten_total\{why="full"\} 4/);
    expect(await forgetting.metrics.text()).toMatch(/stele_index_store_pieces 3/);
    await forgetting.close();
  });

  it('of age', async () => {
    const short = await TestStore.start({ retention: '1s' }, { sweepMs: 20 });
    const { json } = await short.submit(attested(provenanceOf(fresh())));
    const { digest } = json.attestations[0];
    await expect.poll(async () => (await short.get(digest)).status, { timeout: 10_000 }).toBe(404);
    expect(await short.all({ predicateType: PROVENANCE })).toEqual([]);
    await short.close();
  });

  it('of an address', async () => {
    const slow = await TestStore.start({ perMinute: 3 });
    const statuses: number[] = [];
    for (let at = 0; at < 5; at++) statuses.push((await slow.submit('{}')).status);
    expect(statuses).toEqual([400, 400, 400, 429, 429]);
    await slow.close();
  });

  it('of signers', async () => {
    const closed = await TestStore.start({ signers: [fingerprint] });
    expect((await closed.submit(attested(provenanceOf(fresh())))).status).toBe(201);
    expect(await closed.submit(attested(provenanceOf(fresh()), testKey()))).toMatchObject({
      status: 403,
      json: { code: 'not-accepted' },
    });
    await closed.close();
  });
});
