/**
 * Opens a signing key by its place in the configuration: a file (keyfile.ts) or a PKCS#11 token (pkcs11/pkcs11.ts).
 *
 * A log signs with `new RetryingSigner(await openSigner(spec))`: the signer verifies every signature before it hands the
 * signature out, and callers wait for a token that is briefly gone.
 */
import { openKeyFile } from './keyfile.ts';
import { openTokenSigner } from './pkcs11/pkcs11.ts';
import { readSecret } from './secret.ts';
import { type CheckOptions, checkedSigner } from './signer.ts';
import type { KeySpec, Signer } from './types.ts';

/** A `checkedSigner`. @throws RuntimeError with the codes of `readSecret`, `openKeyFile` and `openTokenSigner` */
export async function openSigner(spec: KeySpec, options: CheckOptions = {}): Promise<Signer> {
  if ('pkcs11' in spec) return checkedSigner(await openTokenSigner(spec.pkcs11), options);
  const passphrase = spec.passphrase && (await readSecret(spec.passphrase));
  return checkedSigner(await openKeyFile(spec.file, passphrase), options);
}
