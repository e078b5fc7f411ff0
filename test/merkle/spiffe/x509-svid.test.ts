import { describe, expect, it } from 'vitest';
import { noblePrimitives } from '../../../merkle/rekor/noble-primitives.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { checkX509Svid, type SvidUse } from '../../../merkle/spiffe/x509-svid.ts';
import type { Certificate } from '../../../merkle/x509/certificate.ts';
import { codeOf } from '../helpers.ts';
import { generalName, nameConstraints } from '../x509/constraint-cases.ts';
import { type Authority, issueCa, SIGNING, type Wish } from '../x509/make.ts';
import { bundlesOf, CLIENT_AUTH, domainCa, issueSvid, SERVER_AUTH, uriName } from './make-svid.ts';

const AT = Date.parse('2030-01-01T00:00:00Z');
const ID = 'spiffe://example.org/build/main';
const ca = domainCa('example.org');
const foreign = domainCa('example.net');
const bundles = bundlesOf({ 'example.org': [ca.certificate], 'example.net': [foreign.certificate], 'empty.org': [] });

const check = (chain: readonly Certificate[], use?: SvidUse, at = AT, of = bundles) =>
  checkX509Svid(chain, of, at, nodePrimitives(), use);
const svid = (more: Wish = {}, by: Authority = ca, id = ID) => issueSvid(by, id, more).certificate;
const middle = (more: Wish = {}, by: Authority = ca) => issueCa('middle', by, more);

