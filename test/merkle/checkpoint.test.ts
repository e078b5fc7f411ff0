import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeBase64, encodeBase64 } from '../../merkle/bytes.ts';
import { type Checkpoint, formatCheckpoint, parseCheckpoint } from '../../merkle/checkpoint.ts';
import { parseNote } from '../../merkle/note.ts';
import { codeOf } from './helpers.ts';

// The example of c2sp.org/tlog-checkpoint.
const ROOT = 'CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=';
const TEXT = `example.com/behind-the-sofa\n20852163\n${ROOT}\n`;
const LINE =
  '— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n';

const root = decodeBase64(ROOT);
const good: Checkpoint = { origin: 'example.com/behind-the-sofa', size: 20_852_163, root, extensions: [] };

describe('checkpoint', () => {
  it('is read from the published example', () => {
    expect(parseCheckpoint(parseNote(`${TEXT}\n${LINE}`).text)).toEqual(good);
    expect(formatCheckpoint(good)).toBe(TEXT);
  });

  it('comes back as it went', () => {
    const line = fc
      .string({ unit: 'binary', minLength: 1, maxLength: 20 })
      .filter((text) => [...text].every((char) => char >= ' '));
    fc.assert(
      fc.property(
        line,
        fc.maxSafeNat(),
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.array(line, { maxLength: 3 }),
        (origin, size, root, extensions) => {
          const text = formatCheckpoint({ origin, size, root, extensions });
          expect(parseCheckpoint(text)).toEqual({ origin, size, root, extensions });
        },
      ),
    );
  });

  it.each([
    ['nothing', ''],
    ['only a newline', '\n'],
    ['two lines', `example.com/log\n1\n`],
    ['no last newline', TEXT.slice(0, -1)],
    ['no origin', `\n1\n${ROOT}\n`],
    ['an empty extension line', `${TEXT}\n`],
    ['an empty line between extensions', `${TEXT}a\n\nb\n`],
    ['a leading zero', TEXT.replace('20852163', '020852163')],
    ['a sign', TEXT.replace('20852163', '+20852163')],
    ['a space', TEXT.replace('20852163', '20852163 ')],
    ['hex', TEXT.replace('20852163', '0x10')],
    ['no size', TEXT.replace('20852163', '')],
    ['a size of 2^53', TEXT.replace('20852163', '9007199254740992')],
    ['a size of 2^64', TEXT.replace('20852163', '18446744073709551616')],
    ['a root of 31 bytes', TEXT.replace(ROOT, encodeBase64(root.subarray(1)))],
    ['a root without padding', TEXT.replace('=', '')],
    ['a root with bits left over', TEXT.replace('2I=', '2J=')],
    ['carriage returns', TEXT.replaceAll('\n', '\r\n')],
    ['half a surrogate pair', `\ud83d${TEXT}`],
    ['more than 1 MiB', `${TEXT}${'a'.repeat(1_048_576)}\n`],
  ])('is refused: %s', (_, text) => expect(codeOf(() => parseCheckpoint(text))).toBe('bad-checkpoint'));

  it('is refused to write where it could not be read', () => {
    const wrong: Partial<Checkpoint>[] = [
      { origin: '' },
      { origin: 'a\nb' },
      { origin: `a\n1\n${ROOT}` },
      { origin: 'a\tb' },
      { size: -1 },
      { size: 1.5 },
      { size: 2 ** 53 },
      { size: 1e21 },
      { root: new Uint8Array(31) },
      { extensions: [''] },
      { extensions: ['a\nb'] },
      { extensions: ['a\n'] },
    ];
    for (const fields of wrong) expect(codeOf(() => formatCheckpoint({ ...good, ...fields }))).toBe('bad-checkpoint');
  });

  it('never fails otherwise, and what is read is written again', () => {
    const text = `${TEXT}extension\n`;
    fc.assert(
      fc.property(fc.nat(text.length), fc.nat(2), fc.string({ unit: 'binary', maxLength: 2 }), (at, cut, put) => {
        const mutated = text.slice(0, at) + put + text.slice(at + cut);
        const code = codeOf(() => expect(formatCheckpoint(parseCheckpoint(mutated))).toBe(mutated));
        expect([undefined, 'bad-checkpoint']).toContain(code);
      }),
      { numRuns: 3000 },
    );
  });
});
