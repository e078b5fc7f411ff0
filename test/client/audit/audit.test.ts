import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ed25519 } from '@noble/curves/ed25519.js';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { auditLog } from '../../../client/audit/audit.ts';
import { parseLastCheckpoint } from '../../../client/trust/last-checkpoint.ts';
import { parseTrustPolicy } from '../../../client/trust/quorum.ts';
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import { cosign } from '../../../merkle/cosignature.ts';
import { formatVerifierKey, KEY_TYPE, makeVerifierKey } from '../../../merkle/note.ts';
import { formatHashedRekord, parseHashedRekord } from '../../../merkle/rekor/hashedrekord.ts';
import { digestVerifier } from '../../../merkle/runtime/crypto/digest.ts';
import { DEFAULT_LIMITS, ingestBody } from '../../../server/ingest/ingest-body.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { filesIn, numbered, put, tempDir } from '../../support/log-files.ts';
import { ALL_KEY_KINDS, hashedRekordRequest, makeSigner, toJson } from '../../support/requests.ts';

import { cosignerOf } from '../monitor/cosigner.ts';
import { audit, codeOf, flip, log, logDir, SIZE } from './audit-runs.ts';

const LAST = 'tile/entries/002.p/88';

describe('an audit finds nothing wrong', () => {
  it.each([0, 1, 255, 256, 257, 512, SIZE])('with a tree of %i entries', async (size) => {
    const { dir, root } = logDir(numbered(size));
    expect(await audit(dir)).toEqual({
      source: dir,
      tree: { origin: 'static.test', size, root },
      signedBy: [log.vkey],
      cosigned: [],
      from: 0,
      entries: size,
      extended: [],
    });
  });

  it('with entries of any length and content, and without a key, for which it vouches for nobody', async () => {
    const lengths = [0, 1, 65_535, ...Array.from({ length: 300 }, (_, i) => i)];
    const { dir } = logDir(lengths.map((length) => randomBytes(length)));
    const report = await auditLog(dir, { threads: 2, signatures: true });
    expect(report).toMatchObject({ signedBy: [], entries: 303, signatures: { verified: 0, notChecked: 303 } });
    expect(report.corruption).toBeUndefined();
  });

  it('and tells how far it is', async () => {
    const { dir } = logDir();
    const seen: number[] = [];
    await audit(dir, { onProgress: ({ entries, total, from }) => seen.push(entries, total, from) });
    expect(seen.slice(0, 3)).toEqual([0, SIZE, 0]);
    expect(seen.slice(-3)).toEqual([SIZE, SIZE, 0]);
  });
});

describe('an audit of a frozen log', () => {
  const pinOf = (dir: string) => parseLastCheckpoint(readFileSync(join(dir, 'checkpoint')));

  it('takes its last tree, refuses any beyond it, and is not made of a smaller one', async () => {
    const { dir } = logDir();
    const last = pinOf(dir);
    expect(await audit(dir, { lastCheckpoints: [last] })).toMatchObject({ tree: { size: SIZE }, entries: SIZE });
    const grown = await audit(logDir(numbered(SIZE + 1)).dir, { lastCheckpoints: [last] });
    expect(grown.corruption).toMatchObject({
      code: 'bad-checkpoint',
      path: 'checkpoint',
      message: expect.stringMatching(/frozen with 600 entries.*a tree of 601/),
    });
    const other = await audit(dir, { lastCheckpoints: [{ ...last, root: new Uint8Array(32) }] });
    expect(other.corruption).toMatchObject({
      code: 'bad-checkpoint',
      message: expect.stringContaining('another tree'),
    });
    expect(await codeOf(audit(logDir(numbered(SIZE - 1)).dir, { lastCheckpoints: [last] }))).toBe('stale');
  });

  it('needs no quorum where it ended empty', async () => {
    const { dir } = logDir([]);
    const policy = parseTrustPolicy(
      encodeUtf8(`log ${log.vkey}\nwitness w ${cosignerOf('witness.test').vkey}\nquorum w\n`),
    );
    expect((await auditLog(dir, { policy })).corruption).toMatchObject({ code: 'quorum' });
    const report = await auditLog(dir, { policy, lastCheckpoints: [pinOf(dir)] });
    expect(report).toMatchObject({ tree: { size: 0 }, entries: 0 });
    expect(report.corruption).toBeUndefined();
  });

  it('is not touched by the last checkpoint of another log', async () => {
    const { dir } = logDir();
    const report = await audit(dir, { lastCheckpoints: [{ ...pinOf(dir), origin: 'other.test', size: 1 }] });
    expect(report.corruption).toBeUndefined();
  });
});

