/** What a lock file fixes, before anything of it is fetched. */
import { decodeBase64, decodeHex } from '../../../merkle/bytes.ts';
import { printable } from '../../../merkle/printable.ts';
import type { HashName } from '../../../merkle/rekor/hashes.ts';
import { formatPurl, PurlProblem, parsePurl } from '../../../merkle/runtime/policy/purl/purl.ts';
import { ClientError } from '../../errors.ts';

export interface LockedDigest {
  readonly hash: HashName;
  readonly value: Uint8Array;
}

/** One entry of a lock file. */
export interface LockedPackage {
  /** The purl, or the entry's own words where it has none. */
  readonly name: string;
  /** In the lock file, from 1. */
  readonly line: number;
  /** Any of these bytes may be installed, so each must be allowed. Empty where there is a problem. */
  readonly digests: readonly LockedDigest[];
  /** Why nobody can tell which bytes are installed. */
  readonly problem?: string;
}

/** Hosts from which packages may come; undefined for any. */
export type LockHosts = readonly string[] | undefined;

/** Most entries of a lock file. */
const MAX_LOCKED = 50_000;

export function malformedLock(why: string): ClientError {
  return new ClientError('lock', `the lock file ${why}`);
}

export function checkLockSize(count: number): void {
  if (count > MAX_LOCKED) throw malformedLock(`has more than ${MAX_LOCKED} packages`);
}

/** An entry with its digests, or with the reason why it has none. */
export function locked(
  entry: { readonly name: string; readonly line: number },
  digests: readonly LockedDigest[] | string,
): LockedPackage {
  return typeof digests === 'string' ? { ...entry, digests: [], problem: digests } : { ...entry, digests };
}

/** The canonical purl of a package; undefined where the names give none. */
export function lockedPurl(type: string, name: string, version: string): string | undefined {
  const path = name.split('/').map(encodeURIComponent).join('/');
  try {
    return formatPurl(parsePurl(`pkg:${type}/${path}@${encodeURIComponent(version)}`));
  } catch (error) {
    if (error instanceof PurlProblem) return undefined;
    throw error;
  }
}

/**
 * Subresource Integrity, as npm and pnpm write it: of several hashes the strongest kind counts, and each of its digests is
 * good. A text is the reason why there is none.
 */
export function integrityDigests(integrity: string): readonly LockedDigest[] | string {
  const parts = integrity.trim().split(/\s+/);
  const strongest = (['sha512', 'sha384', 'sha256'] as const).find((hash) =>
    parts.some((one) => one.startsWith(`${hash}-`)),
  );
  if (strongest === undefined)
    return `its integrity is ${printable(integrity.slice(0, 60))}, and no hash from SHA-256 on`;
  const digests: LockedDigest[] = [];
  for (const part of parts.filter((one) => one.startsWith(`${strongest}-`))) {
    const digest = digestOf(strongest, () => decodeBase64(part.slice(strongest.length + 1).replace(/\?.*$/, '')));
    if (digest === undefined) return `its integrity ${printable(part.slice(0, 100))} is malformed`;
    digests.push(digest);
  }
  return digests;
}

/** `sha256` and hex. */
export function hexDigest(hash: string, hex: string): LockedDigest | undefined {
  if (hash !== 'sha256' && hash !== 'sha384' && hash !== 'sha512') return undefined;
  return digestOf(hash, () => decodeHex(hex));
}

function digestOf(hash: LockedDigest['hash'], decode: () => Uint8Array): LockedDigest | undefined {
  let value: Uint8Array;
  try {
    value = decode();
  } catch {
    return undefined;
  }
  return value.length === { sha256: 32, sha384: 48, sha512: 64 }[hash] ? { hash, value } : undefined;
}

/** Why a package may not come from this address; undefined where it may. */
export function addressProblem(address: string, hosts: LockHosts): string | undefined {
  let url: URL;
  try {
    url = new URL(address);
  } catch {
    return `it comes from ${printable(address.slice(0, 100))}, which is no address of a registry`;
  }
  const { protocol, hostname, username, password } = url;
  if (protocol !== 'https:') return `it comes from ${printable(address.slice(0, 100))}, and not by https`;
  if (username !== '' || password !== '') return 'its address holds a password or a user';
  if (hosts === undefined || hosts.includes(hostname)) return undefined;
  return `it comes from the host ${printable(hostname)}; --lock-host names ${hosts.map(printable).join(', ')}`;
}
