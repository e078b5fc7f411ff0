/**
 * Trust policies: c2sp.org/tlog-policy (C2SP 1896a5a, 2026-06-22). A policy lists logs and witnesses, and says which
 * cosignatures make a checkpoint valid.
 *
 *   log <vkey> [<url>]
 *   witness <name> <vkey> [<url>]
 *   group <name> all|any|<k> <name>...
 *   quorum <name>|none
 *
 * Each line ends in a newline. Spaces and tabs separate items. Empty lines and lines that start with "#" are ignored. A name
 * is defined once, above its use, and is a member of at most one group. There is exactly one quorum line. Names, URLs and
 * comments are octets, not characters: two names are equal if their octets are.
 *
 * Worked example: valid with a cosignature of W and one of X or Y.
 *
 *   log <vkey>
 *   witness W <vkey>
 *   witness X <vkey>
 *   witness Y <vkey>
 *   group either any X Y
 *   group both all W either
 *   quorum both
 */
import { decodeUtf8, encodeHex, encodeUtf8, parseDecimal } from './bytes.ts';
import { MerkleError } from './errors.ts';
import { KEY_TYPE, parseVerifierKey, type VerifierKey } from './verifier-key.ts';

export interface PolicyLog {
  /** Its name is the log's origin. */
  readonly key: VerifierKey;
  readonly url?: string;
}

export interface PolicyWitness {
  readonly kind: 'witness';
  readonly name: string;
  /** A cosignature key: type 0x04 or 0x06. */
  readonly key: VerifierKey;
  readonly url?: string;
}

interface PolicyGroup {
  readonly kind: 'group';
  readonly name: string;
  /** How many members must cosign: 1 to `members.length`. */
  readonly threshold: number;
  readonly members: readonly PolicyMember[];
}

type PolicyMember = PolicyWitness | PolicyGroup;

export interface Policy {
  readonly logs: readonly PolicyLog[];
  readonly witnesses: readonly PolicyWitness[];
  readonly groups: readonly PolicyGroup[];
  /** Undefined for `quorum none`. */
  readonly quorum: PolicyMember | undefined;
}

/** Longest policy that is accepted, in bytes. */
export const MAX_POLICY = 1_048_576;
/** Most logs, most witnesses and most groups; the specification requires at least 32 of each. */
export const MAX_POLICY_ITEMS = 256;
/** Longest file of logs in bytes, and most logs in it. */
export const MAX_LOG_FILE = 64 * 1024 * 1024;
const MAX_LOG_LINES = 100_000;

/** @throws MerkleError `bad-policy` for a file that breaks any rule of the specification; the message names the line */
export function parsePolicy(file: Uint8Array | string): Policy {
  const builder = new PolicyBuilder(MAX_POLICY_ITEMS);
  readLines(file, MAX_POLICY, (line) => readLine(builder, line));
  if (builder.quorum === undefined) throw badPolicy(undefined, 'it has no quorum line');
  const { logs, witnesses, groups } = builder;
  return { logs, witnesses, groups, quorum: builder.quorum === 'none' ? undefined : builder.quorum };
}

/**
 * Parses the list of logs of a witness: the `log` lines of a file, in their order. The file may hold the other lines of a
 * policy too.
 * @throws MerkleError `bad-policy`; the message names the line
 */
export function parseLogLines(file: Uint8Array | string): PolicyLog[] {
  const builder = new PolicyBuilder(MAX_LOG_LINES);
  readLines(file, MAX_LOG_FILE, (line) => {
    const [keyword = '#'] = itemsOf(line);
    if (keyword === 'log') readLine(builder, line);
    else if (!keyword.startsWith('#') && !OTHER_KEYWORDS.includes(keyword)) throw unknownKeyword();
  });
  return builder.logs;
}

/** Calls `read` with each line, and adds the number of the line to errors. */
function readLines(file: Uint8Array | string, limit: number, read: (line: string) => void): void {
  if (file.length > limit) throw badPolicy(undefined, `it is longer than ${limit} bytes`);
  const lines = octets(file).split('\n');
  if (lines.pop() !== '') throw badPolicy(lines.length + 1, 'the line does not end in a newline; it may be cut off');
  for (const [i, line] of lines.entries()) {
    try {
      read(line);
    } catch (cause) {
      if (!(cause instanceof MerkleError)) throw cause;
      throw badPolicy(i + 1, cause.message, cause);
    }
  }
}

