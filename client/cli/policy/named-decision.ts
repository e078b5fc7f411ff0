import type { Decision } from '../../../merkle/runtime/policy/types.ts';

/** A decision about one argument of the command line. */
export interface NamedDecision {
  /** The file, image or digest, as the command line names it. */
  readonly name: string;
  readonly decision: Decision;
  /** Where a lock file names the artifact. */
  readonly place?: { readonly file: string; readonly line: number };
}
