import { digestVerifier } from '../../merkle/runtime/crypto/digest.ts';
import { entryOf, readVerifier } from '../../server/ingest/hashedrekord.ts';
import { DEFAULT_LIMITS } from '../../server/ingest/ingest-body.ts';
import { fulcioCertificate, githubRun } from '../../test/support/fulcio.ts';
import { hashedRekordRequest } from '../../test/support/requests.ts';
import { type Micro, repeat } from './micro.ts';

const { digest, signature } = hashedRekordRequest().hashedRekordRequestV002;
const checks = { ...DEFAULT_LIMITS, verifier: digestVerifier(), budget: { verifications: 1 } };
const verifier = { publicKey: signature.verifier.publicKey!, keyDetails: 5 };
const run = fulcioCertificate(githubRun('acme/app', 'release.yml', 'refs/heads/main'));
const certified = { x509Certificate: { rawBytes: run }, keyDetails: 5 };

export const canonical: Micro[] = [
  {
    name: 'ingest: read the verifier',
    unit: 'entry',
    per: 100,
    run: repeat(100, () => readVerifier(verifier, checks, '').key.kind),
  },
  {
    name: 'ingest: read the verifier, a certificate of Fulcio',
    unit: 'entry',
    per: 100,
    run: repeat(100, () => readVerifier(certified, checks, '').key.kind),
  },
  {
    name: 'ingest: canonical entry and leaf hash',
    unit: 'entry',
    per: 100,
    run: repeat(
      100,
      () => entryOf('hashedrekord', readVerifier(verifier, checks, ''), digest, signature.content, checks, '').body,
    ),
  },
];
