/**
 * The logs that are witnessed, in a file (log-lines.ts). The store holds what the witness has cosigned, and no change of this
 * file affects it.
 */
import { decodeUtf8, encodeHex, encodeUtf8 } from '../merkle/bytes.ts';
import { MerkleError } from '../merkle/errors.ts';
import { type AsyncNoteVerifier, openNote, parseNote, parseVerifierKey, type VerifierKey } from '../merkle/note.ts';
import { MAX_LOG_FILE } from '../merkle/policy.ts';
import { backgroundVerifier, nodeNotePrimitives, type VerifyMldsa } from '../merkle/runtime/crypto/verify.ts';
import { readFileIfThere, writeFileDurable } from '../merkle/runtime/disk/files.ts';
import { noteVerifier } from '../merkle/verifier-key.ts';
import { WitnessError } from './errors.ts';
import { isOrigin, type ListedKey, type LogFacts, parseQpd, readLogLines, withKeys, withoutKeys } from './log-lines.ts';
import type { NetworkLog } from './log-list.ts';

/** A log that is witnessed. */
export interface KnownLog {
  /** First line of its checkpoints. */
  readonly origin: string;
  readonly keys: readonly VerifierKey[];
  /** One for each key; they verify beside the main thread. */
  readonly verifiers: readonly AsyncNoteVerifier[];
  /** Where the witness reads the log when it polls: the first URL of its lines. */
  readonly url: string | undefined;
  /** Checkpoints that are cosigned in a day: the smallest number of its lines. */
  readonly qpd: number | undefined;
}

/** What an operator gives of a log, as text. */
export type FactTexts = { readonly [Fact in keyof LogFacts]?: string | undefined };

const URL_FORM = /^https?:\/\/[^\s]+$/;
const CONTACT_FORM = /^[^\p{Cc}]{1,1024}$/u;

export class Logs {
  readonly #file: string;
  readonly #mldsa44: VerifyMldsa | undefined;
  #text: string;
  #listed: readonly ListedKey[];
  #known: ReadonlyMap<string, KnownLog>;
  #edits: Promise<unknown> = Promise.resolve();

  private constructor(file: string, text: string, mldsa44: VerifyMldsa | undefined) {
    this.#file = file;
    this.#mldsa44 = mldsa44;
    this.#text = text;
    this.#listed = parse(text, file);
    this.#known = group(this.#listed, this.#mldsa44);
  }

