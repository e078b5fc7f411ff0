/**
 * Files with one JSON document or with several, one a line (jsonlines.org): `gh attestation download` writes bundles so, and
 * `gh attestation trusted-root` writes trusted roots so. Files of one document each may also stand one after another.
 *
 * A document may take many lines. So the first line decides: where it is a whole object, each line is a document. Otherwise
 * a document ends with its last bracket.
 */
import { malformed } from './json.ts';

/** A JSON document of a file, not parsed. */
interface JsonDocument {
  /** The line on which the document starts, from 1. */
  readonly line: number;
  /** Without the line's end. A view of the file. */
  readonly bytes: Uint8Array;
}

const NEWLINE = 0x0a;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = 0x7b; // {

/**
 * Splits a file into its documents; empty lines do not count. Nothing is parsed: a document may be no JSON.
 *
 * @param what names the file in the error: `the trusted root`
 * @param most documents of a file
 * @returns at least one document; the whole file where it is empty or holds one document
 * @throws ClientError `malformed` for more than `most` documents
 */
export function jsonDocuments(file: Uint8Array, what: string, most: number): readonly JsonDocument[] {
  const documents: JsonDocument[] = [];
  let line = 0;
  for (let start = 0; start < file.length; ) {
    line += 1;
    const newline = file.indexOf(NEWLINE, start);
    const end = newline === -1 ? file.length : newline;
    const begin = start;
    start = end + 1;
    if (isBlank(file, begin, end)) continue;
    const bytes = file.subarray(begin, end);
    // A file of a single line needs no look at its brackets.
    if (documents.length === 0 && !isBlank(file, start) && !isWholeObject(bytes)) break;
    if (documents.length === most) throw malformed(what, `has more than ${most} lines: no more are read`);
    documents.push({ line, bytes });
  }
  if (documents.length > 0) return documents;
  return joinedDocuments(file, what, most) ?? [{ line: 1, bytes: file }];
}

/** Objects that stand one after another; undefined where that is not all that `file` holds. */
function joinedDocuments(file: Uint8Array, what: string, most: number): readonly JsonDocument[] | undefined {
  const documents: JsonDocument[] = [];
  let line = 1;
  for (let start = 0; start < file.length; ) {
    while (isBlank(file, start, start + 1)) if (file[start++] === NEWLINE) line += 1;
    if (start >= file.length) break;
    const end = file[start] === OPEN ? endOfObject(file, start) : -1;
    if (end === -1) return undefined;
    if (documents.length === most) throw malformed(what, `has more than ${most} documents: no more are read`);
    const bytes = file.subarray(start, end);
    documents.push({ line, bytes });
    for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) line += 1;
    start = end;
  }
  return documents.length > 1 ? documents : undefined;
}

function isBlank(bytes: Uint8Array, start: number, end = bytes.length): boolean {
  for (let at = start; at < end; at++) {
    const byte = bytes[at];
    if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d && byte !== NEWLINE) return false;
  }
  return true;
}

/** Whether the brackets that `line` opens end with its last character. Says nothing else about the line. */
function isWholeObject(line: Uint8Array): boolean {
  const end = endOfObject(line, 0);
  return end !== -1 && isBlank(line, end);
}

/** The index after the bracket that closes the first one from `start` on; -1 where nothing closes it. */
function endOfObject(bytes: Uint8Array, start: number): number {
  let depth = 0;
  for (let at = start; at < bytes.length; at++) {
    switch (bytes[at]) {
      case QUOTE:
        at = endOfString(bytes, at);
        break;
      case OPEN:
      case 0x5b: // [
        depth += 1;
        break;
      case 0x7d: // }
      case 0x5d: // ]
        depth -= 1;
        if (depth <= 0) return depth === 0 ? at + 1 : -1;
        break;
    }
  }
  return -1;
}

/** The index of the closing quote of the string that opens at `open`, or the end of the line. */
function endOfString(line: Uint8Array, open: number): number {
  for (let quote = line.indexOf(QUOTE, open + 1); quote !== -1; quote = line.indexOf(QUOTE, quote + 1)) {
    let backslashes = 0;
    while (line[quote - 1 - backslashes] === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return quote;
  }
  return line.length;
}
