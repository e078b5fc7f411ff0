/** A signer's certificate of a small authority with a certificate-transparency log, and the trusted root that has both. */
import type { KeyObject } from 'node:crypto';
import { sha256 } from '../../../merkle/rfc6962.ts';
import { SCT_EXTENSION } from '../../../merkle/x509/sct.ts';
import {
  der,
  issueCa,
  issueDer,
  newKeys,
  octets,
  SIGNING,
  spkiOf,
  tbsOf,
  utf8,
  type Wish,
} from '../../merkle/x509/make.ts';
import { listOf, makeSct } from '../../merkle/x509/make-sct.ts';

export interface MadeCertificate {
  readonly leaf: Buffer;
  readonly key: KeyObject;
  /** ms since 1970; the certificate is valid for ten minutes. */
  readonly notBefore: number;
  /** JSON. */
  readonly trustedRoot: Buffer;
}

/** @param mail the name in the certificate */
export function certificateOf(
  mail: string,
  { sct = true, issuer = 'https://accounts.example.com' } = {},
): MadeCertificate {
  const root = issueCa('root');
  const team = issueCa('team', root, { pathLen: 0, usages: [SIGNING] });
  const [keys, ct] = [newKeys(), newKeys()];
  const notBefore = Math.floor(Date.now() / 1000) * 1000 - 60_000;
  const seconds = (ms: number) => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
  const extensions = [{ oid: '1.3.6.1.4.1.57264.1.8', value: utf8(issuer) }];
  const wish: Wish = {
    by: team,
    name: '',
    keys,
    serial: Buffer.from([1, 2, 3]),
    from: seconds(notBefore),
    to: seconds(notBefore + 600_000),
    keyUsage: 0x80,
    usages: [SIGNING],
    names: [der(0x81, Buffer.from(mail))],
    extensions,
  };
  const timestamp = makeSct(tbsOf(wish, keys), { keys: ct, time: notBefore, issuer: team.certificate.spki });
  const promised = [...extensions, { oid: SCT_EXTENSION, value: octets(listOf(timestamp)) }];
  const leaf = issueDer(sct ? { ...wish, extensions: promised } : wish).der;
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
  const validFor = { start: '2020-01-01T00:00:00Z' };
  const certificates = [team, root].map(({ certificate }) => ({ rawBytes: base64(certificate.der) }));
  const spki = spkiOf(ct.publicKey);
  const trustedRoot = Buffer.from(
    JSON.stringify({
      mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
      tlogs: [],
      certificateAuthorities: [{ subject: {}, uri: 'https://ca.example.com', certChain: { certificates }, validFor }],
      ctlogs: [
        {
          baseUrl: 'https://ct.example.com',
          hashAlgorithm: 'SHA2_256',
          publicKey: { rawBytes: base64(spki), keyDetails: 'PKIX_ECDSA_P256_SHA_256', validFor },
          logId: { keyId: base64(sha256(spki)) },
        },
      ],
      timestampAuthorities: [],
    }),
  );
  return { leaf, key: keys.privateKey, notBefore, trustedRoot };
}
