/** A shard that was prepared and has not begun: it signs nothing, has no tree, and takes no entry yet. */
import { logId, parseVerifierKey } from '../../merkle/note.ts';
import { requestError } from '../errors.ts';
import type { EntryKind, LogInfo, LogService } from '../types.ts';

export class WaitingLog implements LogService {
  readonly info: LogInfo;
  readonly publishedSize = 0;
  readonly plainCheckpoint = undefined;

  constructor(origin: string, verifierKeys: readonly string[], entries: EntryKind) {
    const id = logId(parseVerifierKey(verifierKeys[0]!));
    this.info = { origin, verifierKeys, logId: id, status: 'prepared', entries };
  }

  get checkpoint(): never {
    throw requestError('no-checkpoint');
  }

  async submit(): Promise<never> {
    throw requestError('waiting');
  }

  async add(): Promise<never> {
    throw requestError('waiting');
  }

  async tile(): Promise<undefined> {}

  async entryBundle(): Promise<undefined> {}

  atHand(): undefined {}

  async entry(): Promise<undefined> {}

  async consistencyProof(first: number, second: number): Promise<Uint8Array[]> {
    if (first === 0 && second === 0) return [];
    throw requestError('invalid-argument', 'the tree sizes must be 0 <= first <= second <= 0, the published size');
  }

  notReady(): readonly string[] {
    return [];
  }

  alarms(): readonly string[] {
    return [];
  }

  async freeze(): Promise<never> {
    throw requestError('waiting');
  }

  async backup(): Promise<never> {
    throw requestError('no-checkpoint');
  }

  async export(): Promise<never> {
    throw requestError('no-checkpoint');
  }

  async drain(): Promise<void> {}

  async close(): Promise<void> {}
}
