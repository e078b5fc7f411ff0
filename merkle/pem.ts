/**
 * PEM (RFC 7468): keys and certificates as text, in its lax form (section 3).
 *
 *   any text                          section 2: text before and after a block is explanatory, and is not read
 *   -----BEGIN PUBLIC KEY-----
 *   base64 in lines of any length
 *   -----END PUBLIC KEY-----
 *
 * Lines end with LF, CRLF or CR, and may have white space at their ends; a file may start with a byte order mark. OpenSSL and
 * Go read the same forms. They skip a block that is broken; this reader refuses it, because the block may be the one that
 * the caller means.
 */
import { decodeBase64, encodeBase64 } from './bytes.ts';
import { MerkleError } from './errors.ts';
import { printable } from './printable.ts';

export interface PemBlock {
  /** `PUBLIC KEY` */
  readonly label: string;
  /** The headers of RFC 1421, which RFC 7468 does not have: `Proc-Type: 4,ENCRYPTED` in OpenSSL's older form of a key. */
  readonly headers: readonly string[];
  /** Without white space. `pemBytes` decodes it. */
  readonly base64: string;
}

const LINE = /\r\n|\n|\r/;
/** RFC 7468 section 3: `preeb` and `posteb`. */
const BOUNDARY = /^-----(BEGIN|END) ([!-,.-~]+(?:[- ][!-,.-~]+)*)-----$/;

/**
 * All blocks of `text`, in order; none where no line begins a block.
 *
 * @throws MerkleError `bad-pem` where a block is not whole: its first or last line is broken or missing
 */
export function parsePem(text: string): PemBlock[] {
  const blocks: PemBlock[] = [];
  let label: string | undefined;
  let lines: string[] = [];
  // A byte order mark, as a character or as the bytes of its UTF-8 in Latin-1.
  for (const raw of text.replace(/^(?:\ufeff|\u00ef\u00bb\u00bf)/, '').split(LINE)) {
    const line = raw.trim();
    if (!line.startsWith('-----BEGIN') && !line.startsWith('-----END')) {
      if (label !== undefined) lines.push(raw);
      continue;
    }
    const [, edge, name] = BOUNDARY.exec(line) ?? [];
    if (name === undefined || (edge === 'BEGIN') !== (label === undefined) || (label ?? name) !== name) {
      throw bad(label, 'its lines "-----BEGIN …-----" and "-----END …-----" are not a pair');
    }
    if (edge === 'END') blocks.push(block(name, lines));
    label = edge === 'BEGIN' ? name : undefined;
    lines = [];
  }
  if (label !== undefined) throw bad(label, 'its last line "-----END …-----" is missing');
  return blocks;
}

/** The bytes of a block. @throws MerkleError `bad-pem` where it has headers, or is not padded, canonical base64 */
export function pemBytes({ label, headers, base64 }: PemBlock): Uint8Array {
  if (headers.length > 0) {
    const encrypted = headers.some((header) => /^Proc-Type:.*ENCRYPTED/.test(header)) ? ': the block is encrypted' : '';
    throw bad(label, `it has headers of RFC 1421 ("${printable(headers[0]!.slice(0, 40))}")${encrypted}`);
  }
  try {
    return decodeBase64(base64);
  } catch (cause) {
    throw bad(label, 'it is not padded, canonical base64', cause);
  }
}

/** A block as RFC 7468 section 2 has it: 64 characters a line. */
export function formatPem(label: string, der: Uint8Array): string {
  const lines = encodeBase64(der).match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}

function block(label: string, lines: readonly string[]): PemBlock {
  // Base64 has no colon. RFC 1421 section 4.4: an empty line ends the headers.
  const blank = lines[0]?.includes(':') ? lines.findIndex((line) => line.trim() === '') : 0;
  if (blank < 0) throw bad(label, 'no empty line ends its headers');
  return {
    label,
    headers: lines.slice(0, blank),
    base64: lines
      .slice(blank)
      .join('')
      .replace(/[ \t\v\f]/g, ''),
  };
}

function bad(label: string | undefined, why: string, cause?: unknown): MerkleError {
  return new MerkleError(
    'bad-pem',
    `the PEM block${label === undefined ? '' : ` "${printable(label.slice(0, 60))}"`} is broken: ${why}`,
    { cause },
  );
}
