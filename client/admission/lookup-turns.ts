/**
 * Turns for lookups, of which some may run at one time. The person who makes a pod names the registry, and one that is slow keeps a
 * turn for as long as a review lasts. So each registry, and each namespace, has a share of the turns and no more: all others
 * go on. Namespaces that wait get turns one after the other.
 */

/** Of all turns, what one registry or one namespace may have. */
const SHARE = 1 / 4;

interface Waiting {
  readonly registry: string;
  readonly namespace: string;
  begin(): void;
}

export class LookupTurns {
  readonly #most: () => number;
  #running = 0;
  readonly #ofRegistry = new Map<string, number>();
  readonly #ofNamespace = new Map<string, number>();
  /** By namespace and registry, those that wait longest first. */
  readonly #waiting = new Map<string, Map<string, Set<Waiting>>>();

  /** @param most turns at one time, read at each use */
  constructor(most: () => number) {
    this.#most = most;
  }

  /** Waits for a turn. The caller calls what it resolves with once, when the turn is over. @throws what `signal` aborts with */
  async take(registry: string, namespace: string, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const leave = () => {
        this.#remove(waiting);
        reject(signal.reason);
      };
      const begin = () => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const waiting = { registry, namespace, begin };
      signal.addEventListener('abort', leave, { once: true });
      this.#add(waiting);
      this.#begin();
    });
    return () => {
      this.#count(registry, namespace, -1);
      this.#begin();
    };
  }

  #begin(): void {
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      this.#remove(next);
      this.#count(next.registry, next.namespace, 1);
      const others = this.#waiting.get(next.namespace);
      if (others !== undefined) {
        this.#waiting.delete(next.namespace);
        this.#waiting.set(next.namespace, others);
      }
      next.begin();
    }
  }

  #next(): Waiting | undefined {
    if (this.#running >= this.#most()) return undefined;
    const share = Math.max(1, Math.floor(this.#most() * SHARE));
    for (const [namespace, registries] of this.#waiting) {
      if ((this.#ofNamespace.get(namespace) ?? 0) >= share) continue;
      for (const [registry, [first]] of registries) {
        if ((this.#ofRegistry.get(registry) ?? 0) < share) return first;
      }
    }
    return undefined;
  }

  #add(waiting: Waiting): void {
    const { registry, namespace } = waiting;
    const registries = this.#waiting.get(namespace) ?? new Map<string, Set<Waiting>>();
    this.#waiting.set(namespace, registries);
    registries.set(registry, (registries.get(registry) ?? new Set()).add(waiting));
  }

  #remove(waiting: Waiting): void {
    const { registry, namespace } = waiting;
    const registries = this.#waiting.get(namespace);
    const all = registries?.get(registry);
    all?.delete(waiting);
    if (all?.size === 0) registries?.delete(registry);
    if (registries?.size === 0) this.#waiting.delete(namespace);
  }

  #count(registry: string, namespace: string, more: 1 | -1): void {
    this.#running += more;
    for (const [map, name] of [
      [this.#ofRegistry, registry],
      [this.#ofNamespace, namespace],
    ] as const) {
      const count = (map.get(name) ?? 0) + more;
      if (count === 0) map.delete(name);
      else map.set(name, count);
    }
  }
}
