/** What the index finds in an entry that is not well-formed: docs/index.md, "Sweep". */
import { encodeHex } from '../bytes.ts';
import { type DerKeys, scanAnchors } from './der-keys.ts';

/** Receives what is found, in the order of the specification. */
interface SweepFound {
  digest(hex: string): void;
  der(keys: DerKeys): void;
}

/** Fewest characters of a run: the base64 of 32 bytes, without padding. */
const MIN_RUN = 43;
const HEX = /^(?:[0-9A-Fa-f]{64}|[0-9A-Fa-f]{96}|[0-9A-Fa-f]{128})$/;
/** Hex digits of the digests of SHA-256, SHA-384 and SHA-512. */
const DIGEST_DIGITS = new Set([64, 96, 128]);
/** Bits of a digit, by its code; 255 for a character that is none. Both alphabets of base64. */
const DIGITS = digits();

/** Looks for digests, keys and certificates in the base64 of `body`, and for keys and certificates in the base64 in that. */
export function sweep(body: Uint8Array, found: SweepFound): void {
  for (const run of runsOf(body)) {
    const bytes = decodeRun(run, 0);
    const hex = hexOf(run, bytes);
    if (hex !== undefined) found.digest(hex);
    found.der(scanAnchors(bytes));
    for (const inner of runsOf(bytes)) {
      // In PEM, the words of its first line join the run, so that each of the four alignments is read.
      for (let skip = 0; skip < 4; skip++) found.der(scanAnchors(decodeRun(inner, skip)));
    }
  }
}

function hexOf(run: Uint8Array, bytes: Uint8Array): string | undefined {
  if (DIGEST_DIGITS.has(run.length)) {
    const text = String.fromCharCode(...run);
    if (HEX.test(text)) return text.toLowerCase();
  }
  return DIGEST_DIGITS.has(2 * bytes.length) ? encodeHex(bytes) : undefined;
}

const QUOTE = 0x22;
const PAD = 0x3d;
const BACKSLASH = 0x5c;
const ESCAPED: Readonly<Record<number, number>> = { 34: QUOTE, 47: 0x2f };

/**
 * The runs of digits of base64 in `bytes`. A quotation mark and `=` end a run. Every other character is left out, as lenient
 * decoders do. JSON's escapes count as what they stand for.
 */
function runsOf(bytes: Uint8Array): Uint8Array[] {
  const runs: Uint8Array[] = [];
  const run = new Uint8Array(bytes.length);
  let length = 0;
  const close = () => {
    if (length >= MIN_RUN) runs.push(run.slice(0, length));
    length = 0;
  };
  for (let at = 0; at < bytes.length; at++) {
    let code = bytes[at]!;
    if (code === BACKSLASH) {
      const next = bytes[++at]!;
      const unit = next === 0x75 ? unitAt(bytes, at + 1) : -1;
      if (unit >= 0) at += 4;
      code = unit >= 0 ? unit : (ESCAPED[next] ?? 0);
    }
    if (code === QUOTE || code === PAD) close();
    else if (code < 0x80 && DIGITS[code]! < 64) run[length++] = code;
  }
  close();
  return runs;
}

/** The four hex digits at `at` as a number; -1 if they are not there. */
function unitAt(bytes: Uint8Array, at: number): number {
  const text = String.fromCharCode(...bytes.subarray(at, at + 4));
  return /^[0-9A-Fa-f]{4}$/.test(text) ? Number.parseInt(text, 16) : -1;
}

/** The bytes of a run without its first `skip` digits. Bits beyond the last whole byte are left out. */
function decodeRun(run: Uint8Array, skip: number): Uint8Array {
  const bytes = new Uint8Array(Math.floor(((run.length - skip) * 3) / 4));
  let bits = 0;
  let count = 0;
  let at = 0;
  for (let i = skip; i < run.length; i++) {
    bits = ((bits << 6) | DIGITS[run[i]!]!) & 0xffff;
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes[at++] = bits >> count;
    }
  }
  return bytes;
}

function digits(): Uint8Array {
  const values = new Uint8Array(128).fill(255);
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  for (let i = 0; i < 64; i++) values[alphabet.charCodeAt(i)] = i;
  values[0x2d] = 62;
  values[0x5f] = 63;
  return values;
}
