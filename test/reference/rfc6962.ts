/**
 * RFC 6962 section 2.1, written literally: recursive and slow, on slices of the list of entries. It shares no code with
 * merkle/, so that both are unlikely to have the same error.
 */
import { hash } from 'node:crypto';

export type Entries = readonly Uint8Array[];

function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(hash('sha256', Buffer.concat(parts), 'buffer'));
}

const LEAF = Uint8Array.of(0x00);
const NODE = Uint8Array.of(0x01);

/** "The largest power of two smaller than n": k < n <= 2k. */
function split(n: number): number {
  let k = 1;
  while (2 * k < n) k = 2 * k;
  return k;
}

/** Section 2.1: the Merkle Tree Hash. */
export function MTH(D: Entries): Uint8Array {
  const n = D.length;
  if (n === 0) return sha256();
  if (n === 1) return sha256(LEAF, D[0]!);
  const k = split(n);
  return sha256(NODE, MTH(D.slice(0, k)), MTH(D.slice(k, n)));
}

/** Section 2.1.1: the audit path of entry m. */
export function PATH(m: number, D: Entries): Uint8Array[] {
  const n = D.length;
  if (n === 1) return [];
  const k = split(n);
  if (m < k) return [...PATH(m, D.slice(0, k)), MTH(D.slice(k, n))];
  return [...PATH(m - k, D.slice(k, n)), MTH(D.slice(0, k))];
}

/** Section 2.1.2: the consistency proof from the first m entries, 0 < m <= n. */
export function PROOF(m: number, D: Entries): Uint8Array[] {
  return SUBPROOF(m, D, true);
}

function SUBPROOF(m: number, D: Entries, b: boolean): Uint8Array[] {
  const n = D.length;
  if (m === n) return b ? [] : [MTH(D)];
  const k = split(n);
  if (m <= k) return [...SUBPROOF(m, D.slice(0, k), b), MTH(D.slice(k, n))];
  return [...SUBPROOF(m - k, D.slice(k, n), false), MTH(D.slice(0, k))];
}

/**
 * The same definitions for a tree with n equal entries. The number of entries then determines the hash of a subtree, so trees
 * of up to 2^53 - 1 entries are possible.
 */
export class UniformTree {
  readonly #known = new Map<number, Uint8Array>();
  readonly #entry: Uint8Array;

  constructor(entry: Uint8Array) {
    this.#entry = entry;
  }

  MTH(n: number): Uint8Array {
    const known = this.#known.get(n);
    if (known !== undefined) return known;
    const k = split(n);
    const value = n === 0 ? sha256() : n === 1 ? sha256(LEAF, this.#entry) : sha256(NODE, this.MTH(k), this.MTH(n - k));
    this.#known.set(n, value);
    return value;
  }

  PATH(m: number, n: number): Uint8Array[] {
    if (n === 1) return [];
    const k = split(n);
    return m < k ? [...this.PATH(m, k), this.MTH(n - k)] : [...this.PATH(m - k, n - k), this.MTH(k)];
  }

  PROOF(m: number, n: number, b = true): Uint8Array[] {
    if (m === n) return b ? [] : [this.MTH(n)];
    const k = split(n);
    return m <= k ? [...this.PROOF(m, k, b), this.MTH(n - k)] : [...this.PROOF(m - k, n - k, false), this.MTH(k)];
  }
}
