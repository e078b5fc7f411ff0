/** package-lock.json and npm-shrinkwrap.json of npm, versions 1 to 3 (npm's documentation, "package-lock.json"). */
import { printable } from '../../../merkle/printable.ts';
import { parseStrictJson } from '../../../merkle/rekor/strict-json.ts';
import { withClientErrors } from '../../merkle-errors.ts';
import {
  addressProblem,
  checkLockSize,
  integrityDigests,
  type LockedPackage,
  type LockHosts,
  locked,
  lockedPurl,
  malformedLock,
} from './locked-package.ts';

type Entry = Readonly<Record<string, unknown>>;

const MAX_DEPTH = 200;

/**
 * Version 2 lists each package twice: npm from 7 on reads `packages`, older ones read `dependencies`. Both are judged.
 * @throws ClientError `lock`, `malformed`
 */
export function readNpmLock(bytes: Uint8Array, limit: number, hosts: LockHosts): readonly LockedPackage[] {
  const document = withClientErrors(() => parseStrictJson(bytes, 'the lock file', limit, MAX_DEPTH));
  if (!isEntry(document)) throw malformedLock('is no object');
  const { lockfileVersion, packages, dependencies } = document;
  if (lockfileVersion !== 1 && lockfileVersion !== 2 && lockfileVersion !== 3) {
    throw malformedLock(`is of version ${printable(String(lockfileVersion))}; read are 1, 2 and 3`);
  }
  const lineOf = linesOf(bytes);
  const found: LockedPackage[] = [];
  if (packages !== undefined) {
    for (const [place, entry] of entriesOf(packages, 'packages')) {
      // The root is the project itself.
      if (place !== '') found.push(packageOf(nameOf(place, entry), entry, lineOf(place), hosts));
    }
  } else if (lockfileVersion !== 1) throw malformedLock('has no "packages"');
  const waiting = dependencies === undefined ? [] : [...entriesOf(dependencies, 'dependencies')];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const [name, entry] = next;
    found.push(packageOf(name, entry, lineOf(name), hosts));
    checkLockSize(found.length + waiting.length);
    if (entry.dependencies !== undefined) waiting.push(...entriesOf(entry.dependencies, 'dependencies'));
  }
  checkLockSize(found.length);
  return found;
}

/** The last name of `node_modules/a/node_modules/@scope/b`, unless an alias says another one. */
function nameOf(place: string, { name }: Entry): string {
  if (typeof name === 'string') return name;
  return place.split('node_modules/').at(-1)!;
}

function packageOf(name: string, entry: Entry, line: number, hosts: LockHosts): LockedPackage {
  const { version, resolved, integrity, link, inBundle, bundled } = entry;
  // An alias in version 1: `npm:real@1.0.0`.
  const [, real, realVersion] = /^npm:(.+)@([^@]+)$/.exec(typeof version === 'string' ? version : '') ?? [];
  const ownName = real ?? name;
  const ownVersion = realVersion ?? version;
  const purl =
    typeof ownVersion === 'string' && isVersion(ownVersion) ? lockedPurl('npm', ownName, ownVersion) : undefined;
  const at = { name: purl ?? printable(`${name} ${typeof version === 'string' ? version : ''}`.trim()), line };
  if (link === true)
    return locked(at, `it is a link to ${printable(String(resolved))}, whose bytes the lock file does not fix`);
  if (purl === undefined)
    return locked(at, 'it has no version of the registry: it comes from git, from a file or from an address');
  if (resolved !== undefined) {
    const problem = typeof resolved === 'string' ? addressProblem(resolved, hosts) : '"resolved" is no text';
    if (problem !== undefined) return locked(at, problem);
  }
  if (typeof integrity !== 'string') {
    const isInside = inBundle === true || bundled === true;
    return locked(
      at,
      isInside ? 'it comes inside the package above it, and has no digest of its own' : 'it has no integrity',
    );
  }
  return locked(at, integrityDigests(integrity));
}

/** Not `file:…`, `git+ssh:…` or an address. */
function isVersion(text: string): boolean {
  return /^[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.+-]*$/.test(text);
}

function entriesOf(value: unknown, what: string): readonly (readonly [string, Entry])[] {
  if (!isEntry(value)) throw malformedLock(`has "${what}" that is no object`);
  return Object.entries(value).map(([name, entry]) => {
    if (!isEntry(entry)) throw malformedLock(`has a package "${printable(name)}" that is no object`);
    return [name, entry] as const;
  });
}

function isEntry(value: unknown): value is Entry {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The line where a name first begins an object; 1 where the file is one line. */
function linesOf(bytes: Uint8Array): (name: string) => number {
  const lines = new Map<string, number>();
  for (const [i, line] of new TextDecoder().decode(bytes).split('\n').entries()) {
    const [, name] = /^\s*("(?:[^"\\]|\\.)*"): \{/.exec(line) ?? [];
    if (name !== undefined && !lines.has(name)) lines.set(name, i + 1);
  }
  return (name) => lines.get(JSON.stringify(name)) ?? 1;
}
