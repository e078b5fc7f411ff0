import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseBundle } from '../../../../client/formats/bundle.ts';
import { createEntryRequest } from '../../../../client/formats/entry-request.ts';
import { type FlushOptions, type FlushReport, flushQueue } from '../../../../client/submit/queue/queue-flush.ts';
import { type NewItem, newItem } from '../../../../client/submit/queue/queue-item.ts';
import { queueStatus } from '../../../../client/submit/queue/queue-status.ts';
import { SubmissionQueue } from '../../../../client/submit/queue/queue-store.ts';
import { fromDigest, keyVerifier, type Submission } from '../../../../client/submit/submission.ts';
import { parseLogKey } from '../../../../client/verify.ts';
import { formatVerifierKey, KEY_TYPE, makeVerifierKey } from '../../../../merkle/verifier-key.ts';
import { tempDir } from '../../../support/log.ts';
import { MemoryLog } from '../../../support/memory-log.ts';
import { sharedSigner } from '../../../support/requests.ts';
import { answers, away, cutReply, type FaultyLog, faultyLog, lostReply, silent } from '../faulty-log.ts';

let dir: string;
let remove: () => Promise<void>;
let log: FaultyLog;
let store: SubmissionQueue;

beforeEach(async () => {
  ({ path: dir, remove } = await tempDir());
  log = await faultyLog();
  store = await SubmissionQueue.open(join(dir, 'queue'), true);
});
afterEach(async () => {
  await log.close();
  await remove();
});

const signer = sharedSigner();
const key = keyVerifier(signer.spki);
function signed(name: string): Submission {
  const artifact = Buffer.from(name);
  return fromDigest(signer.digest(artifact), signer.sign(artifact), key);
}
async function add(
  name: string,
  about: Partial<NewItem> = {},
): Promise<{ out: string; id: string; submission: Submission }> {
  const submission = signed(name);
  const out = join(dir, `${name}.json`);
  const item = newItem(submission, { log: log.url, logKey: log.vkey, out, ...about }, await store.hashAt(out));
  expect(await store.add(item)).toBe(true);
  return { out: item.out, id: item.id, submission };
}
/** Short pauses, and 3 s in all. */
const flush = (options: FlushOptions = {}): Promise<FlushReport> =>
  flushQueue(store, { deadline: 3000, pauses: { first: 5, longest: 50 }, ...options });
const states = ({ results }: FlushReport) => results.map(({ state }) => state);
const onlyProblem = ({ results }: FlushReport) => {
  expect(results).toHaveLength(1);
  const [result] = results;
  return result !== undefined && 'problem' in result ? result.problem : undefined;
};
const proofAt = (out: string) => parseBundle(readFileSync(out)).entries[0]!;

describe('of a log that is frozen, a queue', () => {
  const FROZEN = answers(405, 'This log has been frozen, please switch to the latest log.\n');
  let next: FaultyLog;
  beforeEach(async () => {
    next = await faultyLog();
    log.otherwise = FROZEN;
  });
  afterEach(() => next.close());
  const to = () => ({ log: next.url, logKey: next.vkey });

  it('keeps its entries while nobody knows the log that follows, and says what to do', async () => {
    const { id } = await add('a');
    const asked: string[] = [];
    const unknown = async (frozen: string) => void asked.push(frozen);
    for (const options of [{}, { next: unknown as NonNullable<FlushOptions['next']> }]) {
      const report = await flush(options);
      expect(states(report)).toEqual(['pending']);
      expect(onlyProblem(report)).toMatchObject({
        code: 'refused',
        message: expect.stringMatching(
          /frozen.*stays in the queue until the trust that is followed leads to another log/,
        ),
      });
    }
    expect(asked).toEqual([log.url]);
    expect(await store.pending()).toEqual([id]);
  });

  it('brings its entries to the log that follows, each once and with the trust in that one', async () => {
    const made = [await add('a'), await add('b')];
    const moves: string[][] = [];
    const report = await flush({ next: async () => to(), onMove: (...move) => void moves.push(move) });
    expect(states(report)).toEqual(['done', 'done']);
    expect(moves).toEqual([[log.url, next.url]]);
    for (const { out } of made) expect(existsSync(out)).toBe(true);
    expect(await queueStatus(store)).toMatchObject({ pending: [], done: [{ log: next.url }, { log: next.url }] });
    expect(states(await flush())).toEqual([]);
  });

  it('does not take the word of another log for the one that follows', async () => {
    await add('a');
    const stranger = async () => ({ log: next.url, logKey: log.vkey });
    const report = await flush({ next: stranger });
    expect(states(report)).toEqual(['pending']);
    expect(onlyProblem(report)).toMatchObject({ code: 'bad-checkpoint' });
    expect(await store.pending()).toHaveLength(1);
  });

  it('goes on where a crash came between the two names of an entry', async () => {
    const { id, submission, out } = await add('a');
    await store.add(newItem(submission, { ...to(), out }, await store.hashAt(out)));
    expect(await store.pending()).toHaveLength(2);
    expect(states(await flush({ next: async () => to() }))).toEqual(expect.arrayContaining(['done']));
    expect(await store.pending()).toEqual([]);
    expect(next.posts().length).toBeGreaterThan(0);
    expect(proofAt(out).index).toBe(0);
    expect(existsSync(store.fileOf(id))).toBe(false);
  });

  it('asks for no other log where its own log is only away', async () => {
    await add('a');
    log.otherwise = away;
    const asked = async () => expect.unreachable();
    expect(onlyProblem(await flush({ deadline: 200, next: asked }))).toMatchObject({ code: 'network' });
  });
});

