/**
 * The path from a certificate to a trusted root at a given time: RFC 5280 section 6.1, without revocation, which
 * code-signing authorities do not use.
 *
 * Each certificate above the leaf needs: the authority flag, a sufficient path length, key usage keyCertSign, validity at
 * the time, no unknown critical extension, a subject that equals the issuer of the certificate below (by DER), an extended
 * key usage that allows the leaf's use, and its signature on the certificate below. A root is trusted because it is in the
 * list, so its own signature is not verified. The whole path must meet its name constraints (name-constraints.ts) and its
 * policies (certificate-policies.ts).
 */
import { equal } from '../bytes.ts';
import { MerkleError } from '../errors.ts';
import { printable } from '../printable.ts';
import type { Primitives } from '../rekor/primitives.ts';
import { type Certificate, EXTENSION, isSelfIssued, USAGE } from './certificate.ts';
import { brokenPolicy } from './certificate-policies.ts';
import { shownOid } from './der-fields.ts';
import { brokenConstraint } from './name-constraints.ts';
import { keyOf, verifyWith } from './signature-algorithms.ts';
import { timeText, within } from './utc-time.ts';

export interface Authorities {
  /** In any order; not all need be used. Self-issued certificates are refused: roots come only from `roots`. */
  readonly intermediates: readonly Certificate[];
  readonly roots: readonly Certificate[];
}

interface ChainOptions {
  /** OID of the extended key usage that the leaf and its authorities must allow; by default code signing. */
  readonly usage?: string;
}

/** Most certificates between leaf and root; Fulcio has 1. */
const MAX_INTERMEDIATES = 4;
/** Most intermediates, and most roots. */
const MAX_CANDIDATES = 64;
/** Most signature checks for one leaf. The bound keeps the search short if many authorities have one name. */
const MAX_CHECKS = 32;

/** Extensions that this file or its callers read, and that may be critical. */
const READ: ReadonlySet<string> = new Set<string>([
  EXTENSION.subjectKeyId,
  EXTENSION.keyUsage,
  EXTENSION.subjectAltName,
  EXTENSION.basicConstraints,
  EXTENSION.certificatePolicies,
  EXTENSION.authorityKeyId,
  EXTENSION.policyConstraints,
  EXTENSION.extKeyUsage,
]);
/** Extensions of authorities alone that may be critical. */
const READ_OF_AUTHORITIES: ReadonlySet<string> = new Set<string>([
  EXTENSION.nameConstraints,
  EXTENSION.policyMappings,
  EXTENSION.inhibitAnyPolicy,
]);

/**
 * Finds a path from `leaf` to a root, and checks all of it.
 * @param atMs milliseconds since 1970
 * @returns the leaf, the intermediates, the root
 * @throws MerkleError `bad-certificate` if no path is valid; `unsupported` or `bad-key` if the last path that failed has an
 * algorithm or key that this version does not support
 */
export function verifyChain(
  leaf: Certificate,
  { intermediates, roots }: Authorities,
  atMs: number,
  primitives: Primitives,
  { usage = USAGE.codeSigning }: ChainOptions = {},
): Certificate[] {
  if (intermediates.length > MAX_CANDIDATES || roots.length > MAX_CANDIDATES) {
    throw bad(leaf, `comes with more than ${MAX_CANDIDATES} authorities`);
  }
  for (const certificate of intermediates) {
    if (isSelfIssued(certificate)) throw bad(certificate, 'is a root: only the trusted root may bring roots');
  }
  checkLeaf(leaf, atMs, usage);

  let failure: MerkleError | undefined;
  let checks = 0;
  /** Searches an issuer for the last certificate of `path`. All of `path` is valid. */
  const extend = (path: readonly Certificate[]): Certificate[] | undefined => {
    const child = path.at(-1)!;
    for (const [candidates, isRoot] of [[roots, true] as const, [intermediates, false] as const]) {
      if (!isRoot && path.length > MAX_INTERMEDIATES) continue;
      for (const issuer of candidates) {
        if (!mayIssue(issuer, child) || path.includes(issuer)) continue;
        const longer = [...path, issuer];
        try {
          checkIssuer(issuer, path.length - 1, atMs, usage);
          if (++checks > MAX_CHECKS) throw bad(leaf, 'has too many possible issuers');
          if (!isSignedBy(child, issuer, primitives)) throw bad(child, 'does not bear the signature of its issuer');
          if (isRoot) {
            checkPath(longer);
            return longer;
          }
        } catch (error) {
          if (!(error instanceof MerkleError)) throw error;
          failure = error;
          if (checks > MAX_CHECKS) throw error;
          continue;
        }
        const whole = extend(longer);
        if (whole !== undefined) return whole;
      }
    }
    failure ??= bad(child, `is issued by "${printable(child.issuer)}", which the trusted root does not have`);
    return undefined;
  };
  const path = extend([leaf]);
  if (path === undefined) throw failure!;
  return path;
}

