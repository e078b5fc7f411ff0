/**
 * Names of fields are read exactly as they are written. An API server does so too, and drops other spellings. Other readers, Go's own
 * `encoding/json` among them, take `Image` for `image`: an object that says two things is not judged by one of them.
 */

/** A field whose name differs from one of `names` by nothing but the case of its letters. */
export function otherSpelling(value: object, names: readonly string[]): string | undefined {
  for (const name of Object.keys(value)) {
    if (!names.includes(name) && names.some((one) => folded(one) === folded(name))) return name;
  }
  return undefined;
}

/** As Go compares: the long s is an s, and the sign of Kelvin a k. */
function folded(name: string): string {
  return name.toUpperCase().toLowerCase();
}
