import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { REQUEST_ERRORS } from '../../../server/errors.ts';
import type { Encoding, IngestedBody } from '../../../server/types.ts';
import {
  ALL_KEY_KINDS,
  dsseRequest,
  hashedRekordRequest,
  jsonValue,
  sharedSigner,
  toJson,
  toJsonBatch,
  toProtobuf,
  toProtobufBatch,
} from '../../support/requests.ts';
import { ingestHere } from './support.ts';

const ENCODINGS: readonly Encoding[] = ['json', 'protobuf', 'json-batch', 'protobuf-batch'];
const requests = ALL_KEY_KINDS.flatMap((kind) => [
  hashedRekordRequest(sharedSigner(kind), Buffer.from('a'), 'publicKey'),
  hashedRekordRequest(sharedSigner(kind), Buffer.from('a'), 'x509Certificate'),
  dsseRequest(sharedSigner(kind), Buffer.from('a')),
]);
const seeds = {
  json: requests.map(toJson),
  protobuf: requests.map(toProtobuf),
  'json-batch': [toJsonBatch(requests.slice(0, 4))],
  'protobuf-batch': [toProtobufBatch(requests.slice(0, 4))],
};

/** An answer, and one that a client may be blamed for: never a throw, never `internal`. */
function check(answer: IngestedBody): void {
  const items = 'items' in answer ? answer.items : [answer];
  for (const item of items) {
    if ('refusal' in item) {
      const { code, reason, message } = item.refusal;
      expect(REQUEST_ERRORS[code].status, message).toBeLessThan(500);
      expect(reason).toMatch(/^[a-z0-9-]+$/);
      expect(message.length).toBeLessThan(400);
    } else {
      expect('entries' in item && item.entries.length).toBeGreaterThan(0);
    }
  }
}

interface Edit {
  readonly at: number;
  readonly remove: number;
  readonly insert: Uint8Array;
}

function mutate(bytes: Uint8Array, edits: readonly Edit[]): Buffer {
  let out = Buffer.from(bytes);
  for (const { at, remove, insert } of edits) {
    const start = at % (out.length + 1);
    out = Buffer.concat([out.subarray(0, start), insert, out.subarray(start + remove)]);
  }
  return out;
}

const TOKENS = [
  '{',
  '}',
  '[',
  ']',
  '"',
  ',',
  ':',
  '\\',
  'null',
  '\\u0000',
  '=',
  '"digest":',
  '"__proto__":',
  '1e999',
  '\xff',
];
const insertion = fc.oneof(
  fc.uint8Array({ maxLength: 4 }),
  fc.constantFrom(...TOKENS).map((token) => new Uint8Array(Buffer.from(token, 'latin1'))),
);
const edit = fc.record({ at: fc.nat(100_000), remove: fc.nat(8), insert: insertion });

describe('whatever the body', () => {
  it.each(ENCODINGS)('%s: 2,000 mutated bodies get an answer', (encoding) => {
    fc.assert(
      fc.property(fc.constantFrom(...seeds[encoding]), fc.array(edit, { minLength: 1, maxLength: 3 }), (seed, edits) =>
        check(ingestHere(mutate(seed, edits), encoding)),
      ),
      { numRuns: 2_000 },
    );
  });

  it('2,000 random bodies in any encoding get an answer', () => {
    fc.assert(
      fc.property(fc.constantFrom(...ENCODINGS), fc.uint8Array({ maxLength: 200 }), (encoding, bytes) =>
        check(ingestHere(bytes, encoding)),
      ),
      { numRuns: 2_000 },
    );
  });

  it('1,000 requests with any JSON in a field get an answer', () => {
    const paths = [
      ['hashedRekordRequestV002'],
      ['hashedRekordRequestV002', 'digest'],
      ['hashedRekordRequestV002', 'signature'],
      ['hashedRekordRequestV002', 'signature', 'content'],
      ['hashedRekordRequestV002', 'signature', 'verifier'],
      ['hashedRekordRequestV002', 'signature', 'verifier', 'publicKey'],
      ['hashedRekordRequestV002', 'signature', 'verifier', 'publicKey', 'rawBytes'],
      ['hashedRekordRequestV002', 'signature', 'verifier', 'keyDetails'],
    ];
    const value = fc.oneof(
      fc.jsonValue(),
      fc.integer(),
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes).toString('base64')),
    );
    fc.assert(
      fc.property(fc.constantFrom(...paths), value, (path, field) => {
        const body = jsonValue(requests[0]) as Record<string, unknown>;
        let at = body;
        for (const name of path.slice(0, -1)) {
          at = at[name] as Record<string, unknown>;
        }
        at[path.at(-1)!] = field;
        check(ingestHere(JSON.stringify(body)));
      }),
      { numRuns: 1_000 },
    );
  });
});
