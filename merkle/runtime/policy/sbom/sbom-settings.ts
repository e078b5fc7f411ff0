/** The settings of the check `sbom` of a rule. */
import { Type } from 'typebox';
import { choice, count, onOff } from '../../config/values.ts';
import type { ForbidSetting } from './forbidden.ts';

export interface SbomSettings {
  readonly forbid?: readonly ForbidSetting[];
  readonly licenses?: {
    readonly allow?: readonly string[];
    readonly deny?: readonly string[];
    readonly unknown: 'deny' | 'allow';
  };
  readonly minPackages: number;
  readonly withoutPurl: 'deny' | 'allow';
  readonly incomplete: 'deny' | 'allow';
  readonly root: 'matching' | 'stated' | 'any';
}

const MAX_RULES = 10_000;

function line(allowed: string, description: string, maxLength = 4096) {
  return Type.String({
    kind: 'text',
    minLength: 1,
    maxLength,
    pattern: '^[^\\x00-\\x1f\\x7f]+$',
    allowed,
    description,
  });
}

const licenseList = (description: string) =>
  Type.Array(line('a license', 'a license'), {
    minItems: 1,
    maxItems: MAX_RULES,
    allowed: 'a list of licenses such as MIT, LicenseRef-own or GPL-*',
    description,
  });

export const SBOM_SETTINGS = Type.Object({
  forbid: Type.Optional(
    Type.Array(
      Type.Object({
        purl: Type.Optional(
          line('a purl such as pkg:npm/left-pad', 'the package, in every version unless the purl has one'),
        ),
        range: Type.Optional(line('a range such as vers:npm/>=1.0.0|<2.0.0', 'the versions of the package', 16_384)),
        prereleases: Type.Optional(onOff({ description: 'whether versions before a release count', default: true })),
        license: Type.Optional(line('a license such as SSPL-1.0 or AGPL-*', 'a license of which no package may be')),
        digest: Type.Optional(line('a digest such as sha256:HEX', 'the digest of a package or a file')),
        reason: Type.Optional(line('one line of text', 'why; stands in the reasons of a denial', 500)),
      }),
      {
        minItems: 1,
        maxItems: MAX_RULES,
        allowed: 'a list of packages, licenses and digests',
        description: 'what may not be inside',
      },
    ),
  ),
  licenses: Type.Optional(
    Type.Object({
      allow: Type.Optional(licenseList('the only licenses that packages may have')),
      deny: Type.Optional(licenseList('licenses that packages may not have')),
      unknown: choice(['deny', 'allow'], {
        description: 'what becomes of a package without a license that SPDX knows',
        default: 'deny',
      }),
    }),
  ),
  minPackages: count('packages', 0, 100_000, {
    description: 'how many packages the SBOM must name, apart from the artifact itself',
    default: 1,
  }),
  withoutPurl: choice(['deny', 'allow'], {
    description: 'what becomes of an SBOM with a package that has no purl, or a malformed one',
    default: 'deny',
  }),
  incomplete: choice(['deny', 'allow'], {
    description: 'what becomes of an SBOM that says it leaves something out, or that refers to other documents',
    default: 'deny',
  }),
  root: choice(['matching', 'stated', 'any'], {
    description:
      'matching: digests that the SBOM states of the artifact must be right; stated: it must state one; any: not looked at',
    default: 'matching',
  }),
});
