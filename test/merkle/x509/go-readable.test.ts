import { sign } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkGoReadable } from '../../../merkle/x509/go-readable.ts';
import { hostOfUri, mailboxOf } from '../../../merkle/x509/name-forms.ts';
import { fulcioCertificate, githubRun } from '../../support/fulcio.ts';
import { oddCertificates } from '../../support/odd-certificates.ts';
import { makeSigner } from '../../support/requests.ts';
import { bundleCases } from '../../support/vectors.ts';
import { vectorBundle, vectorRoot } from './vectors.ts';

const signer = makeSigner('p256');
const odd = oddCertificates(signer.spki, (tbs) => sign('sha256', tbs, signer.privateKey));
const refused = expect.objectContaining({ name: 'MerkleError', code: 'bad-certificate' });

describe('certificates that Go reads', () => {
  it.each(odd)('with $what: as Go', ({ certificate, refusal }) => {
    if (refusal === undefined) checkGoReadable(certificate);
    else {
      expect(() => checkGoReadable(certificate)).toThrow(refused);
      expect(() => checkGoReadable(certificate)).toThrow(refusal);
    }
  });

  it.each(bundleCases())('are those of signers and authorities: %s', (cases) => {
    const good = cases.named('happy-path-v0.3-new-mediaType');
    const authorities = vectorRoot(good).authorities.flatMap(({ certificates }) => certificates);
    for (const { der } of [...vectorBundle(good).certificates, ...authorities]) checkGoReadable(der);
  });

  it('end where they are cut, at every byte', () => {
    const whole = fulcioCertificate(githubRun('acme/app', 'release.yml', 'refs/heads/main'));
    checkGoReadable(whole);
    for (let size = 0; size < whole.length; size++) {
      expect(() => checkGoReadable(whole.subarray(0, size))).toThrow(refused);
    }
  });

  it('throw nothing else, however they are changed', () => {
    fc.assert(
      fc.property(fc.nat(odd.length - 1), fc.nat(1_000), fc.nat(255), (which, at, byte) => {
        const changed = Uint8Array.from(odd[which]!.certificate);
        changed[at % changed.length] = byte;
        try {
          checkGoReadable(changed);
        } catch (error) {
          expect(error).toEqual(refused);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('forms of names', () => {
  it.each([
    ['https://example.com:8443/x', 'example.com:8443'],
    ['https://user:p%40ss@Example.com', 'Example.com'],
    ['spiffe://example.com/ns/a', 'example.com'],
    ['https://[2001:db8::1%25en0]:443/', '[2001:db8::1%en0]:443'],
    ['https://[::ffff:192.0.2.1]/', '[::ffff:192.0.2.1]'],
    ['https://example%25.com/', 'example%.com'],
    ['urn:example:a', ''],
    ['mailto:ann@example.com', ''],
    ['/path', ''],
    ['', ''],
    ['mongodb://a:1,b:2', 'a:1,b:2'],
    ['https://a:1,b:2', undefined],
    ['https://[192.0.2.1]/', undefined],
    ['https://[2001:db8:::1]/', undefined],
    ['https://[1:2:3:4:5:6:7:8:9]/', undefined],
    ['https://[1:2:3:4:5:6:7]/', undefined],
    ['https://[2001:db8::1]x/', undefined],
    ['https://a[2001:db8::1]/', undefined],
    ['https://us er@example.com/', undefined],
    ['https://example.com/%', undefined],
    ['https://example.com#%', undefined],
    ['https://example%41.com/', undefined],
    ['https://exämple.com/', undefined],
    ['a:b/c', ''],
    ['1a:b/c', undefined],
    [':', undefined],
  ])('the host of %s is %s', (uri, host) => expect(hostOfUri(uri)).toBe(host));

  it.each([
    ['ann@EXAMPLE.com', { local: 'ann', domain: 'example.com' }],
    ['"a b"@example.com', { local: 'a b', domain: 'example.com' }],
    ['"a\\"b"@example.com', { local: 'a"b', domain: 'example.com' }],
    ['a\\@b@example.com', { local: 'a@b', domain: 'example.com' }],
    ['a.b+c@example.com', { local: 'a.b+c', domain: 'example.com' }],
    ['ann@', { local: 'ann', domain: '' }],
    ['ann', undefined],
    ['@example.com', undefined],
    ['.ann@example.com', undefined],
    ['ann.@example.com', undefined],
    ['a..n@example.com', undefined],
    ['a b@example.com', undefined],
    ['"ann@example.com', undefined],
    ['"a\u0000b"@example.com', undefined],
    ['ann@example.com.', undefined],
    ['ann@a b', undefined],
  ])('the parts of %s are %j', (text, mailbox) => expect(mailboxOf(text)).toEqual(mailbox));
});
