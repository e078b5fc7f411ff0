import { createHash, generateKeyPairSync, type KeyObject, verify } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ClientError } from '../../../client/errors.ts';
import { formatBundle, parseBundle } from '../../../client/formats/bundle.ts';
import { canonicalEntry, type Signed } from '../../../client/formats/entry-request.ts';
import { parsePublicKey } from '../../../client/formats/key.ts';
import { formatLogEntry, type LogEntry } from '../../../client/formats/log-entry.ts';
import { logAll, logSigned, signAndLog } from '../../../client/submit/log-signatures.ts';
import { signDigest, tlogProofOf } from '../../../client/submit/signed-digest.ts';
import { rsaSigner } from '../../../client/submit/signers/rsa-signer.ts';
import { type SoftwareSigner, softwareSigner } from '../../../client/submit/signers/software-signer.ts';
import { tokenSigner } from '../../../client/submit/signers/token-signer.ts';
import { parseTrustPolicy } from '../../../client/trust/quorum.ts';
import { checkTlogProof } from '../../../client/verify/tlog-proof.ts';
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import { formatVerifierKey, KEY_TYPE, makeVerifierKey } from '../../../merkle/note.ts';
import { parseHashedRekord } from '../../../merkle/rekor/hashedrekord.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { createTokenKey } from '../../../merkle/runtime/keys/pkcs11/pkcs11.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { newKey } from '../../support/new-key.ts';
import { skips } from '../../support/skip.ts';
import { NO_SOFTHSM, type SoftHsm, startSoftHsm } from '../../support/softhsm.ts';

const hash = (name: string, text: string) => Uint8Array.from(createHash(name).update(text).digest());
const digestFor = (signer: Pick<SoftwareSigner, 'publicKey'>, text = 'hello') =>
  hash(signer.publicKey.digest.replace('SHA2_', 'sha'), text);

const rsa = (modulusLength: number): SoftwareSigner => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength });
  return rsaSigner(privateKey, parsePublicKey(publicKey.export({ format: 'der', type: 'spki' }), nodePrimitives()));
};
const ed25519 = (): SoftwareSigner => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const secret = Buffer.from(privateKey.export({ format: 'jwk' }).d!, 'base64url');
  return softwareSigner(parsePublicKey(publicKey.export({ format: 'der', type: 'spki' }), nodePrimitives()), secret);
};

describe('signers', () => {
  it.each([
    ['PKIX_ECDSA_P256_SHA_256', () => newKey('P-256')],
    ['PKIX_ECDSA_P384_SHA_384', () => newKey('P-384')],
    ['PKIX_ECDSA_P521_SHA_512', () => newKey('P-521')],
    ['PKIX_ED25519_PH', ed25519],
    ['PKIX_RSA_PKCS1V15_2048_SHA256', () => rsa(2048)],
    ['PKIX_RSA_PKCS1V15_3072_SHA256', () => rsa(3072)],
    ['PKIX_RSA_PKCS1V15_4096_SHA256', () => rsa(4096)],
  ])('%s signs a digest, the same each time, and verifies nothing else', (details, make) => {
    const signer = make();
    const digest = digestFor(signer);
    const signature = signer.sign(digest);
    expect(signer.publicKey.details).toBe(details);
    expect(signer.repeatable).toBe(true);
    expect(signer.sign(digest)).toEqual(signature);
    expect(signer.publicKey.verify(digest, signature)).toBe(true);
    expect(signer.publicKey.verify(digestFor(signer, 'other'), signature)).toBe(false);
    expect(signer.publicKey.verify(digest.slice(1), signature)).toBe(false);
    expect(() => signer.sign(digest.slice(1))).toThrow(expect.objectContaining({ code: 'key' }));
  });

  it('RSA signs what OpenSSL verifies over the message', () => {
    const signer = rsa(2048);
    const key = { key: Buffer.from(signer.publicKey.spki), format: 'der', type: 'spki' } as const;
    expect(verify('sha256', Buffer.from('hello'), key, signer.sign(digestFor(signer)))).toBe(true);
  });

  it('refuse keys that are no signing keys, or not their own', () => {
    const spki = (key: KeyObject) => key.export({ format: 'der', type: 'spki' });
    const wrong = expect.objectContaining({ code: 'key' });
    expect(() => softwareSigner(ed25519().publicKey, new Uint8Array(32))).toThrow(wrong);
    expect(() => softwareSigner(rsa(2048).publicKey, new Uint8Array(32))).toThrow(wrong);
    expect(() =>
      parsePublicKey(spki(generateKeyPairSync('rsa', { modulusLength: 2304 }).publicKey), nodePrimitives()),
    ).toThrow(wrong);
  });

  it('never let out a signature that their own key refuses', async () => {
    const broken = { ...newKey(), sign: () => newKey().sign(hash('sha256', 'hello')) };
    await expect(signDigest(hash('sha256', 'hello'), broken)).rejects.toMatchObject({ code: 'bad-signature' });
  });
});

