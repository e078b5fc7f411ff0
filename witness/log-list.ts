/**
 * The lists of logs that the witness network publishes (witness-network.org/log-list-format, `logs/v0`, as of 2026-04-21):
 *
 *   # comment
 *   logs/v0
 *
 *   vkey sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8
 *   origin go.sum database tree
 *   qpd 86400
 *   contact security@golang.org
 *
 * The order of the lines of a log is fixed, and `origin` may be missing. White space around a line, empty lines and comments
 * do not count. A list is not signed: TLS protects it on its way.
 */
import { decodeUtf8, encodeHex } from '../merkle/bytes.ts';
import { MerkleError } from '../merkle/errors.ts';
import { KEY_TYPE, parseVerifierKey, type VerifierKey } from '../merkle/note.ts';
import { printable } from '../merkle/printable.ts';
import { WitnessError } from './errors.ts';
import { isOrigin, parseQpd } from './log-lines.ts';

/** A log of a list. */
export interface NetworkLog {
  readonly key: VerifierKey;
  readonly vkey: string;
  readonly origin: string;
  /** Checkpoints that the log may send in a day, 1 to 2^31 - 1. */
  readonly qpd: number;
  readonly contact: string;
  /** Line of its key in the list, from 1. */
  readonly line: number;
}

/** Longest list in bytes. */
export const MAX_LOG_LIST = 1024 * 1024;

const HEADER = 'logs/v0';

/**
 * The logs of a list, in its order. A log that the list has twice, with one key, is given once.
 * @throws WitnessError `list` for a list with any line that breaks the format; the message names the line
 */
export function parseLogList(bytes: Uint8Array): NetworkLog[] {
  if (bytes.length > MAX_LOG_LIST) throw badList(undefined, `it is longer than ${MAX_LOG_LIST} bytes`);
  const lines = numbered(bytes);
  const [header] = lines;
  if (header?.text !== HEADER) throw badList(header?.number, `the first line is not "${HEADER}"`);
  const byOrigin = new Map<string, NetworkLog>();
  const byKey = new Map<string, NetworkLog>();
  const logs: NetworkLog[] = [];
  let at = 1;
  const next = (keyword: string): string => {
    const line = lines[at++];
    if (line === undefined) throw badList(undefined, `it ends before the line "${keyword}" of its last log`);
    const value = valueAfter(line.text, keyword);
    if (value === undefined) throw badList(line.number, `it must be "${keyword}" and a value`);
    return value;
  };
  while (at < lines.length) {
    const line = lines[at]!.number;
    const vkey = next('vkey');
    const key = keyOf(vkey, line);
    const origin = lines[at]?.text.startsWith('origin') ? next('origin') : key.name;
    if (!isOrigin(origin)) throw badList(lines[at - 1]?.number, 'the origin has a control character');
    const qpdLine = lines[at]?.number;
    const qpd = parseQpd(next('qpd'));
    if (qpd === undefined) throw badList(qpdLine, 'qpd must be a number from 1 to 2147483647 without leading zeroes');
    const log = { key, vkey, origin, qpd, contact: printable(next('contact')), line };
    const sameOrigin = byOrigin.get(origin);
    if (sameOrigin?.vkey === vkey) continue;
    if (sameOrigin !== undefined) throw badList(line, `line ${sameOrigin.line} gives "${origin}" another key`);
    const id = encodeHex(key.key);
    if (byKey.has(id)) throw badList(line, `line ${byKey.get(id)!.line} has the same key for another origin`);
    byOrigin.set(origin, log);
    byKey.set(id, log);
    logs.push(log);
  }
  return logs;
}

/** Lines that count, trimmed, with their numbers. */
function numbered(bytes: Uint8Array): { readonly text: string; readonly number: number }[] {
  let text: string;
  try {
    text = decodeUtf8(bytes);
  } catch {
    throw badList(undefined, 'it is not UTF-8 text');
  }
  return text
    .split('\n')
    .map((line, i) => ({ text: line.replace(/^\p{White_Space}+|\p{White_Space}+$/gu, ''), number: i + 1 }))
    .filter((line) => line.text !== '' && !line.text.startsWith('#'));
}

function valueAfter(line: string, keyword: string): string | undefined {
  return line.startsWith(`${keyword} `) ? line.slice(keyword.length + 1) : undefined;
}

function keyOf(vkey: string, line: number): VerifierKey {
  let key: VerifierKey;
  try {
    key = parseVerifierKey(vkey);
  } catch (error) {
    if (error instanceof MerkleError) throw badList(line, error.message);
    throw error;
  }
  if (key.type === KEY_TYPE.ed25519) return key;
  throw badList(line, `the key has the type ${key.type}, and a list holds Ed25519 keys of type 1`);
}

function badList(line: number | undefined, why: string): WitnessError {
  return new WitnessError('list', line === undefined ? `the list is wrong: ${why}` : `line ${line} is wrong: ${why}`);
}
