/**
 * Patterns of artifact names. `*` stands for any characters but a slash, also for none; `**` for any characters at all;
 * every other character for itself. A pattern must match the whole name, and upper and lower case differ.
 */

/** Longest pattern, in characters. */
export const MAX_ARTIFACT_PATTERN = 255;
/** A longer name matches no pattern. */
const MAX_NAME = 4096;

/**
 * Takes time linear in the name, times the places of the pattern at which the name may be: one or two, but for patterns with
 * many stars.
 */
export function matchesArtifact(pattern: string, name: string): boolean {
  if (name.length > MAX_NAME) return false;
  const parts = pattern.match(/\*\*|./gsu) ?? [];
  const seen = new Uint32Array(parts.length + 1);
  let step = 1;
  /** Also the places after stars, which may stand for nothing. */
  const add = (places: number[], first: number): void => {
    for (let place = first; seen[place] !== step; place++) {
      seen[place] = step;
      places.push(place);
      if (parts[place] !== '*' && parts[place] !== '**') return;
    }
  };
  let places: number[] = [];
  add(places, 0);
  for (const character of name) {
    step++;
    const next: number[] = [];
    for (const place of places) {
      const part = parts[place];
      if (part === '**' || (part === '*' && character !== '/')) add(next, place);
      else if (part === character) add(next, place + 1);
    }
    if (next.length === 0) return false;
    places = next;
  }
  return places.includes(parts.length);
}
