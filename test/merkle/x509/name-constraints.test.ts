import { describe, expect, it } from 'vitest';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { type Certificate, isSelfIssued } from '../../../merkle/x509/certificate.ts';
import { verifyChain } from '../../../merkle/x509/certificate-chain.ts';
import { brokenConstraint } from '../../../merkle/x509/name-constraints.ts';
import { constrainedRoot, generalName, NAMES, nameConstraints, SIDES, SUBTREES } from './constraint-cases.ts';
import { GO_VERDICTS } from './go-verdicts.ts';
import {
  type Authority,
  der,
  type Extension,
  issueCa,
  issueLeaf,
  newKeys,
  oid,
  sequence,
  utf8,
  type Wish,
} from './make.ts';
import { OPENSSL_VERDICTS } from './openssl-verdicts.ts';

const AT = Date.parse('2030-01-01T00:00:00Z');

/** Why a path from `leaf` over `middle` to `root` is refused; undefined if it holds. */
function refusal(root: Authority, leaf: Certificate, ...middle: Authority[]): string | undefined {
  const intermediates = middle.map(({ certificate }) => certificate);
  try {
    verifyChain(leaf, { intermediates, roots: [root.certificate] }, AT, nodePrimitives());
    return undefined;
  } catch (error) {
    expect(error).toMatchObject({ name: 'MerkleError' });
    return (error as Error).message;
  }
}

const leafOf = (by: Authority, names: readonly string[], more: Wish = {}) =>
  issueLeaf(by, { name: '', names: names.map(generalName), ...more });

describe("name constraints have Go's verdict, and OpenSSL's", () => {
  /** An IPv4 address in the form of IPv6. Go excludes it by no range; here a range of either form excludes it. */
  const MAPPED = 'ip:00000000000000000000ffffc0000201';
  const keys = newKeys();
  const leafKeys = newKeys();
  const leaves = NAMES.map((name) =>
    leafOf({ ...issueCa('constrained', undefined, { keys }), keys }, [name], { keys: leafKeys }),
  );

  it.each(SIDES.flatMap((side) => SUBTREES.map((subtree) => `${side} ${subtree}`)))('%s', (row) => {
    const [side, subtree] = [row.slice(0, row.indexOf(' ')), row.slice(row.indexOf(' ') + 1)];
    const constraint = side === 'permitted' ? nameConstraints([subtree]) : nameConstraints([], [subtree]);
    const root = issueCa('constrained', undefined, { keys, extensions: [constraint] });
    const [byGo, byOpenssl] = [GO_VERDICTS[row], OPENSSL_VERDICTS[row]];
    expect(byGo).toMatch(/^(-|[01]+)$/);
    expect(byOpenssl).toMatch(/^[01]+$/);
    const taken = NAMES.filter((_, at) => refusal(root, leaves[at]!) === undefined);
    const isStricter = /^excluded ip:(?:c00002|0000)/.test(row);
    expect(taken).toEqual(
      NAMES.filter((name, at) => byGo![at] === '1' && byOpenssl![at] === '1' && !(isStricter && name === MAPPED)),
    );
  });

  it('for each name of a certificate, with several subtrees', () => {
    const root = constrainedRoot(
      ['uri:example.com', 'uri:.example.com', 'uri:example.org', 'email:ann@example.com'],
      ['uri:evil.example.com'],
    );
    expect(refusal(root, leafOf(root, ['uri:https://example.com/', 'uri:spiffe://example.org/x']))).toBeUndefined();
    expect(refusal(root, leafOf(root, ['email:ann@example.com', 'dns:anything']))).toBeUndefined();
    const broken: [string[], RegExp][] = [
      [
        ['uri:https://example.com/', 'uri:https://example.net/'],
        /"https:\/\/example\.net\/", which its authority may not/,
      ],
      [
        ['uri:https://evil.example.com/'],
        /which its authority must not certify \(name constraints of "CN=constrained"\)/,
      ],
      [['email:bob@example.com'], /e-mail address "bob@example\.com"/],
      [['uri:urn:x'], /"urn:x", which has no host name, which cannot be compared/],
      [['email:ann'], /"ann", which is no e-mail address/],
      [['dns:example.com.'], /"example\.com\.", which is no host name/],
    ];
    for (const [names, why] of broken) expect(refusal(root, leafOf(root, names))).toMatch(why);
  });
});