describe('an audit names the first bad file', () => {
  it('for any flipped bit in any file', async () => {
    const { dir } = logDir();
    const files = filesIn(dir);
    const all = files.reduce((sum, { length }) => sum + length, 0);
    expect(files.length).toBe(7);
    // Each file as often as any other, else the bundles would get all of it.
    const place = fc.tuple(fc.constantFrom(...files), fc.nat(all), fc.nat(7));
    await fc.assert(
      fc.asyncProperty(place, async ([{ path, length }, at, bit]) => {
        const undo = flip(dir, path, at % length, bit);
        const { corruption } = await audit(dir);
        undo();
        expect(corruption).toMatchObject({ code: 'corrupt', path });
      }),
      { numRuns: 40 },
    );
    expect((await audit(dir)).corruption).toBeUndefined();
  });

  it('for a flipped byte at every level of a larger tree', async () => {
    const { dir } = logDir(numbered(256 * 256 + 256 + 3));
    const levels = ['tile/0/077', 'tile/1/000', 'tile/1/001.p/1', 'tile/2/000.p/1', 'tile/0/257.p/3'];
    for (const path of levels) {
      const undo = flip(dir, path, 0);
      expect((await audit(dir, { threads: 2 })).corruption, path).toMatchObject({ code: 'corrupt', path });
      undo();
    }
    const undo = flip(dir, 'tile/1/000', 32 * 5);
    expect((await audit(dir)).corruption).toMatchObject({ index: 5 * 256 });
    undo();
    expect((await audit(dir)).corruption).toBeUndefined();
  });

  it('with the index of the entry, and whether entry or tile is wrong', async () => {
    const { dir } = logDir();
    const entry = 256 + 17;
    const bundle = readFileSync(join(dir, 'tile/entries/001'));
    const at = bundle.indexOf(`entry ${entry}`);
    let undo = flip(dir, 'tile/entries/001', at);
    expect((await audit(dir)).corruption).toEqual({
      code: 'corrupt',
      path: 'tile/entries/001',
      index: entry,
      message: expect.stringContaining(`entry ${entry} is not the one that the log signed`),
    });
    undo();
    undo = flip(dir, 'tile/0/001', 17 * 32);
    expect((await audit(dir)).corruption).toMatchObject({ path: 'tile/0/001', index: entry });
    // Both of them, so that they agree with each other and with no root.
    flip(dir, 'tile/entries/001', at);
    expect((await audit(dir)).corruption).toMatchObject({ index: entry, message: expect.stringContaining('differ') });
    // The first one counts.
    flip(dir, 'tile/entries/000', 5);
    expect((await audit(dir)).corruption).toMatchObject({ path: 'tile/entries/000', index: 0 });
    undo();
  });

  it('for each file that is missing', async () => {
    const { dir } = logDir();
    for (const { path } of filesIn(dir)) {
      const bytes = readFileSync(join(dir, path));
      rmSync(join(dir, path));
      expect((await audit(dir)).corruption, path).toMatchObject({ code: 'missing', path });
      writeFileSync(join(dir, path), bytes);
    }
  });

  it.each(['tile/entries/000', LAST])('for %s cut short, with bytes behind it, empty, or no file', async (path) => {
    const { dir } = logDir();
    const bytes = readFileSync(join(dir, path));
    for (const length of [bytes.length - 1, 500, 1, 0]) {
      put(dir, path, bytes.subarray(0, length));
      expect((await audit(dir)).corruption, String(length)).toMatchObject({ code: 'corrupt', path });
    }
    put(dir, path, Buffer.concat([bytes, Buffer.alloc(2)]));
    expect((await audit(dir)).corruption).toMatchObject({ code: 'corrupt', path });
    put(dir, path, Buffer.alloc(256 * 65_537 + 1));
    expect((await audit(dir)).corruption).toMatchObject({ code: 'corrupt', path });
    rmSync(join(dir, path));
    mkdirSync(join(dir, path));
    expect((await audit(dir)).corruption).toMatchObject({ code: 'corrupt', path });
  });

  it('for tiles of another length', async () => {
    const { dir } = logDir();
    for (const path of ['tile/0/001', 'tile/0/002.p/88', 'tile/1/000.p/2']) {
      const bytes = readFileSync(join(dir, path));
      for (const length of [bytes.length - 32, bytes.length + 32, 0]) {
        put(dir, path, Buffer.concat([bytes, Buffer.alloc(32)], length));
        expect((await audit(dir)).corruption, `${path} ${length}`).toMatchObject({ code: 'corrupt', path });
      }
      put(dir, path, bytes);
    }
  });

  it('where every file agrees with the others and not with the signed root', async () => {
    const { dir } = logDir();
    const right = readFileSync(join(dir, 'checkpoint'));
    log.write(dir, numbered(SIZE, 'other'));
    put(dir, 'checkpoint', right);
    expect((await audit(dir)).corruption).toMatchObject({ code: 'corrupt', path: 'checkpoint' });
  });

  it('for a file that cannot be read: that is no corruption', async () => {
    const { dir } = logDir();
    rmSync(join(dir, 'checkpoint'));
    expect(await codeOf(audit(dir))).toBe('missing');
    expect(await codeOf(audit('/nonexistent'))).toBe('usage');
    expect(await codeOf(audit(dir, { logKey: 'static.test+00000000+AAAA' }))).toBe('log-key');
    expect(await codeOf(audit(dir, { newOnly: true }))).toBe('usage');
  });
});

