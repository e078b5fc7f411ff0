/**
 * A configuration that `stele up` makes once, for its owner to change, and of which it writes one part anew at each start, while
 * that part stands between its two marker lines: ports may change at each start.
 */

const BEGIN = '# --- written at each start of `stele up`; remove this line to write it yourself ---';
const END = '# --- end of what is written at each start ---';

/** The part, with the line before it. The line after it is `PART_END`. */
export function ownPart(lines: string): string {
  return `${BEGIN}\n${lines}`;
}

export const PART_END = END;

/** The file with a new part between the two markers; unchanged where the markers are not there. @param part of `ownPart` */
export function refreshed(text: string, part: string): string {
  const begin = text.indexOf(`${BEGIN}\n`);
  const end = text.indexOf(`${END}\n`);
  return begin < 0 || end < begin ? text : text.slice(0, begin) + part + text.slice(end);
}

/** JSON strings are YAML strings, whatever is in them. */
export const yamlText = (text: string) => JSON.stringify(text);
