/** What the parts of the witness are told. */
export interface WitnessLimits {
  /** Requests about one log that wait for each other. */
  readonly waiting: number;
  /** Requests that are being signed, all together. */
  readonly signing: number;
  /** Files of evidence kept for one log. */
  readonly evidence: number;
  /** Checkpoints of one log that are cosigned in `windowMs`; 0 is no limit. */
  readonly perOrigin: number;
  readonly windowMs: number;
}
