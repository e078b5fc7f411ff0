/** What the store does before it keeps a piece, and after its disk failed: identities, envelopes that are logged first, and faults. */
import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parseBundle } from '../../../../client/formats/bundle.ts';
import { parseLogKey } from '../../../../client/trust/log-key.ts';
import { preAuthEncoding } from '../../../../merkle/rekor/dsse.ts';
import { bundleJson, sha256 as hashOf } from '../../../support/bundle-json.ts';
import { Instance, OWN_IDENTITY, OWN_ISSUER, signedBy } from '../../../support/instance.ts';
import { skips } from '../../../support/skip.ts';
import { answers, faultyLog } from '../../submit/faulty-log.ts';
import { testKey, text } from '../../verify/verify-parts.ts';
import { attested, fresh, provenanceOf, sha256, TestStore } from './store-parts.ts';

const TYPE = 'application/vnd.in-toto+json';
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');

async function started(...args: Parameters<typeof TestStore.start>): Promise<TestStore> {
  const store = await TestStore.start(...args);
  onTestFinished(() => store.close());
  return store;
}

describe('a certificate', () => {
  const instance = new Instance('store.example');
  const certified = (from: Instance, by = from.intermediate): string => {
    const signer = from.signer({ by });
    const payload = Buffer.from(provenanceOf(fresh()));
    const pae = preAuthEncoding(TYPE, payload);
    const signature = signedBy(signer, pae);
    const envelope = { payload: base64(payload), payloadType: TYPE, signatures: [{ sig: base64(signature) }] };
    const entry = from.logged2(hashOf(pae), signature, signer);
    return JSON.stringify(bundleJson('0.3', signer, { dsseEnvelope: envelope }, [entry], [from.stamp(signature)]));
  };
  const withRoot = async (changes: object = {}) => {
    const dir = await mkdtemp(join(tmpdir(), 'stele-root-'));
    onTestFinished(() => rm(dir, { recursive: true }));
    const trustedRoot = join(dir, 'trusted_root.json');
    await writeFile(trustedRoot, JSON.stringify(instance.trustedRoot()));
    return await started({ trustedRoot, ...changes }, { logs: [] });
  };

  it('that the trusted root vouches for is found by its identity and issuer', async () => {
    const store = await withRoot();
    expect((await store.submit(certified(instance))).status).toBe(201);
    const [found] = await store.all({ signer: OWN_IDENTITY, issuer: OWN_ISSUER });
    expect(found.signer).toMatchObject({ identities: [OWN_IDENTITY], issuer: OWN_ISSUER });
    expect(await store.all({ signer: OWN_IDENTITY, issuer: 'https://other.example' })).toEqual([]);
  });

  it('that nobody vouches for is refused', async () => {
    const store = await withRoot();
    const stranger = new Instance('stranger.example');
    expect(await store.submit(certified(stranger))).toMatchObject({ status: 422, json: { code: 'not-verified' } });
    const unknown = certified(instance, stranger.intermediate);
    expect(await store.submit(unknown)).toMatchObject({
      status: 422,
      json: { code: 'not-verified', because: 'bad-certificate' },
    });
  });

  it('counts by its key alone where the store has no authorities', async () => {
    const logKey = parseLogKey(instance.rekor.vkey);
    const store = await started({}, { logs: [{ trust: { logKey } }] });
    expect((await store.submit(certified(instance))).status).toBe(201);
    expect(await store.all({ signer: OWN_IDENTITY })).toEqual([]);
    expect(await store.all({ issuer: OWN_ISSUER })).toEqual([]);
  });

  it('is among those that a store takes by issuer and identity together', async () => {
    const open = await withRoot({ signers: [`${OWN_ISSUER}=${OWN_IDENTITY}`] });
    expect((await open.submit(certified(instance))).status).toBe(201);
    const closed = await withRoot({ signers: [`https://other.example=${OWN_IDENTITY}`] });
    expect(await closed.submit(certified(instance))).toMatchObject({ status: 403, json: { code: 'not-accepted' } });
  });
});

