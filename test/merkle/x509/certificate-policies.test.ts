import { describe, expect, it } from 'vitest';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import type { Certificate } from '../../../merkle/x509/certificate.ts';
import { verifyChain } from '../../../merkle/x509/certificate-chain.ts';
import { brokenPolicy } from '../../../merkle/x509/certificate-policies.ts';
import { der, type Extension, integer, issueCa, issueLeaf, newKeys, oid, sequence } from './make.ts';
import { ANY_POLICY, type PolicyWish, policyExtensions } from './policy-cases.ts';

const AT = Date.parse('2030-01-01T00:00:00Z');
const [A, B, C] = ['1.3.6.1.4.1.99999.1', '1.3.6.1.4.1.99999.2', '2.25.329800735698586629295641978511506172918'];
const keys = Array.from({ length: 6 }, newKeys);

/** A path whose certificates have these extensions: the root first, and the leaf last. */
function pathOf(root: readonly Extension[], ...below: (readonly Extension[])[]): Certificate[] {
  const path = [issueCa('ca 0', undefined, { keys: keys[0]!, extensions: root })];
  for (const [at, extensions] of below.slice(0, -1).entries()) {
    path.push(issueCa(`ca ${at + 1}`, path.at(-1)!, { keys: keys[at + 1]!, extensions }));
  }
  const leaf = issueLeaf(path.at(-1)!, { keys: keys[5]!, extensions: below.at(-1)! });
  return [leaf, ...path.toReversed().map(({ certificate }) => certificate)];
}

/** Whether a chain below a root without policies holds. */
function holds(...below: PolicyWish[]): boolean {
  return isVerified(pathOf([], ...below.map(policyExtensions)));
}

function isVerified(path: readonly Certificate[]): boolean {
  const [leaf, ...above] = path;
  try {
    verifyChain(leaf!, { intermediates: above.slice(0, -1), roots: above.slice(-1) }, AT, nodePrimitives());
    return true;
  } catch (error) {
    expect(error).toMatchObject({ name: 'MerkleError', code: 'bad-certificate' });
    expect((error as Error).message).toMatch(/^the certificate of "CN=leaf" has an authority that/);
    return false;
  }
}

