import { describe, expect, it } from 'vitest';
import {
  isInRange,
  isSameVersion,
  parseVersionRange,
  RangeProblem,
} from '../../../../../merkle/runtime/policy/versions/vers.ts';

/** Versions of each type in rising order; equal ones in one list. */
const RISING: Readonly<Record<string, readonly (string | readonly string[])[]>> = {
  npm: [
    '0.0.1',
    '1.0.0-1',
    '1.0.0-alpha',
    '1.0.0-alpha.1',
    '1.0.0-alpha.beta',
    '1.0.0-beta.2',
    '1.0.0-beta.11',
    '1.0.0-rc.1',
    ['1.0.0', 'v1.0.0', '1.0.0+build.7'],
    '1.2.9',
    '1.2.10',
    '99999999999999999999.0.0',
  ],
  golang: [
    'v0.0.0-20190101000000-abcdefabcdef',
    'v0.1.0',
    ['v1.0.0', '1.0.0', 'v1.0.0+incompatible'],
    ['1.21rc2', 'go1.21rc2'],
    'go1.21rc10',
    ['1.21', 'go1.21', 'go1.21.0'],
    'v2.0.0+incompatible',
  ],
  pypi: [
    '1.0.dev1',
    ['1.0a1', '1.0alpha1', '1.0-A.1'],
    '1.0a1.post1',
    '1.0b2',
    ['1.0rc1', '1.0c1', '1.0-preview1'],
    ['1.0', '1', 'v1.0.0', '1.0+local'],
    ['1.0.post1', '1.0-1', '1.0rev1'],
    '1.1.dev3',
    '1.10',
    '1!0.1',
  ],
  maven: [
    '1-alpha-1',
    ['1-beta2', '1-b2'],
    '1-milestone',
    ['1-rc1', '1-cr1'],
    '1-SNAPSHOT',
    ['1', '1.0.0', '1-ga', '1.final'],
    '1-sp',
    '1-abc',
    '1-1',
    '1.1',
    '1.10',
  ],
  deb: [
    '1.0~~',
    '1.0~rc1-1',
    ['1.0', '1.0-0'],
    '1.0-1',
    '1.0-1+deb12u1',
    '1.0-2',
    '1.0a-1',
    '1.0+dfsg-1',
    '1.0.1-1',
    '1.10-1',
    ['1:0.1', '01:0.1'],
  ],
  rpm: ['1.0~rc1-1', ['1.0-1', '1.0', '1_0-1'], '1.0^git1', '1.0a', '1.0.1-1.el9', '1.10-1', ['2.0', '002.0'], '1:0.1'],
  apk: [
    '1.0_alpha',
    '1.0_alpha2',
    '1.0_beta',
    '1.0_pre',
    '1.0_rc1',
    ['1.0', '1.0-r0'],
    '1.0-r1',
    '1.0_git20200101',
    '1.0_p1',
    '1.0a',
    '1.0.1',
    '1.1',
    '1.10',
  ],
  gem: ['1.0.a', '1.0.0-beta', '1.0.0.rc1', ['1.0.0', '1', '1.0'], '1.0.1', '1.10'],
  nuget: ['1.0.0-alpha', ['1.0.0-BETA', '1.0.0-beta'], ['1.0', '1.0.0.0', '1.00.0'], '1.0.0.1', '1.10.0'],
  composer: [
    '1.0-dev',
    '1.0.0-alpha1',
    '1.0.0-beta',
    '1.0.0RC2',
    ['1.0', 'v1.0.0', '1.0.0.0-stable'],
    '1.0.0-p1',
    '1.10.0',
  ],
  cargo: ['0.1.0-rc.1', '0.1.0', '0.10.0'],
  cran: ['1.0', ['1.0-1', '1.0.1'], '1.10'],
  hackage: ['0.9', ['1', '1.0'], '1.0.0.1', '1.10'],
};

