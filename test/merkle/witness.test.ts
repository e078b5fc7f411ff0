import { describe, expect, it } from 'vitest';
import { decodeUtf8, encodeUtf8 } from '../../merkle/bytes.ts';
import {
  formatAddCheckpoint,
  formatCosignatures,
  formatSignSubtree,
  formatTreeSize,
  originHash,
  parseAddCheckpoint,
  parseCosignatures,
  parseSignSubtree,
  parseTreeSize,
  peekOrigin,
} from '../../merkle/witness.ts';
import { codeOf } from './helpers.ts';

// The examples of tlog-witness, sections "add-checkpoint" and "sign-subtree" (there with a signature that is cut short).
const REQUEST = `old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
`;
const RESPONSE = `— witness.example/w1 CMp+6LWBU0anHGH5aNDTJkH/gj79sG+T6+iP2ThYN5krrDJbR1HDnucjL39QsZTSvVjyQLrdk3DXDqI5G2HgLatVs0pWh6Up69HVOw==
— witness.example/w1 I7rEps0pvK2UqkS2gSpVUDhrhVtQV9lgF6pRrWAvjJHjyWpW7VcE3SiOlVlbQNt64vWhO+DlkL0+UfzuOBMh9ChdMkP1vi/lCAsmlw==
— witness.example/w2 AWui8Sk55XjYLOijihBjhqEH6nS1ndDymE0a+6idX7pLcnoB+dhnz0854aLZgrrKbYKA7nC3HNJhm/kWl7oJlqU3rXXvpysAdyP3wQ==
`;
const SUBTREE = `subtree 8 13
mbsQCg+dEIMGlpqeGgk94JutQwKKS2Lo5IuDhKmDjiU=
CD82D2LDm0phY0+xKbHyZfq3Hw21lVkuV7Zis5EFg0k=
h/ghL5nyaXTIBAklqDnisM+SFdbA3izoGZ5oRYMZzc0=
8qtnAAU9sTKQx/zt3E4v8Jt2a9IMQUf0QUawvePF9y0=
KuO5BNOmginG34Lm5G3e2GuiWliGo3K0ebzGpvI0fEg=

example.com/behind-the-sofa
14
/CcKVZM9n65aH7jLaIZuUB4/MSlEFQ4+ldwUC21rDHM=
`;

describe('the examples of the specification', () => {
  it('are read and written byte for byte', () => {
    const request = parseAddCheckpoint(encodeUtf8(REQUEST));
    expect(request.oldSize).toBe(20852014);
    expect(request.proof).toHaveLength(4);
    expect(decodeUtf8(request.note).split('\n')[1]).toBe('20852163');
    expect(decodeUtf8(formatAddCheckpoint(request))).toBe(REQUEST);
    expect(formatCosignatures(parseCosignatures(RESPONSE))).toBe(RESPONSE);
    const subtree = parseSignSubtree(encodeUtf8(SUBTREE));
    expect(subtree).toMatchObject({ start: 8, end: 13 });
    expect(subtree.proof).toHaveLength(4);
    expect(decodeUtf8(formatSignSubtree(subtree))).toBe(SUBTREE);
  });

  it('show their origin at a glance', () => {
    expect(peekOrigin(encodeUtf8(REQUEST))).toBe('example.com/behind-the-sofa');
    expect(peekOrigin(encodeUtf8(SUBTREE))).toBe('example.com/behind-the-sofa');
    for (const none of ['', '\n', 'old 0\n', 'old 0\n\n', 'old 0\n\n\n', 'old 0\n\nno newline']) {
      expect(peekOrigin(encodeUtf8(none)), none).toBeUndefined();
    }
    expect(peekOrigin(encodeUtf8(`${'x'.repeat(10_000)}\n\norigin\n`))).toBeUndefined();
  });
});

it('names a log by the hash of its origin', () => {
  // printf %s example.com/log42 | sha256sum
  expect(originHash('example.com/log42')).toBe('4e08c70cc7f225871fda7dc115566008e6954b26a25896be01faa45cdd0f63eb');
  expect(originHash('')).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
});

it('reads the size of a conflict strictly', () => {
  expect(parseTreeSize(formatTreeSize(20852014))).toBe(20852014);
  expect(parseTreeSize(encodeUtf8('9007199254740991\n'))).toBe(Number.MAX_SAFE_INTEGER);
  for (const bad of ['', '5', '05\n', '5\r\n', ' 5\n', '5\n\n', '-1\n', '9007199254740992\n', `${'1'.repeat(40)}\n`]) {
    expect(
      codeOf(() => parseTreeSize(bad)),
      bad,
    ).toBe('bad-request');
    expect(
      codeOf(() => parseTreeSize(encodeUtf8(bad))),
      bad,
    ).toBe('bad-request');
  }
});

it('reads an answer strictly', () => {
  for (const bad of [
    '',
    '\n',
    RESPONSE.trimEnd(),
    `${RESPONSE}\n`,
    RESPONSE.replace('—', '-'),
    RESPONSE.replace(/=\n/, '\n'),
  ]) {
    expect(
      codeOf(() => parseCosignatures(bad)),
      bad,
    ).toBe('bad-request');
  }
});
