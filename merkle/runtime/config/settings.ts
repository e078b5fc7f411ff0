/** The leaves of a schema as a flat list, each with its names in the file, as a flag and as a variable. */
import type { TSchema } from 'typebox';
import { nodeOf } from './settings-walk.ts';
import type { Leaf } from './values.ts';

export interface Setting extends Leaf {
  /** Name in the file: `batch.maxAge`. */
  readonly name: string;
  /** Name of the flag without dashes: `batch-max-age`. */
  readonly flag: string;
  /** Name of the variable: `STELE_BATCH_MAX_AGE`. */
  readonly env: string;
  readonly path: readonly string[];
}

/** All settings, in the order of the schema. `prefix` begins the names of the variables: `STELE_`. */
export function settingsOf(schema: TSchema, prefix: string, path: readonly string[] = []): readonly Setting[] {
  const { properties } = nodeOf(schema);
  if (properties !== undefined) {
    return Object.entries(properties).flatMap(([name, child]) => settingsOf(child, prefix, [...path, name]));
  }
  const words = path.map((part) => part.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`));
  const flag = words.join('-');
  const env = `${prefix}${flag.replaceAll('-', '_').toUpperCase()}`;
  return [{ ...(schema as unknown as Leaf), name: path.join('.'), flag, env, path }];
}

/** How `--help` shows the value: `<duration>`, `[true|false]`. */
export function placeholder({ kind, allowed }: Setting): string {
  if (kind === 'switch') return '[true|false]';
  if (kind === 'choice') return `<${allowed.slice('one of '.length).replaceAll(', ', '|')}>`;
  return `<${{ count: 'n', list: 'a,b', variable: 'NAME' }[kind as string] ?? kind}>`;
}

/** The default as a person reads it. */
export function defaultText({ default: value, defaultText: words }: Leaf): string {
  if (words !== undefined) return words;
  if (value === undefined || (Array.isArray(value) && value.length === 0)) return 'none';
  return Array.isArray(value) ? value.join(',') : String(value);
}
