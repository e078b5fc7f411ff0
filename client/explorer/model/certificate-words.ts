/** A signer's certificate in words, and whether an authority of the trusted root vouches for it. */
import { encodeHex } from '../../../merkle/bytes.ts';
import { MerkleError } from '../../../merkle/errors.ts';
import type { Primitives } from '../../../merkle/rekor/primitives.ts';
import { type Certificate, parseCertificate, USAGE } from '../../../merkle/x509/certificate.ts';
import { FULCIO_EXTENSIONS, identityOf } from '../../../merkle/x509/fulcio.ts';
import { parseScts } from '../../../merkle/x509/sct.ts';
import { kindOfName } from '../../../merkle/x509/signer-names.ts';
import { timeText } from '../../../merkle/x509/utc-time.ts';
import { ClientError } from '../../errors.ts';
import type { TrustedRoot } from '../../trust/trusted-root.ts';
import { checkIdentity } from '../../verify/claimed-signer.ts';
import { claimChecked, claimFailed, claimNotChecked, claimOf, type PageClaim } from './claims.ts';

/** All texts stand here as the certificate has them. */
export interface CertificateWords {
  readonly names: readonly { readonly kind: string; readonly value: string }[];
  /** The identity provider that Fulcio names. */
  readonly issuer?: string;
  /** Fulcio's other extensions, in the order of the certificate; `name` is absent for one that this page does not know. */
  readonly extensions: readonly { readonly oid: string; readonly name?: string; readonly value: string }[];
  readonly subject: string;
  readonly authority: string;
  readonly serialNumber: string;
  /** ms since 1970; both ends are included. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly usages: readonly string[];
  readonly scts: readonly { readonly logId: string; readonly time: number }[];
  /** Why its names and extensions, or its SCTs, cannot be read. */
  readonly problems: readonly string[];
  readonly claims: readonly PageClaim[];
}

interface CertificateTrust {
  readonly trustedRoot?: TrustedRoot | undefined;
  readonly seenBy?: number | undefined;
}

const USAGE_NAMES: ReadonlyMap<string, string> = new Map([
  [USAGE.any, 'any use'],
  [USAGE.serverAuth, 'servers'],
  [USAGE.clientAuth, 'clients'],
  [USAGE.codeSigning, 'code signing'],
  [USAGE.timeStamping, 'time stamps'],
]);
const EXTENSION_NAMES = new Map(Object.entries(FULCIO_EXTENSIONS).map(([name, oid]) => [oid, name]));

/** @throws MerkleError `bad-der`: it is no certificate that can be read */
export function certificateWords(der: Uint8Array, trust: CertificateTrust, primitives: Primitives): CertificateWords {
  const certificate = parseCertificate(der);
  const problems: string[] = [];
  const part = <T>(read: () => T, none: T): T => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof MerkleError)) throw error;
      problems.push(error.message);
      return none;
    }
  };
  const identity = part(() => identityOf(certificate), { names: certificate.names, extensions: new Map() });
  const scts = part(() => parseScts(certificate), []);
  const isOid = (key: string) => /^[0-9.]+$/.test(key);
  const extensions = [...identity.extensions]
    .filter(([oid]) => isOid(oid))
    .map(([oid, value]) => {
      const name = EXTENSION_NAMES.get(oid);
      return { oid, value, ...(name !== undefined && { name }) };
    });
  return {
    names: identity.names.map((name) => ({ kind: kindOfName(name), value: name.value })),
    ...(identity.issuer !== undefined && { issuer: identity.issuer }),
    extensions,
    subject: certificate.subject,
    authority: certificate.issuer,
    serialNumber: certificate.serialNumber,
    notBefore: certificate.notBefore,
    notAfter: certificate.notAfter,
    usages: certificate.extKeyUsage.map((oid) => USAGE_NAMES.get(oid) ?? oid),
    scts: scts.map(({ logId, time }) => ({ logId: encodeHex(logId), time })),
    problems,
    claims: [...authorityClaims(certificate, trust, primitives), validityClaim(certificate, trust.seenBy)],
  };
}

/** How far the clocks of an authority and of witnesses may be apart, in ms: as client/verify/clock.ts. */
const TOLERANCE = 5 * 60_000;

const VOUCHED = 'An authority of the trusted root issued the certificate';
const PUBLIC = 'A certificate-transparency log promised to publish the certificate';

function authorityClaims(
  certificate: Certificate,
  { trustedRoot }: CertificateTrust,
  primitives: Primitives,
): PageClaim[] {
  if (trustedRoot === undefined) {
    const why =
      'explorer.json gives this log no trusted root, so nobody vouches for the names: a log takes any certificate';
    return [claimNotChecked(VOUCHED, why)];
  }
  // The time of the signature is not known. The start of the validity is the time of issue.
  const times = [{ kind: 'witness' as const, time: certificate.notBefore, by: 'the start of its validity' }];
  const check = (ignoreSct: boolean) =>
    checkIdentity(certificate, [], times, () => ({}), { trustedRoot, ignoreSct }, primitives);
  const vouched = claimOf(VOUCHED, () => {
    const found = check(true).checks.find(({ name }) => name === 'certificate');
    const by = found?.name === 'certificate' ? found.by : '';
    return claimChecked(
      VOUCHED,
      `its chain leads to ${by}, and was valid at ${timeText(certificate.notBefore)}, when it was issued`,
    );
  });
  if (vouched.state !== 'checked') return [vouched, claimNotChecked(PUBLIC, 'no authority vouches for it')];
  const made = claimOf(PUBLIC, () => {
    try {
      const { checks } = check(false);
      const times = checks.flatMap((one) => (one.name === 'sct' ? [timeText(one.time)] : []));
      if (times.length > 0)
        return claimChecked(PUBLIC, `its signed certificate timestamp verifies (${times.join(', ')})`);
      return claimNotChecked(PUBLIC, 'the trusted root names no such log');
    } catch (error) {
      if (error instanceof ClientError && error.code === 'bad-sct') return claimFailed(PUBLIC, error);
      throw error;
    }
  });
  return [vouched, made];
}

/** What is known of the time at which it was used: only by when the entry was there. */
function validityClaim({ notBefore, notAfter }: Certificate, seenBy: number | undefined): PageClaim {
  const what = 'The certificate was valid when it was used';
  const valid = `it is valid from ${timeText(notBefore)} to ${timeText(notAfter)}`;
  if (seenBy === undefined)
    return claimNotChecked(what, `${valid}, and an entry holds no time that anybody vouches for`);
  if (seenBy + TOLERANCE < notBefore) {
    return claimFailed(what, `${valid}, and the witnesses saw the entry by ${timeText(seenBy)}, which is earlier`);
  }
  if (seenBy <= notAfter) {
    return claimChecked(
      what,
      `${valid}; it was in the log by ${timeText(seenBy)}, and no certificate is used before it is issued`,
    );
  }
  return claimNotChecked(
    what,
    `${valid}; the witnesses show only that the entry was in the log by ${timeText(seenBy)}`,
  );
}
