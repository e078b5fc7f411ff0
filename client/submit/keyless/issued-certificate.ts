/**
 * Checks what a certificate authority returned before anything is signed with it. A log never removes an entry: an entry with a
 * certificate that verifiers refuse, or that names somebody else, would stay.
 */
import { equal } from '../../../merkle/bytes.ts';
import { MerkleError } from '../../../merkle/errors.ts';
import { printable } from '../../../merkle/printable.ts';
import type { Primitives } from '../../../merkle/rekor/primitives.ts';
import { leafHash } from '../../../merkle/rfc6962.ts';
import { parseTlogProof } from '../../../merkle/tlog-proof.ts';
import { type Certificate, parseCertificate, USAGE } from '../../../merkle/x509/certificate.ts';
import { verifyChain } from '../../../merkle/x509/certificate-chain.ts';
import type { AlternativeName } from '../../../merkle/x509/certificate-names.ts';
import { type CertificateIdentity, FULCIO_USER_NAME, identityOf } from '../../../merkle/x509/fulcio.ts';
import { kindOfName } from '../../../merkle/x509/signer-names.ts';
import { ClientError, type ClientErrorCode } from '../../errors.ts';
import { canonicalEntry, type Signed } from '../../formats/entry-request.ts';
import type { PublicKey } from '../../formats/key.ts';
import { withClientErrors } from '../../merkle-errors.ts';
import type { TrustedRoot } from '../../trust/trusted-root.ts';
import { checkIdentity } from '../../verify/claimed-signer.ts';
import { sha256Of, verifyLeaf } from '../../verify/leaf.ts';
import type { LoggedLeaf, LogTrust } from '../../verify/types.ts';
import { checkSignerCertificate } from '../signers/certificate-check.ts';
import type { IssuedChain } from './ask-authority.ts';
import { type AskedIdentity, holdsToken } from './identity-token.ts';

/** What was asked for. */
interface Asked {
  readonly identity: AskedIdentity;
  /** The ephemeral key. */
  readonly publicKey: PublicKey;
  /** Digest and signature of the proof of possession. */
  readonly possession: Pick<Signed, 'digest' | 'signature'>;
}

/** In what the user trusts. What is undefined is not checked. */
export interface AuthorityTrust {
  /** Authorities, and certificate-transparency logs. */
  readonly trustedRoot?: TrustedRoot | undefined;
  /** The log that has the certificate, and its witnesses. */
  readonly log?: LogTrust | undefined;
}

export interface IssuedCertificate {
  readonly certificate: Certificate;
  readonly identity: CertificateIdentity;
  /** The one name of the identity. */
  readonly name: AlternativeName;
  /** Where the certificate is logged; undefined where the reply has no proof, or no log is trusted yet. */
  readonly logged: LoggedLeaf | undefined;
}

/**
 * @param now milliseconds since 1970
 * @throws ClientError `bad-certificate`, `identity`, `bad-sct`, `future-time`, `bad-reply`, `entry-mismatch`, `bad-proof`,
 *   `bad-checkpoint`, `quorum`, `policy`; its message may quote the reply
 */
export function checkIssued(
  { chain, tlogProof }: IssuedChain,
  asked: Asked,
  trust: AuthorityTrust,
  now: number,
  primitives: Primitives,
): IssuedCertificate {
  const { identity: wanted, publicKey } = asked;
  const [der, ...above] = chain as readonly [Uint8Array, ...Uint8Array[]];
  if (holdsToken(der, wanted)) throw bad('holds the identity token, and would publish it');
  checkSignerCertificate(der, publicKey, [now]);
  const certificate = parseCertificate(der);
  if (!certificate.extKeyUsage.includes(USAGE.codeSigning)) throw bad('does not say that it is for code signing');
  const identity = identityOf(certificate);
  const name = checkWhom(identity, wanted);
  certified(() => checkChain(certificate, above, now, primitives));
  const { trustedRoot } = trust;
  if (trustedRoot !== undefined) {
    // As verifiers will: a bundle has the leaf alone, so the chain comes from the trusted root.
    const at = [{ kind: 'timestamp', time: now, by: 'this machine' }] as const;
    certified(() => checkIdentity(certificate, [], at, () => ({ name }), { trustedRoot, now }, primitives));
  }
  const logged = tlogProof === undefined ? undefined : checkLogged(tlogProof, der, asked, trust.log, primitives);
  return { certificate, identity, name, logged };
}

