import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ed25519 } from '@noble/curves/ed25519.js';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { auditLog } from '../../../client/audit/audit.ts';
import type { AuditOptions, AuditReport } from '../../../client/audit/types.ts';
import { ClientError } from '../../../client/errors.ts';
import { openSource } from '../../../client/tiles/tiles.ts';
import { parseTrustPolicy } from '../../../client/trust/quorum.ts';
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import { cosign } from '../../../merkle/cosignature.ts';
import { formatVerifierKey, KEY_TYPE, makeVerifierKey } from '../../../merkle/note.ts';
import { formatHashedRekord, parseHashedRekord } from '../../../merkle/rekor/hashedrekord.ts';
import { digestVerifier } from '../../../merkle/runtime/crypto/digest.ts';
import { DEFAULT_LIMITS, ingestBody } from '../../../server/ingest/ingest-body.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { filesIn, later, numbered, put, serve, tempDir } from '../../support/log-files.ts';
import { ALL_KEY_KINDS, hashedRekordRequest, makeSigner, toJson } from '../../support/requests.ts';

const SIZE = 600;
const LAST = 'tile/entries/002.p/88';
let log: FakeLog;
beforeAll(() => {
  log = FakeLog.empty('static.test');
});

function logDir(entries = numbered(SIZE)): { dir: string; root: Uint8Array } {
  const dir = tempDir();
  return { dir, root: log.write(dir, entries) };
}

const audit = (dir: string, options: AuditOptions = {}): Promise<AuditReport> =>
  auditLog(dir, { logKey: log.vkey, threads: 1, ...options });

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'done';
  } catch (error) {
    if (error instanceof ClientError) return error.code;
    throw error;
  }
}

function flip(dir: string, path: string, at: number, bit = 0): () => void {
  const bytes = readFileSync(join(dir, path));
  bytes[at]! ^= 1 << bit;
  writeFileSync(join(dir, path), bytes);
  return () => {
    bytes[at]! ^= 1 << bit;
    writeFileSync(join(dir, path), bytes);
  };
}

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

