/** Reads one item of a monitor's `sinks:`. */
import { readSink, type SinkOptions } from '../../client/monitor/alerts/sink-options.ts';
import { SettingsWalk } from '../../merkle/runtime/config/settings-walk.ts';

/** @param base the base directory of relative paths */
export function decodeSink(
  value: unknown,
  base: string,
): { readonly sink: SinkOptions } | { readonly problems: readonly string[] } {
  const walk = new SettingsWalk({ base });
  const sink = readSink(value, [], walk);
  return sink === undefined ? { problems: walk.problems } : { sink };
}
