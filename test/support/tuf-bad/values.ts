/** What can be wrong in the metadata of every role. */
import type { Odd, TufRole } from '../tuf-maker.ts';
import { type BadForm, type Doc, nullAt, odd, set, thief } from './base.ts';

/** What can be wrong in the metadata of every role: the member of `signed` and its value. */
export const VALUES: readonly (readonly [what: string, change: (body: Doc) => void])[] = [
  ['the version 2^53', (body) => set(body, 'version', 2 ** 53)],
  ['the version 0', (body) => set(body, 'version', 0)],
  ['a negative version', (body) => set(body, 'version', -1)],
  ['a version that is no whole number', (body) => set(body, 'version', 2.5)],
  ['a version in quotation marks', (body) => set(body, 'version', '3')],
  ['the version null', (body) => set(body, 'version', null)],
  ['no version', (body) => set(body, 'version', undefined)],
  ['the expiry null', (body) => set(body, 'expires', null)],
  ['no expiry', (body) => set(body, 'expires', undefined)],
  ['an expiry without a time', (body) => set(body, 'expires', '2099-01-01')],
  ['an expiry on a day that is none', (body) => set(body, 'expires', '2099-02-30T00:00:00Z')],
  ['the type null', (body) => set(body, '_type', null)],
  ['an unknown type', (body) => set(body, '_type', 'mirrors')],
  ['the specification version 2', (body) => set(body, 'spec_version', '2.0.0')],
  ['the specification version null', (body) => set(body, 'spec_version', null)],
  ['a null in a member that no specification names', (body) => set(body, 'x-extra', null)],
];

/** Members of `signed` that are null, by role. */
export const NULLS: Readonly<Record<TufRole, readonly string[]>> = {
  root: [
    ...['keys', 'roles', 'consistent_snapshot', 'roles/root', 'roles/timestamp', 'roles/timestamp/keyids'],
    ...[
      'roles/timestamp/threshold',
      'keys/*',
      'keys/*/keytype',
      'keys/*/scheme',
      'keys/*/keyval',
      'keys/*/keyval/public',
    ],
  ],
  targets: [
    ...['targets', 'delegations', 'targets/*', 'targets/*/length', 'targets/*/hashes', 'targets/*/hashes/sha256'],
    ...['targets/*/custom', 'delegations/keys', 'delegations/keys/*', 'delegations/roles', 'delegations/roles/0'],
    ...['delegations/roles/0/name', 'delegations/roles/0/paths', 'delegations/roles/0/threshold'],
  ],
  snapshot: ['meta', 'meta/targets.json', 'meta/targets.json/version', 'meta/targets.json/length'],
  timestamp: [
    ...['meta', 'meta/snapshot.json', 'meta/snapshot.json/version', 'meta/snapshot.json/length'],
    ...['meta/snapshot.json/hashes', 'meta/snapshot.json/hashes/sha256'],
  ],
};

/** What can be wrong around the signed part. The signatures hold in all of them. */
export const WRAPPERS: readonly (readonly [what: string, how: Odd, code?: BadForm['code']])[] = [
  ['no signatures', { signatures: () => [] }, 'tuf-signatures'],
  ['signatures that are null', { signatures: () => null }],
  ['a signature that is null', { signatures: (made) => [...made, null] }],
  ['a signature whose bytes are null', { signatures: (made) => made.map(({ keyid }) => ({ keyid, sig: null })) }],
  ['a signature whose key ID is null', { signatures: (made) => made.map(({ sig }) => ({ keyid: null, sig })) }],
  ['a signature twice', { signatures: (made) => [...made, made[0]] }],
  [
    'signatures over something else',
    { signatures: (made) => made.map(({ keyid }) => ({ keyid, sig: thief.sign(Buffer.from(keyid)) })) },
    'tuf-signatures',
  ],
  ['only the signature of an unknown key', { signers: [thief] }, 'tuf-signatures'],
  ['a member twice', { text: (text) => text.replace('"expires"', '"expires": "2098-01-01T00:00:00Z", "expires"') }],
  ['a version with a fraction', { text: (text) => text.replace(/\n {2}"version": \d+/, '$&.0') }],
  ['a member whose name is not ASCII', { text: (text) => text.replace('"signed": {', '"signed": { "\u00e9": "",') }],
  ['text after its end', { text: (text) => `${text}\n{}` }],
  ['no text', { text: () => '' }],
  ['the text null', { text: () => 'null' }],
  ['an empty object', { text: () => '{}' }],
  ['the signed part null', { text: () => '{"signatures": [], "signed": null}' }],
  ['a page of HTML', { text: () => '<!doctype html><title>Sign in</title>' }],
  ['nothing but opening brackets', { text: () => '['.repeat(10_000) }],
];

/** Enough of them for the clients of others, each of which answers them: each takes a process. */
const FOR_ALL = [
  'the version null',
  'no expiry',
  'no signatures',
  'only the signature of an unknown key',
  'signatures over something else',
  'the text null',
];

const inRole = (role: TufRole, what: string, form: Pick<BadForm, 'code' | 'spoil'>): BadForm => ({
  name: `${role} with ${what}`,
  ...form,
  ...(!FOR_ALL.includes(what) && { ownOnly: true }),
});

/** All of it, for one role. */
export const generic = (role: TufRole): BadForm[] => [
  ...VALUES.map(([what, change]) =>
    inRole(role, what, { code: 'tuf-malformed', spoil: (maker) => odd(maker, role, change) }),
  ),
  ...NULLS[role].map((path) =>
    inRole(role, `null at ${path}`, {
      code: 'tuf-malformed',
      spoil: (maker) => odd(maker, role, (body) => nullAt(body, path)),
    }),
  ),
  ...WRAPPERS.map(([what, how, code = 'tuf-malformed']) =>
    inRole(role, what, { code, spoil: (maker) => odd(maker, role, () => {}, how) }),
  ),
  {
    name: `${role} that has expired`,
    code: 'tuf-expired',
    spoil: (maker) => odd(maker, role, (body) => set(body, 'expires', maker.expiry(-1))),
  },
];
