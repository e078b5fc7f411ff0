/** Signers of digests of files and of attestations. Their keys are in this process, in a token or in an ssh-agent. */
import type { PublicKey } from '../../formats/key.ts';

/** Reads the message that a digest is of. Resolves with undefined where the message is longer than `limit` bytes. */
export type MessageReader = (limit: number) => Promise<Uint8Array | undefined>;

export interface DigestSigner {
  readonly publicKey: PublicKey;
  /** Certificate for that key, DER: it goes into the entry and the bundle instead of the key. */
  readonly certificate?: Uint8Array | undefined;
  /** Certificates between that one and a root, DER, for the bundle: not every verifier has them. */
  readonly chain?: readonly Uint8Array[] | undefined;
  /**
   * A signature over `digest`, of `publicKey.digestSize` bytes: ASN.1 DER for ECDSA, 64 bytes for Ed25519ph, as long as
   * the modulus for RSA. May reject with RuntimeError where the key is in a token or an agent.
   *
   * @param message for a key that signs only whole messages; undefined where the caller has the digest alone
   */
  sign(digest: Uint8Array, message?: MessageReader): Uint8Array | Promise<Uint8Array>;
}

/** A signer that holds its key until it is closed. */
export interface KeySigner extends DigestSigner {
  /**
   * The same digest always gives the same signature, so that signing again after a crash gives the entry that the log
   * already has. A token or an agent draws its nonces itself, and gives another signature each time.
   */
  readonly repeatable: boolean;
  /**
   * A signature over a message as in-toto signs links: pure Ed25519 (RFC 8032 section 5.1.6), or RSA-PSS with SHA-256 and a
   * salt of 32 bytes. Absent for an ECDSA key, whose signature over the digest is the same, and where the key does not sign so.
   */
  readonly signLink?: (message: Uint8Array) => Uint8Array;
  /** Gives up the key; nothing signs afterwards. */
  close(): Promise<void>;
}
