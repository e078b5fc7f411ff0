/**
 * The key of a workload with its X.509-SVID, as the SPIFFE Workload API or files give it. Node only.
 *
 * The SVID goes into the entry and the bundle as it was issued, for the authentication of clients and servers: verifiers that
 * have the SPIFFE bundle of its trust domain take it.
 */
import type { Svid } from '../../../merkle/runtime/identity/spiffe/types.ts';
import { keyObjectSigner } from './pem-signer.ts';
import type { KeySigner } from './types.ts';

/**
 * @param svid valid now; a newer one does not take its place
 * @throws ClientError `key` where logs do not take keys of its kind; `bad-certificate` where verifiers refuse it
 */
export async function workloadSigner({ key, chain }: Svid): Promise<KeySigner> {
  const [certificate, ...above] = chain;
  return { ...(await keyObjectSigner(key)), certificate: certificate!, chain: above };
}
