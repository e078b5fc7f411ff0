/** Two checkpoints side by side: of one log, both verified, and the one the beginning of the other. */
import type { ExplorerConfig } from '../../../merkle/explorer-config.ts';
import { usage } from '../../errors.ts';
import type { TaskContext } from './protocol.ts';

export interface CompareInput {
  readonly config: ExplorerConfig;
  readonly first: string;
  readonly second: string;
}

export async function compareCheckpoints(_: CompareInput, __: TaskContext): Promise<never> {
  throw usage('not there yet');
}
