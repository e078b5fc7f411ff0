/** What goes to a worker that signs and verifies with ML-DSA-44 (mldsa-worker.ts). */

/** What a worker is started with. */
export interface MldsaWorkerData {
  /** The key that it signs with; a worker without one only verifies. */
  readonly own?: { readonly secretKey: Uint8Array; readonly publicKey: Uint8Array };
  /** Added to the niceness of the thread, 0 to 19. */
  readonly niceness: number;
}

/** The first byte of a task. A message to sign follows it, or a key, a signature and a message. */
export const MLDSA_TASK = { sign: 0, verify: 1 } as const;
export const MLDSA_SIZE = { publicKey: 1312, signature: 2420 } as const;
