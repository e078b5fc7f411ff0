/** The options that name keys of a TUF repository: in files, in a PKCS#11 token, or in an ssh-agent. */
import type { Command } from 'commander';
import { openSigner } from '../../../merkle/runtime/keys/open-signer.ts';
import type { KeySpec, Signer } from '../../../merkle/runtime/keys/types.ts';
import { usage } from '../../errors.ts';
import { AGENT_TIMEOUT_MS, agentKeyOf } from '../agent-key.ts';
import { addTokenOptions, type KeyPlaceOptions, passphraseOf, tokenKeyOf } from '../token-options.ts';

export interface TrustKeyOptions extends KeyPlaceOptions {
  readonly key?: readonly string[];
  readonly agentKey?: string;
}

export function addTrustKeyOptions(command: Command): Command {
  const withKey = command
    .option('--key <file...>', 'private keys in files: Ed25519 or ECDSA P-256, PKCS#8 in PEM')
    .option('--passphrase-file <file>', 'file with the passphrase of the keys')
    .option('--passphrase-env <name>', '… or environment variable with it')
    .option('--agent-key <key>', 'a key in an ssh-agent: a fingerprint (SHA256:…), or the file of its public key');
  return addTokenOptions(withKey, 'a key in a token', 'label of the key in the token');
}

/**
 * Calls `work` with the signers that the options name.
 * @throws ClientError `usage` where they name none; RuntimeError of the keys
 */
export async function withTrustKeys<T>(
  options: TrustKeyOptions,
  work: (signers: readonly Signer[]) => Promise<T>,
): Promise<T> {
  const signers: Signer[] = [];
  try {
    for (const spec of await specsOf(options)) signers.push(await openSigner(spec));
    return await work(signers);
  } finally {
    for (const signer of signers) await signer.close();
  }
}

async function specsOf(options: TrustKeyOptions): Promise<KeySpec[]> {
  const { key = [], agentKey } = options;
  const token = tokenKeyOf(options);
  const passphrase = passphraseOf(options);
  if (passphrase !== undefined && key.length === 0) throw usage('a passphrase is for a key in a file: give --key too');
  const specs: KeySpec[] = key.map((file) => ({ file, ...(passphrase && { passphrase }) }));
  if (token !== undefined) specs.push({ pkcs11: token });
  if (agentKey !== undefined) specs.push({ agent: { key: await agentKeyOf(agentKey), timeoutMs: AGENT_TIMEOUT_MS } });
  if (specs.length === 0) throw usage('say which key signs: --key, --pkcs11-module with a token, or --agent-key');
  return specs;
}