describe('an envelope', () => {
  const key = testKey();
  const request = (statement = provenanceOf(fresh()), by = key, verifier = by) => {
    const payload = text(statement);
    const sig = base64(by.sign(preAuthEncoding(TYPE, payload)));
    return {
      dsseRequestV002: {
        envelope: { payload: base64(payload), payloadType: TYPE, signatures: [{ sig }] },
        verifiers: [{ publicKey: { rawBytes: base64(verifier.info.spki) }, keyDetails: 'PKIX_ECDSA_P256_SHA_256' }],
      },
    };
  };
  const withLog = async (changes: object = {}) => {
    const served = await faultyLog();
    onTestFinished(() => served.close());
    const logs = [{ url: served.url, trust: { logKey: parseLogKey(served.vkey) } }];
    return { served, store: await started({ log: served.url, ...changes }, { logs }) };
  };

  it('is logged, and kept as a bundle with its proof', async () => {
    const { served, store } = await withLog();
    const { status, json } = await store.submit(JSON.stringify(request()));
    expect(status).toBe(201);
    const [one] = json.attestations;
    expect(one).toMatchObject({ kept: true, logEntry: { inclusionProof: { treeSize: '1' } } });
    const { bytes } = await store.get(one.digest);
    expect(base64(parseBundle(bytes).entries[0]!.body)).toBe(one.logEntry.canonicalizedBody);
    expect(served.log.publishedSize).toBe(1);
  });

  it('that does not verify, is no statement, or comes where there is no log, is not logged', async () => {
    const { served, store } = await withLog();
    const wrong = [request(provenanceOf(fresh()), key, testKey()), request('{}'), request('[]')];
    for (const one of wrong) expect([400, 422]).toContain((await store.submit(JSON.stringify(one))).status);
    expect(served.log.publishedSize).toBe(0);
    const alone = await started();
    expect(await alone.submit(JSON.stringify(request()))).toMatchObject({ status: 422, json: { code: 'no-log' } });
  });

  it('that the log does not take is not kept', async () => {
    const { served, store } = await withLog();
    served.otherwise = answers(400, { code: 3, message: 'not this one', details: [] });
    expect(await store.submit(JSON.stringify(request()))).toMatchObject({ status: 422, json: { code: 'log-refused' } });
    expect(store.store.about().pieces).toBe(0);
  });

  it('that the log took and the store does not has its proof in the answer', async () => {
    const { store } = await withLog({ signers: [`sha256:${fresh()}`] });
    const { status, json } = await store.submit(JSON.stringify(request()));
    expect(status).toBe(200);
    expect(json.attestations).toMatchObject([
      { kept: false, error: { code: 'not-accepted' }, logEntry: { inclusionProof: { treeSize: '1' } } },
    ]);
  });
});