describe('the checkpoint', () => {
  it('must be signed by the log that was asked for', async () => {
    const { dir, root } = logDir();
    const other = FakeLog.empty('static.test');
    const bad = { corruption: { code: 'bad-checkpoint', path: 'checkpoint' } };
    expect(await audit(dir, { logKey: other.vkey })).toMatchObject(bad);
    const note = log.sign(log.textOf(SIZE, root));
    for (const wrong of [
      '',
      '<!doctype html><title>Log in</title>',
      note.slice(0, -1),
      note.replace(`${SIZE}`, `${SIZE - 1}`),
      note.replace(`${SIZE}`, `0${SIZE}`),
      note.replace('static', 'other'),
      `${note.slice(0, -8)}AAAAAAA\n`,
    ]) {
      put(dir, 'checkpoint', wrong);
      expect(await audit(dir), JSON.stringify(wrong)).toMatchObject({ ...bad, entries: 0 });
    }
    put(dir, 'checkpoint', `${log.sign(log.textOf(SIZE, root))}${'x'.repeat(2 ** 20)}`);
    expect(await audit(dir)).toMatchObject(bad);
  });

  it('must be cosigned as the policy asks', async () => {
    const { dir, root } = logDir();
    const witnesses = await Promise.all(
      ['w1', 'w2'].map(async (name) => {
        const { secretKey, publicKey } = ed25519.keygen();
        const key = makeVerifierKey(name, KEY_TYPE.cosignature, publicKey);
        const signer = { key, sign: async (message: Uint8Array) => ed25519.sign(message, secretKey) };
        const text = log.sign(log.textOf(SIZE, root)).split('\n\n')[0]!;
        return { name, vkey: formatVerifierKey(key), line: await cosign(signer, 1000, `${text}\n`) };
      }),
    );
    const policyFor = (threshold: number, vkey = log.vkey) =>
      parseTrustPolicy(
        encodeUtf8(
          `log ${vkey}\n${witnesses.map((w) => `witness ${w.name} ${w.vkey}\n`).join('')}group g ${threshold} w1 w2\nquorum g\n`,
        ),
      );
    const [w1] = witnesses;
    put(dir, 'checkpoint', log.sign(log.textOf(SIZE, root), [w1!.line, w1!.line]));
    const report = await auditLog(dir, { policy: policyFor(1) });
    expect(report).toMatchObject({ signedBy: [log.vkey], cosigned: [{ witness: 'w1', timestamp: 1000 }] });
    expect(report.corruption).toBeUndefined();
    // One witness that signed twice is one witness.
    expect((await auditLog(dir, { policy: policyFor(2) })).corruption).toMatchObject({ code: 'quorum' });
    const foreign = policyFor(1, FakeLog.empty('static.test').vkey);
    expect((await auditLog(dir, { policy: foreign })).corruption).toMatchObject({ code: 'bad-checkpoint' });
    const none = parseTrustPolicy(encodeUtf8('quorum none\n'));
    expect(await codeOf(auditLog(dir, { policy: none }))).toBe('usage');
  });
});

