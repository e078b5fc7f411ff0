/** The table of errors: what the wire promises of it, and that the documentation has each of its rows. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { REQUEST_ERRORS, type RequestErrorRow, requestError } from '../../server/errors.ts';

const rows = Object.entries<RequestErrorRow>(REQUEST_ERRORS);

describe('the table of errors', () => {
  it.each([
    ['pushback', 503, 14, true, 'reached max pushback; retry', requestError('pushback')],
    [
      'not-published',
      503,
      14,
      true,
      'sequenced at index 7, not yet published; retry',
      requestError('not-published', 7),
    ],
    [
      'duplicate',
      409,
      6,
      undefined,
      'an equivalent entry already exists in the transparency log with index 7',
      requestError('duplicate', 7),
    ],
    [
      'frozen',
      405,
      9,
      undefined,
      'This log has been frozen, please switch to the latest log.\n',
      requestError('frozen'),
    ],
    ['not-found', 404, 5, undefined, 'not found', requestError('not-found')],
  ] as const)('keeps what clients of Rekor v2 read: %s', (code, status, grpc, retry, message, error) => {
    expect({ retry: undefined, ...REQUEST_ERRORS[code] }).toMatchObject({ status, grpc, retry });
    expect(error).toMatchObject({ code, message });
  });

  it('gives the index of an entry as data, where an error is about one', () => {
    expect(requestError('not-published', 0).data).toEqual({ index: 0 });
    expect(requestError('read-failed', 3).data).toEqual({ index: 3 });
    expect(requestError('read-failed').data).toEqual({});
    expect(requestError('too-large', 100).data).toEqual({});
  });

  it('says each thing once', () => {
    const texts = rows.flatMap(([, { message }]) => (typeof message === 'string' ? [message] : []));
    expect(new Set(texts).size).toBe(texts.length);
  });

  it('asks for another try of what is unavailable, and only of that', () => {
    for (const [code, { status, retry }] of rows) {
      expect(retry === true, code).toBe(status === 503 || status === 429);
    }
  });

  it('stands in docs/wire.md', () => {
    const docs = readFileSync(join(import.meta.dirname, '../../docs/wire.md'), 'utf8');
    const documented = [...docs.matchAll(/^\| ([0-9, ]+) \|([0-9, ]*)\|/gm)].flatMap(([, statuses, codes]) => {
      const grpc = codes!.trim().split(', ');
      return statuses!.split(', ').map((status, i) => `${status} ${grpc[i] ?? ''}`.trim());
    });
    for (const [code, { status, grpc }] of rows) {
      expect(documented, code).toContain(code === 'frozen' ? `${status}` : `${status} ${grpc}`);
    }
  });
});
