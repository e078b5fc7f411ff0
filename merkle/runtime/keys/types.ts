/** Contracts of keys that sign, wherever they live. */

/** Where a program reads a secret: each time that it needs the secret, so that a corrected file works without a restart. */
export type SecretSource = { readonly file: string } | { readonly env: string };

/** A secret that a person typed at a prompt. */
export interface TypedSecret {
  readonly typed: string;
}

export type KeyAlgorithm = 'ed25519' | 'ecdsa-p256';

export interface PublicKey {
  readonly algorithm: KeyAlgorithm;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
}

export interface Signer extends PublicKey {
  /**
   * Ed25519: 64 bytes (RFC 8032) over the message itself. ECDSA P-256: DER `SEQUENCE { r, s }` over its SHA-256.
   * Calls may overlap. Rejects with RuntimeError: `pkcs11-*`, `agent-*`, `secret`, `sign`, `signature-wrong`.
   */
  sign(message: Uint8Array): Promise<Uint8Array>;
  /** Gives up the key; idempotent. The signer signs nothing afterwards. */
  close(): Promise<void>;
}

export interface TokenKeySpec {
  /** Absolute path of the module, or a bare file name such as `libsofthsm2.so` (see `findModule`). */
  readonly module: string;
  /** The token's label; exactly one token must have it. */
  readonly token: string;
  /** The label of the private and of the public key object; exactly one of each must have it. */
  readonly label: string;
  /** Read at every login. A PIN that the token refused is not offered again by this process. */
  readonly pin: SecretSource | TypedSecret;
}

/** A key in an ssh-agent. */
export interface AgentKeySpec {
  /** A fingerprint (`SHA256:…`, as `ssh-add -l` prints it), or a public key (a line of `ssh-add -L`). */
  readonly key: string;
  /** Path of the agent's socket; by default SSH_AUTH_SOCK names it. */
  readonly socket?: string;
  /** How long a request may take, the time for a person's answer included. Default 8,000. */
  readonly timeoutMs?: number;
}

/** A key as the configuration names it. */
export type KeySpec =
  | { readonly file: string; readonly passphrase?: SecretSource }
  | { readonly pkcs11: TokenKeySpec }
  | { readonly agent: AgentKeySpec };
