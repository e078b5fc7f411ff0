/**
 * The check of an expression when a policy is loaded: names that nobody declares, functions that are not there, and types that
 * can never fit. google/cel-spec, doc/langdef.md, "Type-checking". What evidence holds is known only when it is read, and so is
 * of type `dyn`, which fits everything.
 */
import { nearest } from '../../config/nearest.ts';
import { durationOfText, instantOfText } from './cel-conversions.ts';
import { CelSyntaxError } from './cel-lexer.ts';
import { MESSAGES } from './cel-messages.ts';
import type { CelNode, MacroNode } from './cel-parser.ts';
import { patternOf } from './cel-pattern.ts';
import { typeNamed } from './cel-plan.ts';
import {
  BOOL,
  type CelTypeOf,
  commonType,
  DYN,
  FUNCTION_NAMES,
  fits,
  INT,
  KEY_TYPES,
  signaturesOf,
  TYPE_NAMES,
  textOfType,
  typeOf,
} from './cel-types.ts';
import { kindOf } from './cel-values.ts';

const SPECIAL = new Set(['&&', '||', '?:', '==', '!=', 'in', '[]']);

type Variables = ReadonlyMap<string, CelTypeOf>;

/**
 * @returns the type of what the expression gives
 * @throws CelSyntaxError where it cannot be right
 */
export function checkTypes(node: CelNode, declared: Variables): CelTypeOf {
  return new Checker(declared).type(node, declared);
}

class Checker {
  readonly #declared: Variables;

  constructor(declared: Variables) {
    this.#declared = declared;
  }

  type(node: CelNode, variables: Variables): CelTypeOf {
    switch (node.kind) {
      case 'literal':
        return typeOf(kindOf(node.value));
      case 'name':
        return this.#name(node, node.global ? this.#declared : variables);
      case 'select':
        return this.#select(node, variables);
      case 'call':
        return this.#call(node, variables);
      case 'list':
        return typeOf('list', commonType(node.items.map((item) => this.type(item, variables))));
      case 'map': {
        const keys = node.entries.map(([key]) => this.type(key, variables));
        checkKeys(
          node.entries.map(([key]) => key),
          keys,
        );
        const values = node.entries.map(([, value]) => this.type(value, variables));
        return typeOf('map', commonType(keys), commonType(values));
      }
      case 'message':
        return this.#message(node, variables);
      case 'macro':
        return this.#macro(node, variables);
    }
  }

