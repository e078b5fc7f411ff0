/** Two checkpoints compared. */
import type { ViewProps } from './types.ts';

export function CompareView(_: ViewProps) {
  return <h1>Compare checkpoints</h1>;
}
