/** A certificate authority with software keys, made by Stele's own functions: a root, and an authority for each team. */
import { intermediateProfile, rootProfile } from '../../client/ca/certificates/extensions.ts';
import { makeCertificate, newSerial } from '../../client/ca/certificates/make-certificate.ts';
import type { NameSubtrees } from '../../client/ca/certificates/types.ts';
import { formatPem } from '../../merkle/pem.ts';
import { newKey } from '../../merkle/runtime/keys/keyfile.ts';
import type { KeyAlgorithm, Signer } from '../../merkle/runtime/keys/types.ts';
import { type Certificate, parseCertificate } from '../../merkle/x509/certificate.ts';

const DAY = 86_400_000;

export interface TestAuthority {
  readonly certificate: Certificate;
  readonly signer: Signer;
  /** The private key in a file of mode 0600, if there is a directory. */
  save(path: string): Promise<void>;
}

export interface TestRoot extends TestAuthority {
  /** An authority below the root. */
  team(name: string, names: Partial<NameSubtrees>, options?: TimesOfTest): Promise<TestTeam>;
}

export interface TestTeam extends TestAuthority {
  /** The authority and the root, PEM: what `stele ca serve` and the trusted root take. */
  readonly chain: string;
}

interface TimesOfTest {
  readonly algorithm?: KeyAlgorithm;
  /** Milliseconds since 1970, whole seconds; by default from a day ago on, for 30 days. */
  readonly notBefore?: number;
  readonly notAfter?: number;
}

export async function newTestRoot(options: TimesOfTest = {}): Promise<TestRoot> {
  const times = timesOf(options, 3_650);
  const key = newKey(options.algorithm ?? 'ecdsa-p256');
  const der = await makeCertificate({
    subject: { organization: 'stele tests', commonName: 'root' },
    publicKey: key.signer.publicKey,
    issuer: { signer: key.signer },
    serial: newSerial(),
    ...times,
    extensions: rootProfile(),
  });
  const root = { certificate: parseCertificate(der), signer: key.signer };
  return { ...root, save: key.save, team: (name, names, more = {}) => newTestTeam(root, name, names, more) };
}

async function newTestTeam(
  root: Pick<TestAuthority, 'certificate' | 'signer'>,
  name: string,
  names: Partial<NameSubtrees>,
  options: TimesOfTest,
): Promise<TestTeam> {
  const { signer, save } = newKey(options.algorithm ?? 'ecdsa-p256');
  const der = await makeCertificate({
    subject: { organization: 'stele tests', commonName: name },
    publicKey: signer.publicKey,
    issuer: root,
    serial: newSerial(),
    ...timesOf(options, 30),
    extensions: intermediateProfile({ uri: [], dns: [], email: [], ...names }),
  });
  const certificate = parseCertificate(der);
  return {
    certificate,
    signer,
    save,
    chain: [der, root.certificate.der].map((one) => formatPem('CERTIFICATE', one)).join(''),
  };
}

function timesOf({ notBefore, notAfter }: TimesOfTest, days: number): { notBefore: number; notAfter: number } {
  const start = notBefore ?? Math.floor((Date.now() - DAY) / 1000) * 1000;
  return { notBefore: start, notAfter: notAfter ?? start + days * DAY };
}