describe.skipIf(skips('signatures with a key in a token', NO_SOFTHSM))('a key in a token', () => {
  let hsm: SoftHsm;
  const spec = async (label: string, pin = '1234') => ({
    module: hsm.module,
    token: 'stele',
    label,
    pin: { file: await hsm.pinFile(pin) },
  });
  beforeAll(async () => {
    hsm = (await startSoftHsm())!;
    await hsm.initToken('stele', '1234');
    await createTokenKey({ ...(await spec('release')), algorithm: 'ecdsa-p256' });
    await createTokenKey({ ...(await spec('log')), algorithm: 'ed25519' });
  });
  afterAll(() => hsm?.stop());

  it('signs a digest that was made elsewhere, and logs it', async () => {
    const signer = await tokenSigner(await spec('release'));
    const { url } = await honest();
    const { signed, verified } = await signAndLog(hash('sha256', 'hello'), signer, url, log.key);
    expect(signed.publicKey.verify(hash('sha256', 'hello'), signed.signature)).toBe(true);
    expect(verified.origin).toBe('localhost');
    expect(signer.repeatable).toBe(false);
    await expect(signer.sign(hash('sha512', 'hello'))).rejects.toMatchObject({ code: 'key' });
    await signer.close();
  });

  it('is refused where it is Ed25519, absent, or the PIN is wrong', async () => {
    await expect(tokenSigner(await spec('log'))).rejects.toMatchObject({
      code: 'pkcs11-key',
      message: expect.stringContaining('ecdsa-p256'),
    });
    await expect(tokenSigner(await spec('none'))).rejects.toMatchObject({ code: 'pkcs11-key' });
    await expect(tokenSigner(await spec('release', '9999'))).rejects.toMatchObject({ code: 'pkcs11-pin' });
  });

  it('says that the token is gone, and signs again once it is back', async () => {
    const signer = await tokenSigner(await spec('release'));
    const digest = hash('sha256', 'hello');
    await hsm.takeAway();
    await expect(signer.sign(digest)).rejects.toMatchObject({ code: expect.stringMatching(/^pkcs11-/) });
    await hsm.giveBack();
    expect(signer.publicKey.verify(digest, await signer.sign(digest))).toBe(true);
    await signer.close();
  });
});

const log = FakeLog.empty();
const signer = newKey();
const signedOf = (text: string): Signed => {
  const digest = hash('sha256', text);
  return { digest, signature: signer.sign(digest), publicKey: signer.publicKey };
};
const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

interface Answer {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly body: unknown;
}

