/** What a pattern of RE2 costs before it is compared with anything: a set of characters is computed when the pattern is read. */

/** Classes of Unicode, as `\pL`: each costs up to 0.5 ms. */
const MAX_CLASSES = 8;
/** Characters in the ranges of a pattern that ignores case: each is looked up, and a million take 10 ms. */
const MAX_FOLDED = 65_536;
const LAST = 0x10ffff;

/** One character of a set or of the text around it, as it is written. */
const ATOM = /\\x\{([0-9A-Fa-f]+)\}|\\x([0-9A-Fa-f]{2})|\\[0-7]{1,3}|\\.|./gsu;
const IGNORES_CASE = /\(\?[A-Za-z-]*i/u;

/** Why the pattern would cost too much to read; undefined where it does not. It is asked before RE2 reads the pattern. */
export function costOfSets(pattern: string): string | undefined {
  const atoms = [...pattern.matchAll(ATOM)];
  const classes = atoms.filter(([text]) => text === '\\p' || text === '\\P').length;
  if (classes > MAX_CLASSES) return `it has ${classes} classes of Unicode, and ${MAX_CLASSES} at most may be there`;
  if (!IGNORES_CASE.test(pattern)) return undefined;
  let folded = 0;
  // A hyphen outside of a set counts too: it costs nothing to ask for less there.
  for (const [i, [text]] of atoms.entries()) {
    const [low, high] = [atoms[i - 1], atoms[i + 1]];
    if (text === '-' && low !== undefined && high !== undefined)
      folded += Math.max(0, bounds(high)[1] - bounds(low)[0]);
  }
  if (folded <= MAX_FOLDED) return undefined;
  return `its ranges have more than ${MAX_FOLDED} characters, which is the most where case is ignored`;
}

/** The least and the greatest character that the atom may stand for. */
function bounds([text, long, short]: RegExpExecArray): readonly [number, number] {
  const hex = long ?? short;
  if (hex !== undefined) {
    const value = Math.min(Number.parseInt(hex, 16), LAST);
    return [value, value];
  }
  // Octal, a letter for a control character, or a punctuation mark.
  if (text.length > 1 && text.startsWith('\\')) return text.codePointAt(1)! < 0x80 ? [0, 0x1ff] : [0, LAST];
  const value = text.codePointAt(0)!;
  return [value, value];
}