/**
 * The checks of a leaf that need no authority.
 * @param atMs milliseconds since 1970
 * @param usage OID of the extended key usage
 * @throws MerkleError `bad-certificate`
 */
export function checkLeaf(leaf: Certificate, atMs: number, usage: string = USAGE.codeSigning): void {
  if (leaf.isCa || leaf.keyUsage?.includes('keyCertSign')) throw bad(leaf, "is an authority's, not a signer's");
  // RFC 5280 section 4.2.1.12: the key of a time-stamp authority may be for nonRepudiation alone.
  const forSigning = leaf.keyUsage?.some(
    (use) => use === 'digitalSignature' || (use === 'nonRepudiation' && usage === USAGE.timeStamping),
  );
  if (forSigning === false) throw bad(leaf, 'is not for digital signatures');
  // Without the extension, the certificate is for every use. `anyExtendedKeyUsage` does not allow this one.
  if (leaf.extKeyUsage.length > 0 && !leaf.extKeyUsage.includes(usage))
    throw bad(leaf, `is not for ${usageText(usage)}`);
  checkEvery(leaf, atMs);
}

/** @param below the number of intermediates between the issuer and the leaf */
function checkIssuer(issuer: Certificate, below: number, atMs: number, usage: string): void {
  if (!issuer.isCa) throw bad(issuer, 'is not an authority and must not issue certificates');
  if (issuer.keyUsage !== undefined && !issuer.keyUsage.includes('keyCertSign')) {
    throw bad(issuer, 'is not for signing certificates');
  }
  if (issuer.pathLen !== undefined && issuer.pathLen < below) {
    throw bad(issuer, `allows ${issuer.pathLen} authorities below it, not ${below}`);
  }
  const { extKeyUsage } = issuer;
  if (extKeyUsage.length > 0 && !extKeyUsage.includes(usage) && !extKeyUsage.includes(USAGE.any)) {
    throw bad(issuer, `is not for ${usageText(usage)}`);
  }
  checkEvery(issuer, atMs);
}

/** Checks what depends on the whole path, from the leaf to the root. */
function checkPath(path: readonly Certificate[]): void {
  const broken = brokenConstraint(path);
  if (broken !== undefined) throw bad(broken.certificate, broken.why);
  const why = brokenPolicy(path);
  if (why !== undefined) throw bad(path[0]!, why);
}

function checkEvery(certificate: Certificate, atMs: number): void {
  const { notBefore, notAfter } = certificate;
  if (!within({ start: notBefore, end: notAfter }, atMs)) {
    const [from, to, at] = [notBefore, notAfter, atMs].map(timeText);
    throw bad(certificate, `is valid from ${from} to ${to}, not at ${at}`);
  }
  for (const [oid, { critical }] of certificate.extensions) {
    if (critical && !READ.has(oid) && !(certificate.isCa && READ_OF_AUTHORITIES.has(oid)))
      throw bad(certificate, `has the critical extension ${shownOid(oid)}, which this version does not know`);
  }
}

/** Compares names by their DER, and key identifiers if both certificates have one. */
export function mayIssue(issuer: Certificate, child: Certificate): boolean {
  return (
    equal(issuer.subjectDer, child.issuerDer) &&
    (issuer.subjectKeyId === undefined ||
      child.authorityKeyId === undefined ||
      equal(issuer.subjectKeyId, child.authorityKeyId))
  );
}

// Signatures on authorities that verified: many leaves share the authorities, and a P-384 check takes a millisecond.
const signed = new WeakMap<Primitives, WeakMap<Certificate, WeakSet<Certificate>>>();

function isSignedBy(child: Certificate, issuer: Certificate, primitives: Primitives): boolean {
  const check = () => verifyWith(child.signatureAlgorithm, keyOf(issuer), child.tbs, child.signature, primitives);
  if (!child.isCa) return check();
  let children = signed.get(primitives);
  if (children === undefined) {
    children = new WeakMap();
    signed.set(primitives, children);
  }
  let issuers = children.get(child);
  if (issuers === undefined) {
    issuers = new WeakSet();
    children.set(child, issuers);
  }
  if (issuers.has(issuer)) return true;
  const good = check();
  if (good) issuers.add(issuer);
  return good;
}

function usageText(usage: string): string {
  if (usage === USAGE.codeSigning) return 'code signing';
  return usage === USAGE.timeStamping ? 'time stamping' : `the use ${usage}`;
}

function bad(certificate: Certificate, why: string): MerkleError {
  const { subject, serialNumber } = certificate;
  const name = subject === '' ? `number ${serialNumber}` : `of "${printable(subject)}"`;
  return new MerkleError('bad-certificate', `the certificate ${name.slice(0, 320)} ${why}`);
}
