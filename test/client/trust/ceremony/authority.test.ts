/** The root of a certificate authority in a ceremony: what its step must say. */
import { beforeAll, describe, expect, it } from 'vitest';
import { rootProfile } from '../../../../client/ca/certificates/extensions.ts';
import { makeCertificate, newSerial } from '../../../../client/ca/certificates/make-certificate.ts';
import { makeRootCertificate } from '../../../../client/ca/root/make-authorities.ts';
import { ceremonyOf } from '../../../../client/trust/ceremony/ceremony.ts';
import { type AuthorityStep, parseSteps, stepLine } from '../../../../client/trust/ceremony/steps.ts';
import { checkTranscript } from '../../../../client/trust/ceremony/transcript.ts';
import { softwareSigner } from '../../../../merkle/runtime/keys/keyfile.ts';
import { parseCertificate } from '../../../../merkle/x509/certificate.ts';
import { Chain, hash, newHolder } from './made-ceremony.ts';

const holders = ['holder-1', 'holder-2', 'holder-3'].map((name) => newHolder(name));
const [h1] = holders as [(typeof holders)[0]];
const authority = newHolder('ca');
const other = newHolder('other');
const NOW = Date.parse('2030-01-01T00:00:00Z');
const rootOf = ({ key }: typeof authority) =>
  makeRootCertificate(softwareSigner(key), { subject: { commonName: 'signers' }, expires: 86_400_000 }, NOW);
const refused = (message: RegExp) =>
  expect.objectContaining({ code: 'ceremony', message: expect.stringMatching(message) });

let der: Uint8Array;
const chain = () => new Chain(holders).begin().keys();
const after = (one: Chain) => ceremonyOf(parseSteps(one.steps.map(stepLine)));
const withStep = (changes: Partial<AuthorityStep>) => after(chain().authority(authority, der, changes));

beforeAll(async () => {
  der = await rootOf(authority);
});

describe('a certificate authority in a ceremony', () => {
  it('is recorded with its certificate, and stands in the transcript', () => {
    const { root, statement } = chain().makeRoot().sign(h1).authority(authority, der).sign(holders[2]!).finish();
    const checked = checkTranscript(statement, root);
    expect(checked.authority?.sha256).toBe(hash(der));
    expect(after(chain()).authority).toBeUndefined();
    expect(parseCertificate(der).subject).toBe('CN=signers');
  });

  it('is made once', () => {
    expect(() => after(chain().authority(authority, der).authority(authority, der))).toThrow(refused(/made already/));
  });

  it('has a token of its own', () => {
    const [held] = new Chain([h1]).key(h1).steps as unknown as [AuthorityStep];
    expect(() => withStep({ token: held.token })).toThrow(refused(/token "holder-1" .* holds the key of holder-1/));
    const begun = () => new Chain(holders).begin().authority(authority, der);
    expect(() => after(begun().keys())).not.toThrow();
    const { token } = begun().steps[1] as AuthorityStep;
    expect(() => after(begun().key(h1, { token }))).toThrow(refused(/holds the key of the certificate authority/));
  });

  it('has a key of its own', async () => {
    expect(() => after(chain().authority(h1, der))).toThrow(refused(/certificate authority has the key of holder-1/));
    const foreign = Buffer.from(await rootOf(other)).toString('base64');
    const sha256 = hash(Buffer.from(foreign, 'base64'));
    expect(() => withStep({ certificate: foreign, sha256 })).toThrow(refused(/not that of a root with this key/));
  });

  it('has a certificate that its key signed, for a root', async () => {
    expect(() => withStep({ sha256: hash('x') })).toThrow(refused(/digest of the certificate authority is of another/));
    const bent = Uint8Array.from(der);
    bent[bent.length - 1]! ^= 1;
    const changed = { certificate: Buffer.from(bent).toString('base64'), sha256: hash(bent) };
    expect(() => withStep(changed)).toThrow(refused(/does not bear the signature/));
    expect(() => withStep({ certificate: 'AAAA', sha256: hash(Buffer.from('AAAA', 'base64')) })).toThrow(
      refused(/is damaged/),
    );
    expect(() => withStep({ certificate: '!' })).toThrow(refused(/damaged/));
    const signer = softwareSigner(authority.key);
    const below = await makeCertificate({
      subject: { commonName: 'below' },
      publicKey: signer.publicKey,
      issuer: { certificate: parseCertificate(await rootOf(authority)), signer },
      serial: newSerial(),
      notBefore: NOW,
      notAfter: NOW + 1000,
      extensions: rootProfile().map((one) =>
        one.oid === '2.5.29.19' ? { ...one, value: Buffer.from('30060101ff020100', 'hex') } : one,
      ),
    });
    const under = { certificate: Buffer.from(below).toString('base64'), sha256: hash(below) };
    expect(() => withStep(under)).toThrow(refused(/not that of a root/));
  });

  it.each<[string, Partial<AuthorityStep>, RegExp]>([
    ['the word of another key', { sig: '3006020101020101' }, /did not sign its record/],
    [
      'a key that could leave',
      {
        attributes: { sensitive: true, extractable: true, local: true, neverExtractable: false, alwaysSensitive: true },
      },
      /CKA_EXTRACTABLE, not CKA_NEVER_EXTRACTABLE/,
    ],
    ['another mechanism', { mechanism: { generate: 'CKM_X', sign: 'CKM_Y' } }, /other mechanisms/],
    ['another version of Stele', { stele: '9.9.9' }, /ran with Stele 9\.9\.9/],
  ])('is refused with %s', (_, changes, message) => {
    expect(() => withStep(changes)).toThrow(refused(message));
  });
});
