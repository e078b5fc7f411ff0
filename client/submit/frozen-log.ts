/** A log that takes no entries any more. */
import { ClientError } from '../errors.ts';

/**
 * The log answers that it is frozen (405). Whatever else the answer says, it is no reason to write elsewhere: only the trust
 * of the caller says which log follows.
 */
export class FrozenLog extends ClientError {
  /** @param why describes the answer */
  constructor(why: string) {
    super('refused', `the log refuses the request: ${why}`);
  }
}
