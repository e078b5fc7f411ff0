/** in-toto-golang on layouts of this test: it and `stele decide --layout` say the same, and take what `stele record` makes. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type Contents,
  dsse,
  type Functionary,
  layoutOf,
  linkName,
  linkOf,
  metablock,
  newFunctionary,
  type StepPlan,
} from '../support/layout-maker.ts';
import { tempDir } from '../support/log.ts';
import { run, stele } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';

const missing = skips('layouts and links with in-toto-golang', lacking('in-toto-golang'));

const [owner, second] = [newFunctionary(), newFunctionary('P-256')];
const [alice, bob, carol, dave] = [
  newFunctionary(),
  newFunctionary('P-256'),
  newFunctionary('rsa'),
  newFunctionary('P-384'),
];
type Files = Readonly<Record<string, Uint8Array>>;
const link = (step: string, by: Functionary, materials: Contents, products: Contents, form = metablock): Files => ({
  [linkName(step, by)]: form(linkOf(step, materials, products), by),
});
const below = (step: string, by: Functionary, files: Files): Files => {
  const folder = linkName(step, by).slice(0, -'.link'.length);
  return Object.fromEntries(Object.entries(files).map(([name, bytes]) => [`${folder}/${name}`, bytes]));
};

const build: StepPlan = {
  name: 'build',
  keys: [alice],
  materials: [
    ['MATCH', 'src/*', 'WITH', 'PRODUCTS', 'FROM', 'write'],
    ['DISALLOW', '*'],
  ],
  products: [
    ['CREATE', 'app'],
    ['ALLOW', 'src/*'],
    ['DISALLOW', '*'],
  ],
};
const write: StepPlan = { name: 'write', keys: [bob], materials: [['DISALLOW', '*']], products: [['CREATE', '*']] };
const two = layoutOf([write, build]);
const source = { 'src/a.c': 'a', 'src/deep/b.c': 'b' };
const good = { ...link('write', bob, {}, source), ...link('build', alice, source, { app: 'x' }) };
const one = (more: Partial<StepPlan>, keys: readonly Functionary[] = [alice]): object =>
  layoutOf([{ name: 'build', keys, ...more }]);
const made = (products: Contents, materials: Contents = {}, by = alice): Files =>
  link('build', by, materials, products);
const pattern = (text: string, ...names: readonly string[]): readonly [object, Files] => [
  one({
    products: [
      ['ALLOW', text],
      ['DISALLOW', '*'],
    ],
  }),
  made(Object.fromEntries(names.map((name) => [name, 'x']))),
];

interface Asked {
  readonly layout: object;
  readonly links: Files;
  readonly form?: typeof dsse;
  readonly signers?: readonly Functionary[];
  readonly keys?: readonly Functionary[];
}
const asked = (layout: object, links: Files, more: Partial<Asked> = {}): Asked => ({ layout, links, ...more });

/** Both must say the same of these, whatever it is; `accepted` is what in-toto-golang 0.11 says. */
const CASES: readonly (readonly [name: string, accepted: boolean, asked: Asked])[] = [
  ['two steps', true, asked(two, good)],
  ['two steps, the layout in DSSE without a key in PEM', true, asked(one({}), made({ app: 'x' }), { form: dsse })],
  [
    'links in DSSE',
    true,
    asked(two, { ...link('write', bob, {}, source, dsse), ...link('build', alice, source, { app: 'x' }, dsse) }),
  ],
  [
    'another source than was written',
    false,
    asked(two, { ...good, ...link('build', alice, { ...source, 'src/a.c': 'z' }, { app: 'x' }) }),
  ],
  [
    'a material more than was written',
    false,
    asked(two, { ...good, ...link('build', alice, { ...source, 'src/c.c': 'c' }, { app: 'x' }) }),
  ],
  [
    'a product more than is allowed',
    false,
    asked(two, { ...good, ...link('build', alice, source, { app: 'x', spy: 's' }) }),
  ],
  ['a missing link', false, asked(two, link('write', bob, {}, source))],
  [
    'a link of somebody else',
    false,
    asked(two, {
      ...good,
      ...link('build', bob, source, { app: 'x' }),
      [linkName('build', alice)]: metablock(linkOf('build', source, { app: 'x' }), bob),
    }),
  ],
  ['two keys of an owner', true, asked(two, good, { signers: [owner, second], keys: [owner, second] })],
  ['one signature of two owners', false, asked(two, good, { keys: [owner, second] })],
  ['a signature of another owner', false, asked(two, good, { signers: [second] })],
  ['an expired layout', false, asked({ ...two, expires: '2020-01-01T00:00:00Z' }, good)],
  [
    'a threshold of three kinds of keys',
    true,
    asked(one({ threshold: 3 }, [alice, bob, carol]), {
      ...made({ app: 'x' }),
      ...made({ app: 'x' }, {}, bob),
      ...made({ app: 'x' }, {}, carol),
    }),
  ],
  ['a key on P-384', true, asked(one({}, [dave]), made({ app: 'x' }, {}, dave))],
  ['a threshold that is not met', false, asked(one({ threshold: 2 }, [alice, bob]), made({ app: 'x' }))],
  [
    'links that differ in a material',
    false,
    asked(one({}, [alice, bob]), { ...made({ app: 'x' }), ...made({ app: 'x' }, { a: 'a' }, bob) }),
  ],
  [
    'no hash of the other algorithm',
    false,
    asked(layoutOf([write, { ...build, products: [] }]), {
      ...link('write', bob, {}, { 'src/a': { sha256: 'ab', sha512: 'cd' } }),
      ...link('build', alice, { 'src/a': { sha256: 'ab' } }, {}),
    }),
  ],
  [
    'REQUIRE before ALLOW',
    true,
    asked(
      one({
        products: [
          ['REQUIRE', 'app'],
          ['ALLOW', '*'],
          ['DISALLOW', '*'],
        ],
      }),
      made({ app: 'x' }),
    ),
  ],
  [
    'REQUIRE after ALLOW',
    false,
    asked(
      one({
        products: [
          ['ALLOW', '*'],
          ['REQUIRE', 'app'],
        ],
      }),
      made({ app: 'x' }),
    ),
  ],
  [
    'MODIFY and DELETE',
    true,
    asked(
      one({
        materials: [
          ['DELETE', 'old'],
          ['ALLOW', 'same'],
          ['MODIFY', 'new'],
          ['DISALLOW', '*'],
        ],
        products: [
          ['MODIFY', 'new'],
          ['ALLOW', 'same'],
        ],
      }),
      made({ new: '2', same: '1' }, { old: '1', new: '1', same: '1' }),
    ),
  ],
  [
    'MODIFY of what is the same',
    false,
    asked(
      one({
        products: [
          ['MODIFY', '*'],
          ['DISALLOW', '*'],
        ],
      }),
      made({ same: '1' }, { same: '1' }),
    ),
  ],
  [
    'names with dots',
    true,
    asked(
      one({
        products: [
          ['ALLOW', './a//b'],
          ['DISALLOW', '*'],
        ],
      }),
      made({ './a/b': 'x' }),
    ),
  ],
  [
    'a MATCH that cleans the names for a later MODIFY',
    true,
    asked(
      layoutOf([
        {
          name: 'write',
          keys: [bob],
          products: [
            ['MATCH', '*', 'WITH', 'PRODUCTS', 'FROM', 'build'],
            ['ALLOW', '*'],
          ],
        },
        {
          name: 'build',
          keys: [alice],
          materials: [['MATCH', '*', 'WITH', 'MATERIALS', 'FROM', 'build']],
          products: [
            ['MATCH', 'no', 'WITH', 'MATERIALS', 'FROM', 'build'],
            ['ALLOW', '*'],
          ],
        },
      ]),
      { ...link('write', bob, {}, { './m': '1' }), ...link('build', alice, { './m': '1' }, { './m': '2' }) },
    ),
  ],
  ['a set', true, asked(...pattern('[a-c]?[!x]', 'b/y'))],
  ['a malformed set', false, asked(...pattern('[]a]', 'a'))],
  ['a star that ends inside of a character', true, asked(...pattern('*??', '€'))],
  ['a question mark for one character of several bytes', true, asked(...pattern('?', 'é'))],
  ['two question marks for it', false, asked(...pattern('??', 'é'))],
  ['an escaped star', false, asked(...pattern('\\*', 'a'))],
  ['stars in a row', true, asked(...pattern('**b**', 'abc', 'b'))],
  [
    'a sublayout',
    true,
    asked(
      one({
        products: [
          ['ALLOW', 'app'],
          ['DISALLOW', '*'],
        ],
      }),
      {
        [linkName('build', alice)]: metablock(
          layoutOf([
            {
              name: 'inner',
              keys: [bob],
              products: [
                ['CREATE', 'app'],
                ['DISALLOW', '*'],
              ],
            },
          ]),
          alice,
        ),
        ...below('build', alice, link('inner', bob, {}, { app: 'x' })),
      },
    ),
  ],
  [
    'a sublayout whose products are others',
    false,
    asked(
      one({
        products: [
          ['ALLOW', 'app'],
          ['DISALLOW', '*'],
        ],
      }),
      {
        [linkName('build', alice)]: metablock(layoutOf([{ name: 'inner', keys: [bob] }]), alice),
        ...below('build', alice, link('inner', bob, {}, { spy: 'x' })),
      },
    ),
  ],
  [
    'an expired sublayout',
    false,
    asked(one({}), {
      [linkName('build', alice)]: metablock(
        { ...layoutOf([{ name: 'inner', keys: [bob] }]), expires: '2020-01-01T00:00:00Z' },
        alice,
      ),
      ...below('build', alice, link('inner', bob, {}, { app: 'x' })),
    }),
  ],
  [
    'texts with quotes, backslashes, line feeds and signs of HTML',
    true,
    asked({ ...two, readme: 'a "b" \\ \n <&> \u2028 é \u{1f600}' }, good),
  ],
];

