import { describe, expect, it } from 'vitest';
import { jsonDocuments } from '../../../client/formats/json-lines.ts';

const split = (text: string, most = 8) =>
  jsonDocuments(Buffer.from(text), 'the file', most).map(({ line, bytes }) => [line, Buffer.from(bytes).toString()]);

describe('the documents of a file', () => {
  it('splits lines that are documents of their own, and counts all lines', () => {
    expect(split('{"a":1}\n{"b":[2]}\n')).toEqual([
      [1, '{"a":1}'],
      [2, '{"b":[2]}'],
    ]);
    expect(split('\n{"a":1} \r\n\n \t\n{"b":2}')).toEqual([
      [2, '{"a":1} \r'],
      [5, '{"b":2}'],
    ]);
  });

  it('leaves a document of many lines whole, also where its first line ends with a bracket', () => {
    for (const text of [
      '{"a":1}',
      '{"a":1}\n',
      '{\n  "a": 1\n}\n',
      '{"a":{}\n,"b":1}\n',
      '{"a":"}"\n,"b":1}',
      '{"a":"\\\\\\"}"\n}',
      '[{"a":1},\n{"b":2}]',
    ]) {
      const [only, ...more] = split(text);
      expect(more, text).toEqual([]);
      expect(JSON.parse(only![1] as string), text).toEqual(JSON.parse(text));
    }
  });

  it('knows brackets in strings from brackets around them', () => {
    expect(split('{"a":"{[\\"\\\\"}\n{"b":2}')).toHaveLength(2);
  });

  it('leaves what is no JSON to the parser, as a whole or as a line', () => {
    for (const text of ['', '\n\n', 'not JSON', 'not\nJSON', '{}}\n{}', '{"a":1} x {"b":2}\n{}', '{"a":"\n{}']) {
      expect(split(text), text).toEqual([[1, text]]);
    }
    expect(split('{}\nnot JSON\n{')).toEqual([
      [1, '{}'],
      [2, 'not JSON'],
      [3, '{'],
    ]);
  });

  it('splits documents of many lines that stand one after another', () => {
    expect(split('{\n"a":1\n}\n\n{\n"b":"}"\n}\n')).toEqual([
      [1, '{\n"a":1\n}'],
      [5, '{\n"b":"}"\n}'],
    ]);
    expect(split('\n{"a":[\n1]}{"b":2} {\n}')).toEqual([
      [2, '{"a":[\n1]}'],
      [3, '{"b":2}'],
      [3, '{\n}'],
    ]);
    expect(() => split('{\n}\n'.repeat(9))).toThrow('the file has more than 8 documents: no more are read');
    for (const text of ['{\n}\n{', '{\n} x {\n}', '{\n},\n{}', '{\n}}\n{}']) {
      expect(split(text), text).toEqual([[1, text]]);
    }
  });

  it('names its bound', () => {
    expect(split('{}\n'.repeat(8))).toHaveLength(8);
    expect(() => split('{}\n'.repeat(9))).toThrow('the file has more than 8 lines: no more are read');
    expect(split(`{${'\n'.repeat(100)}}`)).toHaveLength(1);
  });
});
