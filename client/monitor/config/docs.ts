/**
 * The part of docs/monitor.md that comes from the schema: `node dist/client/monitor/config/docs.js` prints it. A test
 * compares the file with it, so that no setting can go undescribed.
 */
import { pathToFileURL } from 'node:url';
import type { TSchema } from 'typebox';
import { SINK_SCHEMAS } from '../alerts/sink-options.ts';
import { PRESETS } from '../presets.ts';
import type { Facts } from './read.ts';
import { ConditionSchema, MonitorSchema } from './schema.ts';

export const BEGIN = '<!-- Generated from client/monitor/config/schema.ts: node dist/client/monitor/config/docs.js -->';
export const END = '<!-- End of what is generated. -->';

type Described = Facts & {
  readonly properties?: Readonly<Record<string, TSchema>>;
  readonly required?: readonly string[];
  readonly items?: TSchema;
  readonly type?: string;
  readonly const?: unknown;
};

/** From `BEGIN` to `END`. */
export function settingsDocs(): string {
  const parts = [
    BEGIN,
    '',
    table(['setting', 'what it is', 'allowed', 'default'], settingRows(MonitorSchema, '')),
    '',
    '### A condition',
    '',
    'All that a condition names must hold. It can name a preset instead of, or beside, the fields that the preset does not set.',
    '',
    table(
      ['field', 'what it is', 'allowed'],
      settingRows(ConditionSchema, '').map(([name, what, allowed]) => [name!, what!, allowed!]),
    ),
    '',
    '### Presets',
    '',
    table(
      ['preset', 'parameter', 'what it is', 'such as'],
      Object.entries(PRESETS).flatMap(([name, { title, parameters }]) =>
        Object.entries(parameters).map(
          ([parameter, { description, required, pattern, example, default: standard }]) => [
            `\`${name}\` (${title})`,
            `\`${parameter}\`${required ? ', required' : ''}`,
            `${description}${pattern ? ' Takes `{ pattern: … }` too.' : ''}`,
            `\`${example}\`${standard === undefined ? '' : `; default \`${standard}\``}`,
          ],
        ),
      ),
    ),
    '',
    '### Sinks',
    ...Object.entries(SINK_SCHEMAS).flatMap(([type, schema]) => [
      '',
      `#### \`type: ${type}\``,
      '',
      table(['setting', 'what it is', 'allowed', 'default'], settingRows(schema, '')),
    ]),
    '',
    END,
  ];
  return parts.join('\n');
}

/** Name, description, what is allowed, default: of each leaf, in the schema's order. */
function settingRows(schema: TSchema, prefix: string): string[][] {
  const { properties = {}, required = [] } = schema as unknown as Described;
  return Object.entries(properties).flatMap(([name, property]) => {
    const facts = property as unknown as Described;
    if (facts.const !== undefined) return [];
    const path = `${prefix}${name}`;
    if (facts.properties !== undefined) return settingRows(property, `${path}.`);
    const items = facts.items as unknown as Described | undefined;
    const fallback =
      facts.default === undefined
        ? required.includes(name)
          ? 'required'
          : (facts.defaultText ?? 'none')
        : code(facts.default);
    const danger = facts.danger === undefined ? '' : ` **${facts.danger}**`;
    const row = [`\`${path}\``, `${facts.description ?? ''}${danger}`, facts.allowed ?? '', fallback];
    return items?.properties === undefined ? [row] : [row, ...settingRows(facts.items!, `${path}[].`)];
  });
}

function code(value: unknown): string {
  return `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;
}

function table(names: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(names), `|${names.map(() => '---|').join('')}`, ...rows.map(line)].join('\n');
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.stdout.write(`${settingsDocs()}\n`);
}
