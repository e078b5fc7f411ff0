/** The keys that a witness cosigns with, as the configuration names them. */
import type { CosignatureSigner } from '../merkle/cosignature.ts';
import { KEY_TYPE, makeVerifierKey, type VerifierKey } from '../merkle/note.ts';
import { parseSpki, pointOf } from '../merkle/rekor/spki.ts';
import { isThere } from '../merkle/runtime/disk/files.ts';
import { newKey } from '../merkle/runtime/keys/keyfile.ts';
import { type MldsaSigner, mldsaSigner, newMldsaKey, readMldsaKey } from '../merkle/runtime/keys/mldsa.ts';
import { openSigner } from '../merkle/runtime/keys/open-signer.ts';
import { loggedRetries, RetryingSigner } from '../merkle/runtime/keys/retrying.ts';
import { readSecret } from '../merkle/runtime/keys/secret.ts';
import { checkedSigner } from '../merkle/runtime/keys/signer.ts';
import type { Signer } from '../merkle/runtime/keys/types.ts';
import type { Logger } from '../merkle/runtime/service/logger.ts';
import type { Config } from './config.ts';
import { WitnessError } from './errors.ts';

/** The most: on a busy core the thread runs when nothing else does. */
const SUBTREE_NICENESS = 19;

/** A key to cosign with. Every signature is verified before `sign` resolves. */
export interface WitnessKey extends CosignatureSigner {
  readonly healthy: boolean;
  /** The same key in a thread of its own, for the subtrees that strangers ask for. An ML-DSA-44 key has it. */
  readonly subtrees?: Pick<MldsaSigner, 'sign' | 'verify'>;
  close(): Promise<void>;
}

export interface KeyOptions {
  readonly config: Pick<Config, 'cosignatures' | 'key' | 'createKey' | 'mldsaKey'> & { readonly name: string };
  /** Types of the keys that this witness had before. A missing key of these is a loss: no new one is made. */
  readonly known: ReadonlySet<number>;
  readonly logger: Logger;
  readonly onError: () => void;
}

/** Stores a key that is new, and is in memory alone until then. @throws RuntimeError `key-exists`, `key-file` */
type Save = () => Promise<void>;

interface OpenKeys {
  readonly keys: readonly WitnessKey[];
  readonly save: Save;
}

/**
 * Opens the keys, one or two. It writes nothing: call `save` before anything is signed. Throws `WitnessError` (`config`,
 * `key-mismatch`) and what opening a key throws.
 */
export async function openKeys(options: KeyOptions): Promise<OpenKeys> {
  const { cosignatures } = options.config;
  const keys: WitnessKey[] = [];
  const saves: Save[] = [];
  const save = async () => {
    for (const one of saves) await one();
  };
  try {
    if (cosignatures !== 'ml-dsa-44') keys.push(await openEd25519(options, saves));
    if (cosignatures !== 'ed25519') keys.push(await openMldsa(options, saves));
    return { keys, save };
  } catch (error) {
    await Promise.allSettled(keys.map((key) => key.close()));
    throw error;
  }
}

async function openEd25519({ config, known, logger, onError }: KeyOptions, saves: Save[]): Promise<WitnessKey> {
  const { key: spec, createKey } = config;
  let made: Signer | undefined;
  if (createKey && 'file' in spec && !(await isThere(spec.file))) {
    if (known.has(KEY_TYPE.cosignature)) throw lost(spec.file);
    const passphrase = spec.passphrase === undefined ? undefined : await readSecret(spec.passphrase);
    const { signer, save } = newKey('ed25519', passphrase);
    made = checkedSigner(signer, { beside: true });
    saves.push(async () => {
      await save(spec.file);
      logger.info(
        { file: spec.file },
        'made the Ed25519 key of this witness; if it is ever lost, begin another witness',
      );
    });
  }
  const signer = made ?? (await openSigner(spec, { beside: 'file' in spec }));
  if (signer.algorithm !== 'ed25519') {
    await signer.close();
    throw new WitnessError('config', '`key` is not an Ed25519 key: make one with `stele keygen --algorithm ed25519`.');
  }
  const key = makeVerifierKey(config.name, KEY_TYPE.cosignature, pointOf(parseSpki(signer.publicKey)));
  return 'file' in spec ? watched({ key, signer }, onError) : waiting(key, signer, logger, onError);
}

async function openMldsa({ config, known, logger, onError }: KeyOptions, saves: Save[]): Promise<WitnessKey> {
  const { file, create, threads } = config.mldsaKey;
  let pair: Parameters<typeof mldsaSigner>[0];
  if (create && !(await isThere(file))) {
    if (known.has(KEY_TYPE.mldsa44)) throw lost(file);
    const made = newMldsaKey();
    saves.push(async () => {
      await made.save(file);
      logger.info({ file }, 'made the ML-DSA-44 key of this witness; if it is ever lost, begin another witness');
    });
    pair = made;
  } else {
    pair = await readMldsaKey(file);
  }
  const signer = mldsaSigner(pair, { threads });
  // A queue of their own, and what no log needs of the cores: a checkpoint never waits for a subtree.
  const subtrees = mldsaSigner(pair, { niceness: SUBTREE_NICENESS });
  const key = makeVerifierKey(config.name, KEY_TYPE.mldsa44, signer.publicKey);
  const close = async () => void (await Promise.all([signer.close(), subtrees.close()]));
  return watched({ key, signer: { sign: (message) => signer.sign(message), close }, subtrees }, onError);
}

interface SoftwareKey extends Pick<WitnessKey, 'key' | 'subtrees'> {
  readonly signer: Pick<WitnessKey, 'sign' | 'close'>;
}

/** A software key. A failure is not tried again; many signatures are made at once. */
function watched({ key, signer, subtrees }: SoftwareKey, onError: () => void): WitnessKey {
  const watching = {
    key,
    healthy: true,
    ...(subtrees && { subtrees }),
    sign: async (message: Uint8Array) => {
      try {
        const signature = await signer.sign(message);
        watching.healthy = true;
        return signature;
      } catch (error) {
        watching.healthy = false;
        onError();
        throw error;
      }
    },
    close: () => signer.close(),
  };
  return watching;
}

/** A key in a token. A token that went away may come back, so requests wait for it, one after another. */
function waiting(key: VerifierKey, signer: Signer, logger: Logger, onError: () => void): WitnessKey {
  const retrying = new RetryingSigner(signer, loggedRetries(logger, onError));
  return {
    key,
    sign: (message) => retrying.sign(message),
    get healthy() {
      return retrying.healthy;
    },
    close: () => retrying.close(),
  };
}

function lost(file: string): WitnessError {
  return new WitnessError(
    'key-mismatch',
    `the key ${file} is missing, and this witness has signed with it. Put the file back from your copy; with a new key it would be another witness, with a data directory of its own.`,
  );
}
