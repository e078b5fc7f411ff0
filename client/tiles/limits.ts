/** How long the public files of a log can be. */
import { MAX_ENTRY } from '../../merkle/bundle.ts';

/** Longest checkpoint that a client reads, in bytes. */
export const MAX_CHECKPOINT = 1024 * 1024;

/** Longest entry bundle of `width` entries (1 to 256), in bytes: 16 MiB for a full one. */
export function maxBundle(width: number): number {
  return width * (2 + MAX_ENTRY);
}
