/** Characters that a text of unknown origin can hide something with. */

/**
 * Invisible and misleading characters: control characters, marks that turn the direction, fillers and variation selectors
 * (Default_Ignorable), spaces other than U+0020, and characters that no font has. Of one character at a time.
 */
export const HIDDEN_CHARACTER =
  /[\p{Cc}\p{Cf}\p{Cn}\p{Co}\p{Zl}\p{Zp}\p{Surrogate}\p{Default_Ignorable_Code_Point}]|(?! )\p{Zs}/u;

/** `\u{202e}` */
export function characterEscape(character: string): string {
  return `\\u{${character.codePointAt(0)!.toString(16)}}`;
}
