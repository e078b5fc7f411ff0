/** Makes text of unknown origin safe for one line of a terminal: no control characters, at most 300 characters and a "…". */
export function printable(text: string): string {
  const clean = text
    .slice(0, 1200)
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Surrogate}]+/gu, ' ')
    .trim();
  return clean.length > 300 ? `${clean.slice(0, 300)}…` : clean;
}