/** Whether the witnesses for which `cosigned` is true meet the quorum. Each witness counts once. */
export function quorumMet(policy: Policy, cosigned: (witness: PolicyWitness) => boolean): boolean {
  return policy.quorum === undefined || witnessed(policy.quorum, cosigned);
}

/**
 * Whether every quorum of the policy has one of the witnesses for which `has` is true, so that nothing had a quorum without
 * them. Only witnesses for which `could` is true can be in a quorum. False for a policy without a quorum.
 */
export function inEveryQuorum(
  policy: Policy,
  has: (witness: PolicyWitness) => boolean,
  could: (witness: PolicyWitness) => boolean = () => true,
): boolean {
  // The largest set without any of them: if that is no quorum, no smaller one is.
  return !quorumMet(policy, (witness) => could(witness) && !has(witness));
}

function witnessed(member: PolicyMember, cosigned: (witness: PolicyWitness) => boolean): boolean {
  if (member.kind === 'witness') return cosigned(member);
  let count = 0;
  for (const inner of member.members) {
    if (witnessed(inner, cosigned)) count++;
    if (count >= member.threshold) return true;
  }
  return false;
}

/** The definitions of the lines so far. Names are octets, one character each. */
class PolicyBuilder {
  readonly maxItems: number;
  /** Kind of line and public key of each line so far. */
  readonly keys = new Set<string>();
  readonly logs: PolicyLog[] = [];
  readonly witnesses: PolicyWitness[] = [];
  readonly groups: PolicyGroup[] = [];
  readonly names = new Map<string, PolicyMember>();
  readonly grouped = new Set<string>();
  quorum: PolicyMember | 'none' | undefined;

  constructor(maxItems: number) {
    this.maxItems = maxItems;
  }

  define(name: string, member: PolicyMember): void {
    if (name === 'none') throw wrong('the name "none" is predefined');
    if (this.names.has(name)) throw wrong(`the name "${member.name}" is already defined`);
    this.names.set(name, member);
  }

  defined(name: string): PolicyMember {
    const member = this.names.get(name);
    if (member === undefined) throw wrong(`the name "${readable(name)}" is not defined on a line above`);
    return member;
  }
}

function readLine(builder: PolicyBuilder, line: string): void {
  for (let i = 0; i < line.length; i++) {
    const code = line.charCodeAt(i);
    if ((code < 0x20 && code !== 0x09) || code === 0x7f) {
      throw wrong(`it has the control character 0x${code.toString(16).padStart(2, '0')}`);
    }
  }
  const [keyword, ...rest] = itemsOf(line);
  if (keyword === undefined || keyword.startsWith('#')) return;
  if (keyword === 'log') readLog(builder, rest);
  else if (keyword === 'witness') readWitness(builder, rest);
  else if (keyword === 'group') readGroup(builder, rest);
  else if (keyword === 'quorum') readQuorum(builder, rest);
  else throw unknownKeyword();
}

const OTHER_KEYWORDS: readonly string[] = ['witness', 'group', 'quorum'];

function itemsOf(line: string): string[] {
  return line.split(/[ \t]+/).filter((item) => item !== '');
}

function unknownKeyword(): MerkleError {
  return wrong('it does not start with log, witness, group, quorum or #');
}

function readLog(builder: PolicyBuilder, [vkey, url, ...rest]: string[]): void {
  if (vkey === undefined || rest.length > 0) throw wrong('the form is: log <vkey> [<url>]');
  const key = readKey(vkey);
  checkCount(builder, builder.logs, 'log');
  checkNew(builder, key, 'log');
  builder.logs.push(url === undefined ? { key } : { key, url: readable(url) });
}

