/**
 * Cargo.lock (the Cargo book, "Cargo.toml vs Cargo.lock"), in the lines that Cargo writes. It is TOML, of which Cargo writes
 * one form only; a file in another form is refused.
 */
import { printable } from '../../../merkle/printable.ts';
import {
  addressProblem,
  checkLockSize,
  hexDigest,
  type LockedPackage,
  type LockHosts,
  locked,
  lockedPurl,
  malformedLock,
} from './locked-package.ts';

type Fields = Map<string, string>;

/** Packages of the workspace have no source: they are the project itself. @throws ClientError `lock` */
export function readCargoLock(text: string, hosts: LockHosts): readonly LockedPackage[] {
  const found: { readonly fields: Fields; readonly line: number }[] = [];
  let fields: Fields = new Map();
  let isInList = false;
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    const [, key, value, opens] = /^([a-z-]+) = (?:"([^"\\]*)"|(\[)|[0-9]+|\[\])$/.exec(line) ?? [];
    if (isInList) {
      if (line === ']') isInList = false;
      else if (!/^ "[^"\\]*",$/.test(line)) throw unreadable(i);
    } else if (line === '[[package]]') {
      fields = new Map();
      found.push({ fields, line: i + 1 });
      checkLockSize(found.length);
    } else if (key !== undefined) {
      if (fields.has(key)) throw unreadable(i);
      fields.set(key, value ?? '');
      isInList = opens !== undefined;
    } else if (line !== '' && !line.startsWith('#')) throw unreadable(i);
  }
  if (isInList) throw malformedLock('ends within a list');
  return found.flatMap((one) => packageOf(one.fields, one.line, hosts));
}

function packageOf(fields: Fields, line: number, hosts: LockHosts): readonly LockedPackage[] {
  const [name, version, source, checksum] = ['name', 'version', 'source', 'checksum'].map((key) => fields.get(key));
  if (name === undefined || version === undefined) throw unreadable(line - 1);
  if (source === undefined) return [];
  const at = { name: lockedPurl('cargo', name, version) ?? printable(`${name} ${version}`), line };
  const [, address] = /^(?:registry|sparse)\+(.*)$/.exec(source) ?? [];
  if (address === undefined)
    return [locked(at, `it comes from ${printable(source)}, whose bytes the lock file does not fix`)];
  const problem = addressProblem(address, hosts);
  if (problem !== undefined) return [locked(at, problem)];
  const digest = checksum === undefined ? undefined : hexDigest('sha256', checksum);
  return [locked(at, digest === undefined ? 'it has no checksum' : [digest])];
}

function unreadable(index: number): Error {
  return malformedLock(`is not as Cargo of version 1.41 or later writes it, in line ${index + 1}`);
}
