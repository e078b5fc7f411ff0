/** Any number of certificates in Fulcio's form, and the entries with them. No authority signs the certificates. */
import { createHash } from 'node:crypto';
import { bitString, der, sequence } from './der.ts';

export interface CertificateOptions {
  /**
   * An e-mail with "@", otherwise a URI. `user:x` is Fulcio's user name (an otherName), `upn:x` the user principal name of a
   * directory (another otherName), `dns:x` a DNS name, `ip:x` an IPv4 address, `raw:` an IA5 e-mail of any bytes.
   */
  readonly names?: readonly string[];
  readonly issuer?: string;
  /** Fulcio's extensions by the number N of 1.3.6.1.4.1.57264.1.N. */
  readonly extensions?: Readonly<Record<number, string>>;
  /** The key depends on the seed. */
  readonly seed?: string;
}

const ECDSA_SHA256 = sequence(der(0x06, Buffer.from('2a8648ce3d040302', 'hex')));
const P256 = sequence(
  der(0x06, Buffer.from('2a8648ce3d0201', 'hex')),
  der(0x06, Buffer.from('2a8648ce3d030107', 'hex')),
);
const AUTHORITY = sequence(
  der(0x31, sequence(der(0x06, Buffer.from('55040a', 'hex')), der(0x0c, Buffer.from('sigstore.dev')))),
  der(0x31, sequence(der(0x06, Buffer.from('550403', 'hex')), der(0x0c, Buffer.from('sigstore-intermediate')))),
);
const FULCIO = Buffer.from('2b0601040183bf3001', 'hex');
/** 1.3.6.1.4.1.311.20.2.3. */
const USER_PRINCIPAL_NAME = Buffer.from('2b060104018237140203', 'hex');

/** A P-256 SubjectPublicKeyInfo with a point made from `seed`. The point need not be on the curve. */
export function madeUpKey(seed: string): Buffer {
  const x = createHash('sha512').update(seed).digest();
  return sequence(P256, bitString(Buffer.concat([Buffer.from([4]), x])));
}

export function fulcioCertificate({ names = [], issuer, extensions = {}, seed = '' }: CertificateOptions): Buffer {
  const own: Buffer[] = [
    extension('551d0f', true, der(0x03, Buffer.from([7, 0x80]))),
    extension('551d25', false, sequence(der(0x06, Buffer.from('2b06010505070303', 'hex')))),
    extension('551d23', false, sequence(der(0x80, Buffer.alloc(20, 7)))),
  ];
  if (names.length > 0) own.push(extension('551d11', true, sequence(...names.map(alternativeName))));
  const texts = { ...(issuer === undefined ? {} : { 1: issuer, 8: issuer }), ...extensions };
  for (const [number, text] of Object.entries(texts)) own.push(fulcioExtension(Number(number), text));
  const tbs = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([1]), createHash('sha1').update(`${seed}${names[0]}`).digest()])),
    ECDSA_SHA256,
    AUTHORITY,
    sequence(der(0x17, Buffer.from('260801120000Z')), der(0x17, Buffer.from('260801121000Z'))),
    sequence(),
    madeUpKey(seed),
    der(0xa3, sequence(...own)),
  );
  const one = der(0x02, Buffer.alloc(32, 1));
  return sequence(tbs, ECDSA_SHA256, bitString(sequence(one, one)));
}

/** The canonical hashedrekord 0.0.2 of a certificate, or of a key. */
export function hashedRekord(
  verifier: { certificate: Uint8Array } | { key: Uint8Array },
  artifact = 'artifact',
): Buffer {
  const digest = createHash('sha256').update(artifact).digest('base64');
  const content = Buffer.concat([Buffer.from('3044022001', 'hex'), Buffer.alloc(65, artifact)]).toString('base64');
  const keyDetails = 'PKIX_ECDSA_P256_SHA_256';
  const held =
    'certificate' in verifier
      ? { keyDetails, x509Certificate: { rawBytes: base64(verifier.certificate) } }
      : { keyDetails, publicKey: { rawBytes: base64(verifier.key) } };
  const hashedRekordV002 = { data: { algorithm: 'SHA2_256', digest }, signature: { content, verifier: held } };
  return Buffer.from(JSON.stringify({ apiVersion: '0.0.2', kind: 'hashedrekord', spec: { hashedRekordV002 } }));
}

/** The contents of a certificate for a run of a GitHub workflow. */
export function githubRun(repository: string, workflow: string, ref: string, run = 1): CertificateOptions {
  const url = `https://github.com/${repository}`;
  const uri = `${url}/.github/workflows/${workflow}@${ref}`;
  const sha = createHash('sha1').update(`${repository}${run}`).digest('hex');
  const owner = `https://github.com/${repository.split('/')[0]}`;
  return {
    names: [uri],
    issuer: 'https://token.actions.githubusercontent.com',
    seed: `${repository}${workflow}${ref}${run}`,
    extensions: {
      2: 'push',
      3: sha,
      4: 'Release',
      5: repository,
      6: ref,
      9: uri,
      10: sha,
      11: 'github-hosted',
      12: url,
      13: sha,
      14: ref,
      15: '123456',
      16: owner,
      17: '654321',
      18: uri,
      19: sha,
      20: 'push',
      21: `${url}/actions/runs/${run}/attempts/1`,
      22: 'public',
    },
  };
}

export function keyFingerprint(spki: Uint8Array): string {
  return createHash('sha256').update(spki).digest('hex');
}

function fulcioExtension(number: number, text: string): Buffer {
  const oid = der(0x06, Buffer.concat([FULCIO, Buffer.from([number])]));
  const value = number < 7 ? Buffer.from(text) : der(0x0c, Buffer.from(text));
  return sequence(oid, der(0x04, value));
}

function extension(oid: string, critical: boolean, value: Uint8Array): Buffer {
  const flag = critical ? [der(0x01, Buffer.from([255]))] : [];
  return sequence(der(0x06, Buffer.from(oid, 'hex')), ...flag, der(0x04, value));
}

export function alternativeName(name: string): Buffer {
  const otherName = (oid: Buffer, text: string) => der(0xa0, der(0x06, oid), der(0xa0, der(0x0c, Buffer.from(text))));
  if (name.startsWith('user:')) return otherName(Buffer.concat([FULCIO, Buffer.from([7])]), name.slice(5));
  if (name.startsWith('upn:')) return otherName(USER_PRINCIPAL_NAME, name.slice(4));
  if (name.startsWith('dns:')) return der(0x82, Buffer.from(name.slice(4)));
  if (name.startsWith('ip:')) return der(0x87, Buffer.from(name.slice(3).split('.').map(Number)));
  if (name.startsWith('raw:')) return der(0x81, Buffer.from(name.slice(4)));
  return der(name.includes('@') && !name.includes('://') ? 0x81 : 0x86, Buffer.from(name));
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
