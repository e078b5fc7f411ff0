import { describe, expect, it } from 'vitest';
import { CLAIM_PRESETS } from '../../../client/ca/claim-presets.ts';
import {
  ClaimProblem,
  type ClaimTemplate,
  fillTemplate,
  parseClaimTemplate,
} from '../../../client/ca/claim-template.ts';
import { FULCIO_EXTENSIONS } from '../../../merkle/x509/fulcio.ts';

const CLAIMS = {
  sub: 'job 1',
  ref: 'main',
  ref_type: 'branch',
  run: 17n,
  fork: false,
  nothing: null,
  empty: '',
  list: ['a'],
  part: 1.5,
  'kubernetes.io': { namespace: 'build', 'a/b': { 'c~d': 'deep' } },
};
const fill = (text: string) => {
  const template = parseClaimTemplate(text);
  if (typeof template === 'string') throw new Error(template);
  return fillTemplate(template, CLAIMS);
};

describe('a template of claims', () => {
  it.each([
    ['{sub}', 'job 1'],
    ['https://ci.example.com/{ref}/{run}', 'https://ci.example.com/main/17'],
    ['{fork}', 'false'],
    ['refs/{ref_type:branch=heads,tag=tags}/{ref}', 'refs/heads/main'],
    ['{/kubernetes.io/namespace}', 'build'],
    ['{/kubernetes.io/a~1b/c~0d}', 'deep'],
    ['x{missing?}', undefined],
    ['x{nothing?}', undefined],
    ['x{empty?}', undefined],
  ])('%s gives %s', (text, made) => {
    expect(fill(text)).toBe(made);
  });

  it.each([
    '{missing}',
    '{nothing}',
    '{empty}',
    '{list}',
    '{part}',
    '{ref:dev=x}',
    '{/kubernetes.io/pod}',
    '{toString}',
    '{__proto__}',
    '{/sub/length}',
    '{kubernetes.io}',
  ])('%s is a problem that names no value', (text) => {
    expect(() => fill(text)).toThrow(ClaimProblem);
    expect(() => fill(text)).not.toThrow(/job 1|main/);
  });

  it.each(['', '{', '}', '{}', '{a{b}}', '{a:b}', '{a:b=c,b=d}', 'x'.repeat(1025), '{a=b}'])('%s is none', (text) => {
    expect(parseClaimTemplate(text)).toEqual(expect.any(String));
  });
});

it('each preset has templates that are right, for extensions that Fulcio knows', () => {
  for (const { name, extensions } of Object.values(CLAIM_PRESETS)) {
    for (const [key, text] of Object.entries({ ...extensions, issuer: name })) {
      expect(Object.hasOwn(FULCIO_EXTENSIONS, key)).toBe(true);
      expect((parseClaimTemplate(text) as ClaimTemplate).parts.length).toBeGreaterThan(0);
    }
  }
});
