import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LAYOUT_REASONS, type LayoutVerdict } from '../../../../../merkle/runtime/policy/layout/types.ts';
import { verifyLayout as verifyAll } from '../../../../../merkle/runtime/policy/layout/verify-layout.ts';
import {
  type Contents,
  dsse,
  type Functionary,
  type FunctionaryKind,
  folderOf,
  layoutOf,
  linkName,
  linkOf,
  metablock,
  newFunctionary,
  type StepPlan,
} from '../../../../support/layout-maker.ts';

const verifyLayout = (...given: Parameters<typeof verifyAll>) => verifyAll(...given).verdict;
const owner = newFunctionary();
const [alice, bob, carol] = [newFunctionary(), newFunctionary('P-256'), newFunctionary('P-384')];
const NOW = Date.UTC(2026, 7, 1);

type Files = Readonly<Record<string, Uint8Array>>;
const linkFile = (step: string, by: Functionary, materials: Contents, products: Contents, more?: object): Files => ({
  [linkName(step, by)]: metablock(linkOf(step, materials, products, more), by),
});
const verify = (layout: unknown, files: Files, keys: readonly Functionary[] = [owner]): LayoutVerdict =>
  verifyLayout(
    layout instanceof Uint8Array ? layout : metablock(layout, ...keys),
    keys.map(({ info }) => info),
    folderOf(files),
    { now: NOW },
  );

/** The codes of the layout's and the steps' reasons. */
const codes = ({ reasons, steps }: LayoutVerdict) =>
  [...reasons, ...steps.flatMap((step) => step.reasons)].map(({ code }) => code);
/** The codes of all links of all steps. */
const linkCodes = ({ steps }: LayoutVerdict) =>
  steps.flatMap(({ links }) => links.flatMap(({ reasons }) => reasons.map(({ code }) => code)));

const plan: StepPlan = {
  name: 'build',
  keys: [alice],
  products: [
    ['ALLOW', 'app'],
    ['DISALLOW', '*'],
  ],
};
const good = layoutOf([plan]);
const app = linkFile('build', alice, {}, { app: 'a' });

