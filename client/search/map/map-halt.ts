/** Why a map goes no further until its operator acts. */
import { CodedError } from '../../../merkle/errors.ts';

/** Each code, and what the operator does about it (docs/search.md). */
type MapHaltCode =
  | 'foreign-leaf' // the output log holds a leaf that this map did not make, and that does not hold
  | 'output-lies' // the output log showed two histories, or grew after it was frozen
  | 'input-lies' // the input log did
  | 'output-frozen'; // the output log takes no leaf any more

export class MapHalt extends CodedError<MapHaltCode> {
  override readonly name = 'MapHalt';

  constructor(code: MapHaltCode, message: string, options?: ErrorOptions) {
    super(code, message, undefined, options);
  }
}