/** The one name in the certificate. @throws ClientError `identity` */
function checkWhom({ names, issuer }: CertificateIdentity, wanted: AskedIdentity): AlternativeName {
  const shown = wanted.text === undefined ? 'X.509-SVID' : 'token';
  const [name, ...more] = names;
  const found = names.map((one) => `${printable(one.value)} (${kindOfName(one)})`).join(', ') || 'nobody';
  if (name === undefined || more.length > 0 || !isSubject(name, wanted)) {
    throw other(`is for ${found}, and not for ${printable(wanted.subject)} alone, whom the ${shown} is about`);
  }
  if (issuer === undefined || !wanted.issuers.includes(issuer)) {
    const said = issuer === undefined ? 'nobody' : printable(issuer);
    throw other(
      `names ${said} as the issuer of the identity, and the ${shown} is of ${wanted.issuers.map(printable).join(' or ')}`,
    );
  }
  return name;
}

/** GitHub's own; a server of a company has another one, and another host. */
const GITHUB_ISSUER = 'https://token.actions.githubusercontent.com';
const URI = /^[a-z][a-z0-9+.-]*:\/\//i;

/**
 * Whether a name is that of the token's subject (as Fulcio documents it for each kind of issuer): the e-mail address; the subject, where it is a
 * URI; a user name with a domain; or of a build system the address of the workflow, which the authority makes from other
 * claims. Of a build system that is not known here any URI is taken, and the command says which.
 */
function isSubject({ type, value, oid }: AlternativeName, { isEmail, subject, claims }: AskedIdentity): boolean {
  if (isEmail) return type === 'email' && value === subject;
  if (URI.test(subject)) return type === 'uri' && value === subject;
  if (type === 'other') return oid === FULCIO_USER_NAME && value.startsWith(`${subject}!`);
  if (type !== 'uri') return false;
  const { job_workflow_ref: github, ci_config_ref_uri: gitlab, iss } = claims;
  if (typeof github === 'string') {
    const [, host, path] = /^https:\/\/([a-z0-9.-]+)\/(.*)$/.exec(value) ?? [];
    return path === github && (host === 'github.com' || !String(iss).startsWith(GITHUB_ISSUER));
  }
  if (typeof gitlab === 'string') return value === `https://${gitlab}`;
  return URI.test(value);
}

/** The chain as the authority sent it: each certificate issued the one before it. */
function checkChain(leaf: Certificate, above: readonly Uint8Array[], now: number, primitives: Primitives): void {
  const authorities = above.map(parseCertificate);
  const root = authorities.at(-1);
  if (root === undefined) throw bad('comes without the certificate of its issuer');
  verifyChain(leaf, { intermediates: authorities.slice(0, -1), roots: [root] }, now, primitives);
}

/** The result of `check`: whatever is malformed, or of an unknown kind, is wrong with the certificate. */
function certified<T>(check: () => T): T {
  try {
    return withClientErrors(check);
  } catch (cause) {
    if (!(cause instanceof ClientError) || !UNREADABLE.includes(cause.code)) throw cause;
    throw new ClientError('bad-certificate', cause.message, { cause });
  }
}

const UNREADABLE: readonly ClientErrorCode[] = ['malformed', 'unsupported', 'key'];

/**
 * The proof is of an entry with this certificate as its verifier, over the proof of possession.
 *
 * @returns undefined where no log is trusted yet
 */
function checkLogged(
  file: Uint8Array,
  certificate: Uint8Array,
  { publicKey, possession }: Asked,
  log: LogTrust | undefined,
  primitives: Primitives,
): LoggedLeaf | undefined {
  const proof = proofOf(file);
  const entry = canonicalEntry({ ...possession, publicKey, certificate });
  if (proof.extra !== undefined && !equal(proof.extra, entry)) {
    throw new ClientError(
      'entry-mismatch',
      'the log entry that the authority shows is not about this certificate and its proof of possession',
    );
  }
  if (log === undefined) return undefined;
  return verifyLeaf({ ...proof, leafHash: leafHash(entry, sha256Of(primitives)) }, log, primitives);
}

function proofOf(file: Uint8Array): ReturnType<typeof parseTlogProof> {
  try {
    return parseTlogProof(file);
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw new ClientError('bad-reply', `the certificate authority sent no proof of a log: ${cause.message}`, { cause });
  }
}

function bad(why: string): ClientError {
  return new ClientError('bad-certificate', `the certificate of the authority ${why}: it is not used`);
}

function other(why: string): ClientError {
  return new ClientError('identity', `the certificate of the authority ${why}: it is not used`);
}
