/** The memory that evidence may take at one time. Who makes pods chooses registries, which could fill it by several lookups at once. */
import { ClientError } from '../errors.ts';
import type { EvidenceRoom } from '../evidence/types.ts';

const NO_ROOM = 'more evidence is held at this moment than `limits.evidenceBytes` permits: try again';

/** The room of one lookup. */
interface LookupRoom extends EvidenceRoom {
  /** Gives all of it back. What still runs gets no more. */
  release(): void;
}

export class EvidenceMemory {
  readonly #most: () => number;
  #held = 0;

  /** @param most bytes at one time, read at each use */
  constructor(most: () => number) {
    this.#most = most;
  }

  get held(): number {
    return this.#held;
  }

  room(): LookupRoom {
    let own = 0;
    let isOver = false;
    const add = (bytes: number) => {
      own += bytes;
      this.#held += bytes;
    };
    return {
      take: (bytes) => {
        if (isOver || this.#held + bytes > this.#most()) throw new ClientError('evidence', NO_ROOM);
        add(bytes);
      },
      give: (bytes) => {
        if (!isOver) add(-bytes);
      },
      release: () => {
        add(-own);
        isOver = true;
      },
    };
  }
}
