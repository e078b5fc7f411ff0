/**
 * What a cosigner asks beyond the rules of a witness, before it cosigns. A rebuilder of an index has such a judge: it cosigns
 * a checkpoint of the output log only where its own map has the root in every leaf.
 */
import type { Checkpoint } from '../merkle/checkpoint.ts';
import type { MetricSet } from '../merkle/runtime/service/metric-set.ts';

/** Why a checkpoint is not cosigned. */
export interface Doubt {
  /** True: what the checkpoint is over is wrong, and stays so. False: the judge cannot tell yet. */
  readonly final: boolean;
  /** One sentence for the caller. */
  readonly why: string;
}

export interface Judge {
  /** Verifier keys of the log that is cosigned. */
  readonly logs: readonly string[];
  /**
   * Resolves with undefined where the checkpoint may be cosigned. It waits for a while where it cannot tell yet. A rejection
   * refuses the checkpoint.
   */
  judge(checkpoint: Pick<Checkpoint, 'origin' | 'size' | 'root'>): Promise<Doubt | undefined>;
  /** Why it cannot judge, a sentence each. */
  notReady(): readonly string[];
  /** What needs the operator besides, a sentence each. */
  alarms(): readonly string[];
  /** Adds its metrics to those of the witness. */
  measure(metrics: MetricSet): void;
}
