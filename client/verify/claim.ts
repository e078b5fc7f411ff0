/** The signature that a logged entry must be about. */
import type { KeyInfo } from '../../merkle/rekor/spki.ts';
import { ClientError } from '../errors.ts';
import type { SignedContent } from './content.ts';

export interface Claim extends SignedContent {
  readonly key: KeyInfo;
  /** DER of the signer's certificate, or of its SubjectPublicKeyInfo if there is no certificate. */
  readonly verifier: { readonly kind: 'certificate' | 'key'; readonly der: Uint8Array };
}

/** The error for an entry that is about something else. */
export function mismatch(why: string): ClientError {
  return new ClientError(
    'entry-mismatch',
    `the logged entry is not about this file, signature and key: ${why}. The proof is of something else`,
  );
}