describe('a layout', () => {
  it('is accepted with the link that it asks for', () => {
    const verdict = verify(good, app);
    expect(verdict).toMatchObject({
      accepted: true,
      reasons: [],
      steps: [{ name: 'build', holds: true, reasons: [] }],
    });
    expect(verdict.steps[0]!.links[0]).toMatchObject({ keyId: alice.keyId, holds: true });
    expect(verdict.steps[0]!.links[0]!.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
  });

  it.each<FunctionaryKind>(['ed25519', 'P-256', 'P-384', 'P-521', 'rsa'])(
    'is accepted with keys of %s in both forms',
    (kind) => {
      const [boss, by] = [newFunctionary(kind), newFunctionary(kind)];
      const layout = layoutOf([{ ...plan, keys: [by] }]);
      const link = linkOf('build', {}, { app: 'a' });
      for (const form of [metablock, dsse]) {
        const files = { [linkName('build', by)]: form(link, by) };
        expect(verify(form(layout, boss), files, [boss]).accepted, form.name).toBe(true);
        expect(codes(verify(form(layout, by), files, [boss]))).toEqual(['layout-signature']);
        const stranger = { [linkName('build', by)]: form(link, { ...newFunctionary(kind), keyId: by.keyId }) };
        expect(codes(verify(form(layout, boss), stranger, [boss]))).toEqual(['threshold']);
      }
    },
  );

  it.each<[string, object]>([
    ['an unknown field', { more: 1 }],
    ['an unknown field of a step', { steps: [{ ...(good.steps as object[])[0], Threshold: 1 }] }],
    ['a threshold of 0', { steps: [{ ...(good.steps as object[])[0], threshold: 0 }] }],
    ['a threshold that is a text', { steps: [{ ...(good.steps as object[])[0], threshold: '1' }] }],
    ['two steps of one name', { steps: [(good.steps as object[])[0], (good.steps as object[])[0]] }],
    ['a step whose name climbs', { steps: [{ ...(good.steps as object[])[0], name: '../build' }] }],
    ['a step whose name is a pattern', { steps: [{ ...(good.steps as object[])[0], name: 'b?ild' }] }],
    ['a step without a name', { steps: [{ ...(good.steps as object[])[0], name: '' }] }],
    ['a rule without words', { steps: [{ ...(good.steps as object[])[0], expected_products: [[]] }] }],
    ['a rule of one word', { steps: [{ ...(good.steps as object[])[0], expected_products: [['ALLOW']] }] }],
    [
      'MATCH with a word that is none',
      {
        steps: [
          { ...(good.steps as object[])[0], expected_products: [['MATCH', '*', 'WITH', 'THINGS', 'FROM', 'build']] },
        ],
      },
    ],
    ['certificates', { steps: [{ ...(good.steps as object[])[0], cert_constraints: [{ common_name: '*' }] }] }],
    ['certificate authorities', { rootcas: { a: {} } }],
    ['a key under another id', { keys: { ab: alice.json } }],
    ['a private key', { keys: { [alice.keyId]: { ...alice.json, keyval: { public: 'aa', private: 'bb' } } } }],
    ['no end', { expires: undefined }],
    ['an end that does not exist', { expires: '2099-02-30T00:00:00Z' }],
    ['an end in lower case', { expires: '2099-01-01t00:00:00z' }],
    ['an end with an offset', { expires: '2099-01-01T00:00:00+00:00' }],
  ])('is refused with %s', (_, change) => {
    const verdict = verify({ ...good, ...change }, app);
    expect(codes(verdict)).toEqual(['layout-format']);
    expect(verdict.accepted).toBe(false);
  });

  it('is refused without steps, with inspections, after its end, and where it is a link', () => {
    expect(codes(verify({ ...good, steps: [] }, app))).toEqual(['no-steps']);
    expect(codes(verify({ ...good, inspect: [{ _type: 'inspection', name: 'x', run: ['true'] }] }, app))).toEqual([
      'inspections',
    ]);
    expect(codes(verify({ ...good, expires: '2026-07-31T23:59:59.999Z' }, app))).toEqual(['layout-expired']);
    expect(verify({ ...good, expires: '2026-08-01T00:00:00.123456789123Z' }, app).accepted).toBe(true);
    expect(codes(verify(linkOf('build', {}, {}), app))).toEqual(['layout-format']);
  });

  it('is refused where a given key has not signed it, or none is given', () => {
    const bytes = metablock(good, owner);
    const refused = (keys: readonly Functionary[]) =>
      verifyLayout(
        bytes,
        keys.map(({ info }) => info),
        folderOf(app),
        { now: NOW },
      );
    expect(codes(refused([owner, alice]))).toEqual(['layout-signature']);
    expect(codes(refused([]))).toEqual(['layout-signature']);
    expect(refused([owner]).accepted).toBe(true);
  });

  it('is refused where a byte of it or of its signature is another', () => {
    const bytes = metablock(good, owner);
    const changed = (from: string, to: string) => Buffer.from(bytes.toString().replace(from, to));
    expect(codes(verify(changed('"ALLOW"', '"allow"'), app))).toEqual(['layout-signature']);
    expect(codes(verify(changed('"readme": ""', '"readme": "x"'), app))).toEqual(['layout-signature']);
    // White space is not signed in a metablock.
    expect(verify(changed('"readme": ""', '"readme"   :   ""'), app).accepted).toBe(true);
  });

  it.each([
    ['no JSON', 'layout'],
    ['nothing', ''],
    ['a repeated field', '{"signed":{},"signed":{},"signatures":[]}'],
    ['no signatures', '{"signed":{"_type":"layout"}}'],
    ['another payload type', '{"payloadType":"text/plain","payload":"e30=","signatures":[]}'],
    ['a payload that is no base64', '{"payloadType":"application/vnd.in-toto+json","payload":"*","signatures":[]}'],
    [
      'a statement',
      JSON.stringify({
        payloadType: 'application/vnd.in-toto+json',
        payload: Buffer.from('{"_type":"https://in-toto.io/Statement/v1"}').toString('base64'),
        signatures: [],
      }),
    ],
    ['100,000 brackets', '['.repeat(100_000)],
    ['null', 'null'],
    ['a list', '[]'],
  ])('is refused where the file is %s', (_, text) => {
    expect(codes(verify(Buffer.from(text), app))).toEqual(['layout-format']);
  });
});

describe('a link', () => {
  it('of another name is refused, although its functionary signed it', () => {
    const verdict = verify(good, { [linkName('build', alice)]: metablock(linkOf('test', {}, { app: 'a' }), alice) });
    expect(codes(verdict)).toEqual(['link-name', 'threshold']);
    // Also where another one would do.
    const two = layoutOf([{ ...plan, keys: [alice, bob] }]);
    const files = { ...app, [linkName('build', bob)]: metablock(linkOf('test', {}, { app: 'a' }), bob) };
    expect(codes(verify(two, files))).toEqual(['link-name']);
  });

  it.each<[string, Uint8Array]>([
    ['an unknown field', metablock(linkOf('build', {}, { app: 'a' }, { more: 1 }), alice)],
    ['a missing field', metablock(linkOf('build', {}, { app: 'a' }, { command: undefined }), alice)],
    ['products that are a list', metablock(linkOf('build', {}, {}, { products: [] }), alice)],
    ['a hash that is a number', metablock(linkOf('build', {}, { app: { sha256: 1 } }), alice)],
    ['a number with a fraction', metablock(linkOf('build', {}, { app: 'a' }), alice).fill('0.5', 0, 0)],
    ['no JSON', Buffer.from('link')],
  ])('with %s is passed over', (what, bytes) => {
    const text =
      what === 'a number with a fraction'
        ? Buffer.from(bytes.toString().replace('"return-value": 0', '"return-value": 0.5'))
        : bytes;
    const verdict = verify(good, { [linkName('build', alice)]: text });
    expect(linkCodes(verdict)).toEqual(['link-format']);
    expect(codes(verdict)).toEqual(['threshold']);
  });

  it('of somebody else, of another key, or changed after signing, is passed over', () => {
    const bytes = app[linkName('build', alice)]!;
    const changed = Buffer.from(Buffer.from(bytes).toString().replace('"stdout": ""', '"stdout": "x"'));
    for (const files of [
      { [linkName('build', bob)]: metablock(linkOf('build', {}, { app: 'a' }), bob) },
      { [linkName('build', alice)]: metablock(linkOf('build', {}, { app: 'a' }), bob) },
      { [linkName('build', alice)]: changed },
      { [linkName('build', alice)]: metablock(linkOf('build', {}, { app: 'a' })) },
    ]) {
      const verdict = verify(good, files);
      expect(linkCodes(verdict)).toEqual(['link-signature']);
      expect(codes(verdict)).toEqual(['threshold']);
    }
  });

  it('with an artifact without a hash, or one under two names, is refused', () => {
    expect(codes(verify(good, linkFile('build', alice, {}, { app: {} })))).toEqual(['link-artifacts', 'threshold']);
    expect(codes(verify(good, linkFile('build', alice, {}, { app: 'a', './app': 'b' })))).toEqual([
      'link-artifacts',
      'threshold',
    ]);
  });

  it('is signed by DSSE under any key id, but not found without one', () => {
    const envelope = JSON.parse(dsse(linkOf('build', {}, { app: 'a' }), alice).toString());
    const nameless = { ...envelope, signatures: [{ sig: envelope.signatures[0].sig }] };
    expect(codes(verify(good, { [linkName('build', alice)]: Buffer.from(JSON.stringify(nameless)) }))).toEqual([
      'threshold',
    ]);
    const root = JSON.parse(dsse(good, owner).toString());
    const file = Buffer.from(JSON.stringify({ ...root, signatures: [{ sig: root.signatures[0].sig }] }));
    expect(verify(file, app).accepted).toBe(true);
  });

  it('keeps the digits of its numbers under the signature', () => {
    const signed = metablock(linkOf('build', {}, { app: 'a' }, { byproducts: { size: 1 } }), alice).toString();
    const by = (size: string) => Buffer.from(signed.replace('"size": 1', `"size": ${size}`));
    expect(verify(good, { [linkName('build', alice)]: by('1') }).accepted).toBe(true);
    for (const size of ['1.0', '9007199254740993', '18446744073709551616', '1e0']) {
      expect(verify(good, { [linkName('build', alice)]: by(size) }).accepted, size).toBe(false);
    }
  });
});

describe('thresholds', () => {
  const two = layoutOf([{ ...plan, keys: [alice, bob, carol], threshold: 2 }]);
  it('count functionaries, and all their links must name the same', () => {
    const by = (who: Functionary, content = 'a') => linkFile('build', who, {}, { app: content });
    expect(verify(two, { ...by(alice), ...by(carol) }).accepted).toBe(true);
    expect(codes(verify(two, by(alice)))).toEqual(['threshold']);
    expect(codes(verify(two, { ...by(alice), ...by(bob, 'b') }))).toEqual(['links-differ']);
    expect(codes(verify(two, { ...by(alice), ...by(bob), ...by(carol, 'b') }))).toEqual(['links-differ']);
    const stranger = newFunctionary();
    expect(verify(two, { ...by(alice), ...by(bob), ...by(stranger, 'b') }).accepted).toBe(true);
  });

  it('count one key once, whatever key ids a layout gives it', () => {
    const again: Functionary = {
      ...alice,
      keyId: `ab${alice.keyId.slice(2)}`,
      json: { ...alice.json, keyid: `ab${alice.keyId.slice(2)}` },
    };
    const layout = layoutOf([{ ...plan, keys: [alice, again], threshold: 2 }]);
    const verdict = verify(layout, { ...app, ...linkFile('build', again, {}, { app: 'a' }) });
    expect(codes(verdict)).toEqual(['same-key', 'threshold']);
  });

  it('do not count a key that cannot be used', () => {
    for (const json of [
      { ...alice.json, keytype: 'ecdsa-sha2-nistp256' },
      { ...alice.json, scheme: 'rsassa-pss-sha256' },
      { ...alice.json, keyval: { public: '00'.repeat(32) } },
      { ...alice.json, keytype: 'rsa', scheme: 'rsassa-pss-sha256', keyval: { public: bob.publicPem } },
    ]) {
      const verdict = verify({ ...good, keys: { [alice.keyId]: json } }, app);
      expect(codes(verdict)).toEqual(['threshold']);
      expect(verdict.steps[0]!.links[0]!.reasons[0]!.message).toMatch(/cannot be used/);
    }
  });
});

describe('sublayouts', () => {
  const inner = layoutOf([
    {
      name: 'compile',
      keys: [bob],
      products: [
        ['CREATE', 'a.o'],
        ['DISALLOW', '*'],
      ],
    },
    {
      name: 'join',
      keys: [bob],
      materials: [
        ['MATCH', 'a.o', 'WITH', 'PRODUCTS', 'FROM', 'compile'],
        ['DISALLOW', '*'],
      ],
    },
  ]);
  const below = `${linkName('build', alice).slice(0, -'.link'.length)}/`;
  const at = (files: Files): Files =>
    Object.fromEntries(Object.entries(files).map(([name, bytes]) => [`${below}${name}`, bytes]));
  const links = {
    ...at(linkFile('compile', bob, { 'a.c': 'c' }, { 'a.o': 'o' })),
    ...at(linkFile('join', bob, { 'a.o': 'o' }, { app: 'a' })),
  };

  it('stand for a link with the materials of their first step and the products of the last', () => {
    const files = { [linkName('build', alice)]: metablock(inner, alice), ...links };
    const verdict = verify(
      layoutOf([
        {
          ...plan,
          materials: [
            ['ALLOW', 'a.c'],
            ['DISALLOW', '*'],
          ],
        },
      ]),
      files,
    );
    expect(verdict.accepted, JSON.stringify(verdict)).toBe(true);
    expect(verdict.steps[0]!.links[0]!.sublayout).toMatchObject({
      accepted: true,
      steps: [{ name: 'compile' }, { name: 'join' }],
    });
    expect(codes(verify(layoutOf([{ ...plan, materials: [['DISALLOW', '*']] }]), files))).toEqual(['disallow']);
  });

  it('are refused without their links, by another key, after their end, and with inspections', () => {
    const under = (layout: object, by: Functionary = alice, more: Files = links) =>
      verify(good, { [linkName('build', alice)]: metablock(layout, by), ...more });
    expect(under(inner).accepted).toBe(true);
    expect(codes(under(inner, alice, {}))).toEqual(['sublayout', 'threshold']);
    expect(codes(under(inner, bob))).toEqual(['threshold']);
    expect(codes(under({ ...inner, expires: '2020-01-01T00:00:00Z' }))).toEqual(['sublayout', 'threshold']);
    expect(linkCodes(under({ ...inner, inspect: [{}] }))).toEqual(['inspections']);
    expect(under({ ...inner, inspect: [{}] }).accepted).toBe(false);
  });

  it('end at a depth, also where a folder leads back to itself', () => {
    const self = layoutOf([{ name: 'build', keys: [alice] }]);
    const bytes = metablock(self, alice);
    const file = { name: linkName('build', alice), read: () => bytes };
    const folder = { linksOf: () => [file], below: () => folder };
    const verdict = verifyLayout(metablock(self, owner), [owner.info], folder, { now: NOW });
    expect(verdict.accepted).toBe(false);
    expect(JSON.stringify(verdict)).toContain('more than 8 layouts inside of each other');
  });
});

describe('bounds', () => {
  it('end patterns that take long, and deny', () => {
    const pattern = `${'*a'.repeat(400)}b`;
    const products = Object.fromEntries(Array.from({ length: 400 }, (_, at) => [`${'a'.repeat(2_000)}${at}`, 'a']));
    const layout = layoutOf([{ ...plan, products: [...Array(300).fill(['CREATE', pattern]), ['ALLOW', '*']] }]);
    expect(codes(verify(layout, linkFile('build', alice, {}, products)))).toEqual(['limit']);
  });

  it('end a folder of too many links', () => {
    const file = { name: linkName('build', alice), read: () => app[linkName('build', alice)]! };
    const folder = { linksOf: () => Array(5_001).fill(file), below: () => folder };
    const verdict = verifyLayout(metablock(good, owner), [owner.info], folder, { now: NOW });
    expect(codes(verdict)).toContain('limit');
    expect(verdict.accepted).toBe(false);
  }, 60_000);

  it('end a folder of too many bytes before the next file is read', () => {
    let read = 0;
    const big = Buffer.alloc(30 * 1024 * 1024, ' ');
    const next = () => {
      read += 1;
      return big;
    };
    const file = { name: linkName('build', alice), read: next };
    const folder = { linksOf: () => Array(1_000).fill(file), below: () => folder };
    const verdict = verifyLayout(metablock(good, owner), [owner.info], folder, { now: NOW });
    expect(codes(verdict)).toContain('limit');
    expect(read).toBe(9);
  }, 60_000);

  it('end an envelope of many signatures without a key id', () => {
    const envelope = JSON.parse(dsse(good, owner).toString());
    const [{ sig }] = envelope.signatures;
    const after = (count: number) =>
      Buffer.from(JSON.stringify({ ...envelope, signatures: [...Array(count).fill({ sig: 'AAAA' }), { sig }] }));
    expect(verify(after(15), app).accepted).toBe(true);
    expect(codes(verify(after(16), app))).toEqual(['layout-signature']);
  });

  it('print no text of others as it is', () => {
    const verdict = verify(good, linkFile('build', alice, {}, { '\u001b[2J\n': 'a' }));
    expect(verdict.accepted).toBe(false);
    expect(verdict.steps[0]!.reasons[0]!.message).not.toContain('\u001b');
  });
});

describe('a log', () => {
  it('is asked about each link of a functionary, and a link outside of it denies', () => {
    const asked: string[] = [];
    const verdict = (answer: string | undefined) =>
      verifyLayout(
        metablock(good, owner),
        [owner.info],
        folderOf({ ...app, ...linkFile('build', bob, {}, { app: 'b' }) }),
        {
          now: NOW,
          unlogged: ({ name }, { products }, { keyId }) => {
            asked.push(`${name} ${[...products.keys()]} ${keyId}`);
            return answer;
          },
        },
      );
    expect(verdict(undefined).accepted).toBe(true);
    expect(asked).toEqual([`${linkName('build', alice)} app ${alice.keyId}`]);
    expect(codes(verdict('no log has it'))).toEqual(['not-logged', 'threshold']);
  });
});

it('the reasons of layouts are in docs/policy.md', () => {
  const docs = readFileSync(join(import.meta.dirname, '../../../../../docs/policy.md'), 'utf8');
  const section = docs.slice(docs.indexOf('## in-toto layouts'), docs.indexOf('### Record a step'));
  const rows = [...section.matchAll(/^\| `([a-z-]+)` \| (.*) \|$/gm)].map(([, code, when]) => [code, when]);
  expect(Object.fromEntries(rows)).toEqual(LAYOUT_REASONS);
});
