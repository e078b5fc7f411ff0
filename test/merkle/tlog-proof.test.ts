import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeBase64, encodeUtf8 } from '../../merkle/bytes.ts';
import { formatCheckpoint } from '../../merkle/checkpoint.ts';
import { formatNote } from '../../merkle/note.ts';
import { formatTlogProof, MAX_TLOG_PROOF, parseTlogProof } from '../../merkle/tlog-proof.ts';

const note = formatNote(
  formatCheckpoint({ origin: 'example.com/log', size: 109482, root: new Uint8Array(32).fill(7), extensions: ['more'] }),
  [{ name: 'example.com/log', keyId: new Uint8Array([1, 2, 3, 4]), signature: new Uint8Array([5]) }],
);
const hash = encodeBase64(new Uint8Array(32).fill(1));
const good = ['c2sp.org/tlog-proof@v1', 'extra aGVsbG8=', 'index 73894', hash, hash, '', note].join('\n');
const parse = (text: string) => parseTlogProof(encodeUtf8(text));

describe('tlog-proof', () => {
  it('reads the form of the specification', () => {
    const proof = parse(good);
    expect(proof.extra).toEqual(encodeUtf8('hello'));
    expect(proof.index).toBe(73894);
    expect(proof.hashes).toHaveLength(2);
    expect(proof.checkpoint).toBe(note);
  });

  it('reads one without extra data and without hashes', () => {
    expect(parse(`c2sp.org/tlog-proof@v1\nindex 0\n\n${note}`)).toEqual({
      extra: undefined,
      index: 0,
      hashes: [],
      checkpoint: note,
    });
  });

  it('gives the same bytes again, whatever it holds', () => {
    const bytes = (min: number, max: number) => fc.uint8Array({ minLength: min, maxLength: max });
    const proofs = fc.record({
      extra: fc.option(bytes(1, 200), { nil: undefined }),
      index: fc.maxSafeNat(),
      hashes: fc.array(bytes(32, 32), { maxLength: 63 }),
      checkpoint: fc.constant(note),
    });
    fc.assert(
      fc.property(proofs, (proof) => {
        expect(parseTlogProof(formatTlogProof(proof))).toEqual(proof);
      }),
    );
  });

  it('takes no other text for one it would write: every byte changed or dropped', () => {
    const bytes = encodeUtf8(good);
    for (let at = 0; at < bytes.length; at++) {
      for (const other of [
        Uint8Array.from([...bytes.slice(0, at), ...bytes.slice(at + 1)]),
        bytes.map((byte, i) => (i === at ? byte ^ 1 : byte)),
      ]) {
        let proof: ReturnType<typeof parseTlogProof>;
        try {
          proof = parseTlogProof(other);
        } catch (error) {
          expect(error).toMatchObject({ name: 'MerkleError' });
          continue;
        }
        expect(formatTlogProof(proof)).toEqual(other);
      }
    }
  });

  it.each([
    ['another version', good.replace('@v1', '@v2')],
    ['a carriage return', good.replace('\n', '\r\n')],
    ['an empty extra line', good.replace('aGVsbG8=', '')],
    ['unpadded extra data', good.replace('aGVsbG8=', 'aGVsbG8')],
    ['extra data twice', good.replace('index', 'extra aGVsbG8=\nindex')],
    ['extra data after the index', good.replace('extra aGVsbG8=\nindex 73894', 'index 73894\nextra aGVsbG8=')],
    ['no index', good.replace('index 73894\n', '')],
    ['two indexes', good.replace('index 73894\n', 'index 73894\nindex 73894\n')],
    ['a leading zero', good.replace('73894', '073894')],
    ['a sign', good.replace('73894', '-1')],
    ['an index past 2^53', good.replace('73894', '9007199254740992')],
    ['a short hash', good.replace(hash, hash.slice(0, 40))],
    ['a long hash', good.replace(hash, encodeBase64(new Uint8Array(33)))],
    ['64 hashes', good.replace(`${hash}\n${hash}`, Array(64).fill(hash).join('\n'))],
    ['no empty line', good.replace('\n\nexample', '\nexample')],
    ['nothing after the hashes', good.slice(0, good.indexOf('\n\n'))],
    ['a hash line without its newline', `c2sp.org/tlog-proof@v1\nindex 0\n${hash}`],
    ['nothing', ''],
  ])('refuses %s', (_, text) => {
    expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'bad-tlog-proof' }));
  });

  it('refuses a checkpoint that is none', () => {
    const head = 'c2sp.org/tlog-proof@v1\nindex 0\n\n';
    expect(() => parse(head)).toThrow(expect.objectContaining({ code: 'bad-note' }));
    expect(() => parse(`${head}\n${note}`)).toThrow(expect.objectContaining({ code: 'bad-checkpoint' }));
    expect(() => parse(head + note.replace('109482', 'x'))).toThrow(
      expect.objectContaining({ code: 'bad-checkpoint' }),
    );
  });

  it('refuses bytes that are no UTF-8, and too many', () => {
    const refused = expect.objectContaining({ code: 'bad-tlog-proof' });
    expect(() => parseTlogProof(Uint8Array.of(0xff))).toThrow(refused);
    expect(() => parseTlogProof(new Uint8Array(MAX_TLOG_PROOF + 1))).toThrow(refused);
  });

  it('writes nothing that it would not read', () => {
    const proof = parse(good);
    const refused = expect.objectContaining({ name: 'MerkleError' });
    expect(() => formatTlogProof({ ...proof, index: -1 })).toThrow(refused);
    expect(() => formatTlogProof({ ...proof, extra: new Uint8Array() })).toThrow(refused);
    expect(() => formatTlogProof({ ...proof, hashes: [new Uint8Array(31)] })).toThrow(refused);
    expect(() => formatTlogProof({ ...proof, hashes: Array(64).fill(new Uint8Array(32)) })).toThrow(refused);
    expect(() => formatTlogProof({ ...proof, checkpoint: 'x' })).toThrow(refused);
  });
});
