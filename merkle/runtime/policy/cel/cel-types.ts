/** Types of expressions as their checker knows them, and the signatures of all functions: google/cel-spec, doc/langdef.md. */

export interface CelTypeOf {
  readonly name: string;
  /** Of a list its members, of a map its keys and values. */
  readonly args: readonly CelTypeOf[];
}

const scalar = (name: string): CelTypeOf => ({ name, args: [] });

export const DYN = scalar('dyn');
export const BOOL = scalar('bool');
export const INT = scalar('int');

export function typeOf(name: string, ...args: CelTypeOf[]): CelTypeOf {
  return { name, args };
}

const SCALARS = ['dyn', 'bool', 'int', 'uint', 'double', 'string', 'bytes', 'timestamp', 'duration', 'null', 'type'];
/** Names of types that an expression can use as values. */
export const TYPE_NAMES = ['bool', 'int', 'uint', 'double', 'string', 'bytes', 'list', 'map', 'null_type', 'type'];

/** Types of the keys of a map. */
export const KEY_TYPES = ['bool', 'int', 'uint', 'string'];

/** Reads a declared type, such as `map(string, list(int))`. */
export function parseType(text: string): CelTypeOf {
  const tokens = text.match(/\w+|[(),]/g) ?? [];
  let next = 0;
  const read = (): CelTypeOf => {
    const name = tokens[next++] ?? '';
    const count = name === 'list' ? 1 : name === 'map' ? 2 : 0;
    if (count === 0 && !SCALARS.includes(name)) throw new Error(`${text} is no type of a variable`);
    const args = Array.from({ length: count }, () => {
      next++;
      return read();
    });
    if (count > 0) next++;
    return { name, args };
  };
  return read();
}

export function textOfType({ name, args }: CelTypeOf): string {
  return args.length === 0 ? name : `${name}(${args.map(textOfType).join(', ')})`;
}

/** Whether a value of one type may be one of the other. What is known only when it is read (`dyn`) may be anything. */
export function fits(one: CelTypeOf, other: CelTypeOf): boolean {
  if (one.name === 'dyn' || other.name === 'dyn') return true;
  if (one.name === other.name)
    return one.args.every((arg, i) => other.args[i] === undefined || fits(arg, other.args[i]));
  const names = [one.name, other.name];
  return names.includes('null') && (names.includes('timestamp') || names.includes('duration'));
}

/** The type of values of any of `types`. */
export function commonType(types: readonly CelTypeOf[]): CelTypeOf {
  const [first = DYN, ...others] = types;
  return others.reduce(
    (common, type) => (fits(common, type) && common.name === type.name ? narrower(common, type) : DYN),
    first,
  );
}

/** Of two types that fit, one that says what both say. */
function narrower(one: CelTypeOf, other: CelTypeOf): CelTypeOf {
  return { name: one.name, args: one.args.map((arg, i) => commonType([arg, other.args[i]!])) };
}

interface Signature {
  readonly params: readonly CelTypeOf[];
  readonly result: CelTypeOf;
}

interface Signatures {
  readonly asFunction: boolean;
  readonly asMethod: boolean;
  readonly all: readonly Signature[];
}

const any = typeOf('list', DYN);
const NAMED: Readonly<Record<string, CelTypeOf>> = {
  ...Object.fromEntries(SCALARS.map((name) => [name, scalar(name)])),
  list: any,
  map: typeOf('map', DYN, DYN),
};

/** `int int > int` is a signature: the parameters, and the result. */
function signature(text: string): Signature {
  const [params, result] = text.split('>') as [string, string];
  const named = (name: string): CelTypeOf => NAMED[name]!;
  return { params: params.trim().split(' ').map(named), result: named(result.trim()) };
}

const same = (kinds: string, result?: string): string[] =>
  kinds.split(' ').map((kind) => `${kind} ${kind} > ${result ?? kind}`);
const from = (kinds: string, result: string): string[] => kinds.split(' ').map((kind) => `${kind} > ${result}`);
const ORDERED = same('bool int uint double string bytes timestamp duration', 'bool');

const OPERATORS: Readonly<Record<string, readonly string[]>> = {
  '+': [
    ...same('int uint double string bytes list duration'),
    'timestamp duration > timestamp',
    'duration timestamp > timestamp',
  ],
  '-': [...same('int uint double duration'), 'timestamp timestamp > duration', 'timestamp duration > timestamp'],
  '*': same('int uint double'),
  '/': same('int uint double'),
  '%': same('int uint'),
  '<': ORDERED,
  '<=': ORDERED,
  '>': ORDERED,
  '>=': ORDERED,
  '-_': ['int > int', 'double > double'],
  '!_': ['bool > bool'],
};

const FUNCTIONS: Readonly<Record<string, readonly string[]>> = {
  bool: from('bool string', 'bool'),
  bytes: from('bytes string', 'bytes'),
  double: from('double int uint string', 'double'),
  duration: from('duration string', 'duration'),
  dyn: ['dyn > dyn'],
  int: from('int uint double string timestamp', 'int'),
  string: from('string bool int uint double bytes timestamp duration', 'string'),
  timestamp: from('timestamp string int', 'timestamp'),
  type: ['dyn > type'],
  uint: from('uint int double string', 'uint'),
};

const BOTH: Readonly<Record<string, readonly string[]>> = {
  size: from('string bytes list map', 'int'),
  matches: ['string string > bool'],
};

const ZONED = ['timestamp > int', 'timestamp string > int'];
const TIMED = [...ZONED, 'duration > int'];
const METHODS: Readonly<Record<string, readonly string[]>> = {
  contains: ['string string > bool'],
  endsWith: ['string string > bool'],
  startsWith: ['string string > bool'],
  getDate: ZONED,
  getDayOfMonth: ZONED,
  getDayOfWeek: ZONED,
  getDayOfYear: ZONED,
  getFullYear: ZONED,
  getHours: TIMED,
  getMilliseconds: TIMED,
  getMinutes: TIMED,
  getMonth: ZONED,
  getSeconds: TIMED,
};

/** How the functions of each table are written: as a function, as a method. */
const TABLES = [
  [OPERATORS, true, false],
  [FUNCTIONS, true, false],
  [BOTH, true, true],
  [METHODS, false, true],
] as const;

const known = new Map<string, Signatures>();

/** An operator is a function. */
export function signaturesOf(name: string): Signatures | undefined {
  let signatures = known.get(name);
  if (signatures !== undefined) return signatures;
  // Read when they are first needed: a condition has a few functions, and all take a tenth of its start.
  for (const [table, asFunction, asMethod] of TABLES) {
    if (!Object.hasOwn(table, name)) continue;
    signatures = { asFunction, asMethod, all: table[name]!.map(signature) };
    known.set(name, signatures);
  }
  return signatures;
}

/** Names of functions and methods that a person can write. */
export const FUNCTION_NAMES = [FUNCTIONS, BOTH, METHODS].flatMap((table) => Object.keys(table));
