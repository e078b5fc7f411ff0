import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseCheckpoint } from '../../../merkle/checkpoint.ts';
import { noteVerifier, openNote, parseNote } from '../../../merkle/note.ts';
import { verifyConsistency, verifyInclusion } from '../../../merkle/proof.ts';
import { leafHash } from '../../../merkle/rfc6962.ts';
import { nodeNotePrimitives } from '../../../merkle/runtime/crypto/verify.ts';
import { openDirStores } from '../../../server/dir/layout.ts';
import type { RequestError } from '../../../server/errors.ts';
import type { Log } from '../../../server/log/log.ts';
import { closeStores } from '../../../server/store/stores.ts';
import type { LoggedEntry, Outcome } from '../../../server/types.ts';
import { bodyOf, logOptions, makeSigner, ORIGIN, openTestLog, tempDir } from '../../support/log.ts';
import {
  dsseRequest,
  hashedRekordRequest,
  makeSigner as makeKey,
  toJson,
  toJsonBatch,
} from '../../support/requests.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let log: Log | undefined;

beforeEach(async () => {
  dir = await tempDir();
});

afterEach(async () => {
  await log?.close();
  log = undefined;
  await dir.remove();
});

async function submit(to: Log, name: string): Promise<LoggedEntry> {
  const [outcome] = await to.submit(bodyOf(name), 'json');
  return entryOf(outcome!);
}

function entryOf(outcome: Outcome): LoggedEntry {
  if ('error' in outcome) throw outcome.error;
  return outcome.entry;
}

function verify({ index, body, proof }: LoggedEntry): void {
  const { treeSize, root, hashes } = proof;
  verifyInclusion({ index, size: treeSize, leafHash: leafHash(body), root, hashes });
}

