/**
 * SPDX license expressions (spdx/spdx-spec 3.0.1, annex B) against lists of licenses that are allowed or denied.
 *
 * `OR` is a choice of who uses the software: one side suffices. `AND` needs both.
 */
import { createRequire } from 'node:module';
import { printable } from '../../../printable.ts';

export type LicenseExpression =
  | { readonly and: readonly LicenseExpression[] }
  | { readonly or: readonly LicenseExpression[] }
  | License;

interface License {
  /** Canonical: `GPL-2.0-or-later`, `LicenseRef-x`. */
  readonly id: string;
  /** `+`: this version or a later one. */
  readonly orLater: boolean;
  readonly exception: string | undefined;
}

export interface LicenseRules {
  /** Absent: every known license that is not denied. */
  readonly allow: readonly LicensePattern[] | undefined;
  readonly deny: readonly LicensePattern[];
}

/** One license, with or without its exception, or all whose identifiers begin with a text. */
export type LicensePattern = { readonly license: License } | { readonly prefix: string };

/** What is wrong with an expression or a pattern, for a person. */
export class LicenseProblem extends Error {}

const MAX_LENGTH = 4096;
const MAX_DEPTH = 50;
const REFERENCE = /^(?:DocumentRef-[A-Za-z0-9.-]+:)?(?:LicenseRef|AdditionRef)-[A-Za-z0-9.-]+$/;
const require = createRequire(import.meta.url);

/** Identifiers of the license list by their lower-case form: SPDX compares them without case. Loaded once, on demand. */
let known:
  | { readonly licenses: ReadonlyMap<string, string>; readonly exceptions: ReadonlyMap<string, string> }
  | undefined;

function list(): NonNullable<typeof known> {
  if (known !== undefined) return known;
  const byLower = (ids: readonly string[]) => new Map(ids.map((id) => [id.toLowerCase(), id]));
  const licenses = [...require('spdx-license-ids'), ...require('spdx-license-ids/deprecated')] as string[];
  known = { licenses: byLower(licenses), exceptions: byLower(require('spdx-exceptions') as string[]) };
  return known;
}

/** @throws LicenseProblem where the text is no expression of licenses that SPDX lists, or of references */
export function parseLicense(text: string): LicenseExpression {
  if (text.length > MAX_LENGTH)
    throw new LicenseProblem(`an expression longer than ${MAX_LENGTH} characters is not read`);
  const tokens = text.match(/[()]|[^\s()]+/g) ?? [];
  const parser = new Parser(tokens, text);
  return parser.whole();
}

/** @throws LicenseProblem */
export function parseLicensePattern(text: string): LicensePattern {
  if (/^[A-Za-z0-9.-]+\*$/.test(text)) {
    const prefix = text.slice(0, -1).toLowerCase();
    if (![...list().licenses.keys(), 'licenseref-'].some((id) => id.startsWith(prefix))) {
      throw new LicenseProblem(`no license of the SPDX list begins with ${printable(prefix)}`);
    }
    return { prefix };
  }
  const license = parseLicense(text);
  if (!('id' in license))
    throw new LicenseProblem(`"${printable(text)}" is more than one license: write each for itself`);
  return { license };
}

/** The licenses for which the rules do not hold; empty where the expression is allowed. */
export function refusedLicenses(expression: LicenseExpression, rules: LicenseRules): readonly string[] {
  if ('and' in expression) return expression.and.flatMap((one) => refusedLicenses(one, rules));
  if ('or' in expression) {
    const sides = expression.or.map((one) => refusedLicenses(one, rules));
    return sides.some((side) => side.length === 0) ? [] : sides.flat();
  }
  const { allow, deny } = rules;
  const isAllowed = allow === undefined || allow.some((pattern) => covers(pattern, expression, true));
  // A license with an exception is another one where the allowed list names both together.
  const isNamed = allow?.some(
    (one) => 'license' in one && one.license.exception !== undefined && covers(one, expression, true),
  );
  const isDenied = deny.some((pattern) => covers(pattern, expression, false)) && isNamed !== true;
  return isAllowed && !isDenied ? [] : [formatLicense(expression)];
}

