/**
 * Opens a signing key by its place in the configuration: a file (keyfile.ts), a PKCS#11 token (pkcs11/pkcs11.ts)
 * or an ssh-agent (agent/agent-signer.ts).
 *
 * A log signs with `new RetryingSigner(await openSigner(spec))`: the signer verifies every signature before it hands the
 * signature out, and callers wait for a token or an agent that is briefly gone.
 */
import { openAgentSigner } from './agent/agent-signer.ts';
import { openKeyFile } from './keyfile.ts';
import { openTokenSigner } from './pkcs11/pkcs11.ts';
import { readSecret } from './secret.ts';
import { type CheckOptions, checkedSigner } from './signer.ts';
import type { KeySpec, Signer } from './types.ts';

/** A `checkedSigner`. @throws RuntimeError with the codes of `readSecret`, `openKeyFile`, `openTokenSigner` and `openAgentSigner` */
export async function openSigner(spec: KeySpec, options: CheckOptions = {}): Promise<Signer> {
  if ('pkcs11' in spec) return checkedSigner(await openTokenSigner(spec.pkcs11), options);
  if ('agent' in spec) return checkedSigner(await openAgentSigner(spec.agent), options);
  const passphrase = spec.passphrase && (await readSecret(spec.passphrase));
  return checkedSigner(await openKeyFile(spec.file, passphrase), options);
}