describe('a log', () => {
  it('publishes its empty tree at the first start', async () => {
    log = await openTestLog(dir.path);
    const [key] = (await makeSigner(dir.path)).keys;
    const { text } = openNote(parseNote(log.checkpoint), [noteVerifier(key!, nodeNotePrimitives)]);
    expect(parseCheckpoint(text)).toMatchObject({ origin: ORIGIN, size: 0, extensions: [] });
  });

  it('answers with the entry and a proof to a signed checkpoint that covers it', async () => {
    log = await openTestLog(dir.path);
    const entry = await submit(log, 'a');
    expect(entry).toMatchObject({ index: 0, duplicate: false });
    verify(entry);
    const [key] = (await makeSigner(dir.path)).keys;
    const checkpoint = parseCheckpoint(
      openNote(parseNote(entry.proof.checkpoint), [noteVerifier(key!, nodeNotePrimitives)]).text,
    );
    expect(checkpoint.size).toBe(entry.proof.treeSize);
    expect(checkpoint.root).toEqual(entry.proof.root);
    expect(log.checkpoint).toBe(entry.proof.checkpoint);
  });

  it('logs equal entries that come at once, and later, only once', async () => {
    log = await openTestLog(dir.path);
    const at = log;
    const entries = await Promise.all(Array.from({ length: 20 }, () => submit(at, 'same')));
    expect(new Set(entries.map(({ index }) => index))).toEqual(new Set([0]));
    expect(entries.filter(({ duplicate }) => !duplicate).length).toBe(1);
    await submit(log, 'another');
    const again = await submit(log, 'same');
    expect(again).toMatchObject({ index: 0, duplicate: true });
    expect(again.proof.treeSize).toBe(2);
    verify(again);
  });

  it('keeps entries, duplicates and consistency over a restart', async () => {
    log = await openTestLog(dir.path);
    const first = await Promise.all(Array.from({ length: 300 }, (_, i) => submit(log!, `e${i}`)));
    const before = parseCheckpoint(`${log.checkpoint.split('\n\n')[0]}\n`);
    await log.close();
    log = await openTestLog(dir.path);
    expect(log.publishedSize).toBe(300);
    const again = await submit(log, 'e7');
    expect(again).toMatchObject({ index: first[7]!.index, duplicate: true });
    await submit(log, 'new');
    const after = parseCheckpoint(`${log.checkpoint.split('\n\n')[0]}\n`);
    const hashes = await log.consistencyProof(before.size, after.size);
    verifyConsistency({ first: 300, second: 301, firstRoot: before.root, secondRoot: after.root, hashes });
  });

  it('stores which leaf hashes it has, and finds duplicates with it, without it and with one of another time', async () => {
    const path = join(dir.path, 'leaf-filter');
    const filter = { maxBytes: 1024 * 1024, path };
    const names = Array.from({ length: 300 }, (_, i) => `e${i}`);
    const submitAll = (to: Log) => Promise.all(names.map((name) => submit(to, name)));
    log = await openTestLog(dir.path, { filter });
    await submitAll(log);
    await log.close();
    const early = await readFile(path);
    log = await openTestLog(dir.path, { filter });
    for (const entry of await submitAll(log)) expect(entry.duplicate).toBe(true);
    expect(await submit(log, 'later')).toMatchObject({ index: 300, duplicate: false });
    await log.close();
    expect(await readFile(path)).not.toEqual(early);
    for (const stored of [early, undefined]) {
      if (stored === undefined) await rm(path);
      else await writeFile(path, stored);
      log = await openTestLog(dir.path, { filter });
      for (const entry of await submitAll(log)) expect(entry.duplicate).toBe(true);
      expect(await submit(log, 'later')).toMatchObject({ index: 300, duplicate: true });
      await log.close();
    }
    log = undefined;
  });

  it('gives a bad item of a batch an error and logs the others', async () => {
    log = await openTestLog(dir.path);
    const good = [hashedRekordRequest(), hashedRekordRequest()];
    const bad = hashedRekordRequest();
    bad.hashedRekordRequestV002.digest = new Uint8Array(32);
    const outcomes = await log.submit(toJsonBatch([good[0]!, bad, good[1]!]), 'json-batch');
    expect(outcomes.map((outcome) => 'entry' in outcome)).toEqual([true, false, true]);
    expect((outcomes[1] as { error: RequestError }).error.code).toBe('invalid-entry');
    for (const outcome of [outcomes[0]!, outcomes[2]!]) verify(entryOf(outcome));
  });

  it('logs an entry for each signature of an envelope, and answers with the first', async () => {
    log = await openTestLog(dir.path);
    const [outcome] = await log.submit(toJson(dsseRequest([makeKey('p256'), makeKey('p384')])), 'json');
    expect(entryOf(outcome!).index).toBe(0);
    expect(log.publishedSize).toBe(2);
  });

  it('refuses new entries past its limits, while duplicates still wait', async () => {
    const limits = { outstanding: 2, unpublished: 1000, publishTimeout: 5000, maxCheckpointDelay: 1000 };
    log = await openTestLog(dir.path, { limits, batch: { maxSize: 1024, maxAge: 100 } });
    const at = log;
    const results = await Promise.allSettled(['a', 'b', 'c', 'a'].map((name) => submit(at, name)));
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'fulfilled', 'fulfilled', 'rejected']);
    const refused = results.find((result) => result.status === 'rejected') as PromiseRejectedResult;
    expect(refused.reason).toMatchObject({ code: 'pushback', message: 'reached max pushback; retry' });
  });

  it('takes no more entries while too many wait for their checkpoint, and goes on when it has come', async () => {
    const signer = await makeSigner(dir.path);
    const limits = { outstanding: 100, unpublished: 2, publishTimeout: 200, maxCheckpointDelay: 60_000 };
    log = await openTestLog(dir.path, { signer, limits });
    const at = log;
    const sign = signer.sign.bind(signer);
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    signer.sign = async (head, extensions) => {
      await held;
      return await sign(head, extensions);
    };
    const waiting = await Promise.allSettled(['a', 'b'].map((name) => submit(at, name)));
    for (const result of waiting) expect(result).toMatchObject({ reason: { code: 'not-published' } });
    await expect(submit(log, 'c')).rejects.toMatchObject({ code: 'pushback' });
    await expect(submit(log, 'a')).rejects.toMatchObject({ code: 'not-published' });
    release();
    expect(await submit(log, 'b')).toMatchObject({ duplicate: true });
    expect(await submit(log, 'c')).toMatchObject({ index: 2 });
  });

  it('answers 503 where the publication is late, keeps the entry and publishes it afterwards', async () => {
    const signer = await makeSigner(dir.path);
    const sign = signer.sign.bind(signer);
    let release = (): void => {};
    const limits = { outstanding: 100, unpublished: 100, publishTimeout: 200, maxCheckpointDelay: 100 };
    log = await openTestLog(dir.path, { signer, limits });
    signer.sign = async (head, extensions) => {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      return await sign(head, extensions);
    };
    const error = await submit(log, 'late').catch((caught: RequestError) => caught);
    expect(error).toMatchObject({ code: 'not-published', data: { index: 0 } });
    expect((error as RequestError).message).toBe('sequenced at index 0, not yet published; retry');
    expect(log.notReady().join()).toMatch(/checkpoint is .* late/);
    signer.sign = sign;
    release();
    expect(await submit(log, 'late')).toMatchObject({ index: 0, duplicate: true });
    await expect.poll(() => log!.notReady()).toEqual([]);
  });

  it('freezes for ever: everything is published, the last checkpoint says so, and no more is signed', async () => {
    log = await openTestLog(dir.path);
    const entry = await submit(log, 'a');
    const last = await log.freeze();
    const checkpoint = parseCheckpoint(`${last.split('\n\n')[0]}\n`);
    expect(checkpoint).toMatchObject({ size: 1, root: entry.proof.root });
    expect(checkpoint.extensions).toHaveLength(1);
    expect(checkpoint.extensions[0]).toMatch(/^Log frozen — \d{4}-\d\d-\d\dT[\d:.]+Z$/);
    expect(log.checkpoint).toBe(last);
    expect(await log.freeze()).toBe(last);
    await expect(submit(log, 'b')).rejects.toMatchObject({ code: 'frozen' });
    await log.close();
    const options = await logOptions(dir.path);
    log = await openTestLog(dir.path, options);
    expect(log.checkpoint).toBe(last);
    await expect(submit(log, 'b')).rejects.toMatchObject({ code: 'frozen' });
    await expect(options.signer.sign({ size: 1, root: entry.proof.root })).rejects.toMatchObject({ code: 'frozen' });
  });

  it('goes on with a freeze that a crash cut off', async () => {
    log = await openTestLog(dir.path);
    await submit(log, 'a');
    await log.close();
    const stores = await openDirStores(dir.path);
    const state = (await stores.state.read())!;
    await stores.state.commit({ expected: state, next: { ...state, status: 'freezing' }, entries: [] });
    await Promise.all([stores.state.close(), stores.tiles.close()]);
    log = await openTestLog(dir.path);
    expect(log.info.status).toBe('frozen');
    expect(log.checkpoint).toContain('\nLog frozen — ');
  });
});