/** A server of this test; `calls` are the paths and bodies that it was sent. */
async function serving(answer: (path: string, body: any, call: number) => Answer | undefined) {
  const calls: { path: string; body: any }[] = [];
  const server = createServer((request, reply) => {
    const parts: Buffer[] = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      const body = parts.length === 0 ? undefined : JSON.parse(Buffer.concat(parts).toString());
      calls.push({ path: request.url!, body });
      const given = answer(request.url!, body, calls.length);
      // Undefined: it hangs.
      if (given === undefined) return;
      const { status = 200, headers = {}, body: out } = given;
      reply.writeHead(status, headers).end(typeof out === 'string' ? out : JSON.stringify(out));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, calls };
}

const take = (request: any): LogEntry => {
  const { digest, signature } = request.hashedRekordRequestV002;
  const publicKey = parsePublicKey(Buffer.from(signature.verifier.publicKey.rawBytes, 'base64'), nodePrimitives());
  return log.logged({
    digest: Buffer.from(digest, 'base64'),
    signature: Buffer.from(signature.content, 'base64'),
    publicKey,
  });
};
const entryFor = (request: any) => ({ entry: formatLogEntry(take(request)) });
const bulk = (body: any, item: (request: any, at: number) => unknown): Answer => ({
  body: { results: body.requests.map(item) },
});
/** Takes everything. */
const honest = () =>
  serving((path, body) =>
    path.endsWith(':batch') ? bulk(body, entryFor) : { status: 201, body: formatLogEntry(take(body)) },
  );
const codes = (results: readonly unknown[]) =>
  results.map((result) => (result instanceof ClientError ? result.code : 'logged'));

describe('signAndLog', () => {
  it('gives a bundle that reads back, and a tlog-proof that verifies', async () => {
    const { url } = await honest();
    const digest = hash('sha256', 'hello');
    const logged = await signAndLog(digest, signer, url, { logKey: log.key });
    expect(parseBundle(formatBundle(logged.bundle))).toEqual(logged.bundle);
    const policy = parseTrustPolicy(encodeUtf8(`log ${log.vkey}\nquorum none\n`));
    const proof = tlogProofOf(logged);
    const verified = checkTlogProof(
      {
        proof,
        policy,
        digests: { sha256: digest },
        signer: { key: signer.publicKey.spki },
      },
      nodePrimitives(),
    );
    expect(verified.index).toBe(logged.verified.index);
  });

  it('gives the same entry when it is called again', async () => {
    const { url, calls } = await honest();
    for (let again = 0; again < 2; again++) await signAndLog(hash('sha256', 'hello'), signer, url, log.key);
    expect(calls[0]).toEqual(calls[1]);
  });

  it('asks for the quorum of a policy', async () => {
    const { url } = await honest();
    const witness = makeVerifierKey('witness.test', KEY_TYPE.cosignature, new Uint8Array(32).fill(1));
    const text = `log ${log.vkey}\nwitness w ${formatVerifierKey(witness)}\nquorum w\n`;
    const policy = parseTrustPolicy(encodeUtf8(text));
    await expect(signAndLog(hash('sha256', 'hello'), signer, url, { policy }, { deadline: 300 })).rejects.toMatchObject(
      {
        code: 'quorum',
      },
    );
  });

  it.each<[string, (entry: LogEntry, request: any) => object, string]>([
    ['another entry', () => formatLogEntry(log.logged(signedOf('other'))), 'entry-mismatch'],
    ['another signature', (_, request) => formatLogEntry(take(flip(request))), 'entry-mismatch'],
    ['another kind', (entry) => formatLogEntry({ ...entry, kind: 'dsse' }), 'entry-mismatch'],
    ['another index', (entry) => formatLogEntry({ ...entry, index: entry.index + 1 }), 'bad-proof'],
    ['a proof that lacks a hash', (entry) => formatLogEntry({ ...entry, hashes: entry.hashes.slice(1) }), 'bad-proof'],
    [
      'a changed proof',
      (entry) => formatLogEntry({ ...entry, hashes: entry.hashes.map((h) => h.map((b) => b ^ 1)) }),
      'bad-proof',
    ],
    ['another root', (entry) => formatLogEntry({ ...entry, root: new Uint8Array(32) }), 'bad-checkpoint'],
    ['the ID of another log', (entry) => formatLogEntry({ ...entry, logId: new Uint8Array(32) }), 'bad-checkpoint'],
    ['a time that it did not sign', (entry) => formatLogEntry({ ...entry, integratedTime: 1 }), 'bad-promise'],
    ['another tree size', (entry) => formatLogEntry({ ...entry, treeSize: entry.treeSize + 1 }), 'bad-checkpoint'],
    [
      'a checkpoint of a namesake',
      (entry) => formatLogEntry({ ...entry, checkpoint: FakeLog.empty().logged(signedOf('x')).checkpoint }),
      'bad-checkpoint',
    ],
    ['no proof', (entry) => ({ ...formatLogEntry(entry), inclusionProof: null }), 'bad-reply'],
    ['nothing', () => ({}), 'bad-reply'],
  ])('keeps nothing where the log answers with %s', async (_, lie, code) => {
    const { url } = await serving((_path, body) => ({ status: 201, body: lie(take(body), body) }));
    await expect(signAndLog(hash('sha256', 'hello'), signer, url, log.key)).rejects.toMatchObject({ code });
  });

  it('waits as Retry-After says, and no longer than it is told', async () => {
    const waits: number[] = [];
    const busy = { status: 503, headers: { 'retry-after': '1' }, body: { code: 14, message: 'busy' } };
    const { url } = await serving((_path, body, call) =>
      call === 1 ? busy : { status: 201, body: formatLogEntry(take(body)) },
    );
    await signAndLog(hash('sha256', 'hello'), signer, url, log.key, { onRetry: ({ wait }) => waits.push(wait) });
    expect(waits).toEqual([1000]);
    const never = await serving(() => busy);
    const gaveUp = logSigned(signedOf('hello'), never.url, { logKey: log.key }, { deadline: 500 });
    await expect(gaveUp).rejects.toMatchObject({ code: 'unavailable' });
    const silent = await serving(() => undefined);
    const hung = logSigned(signedOf('hello'), silent.url, { logKey: log.key }, { attemptTimeout: 200, deadline: 900 });
    await expect(hung).rejects.toMatchObject({ code: 'network', message: expect.stringContaining('not logged twice') });
  });
});

function flip(request: any): any {
  const changed = structuredClone(request);
  const digest = Buffer.from(request.hashedRekordRequestV002.digest, 'base64');
  changed.hashedRekordRequestV002.signature.content = Buffer.from(newKey().sign(digest)).toString('base64');
  return changed;
}

describe('logAll', () => {
  const many = (count: number) => Array.from({ length: count }, (_, i) => signedOf(`file ${i}`));
  const trust = { logKey: log.key };

  it('logs many with few calls, in order', async () => {
    const { url, calls } = await honest();
    const signed = many(7);
    const told: number[] = [];
    const results = await logAll(signed, url, trust, { bulkItems: 3, onLogged: (index) => told.push(index) });
    expect(calls.map(({ body }) => body.requests?.length ?? 1)).toEqual([3, 3, 1]);
    expect(told.sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
    for (const [at, result] of results.entries()) {
      if (result instanceof ClientError) throw result;
      expect(result.entry.body).toEqual(canonicalEntry(signed[at]!));
    }
  });

  it('keeps the rest where some are refused, or answered with lies', async () => {
    const { url } = await serving((_path, body) =>
      bulk(body, (request, at) => {
        if (at === 1) return { error: { code: 3, message: 'invalid hashedrekord request: \u001b[2J' } };
        if (at === 2) return entryFor(body.requests[0]);
        if (at === 3) return { entry: {} };
        return entryFor(request);
      }),
    );
    const results = await logAll(many(5), url, trust);
    expect(codes(results)).toEqual(['logged', 'refused', 'entry-mismatch', 'bad-reply', 'logged']);
    expect((results[1] as ClientError).message).not.toContain('\u001b');
  });

  it('sends again those alone that the log has not taken yet', async () => {
    const { url, calls } = await serving((_path, body, call) => ({
      ...bulk(body, (request, at) =>
        call === 1 && at > 0 ? { error: { code: 14, message: 'not yet published; retry' } } : entryFor(request),
      ),
      headers: { 'retry-after': '1' },
    }));
    const waits: number[] = [];
    const results = await logAll(many(4), url, trust, { onRetry: ({ wait }) => waits.push(wait) });
    expect(codes(results)).toEqual(Array(4).fill('logged'));
    expect(calls.map(({ body }) => body.requests.length)).toEqual([4, 3]);
    expect(calls[1]!.body.requests).toEqual(calls[0]!.body.requests.slice(1));
    expect(waits).toEqual([1000]);
  });

  it('gives up on those that the log does not take in time', async () => {
    const digestOf = (request: any): string => request.hashedRekordRequestV002.digest;
    const first = Buffer.from(many(1)[0]!.digest).toString('base64');
    const { url } = await serving((_path, body) =>
      bulk(body, (request) =>
        digestOf(request) === first ? entryFor(request) : { error: { code: 14, message: 'wait' } },
      ),
    );
    expect(codes(await logAll(many(3), url, trust, { deadline: 400 }))).toEqual([
      'logged',
      'unavailable',
      'unavailable',
    ]);
  });

  it('fetches what a log says that it has already', async () => {
    const there = new Map<string, object>();
    const { url } = await serving((path, body) => {
      if (path.endsWith(':batch')) {
        return bulk(body, (request, at) => {
          if (at === 0) return entryFor(request);
          there.set('7', formatLogEntry(take(request)));
          return { error: { code: 6, message: 'an equivalent entry already exists' } };
        });
      }
      if (path.endsWith('/7')) return { body: there.get('7') };
      return { status: 409, headers: { 'x-log-index': '7' }, body: { code: 6, message: 'exists' } };
    });
    expect(codes(await logAll(many(2), url, trust))).toEqual(['logged', 'logged']);
  });

  it('asks one by one where a log knows no bulk call, and in smaller ones where it takes fewer', async () => {
    const single = await serving((path, body) =>
      path.endsWith(':batch') ? { status: 404, body: {} } : { status: 201, body: formatLogEntry(take(body)) },
    );
    expect(codes(await logAll(many(10), single.url, trust))).toEqual(Array(10).fill('logged'));
    expect(single.calls).toHaveLength(11);
    const small = await serving((path, body) => {
      if (!path.endsWith(':batch')) return { status: 201, body: formatLogEntry(take(body)) };
      return body.requests.length > 2 ? { status: 413, body: { code: 3, message: 'too many' } } : bulk(body, entryFor);
    });
    expect(codes(await logAll(many(7), small.url, trust))).toEqual(Array(7).fill('logged'));
  });

  it('says of each that the log is frozen, gone, or answers with something else', async () => {
    const frozen = await serving(() => ({
      status: 405,
      body: 'This log has been frozen, please switch to the latest log.\n',
    }));
    expect(codes(await logAll(many(2), frozen.url, trust))).toEqual(['refused', 'refused']);
    const short = await serving((path, body) => ({
      body: path.endsWith(':batch') ? { results: [entryFor(body.requests[0])] } : {},
    }));
    expect(codes(await logAll(many(2), short.url, trust))).toEqual(['bad-reply', 'bad-reply']);
    const gone = await honest();
    closing.pop()!();
    const results = await logAll(many(5), gone.url, trust, { bulkItems: 2, reach: 200 });
    expect(codes(results)).toEqual(Array(5).fill('network'));
  });

  it('stops when it is told to', async () => {
    const stop = new AbortController();
    const { url } = await serving(() => {
      stop.abort();
      return undefined;
    });
    await expect(logAll(many(2), url, trust, { signal: stop.signal })).rejects.toMatchObject({
      code: 'cancelled',
    });
  });
});

describe('parseHashedRekord', () => {
  it('gives back the parts of what was logged, with a key or a certificate', () => {
    const signed = signedOf('hello');
    expect(parseHashedRekord(canonicalEntry(signed))).toMatchObject({
      keyDetails: 'PKIX_ECDSA_P256_SHA_256',
      signature: signed.signature,
    });
    const certificate = new Uint8Array([1, 2, 3]);
    expect(parseHashedRekord(canonicalEntry({ ...signed, certificate })).verifier).toEqual({ certificate });
  });
});
