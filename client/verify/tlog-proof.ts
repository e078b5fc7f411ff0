/**
 * Verifies c2sp.org/tlog-proof files (merkle/tlog-proof.ts), offline.
 *
 * A proof says nothing about a file by itself: it proves a leaf. For files that `stele sign` logged, the proof's extra data
 * is the canonical entry. Nobody vouches for the extra data, so the verifier checks each part of the entry: its digest must
 * be the file's, its key or certificate the expected one, and its signature that key's over that digest. Then the verifier
 * hashes the entry, and the proof must lead from that leaf. For any other log, the caller gives the leaf hash, made as that
 * log makes it.
 */
import { encodeHex, equal } from '../../merkle/bytes.ts';
import { MerkleError } from '../../merkle/errors.ts';
import type { Policy } from '../../merkle/policy.ts';
import { printable } from '../../merkle/printable.ts';
import { type HashedRekord, parseHashedRekord } from '../../merkle/rekor/hashedrekord.ts';
import { HASH_NAME, type HashName } from '../../merkle/rekor/hashes.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { parseSpki } from '../../merkle/rekor/spki.ts';
import { leafHash as hashLeaf } from '../../merkle/rfc6962.ts';
import { parseTlogProof, type TlogProof } from '../../merkle/tlog-proof.ts';
import { type Certificate, parseCertificate } from '../../merkle/x509/certificate.ts';
import type { AlternativeName } from '../../merkle/x509/certificate-names.ts';
import type { CertificateIdentity } from '../../merkle/x509/fulcio.ts';
import type { IdentityTest } from '../../merkle/x509/identity-rule.ts';
import { ClientError, usage } from '../errors.ts';
import { type KeyAlgorithm, keyAlgorithm, type PublicKey, parsePublicKey } from '../formats/key.ts';
import { withClientErrors } from '../merkle-errors.ts';
import type { LastCheckpoint } from '../trust/last-checkpoint.ts';
import { quorumTime } from '../trust/quorum.ts';
import type { SpiffeBundles } from '../trust/spiffe-bundles.ts';
import type { TrustedRoot } from '../trust/trusted-root.ts';
import { checkIdentity, checkSctWish, checkVouchers, claimedSigner } from './claimed-signer.ts';
import { checkCosigned, checkNow } from './clock.ts';
import type { ArtifactDigests } from './content.ts';
import { sha256Of, verifyLeaf } from './leaf.ts';
import { underOneRoot } from './one-root.ts';
import type { NotProven, VerifiedTime } from './outcome.ts';
import type { ChosenRoot, LoggedLeaf, TrustedRoots } from './types.ts';

export type TlogProofCheck = {
  /** The file, at most `MAX_TLOG_PROOF` bytes. */
  readonly proof: Uint8Array;
  /** The trusted logs, and the quorum that must have cosigned. */
  readonly policy: Policy;
  /** The last checkpoints of frozen logs: a proof that leads beyond one is refused. */
  readonly lastCheckpoints?: readonly LastCheckpoint[] | undefined;
  /** As `VerifyRequest.now`. */
  readonly now?: number | undefined;
} & (
  | {
      /** The file's digests; must hold the digest that the signer's key signs (`entryDigest`). */
      readonly digests: ArtifactDigests;
      readonly signer: ExpectedSigner;
    }
  | {
      /** RFC 6962 leaf hash, 32 bytes: any log's entry. The verifier ignores the extra data. */
      readonly leafHash: Uint8Array;
    }
);

/**
 * Who must have signed: a public key (SubjectPublicKeyInfo, DER), or an identity in a certificate.
 *
 * A certificate needs a time at which it counts, and a proof has only the time of the witnesses: the earliest time at which
 * enough of them for the policy's quorum had cosigned. If the policy has no quorum, the verifier refuses the proof.
 */
export type ExpectedSigner = { readonly key: Uint8Array } | ExpectedIdentity;

