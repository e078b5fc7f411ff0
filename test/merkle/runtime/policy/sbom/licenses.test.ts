import { describe, expect, it } from 'vitest';
import {
  isLicenseIn,
  LicenseProblem,
  parseLicense,
  parseLicensePattern,
  refusedLicenses,
} from '../../../../../merkle/runtime/policy/sbom/licenses.ts';

const rules = (allow: readonly string[] | undefined, deny: readonly string[] = []) => ({
  allow: allow?.map(parseLicensePattern),
  deny: deny.map(parseLicensePattern),
});

describe('a license expression', () => {
  it.each([
    ['MIT', ['MIT'], [], []],
    ['mit', ['MIT'], [], []],
    ['MIT', ['mit'], [], []],
    ['MIT AND Apache-2.0', ['MIT'], [], ['Apache-2.0']],
    ['MIT OR GPL-3.0-only', ['MIT'], [], []],
    ['MIT or GPL-3.0-only', ['MIT'], [], []],
    ['MIT AND (Apache-2.0 OR GPL-3.0-only)', ['MIT', 'Apache-2.0'], [], []],
    ['MIT OR Apache-2.0 AND GPL-3.0-only', ['Apache-2.0'], [], ['MIT', 'GPL-3.0-only']],
    ['GPL-2.0', ['GPL-2.0-only'], [], []],
    ['GPL-2.0+', ['GPL-2.0-or-later'], [], []],
    ['GPL-2.0+', ['GPL-2.0-only'], [], ['GPL-2.0-or-later']],
    ['GPL-2.0-only WITH Classpath-exception-2.0', ['GPL-2.0-only WITH Classpath-exception-2.0'], [], []],
    ['GPL-2.0-only', ['GPL-2.0-only WITH Classpath-exception-2.0'], [], ['GPL-2.0-only']],
    ['GPL-2.0-only WITH Classpath-exception-2.0', ['GPL-2.0-only'], [], []],
    ['GPL-2.0-only WITH Classpath-exception-2.0', undefined, ['GPL-*'], ['GPL-2.0-only WITH Classpath-exception-2.0']],
    ['GPL-2.0-only WITH Classpath-exception-2.0', ['GPL-2.0-only WITH Classpath-exception-2.0', 'MIT'], ['GPL-*'], []],
    ['Apache-2.0+', ['Apache-2.0'], [], []],
    ['Apache-1.1+', undefined, ['Apache-1.1'], ['Apache-1.1+']],
    ['LicenseRef-own', ['LicenseRef-own'], [], []],
    ['LicenseRef-other', ['LicenseRef-own'], [], ['LicenseRef-other']],
    ['DocumentRef-a:LicenseRef-own', ['LicenseRef-own'], [], ['DocumentRef-a:LicenseRef-own']],
    ['AGPL-3.0-or-later', undefined, ['GPL-*'], []],
    ['AGPL-3.0-or-later', undefined, ['AGPL-*'], ['AGPL-3.0-or-later']],
    ['GPL-3.0-only OR MIT', undefined, ['GPL-*'], []],
    ['GPL-3.0-only AND MIT', undefined, ['GPL-*'], ['GPL-3.0-only']],
    ['MIT', ['MIT'], ['MIT'], ['MIT']],
  ] as const)('%s with allowed %j and denied %j refuses %j', (text, allow, deny, refused) => {
    expect(refusedLicenses(parseLicense(text), rules(allow, deny))).toEqual(refused);
  });

  it.each([
    ['', 'no license'],
    ['GPLv3', 'no license of the SPDX list'],
    ['MIT AND', 'no license'],
    ['MIT Apache-2.0', 'goes on'],
    ['(MIT', 'lacks a ")"'],
    ['MIT)', 'goes on'],
    ['MIT And Apache-2.0', 'goes on'],
    ['MIT WITH nothing', 'no exception'],
    ['(MIT OR GPL-3.0-only) WITH Classpath-exception-2.0', 'goes on'],
    ['constructor', 'no license'],
    ['LicenseRef-', 'no license'],
    ['NOASSERTION', 'no license'],
  ])('%j is none that can be compared', (text, why) => {
    expect(() => parseLicense(text)).toThrow(LicenseProblem);
    expect(() => parseLicense(text)).toThrow(why);
  });

  it('is bounded in length and depth', () => {
    expect(() => parseLicense(`${'('.repeat(60)}MIT${')'.repeat(60)}`)).toThrow('nested deeper');
    expect(() => parseLicense('MIT OR '.repeat(1000))).toThrow('longer');
  });

  it('is forbidden where its users cannot do without the license', () => {
    const gpl = parseLicensePattern('GPL-*');
    expect(isLicenseIn(parseLicense('GPL-3.0-only OR MIT'), gpl)).toBe(false);
    expect(isLicenseIn(parseLicense('GPL-3.0-only OR GPL-2.0-only'), gpl)).toBe(true);
    expect(isLicenseIn(parseLicense('GPL-3.0-only AND MIT'), gpl)).toBe(true);
  });

  it('is no pattern of a rule where it names two licenses, or none', () => {
    expect(() => parseLicensePattern('MIT OR Apache-2.0')).toThrow('more than one');
    expect(() => parseLicensePattern('Gnu-*')).toThrow('begins with');
    expect(() => parseLicensePattern('*')).toThrow('no license');
  });
});
