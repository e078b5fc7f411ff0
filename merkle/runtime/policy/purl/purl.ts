/**
 * Package URLs (package-url/purl-spec, its specification of November 2026): read strictly, in the canonical form of their
 * type, and compared as rules need it.
 *
 * The text is split as the specification says, and never by a URL parser: those drop tabs and line ends, resolve `..`, and
 * read `+` as a space, so two tools would see two packages in one text.
 */
import { printable } from '../../../printable.ts';
import { isRegisteredPurlType, purlTypeRules } from './purl-types.ts';

export interface Purl {
  /** Lower case. */
  readonly type: string;
  /** Segments joined by `/`, canonical, decoded; empty text where there is none. */
  readonly namespace: string;
  readonly name: string;
  readonly version: string | undefined;
  /** Decoded values by key. */
  readonly qualifiers: ReadonlyMap<string, string>;
  readonly subpath: string | undefined;
}

/** Why a text is no purl; for a person. */
export class PurlProblem extends Error {}

const MAX_LENGTH = 4096;
const MAX_QUALIFIERS = 64;
const TYPE = /^[a-z][a-z0-9.-]*$/;
const KEY = /^[a-z][a-z0-9._-]*$/;

/** @throws PurlProblem */
export function parsePurl(text: string): Purl {
  if (text.length > MAX_LENGTH) throw new PurlProblem(`a purl longer than ${MAX_LENGTH} characters is not read`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
  if (/[\u0000-\u0020\u007f]/.test(text)) throw problem(text, 'has a space or a control character');
  if (!/^[\u0021-\u007e]*$/.test(text))
    throw problem(text, 'has a character outside of ASCII that is not percent-encoded');
  const [beforeSubpath, subpathText] = splitRight(text, '#');
  const [beforeQualifiers, qualifierText] = splitRight(beforeSubpath, '?');
  if (/[#?]/.test(beforeQualifiers)) throw problem(text, 'has "#" or "?" in a part where it must be percent-encoded');
  const scheme = /^pkg:\/*/i.exec(beforeQualifiers)?.[0];
  if (scheme === undefined) throw problem(text, 'does not begin with "pkg:"');
  const rest = beforeQualifiers.slice(scheme.length);
  const slash = rest.indexOf('/');
  const type = rest.slice(0, Math.max(slash, 0)).toLowerCase();
  if (!TYPE.test(type)) throw problem(text, 'has no type: pkg:TYPE/NAME');
  const [path, versionText] = splitRight(rest.slice(slash + 1), '@');
  const segments = path.split('/').filter((segment) => segment !== '');
  const nameText = segments.pop();
  if (nameText === undefined) throw problem(text, 'has no name; "@" at the start of a name is written %40');
  const rules = purlTypeRules(type);
  const namespace = rules.canonicalNamespace(segments.map((segment) => decodedSegment(text, segment)).join('/'));
  if (namespace !== '' && rules.namespace === 'prohibited')
    throw problem(text, `has a namespace, and ${type} has none`);
  const name = rules.canonicalName(decoded(text, nameText));
  if (/%[0-9a-f]{2}/i.test(`${namespace}/${name}`)) throw problem(text, 'has a name that is percent-encoded twice');
  const version = versionText === undefined || versionText === '' ? undefined : decoded(text, versionText);
  const subpath = (subpathText ?? '')
    .split('/')
    .map((segment) => decodedSegment(text, segment))
    .filter((segment) => segment !== '' && segment !== '.' && segment !== '..')
    .join('/');
  return {
    type,
    namespace,
    name: type === 'mlflow' ? mlflowName(name, qualifierText) : name,
    version: version === undefined ? undefined : rules.canonicalVersion(version),
    qualifiers: qualifiersOf(text, qualifierText),
    subpath: subpath === '' ? undefined : subpath,
  };
}

/** The canonical text. */
export function formatPurl({ type, namespace, name, version, qualifiers, subpath }: Purl): string {
  const path = [...(namespace === '' ? [] : namespace.split('/')), name].map(encoded).join('/');
  const keys = [...qualifiers.keys()].sort();
  const query = keys.map((key) => `${key}=${encoded(qualifiers.get(key)!)}`).join('&');
  const fragment = subpath?.split('/').map(encoded).join('/');
  return [
    `pkg:${type}/${path}`,
    version === undefined ? '' : `@${encoded(version)}`,
    query === '' ? '' : `?${query}`,
    fragment === undefined ? '' : `#${fragment}`,
  ].join('');
}

/**
 * What is wrong with a purl that a rule names. A rule is held to the definition of the type, since a purl that no package
 * can have forbids nothing.
 */
export function ruleProblem(purl: Purl): string | undefined {
  const { type, namespace, name } = purl;
  if (name.includes('*') || namespace.includes('*')) return 'has a wildcard, and a purl has none: name each package';
  if (!isRegisteredPurlType(type)) return `has the type ${type}, which purl-spec does not define`;
  const needs = purlTypeRules(type).namespace === 'required' && !(type === 'golang' && !name.includes('.'));
  if (needs && namespace === '') return `has no namespace, and ${type} requires one`;
  if (type === 'npm' && namespace !== '' && !namespace.startsWith('@')) return 'has a scope without "@" (%40)';
  return undefined;
}

/**
 * Whether `found` can be the package that `rule` names, whatever their versions are. What a rule does not say does not
 * matter. What `found` does not say cannot rule the package out: a qualifier or subpath of the rule that it lacks, or a
 * namespace that its type requires.
 */
export function isSamePackage(rule: Purl, found: Purl): boolean {
  if (rule.type !== found.type) return false;
  const { compared, namespace: need } = purlTypeRules(rule.type);
  // Some tools write the slash between namespace and name as %2F: `pkg:npm/%40scope%2Fname`. The package is the same.
  const whole = ({ namespace, name }: Purl) => compared(namespace === '' ? name : `${namespace}/${name}`);
  const isUntold = need === 'required' && found.namespace === '' && compared(rule.name) === compared(found.name);
  if (whole(rule) !== whole(found) && !isUntold) return false;
  for (const [key, value] of rule.qualifiers) {
    const other = found.qualifiers.get(key);
    if (other !== undefined && other !== value) return false;
  }
  return rule.subpath === undefined || found.subpath === undefined || rule.subpath === found.subpath;
}

/** Equal for all purls for which `isSamePackage` may hold: an index of rules needs it. */
export function packageKey({ type, namespace, name }: Purl): string {
  const whole = purlTypeRules(type).compared(`${namespace}/${name}`);
  return `${type}/${whole.slice(whole.lastIndexOf('/') + 1)}`;
}

function qualifiersOf(text: string, query: string | undefined): Map<string, string> {
  const qualifiers = new Map<string, string>();
  const pairs = (query ?? '').split('&').filter((pair) => pair !== '');
  if (pairs.length > MAX_QUALIFIERS) throw problem(text, `has more than ${MAX_QUALIFIERS} qualifiers`);
  const seen = new Set<string>();
  for (const pair of pairs) {
    const equals = pair.indexOf('=');
    const key = pair.slice(0, Math.max(equals, 0)).toLowerCase();
    if (!KEY.test(key)) throw problem(text, 'has a qualifier without a key of letters, digits, ".", "-" and "_"');
    if (seen.has(key)) throw problem(text, `has the qualifier ${key} twice`);
    seen.add(key);
    const value = decoded(text, pair.slice(equals + 1), true);
    if (value !== '') qualifiers.set(key, value);
  }
  return qualifiers;
}

/** Models in Databricks have names without case; in other registries case matters. */
function mlflowName(name: string, query: string | undefined): string {
  return query?.toLowerCase().includes('databricks') === true ? name.toLowerCase() : name;
}

function decodedSegment(text: string, segment: string): string {
  const value = decoded(text, segment, true);
  if (value.includes('/')) throw problem(text, 'has an encoded slash in a segment');
  return value;
}

function decoded(text: string, part: string, mayBeEmpty = false): string {
  let value: string;
  try {
    value = decodeURIComponent(part);
  } catch {
    throw problem(text, 'has a percent sign that begins no UTF-8 character');
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for
  if (/[\u0000-\u001f\u007f]/.test(value)) throw problem(text, 'has an encoded control character');
  if (value === '' && !mayBeEmpty) throw problem(text, 'has an empty part');
  return value.normalize('NFC');
}

/** As the specification's "Character encoding": colons stay, and everything outside of letters, digits and `.-_~` is encoded. */
function encoded(text: string): string {
  return encodeURIComponent(text)
    .replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%3A', ':');
}

function splitRight(text: string, separator: string): readonly [string, string | undefined] {
  const at = text.lastIndexOf(separator);
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

function problem(text: string, why: string): PurlProblem {
  return new PurlProblem(`the purl ${printable(text.slice(0, 200))} ${why}`);
}
