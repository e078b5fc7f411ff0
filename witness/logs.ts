/**
 * The logs that are witnessed: a file in the format of c2sp.org/tlog-policy (C2SP 1896a5a, 2026-06-22). Only its `log`
 * lines count. Several lines with one name are several keys of one log. A disabled log stays in the file:
 *
 *   log example.com/log+5c4b9d4b+Ac… https://example.com/log
 *   #disabled log example.com/old+1f2e3d4c+AQ…
 *
 * All other lines stay as they are. The store holds what the witness has cosigned, and no change of this file affects it.
 */
import { decodeUtf8, encodeUtf8 } from '../merkle/bytes.ts';
import { MerkleError } from '../merkle/errors.ts';
import { type AsyncNoteVerifier, formatVerifierKey, parseVerifierKey, type VerifierKey } from '../merkle/note.ts';
import { MAX_LOG_FILE, type PolicyLog, parseLogLines } from '../merkle/policy.ts';
import { backgroundVerifier } from '../merkle/runtime/crypto/verify.ts';
import { readFileIfThere, writeFileDurable } from '../merkle/runtime/disk/files.ts';
import { WitnessError } from './errors.ts';

/** A log that is witnessed. */
export interface KnownLog {
  readonly origin: string;
  readonly keys: readonly VerifierKey[];
  /** One for each key; they verify beside the main thread. */
  readonly verifiers: readonly AsyncNoteVerifier[];
  /** Where the witness reads the log when it polls: the first URL of its lines. */
  readonly url: string | undefined;
}

interface ListedKey {
  readonly origin: string;
  readonly vkey: string;
  readonly url: string | undefined;
  readonly disabled: boolean;
}

const DISABLED = /^#disabled[ \t]+(log[ \t].*)$/;
const URL_FORM = /^https?:\/\/[^\s]+$/;

export class Logs {
  readonly #file: string;
  #text: string;
  #known: ReadonlyMap<string, KnownLog>;
  #edits: Promise<unknown> = Promise.resolve();

  private constructor(file: string, text: string) {
    this.#file = file;
    this.#text = text;
    this.#known = group(parse(text, file));
  }

  /** The logs in `file`; none where it is not there. @throws WitnessError `logs`; RuntimeError `file` */
  static async open(file: string): Promise<Logs> {
    const bytes = await readFileIfThere(file, MAX_LOG_FILE);
    let text = '';
    try {
      text = bytes === undefined ? '' : decodeUtf8(bytes);
    } catch {
      throw new WitnessError('logs', `${file} is not UTF-8 text`);
    }
    return new Logs(file, text);
  }

  get(origin: string): KnownLog | undefined {
    return this.#known.get(origin);
  }

  get count(): number {
    return this.#known.size;
  }

  all(): IterableIterator<KnownLog> {
    return this.#known.values();
  }

  /** Every key in the file, including the disabled ones. */
  list(): ListedKey[] {
    const enabled = parse(this.#text, this.#file).map((log) => listed(log, false));
    const lines = linesOf(this.#text).filter((line) => DISABLED.test(line));
    return [...enabled, ...lines.flatMap(logIn).map((log) => listed(log, true))];
  }

  /**
   * Adds a key of a log, or enables the key again; durable when it resolves. `url` replaces the URL of the key's line.
   * @throws WitnessError `logs`; RuntimeError `file`
   */
  add(vkey: string, url?: string): Promise<KnownLog> {
    return this.#edit(async () => {
      if (url !== undefined && !URL_FORM.test(url)) throw wrong(`"${url}" is not an http or https URL`);
      const { name } = keyOf(vkey);
      const lines = linesOf(this.#text);
      const place = url ?? lines.flatMap(logIn).find(({ key }) => formatVerifierKey(key) === vkey)?.url;
      const line = `log ${vkey}${place === undefined ? '' : ` ${place}`}`;
      await this.#save([...lines.filter((old) => keyIn(old) !== vkey), line]);
      return this.#known.get(name)!;
    });
  }

  /**
   * Stops witnessing a log, or one of its keys; durable when it resolves. Resolves with the keys that were disabled.
   * @throws WitnessError `logs`: there is no such log; RuntimeError `file`
   */
  disable(originOrKey: string): Promise<string[]> {
    return this.#edit(async () => {
      const gone: string[] = [];
      const lines = linesOf(this.#text).map((line) => {
        const [log] = DISABLED.test(line) ? [] : logIn(line);
        if (log === undefined) return line;
        const vkey = formatVerifierKey(log.key);
        if (log.key.name !== originOrKey && vkey !== originOrKey) return line;
        gone.push(vkey);
        return `#disabled ${line.trim()}`;
      });
      if (gone.length === 0)
        throw wrong(`no log or key "${originOrKey}" is witnessed; \`stele witness log list\` shows all`);
      await this.#save(lines);
      return gone;
    });
  }

  #edit<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#edits.then(work);
    this.#edits = done.catch(() => {});
    return done;
  }

  async #save(lines: readonly string[]): Promise<void> {
    const text = lines.map((line) => `${line}\n`).join('');
    const known = group(parse(text, this.#file));
    await writeFileDurable(this.#file, encodeUtf8(text));
    this.#text = text;
    this.#known = known;
  }
}

function parse(text: string, file: string): PolicyLog[] {
  try {
    return parseLogLines(text);
  } catch (error) {
    if (error instanceof MerkleError) throw new WitnessError('logs', `${file}: ${error.message}`);
    throw error;
  }
}

function keyOf(vkey: string): VerifierKey {
  try {
    return parseVerifierKey(vkey);
  } catch (error) {
    if (error instanceof MerkleError) throw wrong(error.message);
    throw error;
  }
}

function group(logs: readonly PolicyLog[]): ReadonlyMap<string, KnownLog> {
  const known = new Map<string, KnownLog>();
  for (const { key, url } of logs) {
    const before = known.get(key.name);
    const verifier = backgroundVerifier(key);
    known.set(key.name, {
      origin: key.name,
      keys: [...(before?.keys ?? []), key],
      verifiers: [...(before?.verifiers ?? []), verifier],
      url: before?.url ?? url,
    });
  }
  return known;
}

function listed({ key, url }: PolicyLog, disabled: boolean): ListedKey {
  return { origin: key.name, vkey: formatVerifierKey(key), url, disabled };
}

function linesOf(text: string): string[] {
  const lines = text.split('\n');
  lines.pop();
  return lines;
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

function keyIn(line: string): string | undefined {
  const [log] = logIn(line);
  return log && formatVerifierKey(log.key);
}

function wrong(message: string): WitnessError {
  return new WitnessError('logs', message);
}
