/** Signers of digests of files and of attestations. Their keys are in this process or in a token. */
import type { PublicKey } from '../../formats/key.ts';

export interface DigestSigner {
  readonly publicKey: PublicKey;
  /** Certificate for that key, DER: it goes into the entry and the bundle instead of the key. */
  readonly certificate?: Uint8Array | undefined;
  /**
   * A signature over `digest`, of `publicKey.digestSize` bytes: ASN.1 DER for ECDSA, 64 bytes for Ed25519ph, as long as
   * the modulus for RSA. May reject with RuntimeError where the key is in a token.
   */
  sign(digest: Uint8Array): Uint8Array | Promise<Uint8Array>;
}

/** A signer that holds its key until it is closed. */
export interface KeySigner extends DigestSigner {
  /**
   * The same digest always gives the same signature, so that signing again after a crash gives the entry that the log
   * already has. A token draws its nonces itself, and gives another signature each time.
   */
  readonly repeatable: boolean;
  /** Gives up the key; nothing signs afterwards. */
  close(): Promise<void>;
}
