import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { KEY_TYPE, makeVerifierKey } from '../../merkle/note.ts';
import { formatVerifierKey } from '../../merkle/verifier-key.ts';
import { MAX_LOG_LIST, parseLogList } from '../../witness/log-list.ts';
import { TestLog } from './helpers.ts';

const one = new TestLog('one.test');
const two = new TestLog('two.test/log');
const SUM = 'sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8';
const parse = (text: string) => parseLogList(Buffer.from(text));
const entry = (vkey: string, more: { origin?: string; qpd?: string; contact?: string } = {}) =>
  [
    `vkey ${vkey}`,
    ...(more.origin === undefined ? [] : [`origin ${more.origin}`]),
    `qpd ${more.qpd ?? '24'}`,
    `contact ${more.contact ?? 'me@example.com'}`,
    '',
  ].join('\n');

describe('a list of the witness network', () => {
  it('gives key, origin, queries a day and contact', () => {
    const list = `# List: 10qps\n\n\t logs/v0 \r\n\n# first\nvkey ${one.vkey} \n  qpd 86400\ncontact https://one.test/#about\n\nvkey ${SUM}\n# between\norigin go.sum database tree\nqpd 1\ncontact go (at) golang.org | x`;
    expect(parse(list).map(({ key: _, ...rest }) => rest)).toEqual([
      { vkey: one.vkey, origin: 'one.test', qpd: 86400, contact: 'https://one.test/#about', line: 6 },
      { vkey: SUM, origin: 'go.sum database tree', qpd: 1, contact: 'go (at) golang.org | x', line: 10 },
    ]);
  });

  it('may have no log, and may have a log twice', () => {
    expect(parse('logs/v0')).toEqual([]);
    expect(parse('  # Comment\n\t# Indented\nlogs/v0\n')).toEqual([]);
    expect(parse(`logs/v0\n${entry(one.vkey)}${entry(two.vkey)}${entry(one.vkey, { qpd: '7' })}`)).toMatchObject([
      { origin: 'one.test', qpd: 24 },
      { origin: 'two.test/log' },
    ]);
    expect(parse(`logs/v0\n${entry(one.vkey, { qpd: '2147483647' })}`)).toMatchObject([{ qpd: 2147483647 }]);
  });

  const other = new TestLog('one.test');
  const typed = (type: 4 | 6) => formatVerifierKey(makeVerifierKey('x', type, new Uint8Array(type === 4 ? 32 : 1312)));
  it.each<[string, string, RegExp]>([
    ['nothing', '', /first line is not "logs\/v0"/],
    ['another version', `logs/v1\n${entry(one.vkey)}`, /^line 1 is wrong: the first line/],
    ['no header', entry(one.vkey), /^line 1 is wrong: the first line/],
    ['a second header', `logs/v0\nlogs/v0\n`, /^line 2 .* "vkey"/],
    ['an origin before the key', `logs/v0\norigin x\n${entry(one.vkey)}`, /^line 2 .* "vkey"/],
    ['a key without a value', `logs/v0\nvkey\nqpd 1\ncontact x\n`, /^line 2 .* "vkey" and a value/],
    ['two spaces', `logs/v0\nvkey  ${one.vkey}\nqpd 1\ncontact x\n`, /^line 2 is wrong/],
    ['bananas after the key', `logs/v0\n${entry(`${one.vkey} and bananas`)}`, /^line 2 is wrong/],
    ['no key', `logs/v0\n\n${entry('bananas')}`, /^line 3 is wrong: .*verifier key/],
    ['a witness’s key', `logs/v0\n${entry(typed(KEY_TYPE.cosignature))}`, /^line 2 .* type 4/],
    ['an ML-DSA key', `logs/v0\n${entry(typed(KEY_TYPE.mldsa44))}`, /^line 2 .* type 6/],
    ['an empty origin', `logs/v0\nvkey ${one.vkey}\norigin\nqpd 1\ncontact x\n`, /^line 3 .* "origin" and a value/],
    ['a control character', `logs/v0\n#\n${entry(one.vkey, { origin: 'a\x07b' })}`, /^line 4 .* control/],
    ['the old form', `logs/v0\nvkey ${one.vkey}\nbastion none\nqpd 1\ncontact x\n`, /^line 3 .* "qpd"/],
    ['the other order', `logs/v0\nvkey ${one.vkey}\nqpd 1\norigin x\ncontact x\n`, /^line 4 .* "contact"/],
    ['no contact', `logs/v0\nvkey ${one.vkey}\nqpd 1\ncontact\n`, /^line 4 .* "contact"/],
    [
      'an end before the contact',
      `logs/v0\n${entry(one.vkey)}vkey ${two.vkey}\nqpd 1\n`,
      /ends before the line "contact"/,
    ],
    ['an end before qpd', `logs/v0\nvkey ${two.vkey}\n`, /ends before the line "qpd"/],
    [
      'one origin with two keys',
      `logs/v0\n${entry(one.vkey)}${entry(other.vkey)}`,
      /^line 5 .* line 2 gives "one.test"/,
    ],
    [
      'one key with two origins',
      `logs/v0\n${entry(SUM)}${entry(SUM, { origin: 'x' })}`,
      /^line 5 .* line 2 has the same key/,
    ],
    ...['0', '-1', '01', '1.5', 'pineapple', '2147483648', '86400 432534', '٣', '1e3'].map(
      (qpd): [string, string, RegExp] => [
        `qpd ${qpd}`,
        `logs/v0\n${entry(one.vkey, { qpd })}`,
        /^line 3 .* qpd must be/,
      ],
    ),
  ])('is refused for %s, with its line', (_, text, message) => {
    expect(() => parse(text)).toThrow(
      expect.objectContaining({ code: 'list', message: expect.stringMatching(message) }),
    );
  });

  it('is refused over 1 MiB and for bytes that are no text', () => {
    const list = `logs/v0\n${entry(one.vkey)}`;
    const filled = `${list}${'#'.repeat(MAX_LOG_LIST - list.length)}`;
    expect(parse(filled)).toHaveLength(1);
    expect(() => parse(`${filled}#`)).toThrow(/longer than 1048576 bytes/);
    expect(() => parseLogList(Buffer.from([...Buffer.from(list), 0xff]))).toThrow(/not UTF-8/);
  });
});

it('is what docs/witness.md shows', () => {
  const docs = readFileSync(new URL('../../docs/witness.md', import.meta.url), 'utf8');
  const [, shown] = /```\n(logs\/v0\n[^`]*)```/.exec(docs)!;
  expect(parse(shown!)).toMatchObject([{ origin: 'go.sum database tree', qpd: 86400 }]);
});