describe('the state', () => {
  const ENTRIES = 256 * 40;
  /** Beside the directory, and taken away with it. */
  function stateIn(dir: string): string {
    later(() => rmSync(`${dir}.state`, { force: true }));
    return `${dir}.state`;
  }
  /** Stops the audit when it has done this many entries. */
  async function interrupted(dir: string, at: number, options: AuditOptions = {}): Promise<void> {
    const stop = new AbortController();
    const work = audit(dir, {
      stateFile: stateIn(dir),
      signal: stop.signal,
      onProgress: ({ entries }) => entries >= at && stop.abort(),
      ...options,
    });
    expect(await codeOf(work)).toBe('cancelled');
  }

  it('goes on where an audit was interrupted', async () => {
    const { dir } = logDir(numbered(ENTRIES));
    const stateFile = stateIn(dir);
    await interrupted(dir, 4096);
    const second = await audit(dir, { stateFile });
    expect(second).toMatchObject({ from: 4096, entries: ENTRIES, extended: [ENTRIES] });
    expect(second.corruption).toBeUndefined();
    // That one came to its end: the next begins anew, and so finds what was changed in the files since.
    flip(dir, 'tile/entries/000', 9);
    const third = await audit(dir, { stateFile });
    expect(third).toMatchObject({ from: 0, corruption: { path: 'tile/entries/000' } });
    expect(await audit(dir, { stateFile, newOnly: true })).toMatchObject({ from: ENTRIES, entries: ENTRIES });
    rmSync(stateFile);
  });

  it('is about signatures only where they were checked', async () => {
    const { dir } = logDir(numbered(ENTRIES));
    await interrupted(dir, 4096);
    expect(await audit(dir, { stateFile: stateIn(dir), signatures: true })).toMatchObject({
      from: 0,
      signatures: { verified: 0, notChecked: ENTRIES },
    });
    await interrupted(dir, 4096, { signatures: true });
    const report = await audit(dir, { stateFile: stateIn(dir), signatures: true });
    expect(report.from).toBeGreaterThan(0);
    expect(report.signatures).toEqual({ verified: 0, notChecked: ENTRIES });
    rmSync(stateIn(dir));
  });

  it.each([
    [100, 300],
    [256, 512],
    [300, 301],
    [0, 256],
    [599, 1000],
    [512, 600],
  ])('holds a tree of %i entries against one of %i', async (first, second) => {
    const dir = tempDir();
    const stateFile = stateIn(dir);
    log.write(dir, numbered(first));
    await audit(dir, { stateFile });
    log.write(dir, numbered(second));
    const grown = await audit(dir, { stateFile });
    expect(grown).toMatchObject({ entries: second, extended: [first] });
    expect(grown.corruption).toBeUndefined();

    // The tiles of the larger tree are still there, and show that the smaller one is its beginning.
    const remembered = readFileSync(stateFile);
    log.write(dir, numbered(first));
    expect(await codeOf(audit(dir, { stateFile }))).toBe('stale');
    expect(readFileSync(stateFile)).toEqual(remembered);
    // A log that was restored from a backup does not have them. The state knows the smaller tree.
    rmSync(join(dir, 'tile'), { recursive: true, force: true });
    log.write(dir, numbered(first));
    await expect(audit(dir, { stateFile })).rejects.toMatchObject({ code: 'stale' });
    expect(readFileSync(stateFile)).toEqual(remembered);
    rmSync(stateFile);
    await audit(dir, { stateFile });
    const changed = first === 0 ? numbered(second) : numbered(second).with(first - 1, encodeUtf8('changed'));
    log.write(dir, changed);
    const other = { corruption: { code: 'bad-checkpoint', message: expect.stringContaining('another tree') } };
    if (first === 0) expect((await audit(dir, { stateFile })).corruption).toBeUndefined();
    else expect(await audit(dir, { stateFile })).toMatchObject(other);
    if (first > 0) {
      log.write(dir, changed.slice(0, first));
      expect(await audit(dir, { stateFile })).toMatchObject(other);
    }
    rmSync(stateFile);
  });

  it('goes on with what is new only, and notices there too that the log changed its past', async () => {
    const { dir } = logDir(numbered(700));
    const stateFile = stateIn(dir);
    await audit(dir, { stateFile });
    log.write(dir, numbered(1500));
    const options = { stateFile, newOnly: true, signatures: true };
    // That one did not look at signatures, so this one begins anew.
    expect(await audit(dir, options)).toMatchObject({ from: 0, signatures: { notChecked: 1500 }, extended: [700] });
    expect(await audit(dir, options)).toMatchObject({ from: 1280, signatures: { notChecked: 1500 }, extended: [1500] });
    log.write(dir, numbered(1700));
    expect(await audit(dir, { stateFile, newOnly: true })).toMatchObject({ from: 1280, entries: 1700 });
    log.write(dir, numbered(2000).with(600, encodeUtf8('changed')));
    const { corruption } = await audit(dir, { stateFile, newOnly: true });
    expect(corruption).toMatchObject({
      path: 'tile/1/000.p/7',
      index: 512,
      message: expect.stringContaining('earlier'),
    });
    rmSync(stateFile);
  });

  it('does not forget a checkpoint that only an interrupted audit has seen', async () => {
    const { dir } = logDir(numbered(ENTRIES));
    await interrupted(dir, 4096);
    log.write(dir, numbered(ENTRIES - 1));
    expect(await codeOf(audit(dir, { stateFile: stateIn(dir) }))).toBe('stale');
    log.write(dir, numbered(ENTRIES + 300).with(ENTRIES - 1, encodeUtf8('changed')));
    expect(await audit(dir, { stateFile: stateIn(dir) })).toMatchObject({ corruption: { code: 'bad-checkpoint' } });
    rmSync(stateIn(dir));
  });

  it.each([
    // The last column says whether the state shows that the smaller tree, which no audit has seen, is the beginning.
    [300, 100, false],
    [300, 257, true],
    [300, 256, true],
    [200, 1, true],
    [200, 0, true],
    [600, 512, true],
    [600, 511, false],
  ])('of %i entries says of a log that was restored with %i what it can', async (second, first, byState) => {
    const dir = tempDir();
    const stateFile = stateIn(dir);
    log.write(dir, numbered(second));
    await audit(dir, { stateFile });
    const remembered = readFileSync(stateFile);
    rmSync(join(dir, 'tile'), { recursive: true, force: true });
    log.write(dir, numbered(first));
    const rolledBack = audit(dir, { stateFile });
    if (byState) await expect(rolledBack).rejects.toMatchObject({ code: 'stale' });
    else {
      const why = expect.stringContaining('the log went back: it has shown');
      expect(await rolledBack).toMatchObject({
        tree: { size: first },
        corruption: { code: 'bad-checkpoint', message: why, note: readFileSync(join(dir, 'checkpoint'), 'utf8') },
      });
    }
    expect(readFileSync(stateFile)).toEqual(remembered);
    rmSync(stateFile);
  });

  it('knows the trees of the audits before: one of them is stale, another of its size is a fork', async () => {
    const dir = tempDir();
    const stateFile = stateIn(dir);
    for (const size of [300, 400, 1000]) {
      log.write(dir, numbered(size));
      await audit(dir, { stateFile });
    }
    for (const size of [300, 400]) {
      rmSync(join(dir, 'tile'), { recursive: true });
      log.write(dir, numbered(size));
      expect(await codeOf(audit(dir, { stateFile }))).toBe('stale');
      log.write(dir, numbered(size).with(0, encodeUtf8('changed')));
      expect(await audit(dir, { stateFile })).toMatchObject({
        corruption: { message: expect.stringContaining('shows another tree than before') },
      });
    }
    rmSync(stateFile);
  });

  it.each([1, 100, 256, 512, 599])('shows a fork below: another tree of %i entries, of 600', async (size) => {
    const { dir } = logDir();
    const stateFile = stateIn(dir);
    await audit(dir, { stateFile });
    const remembered = readFileSync(stateFile);
    const changed = numbered(size).with(size - 1, encodeUtf8('changed'));
    const other = { code: 'bad-checkpoint', message: expect.stringContaining('shows another tree than before') };
    const there = tempDir();
    log.write(there, changed);
    // With the tiles of the larger tree, every such checkpoint is shown to be of another tree.
    const note = readFileSync(join(there, 'checkpoint'), 'utf8');
    writeFileSync(join(dir, 'checkpoint'), note);
    expect(await audit(dir, { stateFile })).toMatchObject({ corruption: { ...other, note } });
    // With those of the other tree alone, the state shows it where the tree ends with a bundle or in the unfinished one.
    const { corruption } = await audit(there, { stateFile });
    if (size % 256 === 0 || size > 512) expect(corruption).toMatchObject({ ...other, note });
    else expect(corruption).toMatchObject({ code: 'bad-checkpoint', message: expect.stringContaining('went back') });
    expect(readFileSync(stateFile)).toEqual(remembered);
    rmSync(stateFile);
  });

  it('takes no tiles of another tree for a proof, and none of a state that was not held against a root', async () => {
    const { dir } = logDir(numbered(1000));
    const stateFile = stateIn(dir);
    await audit(dir, { stateFile });
    const went = { corruption: { message: expect.stringContaining('the log went back') } };
    // A full tile that is there tells, by the upper tiles of the state.
    const there = tempDir();
    log.write(there, numbered(768));
    for (const path of ['tile/1/000.p/3', 'checkpoint']) rmSync(join(there, path));
    log.write(there, numbered(599));
    expect(await codeOf(audit(there, { stateFile }))).toBe('stale');
    // But not the full tile of another tree.
    log.write(there, numbered(768).with(700, encodeUtf8('changed')));
    log.write(there, numbered(599));
    expect(await audit(there, { stateFile })).toMatchObject(went);
    rmSync(stateFile);

    const large = logDir(numbered(ENTRIES));
    await interrupted(large.dir, 4096);
    const half = tempDir();
    log.write(half, numbered(256));
    const state = stateIn(large.dir);
    expect(await audit(half, { stateFile: state })).toMatchObject(went);
    rmSync(state);
  });

  it('is refused where it is of another log, or damaged anywhere', async () => {
    const { dir } = logDir(numbered(700));
    const stateFile = stateIn(dir);
    await audit(dir, { stateFile });
    const good = readFileSync(stateFile);
    const other = FakeLog.empty('other.test');
    const there = tempDir();
    other.write(there, numbered(700));
    expect(await codeOf(auditLog(there, { stateFile }))).toBe('state');
    expect(readFileSync(stateFile)).toEqual(good);

    await fc.assert(
      fc.asyncProperty(fc.nat(good.length - 1), fc.nat(7), async (at, bit) => {
        const bytes = Buffer.from(good);
        bytes[at]! ^= 1 << bit;
        writeFileSync(stateFile, bytes);
        expect(await codeOf(audit(dir, { stateFile }))).toBe('state');
      }),
      { numRuns: 60 },
    );
    for (const text of ['', '{}', 'null', '[]', `${good.toString()} `, good.toString().slice(0, -2)]) {
      writeFileSync(stateFile, text);
      expect(await codeOf(audit(dir, { stateFile })), text).toBe('state');
    }
    rmSync(stateFile);
  });

  it('notices that the checkpoint is gone', async () => {
    const { dir } = logDir();
    await audit(dir, { stateFile: stateIn(dir) });
    rmSync(join(dir, 'checkpoint'));
    expect((await audit(dir, { stateFile: stateIn(dir) })).corruption).toMatchObject({ code: 'missing' });
    rmSync(stateIn(dir));
  });
});

