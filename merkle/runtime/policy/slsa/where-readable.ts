import { MerkleError } from '../../../errors.ts';
import { printable } from '../../../printable.ts';
import { RuntimeError } from '../../runtime-errors.ts';
import { reason } from '../reasons.ts';
import type { Reason } from '../types.ts';

/** What `judge` finds; a predicate that is not what its type says is a reason. */
export function whereReadable(judge: () => readonly Reason[]): readonly Reason[] {
  try {
    return judge();
  } catch (error) {
    if (error instanceof MerkleError || error instanceof RuntimeError) {
      return [reason('predicate', printable(error.message))];
    }
    throw error;
  }
}