describe('a queue', () => {
  it('keeps an entry through an outage, and writes its proof when the log is back', async () => {
    const { out, submission } = await add('a');
    log.otherwise = away;
    expect(onlyProblem(await flush({ deadline: 200 }))).toMatchObject({ code: 'network' });
    expect(existsSync(out)).toBe(false);
    expect(await queueStatus(store)).toMatchObject({
      pending: [{ out, logged: false }],
      done: [],
      logs: [{ problem: { code: 'network' } }],
    });

    log.otherwise = undefined;
    expect(states(await flush())).toEqual(['done']);
    expect(proofAt(out).index).toBe(0);
    expect(await queueStatus(store)).toMatchObject({
      pending: [],
      done: [{ out, index: 0 }],
      logs: [{ problem: undefined }],
    });
    expect(new Set(log.posts())).toEqual(new Set([createEntryRequest(submission.signed)]));
    expect(states(await flush())).toEqual([]);
  });

  it('is private', async () => {
    await add('a');
    const mode = (path: string) => statSync(join(dir, 'queue', path)).mode & 0o777;
    for (const part of ['.', 'pending', 'refused', 'done', 'damaged']) expect(mode(part)).toBe(0o700);
    const [name] = readdirSync(join(dir, 'queue', 'pending'));
    expect(mode(`pending/${name}`)).toBe(0o600);
    await flush();
    expect(mode(`done/${name}`)).toBe(0o600);
  });

  it('holds an entry once, however often it is added', async () => {
    const submission = signed('a');
    const about = { log: log.url, logKey: log.vkey, out: join(dir, 'a.json') };
    expect(await store.add(newItem(submission, about, undefined))).toBe(true);
    expect(await store.add(newItem(submission, about, undefined))).toBe(false);
    // For another output it is another entry here, and the same in the log.
    expect(await store.add(newItem(submission, { ...about, out: join(dir, 'b.json') }, undefined))).toBe(true);
    expect(states(await flush())).toEqual(['done', 'done']);
    expect([proofAt(join(dir, 'a.json')).index, proofAt(join(dir, 'b.json')).index]).toEqual([0, 0]);
    expect(log.log.publishedSize).toBe(1);
  });

  it('does not exist before its first entry', async () => {
    await expect(SubmissionQueue.open(join(dir, 'none'), false)).rejects.toMatchObject({ code: 'file' });
  });

  it('cannot be made where a file is', async () => {
    writeFileSync(join(dir, 'file'), '');
    await expect(SubmissionQueue.open(join(dir, 'file'), true)).rejects.toMatchObject({ code: 'file' });
  });
});

