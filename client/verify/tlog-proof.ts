/**
 * Verifies c2sp.org/tlog-proof files (merkle/tlog-proof.ts), offline.
 *
 * A proof says nothing about a file by itself: it proves a leaf. For files that `stele sign` logged, the proof's extra data
 * is the canonical entry. Nobody vouches for it, so it is taken apart and not believed: its digest must be the file's, its
 * key or certificate the one that was asked for, and its signature that key's over that digest. Then it is hashed, and the
 * proof must lead from there. For any other log the caller gives the leaf hash, made as that log makes it.
 */

import { encodeHex, equal } from '../../merkle/bytes.ts';
import { MerkleError } from '../../merkle/errors.ts';
import type { Policy } from '../../merkle/policy.ts';
import { printable } from '../../merkle/printable.ts';
import type { HashName } from '../../merkle/rekor/hashes.ts';
import { HASH_NAME } from '../../merkle/rekor/hashes.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { parseSpki } from '../../merkle/rekor/spki.ts';
import { leafHash as hashLeaf } from '../../merkle/rfc6962.ts';
import { MAX_TLOG_PROOF, parseTlogProof, type TlogProof } from '../../merkle/tlog-proof.ts';
import { type Certificate, parseCertificate } from '../../merkle/x509/certificate.ts';
import type { CertificateIdentity } from '../../merkle/x509/fulcio.ts';
import { ClientError } from '../errors.ts';
import { type EntryParts, parseEntry } from '../formats/entry.ts';
import { type KeyAlgorithm, keyAlgorithm, keyHint, type PublicKey, parsePublicKey } from '../formats/key.ts';
import { withClientErrors } from '../merkle-errors.ts';
import type { IdentityTest } from '../trust/identity-rule.ts';
import { quorumTime } from '../trust/quorum.ts';
import type { TrustedRoot } from '../trust/trusted-root.ts';
import { type LoggedLeaf, verifyLeaf } from './leaf.ts';
import type { VerifiedTime } from './outcome.ts';
import { checkCertificate } from './signer.ts';

export { MAX_TLOG_PROOF };

/** Digests of the file; the one that the signer's key signs is needed (`entryDigest` tells which). */
export type ArtifactDigests = Partial<Readonly<Record<HashName, Uint8Array>>>;

export type TlogProofRequest = {
  /** The file, at most `MAX_TLOG_PROOF` bytes. */
  readonly proof: Uint8Array;
  /** Its logs are those that are trusted, and its quorum must have cosigned. */
  readonly policy: Policy;
} & (
  | {
      /** The file's digests, and who must have signed. */
      readonly digests: ArtifactDigests;
      readonly signer: ProofSigner;
    }
  | {
      /** RFC 6962 leaf hash, 32 bytes: any log's entry. The extra data is not looked at. */
      readonly leafHash: Uint8Array;
    }
);

/**
 * Who must have signed: a public key (SubjectPublicKeyInfo, DER), or whoever a certificate names.
 *
 * A certificate needs a time at which it counts, and a proof has no other than that of the witnesses: the earliest at which
 * enough of them for the policy's quorum had cosigned. Where the policy has no quorum there is none, and the proof is refused.
 */
export type ProofSigner =
  | { readonly key: Uint8Array }
  | {
      /** Whether the certificate names the right one. */
      readonly identity: IdentityTest;
      /** Its certificate authorities, and the keys of its certificate transparency logs. */
      readonly trustedRoot: TrustedRoot;
    };

export interface VerifiedProof extends LoggedLeaf {
  /** Who signed the file; undefined where a leaf hash was given. */
  readonly signer:
    | {
        readonly publicKey: PublicKey;
        /** The signer's, where an identity was asked for: its chain, its names and its period were checked. */
        readonly certificate: Certificate | undefined;
        readonly identity: CertificateIdentity | undefined;
        /** The time at which the certificate counted, in milliseconds since 1970. */
        readonly time: number | undefined;
      }
    | undefined;
  /** Sibling hashes, from the leaf upwards. */
  readonly hashes: readonly Uint8Array[];
  readonly checkpoint: string;
}

/**
 * @param primitives what checks signatures and hashes
 * @throws ClientError
 * - `malformed`: the proof or its extra data is not one; `unsupported`: its entry is of another kind
 * - `digest-mismatch`: the entry is about another file
 * - `bad-signature`: another key signed, or the signature does not verify
 * - the codes of certificates and identities, where one is asked for
 * - `policy`, `bad-checkpoint`, `quorum`, `bad-proof`: it is not in a log of the policy
 * - `usage`: the digest that the signer's key signs was not given, or the leaf hash has not 32 bytes
 */