/** Whether a user of the software cannot do without a license of the pattern. */
export function isLicenseIn(expression: LicenseExpression, pattern: LicensePattern): boolean {
  if ('and' in expression) return expression.and.some((one) => isLicenseIn(one, pattern));
  if ('or' in expression) return expression.or.every((one) => isLicenseIn(one, pattern));
  return covers(pattern, expression, false);
}

/** An exception and "or later" only add permissions, so a pattern without them covers a license with them. */
function covers(pattern: LicensePattern, license: License, isAllowed: boolean): boolean {
  if ('prefix' in pattern) return license.id.toLowerCase().startsWith(pattern.prefix);
  const { id, exception, orLater } = pattern.license;
  if (id !== license.id || (exception !== undefined && exception !== license.exception)) return false;
  return !orLater || license.orLater || !isAllowed;
}

function formatLicense({ id, orLater, exception }: License): string {
  return `${id}${orLater ? '+' : ''}${exception === undefined ? '' : ` WITH ${exception}`}`;
}

class Parser {
  readonly #tokens: readonly string[];
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(tokens: readonly string[], text: string) {
    this.#tokens = tokens;
    this.#text = text;
  }

  whole(): LicenseExpression {
    const expression = this.#or();
    if (this.#at < this.#tokens.length) throw this.#problem('goes on after its end');
    return expression;
  }

  #or(): LicenseExpression {
    const sides = [this.#and()];
    while (this.#takes('OR')) sides.push(this.#and());
    return sides.length === 1 ? sides[0]! : { or: sides };
  }

  #and(): LicenseExpression {
    const sides = [this.#one()];
    while (this.#takes('AND')) sides.push(this.#one());
    return sides.length === 1 ? sides[0]! : { and: sides };
  }

  #one(): LicenseExpression {
    if (!this.#takes('(')) return this.#license();
    if (++this.#depth > MAX_DEPTH) throw this.#problem(`is nested deeper than ${MAX_DEPTH}`);
    const inner = this.#or();
    this.#depth -= 1;
    if (!this.#takes(')')) throw this.#problem('lacks a ")"');
    return inner;
  }

  #license(): License {
    const token = this.#tokens[this.#at++] ?? '';
    const orLater = token.endsWith('+');
    const name = orLater ? token.slice(0, -1) : token;
    const id = REFERENCE.test(name) ? name : list().licenses.get(name.toLowerCase());
    if (id === undefined) throw this.#problem(`has "${printable(name)}", no license of the SPDX list`);
    const license = canonical(id, orLater);
    if (!this.#takes('WITH')) return { ...license, exception: undefined };
    const added = this.#tokens[this.#at++] ?? '';
    const exception = REFERENCE.test(added) ? added : list().exceptions.get(added.toLowerCase());
    if (exception === undefined) throw this.#problem(`has "${printable(added)}", no exception of the SPDX list`);
    return { ...license, exception };
  }

  /** Operators are all upper case or all lower case. */
  #takes(token: string): boolean {
    const next = this.#tokens[this.#at];
    if (next !== token && next !== token.toLowerCase()) return false;
    this.#at += 1;
    return true;
  }

  #problem(why: string): LicenseProblem {
    return new LicenseProblem(`the license "${printable(this.#text.slice(0, 200))}" ${why}`);
  }
}

/** The licenses of GNU name their versions in full: `GPL-2.0` and `GPL-2.0+` are older names of the same licenses. */
function canonical(id: string, orLater: boolean): Omit<License, 'exception'> {
  const base = /^((?:A|L)?GPL-[0-9.]+|GFDL-[0-9.]+)(?:-only)?$/.exec(id)?.[1];
  if (base === undefined) return { id, orLater };
  return { id: `${base}${orLater ? '-or-later' : '-only'}`, orLater: false };
}
