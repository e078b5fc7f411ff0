import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, encodeBase64, encodeHex, encodeUtf8 } from '../../merkle/bytes.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { MAX_POLICY_ITEMS, parsePolicy, quorumMet } from '../../merkle/policy.ts';
import { sha256 } from '../../merkle/rfc6962.ts';
import { codeOf } from './helpers.ts';

/** A verifier key whose public key is told by `seed` alone. */
function vkey(name: string, type: number, seed: number): string {
  const key = sha256(encodeUtf8(`key ${seed}`));
  const id = sha256(concat(encodeUtf8(name), Uint8Array.of(0x0a, type), key)).subarray(0, 4);
  return `${name}+${encodeHex(id)}+${encodeBase64(concat(Uint8Array.of(type), key))}`;
}

const LOG = vkey('log.example', 1, 0);
const W = [1, 2, 3, 4, 5, 6].map((seed) => vkey(`w${seed}.example`, 4, seed));

/** The message of the error, which names the line. */
function why(text: string | Uint8Array): string {
  try {
    parsePolicy(text);
  } catch (error) {
    expect(error).toBeInstanceOf(MerkleError);
    expect((error as MerkleError).code).toBe('bad-policy');
    return (error as MerkleError).message;
  }
  throw new Error('the policy was taken');
}

// The example of the specification.
const EXAMPLE = `log ${LOG}

witness X1 ${W[0]}
witness X2 ${W[1]}
witness X3 ${W[2]}
group X-witnesses 2 X1 X2 X3

witness Y1 ${W[3]}
witness Y2 ${W[4]}
witness Y3 ${W[5]}
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
`;

