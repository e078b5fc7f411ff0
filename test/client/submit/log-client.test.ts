import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ClientError } from '../../../client/errors.ts';
import { parseBundle } from '../../../client/formats/bundle.ts';
import { LogClient, type Submitted } from '../../../client/submit/log-client.ts';
import { fromDigest, keyVerifier, type Submission } from '../../../client/submit/submission.ts';
import { parseLogKey } from '../../../client/trust/log-key.ts';
import { leafHash } from '../../../merkle/rfc6962.ts';
import { MemoryLog } from '../../support/memory-log.ts';
import { sharedSigner } from '../../support/requests.ts';
import { answers, away, type FaultyLog, faultyLog, lostReply, silent } from './faulty-log.ts';

const signer = sharedSigner();
const key = keyVerifier(signer.spki);
const signed = (name: string): Submission =>
  fromDigest(signer.digest(Buffer.from(name)), signer.sign(Buffer.from(name)), key);

let log: FaultyLog;
let client: LogClient;
beforeEach(async () => {
  log = await faultyLog();
  client = new LogClient(log.url, { logKey: parseLogKey(log.vkey) }, { deadline: 3000 });
});
afterEach(() => log.close());

describe('LogClient', () => {
  it('submits one, and gives its bundle', async () => {
    const { entry, verified, bundle } = await client.submit(signed('a'));
    expect(verified).toMatchObject({ index: 0, origin: 'log.example.com' });
    expect(parseBundle(bundle).entries[0]!.body).toEqual(entry.body);
  });

  it('submits the same twice and has one entry', async () => {
    const submission = signed('a');
    log.faults.push(lostReply);
    const indexes = [await client.submit(submission), await client.submit(submission)].map(({ entry }) => entry.index);
    expect(indexes).toEqual([0, 0]);
    expect(log.log.publishedSize).toBe(1);
  });

  it('submits many in one call, and tells of each', async () => {
    const told: number[] = [];
    const results = await client.submitMany(['a', 'b', 'c'].map(signed), { onResult: (index) => told.push(index) });
    expect(results.map((result) => (result as Submitted).entry.index)).toEqual([0, 1, 2]);
    expect(told.sort()).toEqual([0, 1, 2]);
    expect(log.posts()).toHaveLength(1);
  });

  it('gives each its own error', async () => {
    log.faults.push(async (_request, reply, pass) => {
      const { results } = JSON.parse((await pass()).body.toString());
      results[0] = { error: { code: 3, message: 'not this one', details: [] } };
      reply.end(JSON.stringify({ results }));
    });
    const [first, second] = await client.submitMany(['a', 'b'].map(signed));
    expect(first).toMatchObject({ name: 'ClientError', code: 'refused' });
    expect(second).not.toBeInstanceOf(ClientError);
  });

  it('gives up at its deadline, with the reason', async () => {
    log.otherwise = away;
    const short = new LogClient(log.url, client.trust, { deadline: 300 });
    expect(await short.submitMany(['a', 'b'].map(signed))).toMatchObject([{ code: 'network' }, { code: 'network' }]);
    log.otherwise = answers(503);
    await expect(short.submit(signed('a'))).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('believes no other log', async () => {
    await log.replace(new MemoryLog());
    await expect(client.submit(signed('a'))).rejects.toMatchObject({ code: 'bad-checkpoint' });
    await expect(client.checkpoint()).rejects.toMatchObject({ code: 'bad-checkpoint' });
    await expect(client.entry(0)).rejects.toMatchObject({ code: 'bad-checkpoint' });
  });

  it('reads checkpoint, entries and tiles', async () => {
    const results = (await client.submitMany(['a', 'b', 'c'].map(signed))) as Submitted[];
    const { size, root, note } = await client.checkpoint();
    expect({ size, note }).toEqual({ size: 3, note: log.log.checkpoint });
    expect(root).toEqual(results[0]!.verified.root);
    const { entry, verified } = await client.entry(1);
    expect(verified.index).toBe(1);
    const tile = await client.tile({ level: 0, index: 0, width: 3 });
    expect(tile.subarray(32, 64)).toEqual(leafHash(entry.body));
    expect((await client.entries(0, 3)).length).toBeGreaterThan(600);
    expect((await client.info()).verifierKeys).toEqual([log.vkey]);
  });

  it('refuses an index that there is not, and another entry than was asked for', async () => {
    await client.submitMany(['a', 'b'].map(signed));
    await expect(client.entry(7)).rejects.toMatchObject({ code: 'refused' });
    await expect(client.entry(-1)).rejects.toMatchObject({ code: 'usage' });
    log.faults.push(async (_request, reply) => {
      reply.end(await (await fetch(`${log.url}/stele/v1/entries/0`)).text());
    });
    await expect(client.entry(1)).rejects.toMatchObject({ code: 'bad-reply' });
  });

  it('takes the key of the log on first use where it is told to', async () => {
    const trusting = await LogClient.trustOnFirstUse(log.url, { deadline: 1000 });
    expect(trusting.trust).toMatchObject({ logKey: { name: 'log.example.com' } });
    expect((await trusting.submit(signed('a'))).verified.index).toBe(0);
  });

  it.each([
    ['submit', (signal: AbortSignal) => client.submit(signed('a'), { signal })],
    ['submitMany', (signal: AbortSignal) => client.submitMany([signed('a')], { signal })],
    ['checkpoint', (signal: AbortSignal) => client.checkpoint({ signal })],
    ['entry', (signal: AbortSignal) => client.entry(0, { signal })],
    ['tile', (signal: AbortSignal) => client.tile({ level: 0, index: 0, width: 1 }, { signal })],
    ['entries', (signal: AbortSignal) => client.entries(0, 1, { signal })],
    ['info', (signal: AbortSignal) => client.info({ signal })],
    ['trustOnFirstUse', (signal: AbortSignal) => LogClient.trustOnFirstUse(log.url, { signal })],
  ])('%s ends when it is told to, before and while it waits', async (_what, call) => {
    log.otherwise = silent;
    await expect(call(AbortSignal.timeout(50))).rejects.toMatchObject({ code: 'cancelled' });
    await expect(call(AbortSignal.abort())).rejects.toMatchObject({ code: 'cancelled' });
  });

  it('is not made for what is no log', () => {
    expect(() => new LogClient('ftp://log', client.trust)).toThrow(expect.objectContaining({ code: 'usage' }));
  });
});