describe('a fault', () => {
  const folderOf = (store: TestStore, digest: string) => join(store.dir, 'pieces', digest.slice(7, 9));

  it('of the folder of pieces is told, and the store goes on', async () => {
    const store = await started();
    const kept = (await store.submit(attested(provenanceOf(fresh())))).json.attestations[0].digest;
    await rename(join(store.dir, 'pieces'), join(store.dir, 'away'));
    await writeFile(join(store.dir, 'pieces'), '');
    const file = attested(provenanceOf(fresh()));
    expect(await store.submit(file)).toMatchObject({ status: 503, json: { code: 'storage' } });
    expect((await store.get(kept)).status).toBeGreaterThanOrEqual(500);
    await rm(join(store.dir, 'pieces'));
    await rename(join(store.dir, 'away'), join(store.dir, 'pieces'));
    expect((await store.submit(file)).status).toBe(201);
    expect((await store.get(kept)).status).toBe(200);
    expect(store.store.about().pieces).toBe(2);
  });

  it('of a byte, and of a whole file, is never given out', async () => {
    const store = await started();
    const digest = (await store.submit(attested(provenanceOf(fresh())))).json.attestations[0].digest;
    const path = join(folderOf(store, digest), digest.slice(7));
    for (const bytes of ['', 'x', '{}']) {
      await writeFile(path, bytes);
      expect(await store.get(digest)).toMatchObject({ status: 500, json: { code: 'damaged' } });
    }
    await rm(path);
    expect(await store.get(digest)).toMatchObject({ status: 500, json: { code: 'damaged' } });
    expect(store.errors.length).toBe(4);
    expect((await store.order('DELETE', `/${digest}`)).json.forgotten).toBe(true);
  });

  it('that leaves files without a record is mended by the next open', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'stele-stray-'));
    onTestFinished(() => rm(dir, { recursive: true, force: true }));
    const first = await TestStore.start({}, { dir });
    const digest = (await first.submit(attested(provenanceOf(fresh())))).json.attestations[0].digest;
    await first.close();
    const folder = folderOf(first, digest);
    const stray = `${digest.slice(7, 9)}${'0'.repeat(62)}`;
    await writeFile(join(folder, stray), 'unkept');
    await writeFile(join(folder, `.${'0'.repeat(16)}.tmp`), 'cut off');
    const again = await started({}, { dir });
    expect(await readdir(folder)).toEqual([digest.slice(7)]);
    expect((await again.get(digest)).status).toBe(200);
    expect(again.store.about().pieces).toBe(1);
  });

  it('of LevelDB ends no service: the store opens itself again', async () => {
    const store = await started();
    const kept = (await store.submit(attested(provenanceOf(fresh())))).json.attestations[0].digest;
    await rename(join(store.dir, 'level'), join(store.dir, 'gone'));
    expect(await store.submit(attested(provenanceOf(fresh())))).toMatchObject({
      status: 503,
      json: { code: 'storage' },
    });
    expect(store.store.notReady()).toHaveLength(1);
    await rm(join(store.dir, 'level'), { recursive: true, force: true });
    await rename(join(store.dir, 'gone'), join(store.dir, 'level'));
    await expect
      .poll(async () => (await store.submit(attested(provenanceOf(fresh())))).status, { timeout: 30_000 })
      .toBe(201);
    expect(store.store.notReady()).toEqual([]);
    expect((await store.get(kept)).status).toBe(200);
  });

  it('of a full disk refuses, and loses nothing', { timeout: 60_000 }, async ({ skip }) => {
    const dir = await mkdtemp(join(tmpdir(), 'stele-full-'));
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', dir]).status === 0;
    const why = mounted ? undefined : 'this user may not mount a file system';
    onTestFinished(() => rm(dir, { recursive: true, force: true }));
    skip(skips('a store on a full disk', why), why);
    onTestFinished(() => void spawnSync('umount', [dir]));
    const store = await started({}, { dir });
    const kept: string[] = [];
    const padded = () => Buffer.concat([attested(provenanceOf(fresh())), Buffer.alloc(1024 * 1024, 0x20)]);
    let last = 201;
    for (let at = 0; at < 40 && last === 201; at++) {
      const file = padded();
      const { status } = await store.submit(file);
      last = status;
      if (status === 201) kept.push(`sha256:${sha256(file)}`);
    }
    expect(last).toBe(503);
    expect(kept.length).toBeGreaterThan(3);
    const [first] = kept.splice(0, 1);
    await expect.poll(async () => (await store.order('DELETE', `/${first}`)).status, { timeout: 20_000 }).toBe(200);
    await expect
      .poll(async () => (await store.submit(attested(provenanceOf(fresh())))).status, { timeout: 20_000 })
      .toBe(201);
    for (const digest of kept) expect((await store.get(digest)).status).toBe(200);
  });
});
