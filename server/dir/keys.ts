/** The log's signing keys, as the configuration names them. */
import type { Policy } from '../../merkle/policy.ts';
import { isThere } from '../../merkle/runtime/disk/files.ts';
import { newKey } from '../../merkle/runtime/keys/keyfile.ts';
import { mldsaSigner, readMldsaKey } from '../../merkle/runtime/keys/mldsa.ts';
import { openSigner } from '../../merkle/runtime/keys/open-signer.ts';
import { loggedRetries, RetryingSigner } from '../../merkle/runtime/keys/retrying.ts';
import { readSecret } from '../../merkle/runtime/keys/secret.ts';
import { checkedSigner } from '../../merkle/runtime/keys/signer.ts';
import type { Signer } from '../../merkle/runtime/keys/types.ts';
import type { Logger } from '../../merkle/runtime/service/logger.ts';
import type { Config } from '../config/load.ts';
import { ServerError } from '../errors.ts';
import { CheckpointSigner } from '../log/sign.ts';

interface KeyOptions {
  readonly config: Pick<Config, 'key' | 'createKey' | 'ed25519Key'>;
  /** The witness policy, where there is one. */
  readonly policy: Policy | undefined;
  /** The data directory belongs to a log already: a missing key is a loss, and no new key is made. */
  readonly existing: boolean;
  readonly logger: Logger;
  readonly onError: () => void;
}

interface OpenKeys {
  readonly signers: RetryingSigner[];
  /** Stores the own key where it is new. Nothing may be signed before. @throws RuntimeError `key-exists`, `key-file` */
  save(): Promise<void>;
}

/**
 * Opens the log's own key, and after it the Ed25519 key where there is one. It writes nothing: a new key is in memory alone
 * until `save`.
 * @throws ServerError `config`, `policy`, `key-mismatch`; what opening a key throws
 */
async function openKeys(options: KeyOptions): Promise<OpenKeys> {
  const { config, policy, existing, logger, onError } = options;
  const signers: RetryingSigner[] = [];
  const add = (signer: Signer) => signers.push(new RetryingSigner(signer, loggedRetries(logger, onError)));
  let save = async (): Promise<void> => {};
  try {
    if (config.createKey && 'file' in config.key && !(await isThere(config.key.file))) {
      const { file, passphrase } = config.key;
      if (existing) throw lostKey(file);
      const made = newKey('ed25519', passphrase && (await readSecret(passphrase)));
      add(checkedSigner(made.signer));
      save = async () => {
        await made.save(file);
        logger.info({ file }, 'made the signing key of this log; keep a copy of it elsewhere');
      };
    } else {
      add(await openSigner(config.key));
    }
    if (config.ed25519Key !== undefined) add(await openSigner(config.ed25519Key));
    checkKeys(signers, policy);
    return { signers, save };
  } catch (error) {
    await Promise.allSettled(signers.map((signer) => signer.close()));
    throw error;
  }
}

interface OpenSigners {
  /** Closes the keys with itself. */
  readonly signer: CheckpointSigner;
  /** The log's own key, and the Ed25519 key beside it. */
  readonly keys: readonly RetryingSigner[];
  readonly save: OpenKeys['save'];
}

/** Opens the log's keys, and makes the signer of its checkpoints of them. Writes nothing. @throws as `openKeys` */
export async function openSigners({
  config,
  ...options
}: KeyOptions & { readonly config: Pick<Config, 'mldsaKey'> & { readonly origin: string } }): Promise<OpenSigners> {
  const { signers: keys, save } = await openKeys({ config, ...options });
  try {
    const mldsa = config.mldsaKey === undefined ? undefined : mldsaSigner(await readMldsaKey(config.mldsaKey));
    return { signer: new CheckpointSigner(config.origin, keys, mldsa), keys, save };
  } catch (error) {
    await Promise.allSettled(keys.map((key) => key.close()));
    throw error;
  }
}

function checkKeys(signers: readonly RetryingSigner[], policy: Policy | undefined): void {
  const [own, second] = signers;
  if (second !== undefined && own!.algorithm === 'ed25519') {
    throw new ServerError(
      'config',
      '`ed25519Key` is for a log whose own key is ECDSA, and `key` is an Ed25519 key already: remove `ed25519Key`.',
    );
  }
  if (second !== undefined && second.algorithm !== 'ed25519') {
    throw new ServerError(
      'config',
      '`ed25519Key` is not an Ed25519 key. Make one with `stele keygen --algorithm ed25519`.',
    );
  }
  if (policy === undefined || policy.witnesses.length === 0) return;
  if (signers.every((signer) => signer.algorithm !== 'ed25519')) {
    throw new ServerError(
      'policy',
      'the policy has witnesses, and this log has no Ed25519 key: witnesses ask for an Ed25519 signature ' +
        '(c2sp.org/tlog-tiles). Make one with `stele keygen --algorithm ed25519` and name it as `ed25519Key`.',
    );
  }
}

function lostKey(file: string): ServerError {
  return new ServerError(
    'key-mismatch',
    `the signing key ${file} is missing, and this log has signed with it. Put the file back from your copy; a log cannot ` +
      'change its key.',
  );
}
