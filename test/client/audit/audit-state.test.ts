/** What an audit with a state remembers: how far it came, and what the log has shown. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { auditLog } from '../../../client/audit/audit.ts';
import type { AuditOptions } from '../../../client/audit/types.ts';
import { openSource } from '../../../client/tiles/tiles.ts';
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { later, numbered, serve, tempDir } from '../../support/log-files.ts';

import { audit, codeOf, flip, log, logDir } from './audit-runs.ts';

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
