/**
 * Digests of files as text: one digest `sha256:<hex>` as container registries write it (opencontainers/image-spec 1.1,
 * descriptor.md), and lists of them in the two forms that `sha256sum` of GNU coreutils writes.
 *
 *   <hex> [ *]<name>            the length of the digest tells its algorithm; a space is for text, and * for binary
 *   SHA256 (<name>) = <hex>     --tag
 *
 * Where a name holds a backslash, a line feed or a carriage return, the line starts with a backslash, and the name has them
 * as `\\`, `\n` and `\r`. Empty lines and lines that start with # do not count. A list is taken as a whole or not at all.
 */
import { decodeHex, decodeUtf8 } from '../../merkle/bytes.ts';
import { printable } from '../../merkle/printable.ts';
import { DIGEST_SIZE, type HashName } from '../../merkle/rekor/hashes.ts';
import { usage } from '../errors.ts';

/** Longest list in bytes. */
export const MAX_CHECKSUMS = 16 * 1024 * 1024;
const MAX_LINES = 100_000;
/** UTF-16 units of a name as it is written. */
const MAX_NAME = 8192;

const HASHES = Object.keys(DIGEST_SIZE) as HashName[];

interface Digest {
  readonly hash: HashName;
  readonly value: Uint8Array;
}

/** A line of a list. */
interface Checksum extends Digest {
  /** From 1. */
  readonly line: number;
  readonly name: string;
}

/** Whether an argument means a digest, rightly written or not. A file of such a name is given as `./sha256:…`. */
export function isDigest(text: string): boolean {
  return /^(?:sha[0-9][0-9a-z_/-]*|md5|blake[0-9][0-9a-z-]*|gitcommit):/i.test(text);
}

/** Reads `sha256:<hex>`, and sha384 and sha512 alike. @throws ClientError `usage`, which says what is wrong */
export function parseDigest(text: string): Digest {
  const at = text.indexOf(':');
  const [algorithm, hex] = [text.slice(0, at), text.slice(at + 1)];
  const problem = algorithmProblem(algorithm) ?? hexProblem(algorithm as HashName, hex);
  if (problem === undefined) return { hash: algorithm as HashName, value: decodeHex(hex) };
  const file = 'A file of this name is given as ./NAME';
  throw usage(`${printable(text.slice(0, 160))} is not a digest of a file: ${problem}. ${file}`);
}

/**
 * @param file UTF-8 of at most 16 MiB, with at most 100,000 lines
 * @param what names the list in errors: `the list SHA256SUMS`
 * @returns at least one line; each name stands once
 * @throws ClientError `usage`, which names the first line that is wrong
 */
export function parseChecksums(file: Uint8Array, what: string): readonly Checksum[] {
  if (file.length > MAX_CHECKSUMS) throw usage(`${what} is longer than ${MAX_CHECKSUMS} bytes`);
  const lines = textOf(file, what).split('\n');
  if (lines.length > MAX_LINES) throw usage(`${what} has more than ${MAX_LINES} lines: split it`);
  const lineOf = new Map<string, number>();
  const checksums: Checksum[] = [];
  for (const [at, whole] of lines.entries()) {
    const line = at + 1;
    // Windows ends lines so. A carriage return of a name is escaped.
    const text = whole.endsWith('\r') ? whole.slice(0, -1) : whole;
    if (text === '' || text.startsWith('#')) continue;
    const read = readLine(text);
    if (typeof read === 'string') throw usage(`line ${line} of ${what} ${read}: nothing was verified`);
    const path = withoutDots(read.name);
    const before = lineOf.get(path);
    if (before !== undefined) {
      throw usage(`lines ${before} and ${line} of ${what} both name ${printable(path)}: nothing was verified`);
    }
    lineOf.set(path, line);
    checksums.push({ line, ...read });
  }
  if (checksums.length === 0) throw usage(`${what} names no file`);
  return checksums;
}

type Read = Omit<Checksum, 'line'>;

/** What the line says, or what is wrong with it. */
function readLine(text: string): Read | string {
  const tagged = /^(\\?)([A-Za-z0-9/_-]+) \((.*)\) = ([^ ]+)$/s.exec(text);
  if (tagged !== null) {
    const [, mark, tag, name, hex] = tagged as unknown as [string, string, string, string, string];
    const hash = HASHES.find((known) => known.toUpperCase() === tag);
    if (hash === undefined)
      return `has the algorithm ${printable(tag)}, and only SHA256, SHA384 and SHA512 are compared`;
    return named(hash, hex, mark + name);
  }
  const plain = /^(\\?)([0-9A-Za-z]+) [ *](.*)$/s.exec(text);
  if (plain === null) return 'is not in the form of sha256sum';
  const [, mark, hex, name] = plain as unknown as [string, string, string, string];
  const hash = HASHES.find((known) => DIGEST_SIZE[known] * 2 === hex.length);
  if (hash === undefined) return `has a digest of ${hex.length} digits; SHA-256 has 64, SHA-384 96 and SHA-512 128`;
  return named(hash, hex, mark + name);
}

function named(hash: HashName, hex: string, written: string): Read | string {
  const problem = hexProblem(hash, hex);
  if (problem !== undefined) return `has a digest that is wrong: ${problem}`;
  if (written.length > MAX_NAME) return `has a name of more than ${MAX_NAME} characters`;
  const name = written.startsWith('\\') ? unescaped(written.slice(1)) : written;
  if (name === undefined) return 'has a backslash in its name that means nothing';
  if (name === '' || name.includes('\0')) return 'has no name of a file';
  if (name === '-') return 'is about standard input, which has no name';
  return { hash, value: decodeHex(hex), name };
}

function algorithmProblem(algorithm: string): string | undefined {
  if (HASHES.includes(algorithm as HashName)) return undefined;
  if (HASHES.includes(algorithm.toLowerCase() as HashName)) return `write ${algorithm.toLowerCase()} in lower case`;
  return `${printable(algorithm)} is not compared, only ${HASHES.join(', ')}`;
}

function hexProblem(hash: HashName, hex: string): string | undefined {
  const digits = DIGEST_SIZE[hash] * 2;
  if (!/^[0-9a-fA-F]*$/.test(hex)) return `a ${hash} digest has ${digits} digits of hex, and nothing else`;
  if (hex.length !== digits) return `it has ${hex.length} digits of hex, and ${hash} has ${digits}`;
  return /[A-F]/.test(hex) ? 'its hex must be in lower case' : undefined;
}

function unescaped(name: string): string | undefined {
  if (!/^(?:[^\\]|\\[\\nr])*$/.test(name)) return undefined;
  const meant: Readonly<Record<string, string>> = { n: '\n', r: '\r', '\\': '\\' };
  return name.replace(/\\(.)/g, (_, letter: string) => meant[letter]!);
}

/** One name of `a`, `./a` and `.//a`. */
function withoutDots(name: string): string {
  return name.replace(/\/+(?:\.\/+)*/g, '/').replace(/^\.\//, '');
}

function textOf(file: Uint8Array, what: string): string {
  try {
    return decodeUtf8(file);
  } catch {
    throw usage(`${what} is not UTF-8 text`);
  }
}
