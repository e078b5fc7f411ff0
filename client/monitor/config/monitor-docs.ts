/** The part of docs/monitor.md that describes monitor.yaml. */
import { generatedPart, settingsTable, table } from '../../../merkle/runtime/config/settings-docs.ts';
import { SINK_SCHEMAS } from '../alerts/sink-options.ts';
import { PRESETS } from '../presets.ts';
import { ConditionSchema, MonitorSchema } from './schema.ts';

export function monitorDocs(): string {
  const presets = Object.entries(PRESETS).flatMap(([name, { title, parameters }]) =>
    Object.entries(parameters).map(([parameter, { description, required, pattern, example, default: standard }]) => [
      `\`${name}\` (${title})`,
      `\`${parameter}\`${required ? ', required' : ''}`,
      `${description}${pattern ? ' Takes `{ pattern: … }` too.' : ''}`,
      `\`${example}\`${standard === undefined ? '' : `; default \`${standard}\``}`,
    ]),
  );
  return generatedPart('client/monitor/config/schema.ts', [
    settingsTable(MonitorSchema),
    '### A condition',
    'All that a condition names must hold. It can name a preset instead of, or beside, the fields that the preset does not set.',
    settingsTable(ConditionSchema),
    '### Presets',
    table(['preset', 'parameter', 'what it is', 'such as'], presets),
    '### Sinks',
    ...Object.entries(SINK_SCHEMAS).flatMap(([type, schema]) => [`#### \`type: ${type}\``, settingsTable(schema)]),
  ]);
}
