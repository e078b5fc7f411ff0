/** Signs tree heads: c2sp.org/tlog-checkpoint bodies as c2sp.org/signed-note notes. */
import { encodeUtf8, equal } from '../../merkle/bytes.ts';
import { formatCheckpoint } from '../../merkle/checkpoint.ts';
import { cosign } from '../../merkle/cosignature.ts';
import {
  ecdsaVerifierKey,
  ed25519VerifierKey,
  formatNote,
  formatVerifierKey,
  KEY_TYPE,
  logId,
  makeVerifierKey,
  parseVerifierKey,
  type VerifierKey,
} from '../../merkle/note.ts';
import { pointOf } from '../../merkle/rekor/spki.ts';
import type { MldsaSigner } from '../../merkle/runtime/keys/mldsa.ts';
import type { Signer } from '../../merkle/runtime/keys/types.ts';
import { ServerError } from '../errors.ts';

function verifierKeyOf(origin: string, signer: Pick<Signer, 'algorithm' | 'publicKey'>): VerifierKey {
  return signer.algorithm === 'ed25519'
    ? ed25519VerifierKey(origin, pointOf({ kind: 'ed25519', spki: signer.publicKey }))
    : ecdsaVerifierKey(origin, signer.publicKey);
}

function verifierKeysOf(origin: string, signers: readonly Signer[], mldsa: MldsaSigner | undefined): VerifierKey[] {
  const keys = signers.map((signer) => verifierKeyOf(origin, signer));
  if (mldsa !== undefined) keys.push(makeVerifierKey(origin, KEY_TYPE.mldsa44, mldsa.publicKey));
  return keys;
}

interface TreeHead {
  readonly size: number;
  readonly root: Uint8Array;
}

/**
 * The one place where a checkpoint gets its signatures. The signer remembers the largest tree head that it signed, so that
 * a mistake elsewhere in the process cannot make it sign a smaller tree, or another tree of the same size.
 */
export class CheckpointSigner {
  readonly origin: string;
  readonly keys: readonly VerifierKey[];
  readonly verifierKeys: string[];
  /** The whole SHA-256 whose first four bytes are the key ID in notes (docs/wire.md, "Origin and log ID"). */
  readonly logId: Uint8Array;
  readonly #signers: readonly Signer[];
  readonly #mldsa: MldsaSigner | undefined;
  /** Makes a tree head durable elsewhere before it is signed (second-place.ts). */
  record: (head: TreeHead) => Promise<void> = async () => {};
  #last: TreeHead | undefined;
  #frozen = false;

  /**
   * `signers`: the log's own key first. Each must check its signatures itself (`checkedSigner`). An ML-DSA-44 key signs
   * last, as c2sp.org/tlog-checkpoint says: in the cosignature format, in the name of the log.
   */
  constructor(
    origin: string,
    signers: readonly Signer[],
    mldsa?: MldsaSigner,
    keys: readonly VerifierKey[] = verifierKeysOf(origin, signers, mldsa),
  ) {
    this.origin = origin;
    this.#signers = signers;
    this.#mldsa = mldsa;
    this.keys = keys;
    // Each write request reads `Log.info`. Made once, these save a SHA-256 and the base64 of the keys each time.
    this.verifierKeys = keys.map(formatVerifierKey);
    this.logId = logId(keys[0]!);
  }

  /** Of a log that has ended: it needs no private key, which may be destroyed, and signs nothing. */
  static ended(origin: string, verifierKeys: readonly string[]): CheckpointSigner {
    const signer = new CheckpointSigner(origin, [], undefined, verifierKeys.map(parseVerifierKey));
    signer.freeze();
    return signer;
  }

  /** A tree head that an earlier process signed: from now on no smaller tree is signed. */
  remember(head: TreeHead): void {
    // The last signed tree head may be larger than the published one: a witness may hold it.
    if (this.#last === undefined || head.size > this.#last.size) this.#last = head;
  }

  /** The largest tree head that was signed, or that an earlier process is known to have signed. */
  get last(): TreeHead | undefined {
    return this.#last;
  }

  /** The log is frozen or halted: nothing is signed any more. */
  freeze(): void {
    this.#frozen = true;
  }

  /** The signed note. `extensions` are the checkpoint's extension lines, without newlines. */
  async sign(head: TreeHead, extensions: readonly string[] = []): Promise<string> {
    if (this.#frozen) throw new ServerError('frozen', 'this log is frozen: its last checkpoint was signed.');
    const last = this.#last;
    if (last !== undefined && (head.size < last.size || (head.size === last.size && !equal(head.root, last.root)))) {
      throw new ServerError(
        'rollback',
        `refused to sign the tree of ${head.size} entries: it does not extend the one of ${last.size} entries that was ` +
          'signed before. Stop the log and check its data directory with `stele log check`.',
      );
    }
    await this.record(head);
    if (this.#frozen) throw new ServerError('frozen', 'this log was stopped while it recorded its tree.');
    this.#last = head;
    const text = formatCheckpoint({
      origin: this.origin,
      size: head.size,
      root: head.root,
      extensions: [...extensions],
    });
    const message = encodeUtf8(text);
    const signing = this.#signers.map(async (signer, i) => {
      const { name, keyId } = this.keys[i]!;
      return { name, keyId, signature: await signer.sign(message) };
    });
    const mldsa = this.#mldsa;
    if (mldsa !== undefined) {
      const now = Math.floor(Date.now() / 1000);
      signing.push(cosign({ key: this.keys.at(-1)!, sign: (bytes) => mldsa.sign(bytes) }, now, text));
    }
    const signatures = await Promise.all(signing);
    return formatNote(text, signatures);
  }

  async close(): Promise<void> {
    await Promise.all(
      [...this.#signers, ...(this.#mldsa === undefined ? [] : [this.#mldsa])].map((key) => key.close()),
    );
  }
}
