/** Text of unknown origin, fit for one line of a terminal: no control characters, 300 characters at most. */
export function printable(text: string): string {
  const clean = text
    .slice(0, 1200)
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Surrogate}]+/gu, ' ')
    .trim();
  return clean.length > 300 ? `${clean.slice(0, 300)}…` : clean;
}
