/** What the sources of bundles have found: the bundles in use, and why newer ones are not. */
import { haveSameKeys, type SpiffeBundle } from '../../../spiffe/trust-bundle.ts';
import type { Logger } from '../../service/logger.ts';

type Bundles = ReadonlyMap<string, SpiffeBundle>;

/** Each part is one source, under a name of its own. */
export class BundleBoard {
  readonly #logger: Logger | undefined;
  readonly #parts = new Map<string, Bundles>();
  readonly #heard = new Set<string>();
  readonly #problems = new Map<string, string>();
  readonly #listeners = new Set<() => void>();
  #current: Bundles = new Map();

  /** @param parts in the order in which they count, where two have the bundle of one trust domain */
  constructor(parts: readonly string[], logger: Logger | undefined) {
    for (const part of parts) this.#parts.set(part, new Map());
    this.#logger = logger;
  }

  get current(): Bundles {
    return this.#current;
  }

  get problem(): string | undefined {
    return this.#problems.size === 0 ? undefined : [...this.#problems.values()].join('; ');
  }

  /** Whether a part has given bundles at least once. */
  hasHeard(part: string): boolean {
    return this.#heard.has(part);
  }

  bundlesOf(part: string): Bundles {
    return this.#parts.get(part) ?? new Map();
  }

  /** Takes the bundles of a part in the place of its earlier ones. */
  put(part: string, bundles: Bundles): void {
    for (const [trustDomain, { passedOver }] of bundles) {
      const before = this.#current.get(trustDomain)?.passedOver ?? [];
      if (passedOver.length > 0 && passedOver.join() !== before.join()) {
        this.#logger?.warn({ trustDomain, keys: passedOver }, 'passes over keys of a trust bundle');
      }
    }
    this.#parts.set(part, bundles);
    this.#heard.add(part);
    const next = new Map<string, SpiffeBundle>();
    for (const one of [...this.#parts.values()].reverse()) for (const [name, bundle] of one) next.set(name, bundle);
    const same = next.size === this.#current.size && [...next].every(([name, bundle]) => this.#has(name, bundle));
    this.#current = next;
    if (!same) for (const listener of [...this.#listeners]) listener();
  }

  #has(name: string, bundle: SpiffeBundle): boolean {
    const before = this.#current.get(name);
    return before !== undefined && haveSameKeys(before, bundle);
  }

  /** @param problem undefined where the newest bundles of the part are in use */
  say(part: string, problem: string | undefined): void {
    if (this.#problems.get(part) === problem) return;
    if (problem === undefined) {
      this.#problems.delete(part);
      this.#logger?.info({ source: part }, 'trust bundles can be used again');
    } else {
      this.#problems.set(part, problem);
      this.#logger?.warn({ source: part, reason: problem }, 'trust bundles are not up to date');
    }
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
