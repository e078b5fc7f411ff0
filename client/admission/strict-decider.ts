/**
 * A decider that denies everything while its policy or its trust cannot be used. The rules of before may be what the change was
 * to end: a key that was stolen, a signer that left.
 */
import { ClientError } from '../errors.ts';
import type { ImageDecider, ReloadingDecider } from './types.ts';

export class StrictDecider implements ImageDecider {
  readonly #decider: ReloadingDecider;
  #problem: string | undefined;
  #reloading: Promise<string | undefined> = Promise.resolve(undefined);

  constructor(decider: ReloadingDecider) {
    this.#decider = decider;
  }

  /** Why policy or trust cannot be used. */
  get problem(): string | undefined {
    return this.#problem;
  }

  get files(): readonly string[] {
    return this.#decider.files;
  }

  get versions(): string {
    return `${this.#problem ?? ''}\n${this.#decider.versions}`;
  }

  async decide(...given: Parameters<ImageDecider['decide']>): ReturnType<ImageDecider['decide']> {
    const problem = this.#problem;
    if (problem === undefined) return await this.#decider.decide(...given);
    throw new ClientError('policy', `the policy or the trust of this webhook cannot be used now: ${problem}`);
  }

  /** Waits for a first decision: a thread takes a second to start on a busy machine, and the first review would wait for it. */
  async warm(): Promise<void> {
    const nothing = { name: 'nothing', digest: { sha256: '0'.repeat(64) } };
    await this.#decider.decide(nothing, [], new AbortController().signal);
  }

  /**
   * Reads policy and trust again. Resolves with why they cannot be used; with undefined where they can. One after the other: the files that
   * were read first could be used last.
   */
  reload(): Promise<string | undefined> {
    this.#reloading = this.#reloading.then(() => this.#read());
    return this.#reloading;
  }

  /** Never rejects. */
  async #read(): Promise<string | undefined> {
    try {
      await this.#decider.reload();
      this.#problem = undefined;
    } catch (error) {
      this.#problem = (error as Error).message;
    }
    return this.#problem;
  }

  close(): Promise<void> {
    return this.#decider.close();
  }
}