describe('an X.509-SVID', () => {
  it('proves the ID in its URI', () => {
    expect(check([svid()])).toEqual({ text: ID, trustDomain: 'example.org', path: '/build/main' });
  });

  it('is checked the same without Node', () => {
    expect(checkX509Svid([svid()], bundles, AT, noblePrimitives).text).toBe(ID);
  });

  it('may have names of other kinds, no subject, and no extended key usage', () => {
    const names = [generalName('dns:build.example.org'), uriName(ID), generalName('email:a@example.org')];
    expect(check([svid({ names })]).text).toBe(ID);
    expect(check([svid({ name: '', usages: undefined })]).text).toBe(ID);
  });

  it('may be issued by intermediates, in any order, with the root beside them', () => {
    const first = middle();
    const second = issueCa('second', first);
    const chain = [svid({}, second), first.certificate, ca.certificate, second.certificate];
    expect(check(chain).text).toBe(ID);
  });

  it('is valid to the last millisecond of its time', () => {
    const leaf = svid({ from: '2029-12-31T00:00:00Z', to: '2030-01-01T00:00:00Z' });
    expect(check([leaf]).text).toBe(ID);
    expect(codeOf(() => check([leaf], 'client', AT + 1000))).toBe('svid-expired');
    expect(codeOf(() => check([leaf], 'client', leaf.notBefore - 1))).toBe('svid-not-yet-valid');
    expect(codeOf(() => check([leaf], 'client', Number.NaN))).toBe('svid-expired');
  });

  it.each<[string, SvidUse, readonly string[] | undefined, boolean]>([
    ['both usages', 'client', [SERVER_AUTH, CLIENT_AUTH], true],
    ['both usages', 'server', [SERVER_AUTH, CLIENT_AUTH], true],
    ['both usages', 'sign', [SERVER_AUTH, CLIENT_AUTH], true],
    ['the usage of a client', 'server', [CLIENT_AUTH], false],
    ['the usage of a server', 'client', [SERVER_AUTH], false],
    ['the usage of a server', 'sign', [SERVER_AUTH], false],
    ['code signing', 'client', [SIGNING], false],
    ['code signing', 'server', [SIGNING], false],
    ['code signing', 'sign', [SIGNING], true],
    ['time stamping', 'sign', ['1.3.6.1.5.5.7.3.8'], false],
    ['any usage', 'client', ['2.5.29.37.0'], false],
    ['no list of usages', 'server', undefined, true],
  ])('with %s is for a %s: %s', (_, use, usages, good) => {
    expect(codeOf(() => check([svid({ usages })], use))).toBe(good ? undefined : 'svid-usage');
  });

  it('is not issued by an authority for code signing alone, but for what it signs', () => {
    const team = middle({ usages: [SIGNING] });
    const chain = [svid({ usages: undefined }, team), team.certificate];
    expect(codeOf(() => check(chain, 'client'))).toBe('svid-chain');
    expect(codeOf(() => check(chain, 'server'))).toBe('svid-chain');
    expect(check(chain, 'sign').text).toBe(ID);
  });

  const self = domainCa('example.org');
  it.each<[string, () => readonly Certificate[], string]>([
    ['an empty chain', () => [], 'svid-chain'],
    ['another root', () => [svid({}, self)], 'svid-chain'],
    ['the root of another domain', () => [svid({}, foreign)], 'svid-chain'],
    ["another root's leaf with the root beside it", () => [svid({}, self), self.certificate], 'svid-chain'],
    ['a trust domain without bundle', () => [svid({}, ca, 'spiffe://example.com/a')], 'svid-trust-domain'],
    ['a trust domain that revoked all', () => [svid({}, ca, 'spiffe://empty.org/a')], 'svid-trust-domain'],
    ['an authority as leaf', () => [svid({ ca: true, keyUsage: 0x84 })], 'svid-authority'],
    ['the root as leaf', () => [ca.certificate], 'svid-authority'],
    ['the key usage of an authority', () => [svid({ keyUsage: 0x84 })], 'svid-authority'],
    ['the key usage of revocation lists', () => [svid({ keyUsage: 0x82 })], 'svid-authority'],
    ['no key usage', () => [svid({ keyUsage: undefined })], 'svid-usage'],
    ['another key usage', () => [svid({ keyUsage: 0x20 })], 'svid-usage'],
    ['no names', () => [svid({ names: undefined as never })], 'svid-names'],
    ['no URI', () => [svid({ names: [generalName('dns:example.org')] })], 'svid-names'],
    ['two URIs', () => [svid({ names: [uriName(ID), uriName('spiffe://example.org/b')] })], 'svid-names'],
    ['the same URI twice', () => [svid({ names: [uriName(ID), uriName(ID)] })], 'svid-names'],
    [
      'a second URI of another kind',
      () => [svid({ names: [uriName(ID), uriName('https://example.org/')] })],
      'svid-names',
    ],
    ['a URI that is no SPIFFE ID', () => [svid({}, ca, 'https://example.org/a')], 'bad-spiffe-id'],
    ['traversal', () => [svid({}, ca, 'spiffe://example.org/a/../b')], 'bad-spiffe-id'],
    ['a wildcard', () => [svid({}, ca, 'spiffe://example.org/*')], 'bad-spiffe-id'],
    ['no path', () => [svid({}, ca, 'spiffe://example.org')], 'bad-spiffe-id'],
    ['an expired leaf', () => [svid({ to: '2029-12-31T23:59:59Z' })], 'svid-expired'],
    ['a leaf of later', () => [svid({ from: '2030-01-02T00:00:00Z' })], 'svid-not-yet-valid'],
    ['a missing intermediate', () => [svid({}, middle())], 'svid-chain'],
    ['a leaf as issuer', () => withMiddle(issueSvid(ca, 'spiffe://example.org/middle')), 'svid-chain'],
    ['an expired intermediate', () => withMiddle(middle({ to: '2029-01-01T00:00:00Z' })), 'svid-chain'],
    [
      'too short a path',
      () => withMiddle(issueCa('below', middle({ pathLen: 0 })), middle({ pathLen: 0 })),
      'svid-chain',
    ],
    [
      'an unknown critical extension',
      () => [svid({ extensions: [{ oid: '1.2.3', critical: true, value: Uint8Array.of(5, 0) }] })],
      'svid-chain',
    ],
    ['17 certificates', () => Array.from({ length: 17 }, () => svid()), 'svid-chain'],
    [
      'an intermediate for another domain',
      () => withMiddle(middle({ extensions: [nameConstraints(['uri:example.net'])] })),
      'svid-chain',
    ],
  ])('is refused with %s', (_, chain, code) => {
    expect(codeOf(() => check(chain()))).toBe(code);
  });

  it('is refused where its root has expired', () => {
    const old = domainCa('example.org', { to: '2029-01-01T00:00:00Z' });
    const of = bundlesOf({ 'example.org': [old.certificate] });
    expect(codeOf(() => check([svid({}, old)], 'client', AT, of))).toBe('svid-chain');
  });

  it('is refused where it stands in the bundle itself', () => {
    const leaf = issueSvid(ca, ID);
    const of = new Map([['example.org', { ...bundles.get('example.net')!, x509Authorities: [leaf.certificate] }]]);
    expect(codeOf(() => check([leaf.certificate], 'client', AT, of))).toBe('svid-chain');
  });

  it('is taken within the name constraints of its authority', () => {
    const chain = withMiddle(middle({ extensions: [nameConstraints(['uri:example.org'])] }));
    expect(check(chain).text).toBe(ID);
  });
});

/** A leaf of the first authority, and all of them. */
function withMiddle(...authorities: readonly Authority[]): Certificate[] {
  return [svid({}, authorities[0]), ...authorities.map(({ certificate }) => certificate)];
}
