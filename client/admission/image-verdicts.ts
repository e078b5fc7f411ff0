/**
 * Verdicts about images: looks up the evidence, has it decided, and keeps the answer for a while.
 *
 * A kept verdict is for one name, one digest and one state of policy and trust, and is forgotten when these change. A denial is
 * kept for seconds, because evidence may come any moment. An error is not kept: nothing was found out. Several callers that ask
 * for one image wait for one lookup, which ends when the last of them leaves.
 */

import type { Decision } from '../../merkle/runtime/policy/types.ts';
import { whenAborted } from '../../merkle/runtime/service/ends.ts';
import { ClientError } from '../errors.ts';
import { artifactName, type ImageName } from '../evidence/image-name.ts';
import type { EvidenceSource } from '../evidence/types.ts';
import { decisionSentence } from '../policy/decision-text.ts';
import type { ImageDecider, ImageVerdict } from './types.ts';

const NO_ROOM = 'more evidence from registries is held at this moment than `limits.evidenceBytes` permits: try again';

interface VerdictsOptions {
  readonly decider: ImageDecider;
  readonly source: EvidenceSource;
  /** Milliseconds for which verdicts are kept, and how many; read at each use. */
  readonly keep: () => { readonly allow: number; readonly deny: number; readonly entries: number };
  /** Lookups at one time, read at each use; further ones wait. */
  readonly lookups: () => number;
  /** Bytes of evidence from registries that are held at one time, read at each use. */
  readonly evidenceBytes: () => number;
  /** Called with each decision that was made, and not with one that was kept. */
  readonly onVerdict?: (image: ImageName, digest: string, verdict: ImageVerdict, seconds: number) => void;
  /** Milliseconds that never go back. */
  readonly clock?: () => number;
}

interface Kept {
  readonly verdict: ImageVerdict;
  readonly until: number;
}

interface Lookup {
  readonly stop: AbortController;
  readonly verdict: Promise<ImageVerdict>;
  waiters: number;
}

export class ImageVerdicts {
  readonly #options: VerdictsOptions;
  readonly #clock: () => number;
  /** The oldest first. */
  readonly #kept = new Map<string, Kept>();
  readonly #lookups = new Map<string, Lookup>();
  readonly #queue: (() => void)[] = [];
  #running = 0;
  #held = 0;
  #versions: string;
  /** How often policy or trust changed: a decision of before is not kept. */
  #changes = 0;
  hits = 0;

  constructor(options: VerdictsOptions) {
    this.#options = options;
    this.#clock = options.clock ?? (() => performance.now());
    this.#versions = options.decider.versions;
  }

  /** Verdicts that are kept. */
  get size(): number {
    return this.#kept.size;
  }

  /**
   * @param digest `sha256:HEX`
   * @throws CodedError: there is no verdict, because the evidence cannot be had or cannot be decided about; what `signal` aborts with
   */
  async judge(image: ImageName, digest: string, signal: AbortSignal): Promise<ImageVerdict> {
    signal.throwIfAborted();
    this.#forgetOlder();
    const key = `${image.domain}/${image.path}@${digest}`;
    const kept = this.#kept.get(key);
    if (kept !== undefined && this.#clock() < kept.until) {
      this.hits++;
      return kept.verdict;
    }
    const lookup = this.#lookups.get(key) ?? this.#begin(key, image, digest);
    lookup.waiters++;
    try {
      const aborted = whenAborted(signal).then(() => signal.throwIfAborted() as never);
      return await Promise.race([lookup.verdict, aborted]);
    } finally {
      if (--lookup.waiters === 0) {
        if (this.#lookups.get(key) === lookup) this.#lookups.delete(key);
        lookup.stop.abort();
      }
    }
  }

  #begin(key: string, image: ImageName, digest: string): Lookup {
    const stop = new AbortController();
    const verdict = this.#look(key, image, digest, stop.signal);
    // The last waiter may have left.
    verdict.catch(() => {});
    const lookup = { stop, verdict, waiters: 0 };
    this.#lookups.set(key, lookup);
    return lookup;
  }

  async #look(key: string, image: ImageName, digest: string, signal: AbortSignal): Promise<ImageVerdict> {
    const { decider, source, keep, onVerdict } = this.#options;
    await this.#turn(signal);
    let held = 0;
    // Whoever makes pods chooses the registry, which could fill the memory by several lookups at once.
    const room = (bytes: number) => {
      if (this.#held + bytes > this.#options.evidenceBytes()) throw new ClientError('evidence', NO_ROOM);
      held += bytes;
      this.#held += bytes;
    };
    try {
      const [started, changes] = [this.#clock(), this.#changes];
      const artifact = { name: artifactName(image), digest: { sha256: digest.slice('sha256:'.length) } };
      // Who makes a pod names the registry. Nobody is asked about an image that no rule is for.
      const without = await decider.decide(artifact, [], signal);
      const isCovered = without.rules.length > 0;
      const pieces = isCovered ? await source.find({ digest, image, room }, signal) : [];
      signal.throwIfAborted();
      const decision = isCovered ? await decider.decide(artifact, pieces, signal) : without;
      const allows = ({ verdict: is, artifact: about }: Decision) =>
        is === 'allow' && about.digest.sha256 === artifact.digest.sha256;
      const allowed = isCovered && allows(decision);
      const verdict = { allowed, why: allowed ? '' : decisionSentence(decision), policy: decision.policy.digest };
      // A rule about age, or a condition about the time, must not end while the verdict is kept.
      const { allow } = keep();
      const lasts = !allowed || (allow > 0 && allows(await decider.decide(artifact, pieces, signal, allow)));
      this.#forgetOlder();
      if (lasts && changes === this.#changes) this.#keep(key, verdict);
      onVerdict?.(image, digest, verdict, (this.#clock() - started) / 1000);
      return verdict;
    } finally {
      this.#held -= held;
      this.#running--;
      this.#queue.shift()?.();
    }
  }

  /** Waits for one of the lookups that may run at one time. */
  async #turn(signal: AbortSignal): Promise<void> {
    while (this.#running >= this.#options.lookups()) {
      await new Promise<void>((resolve) => this.#queue.push(resolve));
      if (signal.aborted) this.#queue.shift()?.();
      signal.throwIfAborted();
    }
    this.#running++;
  }

  #keep(key: string, verdict: ImageVerdict): void {
    const { allow, deny, entries } = this.#options.keep();
    this.#kept.delete(key);
    const ms = verdict.allowed ? allow : deny;
    if (ms > 0) this.#kept.set(key, { verdict, until: this.#clock() + ms });
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= entries) break;
      this.#kept.delete(oldest);
    }
  }

  /** Forgets the verdicts under another policy or trust. */
  #forgetOlder(): void {
    const { versions } = this.#options.decider;
    if (versions === this.#versions) return;
    this.#versions = versions;
    this.#changes++;
    this.#kept.clear();
    // Whoever asks from now on gets a decision under the new policy.
    this.#lookups.clear();
  }
}
