import * as crypto from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Primitives } from '../../../merkle/rekor/primitives.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { type Certificate, USAGE } from '../../../merkle/x509/certificate.ts';
import { verifyChain } from '../../../merkle/x509/certificate-chain.ts';
import { der, issue, issueCa, issueLeaf, newKeys, oid, SIGNING, STAMPING, sequence, type Wish } from './make.ts';

const AT = Date.parse('2030-01-01T00:00:00Z');
const root = issueCa('root');
const middle = issueCa('middle', root, { pathLen: 0, usages: [SIGNING] });
const intermediates = [middle.certificate];
const roots = [root.certificate];

const verify = (leaf: Certificate, more = intermediates, trusted = roots, primitives = nodePrimitives(), at = AT) =>
  verifyChain(leaf, { intermediates: more, roots: trusted }, at, primitives);
const refused = (code = 'bad-certificate') => expect.objectContaining({ name: 'MerkleError', code });
const because = (leaf: Certificate, why: RegExp, more?: Certificate[], trusted?: Certificate[]) => {
  expect(() => verify(leaf, more, trusted)).toThrow(refused());
  expect(() => verify(leaf, more, trusted)).toThrow(why);
};

describe('chains', () => {
  it('are found whatever the order, with others of the same name around', () => {
    const leaf = issueLeaf(middle);
    const others = [issueCa('middle', root), issueCa('middle'), issueCa('elsewhere', root)].map((ca) => ca.certificate);
    const [, selfIssued, ...rest] = [others[0]!, others[1]!, others[2]!];
    expect(verify(leaf, [others[0]!, ...rest, middle.certificate], [selfIssued, ...roots])).toEqual([
      leaf,
      middle.certificate,
      root.certificate,
    ]);
    expect(verify(issueLeaf(root))).toHaveLength(2);
  });

  it('have four intermediates at the most', () => {
    const chain = [root];
    for (let i = 1; i <= 5; i++) chain.push(issueCa(`ca ${i}`, chain.at(-1)!));
    const above = (count: number) => chain.slice(1, count + 1).map(({ certificate }) => certificate);
    expect(verify(issueLeaf(chain[4]!), above(4))).toHaveLength(6);
    because(issueLeaf(chain[5]!), /is issued by|issuers/, above(5));
  });

  it.each<[string, RegExp, Wish]>([
    ['expired', /is valid from/, { to: '2029-12-31T23:59:59Z' }],
    ['not yet valid', /is valid from/, { from: '2030-01-01T00:00:01Z' }],
    ['an authority', /an authority's/, { ca: true }],
    ['allowed to sign certificates', /an authority's/, { keyUsage: 0x84 }],
    ['for encryption', /not for digital signatures/, { keyUsage: 0x20 }],
    ['for nonRepudiation alone', /not for digital signatures/, { keyUsage: 0x40 }],
    ['for time stamps', /not for code signing/, { usages: [STAMPING] }],
    ['for any use', /not for code signing/, { usages: [USAGE.any] }],
    [
      'with a critical extension that nobody knows',
      /critical extension 1\.2\.3/,
      {
        extensions: [{ oid: '1.2.3', critical: true, value: der(5) }],
      },
    ],
    [
      'a precertificate',
      /critical extension/,
      {
        extensions: [{ oid: '1.3.6.1.4.1.11129.2.4.3', critical: true, value: der(5) }],
      },
    ],
    ['signed by another key', /signature of its issuer/, { by: { name: 'middle', keys: newKeys() } }],
    ['of another issuer', /which the trusted root does not have/, { by: { name: 'middl', keys: middle.keys } }],
    ['without issuer', /which the trusted root does not have/, { by: { name: '', keys: middle.keys } }],
  ])('refuse a leaf that is %s', (_, why, wish) => because(issueLeaf(middle, wish), why));

  it('take a leaf that says nothing about its use', () => {
    expect(verify(issue({ by: middle, keyUsage: 0x80 }).certificate)).toHaveLength(3);
    expect(verify(issue({ by: middle }).certificate)).toHaveLength(3);
    // The authority's certificate that says nothing, or the wrong thing, stays an authority's.
    because(issue({ by: middle, ca: true }).certificate, /an authority's/);
    because(issue({ by: middle, keyUsage: 0x04 }).certificate, /an authority's/);
    const stamping = issueCa('stamping', root, { usages: [STAMPING] });
    because(issue({ by: stamping, keyUsage: 0x80 }).certificate, /not for code signing/, [stamping.certificate]);
  });

  it('take a leaf with private extensions and uses of any length', () => {
    const uuid = '2.25.329800735698586629295641978511506172918';
    const extensions = [{ oid: uuid, value: der(5) }];
    expect(verify(issueLeaf(middle, { extensions, usages: [uuid, SIGNING] }))).toHaveLength(3);
    because(issueLeaf(middle, { usages: [uuid] }), /not for code signing/);
    because(
      issueLeaf(middle, { extensions: [{ oid: uuid, critical: true, value: der(5) }] }),
      /critical extension 2\.25\.329800735698586629295641978511506172918,/,
    );
  });

  it.each<[string, RegExp, Wish]>([
    ['is no authority', /is not an authority/, { ca: false }],
    ['may not sign certificates', /not for signing certificates/, { keyUsage: 0x80 }],
    ['expired', /is valid from/, { to: '2029-12-31T23:59:59Z' }],
    ['is for other uses', /not for code signing/, { usages: [STAMPING] }],
    [
      'has a critical extension that nobody knows',
      /critical extension 2\.5\.29\.46/,
      {
        extensions: [{ oid: '2.5.29.46', critical: true, value: sequence() }],
      },
    ],
    ['is signed by another key', /signature of its issuer/, { by: { name: 'root', keys: newKeys() } }],
  ])('refuse an intermediate that %s', (_, why, wish) => {
    const wrong = issueCa('wrong', root, wish);
    because(issueLeaf(wrong), why, [wrong.certificate]);
  });

  it('refuse a root that expired, is for other uses, or is no authority', () => {
    for (const wish of [{ to: '2029-12-31T23:59:59Z' }, { usages: [STAMPING] }, { ca: false }, { keyUsage: 0x80 }]) {
      const wrong = issueCa('wrong', undefined, wish);
      because(issueLeaf(wrong), /wrong/, [], [wrong.certificate]);
    }
  });

  it('allow no more authorities than the path length says', () => {
    const below = issueCa('below', middle);
    because(issueLeaf(below), /allows 0 authorities below it, not 1/, [...intermediates, below.certificate]);
    const narrow = issueCa('narrow', undefined, { pathLen: 1 });
    const first = issueCa('first', narrow);
    const second = issueCa('second', first);
    expect(verify(issueLeaf(first), [first.certificate], [narrow.certificate])).toHaveLength(3);
    because(issueLeaf(second), /allows 1/, [first.certificate, second.certificate], [narrow.certificate]);
  });

  it('trust a root for being in the list alone', () => {
    const imposter = issueCa('root');
    because(issueLeaf(imposter), /signature of its issuer/);
    because(issueLeaf(imposter), /is a root/, [imposter.certificate]);
    because(issueLeaf(middle), /does not have/, intermediates, []);
  });

  it('refuse circles, and end', () => {
    const [a, b] = [newKeys(), newKeys()];
    const one = issueCa('one', undefined, { by: { name: 'two', keys: b }, keys: a });
    const two = issueCa('two', undefined, { by: { name: 'one', keys: a }, keys: b });
    because(issueLeaf(one), /does not have/, [one.certificate, two.certificate]);
  });

  it('bound the search among many authorities of one name', () => {
    const same = Array.from({ length: 40 }, () => issueCa('same', root));
    let checks = 0;
    const counting: Primitives = {
      ...nodePrimitives(),
      verifyMessage: (...given) => {
        checks++;
        return nodePrimitives().verifyMessage(...given);
      },
    };
    const leaf = issueLeaf({ ...same[0]!, keys: newKeys() });
    const certificates = same.map(({ certificate }) => certificate);
    expect(() => verify(leaf, certificates, roots, counting)).toThrow(/too many/);
    expect(checks).toBeLessThanOrEqual(32);
    expect(() => verify(leaf, [...certificates, ...certificates])).toThrow(refused());
  });

  it('check the signature of an authority once, and that of each leaf', () => {
    let checks = 0;
    const counting: Primitives = {
      ...nodePrimitives(),
      verifyMessage: (...given) => {
        checks++;
        return nodePrimitives().verifyMessage(...given);
      },
    };
    for (let i = 0; i < 3; i++) verify(issueLeaf(middle), intermediates, roots, counting);
    expect(checks).toBe(4);
  });

  it('take RSA and Ed25519 authorities, and say what they do not take', () => {
    const rsa = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
    const rsaAlgorithm = sequence(oid('1.2.840.113549.1.1.11'), der(5));
    const rsaRoot = issueCa('rsa', undefined, { keys: rsa, algorithm: rsaAlgorithm });
    expect(verify(issueLeaf(rsaRoot, { algorithm: rsaAlgorithm }), [], [rsaRoot.certificate])).toHaveLength(2);
    const ed = crypto.generateKeyPairSync('ed25519');
    const edAlgorithm = sequence(oid('1.3.101.112'));
    const edRoot = issueCa('ed', undefined, { keys: ed, algorithm: edAlgorithm });
    expect(verify(issueLeaf(edRoot, { algorithm: edAlgorithm }), [], [edRoot.certificate])).toHaveLength(2);
    // The algorithm must be one for the issuer's key.
    because(issueLeaf(edRoot, { algorithm: rsaAlgorithm }), /signature of its issuer/, [], [edRoot.certificate]);
    const sha1 = issueLeaf(rsaRoot, { algorithm: sequence(oid('1.2.840.113549.1.1.5'), der(5)) });
    expect(() => verify(sha1, [], [rsaRoot.certificate])).toThrow(refused('unsupported'));
    const pss = issueLeaf(rsaRoot, { algorithm: sequence(oid('1.2.840.113549.1.1.10'), sequence()) });
    expect(() => verify(pss, [], [rsaRoot.certificate])).toThrow(refused('unsupported'));
  });

  it('show nothing of a name that would change the terminal', () => {
    const wrong = issueCa('\u001b[2Jevil\u202e', root, { to: '2029-12-31T23:59:59Z' });
    expect(() => verify(issueLeaf(wrong), [wrong.certificate])).toThrow(/of "CN= \[2Jevil" is valid/);
  });
});
