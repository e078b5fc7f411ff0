import { type DigestVerifier, digestVerifier } from '../../merkle/runtime/crypto/digest.ts';
import { readPublicKey } from '../../merkle/runtime/crypto/public-key.ts';
import { hashedRekordRequest, makeSigner } from '../../test/support/requests.ts';
import { type Micro, repeat } from './micro.ts';

const KEYS = 256;
const artifacts = Array.from({ length: KEYS }, (_, i) => Buffer.from(`artifact ${i}`));
const fresh = artifacts.map((artifact) => signed(makeSigner(), artifact));
const one = makeSigner();
const shared = artifacts.map((artifact) => signed(one, artifact));

function signed(signer: ReturnType<typeof makeSigner>, artifact: Uint8Array) {
  const { digest, signature } = hashedRekordRequest(signer, artifact).hashedRekordRequestV002;
  return { spki: signer.spki, digest, signature: signature.content };
}

/** The key is parsed each time, as ingest does. */
function verifies(verifier: DigestVerifier, list: typeof fresh, times: number) {
  return repeat(times, (i) => {
    const { spki, digest, signature } = list[i % KEYS]!;
    return verifier.verifyDigest(readPublicKey(spki), digest, signature);
  });
}

const fast = digestVerifier();
const name = fast.fast ? 'OpenSSL' : 'noble (no OpenSSL here)';

export const digest: Micro[] = [
  { name: `P-256 over a digest, ${name}, fresh keys`, unit: 'signature', per: KEYS, run: verifies(fast, fresh, KEYS) },
  { name: `P-256 over a digest, ${name}, one key`, unit: 'signature', per: KEYS, run: verifies(fast, shared, KEYS) },
  {
    name: 'P-256 over a digest, noble, fresh keys',
    unit: 'signature',
    per: 8,
    run: verifies(digestVerifier('noble'), fresh, 8),
  },
];
