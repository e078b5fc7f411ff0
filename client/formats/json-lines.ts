/**
 * Files with one JSON document or with several, one a line (jsonlines.org): `gh attestation download` writes bundles so, and
 * `gh attestation trusted-root` writes trusted roots so.
 *
 * A document that stands alone may take many lines. So the first line decides: where it is a whole object, each line is a
 * document.
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
  return documents.length === 0 ? [{ line: 1, bytes: file }] : documents;
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
  let depth = 0;
  for (let at = 0; at < line.length; at++) {
    switch (line[at]) {
      case QUOTE:
        at = endOfString(line, at);
        break;
      case 0x7b: // {
      case 0x5b: // [
        depth += 1;
        break;
      case 0x7d: // }
      case 0x5d: // ]
        depth -= 1;
        if (depth === 0) return isBlank(line, at + 1);
        break;
    }
  }
  return false;
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
