/**
 * The settings of a decision policy, each declared once: the reader, its messages and the tables in docs/policy.md come from
 * here. The built-in checks bring the schemas of their own settings.
 */
import { type TSchema, Type } from 'typebox';
import { choice, count, list } from '../config/values.ts';
import { MAX_ARTIFACT_PATTERN } from './artifact-pattern.ts';
import { CHECKS } from './checks.ts';
import { CONDITIONS_ALLOWED, NAME, NAME_ALLOWED, POLICY_VERSION } from './policy-values.ts';

const opt = Type.Optional;

type OwnKind = 'version' | 'policy-name' | 'signers' | 'types' | 'age' | 'conditions';

/** A leaf with a reader of its own, because TypeBox could only say that the value is wrong. */
function own(kind: OwnKind, allowed: string, description: string): TSchema {
  return Type.Unknown({ kind, allowed, description });
}

export const MAX_SIGNERS = 1000;
export const SIGNERS_ALLOWED = `a mapping from 1 to ${MAX_SIGNERS} names to signers`;
export const TYPES_ALLOWED =
  'a predicate type (a short name as in `stele attest`, or a URI), a list of 1 to 16 of them, `signature` for a signature over the artifact itself, or `commit` or `tag` for an object of git';
export const AGE_ALLOWED = '1s to 36500d, written as 90s, 30m, 12h or 90d';
const MAX_RULES = 100;
const ORIGIN = /^[!-~]{1,255}$/;

/** A list that `list` would take also where it is empty. */
function filled(check: (item: string) => boolean, allowed: string, description: string): TSchema {
  return Type.Refine(
    list(check, allowed, { description }),
    (items) => (items as string[]).length > 0,
  ) as unknown as TSchema;
}

const isPattern = (item: string) => NAME.test(item.slice(0, 100)) && !/[\p{Cc}\p{Cf}]/u.test(item);
const artifacts = filled(
  isPattern,
  `a list of 1 to 64 patterns of names, each of at most ${MAX_ARTIFACT_PATTERN} characters`,
  'Names of artifacts. `*` stands for any characters but a slash, `**` for any characters at all.',
);

const RuleSchema = Type.Object({
  name: own('policy-name', NAME_ALLOWED, 'Stands in every decision; no two rules share one.'),
  artifacts: opt(artifacts),
  type: own('types', TYPES_ALLOWED, 'What the evidence must be.'),
  signers: filled(
    (item) => NAME.test(item),
    `a list of 1 to 64 names of "signers"`,
    'Whose evidence counts: names of `signers` of the policy.',
  ),
  threshold: count('signers', 1, 64, {
    description: 'How many different ones of them must have evidence that holds.',
    default: 1,
  }),
  logs: opt(
    filled(
      (origin) => ORIGIN.test(origin),
      'a list of 1 to 64 origins of logs',
      'Origins of logs of which one must hold the signature.',
    ),
  ),
  witnesses: opt(choice(['quorum'], { description: 'The quorum of the quorum policy must have cosigned the log.' })),
  maxAge: opt(own('age', AGE_ALLOWED, 'The earliest verified time of the evidence must not be longer ago.')),
  ...Object.fromEntries(CHECKS.map(({ name, schema }) => [name, opt(schema)])),
  conditions: opt(own('conditions', CONDITIONS_ALLOWED, 'Expressions in CEL that must all be true.')),
});

export const PolicySchema = Type.Object({
  version: own('version', String(POLICY_VERSION), 'Of the format of this file.'),
  name: own('policy-name', NAME_ALLOWED, 'Stands in every decision.'),
  artifacts: opt(artifacts),
  signers: own('signers', SIGNERS_ALLOWED, 'Who may sign, each under a name.'),
  rules: Type.Array(RuleSchema, {
    minItems: 1,
    maxItems: MAX_RULES,
    allowed: `a list of 1 to ${MAX_RULES} rules`,
    description: 'What must hold: all of them that are for the artifact, and at least one must be.',
  }),
});
