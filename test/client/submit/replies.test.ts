/** Answers of a log that takes entries of callers alone that it knows. */
import { describe, expect, it } from 'vitest';
import { readBulk, readSingle } from '../../../client/submit/replies.ts';

const reply = (status: number, body: object) => ({
  status,
  headers: new Headers(),
  body: new TextEncoder().encode(JSON.stringify(body)),
});
const error = (code: number, message: string) => ({ code, message, details: [], error: 'x' });

describe('a log that refuses the caller', () => {
  it.each([
    [401, 16, 'this call needs an X.509-SVID', 'show a client certificate or a token'],
    [403, 7, 'rule "docs": no', 'ask its operator, or write as another caller'],
  ])('with %i is told with its reason and what to do', (status, code, message, advice) => {
    const single = readSingle(reply(status, error(code, message)));
    expect(single).toMatchObject({ kind: 'failed', error: { code: 'refused' } });
    const [item] = readBulk(reply(200, { results: [{ error: error(code, message) }] }), 1)!;
    expect(item).toMatchObject({ kind: 'failed', error: { code: 'refused' } });
    for (const answer of [single, item!]) {
      if (answer.kind !== 'failed') throw new Error(answer.kind);
      expect(answer.error.message).toContain(message);
      expect(answer.error.message).toContain(advice);
    }
  });

  it('for its rate is asked again later', () => {
    expect(readSingle(reply(429, error(8, 'writes too much')))).toMatchObject({ kind: 'later' });
    expect(readBulk(reply(200, { results: [{ error: error(8, 'writes too much') }] }), 1)).toMatchObject([
      { kind: 'later' },
    ]);
  });

  it('is no refusal of an entry for good', () => {
    expect(readSingle(reply(400, error(3, 'malformed')))).toMatchObject({ kind: 'refused' });
  });
});
