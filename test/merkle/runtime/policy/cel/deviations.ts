/** Rows of the table of cel-go in which Stele differs on purpose, by their number, and why. */
export const DEVIATIONS: ReadonlyMap<number, string> = new Map([
  [59, 'a key that stands twice in one map is a mistake of the policy: an error, where cel-go takes the last'],
  [65, 'keys are of type bool, int, uint and string: the language has no others, and cel-go takes a double'],
  [66, 'keys are of type bool, int, uint and string: the language has no others, and cel-go takes null'],
  [220, 'a hexadecimal number in evidence is an error, for doubles as for ints: no predicate writes one'],
]);
