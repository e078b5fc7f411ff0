/** What the store says about itself, in its answers and in the outputs of its commands. */

/** Stands in each answer. */
export const STORE_NOTICE =
  'A convenience, and no promise of the log: this store may lack attestations, and may forget them. Verify what it returns.';

/** Stands in each answer about a piece that is forgotten. */
export const LOG_KEEPS = 'The log keeps the hash of what was signed: nothing that happens here changes the log.';
