/**
 * The operator's log of a service, on stderr: lines for people at a terminal, and JSON elsewhere.
 *
 * In both forms a record is one line without tokens, and no text of a client reaches a terminal as control characters. Each line is
 * written before the call returns, so that the last words of a process are never lost.
 */
import { styleText } from 'node:util';

/** Fields are plain data; `err` is an error. The message says what happened, and is the same for every such event. */
export interface Logger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** From the least to the most severe. `silent` logs nothing. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export const LOG_FORMATS = ['auto', 'pretty', 'json'] as const;

type LogLevel = (typeof LOG_LEVELS)[number];

interface LogSettings {
  /** The least severe level that is logged. */
  readonly level: LogLevel;
  /** `auto` (default) is `pretty` at a terminal, and `json` elsewhere. */
  readonly format?: (typeof LOG_FORMATS)[number];
}

/** Where lines go: stderr, or what a test reads. */
interface Destination {
  readonly isTTY?: boolean | undefined;
  write(line: string): unknown;
}

/** A logger of the levels from `level` on. */
export function makeLogger({ level, format = 'auto' }: LogSettings, out: Destination = stderr()): Logger {
  const least = LOG_LEVELS.indexOf(level);
  const pretty = format === 'pretty' || (format === 'auto' && out.isTTY === true);
  const lineOf = pretty ? prettyLines(out) : jsonLine;
  const at = (own: 'info' | 'warn' | 'error') => {
    if (LOG_LEVELS.indexOf(own) < least) return () => {};
    return (fields: object, message: string) => void out.write(lineOf(own, fields, message));
  };
  return { info: at('info'), warn: at('warn'), error: at('error') };
}

/** The reader of stderr may go away, and the service goes on without it. */
function stderr(): Destination {
  if (!process.stderr.listeners('error').includes(ignore)) process.stderr.on('error', ignore);
  return process.stderr;
}

function ignore(): void {}

/** `{"level":"info","time":"2026-01-01T12:00:00.000Z", …fields, "msg":"…"}` */
function jsonLine(level: string, fields: object, message: string): string {
  return `${jsonText({ level, time: new Date().toISOString(), ...fields, msg: message })}\n`;
}

type Color = Parameters<typeof styleText>[0];

const COLORS = { info: 'green', warn: 'yellow', error: 'red' } as const;

/** `2026-01-01T12:00:00.000Z WARN  the message: why  name=value` */
function prettyLines(out: Destination): typeof jsonLine {
  const colored = out === process.stderr && process.stderr.isTTY && process.stderr.hasColors();
  const color = (style: Color, text: string) =>
    colored && text !== '' ? styleText(style, text, { validateStream: false }) : text;
  return (level, fields, message) => {
    const { err, ...rest } = fields as { readonly err?: unknown };
    const why = err === undefined ? '' : `: ${whyOf(err)}`;
    const pairs = Object.entries(rest)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => `  ${name}=${wordOf(value)}`);
    const head = `${color('dim', new Date().toISOString())} ${color(COLORS[level as 'info'], level.toUpperCase().padEnd(5))}`;
    return `${head} ${escaped(message + why)}${color('dim', escaped(pairs.join('')))}\n${traceOf(err)}`;
  };
}

/** The message of an error and of its causes, where a cause says something new. */
function whyOf(error: unknown): string {
  const messages: string[] = [];
  for (const at of chainOf(error)) {
    const { code } = at as { readonly code?: unknown };
    const message = at instanceof Error ? at.message || String(code ?? at.name) : String(at);
    if (!messages.some((said) => said.includes(message))) messages.push(message);
  }
  return messages.join(': ');
}

/** The error and its causes, the outermost first. */
function chainOf(error: unknown): unknown[] {
  const chain: unknown[] = [];
  for (let at = error; at !== undefined && at !== null && chain.length < MAX_CAUSES; ) {
    chain.push(at);
    at = at instanceof Error ? at.cause : undefined;
  }
  return chain;
}

const MAX_CAUSES = 8;

/** Where the error and its causes came from, below the line, for those who look for a fault in Stele. */
function traceOf(error: unknown): string {
  if (process.env.STELE_DEBUG !== '1') return '';
  const lines = chainOf(error).flatMap((at) => (at instanceof Error ? (at.stack ?? '').split('\n') : []));
  return lines.map((line) => `    ${escaped(line)}\n`).join('');
}

/** A value as one word: text that needs no quotes is bare. */
function wordOf(value: unknown): string {
  return typeof value === 'string' && /^[\w./:@+=-]+$/.test(value) ? value : jsonText(value);
}

/** One line of JSON without control characters, whatever the value holds. */
function jsonText(value: unknown): string {
  const text = JSON.stringify(value, (_name, inner: unknown) => {
    if (typeof inner === 'bigint') return String(inner);
    return inner instanceof Error ? plainError(chainOf(inner)) : inner;
  });
  return escaped(text ?? String(value));
}

/** Not the other properties of an error: an error of a library may carry a request with its headers, or a secret. */
function plainError([error, ...causes]: readonly unknown[]): unknown {
  if (!(error instanceof Error)) return String(error);
  const { name, message, stack } = error;
  const { code } = error as { readonly code?: unknown };
  const cause = causes.length === 0 ? {} : { cause: plainError(causes) };
  return { type: name, ...(code === undefined ? {} : { code: String(code) }), message, ...cause, stack };
}

/**
 * A JSON Web Token: base64url of `{"`, or of `{` and white space, and then two parts or three. The point may be percent-encoded.
 * Callers put tokens where none belongs, such as into a URL (RFC 6750 section 2.3).
 */
const TOKEN = /(?:eyJ[\w-]{6,}|e[yw][A0ok][\w-]{20,})(?:\.|%2[eE])[\w-]{6,}(?:(?:\.|%2[eE])[\w-]*)?/g;

/**
 * Control and format characters and line separators, which a terminal acts on or hides, as `\u001b`. A token is taken out: it is as
 * good as a password.
 */
function escaped(text: string): string {
  return text
    .replace(TOKEN, '[token]')
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (found) =>
      Array.from({ length: found.length }, (_, at) => `\\u${found.charCodeAt(at).toString(16).padStart(4, '0')}`).join(
        '',
      ),
    );
}