describe('the signatures in entries', () => {
  const signers = ALL_KEY_KINDS.map((kind) => makeSigner(kind));
  let entries: Uint8Array[];
  beforeAll(() => {
    const verifier = digestVerifier();
    entries = Array.from({ length: 300 }, (_, i) => {
      const request = toJson(hashedRekordRequest(signers[i % 40 < signers.length ? i % 40 : 0]!));
      const done = ingestBody(request, 'json', { ...DEFAULT_LIMITS, bulkItems: 1 }, verifier);
      if ('refusal' in done) throw new Error(done.refusal.message);
      const [item] = done.items;
      if (item === undefined || 'refusal' in item) throw new Error('refused');
      return item.entries[0]!.body;
    });
  });

  it('verify', async () => {
    const { dir } = logDir([...entries, encodeUtf8('{"kind":"other"}')]);
    const report = await audit(dir, { signatures: true });
    expect(report.corruption).toBeUndefined();
    expect(report.signatures).toEqual({ verified: 300, notChecked: 1 });
  });

  it.each([3, 299])('are wrong where one is: entry %i', async (index) => {
    const parts = parseHashedRekord(entries[index]!);
    const forgeries = {
      'another digest': { ...parts, digest: randomBytes(32) },
      'another signature': {
        ...parts,
        signature: parseHashedRekord(entries[index + 1 < 300 ? index + 1 : 1]!).signature,
      },
      'another key': { ...parts, verifier: { publicKey: makeSigner().spki } },
      'another kind of digest': { ...parts, digestAlgorithm: 'SHA2_512', digest: randomBytes(64) },
      'no key': { ...parts, verifier: { publicKey: randomBytes(91) } },
    };
    for (const [name, forged] of Object.entries(forgeries)) {
      const { dir } = logDir(entries.with(index, formatHashedRekord(forged)));
      expect((await audit(dir, { signatures: true })).corruption, name).toMatchObject({
        code: 'bad-signature',
        path: index < 256 ? 'tile/entries/000' : 'tile/entries/001.p/44',
        index,
      });
    }
  });

  it('are looked at only where that is asked for', async () => {
    const { dir } = logDir(
      entries.with(3, formatHashedRekord({ ...parseHashedRekord(entries[3]!), digest: randomBytes(32) })),
    );
    expect(await audit(dir)).not.toHaveProperty('corruption');
  });

  it('are not there where the entry is not in its canonical form', async () => {
    const text = Buffer.from(entries[5]!).toString();
    const { dir } = logDir(entries.with(5, encodeUtf8(text.replace('"spec":', '"spec": '))));
    expect((await audit(dir, { signatures: true })).corruption).toMatchObject({ code: 'bad-signature', index: 5 });
  });
});

it('a data directory of Stele lacks its last entries, and what is there is checked', async () => {
  const { dir } = logDir();
  const data = tempDir();
  for (const { path } of filesIn(dir)) {
    if (!path.includes('.p/')) put(data, `public/${path}`, readFileSync(join(dir, path)));
  }
  put(data, 'public/checkpoint', readFileSync(join(dir, 'checkpoint')));
  put(data, 'stele.json', '{}');
  expect(await codeOf(audit(data))).toBe('unsupported');
  flip(data, 'public/tile/entries/001', 9);
  expect((await audit(data)).corruption).toMatchObject({ path: 'tile/entries/001' });
  // Without a partial bundle the root can be checked, though the tiles above are partial too.
  const full = logDir(numbered(512));
  for (const { path } of filesIn(full.dir)) {
    if (!path.includes('.p/')) put(data, `public/${path}`, readFileSync(join(full.dir, path)));
  }
  put(data, 'public/checkpoint', readFileSync(join(full.dir, 'checkpoint')));
  expect((await audit(data)).corruption).toBeUndefined();
});
