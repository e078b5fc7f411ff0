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

/** A `checkedSigner`. @throws RuntimeError as `openUncheckedSigner` */
export async function openSigner(spec: KeySpec, options: CheckOptions = {}): Promise<Signer> {
  return checkedSigner(await openUncheckedSigner(spec), options);
}

/**
 * A signer for a caller that itself verifies what it signs before anything leaves the process: each certificate is verified
 * against its issuer, and a second check of the same signature takes as long as the first.
 * @throws RuntimeError with the codes of `readSecret`, `openKeyFile`, `openTokenSigner` and `openAgentSigner`
 */
export async function openUncheckedSigner(spec: KeySpec): Promise<Signer> {
  if ('pkcs11' in spec) return await openTokenSigner(spec.pkcs11);
  if ('agent' in spec) return await openAgentSigner(spec.agent);
  const passphrase = spec.passphrase && (await readSecret(spec.passphrase));
  return await openKeyFile(spec.file, passphrase);
}
