/** What signs digests of files and of attestations, wherever its key lives. */
import type { PublicKey } from '../../formats/key.ts';

export interface Signer {
  readonly publicKey: PublicKey;
  /** Certificate for that key, DER: it goes into the entry and the bundle instead of the key. */
  readonly certificate?: Uint8Array | undefined;
  /**
   * The same digest always gives the same signature, so that signing again after a crash gives the entry that the log
   * already has. A token draws its nonces itself, and gives another signature each time.
   */
  readonly repeatable: boolean;
  /**
   * A signature over `digest`, of `publicKey.digestSize` bytes: ASN.1 DER for ECDSA, 64 bytes for Ed25519ph, as long as
   * the modulus for RSA. May reject with RuntimeError where the key lives in a token.
   */
  sign(digest: Uint8Array): Uint8Array | Promise<Uint8Array>;
  /** Gives up the key; nothing signs afterwards. */
  close(): Promise<void>;
}

/** `signer` with a certificate for its key, which the caller has compared with it. */
export function withCertificate(signer: Signer, certificate: Uint8Array): Signer {
  return {
    publicKey: signer.publicKey,
    repeatable: signer.repeatable,
    certificate,
    sign: (digest) => signer.sign(digest),
    close: () => signer.close(),
  };
}