describe('name constraints', () => {
  const inner = constrainedRoot(['uri:example.com', 'uri:a.example.com']);
  const middleOf = (by: Authority, name: string, more: Wish = {}) => issueCa(name, by, more);

  it('hold for every certificate below, and those of every authority above', () => {
    const below = middleOf(inner, 'below', { extensions: [nameConstraints(['uri:a.example.com'])] });
    expect(refusal(inner, leafOf(below, ['uri:https://a.example.com/']), below)).toBeUndefined();
    expect(refusal(inner, leafOf(below, ['uri:https://b.example.com/']), below)).toMatch(/of "CN=below"/);
    // A constraint below does not widen that above.
    const wider = middleOf(inner, 'wider', { extensions: [nameConstraints(['uri:example.org'])] });
    expect(refusal(inner, leafOf(wider, ['uri:https://example.org/']), wider)).toMatch(/of "CN=constrained"/);
    const named = middleOf(inner, 'named', { names: [generalName('uri:https://example.org/')] });
    expect(refusal(inner, leafOf(named, ['uri:https://example.com/']), named)).toMatch(
      /^the certificate of "CN=named"/,
    );
  });

  it('do not hold for the certificate that bears them', () => {
    const root = issueCa('root');
    const constraint = nameConstraints(['uri:example.com']);
    const own = middleOf(root, 'own', { extensions: [constraint], names: [generalName('uri:https://example.org/')] });
    expect(refusal(root, leafOf(own, ['uri:https://example.com/']), own)).toBeUndefined();
  });

  it('do not hold for self-issued certificates, except the leaf', () => {
    const names = [generalName('uri:https://example.org/')];
    const selfIssued = issueCa('constrained', inner, { names }).certificate;
    expect(isSelfIssued(selfIssued)).toBe(true);
    const leaf = leafOf(inner, ['uri:https://example.com/']);
    expect(brokenConstraint([leaf, selfIssued, inner.certificate])).toBeUndefined();
    const selfIssuedLeaf = issueLeaf(inner, { name: 'constrained', names });
    expect(brokenConstraint([selfIssuedLeaf, inner.certificate])?.certificate).toBe(selfIssuedLeaf);
    const other = issueCa('other', inner, { names }).certificate;
    expect(brokenConstraint([leaf, other, inner.certificate])?.certificate).toBe(other);
  });

  it('leave another path to a root', () => {
    const free = issueCa('root');
    const keys = newKeys();
    const under = (root: Authority) => issueCa('middle', root, { keys });
    const strict = constrainedRoot(['uri:example.com']);
    const [one, two] = [under(strict), under(free)];
    const leaf = leafOf(one, ['uri:https://example.org/']);
    expect(refusal(strict, leaf, one)).toMatch(/may not certify/);
    expect(refusal(free, leaf, one, two)).toBeUndefined();
  });

  it('of a kind that cannot be judged refuse all certificates where they are critical, and the names of that kind', () => {
    for (const subtree of ['dir:ann', 'other:ann', 'id:1.2.3']) {
      for (const lists of [[[subtree]], [[], [subtree]]] as const) {
        const critical = constrainedRoot(lists[0], lists[1]);
        expect(refusal(critical, leafOf(critical, ['uri:https://example.com/']))).toMatch(/of a kind that/);
        const loose = constrainedRoot(lists[0], lists[1], false);
        expect(refusal(loose, leafOf(loose, ['uri:https://example.com/']))).toBeUndefined();
        expect(refusal(loose, leafOf(loose, [subtree]))).toMatch(/of a kind that/);
      }
    }
    const directory = constrainedRoot(['dir:ann'], [], false);
    expect(refusal(directory, leafOf(directory, ['dns:example.com'], { name: 'ann' }))).toMatch(/of a kind that/);
  });

  it("leave no room for Fulcio's user names, which neither OpenSSL nor Go can be told to bound", () => {
    const names = (id: string) => ({ names: [der(0xa0, oid(id), der(0xa0, utf8('ann!example.com')))] });
    const [userName, account] = [names('1.3.6.1.4.1.57264.1.7'), names('1.3.6.1.4.1.311.20.2.3')];
    for (const permitted of ['uri:example.com', 'email:example.com', 'dns:example.com', 'ip:c0000200ffffff00']) {
      const team = constrainedRoot([permitted]);
      expect(refusal(team, leafOf(team, [], userName))).toMatch(
        /names the user name "ann!example.com", a kind of name that its authority is not for/,
      );
      // The account of a directory is nobody's identity as a signer.
      expect(refusal(team, leafOf(team, [], account))).toBeUndefined();
    }
    const beside = constrainedRoot(['uri:example.com']);
    const both = { names: [generalName('uri:https://example.com/'), ...userName.names] };
    expect(refusal(beside, leafOf(beside, [], both))).toMatch(/user name/);
    // Such an authority is for all names but these.
    const others = constrainedRoot([], ['uri:example.com']);
    expect(refusal(others, leafOf(others, [], userName))).toBeUndefined();
    const free = issueCa('free');
    expect(refusal(free, leafOf(free, [], userName))).toBeUndefined();
  });

  const inSubject = (type: string, value: Buffer) => ({
    subject: sequence(der(0x31, sequence(oid(type), value))),
  });
  const verdict = (leaf: Certificate, by: Authority) => brokenConstraint([leaf, by.certificate])?.why;

  it('for e-mail hold for the subject too, as OpenSSL has it', () => {
    const root = constrainedRoot(['email:example.com']);
    const leafFor = (address: string, more: Wish = {}): Certificate =>
      issueLeaf(root, { ...inSubject('1.2.840.113549.1.9.1', der(0x16, Buffer.from(address))), ...more });
    expect(verdict(leafFor('ann@example.com'), root)).toBeUndefined();
    expect(verdict(leafFor('ann@example.org'), root)).toMatch(/"ann@example\.org"/);
    const names = [generalName('email:ann@example.com')];
    expect(verdict(leafFor('ann@example.org', { names }), root)).toMatch(/"ann@example\.org"/);
    expect(verdict(leafFor('ann@example.com', { names }), root)).toBeUndefined();
  });

  it('for hosts hold for the common name of a leaf that names no other host, as OpenSSL has it', () => {
    const root = constrainedRoot(['dns:example.com']);
    const leafFor = (name: string, more: Wish = {}): Certificate =>
      issueLeaf(root, { ...inSubject('2.5.4.3', der(0x0c, Buffer.from(name))), ...more });
    for (const name of [
      'example.com',
      'www.example.com',
      'ann',
      'a-.b',
      'a..b',
      '.example.org',
      'example.org.',
      'a b.c',
      '',
    ]) {
      expect(verdict(leafFor(name), root), name).toBeUndefined();
    }
    for (const name of ['example.org', 'a_b.c-d', 'WWW.EXAMPLE.ORG']) {
      expect(verdict(leafFor(name), root), name).toContain(`"${name}"`);
    }
    expect(verdict(leafFor('example.org', { names: [generalName('uri:https://a/')] }), root)).toMatch(/"example\.org"/);
    expect(verdict(leafFor('example.org', { names: [generalName('dns:example.com')] }), root)).toBeUndefined();
  });

  it.each<[string, Extension]>([
    ['nothing', { oid: '2.5.29.30', value: sequence() }],
    ['an empty list', { oid: '2.5.29.30', value: sequence(der(0xa0)) }],
    ['1,025 subtrees', nameConstraints(Array.from({ length: 1_025 }, () => 'dns:a'))],
    [
      'a minimum',
      { oid: '2.5.29.30', value: sequence(der(0xa0, sequence(generalName('dns:a'), der(0x80, Buffer.of(1))))) },
    ],
    [
      'a maximum',
      { oid: '2.5.29.30', value: sequence(der(0xa0, sequence(generalName('dns:a'), der(0x81, Buffer.of(1))))) },
    ],
    ['a third list', { oid: '2.5.29.30', value: sequence(der(0xa0, sequence(generalName('dns:a'))), der(0xa2)) }],
    [
      'lists in the wrong order',
      {
        oid: '2.5.29.30',
        value: sequence(der(0xa1, sequence(generalName('dns:a'))), der(0xa0, sequence(generalName('dns:a')))),
      },
    ],
    ['text that is not ASCII', nameConstraints(['dns:ä.example.com'])],
    ['bytes after them', { oid: '2.5.29.30', value: Buffer.concat([nameConstraints(['dns:a']).value, der(5)]) }],
  ])('are refused with %s', (_, wrong) => {
    const root = issueCa('constrained', undefined, { extensions: [wrong] });
    expect(() => brokenConstraint([leafOf(root, ['dns:a']), root.certificate])).toThrow(
      expect.objectContaining({ name: 'MerkleError', code: 'bad-der' }),
    );
  });

  it('are refused in a leaf where they are critical', () => {
    const root = issueCa('root');
    const leaf = (critical: boolean) =>
      issueLeaf(root, { extensions: [nameConstraints(['dns:example.com'], [], critical)] });
    expect(refusal(root, leaf(true))).toMatch(/critical extension 2\.5\.29\.30/);
    expect(refusal(root, leaf(false))).toBeUndefined();
  });
});
