/** Authorities and certificates of clients, right and wrong ones. */
import { type Authority, issue, issueCa, type Wish } from '../merkle/x509/make.ts';
import { der } from './der.ts';
import { keyPem, pemOf } from './tls-server.ts';

export const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
export const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

export const uriName = (text: string): Buffer => der(0x86, Buffer.from(text));
export const dnsName = (text: string): Buffer => der(0x82, Buffer.from(text));
export const emailName = (text: string): Buffer => der(0x81, Buffer.from(text));

/** What a TLS client shows: the PEM of its chain, and its key. */
export interface Shown {
  readonly cert: string;
  readonly key: string;
}

export function shownBy(leaf: Authority, ...authorities: readonly Authority[]): Shown {
  return { cert: [leaf, ...authorities].map(pemOf).join(''), key: keyPem(leaf) };
}

/** An X.509-SVID with any further wish. */
export function issueSvid(by: Authority, id: string, more: Wish = {}): Authority {
  return issue({ name: '', by, keyUsage: 0x80, usages: [SERVER_AUTH, CLIENT_AUTH], names: [uriName(id)], ...more });
}

/** A certificate of a client with one DNS name. */
export function issueClient(by: Authority, name: string, more: Wish = {}): Authority {
  return issue({ name, by, keyUsage: 0x80, usages: [CLIENT_AUTH], names: [dnsName(name)], ...more });
}

/** NameConstraints (RFC 5280 section 4.2.1.10) that permit one host of URIs. */
const ONE_URI_HOST = (host: string) => ({
  oid: '2.5.29.30',
  critical: true,
  value: der(0x30, der(0xa0, der(0x30, der(0x86, Buffer.from(host))))),
});

/** Twenty kinds of certificates that prove nothing at a service with the trust domain `example.org`, and the code of each. */
export function badCertificates(root: Authority): readonly (readonly [what: string, code: string, shown: Shown])[] {
  const ID = 'spiffe://example.org/build/linux';
  const other = issueCa('root');
  const otherKeys = issueCa(root.name);
  const team = issueCa('team', root, { extensions: [ONE_URI_HOST('other.example.org')] });
  const notCa = issueSvid(root, ID);
  const expired = issueCa('expired', root, { to: '2021-01-01T00:00:00Z' });
  const short = issueCa('short', root, { pathLen: 0 });
  const below = issueCa('below', short);
  const svid = (by: Authority, more: Wish = {}, id = ID) => issueSvid(by, id, more);
  const names = (...list: Buffer[]) => svid(root, { names: list });
  return [
    ['of another root of the same name', 'certificate-chain', shownBy(svid(otherKeys))],
    ['of another root, which comes with it', 'certificate-chain', shownBy(svid(other), other)],
    ['of another trust domain', 'trust-domain', shownBy(svid(root, {}, 'spiffe://example.net/build/linux'))],
    ['of a trust domain below', 'trust-domain', shownBy(svid(root, {}, 'spiffe://sub.example.org/build/linux'))],
    ['expired', 'certificate-expired', shownBy(svid(root, { to: '2021-01-01T00:00:00Z' }))],
    ['not yet valid', 'certificate-not-yet-valid', shownBy(svid(root, { from: '2039-01-01T00:00:00Z' }))],
    ['without names', 'certificate-names', shownBy(svid(root, { names: undefined as never }))],
    ['with a DNS name alone', 'certificate-names', shownBy(names(dnsName('builder-1.example.org')))],
    ['with two URIs', 'certificate-names', shownBy(names(uriName(ID), uriName(`${ID}2`)))],
    [
      'with a SPIFFE ID and another URI',
      'certificate-names',
      shownBy(names(uriName(ID), uriName('https://example.org'))),
    ],
    ['with a wildcard', 'spiffe-id', shownBy(names(uriName('spiffe://example.org/*')))],
    ['with a wildcard as trust domain', 'spiffe-id', shownBy(names(uriName('spiffe://*/build/linux')))],
    ['with a traversal', 'spiffe-id', shownBy(names(uriName('spiffe://example.org/build/../admin')))],
    ['with an encoded traversal', 'spiffe-id', shownBy(names(uriName('spiffe://example.org/build/%2e%2e/admin')))],
    ['of the trust domain itself', 'spiffe-id', shownBy(names(uriName('spiffe://example.org')))],
    ['of an authority', 'certificate-authority', shownBy(svid(root, { ca: true, keyUsage: 0x84 }))],
    ['that may sign certificates', 'certificate-authority', shownBy(svid(root, { keyUsage: 0x84 }))],
    ['of a server alone', 'certificate-usage', shownBy(svid(root, { usages: [SERVER_AUTH] }))],
    ['without the usage of digital signatures', 'certificate-usage', shownBy(svid(root, { keyUsage: 0x20 }))],
    ['outside the constraints of its authority', 'certificate-chain', shownBy(svid(team), team)],
    ['issued by what is no authority', 'certificate-chain', shownBy(svid(notCa), notCa)],
    ['below an authority that expired', 'certificate-chain', shownBy(svid(expired), expired)],
    ['below more authorities than allowed', 'certificate-chain', shownBy(svid(below), below, short)],
    ['without its intermediate', 'certificate-chain', shownBy(svid(issueCa('team', root)))],
  ];
}
