/**
 * The proof that a caller holds the private key: a signature over the name of the caller, as Fulcio's clients make it
 * (cosign 3.1, sigstore-js). The name is the claim `email` where the token has one, and `sub` otherwise; for a client
 * certificate it is the SPIFFE ID. The key's curve chooses the hash: SHA-256 for P-256 and RSA, SHA-384 for P-384, SHA-512 for
 * P-521.
 */
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { HASH_NAME } from '../../merkle/rekor/hashes.ts';
import { nodePrimitives } from '../../merkle/runtime/crypto/node-primitives.ts';
import type { Caller } from '../../merkle/runtime/identity/types.ts';
import type { Signed } from '../formats/entry-request.ts';
import { CaError } from './ca-errors.ts';
import type { SigningRequest } from './signing-request.ts';

/** The text that the caller signed. @throws CaError `email`, `name` */
export function provenName({ kind, spiffeId, subject, email, claims }: Caller): string {
  if (kind === 'x509-svid') return spiffeId!.text;
  if (kind === 'certificate') {
    throw new CaError(
      'name',
      'a client certificate without a SPIFFE ID has no name that is certified: show an X.509-SVID or a token',
    );
  }
  if (email !== undefined) return email;
  const claimed = claims?.email;
  // Clients read the empty text as no claim, and sign `sub` then.
  if (claimed !== undefined && claimed !== null && claimed !== '') {
    throw new CaError(
      'email',
      'the token has an e-mail address, and its issuer does not say email_verified: true. Have the address verified at the identity provider',
    );
  }
  if (subject === undefined || subject === '') throw new CaError('name', 'the token has no subject (sub)');
  return subject;
}

/** The proof as a signature that a log takes. @throws CaError `possession` */
export function checkPossession({ publicKey, proof }: SigningRequest, name: string): Signed {
  const digest = nodePrimitives().hash(HASH_NAME[publicKey.digest], encodeUtf8(name));
  if (!publicKey.verify(digest, proof)) {
    throw new CaError(
      'possession',
      `the proof of possession does not verify: it must be a signature by the private key over the caller's e-mail address, or over its subject (sub) where the token has no address, hashed with ${publicKey.digest.replace('SHA2_', 'SHA-')}`,
    );
  }
  return { digest, signature: proof, publicKey };
}
