/** The predicate of a statement as its type says, read once for each statement. */
import type { JsonValue } from '../../rekor/json-value.ts';
import { readPredicate, type TypedPredicate } from './predicates/predicate.ts';
import type { EvidenceStatement } from './types.ts';

/** `kind` is absent for a type that is not known here. */
export type ReadPredicate = TypedPredicate | { readonly kind?: undefined; readonly value: JsonValue };

const known = new WeakMap<EvidenceStatement, ReadPredicate>();

/** @throws RuntimeError `predicate` where the predicate is not what its type says; ClientError, MerkleError for bad JSON */
export function typedPredicate(statement: EvidenceStatement): ReadPredicate {
  let read = known.get(statement);
  if (read === undefined) {
    const value = statement.predicate();
    read = readPredicate(statement.predicateType, value) ?? { value };
    known.set(statement, read);
  }
  return read;
}
