/** Documentation of settings in Markdown, generated from their schema. */
import type { TSchema } from 'typebox';
import { defaultText, type Setting, settingsOf } from './settings.ts';
import { nodeOf } from './settings-walk.ts';
import type { Leaf } from './values.ts';

/** A part of a document that `npm run docs` writes: the lines between two comments, which name where they come from. */
export function generatedPart(source: string, parts: readonly string[]): string {
  const begin = `<!-- Generated from ${source} by \`npm run docs\`. Change it there. -->`;
  return [begin, ...parts, '<!-- End of the generated part. -->'].join('\n\n');
}

/** A table for each group of settings that can be flags and variables too; first those that are in no group. */
export function settingsSections(schema: TSchema, prefix: string): string[] {
  const groups = new Map<string, Setting[]>([['General', []]]);
  for (const setting of settingsOf(schema, prefix)) {
    const name = setting.path.length === 1 ? 'General' : setting.path[0]!;
    groups.set(name, [...(groups.get(name) ?? []), setting]);
  }
  return [...groups].flatMap(([name, settings]) => [
    `### ${name}`,
    table(
      ['setting', 'flag, variable', 'what it is', 'allowed', 'default'],
      settings.map((setting) => {
        const [path, ...rest] = rowOf(setting, setting.name, fallbackOf(setting));
        return [path!, `\`--${setting.flag}\`, \`${setting.env}\``, ...rest];
      }),
    ),
  ]);
}

/** One table for a file of settings with lists of mappings: `logs[].url`. */
export function settingsTable(schema: TSchema): string {
  return table(['setting', 'what it is', 'allowed', 'default'], rowsOf(schema, ''));
}

export function table(names: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(names), `|${names.map(() => '---|').join('')}`, ...rows.map(line)].join('\n');
}

function rowsOf(schema: TSchema, prefix: string): string[][] {
  const { properties = {}, required = [] } = nodeOf(schema);
  return Object.entries(properties).flatMap(([name, property]) => {
    const node = nodeOf(property);
    const path = `${prefix}${name}`;
    if (node.const !== undefined) return [];
    if (node.type === 'object') return rowsOf(property, `${path}.`);
    const leaf = property as unknown as Leaf;
    const missing = required.includes(name) && node.default === undefined;
    const row = rowOf(leaf, path, missing ? 'required' : fallbackOf(leaf));
    const { items } = node;
    return items !== undefined && nodeOf(items).type === 'object' ? [row, ...rowsOf(items, `${path}[].`)] : [row];
  });
}

/** Name, description, what is allowed, default. */
function rowOf({ description = '', danger, allowed = '', unit }: Leaf, name: string, fallback: string): string[] {
  const what = danger === undefined ? description : `${description} **${danger}**`;
  return [`\`${name}\``, what, unit === undefined ? allowed : `${allowed} (${unit})`, fallback];
}

function fallbackOf(leaf: Leaf): string {
  const text = defaultText(leaf);
  return leaf.defaultText !== undefined || text === 'none' ? text : `\`${text}\``;
}
