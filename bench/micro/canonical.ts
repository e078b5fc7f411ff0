import { digestVerifier } from '../../merkle/runtime/crypto/digest.ts';
import { entryOf, readVerifier } from '../../server/ingest/hashedrekord.ts';
import { DEFAULT_LIMITS } from '../../server/ingest/ingest-body.ts';
import { hashedRekordRequest } from '../../test/support/requests.ts';
import { type Micro, repeat } from './micro.ts';

const { digest, signature } = hashedRekordRequest().hashedRekordRequestV002;
const checks = { verifier: digestVerifier(), entryBytes: DEFAULT_LIMITS.entryBytes, budget: { verifications: 1 } };
const verifier = { publicKey: signature.verifier.publicKey!, keyDetails: 5 };

export const canonical: Micro[] = [
  {
    name: 'ingest: read the verifier',
    unit: 'entry',
    per: 100,
    run: repeat(100, () => readVerifier(verifier, checks, '').key.kind),
  },
  {
    name: 'ingest: canonical entry and leaf hash',
    unit: 'entry',
    per: 100,
    run: repeat(100, () => entryOf(readVerifier(verifier, checks, ''), digest, signature.content, checks, '').body),
  },
];
