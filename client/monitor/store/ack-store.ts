/**
 * Acknowledgements, and the alerts that a person can acknowledge, in `<state>/acks/`.
 *
 *     <id of the alert>.json   one acknowledgement; `stele monitor ack` writes it whole and renames it
 *     alerts.jsonl             the latest alerts of rules, a line each; only the monitor appends to it
 *     alerts.old.jsonl         the alerts before those
 *
 * The command and the running monitor share this directory without a lock: each file has one writer, and a rename shows it
 * whole or not at all. Before the monitor leaves out an alert, it looks at the modification time of the directory.
 */
import { type FileHandle, open, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import {
  makeDirDurable,
  namesIn,
  readFileIfThere,
  syncDir,
  writeFileDurable,
} from '../../../merkle/runtime/disk/files.ts';
import { ClientError } from '../../errors.ts';
import {
  type Acknowledgement,
  parseAcknowledgement,
  parseRemembered,
  type RememberedAlert,
  type RuleAlert,
  remembered,
} from '../acks.ts';

const JOURNAL = 'alerts.jsonl';
const OLD_JOURNAL = 'alerts.old.jsonl';
const ACK_FILE = /^([0-9a-f]{64})\.json$/;
const MAX_ACK_BYTES = 64 * 1024;
const MAX_ACKS = 10_000;
/** About 50,000 alerts; as many stay in the older file. */
const MAX_JOURNAL_BYTES = 32 * 1024 * 1024;
/** A change in the same tick of the file system's clock as the last look does not change the time. */
const CLOCK_TICK_MS = 2000;

interface AckStoreOptions {
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** Receives a sentence about each file that is not an acknowledgement. Such a file silences nothing. */
  readonly onProblem?: (message: string) => void;
  readonly maxJournalBytes?: number;
}

interface Listed {
  readonly acks: readonly Acknowledgement[];
  /** Names of files that are not acknowledgements. */
  readonly damaged: readonly string[];
}

export class AckStore {
  readonly #dir: string;
  readonly #now: () => number;
  readonly #onProblem: (message: string) => void;
  readonly #maxJournal: number;
  #active = new Map<string, number>();
  #seenAt: string | undefined;
  #journal: FileHandle | undefined;
  #journalBytes = 0;
  #reported = new Set<string>();
  #turn: Promise<void> = Promise.resolve();

  /** @param state directory of the monitor's state */
  constructor(state: string, options: AckStoreOptions = {}) {
    this.#dir = join(state, 'acks');
    this.#now = options.now ?? Date.now;
    this.#onProblem = options.onProblem ?? (() => {});
    this.#maxJournal = options.maxJournalBytes ?? MAX_JOURNAL_BYTES;
  }

  /** Reads acknowledgements that are new since the last call. Cheap. @throws RuntimeError `file` */
  async refresh(): Promise<void> {
    const changed = await stat(this.#dir, { bigint: true }).catch(() => undefined);
    if (changed === undefined) {
      this.#active = new Map();
      this.#seenAt = undefined;
      return;
    }
    const at = String(changed.mtimeNs);
    if (at === this.#seenAt) return;
    const { acks, damaged } = await this.list();
    this.#active = new Map();
    for (const { rule, identity, until } of acks) {
      const key = activeKey(rule, identity);
      this.#active.set(key, Math.max(this.#active.get(key) ?? 0, Date.parse(until)));
    }
    const settled = Date.now() - Number(changed.mtimeMs) > CLOCK_TICK_MS;
    this.#seenAt = settled ? at : undefined;
    for (const name of damaged) {
      if (!this.#reported.has(name))
        this.#onProblem(`${join(this.#dir, name)} is no acknowledgement and silences nothing`);
      this.#reported.add(name);
    }
  }

  has(rule: string, identity: string): boolean {
    const until = this.#active.get(activeKey(rule, identity));
    return until !== undefined && until > this.#now();
  }

  /** `find` finds the alerts when this resolves. @throws RuntimeError `file`, ClientError `file` */
  async remember(alerts: readonly RuleAlert[]): Promise<void> {
    if (alerts.length === 0) return;
    const lines = alerts.map((alert) => `${JSON.stringify(remembered(alert))}\n`);
    const written = this.#turn.then(() => this.#append(Buffer.from(lines.join(''))));
    this.#turn = written.catch(() => {});
    await written;
  }

  /** The alert with this ID, or the only one whose ID begins so (8 digits or more). @throws ClientError `usage` */
  async find(id: string): Promise<RememberedAlert> {
    if (!/^[0-9a-f]{8,64}$/.test(id)) {
      throw new ClientError('usage', 'the ID of an alert is 64 hex digits, or the first 8 or more of them');
    }
    const found = new Map<string, RememberedAlert>();
    for (const name of [OLD_JOURNAL, JOURNAL]) {
      // The monitor may rename the file meanwhile, and this finds an alert in either file.
      const bytes = await readFileIfThere(join(this.#dir, name), 2 * this.#maxJournal + MAX_ACK_BYTES);
      const text = Buffer.from(bytes ?? []).toString();
      for (const line of text.split('\n')) {
        if (!line.startsWith(`{"id":"${id}`)) continue;
        const alert = parseRemembered(line);
        if (alert !== undefined) found.set(alert.id, alert);
      }
    }
    const [alert, ...others] = [...found.values()];
    if (alert === undefined) {
      const why = `no alert of a rule with the ID ${id} is known in ${this.#dir}: check the ID and the state directory`;
      throw new ClientError('usage', `${why}. Alerts about a log itself cannot be acknowledged`);
    }
    if (others.length > 0) throw new ClientError('usage', `several alerts begin with ${id}: give more of the ID`);
    return alert;
  }

  /** Durable when it resolves. It replaces an earlier one of the same alert. @throws RuntimeError `file` */
  async add(ack: Acknowledgement): Promise<void> {
    await makeDirDurable(this.#dir, { mode: 0o700 });
    await writeFileDurable(join(this.#dir, `${ack.alert}.json`), Buffer.from(`${JSON.stringify(ack, undefined, 2)}\n`));
  }

  /** All acknowledgements, with the expired ones, in the order of their end. @throws RuntimeError `file` */
  async list(): Promise<Listed> {
    const files = (await namesIn(this.#dir)).filter((name) => ACK_FILE.test(name)).sort();
    if (files.length > MAX_ACKS) {
      const why = `${this.#dir} holds ${files.length} acknowledgements, more than ${MAX_ACKS}: remove old ones`;
      throw new ClientError('file', why);
    }
    const acks: Acknowledgement[] = [];
    const damaged: string[] = [];
    for (const name of files) {
      const ack = await readAck(join(this.#dir, name));
      if (ack === 'gone') continue;
      if (ack !== undefined && `${ack.alert}.json` === name) acks.push(ack);
      else damaged.push(name);
    }
    return { acks: acks.sort((a, b) => Date.parse(a.until) - Date.parse(b.until)), damaged };
  }

  /** Removes an acknowledgement and returns it; `id` as for `find`. @throws ClientError `usage`: there is none */
  async remove(id: string): Promise<Acknowledgement> {
    const { acks } = await this.list();
    const [ack, ...others] = /^[0-9a-f]{8,64}$/.test(id) ? acks.filter(({ alert }) => alert.startsWith(id)) : [];
    if (ack === undefined) throw new ClientError('usage', `nothing is acknowledged under the ID ${id.slice(0, 64)}`);
    if (others.length > 0) throw new ClientError('usage', `several begin with ${id}: give more of the ID`);
    try {
      await unlink(join(this.#dir, `${ack.alert}.json`));
    } catch (error) {
      if (codeOf(error) !== 'ENOENT')
        throw new ClientError('file', `${ack.alert}.json cannot be removed`, { cause: error });
    }
    await syncDir(this.#dir);
    return ack;
  }

  async close(): Promise<void> {
    await this.#turn;
    await this.#journal?.close();
    this.#journal = undefined;
  }

  async #append(bytes: Buffer): Promise<void> {
    try {
      if (this.#journal !== undefined && this.#journalBytes > this.#maxJournal) {
        await this.#journal.close();
        this.#journal = undefined;
        await rename(join(this.#dir, JOURNAL), join(this.#dir, OLD_JOURNAL));
      }
      this.#journal ??= await this.#openJournal();
      await this.#journal.appendFile(bytes);
      await this.#journal.datasync();
      this.#journalBytes += bytes.length;
    } catch (cause) {
      // After a failed fsync the handle is never used again.
      await this.#journal?.close().catch(() => {});
      this.#journal = undefined;
      const why = `alerts cannot be kept in ${this.#dir} (${codeOf(cause) ?? String(cause)})`;
      throw new ClientError('file', why, { cause });
    }
  }

  async #openJournal(): Promise<FileHandle> {
    await makeDirDurable(this.#dir, { mode: 0o700 });
    const handle = await open(join(this.#dir, JOURNAL), 'a', 0o600);
    try {
      this.#journalBytes = (await handle.stat()).size;
      // A crash may have torn the last line.
      if (this.#journalBytes > 0) await handle.appendFile('\n');
      else await syncDir(this.#dir);
      return handle;
    } catch (error) {
      await handle.close().catch(() => {});
      throw error;
    }
  }
}

async function readAck(path: string): Promise<Acknowledgement | 'gone' | undefined> {
  try {
    const bytes = await readFileIfThere(path, MAX_ACK_BYTES);
    return bytes === undefined ? 'gone' : parseAcknowledgement(Buffer.from(bytes).toString());
  } catch {
    return undefined;
  }
}

function activeKey(rule: string, identity: string): string {
  return `${identity} ${rule}`;
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}
