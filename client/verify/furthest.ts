/** How far a verification came before it failed: of several failures the furthest one says most. */
import type { ClientError, ClientErrorCode } from '../errors.ts';

/** In the order in which verification meets them. All other codes come before. */
const FURTHEST_LAST: readonly ClientErrorCode[] = [
  'unsupported',
  'malformed',
  'bad-signature',
  'attestation',
  'digest-mismatch',
  'entry-mismatch',
  'bad-checkpoint',
  'bad-promise',
  'bad-proof',
  'quorum',
  'bad-timestamp',
  'future-time',
  'bad-certificate',
  'bad-sct',
  'identity',
];

/** A larger number is further. */
export function howFar({ code }: ClientError): number {
  return FURTHEST_LAST.indexOf(code);
}