describe('a flush', () => {
  it.each([
    ['a lost reply', lostReply],
    ['a connection cut in mid-reply', cutReply],
    ['a connection cut before', away],
    ['503', answers(503, { code: 14, message: 'wait' })],
    ['429', answers(429, { code: 8, message: 'slower' })],
    ['500', answers(500)],
    ['no answer', silent],
  ])('sends the same after %s, and logs it once', async (_what, fault) => {
    const { out, submission } = await add('a');
    log.faults.push(fault, fault);
    expect(states(await flush({ attemptTimeout: 300 }))).toEqual(['done']);
    expect(log.posts()).toEqual([
      createEntryRequest(submission.signed),
      createEntryRequest(submission.signed),
      createEntryRequest(submission.signed),
    ]);
    expect(log.log.publishedSize).toBe(1);
    expect(proofAt(out).index).toBe(0);
  });

  it('sends many in few calls', async () => {
    for (let at = 0; at < 260; at++) await add(`n${at}`);
    log.faults.push(lostReply);
    const report = await flush({ deadline: 30_000 });
    expect(states(report)).toEqual(Array(260).fill('done'));
    expect(log.log.publishedSize).toBe(260);
    expect(log.posts().length).toBeLessThan(7);
    expect(proofAt(join(dir, 'n259.json')).body.length).toBeGreaterThan(0);
  });

  it('sends one by one where the log has no bulk call', async () => {
    for (const name of ['a', 'b', 'c']) await add(name);
    log.faults.push(answers(404, { code: 5, message: 'no such path' }));
    expect(states(await flush())).toEqual(['done', 'done', 'done']);
    expect(log.log.publishedSize).toBe(3);
  });

  it('waits as long as Retry-After says, in seconds or until a date', async () => {
    await add('a');
    const waits: number[] = [];
    const date = new Date(Date.now() + 2500).toUTCString();
    log.faults.push(answers(503, {}, { 'retry-after': '1' }), answers(503, {}, { 'retry-after': date }));
    expect(states(await flush({ deadline: 10_000, onWait: ({ ms }) => waits.push(ms) }))).toEqual(['done']);
    expect(waits[0]).toBe(1000);
    expect(log.seen).toHaveLength(3);
  });

  it('does not ask a log again before it wants to be asked', async () => {
    await add('a');
    log.faults.push(answers(503, {}, { 'retry-after': '3600' }));
    expect(onlyProblem(await flush())).toMatchObject({ code: 'unavailable' });
    expect(onlyProblem(await flush())).toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('takes no requests before'),
    });
    expect(log.seen).toHaveLength(1);
  });

  it.each([1, 3])(
    'takes the entry that is there from a log that answers duplicates with 409 (%i entries)',
    async (count) => {
      await log.close();
      log = await faultyLog({ duplicates: 'conflict' });
      const names = ['a', 'b', 'c'].slice(0, count);
      for (const name of names) await add(name);
      log.faults.push(lostReply);
      expect(states(await flush())).toEqual(names.map(() => 'done'));
      expect(log.log.publishedSize).toBe(count);
      expect(new Set(names.map((name) => proofAt(join(dir, `${name}.json`)).index)).size).toBe(count);
    },
  );

  it('keeps aside what the log refuses, with the reason, and does not send it again', async () => {
    const { out } = await add('a');
    log.faults.push(answers(400, { code: 3, message: 'no \u001b[2J thanks' }));
    const report = await flush();
    expect(states(report)).toEqual(['refused']);
    expect(onlyProblem(report)).toMatchObject({ code: 'refused', message: expect.stringContaining('thanks') });
    expect(onlyProblem(report)!.message).not.toContain('\u001b');
    expect(states(await flush())).toEqual([]);
    expect(log.seen).toHaveLength(1);
    expect(await queueStatus(store)).toMatchObject({ pending: [], refused: [{ out, problem: { code: 'refused' } }] });
  });

  it('refuses one of many without the others', async () => {
    for (const name of ['a', 'b', 'c']) await add(name);
    log.faults.push(async (_request, reply, pass) => {
      const { body } = await pass();
      const { results } = JSON.parse(body.toString());
      results[1] = { error: { code: 3, message: 'not this one', details: [] } };
      reply.end(JSON.stringify({ results }));
    });
    expect(states(await flush()).sort()).toEqual(['done', 'done', 'refused']);
  });

  it.each([
    ['another page', answers(200, '<html>welcome</html>')],
    ['a redirect', answers(302, '', { location: 'http://127.0.0.1:9/' })],
    ['a log that is frozen', answers(405, 'This log has been frozen, please switch to the latest log.\n')],
    ['a wrong address', answers(404, { code: 5, message: 'no such path' })],
    ['401', answers(401)],
  ])('leaves entries in the queue before %s', async (_what, fault) => {
    await add('a');
    await add('b');
    log.otherwise = fault;
    expect(states(await flush({ deadline: 500 }))).toEqual(['pending', 'pending']);
    log.otherwise = undefined;
    expect(states(await flush())).toEqual(['done', 'done']);
  });

  it('believes no log that has another key', async () => {
    const { out } = await add('a');
    await log.replace(new MemoryLog());
    expect(onlyProblem(await flush())).toMatchObject({ code: 'bad-checkpoint' });
    expect(existsSync(out)).toBe(false);
    expect((await queueStatus(store)).pending).toHaveLength(1);
  });

  it('takes the key of the log on first use, and keeps to it', async () => {
    const trusted: string[] = [];
    await add('a', { logKey: undefined });
    expect(states(await flush({ onTrust: (_log, vkey) => trusted.push(vkey) }))).toEqual(['done']);
    expect(trusted).toEqual([log.vkey]);
    await log.replace(new MemoryLog());
    await add('b', { logKey: undefined });
    expect(onlyProblem(await flush({ onTrust: (_log, vkey) => trusted.push(vkey) }))).toMatchObject({
      code: 'bad-checkpoint',
    });
    expect(trusted).toHaveLength(1);

    writeFileSync(join(dir, 'queue', 'logs.json'), '{}');
    await expect(flush()).rejects.toMatchObject({ code: 'file', message: expect.stringContaining('first use') });
  });

  it('trusts whom it is told to, before whom the entry names', async () => {
    const other = new MemoryLog();
    await add('a');
    await log.replace(other);
    const trust = { logKey: parseLogKey(other.info.verifierKeys[0]!) };
    expect(states(await flush({ trust }))).toEqual(['done']);
  });

  it('waits for witnesses that are late', async () => {
    const witness = formatVerifierKey(makeVerifierKey('w.example', KEY_TYPE.cosignature, parseLogKey(log.vkey).key));
    await add('a', { logKey: undefined, policy: `log ${log.vkey}\nwitness w ${witness}\nquorum w\n` });
    expect(onlyProblem(await flush({ deadline: 300 }))).toMatchObject({ code: 'quorum' });
    expect(log.posts().length).toBeGreaterThan(1);
    expect(log.log.publishedSize).toBe(1);
    const trust = { logKey: parseLogKey(log.vkey) };
    expect(states(await flush({ trust }))).toEqual(['done']);
  });

  it('keeps the proof where the output cannot be written, and needs no log to write it later', async () => {
    const out = join(dir, 'missing', 'a.json');
    await add('a', { out });
    expect(onlyProblem(await flush())).toMatchObject({ code: 'file' });
    expect(await queueStatus(store)).toMatchObject({ pending: [{ logged: true, problem: { code: 'file' } }] });
    mkdirSync(join(dir, 'missing'));
    log.otherwise = away;
    expect(states(await flush())).toEqual(['done']);
    expect(proofAt(out).index).toBe(0);
  });

  it('asks the log again where the proof that was kept does not convince any more', async () => {
    const out = join(dir, 'missing', 'a.json');
    await add('a', { out });
    await flush();
    mkdirSync(join(dir, 'missing'));
    const other = new MemoryLog();
    await log.replace(other);
    expect(states(await flush({ trust: { logKey: parseLogKey(other.info.verifierKeys[0]!) } }))).toEqual(['done']);
    expect(other.publishedSize).toBe(1);
    expect(proofAt(out).logId).toEqual(other.info.logId);
  });

  it('does not overwrite what was changed since', async () => {
    const { out } = await add('a');
    writeFileSync(out, 'somebody else');
    expect(onlyProblem(await flush())).toMatchObject({ code: 'file', message: expect.stringContaining('was changed') });
    expect(readFileSync(out, 'utf8')).toBe('somebody else');
    rmSync(out);
    expect(states(await flush())).toEqual(['done']);
  });

  it('replaces what stood there when the entry was queued', async () => {
    writeFileSync(join(dir, 'a.json'), 'the bundle without a proof');
    const { out } = await add('a');
    expect(states(await flush())).toEqual(['done']);
    expect(proofAt(out).index).toBe(0);
  });

  it.each([
    ['cut off', (text: string) => text.slice(0, -40)],
    ['changed', (text: string) => text.replace('"format": 1', '"format":  1').replace(/"queued": "2/, '"queued": "3')],
    ['empty', () => ''],
    ['another entry', (text: string) => text.replaceAll(/"digest": "[^"]+"/g, '"digest": "AAAA"')],
  ])('keeps a file aside that is %s, and does the others', async (_what, change) => {
    const { id } = await add('a');
    await add('b');
    const file = store.fileOf(id);
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, change(text));
    expect((await queueStatus(store)).damaged).toEqual([{ file, reason: expect.any(String) }]);
    const report = await flush();
    expect(states(report)).toEqual(['done']);
    expect(report.damaged).toHaveLength(1);
    expect(readFileSync(report.damaged[0]!.file, 'utf8')).toBe(change(text));
    expect(existsSync(file)).toBe(false);
    // Queued anew it is done as ever.
    await add('a');
    expect(states(await flush())).toEqual(['done']);
  });

  it('names a file that cannot be read, leaves it, and does the others', async () => {
    await add('a');
    const file = store.fileOf('0'.repeat(64));
    mkdirSync(file);
    const report = await flush();
    expect(states(report)).toEqual(['done']);
    expect(report.damaged).toEqual([{ file, reason: expect.stringContaining('EISDIR') }]);
    expect((await queueStatus(store)).damaged).toHaveLength(1);
  });

  it('keeps what it learnt of several logs', async () => {
    const others = await Promise.all([faultyLog(), faultyLog(), faultyLog()]);
    for (const [at, { url }] of others.entries()) await add(`n${at}`, { log: url, logKey: undefined });
    others[2]!.otherwise = answers(503, {}, { 'retry-after': '600' });
    expect(states(await flush()).sort()).toEqual(['done', 'done', 'pending']);
    const { logs } = await queueStatus(store);
    const known = others.map(({ url }) => logs.find(({ log: at }) => at === url));
    expect(known.map((state) => state?.verifierKey)).toEqual([others[0]!.vkey, others[1]!.vkey, undefined]);
    expect(known[2]?.problem).toMatchObject({ code: 'unavailable' });
    for (const other of others) await other.close();
  });

  it('runs alone, and says who runs', async () => {
    await add('a');
    log.otherwise = silent;
    const first = flush({ deadline: 800 });
    await expect.poll(() => log.seen.length).toBe(1);
    await expect(flush()).rejects.toMatchObject({
      code: 'locked',
      message: expect.stringContaining(`process ${process.pid}`),
    });
    // Adding does not wait for it.
    await add('b');
    await first;
  });

  it('ends when it is told to, and can be run again', async () => {
    await add('a');
    log.otherwise = silent;
    const stop = new AbortController();
    const flushed = expect(flush({ signal: stop.signal })).rejects.toMatchObject({ code: 'cancelled' });
    await expect.poll(() => log.seen.length).toBe(1);
    stop.abort();
    await flushed;
    log.otherwise = undefined;
    expect(states(await flush())).toEqual(['done']);
  });

  it('removes what crashes left, and forgets what was done long ago', async () => {
    const { id } = await add('a');
    await flush();
    const done = join(dir, 'queue', 'done', `${id}.json`);
    const temporary = join(dir, 'queue', 'pending', '.0123456789abcdef.tmp');
    const fresh = join(dir, 'queue', 'pending', '.1123456789abcdef.tmp');
    writeFileSync(temporary, '');
    writeFileSync(fresh, '');
    const long = new Date(Date.now() - 31 * 86_400_000);
    for (const path of [done, temporary]) utimesSync(path, long, long);
    await flush();
    expect([done, temporary, fresh].map((path) => existsSync(path))).toEqual([false, false, true]);
  });
});
