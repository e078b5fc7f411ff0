/**
 * One entry of six is at fault, at each position and in each way. Whatever the answer is, the other five are logged.
 *
 * The three callers share the positions of each answer. The long tests give each caller all of them.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ClientError } from '../../../client/errors.ts';
import { LogClient } from '../../../client/submit/log-client.ts';
import { logAll } from '../../../client/submit/log-signatures.ts';
import { flushQueue } from '../../../client/submit/queue/queue-flush.ts';
import { newItem } from '../../../client/submit/queue/queue-item.ts';
import { SubmissionQueue } from '../../../client/submit/queue/queue-store.ts';
import { certificateVerifier, fromDigest, keyVerifier, type Submission } from '../../../client/submit/submission.ts';
import { parseLogKey } from '../../../client/trust/log-key.ts';
import type { TestOptions } from '../../server/http/support.ts';
import { tempDir } from '../../support/log.ts';
import { sharedSigner } from '../../support/requests.ts';
import { answers, away, cutReply, type Fault, type FaultyLog, faultyLog } from './faulty-log.ts';

const signer = sharedSigner();
const POSITIONS = [0, 1, 2, 3, 4, 5];
const PAUSES = { first: 2, longest: 20 };
const LONG = process.env.TEST_LONG === '1';

const signed = (name: string, verifier = keyVerifier(signer.spki)): Submission =>
  fromDigest(signer.digest(Buffer.from(name)), signer.sign(Buffer.from(name)), verifier);

/** What became of an entry: `logged`, or the code of the error; of a queue, `refused` is moved aside and `pending` stays. */
type Caller = (log: FaultyLog, submissions: readonly Submission[], dir: string) => Promise<string[]>;

const outcome = (result: object) => (result instanceof ClientError ? result.code : 'logged');

const callers: Record<string, Caller> = {
  'logAll (sign, attest)': async (log, submissions) => {
    const all = submissions.map((one) => one.signed);
    const trust = { logKey: parseLogKey(log.vkey) };
    return (await logAll(all, log.url, trust, { deadline: 8000, pauses: PAUSES })).map(outcome);
  },
  'LogClient (submit)': async (log, submissions) => {
    const client = new LogClient(log.url, { logKey: parseLogKey(log.vkey) }, { deadline: 8000, pauses: PAUSES });
    return (await client.submitMany(submissions)).map(outcome);
  },
  'flushQueue (submit --flush)': async (log, submissions, dir) => {
    const store = await SubmissionQueue.open(join(dir, 'queue'), true);
    const outs = submissions.map((_, at) => join(dir, `${at}.json`));
    for (const [at, one] of submissions.entries()) {
      await store.add(newItem(one, { log: log.url, logKey: log.vkey, out: outs[at]! }, undefined));
    }
    const { results, damaged } = await flushQueue(store, { deadline: 8000, pauses: PAUSES });
    expect(damaged).toEqual([]);
    expect(results).toHaveLength(submissions.length);
    const byOut = new Map(results.map((result) => [result.out, result]));
    return outs.map((out) => {
      const result = byOut.get(out)!;
      expect(existsSync(out)).toBe(result.state === 'done');
      return result.state === 'done' ? 'logged' : `${result.state} ${result.problem.code}`;
    });
  },
};

/** The answer to every call that holds the entry at fault, and what becomes of that entry: alone, and in a queue. */
const FOR_GOOD: [string, Fault, string, string][] = [
  ['400', answers(400, { code: 3, message: 'not this' }), 'refused', 'refused refused'],
  ['413', answers(413, { code: 3, message: 'too large' }), 'refused', 'refused refused'],
  ['422', answers(422), 'refused', 'refused refused'],
  ['409', answers(409, { message: 'conflict' }), 'refused', 'pending refused'],
  ['401', answers(401), 'refused', 'pending refused'],
  ['403 of a proxy', answers(403, '<html>blocked</html>'), 'refused', 'pending refused'],
  ['404 of a proxy', answers(404, '<html>not found</html>'), 'refused', 'pending refused'],
  ['405 of a proxy', answers(405, '<html>not allowed</html>'), 'refused', 'pending refused'],
  ['another page', answers(200, '<html>welcome</html>'), 'bad-reply', 'pending bad-reply'],
  ['results that are too few', answers(200, { results: [] }), 'bad-reply', 'pending bad-reply'],
  ['nothing', answers(200, ''), 'bad-reply', 'pending bad-reply'],
  ['a reply without end', (_request, reply) => void reply.end('x'.repeat(3_000_000)), 'bad-reply', 'pending bad-reply'],
];

/** The answers that say "not now": the entry at fault is logged too, once nothing is wrong with it any more. */
const NOT_NOW: [string, Fault][] = [
  ['429', answers(429, { code: 8, message: 'slower' })],
  ['503', answers(503, { code: 14, message: 'wait' })],
  ['500', answers(500)],
  ['a connection cut before', away],
  ['a connection cut in mid-reply', cutReply],
];

let dir: string;
let remove: () => Promise<void>;
let log: FaultyLog;
const start = async (options: TestOptions = {}) => {
  log = await faultyLog(options);
};
beforeEach(async () => {
  ({ path: dir, remove } = await tempDir());
});
afterEach(async () => {
  await log.close();
  await remove();
});

