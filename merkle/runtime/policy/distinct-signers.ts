/**
 * Counts the signers behind pieces of evidence, for a threshold. One signer is counted once, however many pieces, names,
 * keys or certificates stand for it:
 *
 * - Pieces with one key, or with one identity of one issuer, are of one holder.
 * - One name of the policy counts once, also where several holders have it.
 * - One builder is one holder, also where it has several keys; and one key with the names of several builders is one.
 *
 * So the count is the largest number of pairs of a name and a holder in which no name and no holder stands twice (a maximum
 * matching in a bipartite graph, by augmenting paths).
 */
import { isSignerName } from '../../x509/signer-names.ts';
import type { EvidenceSigner, VerifiedEvidence } from './types.ts';

/** A piece of evidence that holds. */
export interface Holding {
  readonly piece: VerifiedEvidence;
  /** Names of the policy's signers. */
  readonly signers: readonly string[];
  /** What else is one party wherever it stands, such as a builder. */
  readonly marks?: readonly string[];
}

export function countSigners(holding: readonly Holding[]): number {
  const [first, ...more] = holding;
  if (first === undefined) return 0;
  if (more.length === 0) return first.signers.length > 0 ? 1 : 0;
  const holders = [...holdersOf(holding).values()];
  const taken = new Map<string, ReadonlySet<string>>();
  const place = (names: ReadonlySet<string>, tried: Set<string>): boolean => {
    for (const name of names) {
      if (tried.has(name)) continue;
      tried.add(name);
      const other = taken.get(name);
      if (other !== undefined && !place(other, tried)) continue;
      taken.set(name, names);
      return true;
    }
    return false;
  };
  return holders.filter((names) => place(names, new Set())).length;
}

/** The names of each holder. Two marks on one piece make their holders one. */
function holdersOf(holding: readonly Holding[]): Set<Set<string>> {
  const byMark = new Map<string, { names: Set<string>; marks: Set<string> }>();
  for (const { piece, signers, marks = [] } of holding) {
    const joined = { names: new Set(signers), marks: new Set([...marksOf(piece.signer), ...marks]) };
    for (const mark of [...joined.marks]) {
      const known = byMark.get(mark);
      for (const name of known?.names ?? []) joined.names.add(name);
      for (const other of known?.marks ?? []) joined.marks.add(other);
    }
    for (const mark of joined.marks) byMark.set(mark, joined);
  }
  return new Set([...byMark.values()].map(({ names }) => names));
}

function marksOf(signer: EvidenceSigner): string[] {
  const key = `key ${signer.fingerprint}`;
  if (signer.kind === 'key') return [key];
  const { names, issuer = '' } = signer.identity;
  return [
    key,
    ...names.filter(isSignerName).map(({ type, value }) => `identity ${JSON.stringify([issuer, type, value])}`),
  ];
}
