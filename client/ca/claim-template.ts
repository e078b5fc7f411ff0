/**
 * Texts made from the claims of a token: the name in a certificate, and the extensions of Fulcio.
 *
 *   https://github.com/{job_workflow_ref}          the claim's text; a number or a boolean as JSON writes it
 *   {environment?}                                  nothing is written at all where the claim is missing, null or empty
 *   refs/{ref_type:branch=heads,tag=tags}/{ref}     one of the words that stand after the claim; another claim is an error
 *   {/kubernetes.io/namespace}                      a claim inside other claims: a JSON pointer (RFC 6901)
 *
 * A claim that is missing is an error, since a shorter name or extension would be another one.
 */
import { printable } from '../../merkle/printable.ts';
import { isJsonRecord, type JsonValue } from '../../merkle/rekor/json-value.ts';

/** The claims of a verified token. */
type Claims = Readonly<Record<string, JsonValue>>;

interface Hole {
  readonly claim: string;
  /** Names from the outermost claim inwards. */
  readonly path: readonly string[];
  readonly optional: boolean;
  readonly words?: ReadonlyMap<string, string>;
}

export interface ClaimTemplate {
  readonly text: string;
  readonly parts: readonly (string | Hole)[];
}

/** Why a token gives no text. The message names the claim and never its value. */
export class ClaimProblem extends Error {}

/** Longest template, and longest text of one claim. */
const MAX_TEMPLATE = 1024;
const MAX_CLAIM = 2048;
const HOLE = /^([^{}:?,=]{1,200})(\?)?(?::([^{}]+))?$/;
const WORD = /^([^=,]{1,100})=([^=,]{0,100})$/;

/** @returns the template, or why the text is none */
export function parseClaimTemplate(text: string): ClaimTemplate | string {
  if (text === '' || text.length > MAX_TEMPLATE) return `must have 1 to ${MAX_TEMPLATE} characters`;
  const parts: (string | Hole)[] = [];
  for (const piece of text.match(/\{[^{}]*\}|[^{}]+|[{}]/g) ?? []) {
    if (piece === '{' || piece === '}') return 'has a brace without its other one: a claim is written {name}';
    if (!piece.startsWith('{')) {
      parts.push(piece);
      continue;
    }
    const [, claim, optional, words] = HOLE.exec(piece.slice(1, -1)) ?? [];
    if (claim === undefined) return `has "${printable(piece)}", which is not {claim}, {claim?} or {claim:from=to,…}`;
    const table = words === undefined ? undefined : wordsOf(words);
    if (words !== undefined && table === undefined) return `has "${printable(piece)}", whose words are not from=to,…`;
    const path = claim.startsWith('/') ? claim.slice(1).split('/').map(unescaped) : [claim];
    parts.push({ claim, path, optional: optional !== undefined, ...(table && { words: table }) });
  }
  return { text, parts };
}

function wordsOf(list: string): Map<string, string> | undefined {
  const words = new Map<string, string>();
  for (const item of list.split(',')) {
    const [, from, to] = WORD.exec(item) ?? [];
    if (from === undefined || to === undefined || words.has(from)) return undefined;
    words.set(from, to);
  }
  return words;
}

/** RFC 6901 section 4. */
function unescaped(part: string): string {
  return part.replaceAll('~1', '/').replaceAll('~0', '~');
}

/** The text, or undefined where an optional claim is missing. @throws ClaimProblem */
export function fillTemplate({ parts }: ClaimTemplate, claims: Claims): string | undefined {
  let text = '';
  for (const part of parts) {
    const piece = typeof part === 'string' ? part : pieceOf(part, claims);
    if (piece === undefined) return undefined;
    text += piece;
  }
  return text;
}

function pieceOf({ claim, path, optional, words }: Hole, claims: Claims): string | undefined {
  const value = textOf(valueAt(claims, path), claim);
  if (value === undefined || value === '') {
    if (optional) return undefined;
    throw new ClaimProblem(`the token has no claim "${printable(claim)}"`);
  }
  if (value.length > MAX_CLAIM) {
    throw new ClaimProblem(`the claim "${printable(claim)}" has more than ${MAX_CLAIM} characters`);
  }
  if (words === undefined) return value;
  const word = words.get(value);
  if (word === undefined)
    throw new ClaimProblem(`the claim "${printable(claim)}" is none of the values that are configured`);
  return word;
}

function valueAt(claims: Claims, path: readonly string[]): JsonValue | undefined {
  let value: JsonValue | undefined = claims;
  for (const name of path) {
    if (!isJsonRecord(value) || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value;
}

function textOf(value: JsonValue | undefined, claim: string): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string') return value;
  if (typeof value === 'bigint' || typeof value === 'boolean') return String(value);
  throw new ClaimProblem(`the claim "${printable(claim)}" is neither text nor a whole number nor true or false`);
}