/** What is no version. */
const NO_VERSION: Readonly<Record<string, readonly string[]>> = {
  npm: ['1', '1.2', 'latest', '1.2.3.4', '01.2.3', '1.2.3-', '', 'x'.repeat(300), '1.2.3 '],
  golang: ['master', 'v1.x', 'v01.0.0'],
  pypi: ['1.0-foo', 'abc', '1..0', '1.0+'],
  maven: ['$version', 'α', '!'],
  deb: ['abc', '1.0_1', ':1', '1.0 1'],
  rpm: ['1.0-1-1', '1.0/1', '(none)'],
  apk: ['abc', '1.0_foo', '1.0-1'],
  gem: ['abc', '1..0', '1.0_a'],
  nuget: ['1.0.0.0.0', '1.x'],
  composer: ['dev-main', '1.x-dev', 'main'],
};

describe('the order of versions', () => {
  for (const [type, list] of Object.entries(RISING)) {
    it(`of ${type}`, () => {
      const groups = list.map((one) => (typeof one === 'string' ? [one] : one));
      for (const [i, group] of groups.entries()) {
        for (const version of group) {
          for (const other of group)
            expect([type, other, isSameVersion(type, version, other)]).toEqual([type, other, true]);
          for (const [j, others] of groups.entries()) {
            const below = parseVersionRange(`vers:${type}/<${version.replace('!', '%21')}`);
            const above = parseVersionRange(`vers:${type}/>${version.replace('!', '%21')}`);
            for (const other of others) {
              expect([other, '<', version, isInRange(below, other, true)]).toEqual([other, '<', version, j < i]);
              expect([other, '>', version, isInRange(above, other, true)]).toEqual([other, '>', version, j > i]);
            }
          }
        }
      }
    });
  }

  it('says of what is no version that it cannot be compared, and never that it is out of the range', () => {
    for (const [type, list] of Object.entries(NO_VERSION)) {
      const range = parseVersionRange(`vers:${type}/>=0.0.1`.replace('golang/>=0', 'golang/>=v0'));
      for (const version of list)
        expect([type, version, isInRange(range, version, true)]).toEqual([
          type,
          version,
          expect.stringContaining('cannot be compared'),
        ]);
    }
  });

  it('orders versions of 256 characters in all schemes at once, and reads no longer ones', () => {
    for (const type of Object.keys(RISING)) {
      const range = parseVersionRange(`vers:${type}/>=1.0.0`);
      for (const piece of ['1.', '1-', 'a1', '~', '0']) {
        const version = `1.${piece.repeat(126)}1`.slice(0, 256);
        expect(['boolean', 'string']).toContain(typeof isInRange(range, version, true));
      }
      expect(isInRange(range, `1.${'0'.repeat(300)}`, true)).toContain('cannot be compared');
    }
  });
});