interface ExpectedIdentity {
  /** Whether the certificate names the expected identity. */
  readonly identity: IdentityTest;
  /** Its certificate authorities, and the keys of its certificate-transparency logs. Or `spiffeBundles` is given, or both. */
  readonly trustedRoot?: TrustedRoot | undefined;
  /** As `VerifyRequest.spiffeBundles`. */
  readonly spiffeBundles?: SpiffeBundles | undefined;
  /** As `VerifyRequest.requireSct`. */
  readonly requireSct?: boolean | undefined;
  /** As `VerifyRequest.ignoreSct`. */
  readonly ignoreSct?: boolean | undefined;
}

export interface VerifiedProof extends LoggedLeaf {
  /** The trusted root that has the signer's authority, where the caller gave several. */
  readonly trustedRoot?: ChosenRoot;
  /** Who signed the file; undefined for a proof of a leaf hash. */
  readonly signer:
    | {
        readonly publicKey: PublicKey;
        /** The signer's, for an expected identity: its chain, its names and its period were checked. */
        readonly certificate: Certificate | undefined;
        readonly identity: CertificateIdentity | undefined;
        /** The name of `identity` that is the expected one. */
        readonly matched: AlternativeName | undefined;
        /** The time at which the certificate counted, in milliseconds since 1970. */
        readonly time: number | undefined;
        /** Of the certificate. */
        readonly notProven: readonly NotProven[];
      }
    | undefined;
  /** Sibling hashes, from the leaf upwards. */
  readonly hashes: readonly Uint8Array[];
  readonly checkpoint: string;
}

/**
 * @param primitives what checks signatures and hashes
 * @throws ClientError
 * - `malformed`: the file is no proof, or its extra data no entry; `unsupported`: its entry is of another kind
 * - `digest-mismatch`: the entry is about another file
 * - `bad-signature`: another key signed, or the signature does not verify
 * - the codes of certificates and identities, for an expected identity
 * - `policy`, `bad-checkpoint`, `quorum`, `bad-proof`: the leaf is not in a log of the policy
 * - `future-time`: a witness or a certificate-transparency log signed later than now
 * - `usage`: the digest that the signer's key signs is missing, or the leaf hash has not 32 bytes
 */
export function checkTlogProof(request: TlogProofCheck, primitives: Primitives): VerifiedProof {
  checkNow(request.now);
  const proof = read(request.proof);
  const { policy } = request;
  if ('leafHash' in request) {
    if (request.leafHash.length !== 32) {
      throw usage(`a leaf hash has 32 bytes, not ${request.leafHash.length}`);
    }
    return { ...verify(proof, request.leafHash, request, primitives), signer: undefined };
  }
  const { signer: expected, digests } = request;
  if ('identity' in expected) {
    checkSctWish(expected);
    checkVouchers(expected);
  }
  const entry = entryOf(proof);
  const wanted = 'key' in expected ? withClientErrors(() => parseSpki(expected.key)) : undefined;
  const { certificate, key } = claimedSigner(entry.verifier, wanted);
  const publicKey = parsePublicKey(key.spki, primitives);
  checkedAlgorithm(entry, key.spki);
  const digest = checkedDigest(entry, publicKey, digests);
  if (!publicKey.verify(digest, entry.signature)) {
    const why = 'the signature in the proof is not by its key over this file: it was changed';
    throw new ClientError('bad-signature', why);
  }
  const verified = verify(proof, hashLeaf(proof.extra!, sha256Of(primitives)), request, primitives);
  if ('key' in expected) {
    return {
      ...verified,
      signer: {
        publicKey,
        certificate: undefined,
        identity: undefined,
        matched: undefined,
        time: undefined,
        notProven: [],
      },
    };
  }
  const seconds = quorumTime(policy, verified.cosigned);
  if (seconds === undefined) {
    throw new ClientError(
      'policy',
      'a certificate needs a time at which it counts. Only witnesses give a time in a tlog-proof, and the policy has no quorum',
    );
  }
  const at: VerifiedTime = { kind: 'witness', time: seconds * 1000, by: policy.quorum!.name };
  const { identity: matches, ...trust } = { ...expected, now: request.now };
  const { identity, matched, notProven } = checkIdentity(certificate!, [], [at], matches, trust, primitives);
  return { ...verified, signer: { publicKey, certificate, identity, matched, time: at.time, notProven } };
}

