/** Which targets a role delegates to another one (TUF 1.0.34 section 4.5: PATHPATTERN, path_hash_prefixes). */
import type { DelegatedRole } from './metadata.ts';
import { hexSha256 } from './tuf-key.ts';

/** Whether the role may say anything about the target of this name. */
export function isDelegatedTo(
  { paths, pathHashPrefixes }: Pick<DelegatedRole, 'paths' | 'pathHashPrefixes'>,
  name: string,
): boolean {
  if (paths !== undefined) return paths.some((pattern) => matchesPattern(name, pattern));
  if (pathHashPrefixes === undefined) return false;
  const hash = hexSha256(Buffer.from(name));
  return pathHashPrefixes.some((prefix) => hash.startsWith(prefix));
}

/**
 * `*` stands for any characters and `?` for one, both without the slash. Every other character stands for itself. A target's
 * name has no brackets or braces, so a pattern with them delegates nothing, where shells and clients differ.
 */
export function matchesPattern(name: string, pattern: string): boolean {
  const parts = name.split('/');
  const patterns = pattern.split('/');
  return parts.length === patterns.length && patterns.every((one, i) => matchesPart(parts[i]!, one));
}

/** Without regular expressions: a pattern of many stars must not take exponential time. */
function matchesPart(text: string, pattern: string): boolean {
  let [at, from] = [0, 0];
  let star = -1;
  let retry = 0;
  while (at < text.length) {
    if (pattern[from] === '*') {
      star = from++;
      retry = at;
    } else if (pattern[from] === '?' || pattern[from] === text[at]) {
      at += 1;
      from += 1;
    } else if (star >= 0) {
      from = star + 1;
      at = ++retry;
    } else {
      return false;
    }
  }
  while (pattern[from] === '*') from += 1;
  return from === pattern.length;
}