function readWitness(builder: PolicyBuilder, [name, vkey, url, ...rest]: string[]): void {
  if (name === undefined || vkey === undefined || rest.length > 0) {
    throw wrong('the form is: witness <name> <vkey> [<url>]');
  }
  const key = readKey(vkey);
  if (key.type !== KEY_TYPE.cosignature && key.type !== KEY_TYPE.mldsa44) {
    throw wrong(`a witness needs a cosignature key (type 4 or 6), not one of type ${key.type}`);
  }
  checkCount(builder, builder.witnesses, 'witness');
  checkNew(builder, key, 'witness');
  const witness = { kind: 'witness', name: readable(name), key } as const;
  const full: PolicyWitness = url === undefined ? witness : { ...witness, url: readable(url) };
  builder.define(name, full);
  builder.witnesses.push(full);
}

function readGroup(builder: PolicyBuilder, [name, rule, ...names]: string[]): void {
  if (name === undefined || rule === undefined || names.length === 0) {
    throw wrong('the form is: group <name> all|any|<k> <name>...');
  }
  checkCount(builder, builder.groups, 'group');
  const members = names.map((member) => {
    if (member === 'none') throw wrong('"none" cannot be a member of a group');
    const found = builder.defined(member);
    if (builder.grouped.has(member)) throw wrong(`"${found.name}" is already a member of a group`);
    builder.grouped.add(member);
    return found;
  });
  const group: PolicyGroup = {
    kind: 'group',
    name: readable(name),
    threshold: readThreshold(rule, members.length),
    members,
  };
  builder.define(name, group);
  builder.groups.push(group);
}

function readThreshold(rule: string, members: number): number {
  if (rule === 'any') return 1;
  if (rule === 'all') return members;
  let threshold: number;
  try {
    threshold = parseDecimal(rule);
  } catch (cause) {
    throw wrong('the threshold is neither all, any nor a decimal number', cause);
  }
  if (threshold < 1 || threshold > members)
    throw wrong(`the threshold is not between 1 and ${members}, the number of members`);
  return threshold;
}

function readQuorum(builder: PolicyBuilder, [name, ...rest]: string[]): void {
  if (name === undefined || rest.length > 0) throw wrong('the form is: quorum <name>|none');
  if (builder.quorum !== undefined) throw wrong('there is a quorum line above');
  builder.quorum = name === 'none' ? 'none' : builder.defined(name);
}

function readKey(vkey: string): VerifierKey {
  let text: string;
  try {
    text = decodeUtf8(fromOctets(vkey));
  } catch (cause) {
    throw wrong('the verifier key is not valid UTF-8', cause);
  }
  return parseVerifierKey(text);
}

/** Compares public keys only: two lines with one public key are refused even if their names, types and key IDs differ. */
function checkNew(builder: PolicyBuilder, key: VerifierKey, what: string): void {
  const id = `${what} ${encodeHex(key.key)}`;
  if (builder.keys.has(id)) throw wrong(`a ${what} line above has the same public key`);
  builder.keys.add(id);
}

function checkCount({ maxItems }: PolicyBuilder, items: readonly unknown[], what: string): void {
  if (items.length >= maxItems) throw wrong(`there are more than ${maxItems} ${what} lines`);
}

/** Octets as text, one character (U+0000 to U+00FF) each. */
function octets(file: Uint8Array | string): string {
  let bytes: Uint8Array;
  try {
    bytes = typeof file === 'string' ? encodeUtf8(file) : file;
  } catch (cause) {
    throw badPolicy(undefined, 'it holds half of a surrogate pair', cause);
  }
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

function fromOctets(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

/** A name or URL for people: decoded as UTF-8 if it is valid UTF-8, otherwise with every octet above ASCII as `\xNN`. */
function readable(text: string): string {
  try {
    return decodeUtf8(fromOctets(text));
  } catch {
    return text.replaceAll(/[\x80-\xff]/g, (char) => `\\x${char.charCodeAt(0).toString(16)}`);
  }
}

/** The error for a line that breaks a rule; `readLines` adds the number of the line. */
function wrong(why: string, cause?: unknown): MerkleError {
  return new MerkleError('bad-policy', why, { cause });
}

function badPolicy(line: number | undefined, why: string, cause?: unknown): MerkleError {
  const where = line === undefined ? 'the policy is wrong' : `line ${line} of the policy is wrong`;
  return new MerkleError('bad-policy', `${where}: ${why}`, { cause });
}