/** A proof of a file whose signer one of the trusted roots must have certified. */
export interface ProofUnderRoots extends Omit<Extract<TlogProofCheck, { readonly signer: unknown }>, 'signer'> {
  readonly signer: Omit<ExpectedIdentity, 'trustedRoot'> & {
    /** As in `ExpectedSigner`; of several, those of one root. */
    readonly trustedRoot?: TrustedRoots | undefined;
  };
}

/** @throws ClientError as `checkTlogProof` and `underOneRoot` */
export function checkProofUnderRoots({ signer, ...request }: ProofUnderRoots, primitives: Primitives): VerifiedProof {
  const { trustedRoot: roots, ...expected } = signer;
  if (roots === undefined) return checkTlogProof({ ...request, signer: expected }, primitives);
  const { result, root } = underOneRoot(roots, (trustedRoot) =>
    checkTlogProof({ ...request, signer: { ...signer, trustedRoot } }, primitives),
  );
  return root === undefined ? result : { ...result, trustedRoot: root };
}

/**
 * The digest of the file that the verification of this proof needs: what its signer's key signs. Nothing is verified.
 *
 * @throws ClientError `malformed`, `unsupported`, `key`
 */
export function entryDigest(proof: Uint8Array): HashName {
  const entry = entryOf(read(proof));
  const { verifier } = entry;
  const spki =
    'publicKey' in verifier ? verifier.publicKey : withClientErrors(() => parseCertificate(verifier.certificate)).spki;
  return HASH_NAME[checkedAlgorithm(entry, spki).digest];
}

const OPEN_BRACE = 0x7b;

function read(file: Uint8Array): TlogProof {
  try {
    return parseTlogProof(file);
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    const bundle = file[0] === OPEN_BRACE ? '. A bundle is given as --bundle' : '';
    throw new ClientError('malformed', `this is no tlog-proof: ${cause.message}${bundle}`, { cause });
  }
}

function entryOf({ extra }: TlogProof): HashedRekord {
  if (extra === undefined) {
    throw new ClientError(
      'malformed',
      'the proof has no extra line with the logged entry, so that it says nothing about a file: give the leaf hash',
    );
  }
  return withClientErrors(() => parseHashedRekord(extra));
}

function checkedAlgorithm({ keyDetails, digestAlgorithm }: HashedRekord, spki: Uint8Array): KeyAlgorithm {
  const own = keyAlgorithm(withClientErrors(() => parseSpki(spki)));
  // A log may accept other labels for an RSA key; what Stele signs carries the key's own label.
  if (keyDetails !== own.details || digestAlgorithm !== own.digest) {
    throw new ClientError(
      'malformed',
      `the entry calls its key ${printable(keyDetails)} over ${printable(digestAlgorithm)}, but it is ${own.details}`,
    );
  }
  return own;
}

/** The file's digest, which is that of the entry. */
function checkedDigest(entry: HashedRekord, { digest, name }: PublicKey, digests: ArtifactDigests): Uint8Array {
  const own = digests[HASH_NAME[digest]];
  if (own === undefined) {
    throw usage(`a key of the kind ${name} signs the ${HASH_NAME[digest]} of the file: give that digest`);
  }
  if (equal(own, entry.digest)) return own;
  throw new ClientError(
    'digest-mismatch',
    `the file is not the one that was signed: its ${HASH_NAME[digest]} is ${encodeHex(own)}, the proof is about ${encodeHex(entry.digest)}`,
  );
}

function verify(
  proof: TlogProof,
  leafHash: Uint8Array,
  { policy, lastCheckpoints, now }: TlogProofCheck,
  primitives: Primitives,
) {
  const { index, hashes, checkpoint } = proof;
  const leaf = verifyLeaf({ leafHash, index, hashes, checkpoint }, { policy, lastCheckpoints }, primitives);
  checkCosigned(leaf.cosigned, now);
  return { ...leaf, hashes, checkpoint };
}
