/** Which lock file it is, by its name. */
import { basename } from 'node:path';
import { decodeUtf8 } from '../../../merkle/bytes.ts';
import { printable } from '../../../merkle/printable.ts';
import { ClientError } from '../../errors.ts';
import { readCargoLock } from './cargo-lock.ts';
import { type LockedPackage, type LockHosts, malformedLock } from './locked-package.ts';
import { readNpmLock } from './npm-lock.ts';
import { readPnpmLock } from './pnpm-lock.ts';
import { readRequirements } from './requirements-lock.ts';

/** Largest lock file, in bytes. */
export const MAX_LOCK_FILE = 64 * 1024 * 1024;

/** @throws ClientError `lock`: it is no lock file that is read here, or is malformed; `malformed` for JSON */
export function readLock(file: string, bytes: Uint8Array, hosts: LockHosts): readonly LockedPackage[] {
  const name = basename(file);
  if (/^(?:package-lock|npm-shrinkwrap|\.package-lock)\.json$/.test(name))
    return readNpmLock(bytes, MAX_LOCK_FILE, hosts);
  if (name === 'pnpm-lock.yaml') return readPnpmLock(textOf(bytes), hosts);
  if (name === 'Cargo.lock') return readCargoLock(textOf(bytes), hosts);
  if (/^requirements.*\.txt$/.test(name)) return readRequirements(textOf(bytes));
  const known = 'package-lock.json, npm-shrinkwrap.json, pnpm-lock.yaml, Cargo.lock and requirements.txt';
  throw new ClientError('lock', `${printable(file)} has not the name of a lock file that is read here: ${known}`);
}

function textOf(bytes: Uint8Array): string {
  try {
    return decodeUtf8(bytes);
  } catch {
    throw malformedLock('is not UTF-8 text');
  }
}
