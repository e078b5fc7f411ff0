/**
 * The kinds of value that a setting can have. Each is a TypeBox schema with the facts for the documentation, `--help` and
 * error messages. The schema of a program declares each setting once, in terms of these.
 *
 * Durations are text with one unit (`5ms`, `10s`, `2m`, `1h`) and become milliseconds; sizes are a number of bytes or
 * text with one unit (`64KiB`, `4MiB`) and become bytes.
 */
import { Type } from 'typebox';

type Kind = 'duration' | 'size' | 'count' | 'text' | 'path' | 'variable' | 'choice' | 'switch' | 'list';

/** What a setting says about itself. */
export interface About {
  readonly description: string;
  /** As written in the file; absent where the setting has no default or the default depends on the machine. */
  readonly default?: unknown;
  /** The default in words, where `default` cannot say it. */
  readonly defaultText?: string;
  /** What goes wrong when the setting is wrong. */
  readonly danger?: string;
}

/** A leaf of the schema as the loader and the generator read it. */
export interface Leaf extends About {
  readonly kind: Kind;
  /** The unit of a bare number: `entries`, `threads` … */
  readonly unit?: string;
  /** The allowed values in words; the end of every error message about the setting. */
  readonly allowed: string;
  /** Messages must not repeat the value: people put secrets where the name of a variable belongs. */
  readonly sensitive?: true;
  /** A text with a slash is a path; one without is the bare name of a file that the system looks for. */
  readonly bareName?: true;
}

const DURATION_UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;
const SIZE_UNITS = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const;
const DURATION = /^(0|[1-9][0-9]{0,8})(ms|s|m|h)$/;
const MODULE = /^[^\p{Cc}]{1,255}$/u;
const SIZE = /^(0|[1-9][0-9]{0,8})(B|KiB|MiB|GiB)?$/;

/** Milliseconds of `5ms`, `10s`, `2m` or `1h`; undefined for any other text. */
function parseDuration(text: string): number | undefined {
  const match = DURATION.exec(text);
  return match === null ? undefined : Number(match[1]) * DURATION_UNITS[match[2] as keyof typeof DURATION_UNITS];
}

/** Bytes of `512`, `64KiB`, `4MiB` or `1GiB`; undefined for any other value. */
function parseSize(value: string | number): number | undefined {
  const match = SIZE.exec(String(value));
  return match === null ? undefined : Number(match[1]) * SIZE_UNITS[(match[2] ?? 'B') as keyof typeof SIZE_UNITS];
}

/** From `min` to `max`, both written as in the file (`1ms`, `10s`). Decodes to milliseconds. */
export function duration(min: string, max: string, about: About) {
  const low = parseDuration(min)!;
  const high = parseDuration(max)!;
  const text = Type.String({ ...about, kind: 'duration', allowed: `${min} to ${max}, written as 5ms, 10s, 2m or 1h` });
  const checked = Type.Refine(text, (value) => within(parseDuration(value), low, high));
  return Type.Codec(checked)
    .Decode((value) => parseDuration(value)!)
    .Encode((ms) => `${ms}ms`);
}

/** From `min` to `max`, both written as in the file (`1KiB`, `64MiB`). Decodes to bytes. */
export function size(min: string, max: string, about: About) {
  const low = parseSize(min)!;
  const high = parseSize(max)!;
  const allowed = `${min} to ${max}, written as bytes (65536) or with a unit (64KiB, 4MiB)`;
  const value = Type.Union([Type.String(), Type.Integer()], { ...about, kind: 'size', allowed });
  const checked = Type.Refine(value, (given) => within(parseSize(given), low, high));
  return Type.Codec(checked)
    .Decode((given) => parseSize(given)!)
    .Encode((bytes) => String(bytes));
}

/** A whole number, `min <= n <= max`. */
export function count(unit: string, minimum: number, maximum: number, about: About) {
  const allowed = `a whole number from ${minimum} to ${maximum}`;
  return Type.Integer({ ...about, kind: 'count', unit, minimum, maximum, allowed });
}

/** A file of native code: a path, or a bare file name that the system looks for. */
export function moduleFile(about: About) {
  const allowed = 'a path, or a bare file name such as libsofthsm2.so';
  return Type.String({ ...about, kind: 'text', pattern: MODULE.source, maxLength: 255, allowed, bareName: true });
}

export function text(pattern: RegExp, allowed: string, about: About) {
  return Type.String({ ...about, kind: 'text', pattern: pattern.source, maxLength: 255, allowed });
}

/** A path of this host. In a file it is relative to the file's directory, elsewhere to the working directory. */
export function path(about: About) {
  const allowed = 'a path, at most 4096 characters';
  return Type.String({ ...about, kind: 'path', minLength: 1, maxLength: 4096, pattern: '^[^\\x00\\r\\n]+$', allowed });
}

/** The name of an environment variable that holds a secret. */
export function variable(about: About) {
  const allowed = 'the name of an environment variable, such as LOG_PIN (not the secret itself)';
  const pattern = '^[A-Za-z_][A-Za-z0-9_]{0,254}$';
  return Type.String({ ...about, kind: 'variable', pattern, allowed, sensitive: true });
}

export function choice<const T extends string>(values: readonly T[], about: About) {
  const allowed = `one of ${values.join(', ')}`;
  return Type.Union(
    values.map((value) => Type.Literal(value)),
    { ...about, kind: 'choice', values, allowed },
  ) as unknown as ReturnType<typeof Type.Unsafe<T>>;
}

export function onOff(about: About) {
  return Type.Boolean({ ...about, kind: 'switch', allowed: 'true or false' });
}

/** Up to 64 items; in a flag or a variable separated by commas. */
export function list(check: (item: string) => boolean, allowed: string, about: About) {
  const items = Type.Refine(Type.String({ minLength: 1, maxLength: 255 }), (item) => check(item));
  return Type.Array(items, { ...about, kind: 'list', maxItems: 64, uniqueItems: true, allowed });
}

function within(value: number | undefined, low: number, high: number): boolean {
  return value !== undefined && value >= low && value <= high;
}