  /**
   * The logs in `file`; none where it is not there.
   * @param mldsa44 checks the signatures of ML-DSA-44 keys; on the calling thread by default
   * @throws WitnessError `logs`; RuntimeError `file`
   */
  static async open(file: string, mldsa44?: VerifyMldsa): Promise<Logs> {
    return new Logs(file, await readText(file), mldsa44);
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
  list(): readonly ListedKey[] {
    return this.#listed;
  }

  /**
   * Adds a key of a log, or enables the key again; durable when it resolves. What `facts` do not give stays as the file has
   * it. A new key's origin is the key's name.
   * @throws WitnessError `logs`; RuntimeError `file`
   */
  add(vkey: string, facts: FactTexts = {}): Promise<KnownLog> {
    return this.#edit(async () => {
      const { url, origin, qpd, contact } = checked(facts);
      const key = keyOf(vkey);
      const before = this.#listed.find((listed) => listed.vkey === vkey);
      const next = {
        key,
        vkey,
        origin: origin ?? before?.origin ?? key.name,
        url: url ?? before?.url,
        qpd: qpd ?? before?.qpd,
        contact: contact ?? before?.contact,
      };
      await this.#save(withKeys(this.#text, [next]));
      return this.#known.get(next.origin)!;
    });
  }

  /**
   * Adds the logs of a list whose origins are new here. A known log stays as it is, also where it is disabled, or was
   * cosigned and has left the file (`cosigned` gives the note of its last checkpoint). All are added, or none; durable when
   * it resolves. Resolves with the new origins.
   * @throws WitnessError `list-key`: a known origin has another key in the list, or a known key another origin; `logs`;
   *   RuntimeError `file`
   */
  addNew(logs: readonly NetworkLog[], cosigned: (origin: string) => string | undefined): Promise<string[]> {
    return this.#edit(async () => {
      const keysOf = new Map<string, string[]>();
      for (const { origin, vkey } of this.#listed) keysOf.set(origin, [...(keysOf.get(origin) ?? []), vkey]);
      const originOf = new Map(this.#listed.map(({ key, origin }) => [encodeHex(key.key), origin]));
      const fresh: NetworkLog[] = [];
      for (const log of logs) {
        const { origin, vkey, key } = log;
        const known = keysOf.get(origin);
        if (known?.includes(vkey)) continue;
        if (known !== undefined) throw otherKey(log, known.join(' and '));
        const elsewhere = originOf.get(encodeHex(key.key));
        if (elsewhere !== undefined) throw otherOrigin(log, elsewhere);
        const note = cosigned(origin);
        if (note === undefined) fresh.push(log);
        else if (!isSignedBy(note, key)) throw otherKey(log, 'the one that signed the last cosigned checkpoint');
      }
      if (fresh.length > 0) {
        await this.#save(
          withKeys(
            this.#text,
            fresh.map((log) => ({ ...log, url: undefined })),
          ),
        );
      }
      return fresh.map(({ origin }) => origin);
    });
  }

  /**
   * Stops witnessing a log, or one of its keys; durable when it resolves. Resolves with the keys that were disabled.
   * @throws WitnessError `logs`: there is no such log; RuntimeError `file`
   */
  disable(originOrKey: string): Promise<string[]> {
    return this.#edit(async () => {
      const gone = this.#listed
        .filter(({ origin, vkey, disabled }) => !disabled && (origin === originOrKey || vkey === originOrKey))
        .map(({ vkey }) => vkey);
      if (gone.length === 0)
        throw wrong(`no log or key "${originOrKey}" is witnessed; \`stele witness log list\` shows all`);
      await this.#save(withoutKeys(this.#text, new Set(gone)));
      return gone;
    });
  }

  /**
   * Reads the file again, which somebody has edited.
   * @throws WitnessError `logs`, RuntimeError `file`: the file cannot be used, and the logs stay as they were
   */
  reload(): Promise<void> {
    return this.#edit(async () => {
      const text = await readText(this.#file);
      const listed = parse(text, this.#file);
      this.#known = group(listed, this.#mldsa44);
      this.#listed = listed;
      this.#text = text;
    });
  }

  #edit<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#edits.then(work);
    this.#edits = done.catch(() => {});
    return done;
  }

  async #save(text: string): Promise<void> {
    const listed = parse(text, this.#file);
    const known = group(listed, this.#mldsa44);
    await writeFileDurable(this.#file, encodeUtf8(text));
    this.#text = text;
    this.#listed = listed;
    this.#known = known;
  }
}

async function readText(file: string): Promise<string> {
  const bytes = await readFileIfThere(file, MAX_LOG_FILE);
  try {
    return bytes === undefined ? '' : decodeUtf8(bytes);
  } catch {
    throw new WitnessError('logs', `${file} is not UTF-8 text`);
  }
}

function checked({ url, origin, qpd, contact }: FactTexts) {
  if (url !== undefined && !URL_FORM.test(url)) throw wrong(`"${url}" is not an http or https URL`);
  if (origin !== undefined && !isOrigin(origin)) throw wrong('the origin is empty or has a control character');
  const perDay = qpd === undefined ? undefined : parseQpd(qpd);
  if (qpd !== undefined && perDay === undefined) throw wrong(`"${qpd}" is not a number from 1 to 2147483647`);
  if (contact !== undefined && !CONTACT_FORM.test(contact)) {
    throw wrong('the contact is empty, longer than 1024 characters, or has a control character');
  }
  return { url, origin, qpd: perDay, contact };
}

function parse(text: string, file: string): ListedKey[] {
  try {
    return readLogLines(text);
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

function group(listed: readonly ListedKey[], mldsa44: VerifyMldsa | undefined): ReadonlyMap<string, KnownLog> {
  const known = new Map<string, KnownLog>();
  for (const { origin, key, url, qpd, disabled } of listed) {
    if (disabled) continue;
    const before = known.get(origin);
    const limits = [before?.qpd, qpd].filter((limit) => limit !== undefined);
    known.set(origin, {
      origin,
      keys: [...(before?.keys ?? []), key],
      verifiers: [...(before?.verifiers ?? []), backgroundVerifier(key, mldsa44)],
      url: before?.url ?? url,
      qpd: limits.length === 0 ? undefined : Math.min(...limits),
    });
  }
  return known;
}

function isSignedBy(note: string, key: VerifierKey): boolean {
  try {
    openNote(parseNote(note), [noteVerifier(key, nodeNotePrimitives)]);
    return true;
  } catch (error) {
    if (error instanceof MerkleError) return false;
    throw error;
  }
}

function otherKey({ line, origin, vkey }: NetworkLog, known: string): WitnessError {
  return new WitnessError(
    'list-key',
    `line ${line} gives the known log "${origin}" another key, ${vkey}; known is ${known}. If the log has told you of the new key by another way, add it with \`stele witness log add\``,
  );
}

function otherOrigin({ line, origin, vkey }: NetworkLog, known: string): WitnessError {
  return new WitnessError(
    'list-key',
    `line ${line} gives the known key ${vkey} the origin "${origin}"; known is "${known}"`,
  );
}

function wrong(message: string): WitnessError {
  return new WitnessError('logs', message);
}
