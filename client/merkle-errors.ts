/** How errors of the pure core that concern keys, certificates, identities and entries appear to callers of the client. */
import { MerkleError, type MerkleErrorCode } from '../merkle/errors.ts';
import { ClientError, type ClientErrorCode } from './errors.ts';

const CODES: Readonly<Partial<Record<MerkleErrorCode, ClientErrorCode>>> = {
  'bad-json': 'malformed',
  'bad-entry': 'malformed',
  'bad-der': 'malformed',
  'bad-git': 'malformed',
  'bad-key': 'key',
  'bad-pem': 'key',
  'bad-certificate': 'bad-certificate',
  'bad-sct': 'bad-sct',
  'bad-timestamp': 'bad-timestamp',
  'bad-rule': 'usage',
  'bad-spiffe-id': 'bad-certificate',
  'svid-authority': 'bad-certificate',
  'svid-names': 'bad-certificate',
  'svid-usage': 'bad-certificate',
  'svid-trust-domain': 'bad-certificate',
  'svid-expired': 'bad-certificate',
  'svid-not-yet-valid': 'bad-certificate',
  'svid-chain': 'bad-certificate',
  unsupported: 'unsupported',
};

/**
 * The result of `work`.
 *
 * @throws ClientError with the message of the core's error: `malformed`, `key`, `bad-certificate`, `bad-sct`,
 * `bad-timestamp`, `unsupported`, `usage`. Every other error passes.
 */
export function withClientErrors<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const code = cause instanceof MerkleError ? CODES[cause.code] : undefined;
    if (code === undefined) throw cause;
    throw new ClientError(code, (cause as MerkleError).message, { cause });
  }
}
