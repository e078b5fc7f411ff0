import { sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { oddCertificates } from '../../support/odd-certificates.ts';
import { dsseRequest, hashedRekordRequest, jsonValue, makeSigner } from '../../support/requests.ts';
import { entriesOf, ingestHere, refusalOf, withField } from './support.ts';

const signer = makeSigner('p256');
const odd = oddCertificates(signer.spki, (tbs) => sign('sha256', tbs, signer.privateKey));
const value = jsonValue(hashedRekordRequest(signer, Buffer.from('artifact'), 'x509Certificate'));

function requestWith(certificate: Buffer): string {
  const path = 'hashedRekordRequestV002.signature.verifier.x509Certificate.rawBytes';
  return JSON.stringify(withField(value, path, certificate.toString('base64')));
}

describe('a certificate', () => {
  it.each(odd.filter(({ refusal }) => refusal === undefined))('with $what is taken', ({ certificate }) => {
    expect(entriesOf(ingestHere(requestWith(certificate)))).toHaveLength(1);
  });

  it.each(odd.filter(({ refusal }) => refusal !== undefined))('with $what is refused', ({ certificate, refusal }) => {
    const refused = refusalOf(ingestHere(requestWith(certificate)));
    expect(refused).toMatchObject({ code: 'invalid-entry', reason: 'certificate' });
    expect(refused?.message).toMatch(/^invalid hashedrekord request: .*: Go's crypto\/x509 does not read such/);
    expect(refused?.message).toContain(refusal);
  });

  it('of a DSSE envelope is refused as well', () => {
    const envelope = jsonValue(dsseRequest(signer, Buffer.from('payload'), 'x509Certificate'));
    const path = 'dsseRequestV002.verifiers.0.x509Certificate.rawBytes';
    for (const { certificate, refusal } of odd) {
      const answer = ingestHere(JSON.stringify(withField(envelope, path, certificate.toString('base64'))));
      if (refusal === undefined) expect(entriesOf(answer)).toHaveLength(1);
      else
        expect(refusalOf(answer)).toMatchObject({ reason: 'certificate', message: expect.stringContaining(refusal) });
    }
  });

  it('that is no certificate is refused', () => {
    for (const wrong of [Buffer.from('garbage'), Buffer.from([0x30]), Buffer.from('3000', 'hex'), signer.spki]) {
      expect(refusalOf(ingestHere(requestWith(wrong)))).toMatchObject({ reason: 'certificate' });
    }
  });

  /** What OpenSSL does not read either. */
  const NEVER = [
    'a serial number with leading zeros',
    'a signature with unused bits',
    'a UTF8String with Latin-1',
    'a BMPString of three bytes',
    'a BMPString with a surrogate',
    'bytes after the certificate',
  ];
  it.each(odd.filter(({ refusal }) => refusal !== undefined))(
    'with $what is taken where the log takes any certificate',
    ({ what, certificate }) => {
      const answer = ingestHere(requestWith(certificate), 'json', { anyCertificate: true });
      if (NEVER.includes(what)) expect(refusalOf(answer)).toMatchObject({ reason: 'certificate' });
      else expect(entriesOf(answer)).toHaveLength(1);
    },
  );
});