describe('a log that finds another past than its own', () => {
  it('stops at a checkpoint that another key signed', async () => {
    await (await openTestLog(dir.path)).close();
    const signer = await makeSigner(dir.path, 'other.pem');
    await expect(openTestLog(dir.path, { signer })).rejects.toMatchObject({ code: 'key-mismatch' });
  });

  it('stops at a checkpoint that the committed tree does not extend', async () => {
    log = await openTestLog(dir.path);
    await submit(log, 'a');
    await log.close();
    const signer = await makeSigner(dir.path);
    const note = await signer.sign({ size: 1, root: new Uint8Array(32) });
    const stores = await openDirStores(dir.path);
    await stores.checkpoint.replaceCheckpoint(await stores.checkpoint.readCheckpoint(), Buffer.from(note));
    await closeStores(stores);
    log = undefined;
    await expect(openTestLog(dir.path)).rejects.toMatchObject({ code: 'rollback' });
  });

  it('stops where the state is an old copy', async () => {
    log = await openTestLog(dir.path);
    await submit(log, 'a');
    await log.close();
    log = undefined;
    const stores = await openDirStores(dir.path);
    const signer = await makeSigner(dir.path);
    const note = Buffer.from(await signer.sign({ size: 9, root: new Uint8Array(32) }));
    await stores.checkpoint.replaceCheckpoint(await stores.checkpoint.readCheckpoint(), note);
    await closeStores(stores);
    await expect(openTestLog(dir.path)).rejects.toMatchObject({ code: 'rollback' });
  });

  it('refuses to sign a tree that goes back', async () => {
    const signer = await makeSigner(dir.path);
    await signer.sign({ size: 5, root: new Uint8Array(32) });
    await expect(signer.sign({ size: 4, root: new Uint8Array(32) })).rejects.toMatchObject({ code: 'rollback' });
    const other = new Uint8Array(32).fill(1);
    await expect(signer.sign({ size: 5, root: other })).rejects.toMatchObject({ code: 'rollback' });
  });
});