describe('policies', () => {
  // Go's crypto/x509 (Go 1.26.10) gives the same verdicts for these chains below a root without policies.
  it.each<[boolean, string, ...PolicyWish[]]>([
    [true, 'are not needed', {}, {}],
    [true, 'are not needed below policies', { policies: [A] }, { policies: [B] }],
    [false, 'are needed where an authority requires one', { requireExplicit: 0 }, {}],
    [false, 'are needed in the authority too', { requireExplicit: 0 }, { policies: [A] }],
    [true, 'hold where both have the one', { policies: [A], requireExplicit: 0 }, { policies: [A] }],
    [true, 'of any length hold', { policies: [C], requireExplicit: 0 }, { policies: [C] }],
    [true, 'hold where one is in common', { policies: [A, B], requireExplicit: 0 }, { policies: [B, C] }],
    [false, 'differ', { policies: [A], requireExplicit: 0 }, { policies: [B] }],
    [true, 'of any kind cover all', { policies: [ANY_POLICY], requireExplicit: 0 }, { policies: [B] }],
    [true, 'of any kind in the leaf', { policies: [A], requireExplicit: 0 }, { policies: [ANY_POLICY] }],
    [true, 'of any kind in both', { policies: [ANY_POLICY], requireExplicit: 0 }, { policies: [ANY_POLICY] }],
    [false, 'are required by the leaf', { policies: [A] }, { requireExplicit: 0 }],
    [true, 'are required by the leaf later', { policies: [A] }, { requireExplicit: 1 }],
    [false, 'are required after one certificate', { requireExplicit: 1 }, {}],
    [true, 'are required after two certificates', { requireExplicit: 2 }, {}],
    [false, 'are required after two certificates, and two follow', { requireExplicit: 2 }, {}, {}],
    [true, 'are required after three certificates', { requireExplicit: 3 }, {}, {}],
    [false, 'are required by the strictest of two', { requireExplicit: 3 }, { requireExplicit: 0 }, {}],
    [false, 'are not widened below', { requireExplicit: 0 }, { requireExplicit: 9 }, {}],
    [false, 'end in the middle', { policies: [A], requireExplicit: 0 }, {}, { policies: [A] }],
    [true, 'go through', { policies: [A], requireExplicit: 0 }, { policies: [A] }, { policies: [A] }],
  ])('%s: %s', (expected, _, ...below) => expect(holds(...below)).toBe(expected));

  it.each<[boolean, string, ...PolicyWish[]]>([
    [false, 'in the leaf', { policies: [A], inhibitAny: 0, requireExplicit: 0 }, { policies: [ANY_POLICY] }],
    [true, 'beside another', { policies: [A], inhibitAny: 0, requireExplicit: 0 }, { policies: [ANY_POLICY, A] }],
    [true, 'later', { policies: [A], inhibitAny: 1, requireExplicit: 0 }, { policies: [ANY_POLICY] }],
    [
      false,
      'in the second certificate',
      { policies: [A], inhibitAny: 1, requireExplicit: 0 },
      { policies: [ANY_POLICY] },
      { policies: [ANY_POLICY] },
    ],
    [
      true,
      'in the second certificate, which names the policy',
      { policies: [A], inhibitAny: 1, requireExplicit: 0 },
      { policies: [ANY_POLICY] },
      { policies: [A] },
    ],
    [true, 'where none is required', { policies: [A], inhibitAny: 0 }, { policies: [ANY_POLICY] }],
  ])('%s: any policy is inhibited %s', (expected, _, ...below) => expect(holds(...below)).toBe(expected));

  it.each<[boolean, string, ...PolicyWish[]]>([
    [true, 'to the policy of the leaf', { policies: [A], mappings: [[A, B]], requireExplicit: 0 }, { policies: [B] }],
    [false, 'away from it', { policies: [A], mappings: [[A, B]], requireExplicit: 0 }, { policies: [A] }],
    [
      true,
      'to two',
      {
        policies: [A],
        mappings: [
          [A, B],
          [A, C],
        ],
        requireExplicit: 0,
      },
      { policies: [C] },
    ],
    [false, 'from another', { policies: [A], mappings: [[B, C]], requireExplicit: 0 }, { policies: [C] }],
    [true, 'from any', { policies: [ANY_POLICY], mappings: [[A, B]], requireExplicit: 0 }, { policies: [B] }],
    [
      false,
      'where that is inhibited',
      { policies: [A], inhibitMapping: 0, requireExplicit: 0 },
      { policies: [A], mappings: [[A, B]] },
      { policies: [B] },
    ],
    [
      false,
      'where that is inhibited, although the leaf has the first policy',
      { policies: [A], inhibitMapping: 0, requireExplicit: 0 },
      { policies: [A], mappings: [[A, B]] },
      { policies: [A] },
    ],
    [
      true,
      'where that is inhibited later',
      { policies: [A], inhibitMapping: 1, requireExplicit: 0 },
      { policies: [A], mappings: [[A, B]] },
      { policies: [B] },
    ],
    [false, 'from every policy', { policies: [ANY_POLICY], mappings: [[ANY_POLICY, B]] }, { policies: [B] }],
    [false, 'to every policy', { policies: [A], mappings: [[A, ANY_POLICY]] }, { policies: [B] }],
  ])('%s: a policy is mapped %s', (expected, _, ...below) => expect(holds(...below)).toBe(expected));

  it('are required by a root too, whose own policies do not count', () => {
    const root = policyExtensions({ policies: [B], requireExplicit: 0 });
    expect(isVerified(pathOf(root, []))).toBe(false);
    expect(isVerified(pathOf(root, policyExtensions({ policies: [A] })))).toBe(true);
    expect(isVerified(pathOf(root, [], policyExtensions({ policies: [A] })))).toBe(false);
    const later = policyExtensions({ requireExplicit: 2 });
    expect(isVerified(pathOf(later, []))).toBe(true);
    expect(isVerified(pathOf(later, [], []))).toBe(false);
    const noAny = policyExtensions({ inhibitAny: 0, requireExplicit: 0 });
    expect(isVerified(pathOf(noAny, policyExtensions({ policies: [ANY_POLICY] })))).toBe(false);
  });

  it('count no self-issued authority', () => {
    const root = issueCa('root');
    const strict = issueCa('strict', root, { extensions: policyExtensions({ policies: [A], inhibitAny: 0 }) });
    const any = policyExtensions({ policies: [ANY_POLICY], requireExplicit: 0 });
    const verdict = (name: string) => {
      const middle = issueCa(name, strict, { extensions: any });
      const leaf = issueLeaf(middle, { extensions: policyExtensions({ policies: [A] }) });
      return brokenPolicy([leaf, ...[middle, strict, root].map(({ certificate }) => certificate)]);
    };
    expect(verdict('strict')).toBeUndefined();
    expect(verdict('other')).toMatch(/requires a certificate policy/);
  });

  const constraints = (...content: Buffer[]): Extension => ({
    oid: '2.5.29.36',
    critical: true,
    value: sequence(...content),
  });
  const number = (tag: number, ...bytes: number[]) => der(tag, Buffer.from(bytes));
  it.each<[string, Extension]>([
    ['constraints of nothing', constraints()],
    ['a negative number', constraints(number(0x80, 0xff))],
    ['a number with a leading zero', constraints(number(0x80, 0, 1))],
    ['a number without bytes', constraints(number(0x80))],
    ['a number of seven bytes', constraints(number(0x80, 1, 1, 1, 1, 1, 1, 1))],
    ['a third number', constraints(number(0x80, 0), number(0x82, 0))],
    ['numbers in the wrong order', constraints(number(0x81, 0), number(0x80, 0))],
    ['constraints that are no list', { oid: '2.5.29.36', critical: true, value: integer(0) }],
    ['a negative count', { oid: '2.5.29.54', critical: true, value: integer(0xff) }],
    ['a count that is none', { oid: '2.5.29.54', critical: true, value: sequence() }],
    ['mappings of nothing', { oid: '2.5.29.33', value: sequence() }],
    ['half a mapping', { oid: '2.5.29.33', value: sequence(sequence(oid(A))) }],
    ['a mapping of three', { oid: '2.5.29.33', value: sequence(sequence(oid(A), oid(B), oid(C))) }],
  ])('are refused with %s', (_, wrong) => {
    expect(() => brokenPolicy(pathOf([], [wrong], []))).toThrow(
      expect.objectContaining({ name: 'MerkleError', code: 'bad-der' }),
    );
  });

  it.each<[string, Buffer]>([
    ['one twice', sequence(sequence(oid(A)), sequence(oid(A)))],
    ['none in the list', sequence()],
    ['one that is no object identifier', sequence(sequence(integer(1)))],
    ['one without a list', sequence(sequence())],
  ])('are refused with %s, where an authority requires one', (_, value) => {
    const required = policyExtensions({ policies: [A], requireExplicit: 0 });
    expect(() => brokenPolicy(pathOf([], required, [{ oid: '2.5.29.32', value }]))).toThrow(
      expect.objectContaining({ name: 'MerkleError', code: 'bad-der' }),
    );
  });

  it('stay refused in a leaf where only an authority may have the extension', () => {
    for (const { oid: id, value } of policyExtensions({ mappings: [[A, B]], inhibitAny: 0 })) {
      const [leaf, root] = pathOf([], [{ oid: id, critical: true, value }]);
      const verify = () => verifyChain(leaf!, { intermediates: [], roots: [root!] }, AT, nodePrimitives());
      expect(verify).toThrow(`critical extension ${id}`);
    }
  });
});
