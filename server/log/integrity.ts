/**
 * What is known of damage to the stored data: the files that do not hold, the records of the index of duplicates that counted
 * as absent, and the scrub that reads everything. Outlives the open stores.
 */
import type { CommittedTree, TreeOptions } from '../tree/committed.ts';
import { RottenFiles } from '../tree/rotten.ts';
import { Scrub } from '../tree/scrub.ts';
import type { LogOptions } from './types.ts';

type IntegrityOptions = Pick<LogOptions, 'tree' | 'scrub' | 'metrics' | 'logger'>;

export class Integrity {
  readonly #options: IntegrityOptions;
  readonly #rotten: RottenFiles;
  readonly #scrub: Scrub;
  #damagedRecords = 0;

  private constructor(options: IntegrityOptions, rotten: RottenFiles, scrub: Scrub) {
    this.#options = options;
    this.#rotten = rotten;
    this.#scrub = scrub;
    options.metrics.rottenFiles = () => rotten.count;
    options.metrics.scrubAgeMs = () => scrub.ageMs;
  }

  static async open(options: IntegrityOptions): Promise<Integrity> {
    const { tree, scrub = { intervalMs: 0 }, metrics, logger } = options;
    const rotten = new RottenFiles(logger, tree?.pathOf);
    const read = (files: number) => metrics.scrubbedFiles.inc(files);
    return new Integrity(options, rotten, await Scrub.open(scrub, { rotten, read, logger }));
  }

  /** What every tree of the log is opened with. */
  get treeOptions(): TreeOptions {
    return { ...this.#options.tree, rotten: this.#rotten, onDamagedRecord: () => this.#foundDamagedRecord() };
  }

  /** `tree` came into service. */
  adopt(tree: CommittedTree): void {
    this.#scrub.adopt(tree);
  }

  notReady(): string[] {
    const { reason } = this.#rotten;
    return reason === undefined ? [] : [reason];
  }

  alarms(): string[] {
    if (this.#damagedRecords === 0) return [];
    return [
      `damaged records of the index of duplicates were met ${this.#damagedRecords} times since the start: stop the log when it ` +
        'suits you, and rebuild the index with `stele log check --repair`',
    ];
  }

  end(): Promise<void> {
    return this.#scrub.end();
  }

  /** The record counts as absent, so the log goes on. The first one is logged, all are counted. */
  #foundDamagedRecord(): void {
    const { metrics, logger } = this.#options;
    metrics.damagedRecords.inc();
    if (this.#damagedRecords++ > 0) return;
    logger.error(
      {},
      'a record of the index of duplicates is damaged: rebuild the index with `stele log check --repair` when the log is stopped',
    );
  }
}
