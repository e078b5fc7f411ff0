/**
 * The forms of bad TUF repositories. Each form starts from a good repository that its client follows (`followed()`), and changes
 * what the mirror serves. No client may get a target with the mark EVIL, and each must say what is wrong.
 *
 *     for (const form of BAD_UPDATES) {
 *       const { maker, first } = followed();        // the client follows maker.files; then:
 *       form.spoil(maker, first);                   // now it must refuse, with form.code
 *     }
 *
 * `BAD_ROOTS` are roots that must be refused where a client is told to trust them (`stele trust use --root`).
 */

import { type BadForm, type Doc, doc, nullAt, ROLES, set, trustedRootTarget } from './tuf-bad/base.ts';
import { DELEGATED, FILES, TARGETS } from './tuf-bad/files.ts';
import { META } from './tuf-bad/metadata.ts';
import { ROOTS } from './tuf-bad/roots.ts';
import { generic, NULLS, VALUES, WRAPPERS } from './tuf-bad/values.ts';
import { type Odd, renamed, sha256Hex, signedText, type TufKey, type TufMaker } from './tuf-maker.ts';

/** Each name stands once. */
export const BAD_UPDATES: readonly BadForm[] = [
  ...ROOTS,
  ...ROLES.flatMap(generic),
  ...META,
  ...TARGETS,
  ...FILES,
  ...DELEGATED,
];

export interface BadRoot {
  readonly name: string;
  readonly code: BadForm['code'];
  readonly ownOnly?: true;
  /** The file that a client is told to trust. The mirror serves `maker.files`. */
  readonly root: (maker: TufMaker) => Uint8Array | string;
}

/** A root of the maker's keys with one thing changed, signed anew. */
function firstRoot(maker: TufMaker, change: (body: Doc) => void, how: Odd = {}): Uint8Array {
  const body = structuredClone(maker.bodies.root);
  change(doc(body));
  return Buffer.from(signedText(body, how.signers ?? maker.keys.root, how));
}

const ownRoot = (what: string, code: BadForm['code'], root: BadRoot['root']): BadRoot => ({
  name: `a root with ${what}`,
  code,
  ownOnly: true,
  root,
});

/** What must not be taken as the first root. An expired one is not among them: a client updates it at once. */
export const BAD_ROOTS: readonly BadRoot[] = [
  {
    name: 'a root that 2 of 5 holders signed where 3 are needed',
    code: 'tuf-signatures',
    root: (maker) => firstRoot(maker, () => {}, { signers: maker.keys.root.slice(0, 2) }),
  },
  ...VALUES.map(([what, change]) => ownRoot(what, 'tuf-malformed', (maker) => firstRoot(maker, change))),
  ...NULLS.root.map((path) =>
    ownRoot(`null at ${path}`, 'tuf-malformed', (maker) => firstRoot(maker, (body) => nullAt(body, path))),
  ),
  ...WRAPPERS.map(([what, how, code = 'tuf-malformed']) =>
    ownRoot(what, code, (maker) => firstRoot(maker, () => {}, how)),
  ),
  {
    name: 'a root with the threshold 0',
    code: 'tuf-malformed',
    root: (maker) =>
      firstRoot(maker, (body) => set((body.roles as Record<string, Doc>).root!, 'threshold', 0), { signers: [] }),
  },
  {
    name: 'a root whose one holder has three key IDs',
    code: 'tuf-malformed',
    ownOnly: true,
    root: (maker) => {
      const [holder] = maker.keys.root;
      const names: TufKey[] = ['a', 'b', 'c'].map((name) => renamed(holder!, sha256Hex(name)));
      const change = (body: Doc) => {
        Object.assign(body.keys as Doc, Object.fromEntries(names.map(({ id, form }) => [id, form])));
        (body.roles as Doc).root = { keyids: names.map(({ id }) => id), threshold: 3 };
      };
      return firstRoot(maker, change, { signers: names });
    },
  },
  { name: 'timestamp metadata', code: 'tuf-malformed', root: ({ files }) => files.get('timestamp.json')! },
  { name: 'a target', code: 'tuf-malformed', root: () => trustedRootTarget('good') },
];
