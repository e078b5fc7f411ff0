/**
 * Patterns of artifact names. `*` stands for any characters but a slash, also for none; `**` for any characters at all;
 * every other character for itself. A pattern must match the whole name, and upper and lower case differ.
 */

/** Longest pattern, in characters. */
export const MAX_ARTIFACT_PATTERN = 255;
/** A longer name matches no pattern. */
const MAX_NAME = 4096;

/** Takes time linear in pattern times name. */
export function matchesArtifact(pattern: string, name: string): boolean {
  if (name.length > MAX_NAME) return false;
  const parts = pattern.match(/\*\*|./gsu) ?? [];
  const characters = [...name];
  // `at[j]`: the parts so far match the first j characters.
  let at = [true, ...characters.map(() => false)];
  for (const part of parts) {
    const next: boolean[] = [];
    for (let j = 0; j <= characters.length; j++) {
      if (part === '**') next.push(at[j]! || next[j - 1] === true);
      else if (part === '*') next.push(at[j]! || (next[j - 1] === true && characters[j - 1] !== '/'));
      else next.push(j > 0 && at[j - 1]! && characters[j - 1] === part);
    }
    at = next;
  }
  return at.at(-1)!;
}