describe.skipIf(missing)('in-toto-golang', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let count = 0;
  beforeAll(async () => {
    dir = await tempDir();
  });
  afterAll(() => dir.remove());

  function place(files: Readonly<Record<string, string | Uint8Array>>): (name: string) => string {
    const root = join(dir.path, String(count++));
    const at = (name: string) => join(root, name);
    mkdirSync(at('links'), { recursive: true });
    mkdirSync(at('product'));
    for (const [name, bytes] of Object.entries(files)) {
      mkdirSync(dirname(at(name)), { recursive: true });
      writeFileSync(at(name), bytes);
    }
    return at;
  }

  /** What in-toto-golang and Stele say of the layout in a folder. */
  async function verdicts(at: (name: string) => string, keys: readonly string[]) {
    const theirs = keys.flatMap((key) => ['--layout-keys', at(key)]);
    const go = await run(
      'in-toto-golang',
      ['verify', '--layout', at('root.layout'), '--link-dir', at('links'), ...theirs],
      {
        cwd: at('product'),
      },
    );
    const ours = keys.flatMap((key) => ['--layout-key', at(key)]);
    const own = await stele(['decide', '--layout', at('root.layout'), '--links', at('links'), ...ours, '--json']);
    const said = `${go.stdout}${go.stderr}\n${own.stdout}${own.stderr}`;
    expect(own.code === 0 || own.code === 1, said).toBe(true);
    return { theirs: go.code === 0, ours: own.code === 0, said };
  }

  it.each(CASES)(
    'and Stele agree on %s',
    async (_, accepted, { layout, links, form = metablock, signers = [owner], keys = [owner] }) => {
      const named = keys.map((key, at) => [`owner${at}.pub`, key.publicPem] as const);
      const files = Object.fromEntries(Object.entries(links).map(([name, bytes]) => [`links/${name}`, bytes]));
      const at = place({ 'root.layout': form(layout, ...signers), ...Object.fromEntries(named), ...files });
      const { theirs, ours, said } = await verdicts(
        at,
        named.map(([name]) => name),
      );
      expect({ theirs, ours }, said).toEqual({ theirs: accepted, ours: accepted });
    },
  );

  it('accepts what Stele refuses on purpose: another step in a link, two steps of one name, no steps, no hash', async () => {
    const stricter: readonly (readonly [string, object, Files])[] = [
      ['link-name', one({}), { [linkName('build', alice)]: metablock(linkOf('test', {}, { app: 'x' }), alice) }],
      [
        'layout-format',
        layoutOf([
          { name: 'build', keys: [alice] },
          { name: 'build', keys: [alice] },
        ]),
        made({ app: 'x' }),
      ],
      ['no-steps', layoutOf([]), {}],
      ['link-artifacts', one({}), made({ app: {} })],
    ];
    for (const [code, layout, links] of stricter) {
      const files = Object.fromEntries(Object.entries(links).map(([name, bytes]) => [`links/${name}`, bytes]));
      const at = place({ 'root.layout': metablock(layout, owner), 'owner.pub': owner.publicPem, ...files });
      const { theirs, ours, said } = await verdicts(at, ['owner.pub']);
      expect({ code, theirs, ours }, said).toEqual({ code, theirs: true, ours: false });
      expect(said).toContain(`"code": "${code}"`);
    }
  });

  it.each([
    ['dsse', bob],
    ['metablock', bob],
    ['dsse', carol],
    ['metablock', alice],
    ['metablock', dave],
  ] as const)(
    'takes the links that stele record makes in the form %s, and refuses a changed product',
    async (form, by) => {
      const at = place({
        'key.pem': by.privatePem,
        'owner.pub': owner.publicPem,
        'product/src/a.c': 'int main;',
        'root.layout': metablock(
          layoutOf([
            {
              name: 'compile',
              keys: [by],
              materials: [
                ['ALLOW', 'src/*'],
                ['DISALLOW', '*'],
              ],
              products: [
                ['CREATE', 'a.o'],
                ['DISALLOW', '*'],
              ],
            },
            {
              name: 'pack',
              keys: [by],
              materials: [
                ['MATCH', 'a.o', 'WITH', 'PRODUCTS', 'FROM', 'compile'],
                ['DISALLOW', '*'],
              ],
              products: [['CREATE', 'app']],
            },
          ]),
          owner,
        ),
      });
      chmodSync(at('key.pem'), 0o600);
      const record = async (step: string, from: string, to: string) => {
        const ran = await stele(
          [
            'record',
            '-n',
            step,
            '-m',
            from,
            '-p',
            to,
            '--key',
            at('key.pem'),
            '--no-log',
            '--record-streams',
            '--link-dir',
            at('links'),
            '--link-form',
            form,
            '--',
            'sh',
            '-c',
            `cat ${from}* > ${to}; echo "<made> ${to}"`,
          ],
          { cwd: at('product') },
        );
        expect(ran.code, ran.stderr).toBe(0);
      };
      await record('compile', 'src/', 'a.o');
      await record('pack', 'a.o', 'app');
      const first = await verdicts(at, ['owner.pub']);
      expect(first, first.said).toMatchObject({ theirs: true, ours: true });
      writeFileSync(at('product/a.o'), 'changed between the steps');
      await record('pack', 'a.o', 'app');
      const changed = await verdicts(at, ['owner.pub']);
      expect(changed, changed.said).toMatchObject({ theirs: false, ours: false });
    },
  );
});