export function verifyTlogProof(request: TlogProofRequest, primitives: Primitives): VerifiedProof {
  const proof = read(request.proof);
  if ('leafHash' in request) {
    if (request.leafHash.length !== 32) {
      throw new ClientError('usage', `a leaf hash has 32 bytes, not ${request.leafHash.length}`);
    }
    return { ...verify(proof, request.leafHash, request.policy, primitives), signer: undefined };
  }
  const entry = entryOf(proof);
  checkKey(entry, request.signer);
  const { publicKey, certificate } = signerOf(entry, primitives);
  checkDigest(entry, publicKey, request.digests);
  if (!publicKey.verify(entry.digest, entry.signature)) {
    throw new ClientError(
      'bad-signature',
      'the signature in the proof is not by its key over this file: it was changed',
    );
  }
  const verified = verify(proof, hashLeaf(proof.extra!), request.policy, primitives);
  if ('key' in request.signer) {
    return { ...verified, signer: { publicKey, certificate: undefined, identity: undefined, time: undefined } };
  }
  const time = quorumTime(request.policy, verified.cosigned);
  if (time === undefined) {
    throw new ClientError(
      'policy',
      'a certificate needs a time at which it counts, which in such a proof only witnesses give: the policy asks for none',
    );
  }
  const by = `the quorum "${request.policy.quorum!.name}" of the policy`;
  const at: VerifiedTime = { kind: 'witness', time: time * 1000, by };
  const identity = checkIdentity(certificate!, at, request.signer, primitives);
  return { ...verified, signer: { publicKey, certificate, identity, time: at.time } };
}

/**
 * The digest of the file that is needed to verify this proof: what its signer's key signs. Nothing is verified.
 *
 * @throws ClientError `malformed`, `unsupported`, `key`
 */
export function entryDigest(proof: Uint8Array): HashName {
  const entry = entryOf(read(proof));
  return HASH_NAME[checkedAlgorithm(entry, spkiOf(entry)).digest];
}

function read(file: Uint8Array): TlogProof {
  try {
    return parseTlogProof(file);
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw new ClientError('malformed', `this is no tlog-proof: ${cause.message}`, { cause });
  }
}

function entryOf({ extra }: TlogProof): EntryParts {
  if (extra === undefined) {
    throw new ClientError(
      'malformed',
      'the proof has no extra line with the logged entry, so that it says nothing about a file: give the leaf hash',
    );
  }
  return parseEntry(extra);
}

/** Before its signature is looked at: whose it is matters more to a reader than that it does not verify. */
function checkKey(entry: EntryParts, signer: ProofSigner): void {
  if (!('key' in signer)) {
    if ('certificate' in entry.verifier) return;
    throw new ClientError(
      'identity',
      'the proof is of a signature with a bare key, not with a certificate that names an identity: give the key, if you know whose it is',
    );
  }
  const spki = spkiOf(entry);
  if (equal(spki, signer.key)) return;
  throw new ClientError(
    'bad-signature',
    `the proof is of a signature by another key (its hint is ${keyHint({ spki })}), not by the given one (${keyHint({ spki: signer.key })})`,
  );
}

function signerOf(
  entry: EntryParts,
  primitives: Primitives,
): { publicKey: PublicKey; certificate: Certificate | undefined } {
  const { verifier } = entry;
  const certificate =
    'certificate' in verifier ? withClientErrors(() => parseCertificate(verifier.certificate)) : undefined;
  const publicKey = parsePublicKey(certificate?.spki ?? spkiOf(entry), primitives);
  checkedAlgorithm(entry, publicKey.spki);
  return { publicKey, certificate };
}

function spkiOf({ verifier }: EntryParts): Uint8Array {
  return 'publicKey' in verifier
    ? verifier.publicKey
    : withClientErrors(() => parseCertificate(verifier.certificate)).spki;
}

function checkedAlgorithm({ keyDetails, digestAlgorithm }: EntryParts, spki: Uint8Array): KeyAlgorithm {
  const own = keyAlgorithm(withClientErrors(() => parseSpki(spki)));
  // A log may take other labels for an RSA key; what we sign carries the key's own.
  if (keyDetails !== own.details || digestAlgorithm !== own.digest) {
    throw new ClientError(
      'malformed',
      `the entry calls its key ${printable(keyDetails)} over ${printable(digestAlgorithm)}, but it is ${own.details}`,
    );
  }
  return own;
}

function checkDigest(entry: EntryParts, { digest, name }: PublicKey, digests: ArtifactDigests): void {
  const own = digests[HASH_NAME[digest]];
  if (own === undefined) {
    throw new ClientError(
      'usage',
      `a key of the kind ${name} signs the ${HASH_NAME[digest]} of the file: give that digest`,
    );
  }
  if (equal(own, entry.digest)) return;
  throw new ClientError(
    'digest-mismatch',
    `the file is not the one that was signed: its ${HASH_NAME[digest]} is ${encodeHex(own)}, the proof is about ${encodeHex(entry.digest)}`,
  );
}

function checkIdentity(
  certificate: Certificate,
  time: VerifiedTime,
  { identity: matches, trustedRoot }: Extract<ProofSigner, { readonly identity: IdentityTest }>,
  primitives: Primitives,
): CertificateIdentity {
  const { identity } = checkCertificate(certificate, [], [time], trustedRoot, primitives);
  if (matches(identity)) return identity;
  const names = identity.names.map(({ value }) => printable(value)).join(', ');
  throw new ClientError(
    'identity',
    `the certificate is for ${names || 'nobody'}, vouched for by ${printable(identity.issuer ?? 'nobody')}, and does not match the identity that was asked for`,
  );
}

function verify(proof: TlogProof, leafHash: Uint8Array, policy: Policy, primitives: Primitives) {
  const { index, hashes, checkpoint } = proof;
  return { ...verifyLeaf({ leafHash, index, hashes, checkpoint }, { policy }, primitives), hashes, checkpoint };
}
