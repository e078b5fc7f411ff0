/** The leaves of a schema as a flat list, each with the three names that it goes by. */
import type { TSchema } from 'typebox';
import type { Leaf } from './values.ts';

export interface Setting extends Leaf {
  /** Name in the file: `batch.maxAge`. */
  readonly name: string;
  /** Name of the flag without dashes: `batch-max-age`. */
  readonly flag: string;
  /** Name of the variable: `STELE_BATCH_MAX_AGE`. */
  readonly env: string;
  readonly path: readonly string[];
  readonly schema: TSchema;
}

/** All settings, in the order of the schema. `prefix` begins the names of the variables: `STELE_`. */
export function settingsOf(schema: TSchema, prefix: string): readonly Setting[] {
  return leaves(schema, [], prefix);
}

/** How the value is shown in `--help`: `<duration>`, `[true|false]`. */
export function placeholder(setting: Setting): string {
  if (setting.kind === 'switch') return '[true|false]';
  if (setting.kind === 'choice') return `<${setting.allowed.slice('one of '.length).replaceAll(', ', '|')}>`;
  const word = {
    count: 'n',
    list: 'a,b',
    variable: 'NAME',
    path: 'path',
    text: 'text',
    duration: 'duration',
    size: 'size',
  };
  return `<${word[setting.kind]}>`;
}

/** The default as a person reads it. */
export function defaultText(setting: Setting): string {
  if (setting.defaultText !== undefined) return setting.defaultText;
  if (setting.default === undefined) return 'none';
  if (Array.isArray(setting.default)) return setting.default.length === 0 ? 'none' : setting.default.join(',');
  return String(setting.default);
}

function leaves(schema: TSchema, path: readonly string[], prefix: string): Setting[] {
  const { properties } = schema as { properties?: Record<string, TSchema> };
  if (properties !== undefined) {
    return Object.entries(properties).flatMap(([name, child]) => leaves(child, [...path, name], prefix));
  }
  const words = path.map((part) => part.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`));
  const flag = words.join('-');
  const env = `${prefix}${flag.replaceAll('-', '_').toUpperCase()}`;
  return [{ ...(schema as unknown as Leaf), name: path.join('.'), flag, env, path, schema }];
}