describe('caches between the log and its audit', () => {
  type Answer = { readonly size: number } | 'missing' | 'refused' | 'away';
  /** A log of 600 entries that was audited, behind a server that answers requests for its checkpoint as `answer` says. */
  async function behind(answer: (request: { query: boolean; noCache: boolean; count: number }) => Answer) {
    const { dir } = logDir();
    const stateFile = join(tempDir(), 'state');
    await audit(dir, { stateFile });
    const remembered = readFileSync(stateFile);
    const notes = new Map<number, string>();
    for (const size of [512, 599, 600, 700]) {
      notes.set(size, log.sign(log.textOf(size, log.write(tempDir(), numbered(size)))));
    }
    log.write(dir, numbered(700));
    const asked: string[] = [];
    const url = await serve((path, response, request) => {
      const [name = '', query] = path.split('?');
      if (name !== 'checkpoint') {
        const file = join(dir, name);
        return void (existsSync(file) ? response.end(readFileSync(file)) : response.writeHead(404).end());
      }
      const noCache = request.headers['cache-control'] === 'no-cache';
      asked.push(`${query === undefined ? '' : 'query '}${noCache ? 'no-cache' : 'plain'}`);
      const given = answer({ query: query !== undefined, noCache, count: asked.length });
      if (given === 'away') response.destroy();
      else if (given === 'missing') response.writeHead(404).end();
      else if (given === 'refused') response.writeHead(403).end();
      else response.end(notes.get(given.size));
    });
    const source = openSource(url, { retries: 0 });
    later(() => source.close());
    const run = () => auditLog(source, { logKey: log.vkey, stateFile, threads: 1 });
    return { run, asked, unchanged: () => readFileSync(stateFile).equals(remembered) };
  }

  it('are passed by a query that they do not know', async () => {
    const { run, asked } = await behind(({ query }) => ({ size: query ? 700 : 599 }));
    expect(await run()).toMatchObject({ entries: 700, extended: [600] });
    expect(asked).toEqual(['plain', 'query no-cache']);
  });

  it('are passed by the header where a query is refused', async () => {
    const { run, asked } = await behind(({ query, noCache }) => (query ? 'refused' : { size: noCache ? 700 : 599 }));
    expect(await run()).toMatchObject({ entries: 700, extended: [600] });
    expect(asked).toEqual(['plain', 'query no-cache', 'no-cache']);
  });

  it('may catch up until the third look', async () => {
    const { run, asked } = await behind(({ count }) => (count < 3 ? 'missing' : { size: count < 5 ? 512 : 600 }));
    expect(await run()).toMatchObject({ entries: 600 });
    expect(asked).toHaveLength(5);
  });

  it('leave it at a stale log after three looks, of which the largest tree counts', async () => {
    const { run, asked, unchanged } = await behind(({ count }) => ({ size: count === 2 ? 599 : 512 }));
    await expect(run()).rejects.toMatchObject({
      code: 'stale',
      message: expect.stringContaining('one of 599, asked 4 times'),
    });
    expect(asked).toEqual(['plain', 'query no-cache', 'query no-cache', 'query no-cache']);
    expect(unchanged()).toBe(true);
  });

  it('are not asked where nothing is known, or nothing is smaller', async () => {
    const { run, asked } = await behind(() => ({ size: 600 }));
    expect(await run()).toMatchObject({ entries: 600 });
    expect(asked).toEqual(['plain']);
  });

  it('do not decide where the log cannot be asked again', async () => {
    const { run, unchanged } = await behind(({ count }) => (count === 1 ? { size: 599 } : 'away'));
    await expect(run()).rejects.toMatchObject({ code: 'network' });
    expect(unchanged()).toBe(true);
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
