/**
 * Verdicts about images: looks up the evidence, has it decided, and keeps the answer for a while.
 *
 * A kept verdict is for one name, one digest and one state of policy and trust, and is forgotten when these change. A denial is
 * kept for seconds, because evidence may come any moment. An error is not kept: nothing was found out. Several callers of a namespace
 * that ask for one image wait for one lookup, which ends when the last of them leaves.
 */

import type { Decision } from '../../merkle/runtime/policy/types.ts';
import { whenAborted } from '../../merkle/runtime/service/ends.ts';
import type { ImageName } from '../evidence/image-name.ts';
import type { EvidenceRoom, EvidenceSource } from '../evidence/types.ts';
import { decisionSentence } from '../policy/decision-text.ts';
import { artifactOf, registryOf, uncovered } from './coverage.ts';
import type { EvidenceMemory } from './evidence-memory.ts';
import type { LookupTurns } from './lookup-turns.ts';
import type { ImageDecider, ImageVerdict } from './types.ts';

interface VerdictsOptions {
  readonly decider: ImageDecider;
  readonly source: EvidenceSource;
  /** Milliseconds for which verdicts are kept, and how many; read at each use. */
  readonly keep: () => { readonly allow: number; readonly deny: number; readonly entries: number };
  readonly turns: LookupTurns;
  readonly memory: EvidenceMemory;
  /** Called with each decision that was made, and not with one that was kept. */
  readonly onVerdict?: (image: ImageName, digest: string, verdict: ImageVerdict, seconds: number) => void;
  /** Milliseconds that never go back. */
  readonly clock?: () => number;
}

interface Kept {
  readonly verdict: ImageVerdict;
  readonly until: number;
}

interface Asked {
  /** Of the name and the digest. */
  readonly key: string;
  readonly image: ImageName;
  readonly digest: string;
  readonly namespace: string;
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
   * @param namespace of the review, which has a share of all lookups
   * @throws CodedError: there is no verdict, because the evidence cannot be had or cannot be decided about; what `signal` aborts with
   */
  async judge(image: ImageName, digest: string, namespace: string, signal: AbortSignal): Promise<ImageVerdict> {
    signal.throwIfAborted();
    const asked = { key: `${image.domain}/${image.path}@${digest}`, image, digest, namespace };
    const kept = this.#keptFor(asked);
    if (kept !== undefined) return kept;
    const key = `${namespace} ${asked.key}`;
    const lookup = this.#lookups.get(key) ?? this.#begin(key, asked);
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

  #keptFor({ key }: Asked): ImageVerdict | undefined {
    this.#forgetOlder();
    const kept = this.#kept.get(key);
    if (kept === undefined || this.#clock() >= kept.until) return undefined;
    this.hits++;
    return kept.verdict;
  }

  #begin(key: string, asked: Asked): Lookup {
    const stop = new AbortController();
    const verdict = this.#look(asked, stop.signal);
    // The last waiter may have left.
    verdict.catch(() => {});
    const lookup = { stop, verdict, waiters: 0 };
    this.#lookups.set(key, lookup);
    return lookup;
  }

  async #look(asked: Asked, signal: AbortSignal): Promise<ImageVerdict> {
    const { decider, turns, memory } = this.#options;
    const { image, digest, namespace } = asked;
    const started = this.#clock();
    const denied = await uncovered(decider, artifactOf(image, digest), signal);
    // It is made anew in no time, and many of them would push out the verdicts about images of others.
    if (denied !== undefined) return this.#made(asked, verdictOf(denied, false), started);
    const end = await turns.take(registryOf(image), namespace, signal);
    const room = memory.room();
    try {
      // Another namespace may have asked for the same image meanwhile.
      return this.#keptFor(asked) ?? (await this.#decide(asked, room, signal));
    } finally {
      room.release();
      end();
    }
  }

  async #decide(asked: Asked, room: EvidenceRoom, signal: AbortSignal): Promise<ImageVerdict> {
    const { decider, source, keep } = this.#options;
    const { image, digest } = asked;
    const [started, changes] = [this.#clock(), this.#changes];
    const artifact = artifactOf(image, digest);
    const pieces = await source.find({ digest, image, room }, signal);
    signal.throwIfAborted();
    const decision = await decider.decide(artifact, pieces, signal);
    const allows = ({ verdict: is, artifact: about, rules }: Decision) =>
      is === 'allow' && rules.length > 0 && about.digest.sha256 === artifact.digest.sha256;
    const allowed = allows(decision);
    // A rule about age, or a condition about the time, must not end while the verdict is kept.
    const { allow } = keep();
    const lasts = !allowed || (allow > 0 && allows(await decider.decide(artifact, pieces, signal, allow)));
    return this.#made(asked, verdictOf(decision, allowed), started, lasts ? changes : undefined);
  }

  /** @param changes when it was begun; undefined where it is not to be kept */
  #made({ key, image, digest }: Asked, verdict: ImageVerdict, started: number, changes?: number): ImageVerdict {
    this.#forgetOlder();
    if (changes === this.#changes) this.#keep(key, verdict);
    this.#options.onVerdict?.(image, digest, verdict, (this.#clock() - started) / 1000);
    return verdict;
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

function verdictOf(decision: Decision, allowed: boolean): ImageVerdict {
  return { allowed, why: allowed ? '' : decisionSentence(decision), policy: decision.policy.digest };
}
