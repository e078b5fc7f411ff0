import type { Decision, EvidenceItem } from '../../../merkle/runtime/policy/types.ts';

/** A decision about one argument of the command line. */
export interface NamedDecision {
  /** The file, image or digest, as the command line names it. */
  readonly name: string;
  readonly decision: Decision;
  /** Where a lock file names the artifact. */
  readonly place?: { readonly file: string; readonly line: number };
  /** What it was made from, where a summary may be made of it. */
  readonly evidence?: readonly EvidenceItem[];
  /** The verification summary of it, with `--vsa`. */
  readonly summary?: LoggedSummary;
}

/** A summary that is logged, for the report. */
interface LoggedSummary {
  /** The file of its bundle. */
  readonly out: string;
  readonly origin: string;
  readonly index: number;
  /** For `--json`. */
  readonly facts: object;
}
