import * as crypto from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { type Certificate, USAGE } from '../../../merkle/x509/certificate.ts';
import { type TimestampAuthority, verifyTimestamp } from '../../../merkle/x509/timestamp.ts';
import { type Authority, der, integer, issue, issueCa, octets, oid, STAMPING, sequence, type Wish } from './make.ts';
import { attribute, digest, ECDSA, HASHES, type Hash, makeTimestamp, RSA, type TokenWish } from './make-timestamp.ts';

const MESSAGE = Buffer.from('the signature of a bundle');
const root = issueCa('time root');
const issueStamper = (wish: Wish = {}): Authority =>
  issue({ name: 'tsa', by: root, keyUsage: 0x80, usages: [STAMPING], usageCritical: true, ...wish });
const stamper = issueStamper();
const authorityOf = (leaf: Certificate, validFor: TimestampAuthority['validFor'] = { start: 0 }) => ({
  certificates: [leaf, root.certificate],
  validFor,
});

type Token = Partial<TokenWish>;
const stamp = (token: Token = {}) => makeTimestamp({ by: stamper, message: MESSAGE, ...token });
const tried = (bytes: Uint8Array, authorities: TimestampAuthority[] = [authorityOf(stamper.certificate)]) =>
  verifyTimestamp(bytes, MESSAGE, authorities, nodePrimitives());
/** `tried`, where the stamp is by one of the authorities. */
const verify = (...given: Parameters<typeof tried>) => {
  const found = tried(...given);
  if ('stranger' in found) throw new Error(`it is by a stranger, ${found.stranger}`);
  return found;
};
/** Whether no authority is known to the one who made the stamp. */
const strange = (...given: Parameters<typeof tried>) => 'stranger' in tried(...given);
const refused = (code = 'bad-timestamp') => expect.objectContaining({ name: 'MerkleError', code });
const AT = Date.parse('2030-01-01T00:00:00Z');