describe('a range', () => {
  const holds = (range: string, version: string, prereleases = true) =>
    isInRange(parseVersionRange(range), version, prereleases);

  it.each([
    [
      'vers:npm/1.2.3|>=2.0.0|<5.0.0',
      ['1.2.3', '2.0.0', '4.9.9', '5.0.0-rc.1'],
      ['1.2.4', '1.9.9', '5.0.0', '2.0.0-rc.1'],
    ],
    ['vers:npm/<1.0.0|>=2.0.0', ['0.9.9', '2.0.0', '3.0.0'], ['1.0.0', '1.5.0']],
    ['vers:npm/<=1.0.0|>2.0.0|<3.0.0', ['1.0.0', '2.0.1'], ['2.0.0', '3.0.0', '1.0.1']],
    ['vers:npm/>=1.0.0|!=1.2.0|<2.0.0', ['1.1.0', '1.3.0'], ['1.2.0', '2.0.0']],
    ['vers:npm/!=1.2.0', ['1.1.0', '9.0.0'], ['1.2.0']],
    ['vers:npm/1.0.0|1.0.1', ['1.0.0', '1.0.1'], ['1.0.2']],
    ['vers:gem/>=2.2.0|!=2.2.1|<2.3.0', ['2.2.0', '2.2.9'], ['2.2.1', '2.3.0']],
    [
      'vers:maven/>=1.0.0-beta1|<=1.7.5|>=7.0.0-M1|<=7.0.7',
      ['1.0.0-beta1', '1.7.5', '7.0.0-M2'],
      ['1.7.6', '7.0.8', '1.0.0-alpha1'],
    ],
    ['vers:pypi/<1.0|2.0', ['1.0rc1', '2.0+cu118'], ['1.0', '2.0.1']],
    ['vers:deb/>=1:1.0-1|<1:2.0-1%21', [], []],
    ['vers:all/*', ['1', 'anything'], []],
  ] as const)('%s', (range, inside, outside) => {
    if (range.includes('%21')) {
      expect(() => parseVersionRange(range)).toThrow('no version of deb');
      return;
    }
    for (const version of inside) expect([version, holds(range, version)]).toEqual([version, true]);
    for (const version of outside) expect([version, holds(range, version)]).toEqual([version, false]);
  });

  it('leaves versions before a release out only where it is told to', () => {
    expect(holds('vers:npm/>=1.0.0|<2.0.0', '2.0.0-rc.1')).toBe(true);
    expect(holds('vers:npm/>=1.0.0|<2.0.0', '2.0.0-rc.1', false)).toBe(false);
    expect(holds('vers:npm/>=2.0.0-rc.1', '2.0.0-rc.1', false)).toBe(true);
    expect(holds('vers:npm/*', '2.0.0-rc.1', false)).toBe(false);
    expect(holds('vers:conda/*', '1', false)).toContain('cannot be compared');
    for (const [type, version] of [
      ['pypi', '2.0.dev1'],
      ['maven', '2.0-SNAPSHOT'],
      ['deb', '2.0~rc1'],
      ['rpm', '2.0~rc1'],
      ['apk', '2.0_rc1'],
      ['gem', '2.0.rc1'],
      ['nuget', '2.0-x'],
      ['composer', '2.0-RC1'],
      ['golang', 'v1.0.0-0.20200101000000-abcdefabcdef'],
    ] as const) {
      expect([type, holds(`vers:${type}/>=0.1.0`, version)]).toEqual([type, true]);
      expect([type, holds(`vers:${type}/>=0.1.0`, version, false)]).toEqual([type, false]);
    }
  });

  it.each([
    ['npm/1.0.0', 'vers:TYPE'],
    ['VERS:npm/1.0.0', 'vers:TYPE'],
    ['vers:NPM/1.0.0', 'vers:TYPE'],
    ['vers:npm/', 'canonical'],
    ['vers:npm/|1.0.0', 'canonical'],
    ['vers:npm/1.0.0|', 'canonical'],
    ['vers:npm/1.0.0||2.0.0', 'canonical'],
    ['vers:npm/>= 1.0.0', 'space'],
    ['vers:npm/=1.0.0', 'canonical'],
    ['vers:npm/>=*', 'canonical'],
    ['vers:npm/*|1.0.0', 'canonical'],
    ['vers:npm/1.0', 'no version of npm'],
    ['vers:npm/1%2E0.0', 'canonical'],
    ['vers:npm/1.0.0%3c', 'canonical'],
    ['vers:npm/2.0.0|1.0.0', 'rising order'],
    ['vers:npm/1.0.0|>=1.0.0', 'once'],
    ['vers:npm/>=1.0.0|>2.0.0', 'twice'],
    ['vers:npm/<1.0.0|<2.0.0', 'twice'],
    ['vers:npm/>1.0.0|2.0.0', 'covers'],
    ['vers:npm/1.0.0|<2.0.0', 'covers'],
    ['vers:conda/>=1', 'cannot be compared'],
    ['vers:constructor/>=1', 'cannot be compared'],
    ['vers:none/*', 'no version'],
  ])('%s is refused', (text, why) => {
    expect(() => parseVersionRange(text)).toThrow(RangeProblem);
    expect(() => parseVersionRange(text)).toThrow(why);
  });
});

it('a range of more than 16,384 characters is refused', () => {
  expect(() => parseVersionRange(`vers:npm/${'1.0.0|'.repeat(4000)}`)).toThrow('longer');
});

describe('one version', () => {
  it('compares as its type says, and as text where the type has no order', () => {
    expect(isSameVersion('pypi', '1.0', '1.0.0')).toBe(true);
    expect(isSameVersion('huggingface', 'abc', 'abc')).toBe(true);
    expect(isSameVersion('huggingface', 'abc', 'abd')).toBe(false);
    expect(isSameVersion('npm', '1.0.0', 'latest')).toContain('cannot be compared');
  });
});