describe('one entry at fault among 300', () => {
  const submissions = Array.from({ length: 300 }, (_, at) => signed(`${at}`));
  const bad = Buffer.from(submissions[3]!.signed.digest).toString('base64');

  it.each([
    ['400', answers(400), 30],
    ['413', answers(413), 30],
    ['another page', answers(200, '<html>welcome</html>'), 30],
    ['503', answers(503), 80],
  ])('%s costs few calls', async (_what, fault, most) => {
    await start();
    log.otherwise = async (request, reply, through, seen) => {
      // A fault that may pass is over once all others are logged.
      if (seen.body.includes(bad) && log.log.publishedSize < 299) return await fault(request, reply, through, seen);
      const { status, headers, body } = await through();
      reply.writeHead(status, headers).end(body);
    };
    const results = await callers['LogClient (submit)']!(log, submissions, dir);
    expect(results.filter((result) => result === 'logged').length).toBeGreaterThan(298);
    expect(log.posts().length).toBeLessThan(most);
  });
});

describe.each(Object.entries(callers))('%s, where one entry of six is answered with', (name, call) => {
  const inQueue = name.startsWith('flushQueue');
  const holds = (body: string, one: Submission) => body.includes(Buffer.from(one.signed.digest).toString('base64'));

  /** Six entries, of which the one at `bad` is at fault: while `faulty`, calls that hold it get `fault` as their answer. */
  interface Six {
    readonly bad: number;
    readonly submissions: Submission[];
    fault: Fault | undefined;
    faulty(): boolean;
  }

  /**
   * Checks six entries that the log has not seen for each position of this caller. All positions run at the same time.
   *
   * @param answer number of the answer
   * @returns the number of positions
   */
  async function eachPosition(answer: number, check: (six: Six) => Promise<void>): Promise<number> {
    const turn = Object.keys(callers).indexOf(name) + answer;
    const positions = POSITIONS.filter((at) => LONG || (at + turn) % 3 === 0);
    const sixes = positions.map((bad): Six => {
      const submissions = POSITIONS.map((at) => signed(`${bad} ${at}`));
      return { bad, submissions, fault: undefined, faulty: () => true };
    });
    log.otherwise = async (request, reply, through, seen) => {
      const six = sixes.find(({ bad, submissions }) => holds(seen.body, submissions[bad]!));
      if (six?.fault !== undefined && six.faulty()) return await six.fault(request, reply, through, seen);
      const { status, headers, body } = await through();
      reply.writeHead(status, headers).end(body);
    };
    await Promise.all(sixes.map(check));
    return positions.length;
  }

  it.each(FOR_GOOD.map((one, number) => [...one, number] as const))(
    '%s, logs the other five',
    async (_what, fault, alone, queued, number) => {
      await start();
      const checked = await eachPosition(number, async (six) => {
        const { bad, submissions } = six;
        six.fault = fault;
        const expected = POSITIONS.map((at) => (at !== bad ? 'logged' : inQueue ? queued : alone));
        expect(await call(log, submissions, join(dir, `${bad}`))).toEqual(expected);
      });
      expect(log.log.publishedSize).toBe(5 * checked);
    },
  );

  it.each(NOT_NOW.map((one, number) => [...one, number] as const))(
    '%s, logs the other five before it, and all six once',
    async (_what, fault, number) => {
      await start();
      const checked = await eachPosition(number, async (six) => {
        const { bad, submissions } = six;
        const others = submissions.filter((_, at) => at !== bad);
        // Whether another entry was sent without the one at fault. The log may also have taken it with all the others,
        // where the reply was cut.
        const passed = (one: Submission) =>
          log.seen.some(({ body }) => holds(body, one) && !holds(body, submissions[bad]!));
        six.fault = fault;
        six.faulty = () => !others.every(passed);
        expect(await call(log, submissions, join(dir, `${bad}`))).toEqual(POSITIONS.map(() => 'logged'));
        expect(others.every(passed)).toBe(true);
      });
      expect(log.log.publishedSize).toBe(6 * checked);
    },
  );

  it('413 by a real log, which takes no call of two and one entry not at all, logs the other five', async () => {
    await start({ limits: { bodyBytes: 600 } });
    const checked = await eachPosition(0, async ({ bad, submissions }) => {
      submissions[bad] = signed(`${bad} ${bad}`, certificateVerifier(signer.certificate()));
      const expected = POSITIONS.map((at) => (at !== bad ? 'logged' : inQueue ? 'refused refused' : 'refused'));
      expect(await call(log, submissions, join(dir, `${bad}`))).toEqual(expected);
    });
    expect(log.log.publishedSize).toBe(5 * checked);
  });

  it('409 by a real log that has the entry already, logs the other five and finds that one', async () => {
    await start({ duplicates: 'conflict' });
    const checked = await eachPosition(1, async ({ bad, submissions }) => {
      await callers['LogClient (submit)']!(log, [submissions[bad]!], dir);
      expect(await call(log, submissions, join(dir, `${bad}`))).toEqual(POSITIONS.map(() => 'logged'));
    });
    expect(log.log.publishedSize).toBe(6 * checked);
  });
});