describe('time stamps', () => {
  it('hold with each hash, for ECDSA and RSA, as answer and as token', () => {
    const keys = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
    const rsa = issueStamper({ keys, name: 'rsa' });
    for (const hash of Object.keys(HASHES) as Hash[]) {
      expect(verify(stamp({ hash, imprintHash: hash })).time).toBe(AT);
      expect(verify(stamp({ hash, by: rsa }), [authorityOf(rsa.certificate)]).certificate).toBe(rsa.certificate);
    }
    const bareRsa = sequence(oid('1.2.840.113549.1.1.1'), der(5));
    expect(verify(stamp({ by: rsa, algorithm: bareRsa, hash: 'sha512' }), [authorityOf(rsa.certificate)]).time).toBe(
      AT,
    );
    expect(verify(stamp({ bare: true })).time).toBe(AT);
    expect(verify(stamp({ status: 1 })).time).toBe(AT);
    expect(verify(stamp({ time: '20300101000000.25Z' })).time).toBe(AT + 250);
    expect(verify(stamp({ infoMore: [] })).time).toBe(AT);
  });

  it('hold with the certificate sent along or not, and by the key identifier', () => {
    const certificates = [root.certificate.der, stamper.certificate.der];
    expect(verify(stamp({ certificates })).time).toBe(AT);
    const keyId = Buffer.alloc(20, 7);
    const named = issueStamper({ extensions: [{ oid: '2.5.29.14', value: octets(keyId) }] });
    const authority = [authorityOf(named.certificate)];
    expect(verify(stamp({ by: named, signerId: der(0x80, keyId) }), authority).time).toBe(AT);
    expect(tried(stamp({ by: named, signerId: der(0x80, Buffer.alloc(20)) }), authority)).toEqual({
      stranger: `key ${'00'.repeat(20)}`,
    });
  });

  it('take the certificate sent along where the trusted root has the authorities above alone', () => {
    const trusted = [{ certificates: [root.certificate], validFor: { start: 0 } }];
    expect(verify(stamp({ certificates: [stamper.certificate.der] }), trusted).time).toBe(AT);
    expect(strange(stamp(), trusted)).toBe(true);
    const otherRoot = issueCa('time root');
    const imposter = issue({ name: 'tsa', by: otherRoot, usages: [STAMPING], usageCritical: true });
    const forged = stamp({ by: imposter, certificates: [imposter.certificate.der, otherRoot.certificate.der] });
    expect(() => verify(forged, trusted)).toThrow(refused('bad-certificate'));
  });

  it.each<[string, Wish]>([
    ['for nonRepudiation alone', { keyUsage: 0x40 }],
    ['for digital signatures and nonRepudiation', { keyUsage: 0xc0 }],
    ['that does not restrict the use of its key', { keyUsage: undefined }],
  ])('hold by a certificate %s', (_, wish) => {
    const other = issueStamper(wish);
    expect(verify(stamp({ by: other }), [authorityOf(other.certificate)]).time).toBe(AT);
  });

  it('find the authority among several, and count in its time alone', () => {
    const other = issueStamper({ name: 'other' });
    const during = (start: number, end?: number) =>
      authorityOf(stamper.certificate, { start, ...(end !== undefined && { end }) });
    expect(verify(stamp(), [authorityOf(other.certificate), during(AT + 1), during(AT, AT)]).authority).toEqual(
      during(AT, AT),
    );
    for (const wrong of [[during(AT + 1)], [during(0, AT - 1)]])
      expect(() => verify(stamp(), wrong)).toThrow(refused());
    for (const unknown of [[authorityOf(other.certificate)], []]) expect(strange(stamp(), unknown)).toBe(true);
  });

  it.each<[string, Token, string?]>([
    ['over something else', { message: Buffer.from('other') }],
    ['of another content than was signed', { contentDigest: digest('sha256', Buffer.from('other')) }],
    ['with a digest cut', { contentDigest: Buffer.alloc(31) }],
    ['naming another certificate', { certificateDigest: digest('sha256', root.certificate.der) }],
    ['with a wrong signature', { signature: (bytes) => bytes.with(-1, bytes.at(-1)! ^ 1) }],
    ['with an empty signature', { signature: () => Buffer.alloc(0) }],
    ['with the algorithm of another hash', { algorithm: sequence(oid(ECDSA.sha384)) }],
    ['with the algorithm of another key', { algorithm: sequence(oid(RSA.sha256)) }],
    ['refused by the authority', { status: 2 }],
    ['before its certificate', { time: '20190101000000Z' }, 'bad-certificate'],
    ['after its certificate', { time: '20410101000000Z' }, 'bad-certificate'],
    ['as data', { contentType: '1.2.840.113549.1.7.1' }, 'bad-der'],
    ['signed as data', { signedType: '1.2.840.113549.1.7.1' }, 'bad-der'],
    ['without signed digest', { attributes: (list) => list.toSpliced(1, 1) }, 'bad-der'],
    ['without signed type', { attributes: (list) => list.slice(1) }, 'bad-der'],
    ['with two signed digests', { attributes: (list) => [...list, list[1]!] }, 'bad-der'],
    [
      'with two values of a digest',
      {
        attributes: ([type]) => [
          type!,
          attribute('1.2.840.113549.1.9.4', octets(Buffer.alloc(32)), octets(Buffer.alloc(32))),
        ],
      },
      'bad-der',
    ],
    ['with two signatures', { signers: 2 }, 'bad-der'],
    ['with no signature', { signers: 0 }, 'bad-der'],
    ['of another version', { infoVersion: 2 }, 'bad-der'],
    [
      'with a critical extension',
      {
        infoMore: [der(0xa1, sequence(oid('1.2.3'), der(1, Buffer.from([255])), octets(Buffer.alloc(1))))],
      },
      'bad-der',
    ],
    ['with more than is known', { infoMore: [der(0xa2)] }, 'bad-der'],
    ['with nine certificates', { certificates: Array.from({ length: 9 }, () => root.certificate.der) }, 'bad-der'],
    ['with a certificate that is none', { certificates: [sequence()] }, 'bad-der'],
    ['with SHA-1', { algorithm: sequence(oid('1.2.840.10045.4.1')) }, 'unsupported'],
    ['with an imprint of SHA-1', { imprintOid: '1.3.14.3.2.26' }, 'unsupported'],
  ])('are refused %s', (_, token, code) => expect(() => verify(stamp(token))).toThrow(refused(code)));

  it.each<[string, Token]>([
    ['by another serial number', { signerId: sequence(stamper.certificate.issuerDer, integer(5)) }],
    [
      'by another issuer',
      { signerId: sequence(sequence(), der(2, Buffer.from(stamper.certificate.serialNumber, 'hex'))) },
    ],
    ['by nobody known', { by: issueStamper({ name: 'other' }) }],
    ['with SHA-1', { by: issueStamper(), algorithm: sequence(oid('1.2.840.10045.4.1')) }],
    ['with an imprint of SHA-1', { by: issueStamper(), imprintOid: '1.3.14.3.2.26' }],
    ['over something else', { by: issueStamper(), message: Buffer.from('other') }],
    ['of another version', { by: issueStamper(), infoVersion: 2 }],
    ['with nine certificates', { by: issueStamper(), certificates: Array(9).fill(root.certificate.der) }],
    ['with a certificate that is none', { by: issueStamper(), certificates: [sequence()] }],
  ])('are of a stranger %s, and only the DER of them is read', (_, token) => {
    expect(strange(stamp(token))).toBe(true);
    expect(() => tried(Buffer.concat([stamp(token), Buffer.alloc(1)]))).toThrow(refused('bad-der'));
  });

  it.each<[string, Wish, string?]>([
    ['that is not marked critical', { usageCritical: false }],
    ['for other uses too', { usages: [STAMPING, '1.3.6.1.5.5.7.3.3'] }],
    ['for code signing', { usages: ['1.3.6.1.5.5.7.3.3'] }, 'bad-certificate'],
    ['for every use', { usages: [USAGE.any] }, 'bad-certificate'],
    ['that says nothing about its use', { usages: undefined }],
    ['for encryption', { keyUsage: 0x20 }, 'bad-certificate'],
    ['for signing certificates too', { keyUsage: 0x44 }, 'bad-certificate'],
    ['by another root', { by: issueCa('time root') }, 'bad-certificate'],
    ['that expired', { to: '2029-01-01T00:00:00Z' }, 'bad-certificate'],
  ])('are refused by a certificate %s', (_, wish, code) => {
    const wrong = issueStamper(wish);
    expect(() => verify(stamp({ by: wrong }), [authorityOf(wrong.certificate)])).toThrow(refused(code));
  });

  it('with one byte changed are refused, or say the same', () => {
    const good = stamp({ certificates: [stamper.certificate.der] });
    const at = verify(good).time;
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (i, mask) => {
        const changed = Uint8Array.from(good);
        changed[i] = changed[i]! ^ mask;
        let time: number;
        try {
          const found = tried(changed);
          // The name of the signer stands outside of the signed bytes.
          if ('stranger' in found) return;
          ({ time } = found);
        } catch (error) {
          expect(error).toMatchObject({ name: 'MerkleError' });
          return;
        }
        // Nothing signs the status, the versions, the list of hashes or the certificates sent along.
        expect(time).toBe(at);
      }),
      { numRuns: 500 },
    );
  });

  it('throw nothing else, whatever they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(() => verify(bytes)).toThrow(expect.objectContaining({ name: 'MerkleError' }));
      }),
    );
  });
});
