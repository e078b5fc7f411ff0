import { describe, expect, it } from 'vitest';
import { formatBundle, MAX_BUNDLE } from '../../../client/formats/bundle.ts';
import { parseBundles } from '../../../client/formats/bundle-list.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { attestation, messageBundle, testKey, text } from '../verify/verify-parts.ts';

const key = testKey();
const log = FakeLog.empty();
const first = messageBundle(text('a'), key, log);
const second = attestation(text('b'), key, log);
const jsonOf = (bundle: typeof first) => JSON.parse(Buffer.from(formatBundle(bundle)).toString());
const line = (value: unknown) => `${JSON.stringify(value)}\n`;
/** The bytes of a line, without its end. */
const bytesOf = (value: unknown) => Buffer.from(JSON.stringify(value));
const parse = (file: string | Uint8Array) => parseBundles(Buffer.from(file as string));
const malformed = (why: string) =>
  expect.objectContaining({ code: 'malformed', message: expect.stringContaining(why) });
const refused = (code: string) => expect.objectContaining({ code });

describe('the bundles of a file', () => {
  it('are one, or one a line, or one an item of a registry', () => {
    expect(parse(formatBundle(first))).toEqual([{ bundle: first }]);
    expect(parse(`${line(jsonOf(first))}\n${line(jsonOf(second))}`)).toEqual([
      { place: { line: 1 }, bundle: first, bytes: bytesOf(jsonOf(first)) },
      { place: { line: 3 }, bundle: second, bytes: bytesOf(jsonOf(second)) },
    ]);
    const npm = [first, second].map((bundle) => ({ predicateType: 'urn:x', bundle: jsonOf(bundle) }));
    expect(parse(JSON.stringify({ attestations: npm }, undefined, 2))).toEqual([
      { place: { index: 0 }, bundle: first },
      { place: { index: 1 }, bundle: second },
    ]);
    const github = { bundle: jsonOf(first), repository_id: 1, bundle_url: 'https://example.com', initiator: 'user' };
    expect(parse(JSON.stringify({ attestations: [github] }))).toEqual([{ place: { index: 0 }, bundle: first }]);
  });

  it('are read one by one: a bad one has its error, and the others are read', () => {
    const unknown = { ...jsonOf(first), mediaType: 'application/vnd.dev.sigstore.bundle.v9+json' };
    const bad = { ...jsonOf(first), more: 1 };
    expect(parse([jsonOf(first), unknown, bad].map(line).join('') + 'not JSON\n')).toEqual([
      { place: { line: 1 }, bundle: first, bytes: bytesOf(jsonOf(first)) },
      { place: { line: 2 }, error: refused('unsupported'), bytes: bytesOf(unknown) },
      { place: { line: 3 }, error: malformed('unknown field "more"'), bytes: bytesOf(bad) },
      { place: { line: 4 }, error: malformed('is not JSON'), bytes: Buffer.from('not JSON') },
    ]);
    const items = [
      { bundle: jsonOf(first) },
      {},
      { bundle: null, bundle_url: 'https://example.com' },
      'x',
      null,
      [],
      { bundle: [] },
    ];
    expect(parse(JSON.stringify({ attestations: items }))).toEqual([
      { place: { index: 0 }, bundle: first },
      { place: { index: 1 }, error: malformed('attestations[1].bundle is missing') },
      { place: { index: 2 }, error: malformed('attestations[2].bundle is missing') },
      { place: { index: 3 }, error: malformed('attestations[3] is not an object') },
      { place: { index: 4 }, error: malformed('attestations[4] is not an object') },
      { place: { index: 5 }, error: malformed('attestations[5] is not an object') },
      { place: { index: 6 }, error: malformed('is a list') },
    ]);
  });

  it('of one bundle that is bad are refused as that bundle is', () => {
    expect(() => parse(line({ ...jsonOf(first), more: 1 }))).toThrow(malformed('unknown field "more"'));
    expect(() => parse('')).toThrow(malformed('is empty'));
    expect(() => parse('{')).toThrow(malformed('is not JSON'));
    // Strict JSON holds for the answer of a registry as well.
    expect(() => parse('{"attestations":[],"attestations":[]}')).toThrow(malformed('twice'));
    expect(() => parse(JSON.stringify({ attestations: [] }))).toThrow(malformed('attestations is empty'));
    expect(() => parse(JSON.stringify({ attestations: {} }))).toThrow(malformed('attestations is not a list'));
  });

  it('are at most 256, and of a bounded length together', () => {
    expect(parse(line({}).repeat(256))).toHaveLength(256);
    expect(() => parse(line({}).repeat(257))).toThrow(malformed('has more than 256 lines'));
    const items = (count: number) => JSON.stringify({ attestations: Array(count).fill({}) });
    expect(parse(items(256))).toHaveLength(256);
    expect(() => parse(items(257))).toThrow(malformed('attestations has more than 256 items'));
    const long = Buffer.alloc(MAX_BUNDLE + 1, ' ');
    long.write(`${line(jsonOf(first))}${line(jsonOf(second))}`, 1);
    expect(() => parse(long)).toThrow(malformed(`is longer than ${MAX_BUNDLE} bytes`));
    expect(parse(long.subarray(1))).toHaveLength(2);
  });
});
