/** The settings of an access policy, each declared once: the reader, its messages and the table in docs/identity.md come from here. */
import { type TSchema, Type } from 'typebox';
import { LOGGED_KEY_DETAILS } from '../../../rekor/key-details.ts';
import { count } from '../../config/values.ts';
import { CONDITIONS_ALLOWED, NAME_ALLOWED } from '../policy-values.ts';
import { ACCESS_ACTIONS, ENTRY_KINDS } from './types.ts';

const opt = Type.Optional;

type OwnKind =
  | 'version'
  | 'policy-name'
  | 'callers'
  | 'names'
  | 'actions'
  | 'kinds'
  | 'keys'
  | 'issuers'
  | 'origins'
  | 'conditions';

function own(kind: OwnKind, allowed: string, description: string): TSchema {
  return Type.Unknown({ kind, allowed, description });
}

export const MAX_CALLERS = 1000;
export const MAX_ISSUERS = 64;
const MAX_ACCESS_RULES = 1000;
export const CALLERS_ALLOWED = `a mapping from 1 to ${MAX_CALLERS} names to callers`;
export const CALLER_NAMES_ALLOWED = 'a list of 1 to 64 names of "callers"';
export const ISSUERS_ALLOWED = `a list of 1 to ${MAX_ISSUERS} issuers, each a text or { pattern: RE2 } that must match the whole text`;
export const MAX_ORIGINS = 64;
export const ORIGINS_ALLOWED = `a list of 1 to ${MAX_ORIGINS} origins of logs, such as log.example.com`;
export const ACTION_NAMES = Object.keys(ACCESS_ACTIONS);
export const KEY_NAMES = LOGGED_KEY_DETAILS.map(({ name }) => name);

const AccessRuleSchema = Type.Object({
  name: own('policy-name', NAME_ALLOWED, 'Stands in answers and records; no two rules share one.'),
  callers: own('names', CALLER_NAMES_ALLOWED, 'Whom the rule is for: names of `callers` of the policy.'),
  calls: own('actions', `a list of ${ACTION_NAMES.join(', ')}`, 'What they may do.'),
  kinds: opt(
    own('kinds', `a list of ${ENTRY_KINDS.join(', ')}`, 'Kinds of entries that they may write. Default: all.'),
  ),
  keys: opt(
    own(
      'keys',
      `a list of ${KEY_NAMES.join(', ')}`,
      'Types of keys (`keyDetails`) whose signatures they may write. Default: all.',
    ),
  ),
  issuers: opt(
    own(
      'issuers',
      ISSUERS_ALLOWED,
      'Issuers of certificates with which they may write: the identity provider that the certificate names, else its issuing authority. Default: all, and entries without a certificate.',
    ),
  ),
  logs: opt(
    own(
      'origins',
      ORIGINS_ALLOWED,
      'Of `cosign`: origins of the logs whose tree heads they may have cosigned. Default: all that the witness knows.',
    ),
  ),
  perMinute: opt(
    count('entries', 1, 1_000_000, {
      description: 'Entries that one caller may write in a minute under this rule. Of other calls, calls.',
    }),
  ),
  conditions: opt(
    own('conditions', CONDITIONS_ALLOWED, 'Expressions in CEL over `caller`, `call` and `now` that must all be true.'),
  ),
});

export const AccessPolicySchema = Type.Object({
  version: own('version', '1', 'Of the format of this file.'),
  name: own('policy-name', NAME_ALLOWED, 'Stands in answers and records.'),
  callers: own('callers', CALLERS_ALLOWED, 'Who may call, each under a name.'),
  allow: Type.Array(AccessRuleSchema, {
    minItems: 1,
    maxItems: MAX_ACCESS_RULES,
    allowed: `a list of 1 to ${MAX_ACCESS_RULES} rules`,
    description: 'What is allowed: a call that one of the rules allows. Nothing else is.',
  }),
});
