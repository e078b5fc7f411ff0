/**
 * Reads every tile and bundle again and again, so that damage is found before a client needs the file: a web server in front
 * may send files that nobody has looked at. A round is spread evenly over the time that it may take, and takes no more than
 * one hundredth of a core. It goes around the cache for reads.
 *
 * What the kernel has of a file in memory is not read from the disk.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { entryBundlePath, TILE_WIDTH, tilePath } from '../../merkle/tile.ts';
import type { CommittedTree } from './committed.ts';
import type { RottenFiles } from './rotten.ts';
import { readProgress, type ScrubProgress, writeProgress } from './scrub-file.ts';
import { isRotten } from './verified.ts';

export interface ScrubOptions {
  /** Within this time every file is read, in milliseconds; 0 for no scrub. */
  readonly intervalMs: number;
  /** The file where the progress is kept. Without a path each start begins a round. */
  readonly path?: string;
}

interface ScrubHost {
  readonly rotten: RottenFiles;
  /** So many files were read. */
  readonly read: (files: number) => void;
  readonly logger: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
  };
}

/** A round ends a little before its time, so that a restart does not make it late. */
const SHARE_OF_TIME = 0.9;
/** Rest after a step, in multiples of its processor time. Half of a hundredth of a core: what is not measured has the other half. */
const REST = 199;
/** The longest sleep, in milliseconds: known damage is looked at this often, and the tree may have grown. */
const TICK_MS = 10_000;
/** Damaged files that are looked at in a tick. */
const DAMAGED_AT_ONCE = 16;
/** The progress is stored this often at most, in milliseconds. */
const STORE_MS = 60_000;

export class Scrub {
  readonly #options: ScrubOptions;
  readonly #host: ScrubHost;
  readonly #ended = new AbortController();
  #progress: ScrubProgress;
  #tree: CommittedTree | undefined;
  #running: Promise<void> | undefined;
  #storedNext: number;
  #storedAt = performance.now();
  #damagedFrom = 0;
  #damagedAt = performance.now();

  private constructor(options: ScrubOptions, host: ScrubHost, progress: ScrubProgress) {
    this.#options = options;
    this.#host = host;
    this.#progress = progress;
    this.#storedNext = progress.next;
  }

  /** Reads how far the scrub has come. A file that is of no use is reported to the logger. */
  static async open(options: ScrubOptions, host: ScrubHost): Promise<Scrub> {
    const now = Date.now();
    let progress: ScrubProgress | undefined;
    try {
      if (options.path !== undefined && options.intervalMs > 0) progress = await readProgress(options.path);
    } catch (error) {
      host.logger.warn({ err: error }, 'it is not known how far the scrub has come: it begins anew');
    }
    return new Scrub(options, host, progress ?? { next: 0, started: now, since: now });
  }

  /** Milliseconds since the last whole round ended, or since the first began; undefined without a scrub. */
  get ageMs(): number | undefined {
    if (this.#options.intervalMs === 0) return undefined;
    const { completed, since } = this.#progress;
    return Math.max(0, Date.now() - (completed ?? since));
  }

  /** From now on the files of this tree are read. */
  adopt(tree: CommittedTree): void {
    this.#tree = tree;
    this.#running ??= this.#run();
  }

  /** Ends the reading, and stores the progress. */
  async end(): Promise<void> {
    this.#ended.abort();
    await this.#running;
    if (this.#progress.next !== this.#storedNext || this.#units > 0) await this.#store();
  }

  /** Full bundles of the tree. */
  get #units(): number {
    return Math.floor((this.#tree?.snapshot.size ?? 0) / TILE_WIDTH);
  }

  async #run(): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      const [started, used] = [performance.now(), process.cpuUsage()];
      const stepped = await this.#lookAtDamaged().then(() => this.#step());
      const cpu = process.cpuUsage(used);
      // Both are more than what the step used: others run meanwhile, and it waits for the disk.
      const spent = Math.min(performance.now() - started, (cpu.user + cpu.system) / 1000);
      const wait = Math.max(REST * spent, stepped ? this.#untilDue() : TICK_MS);
      await sleep(Math.min(wait, TICK_MS), undefined, { signal, ref: false }).catch(() => {});
    }
  }

  /** How long the next unit has time, in milliseconds. */
  #untilDue(): number {
    const { next, started } = this.#progress;
    const time = this.#options.intervalMs * SHARE_OF_TIME;
    const units = this.#units;
    return started + (units === 0 ? time : ((next + 1) / units) * time) - Date.now();
  }

  /** Reads one bundle, its tile and the tiles that end with it, if it is due. False where the store did not give them. */
  async #step(): Promise<boolean> {
    const now = Date.now();
    // The clock was set back.
    if (this.#progress.started > now) this.#progress = { ...this.#progress, started: now };
    if (this.#options.intervalMs === 0) return false;
    if (this.#progress.next < this.#units) {
      if (this.#untilDue() > 0) return true;
      const names = filesOf(this.#progress.next);
      for (const name of names) if (!(await this.#holds(name))) return false;
      this.#host.read(names.length);
      this.#progress = { ...this.#progress, next: this.#progress.next + 1 };
    }
    if (this.#progress.next >= this.#units) this.#complete();
    else if (performance.now() - this.#storedAt >= STORE_MS) await this.#store();
    return true;
  }

  #complete(): void {
    const files = this.#progress.next;
    const now = Date.now();
    this.#progress = { ...this.#progress, next: 0, started: now, completed: now };
    if (files === 0) return;
    this.#host.logger.info({ bundles: files, damaged: this.#host.rotten.count }, 'the scrub has read every file');
    void this.#store();
  }

  /** Known damage may have been mended. */
  async #lookAtDamaged(): Promise<void> {
    const { rotten } = this.#host;
    if (rotten.count === 0 || performance.now() - this.#damagedAt < TICK_MS) return;
    this.#damagedAt = performance.now();
    const { names } = rotten;
    if (this.#damagedFrom >= names.length) this.#damagedFrom = 0;
    const some = names.slice(this.#damagedFrom, this.#damagedFrom + DAMAGED_AT_ONCE);
    this.#damagedFrom += some.length;
    for (const name of some) await this.#holds(name);
  }

  /** Reads the file, which names it where it is damaged. False where the store is closed or cannot be reached. */
  async #holds(name: string): Promise<boolean> {
    try {
      await this.#tree?.storedTiles().get(name, { once: true });
      return true;
    } catch (error) {
      return isRotten(error);
    }
  }

  async #store(): Promise<void> {
    const { path, intervalMs } = this.#options;
    if (path === undefined || intervalMs === 0) return;
    this.#storedAt = performance.now();
    this.#storedNext = this.#progress.next;
    try {
      await writeProgress(path, this.#progress);
    } catch (error) {
      this.#host.logger.warn({ err: error }, 'how far the scrub has come was not stored');
    }
  }
}

/** The bundle of this index, its tile, and the tiles above whose last hash is that of the tile. */
function filesOf(index: number): string[] {
  const names = [entryBundlePath(index, TILE_WIDTH)];
  for (let level = 0, at = index; ; level++) {
    names.push(tilePath({ level, index: at, width: TILE_WIDTH }));
    if ((at + 1) % TILE_WIDTH !== 0) return names;
    at = (at + 1) / TILE_WIDTH - 1;
  }
}
