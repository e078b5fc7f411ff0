/**
 * The text of the file of logs, in the format of c2sp.org/tlog-policy (C2SP 1896a5a, 2026-06-22). Only its `log` lines
 * count, and four kinds of comments:
 *
 *   log example.com/log+5c4b9d4b+Ac… https://example.com/log
 *   #disabled log example.com/old+1f2e3d4c+AQ…
 *   log sum.golang.org+033de0ae+Ac4z…
 *   #origin sum.golang.org+033de0ae+Ac4z… go.sum database tree
 *   #qpd sum.golang.org+033de0ae+Ac4z… 86400
 *   #contact sum.golang.org+033de0ae+Ac4z… security@golang.org
 *
 * `#disabled` keeps a log that is not witnessed. The other three name the key whose origin, limit or contact they give.
 * Without `#origin`, a log's origin is the name of its key. Several keys with one origin are keys of one log. All other
 * lines stay as they are.
 */
import { MerkleError } from '../merkle/errors.ts';
import { formatVerifierKey, type VerifierKey } from '../merkle/note.ts';
import { type PolicyLog, parseLogLines } from '../merkle/policy.ts';
import { hasControl } from '../merkle/verifier-key.ts';

/** What is known of a log beside its key. */
export interface LogFacts {
  /** First line of its checkpoints. */
  readonly origin: string;
  /** Where the witness reads the log when it polls. */
  readonly url: string | undefined;
  /** Checkpoints that are cosigned in a day; undefined is no limit. */
  readonly qpd: number | undefined;
  /** For people. */
  readonly contact: string | undefined;
}

export const LOG_FACTS: readonly (keyof LogFacts)[] = ['url', 'origin', 'qpd', 'contact'];

/** A key in the file, and what the file says about it. */
export interface ListedKey extends LogFacts {
  readonly key: VerifierKey;
  readonly vkey: string;
  readonly disabled: boolean;
}

/** Most checkpoints a day that can be given: 2^31 - 1. */
const MAX_QPD = 0x7fffffff;

const DISABLED = /^#disabled[ \t]+(log[ \t].*)$/;
const LOG_LINE = /^(?:#disabled)?[ \t]*log[ \t]+([^ \t]+)/;
const FACT = /^#(origin|qpd|contact) (\S+) (.+)$/;

/** Every key of the file, in its order: those that are witnessed, then the disabled ones. @throws MerkleError `bad-policy` */
export function readLogLines(text: string): ListedKey[] {
  const enabled = parseLogLines(text);
  const lines = linesOf(text);
  const disabled = lines.filter((line) => DISABLED.test(line)).flatMap(logIn);
  const facts = factsIn(lines, new Set([...enabled, ...disabled].map(({ key }) => formatVerifierKey(key))));
  const listed = ({ key, url }: PolicyLog, isDisabled: boolean): ListedKey => {
    const vkey = formatVerifierKey(key);
    const { origin = key.name, qpd, contact } = facts.get(vkey) ?? {};
    return { origin, key, vkey, url, qpd, contact, disabled: isDisabled };
  };
  return [...enabled.map((log) => listed(log, false)), ...disabled.map((log) => listed(log, true))];
}

/** The text with these keys witnessed, each with these facts and with none of those that the text had. */
export function withKeys(text: string, keys: readonly (LogFacts & Pick<ListedKey, 'key' | 'vkey'>)[]): string {
  const replaced = new Set(keys.map(({ vkey }) => vkey));
  const kept = linesOf(text).filter((line) => !replaced.has(keyIn(line) ?? FACT.exec(line)?.[2] ?? ''));
  const added = keys.flatMap(({ key, vkey, origin, url, qpd, contact }) => [
    `log ${vkey}${url === undefined ? '' : ` ${url}`}`,
    ...(origin === key.name ? [] : [`#origin ${vkey} ${origin}`]),
    ...(qpd === undefined ? [] : [`#qpd ${vkey} ${qpd}`]),
    ...(contact === undefined ? [] : [`#contact ${vkey} ${contact}`]),
  ]);
  return textOf([...kept, ...added]);
}

/** The text with these keys disabled. */
export function withoutKeys(text: string, vkeys: ReadonlySet<string>): string {
  const lines = linesOf(text).map((line) => {
    const vkey = DISABLED.test(line) ? undefined : keyIn(line);
    return vkey !== undefined && vkeys.has(vkey) ? `#disabled ${line.trim()}` : line;
  });
  return textOf(lines);
}

/** Whether a checkpoint can have this origin, and a line of the file can give it. */
export function isOrigin(text: string): boolean {
  return text !== '' && !text.includes('\n') && !hasControl(text) && text.isWellFormed();
}

/** 1 to 2^31 - 1, in decimal without leading zeroes; undefined for every other text. */
export function parseQpd(text: string): number | undefined {
  if (!/^[1-9][0-9]{0,9}$/.test(text)) return undefined;
  const qpd = Number(text);
  return qpd <= MAX_QPD ? qpd : undefined;
}

type Facts = Partial<Pick<ListedKey, 'origin' | 'qpd' | 'contact'>>;

/** By key. A comment that names no key of the file is a comment. */
function factsIn(lines: readonly string[], vkeys: ReadonlySet<string>): ReadonlyMap<string, Facts> {
  const facts = new Map<string, Facts>();
  for (const [i, line] of lines.entries()) {
    const [, name, vkey = '', value = ''] = FACT.exec(line) ?? [];
    if (name === undefined || !vkeys.has(vkey)) continue;
    const before = facts.get(vkey);
    const wrong = (why: string) => new MerkleError('bad-policy', `line ${i + 1} is wrong: ${why}`);
    if (before !== undefined && name in before) throw wrong(`a line above gives the ${name} of this key`);
    const given = name === 'qpd' ? parseQpd(value) : value;
    if (given === undefined) throw wrong(`"${value}" is not a number from 1 to ${MAX_QPD}`);
    if (name === 'origin' && !isOrigin(value)) throw wrong('the origin has a control character');
    facts.set(vkey, { ...before, [name]: given });
  }
  return facts;
}

function linesOf(text: string): string[] {
  const lines = text.split('\n');
  lines.pop();
  return lines;
}

function textOf(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}

/** The log of a line, disabled or not; empty where the line names no log. */
function logIn(line: string): PolicyLog[] {
  try {
    return parseLogLines(`${DISABLED.exec(line)?.[1] ?? line}\n`);
  } catch {
    // A comment that looks like a log is a comment.
    return [];
  }
}

/** The key that a line of a log names, disabled or not. */
function keyIn(line: string): string | undefined {
  return LOG_LINE.exec(line)?.[1];
}
