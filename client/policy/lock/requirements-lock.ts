/** requirements.txt with hashes (pip's documentation, "Requirements File Format" and "Secure installs"). */
import { printable } from '../../../merkle/printable.ts';
import {
  checkLockSize,
  hexDigest,
  type LockedDigest,
  type LockedPackage,
  locked,
  lockedPurl,
  malformedLock,
} from './locked-package.ts';

/** Options that choose among files of one digest list, and fetch nothing of their own. */
const HARMLESS = /^--(?:require-hashes|only-binary|no-binary|prefer-binary|pre)(?:[ =].*)?$/;
const REQUIREMENT = /^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[A-Za-z0-9._,\s-]*\])?\s*==\s*([^\s;=*]+)\s*(?:;.*)?$/;

/** Each digest of a requirement may be the one that is installed. @throws ClientError `lock` */
export function readRequirements(text: string): readonly LockedPackage[] {
  const found: LockedPackage[] = [];
  for (const { line, number } of logicalLines(text)) {
    checkLockSize(found.length + 1);
    if (HARMLESS.test(line)) continue;
    found.push(requirementOf(line, number));
  }
  if (found.length === 0) throw malformedLock('has no requirement');
  return found;
}

function requirementOf(line: string, number: number): LockedPackage {
  const [head = '', ...options] = line.split(/\s+(?=--hash[= ])/);
  const [, name, version] = REQUIREMENT.exec(head) ?? [];
  const purl = name === undefined || version === undefined ? undefined : lockedPurl('pypi', name, version);
  const at = { name: purl ?? printable(head), line: number };
  if (purl === undefined) return locked(at, 'it is no requirement of the form NAME==VERSION');
  const digests: LockedDigest[] = [];
  for (const option of options) {
    const [, hash = '', hex = ''] = /^--hash[= ]([a-z0-9]+):([0-9a-f]+)$/.exec(option) ?? [];
    const digest = hexDigest(hash, hex);
    if (digest === undefined) return locked(at, `${printable(option)} is no digest from SHA-256 on`);
    digests.push(digest);
  }
  return locked(at, digests.length === 0 ? 'it has no --hash' : digests);
}

/** Lines without comments, joined where one ends with a backslash. */
function logicalLines(text: string): { readonly line: string; readonly number: number }[] {
  const out: { line: string; number: number }[] = [];
  let open = false;
  for (const [i, raw] of text.split(/\r?\n/).entries()) {
    const isComment = /^\s*#/.test(raw);
    const line = isComment ? '' : raw.replace(/\s+#.*$/, '');
    const goesOn = line.endsWith('\\');
    const part = (goesOn ? line.slice(0, -1) : line).trim();
    if (open) out.at(-1)!.line = `${out.at(-1)!.line} ${part}`.trim();
    else if (part !== '' || goesOn) out.push({ line: part, number: i + 1 });
    open = goesOn;
  }
  return out.filter(({ line }) => line !== '');
}
