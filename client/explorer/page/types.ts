/** What a view gets. */
import type { ExplorerConfig, ExplorerLog } from '../../../merkle/explorer-config.ts';

export interface ViewProps {
  /** What stands behind the name in the route; anybody may have made it up. */
  readonly rest: string;
  readonly query: URLSearchParams;
  readonly config: ExplorerConfig;
  /** The log that is shown: one of `config`. */
  readonly log: ExplorerLog;
}