  #name({ name, at }: Extract<CelNode, { kind: 'name' }>, variables: Variables): CelTypeOf {
    const type = variables.get(name);
    if (type !== undefined) return type;
    if (TYPE_NAMES.includes(name)) return typeOf('type');
    const hint = nearest(name, [...variables.keys()]);
    const known =
      hint === undefined ? `The variables are ${[...variables.keys()].join(', ')}` : `Did you mean \`${hint}\`?`;
    throw new CelSyntaxError(`there is no variable \`${name}\`. ${known}`, at);
  }

  #select(node: Extract<CelNode, { kind: 'select' }>, variables: Variables): CelTypeOf {
    if (!node.test && typeNamed(node, variables) !== undefined) return typeOf('type');
    const operand = this.type(node.operand, variables);
    if (operand.name !== 'map' && operand.name !== 'dyn') {
      throw new CelSyntaxError(`a value of type ${textOfType(operand)} has no field \`${node.field}\``, node.at);
    }
    if (node.test) return BOOL;
    return operand.args[1] ?? DYN;
  }

  #call(node: Extract<CelNode, { kind: 'call' }>, variables: Variables): CelTypeOf {
    const signatures = signaturesOf(node.name);
    const isSpecial = !node.method && SPECIAL.has(node.name);
    if (!isSpecial && !(node.method ? signatures?.asMethod : signatures?.asFunction)) {
      throw this.#noFunction(node, signatures?.asMethod);
    }
    const types = node.args.map((arg) => this.type(arg, variables));
    if (isSpecial || signatures === undefined) return this.#special(node, types);
    const chosen = signatures.all.filter(
      ({ params }) => params.length === types.length && params.every((param, i) => fits(param, types[i]!)),
    );
    if (chosen.length === 0) throw this.#noOverload(node, types);
    checkLiterals(node);
    const results = chosen.map(({ result }) => result);
    const [first] = results as [CelTypeOf];
    if (node.name === '+' && first.name === 'list') {
      if (!fits(types[0]!, types[1]!)) throw this.#noOverload(node, types);
      return commonType(types.filter(({ name }) => name === 'list'));
    }
    return results.every(({ name }) => name === first.name) ? first : DYN;
  }

  /** Operators whose arguments are of any types that belong together. */
  #special(node: Extract<CelNode, { kind: 'call' }>, types: readonly CelTypeOf[]): CelTypeOf {
    const [one, two, three] = types as [CelTypeOf, CelTypeOf, CelTypeOf];
    const wrong = (): CelSyntaxError => this.#noOverload(node, types);
    switch (node.name) {
      case '&&':
      case '||':
        if (!types.every((type) => fits(type, BOOL))) throw wrong();
        return BOOL;
      case '?:':
        if (!fits(one, BOOL) || !fits(two, three)) throw wrong();
        return two.name === 'null' ? three : commonType([two, three]);
      case 'in': {
        const held = two.name === 'list' || two.name === 'map' ? two.args[0]! : two.name === 'dyn' ? DYN : undefined;
        if (held === undefined || !fits(one, held)) throw wrong();
        return BOOL;
      }
      case '[]': {
        if (two.name === 'bytes') throw wrong();
        if (one.name === 'dyn') return DYN;
        const index = one.name === 'list' ? INT : one.name === 'map' ? one.args[0]! : undefined;
        if (index === undefined || !fits(two, index)) throw wrong();
        return one.args.at(-1)!;
      }
      default:
        // == and !=
        if (!fits(one, two)) throw wrong();
        return BOOL;
    }
  }

  #noFunction({ name, at, method }: Extract<CelNode, { kind: 'call' }>, isMethod: boolean | undefined): CelSyntaxError {
    if (isMethod !== undefined) {
      const form = isMethod ? `value.${name}(…)` : `${name}(value)`;
      return new CelSyntaxError(`\`${name}\` is written as ${form}`, at);
    }
    const hint = nearest(name, [
      ...FUNCTION_NAMES,
      ...(method ? ['all', 'exists', 'exists_one', 'map', 'filter'] : ['has']),
    ]);
    return new CelSyntaxError(
      `there is no function \`${name}\`${hint === undefined ? '' : `. Did you mean \`${hint}\`?`}`,
      at,
    );
  }

  #noOverload({ name, at }: Extract<CelNode, { kind: 'call' }>, types: readonly CelTypeOf[]): CelSyntaxError {
    return new CelSyntaxError(`\`${name.replace(/_$/, '')}\` does not take (${types.map(textOfType).join(', ')})`, at);
  }

  #message({ name, at, fields }: Extract<CelNode, { kind: 'message' }>, variables: Variables): CelTypeOf {
    const types = MESSAGES.get(name);
    if (types === undefined) throw new CelSyntaxError(`there is no type \`${name}\` that an expression can make`, at);
    const given = new Set<string>();
    for (const [field, value] of fields) {
      const type = Object.hasOwn(types, field) ? typeOf(types[field]!) : undefined;
      if (type === undefined || given.has(field) || !fits(this.type(value, variables), type)) {
        throw new CelSyntaxError(`\`${field}\` of ${name} is unknown, given twice or of another type`, value.at);
      }
      given.add(field);
    }
    if (name === 'google.protobuf.Timestamp') return typeOf('timestamp');
    return typeOf(name === 'google.protobuf.Duration' ? 'duration' : types.value!);
  }

  #macro(node: MacroNode & CelNode, variables: Variables): CelTypeOf {
    const range = this.type(node.range, variables);
    if (!['list', 'map', 'dyn'].includes(range.name)) {
      throw new CelSyntaxError(`\`${node.name}\` goes through lists and maps, not a ${textOfType(range)}`, node.at);
    }
    const within = new Map([...variables, [node.variable, range.args[0] ?? DYN]]);
    for (const test of [node.filter, node.name === 'map' ? undefined : node.body]) {
      if (test === undefined) continue;
      const type = this.type(test, within);
      if (!fits(type, BOOL)) throw new CelSyntaxError(`this must be a bool, and is a ${textOfType(type)}`, test.at);
    }
    if (node.name !== 'map') return BOOL;
    return typeOf('list', this.type(node.body, within));
  }
}

function checkKeys(keys: readonly CelNode[], types: readonly CelTypeOf[]): void {
  const seen = new Set<string>();
  for (const [i, key] of keys.entries()) {
    const { name } = types[i]!;
    if (name !== 'dyn' && !KEY_TYPES.includes(name))
      throw new CelSyntaxError(`a key of a map is a bool, an int, a uint or a string, not a ${name}`, key.at);
    if (key.kind !== 'literal' || typeof key.value === 'object') continue;
    const text = `${name} ${key.value}`;
    if (seen.has(text)) throw new CelSyntaxError('this key stands in the map twice', key.at);
    seen.add(text);
  }
}

/** A pattern, a time or a duration that is written out and is none: the policy is wrong, whatever the evidence is. */
function checkLiterals({ name, args }: Extract<CelNode, { kind: 'call' }>): void {
  const last = args.at(-1)!;
  const check = { matches: patternOf, timestamp: instantOfText, duration: durationOfText }[name];
  if (check === undefined || last.kind !== 'literal' || typeof last.value !== 'string') return;
  if (name === 'matches' && args.length !== 2) return;
  try {
    check(last.value);
  } catch (error) {
    throw new CelSyntaxError((error as Error).message, last.at);
  }
}