describe('policy', () => {
  it('is read from the example of the specification', () => {
    const policy = parsePolicy(EXAMPLE);
    expect(policy.logs.map(({ key }) => key.name)).toEqual(['log.example']);
    expect(policy.witnesses.map(({ name }) => name)).toEqual(['X1', 'X2', 'X3', 'Y1', 'Y2', 'Y3']);
    expect(policy.groups.map(({ threshold }) => threshold)).toEqual([2, 1, 2]);
    expect(parsePolicy(encodeUtf8(EXAMPLE))).toEqual(policy);
  });

  it.each([
    ['', false],
    ['X1 X2', false],
    ['Y1 Y2 Y3', false],
    ['X1 Y1', false],
    ['X1 X3 Y2', true],
    ['X1 X2 X3 Y1 Y2 Y3', true],
  ])('with cosignatures of "%s" is met: %s', (names, met) => {
    const cosigned = new Set(names.split(' '));
    expect(quorumMet(parsePolicy(EXAMPLE), ({ name }) => cosigned.has(name))).toBe(met);
  });

  it('needs no log, no witness and no cosignature', () => {
    const policy = parsePolicy('quorum none\n');
    expect(policy).toEqual({ logs: [], witnesses: [], groups: [], quorum: undefined });
    expect(quorumMet(policy, () => false)).toBe(true);
    const single = parsePolicy(`witness a ${W[0]}\nquorum a\n`);
    expect([quorumMet(single, () => false), quorumMet(single, () => true)]).toEqual([false, true]);
  });

  it('takes tabs, empty lines, comments, URLs, and definitions in any order', () => {
    const text = `\t # comment \u{1f512}\n \t\n  quorum\tnone \n witness  a\t${W[0]} https://w.example/ \nlog ${LOG} https://log.example\n`;
    const policy = parsePolicy(text);
    expect(policy.witnesses[0]).toMatchObject({ name: 'a', url: 'https://w.example/' });
    expect(policy.logs[0]).toMatchObject({ url: 'https://log.example' });
    expect('url' in parsePolicy(EXAMPLE).logs[0]!).toBe(false);
  });

  it('takes names as octets, also where they are not UTF-8', () => {
    const octets = concat(
      encodeUtf8(`witness K ${W[0]}\nwitness \u212a ${W[1]}\nwitness `),
      Uint8Array.of(0xff, 0x4b),
      encodeUtf8(` ${W[2]}\nwitness \u00a0 ${W[3]}\nquorum `),
      Uint8Array.of(0xff, 0x4b, 0x0a),
    );
    const policy = parsePolicy(octets);
    expect(policy.witnesses.map(({ name }) => name)).toEqual(['K', '\u212a', '\\xffK', '\u00a0']);
    expect(policy.quorum).toBe(policy.witnesses[2]);
    expect(why(concat(encodeUtf8('log '), Uint8Array.of(0xff), encodeUtf8(`${LOG}\nquorum none\n`)))).toMatch(
      /^line 1 /,
    );
  });

  it('takes a log key of any type, and the same key for a log and a witness', () => {
    const same = vkey('log.example', 4, 0);
    expect(parsePolicy(`log ${same}\nwitness a ${same}\nquorum a\n`).logs[0]!.key.type).toBe(4);
  });

  const three = `witness a ${W[0]}\nwitness b ${W[1]}\nwitness c ${W[2]}\n`;
  it.each([
    ['nothing', '', /no quorum line/],
    ['no quorum', three, /no quorum line/],
    ['two quorums', 'quorum none\nquorum none\n', /^line 2 .*quorum line above/],
    ['no last newline', 'quorum none\nlog', /^line 2 .*newline/],
    ['an unknown keyword', 'quorum none\nLog x\n', /^line 2 /],
    ['a comment after a rule', 'quorum none # why\n', /^line 1 /],
    ['a carriage return', 'quorum none\r\n', /^line 1 .*0x0d/],
    ['a DEL', 'quorum none\n# \x7f\n', /^line 2 .*0x7f/],
    ['a NUL', '#\0\nquorum none\n', /^line 1 .*0x00/],
    ['a vertical tab', 'quorum\x0bnone\n', /^line 1 .*0x0b/],
    ['a log without a key', 'log\nquorum none\n', /^line 1 /],
    ['a log with too many items', `log ${LOG} u more\nquorum none\n`, /^line 1 /],
    ['a log with a bad key', `log ${LOG}x\nquorum none\n`, /^line 1 .*verifier key/],
    ['a log twice', `log ${LOG}\nlog ${LOG}\nquorum none\n`, /^line 2 .*same public key/],
    ['a log twice, by another name', `log ${LOG}\nlog ${vkey('x', 1, 0)}\nquorum none\n`, /^line 2 .*same public key/],
    ['a witness without a key', 'witness a\nquorum none\n', /^line 1 /],
    ['a witness with a log key', `witness a ${vkey('w', 1, 9)}\nquorum a\n`, /^line 1 .*type 4 or 6/],
    ['a witness twice', `${three}witness d ${vkey('d', 4, 1)}\nquorum d\n`, /^line 4 .*same public key/],
    ['a witness named none', `witness none ${W[0]}\nquorum none\n`, /^line 1 .*predefined/],
    ['a group named none', `${three}group none any a\nquorum none\n`, /^line 4 .*predefined/],
    ['a name twice', `${three}witness a ${W[3]}\nquorum a\n`, /^line 4 .*already defined/],
    ['a group named as a witness', `${three}group a any b\nquorum a\n`, /^line 4 .*already defined/],
    ['a group with no member', `${three}group g any\nquorum g\n`, /^line 4 /],
    ['a group of none', `${three}group g any none\nquorum g\n`, /^line 4 .*member/],
    ['a group of itself', `${three}group g any g\nquorum g\n`, /^line 4 .*not defined/],
    ['a member defined below', `group g any a\n${three}quorum g\n`, /^line 1 .*not defined/],
    ['a member twice', `${three}group g any a a\nquorum g\n`, /^line 4 .*already a member/],
    ['a member of two groups', `${three}group g any a\ngroup h any a b\nquorum g\n`, /^line 5 .*already a member/],
    ['a threshold of 0', `${three}group g 0 a b\nquorum g\n`, /^line 4 .*threshold/],
    ['a threshold over all', `${three}group g 3 a b\nquorum g\n`, /^line 4 .*threshold/],
    ['a threshold with a zero', `${three}group g 01 a b\nquorum g\n`, /^line 4 .*threshold/],
    ['a threshold in words', `${three}group g most a b\nquorum g\n`, /^line 4 .*threshold/],
    ['a quorum of nothing', 'quorum\n', /^line 1 /],
    ['a quorum of two', `${three}quorum a b\n`, /^line 4 /],
    ['a quorum defined below', `quorum a\n${three}`, /^line 1 .*not defined/],
    ['half a surrogate pair', '# \ud83d\nquorum none\n', /surrogate/],
    ['more than 1 MiB', '#'.repeat(1_048_577), /longer/],
  ])('is refused: %s', (_, text, message) => expect(why(text)).toMatch(message));

  it('takes many items, but not any number', () => {
    const witnesses = (count: number) =>
      Array.from({ length: count }, (_, i) => `witness w${i} ${vkey('w', 4, i)}\n`).join('');
    expect(parsePolicy(`${witnesses(MAX_POLICY_ITEMS)}quorum w0\n`).witnesses).toHaveLength(MAX_POLICY_ITEMS);
    expect(why(`${witnesses(MAX_POLICY_ITEMS + 1)}quorum w0\n`)).toMatch(/^line 257 /);
  });

  it('never fails otherwise', () => {
    const bytes = encodeUtf8(EXAMPLE);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(3), fc.uint8Array({ maxLength: 3 }), (at, cut, put) => {
        const mutated = concat(bytes.subarray(0, at), put, bytes.subarray(at + cut));
        expect([undefined, 'bad-policy']).toContain(codeOf(() => parsePolicy(mutated)));
      }),
      { numRuns: 2000 },
    );
  });
});
