/** Authorities of trust domains, X.509-SVIDs and trust bundles to order, wrong ones among them. */
import type { KeyObject } from 'node:crypto';
import { encodeBase64 } from '../../../merkle/bytes.ts';
import { bundleOfCertificates, type SpiffeBundle } from '../../../merkle/spiffe/trust-bundle.ts';
import type { Certificate } from '../../../merkle/x509/certificate.ts';
import { type Authority, der, issue, issueCa, type Wish } from '../x509/make.ts';

export const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
export const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

export const uriName = (text: string): Buffer => der(0x86, Buffer.from(text));

/** A self-signed authority of a trust domain, with its SPIFFE ID. */
export const domainCa = (trustDomain: string, more: Wish = {}): Authority =>
  issueCa(`CA of ${trustDomain}`, undefined, { names: [uriName(`spiffe://${trustDomain}`)], ...more });

/** An X.509-SVID as SPIRE issues it. */
export const issueSvid = (by: Authority, id: string, more: Wish = {}): Authority =>
  issue({ by, name: 'workload', keyUsage: 0x80, usages: [SERVER_AUTH, CLIENT_AUTH], names: [uriName(id)], ...more });

export const bundlesOf = (
  bundles: Readonly<Record<string, readonly Certificate[]>>,
): ReadonlyMap<string, SpiffeBundle> =>
  new Map(Object.entries(bundles).map(([name, roots]) => [name, bundleOfCertificates(roots, name)]));

/** The elements of a bundle. */
export const x509Key = ({ certificate, keys }: Authority, more: object = {}): Record<string, unknown> => ({
  use: 'x509-svid',
  ...keys.publicKey.export({ format: 'jwk' }),
  x5c: [encodeBase64(certificate.der)],
  ...more,
});

export const jwtKey = (key: KeyObject, kid: string, more: object = {}): Record<string, unknown> => ({
  use: 'jwt-svid',
  kid,
  ...key.export({ format: 'jwk' }),
  ...more,
});
