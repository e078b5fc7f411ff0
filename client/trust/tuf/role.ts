/** The roles of a TUF repository, and every limit on its files (TUF 1.0.34 sections 4 and 5). */
import { CodedError } from '../../../merkle/errors.ts';
import { printable } from '../../../merkle/printable.ts';
import { ClientError } from '../../errors.ts';

/** Section 2.1: the roles that a root names keys for. */
export const TOP_LEVEL_ROLES = ['root', 'targets', 'snapshot', 'timestamp'] as const;
export type TopLevelRole = (typeof TOP_LEVEL_ROLES)[number];

const MIB = 1024 * 1024;

/** What a client reads at most, and a repository writes at most. */
export const TUF_LIMITS = {
  /** Bytes of a metadata file. A delegated role is as large as `targets`. */
  file: { root: 5 * MIB, targets: 5 * MIB, snapshot: 2 * MIB, timestamp: 16 * 1024 },
  /** Bytes of a target. */
  target: 64 * MIB,
  /** Root versions that one update goes through (section 5.3.3: Y). */
  rootVersions: 1024,
  /** Levels of delegations below `targets`. */
  delegationLevels: 32,
  /** Delegated roles that one search for a target visits. */
  visitedRoles: 1024,
  /** Key IDs of one role, and signatures of one file: each may cost a verification. */
  keys: 256,
  /** Levels of nested arrays and objects. */
  depth: 32,
  /** Characters of a target's name, and of the name of a delegated role. */
  targetName: 512,
  roleName: 128,
} as const;

/** A file name that every mirror serves and every file system takes, without a directory. */
const ROLE_NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]*$/;
/** A path-relative URL (section 4.5: TARGETPATH) whose parts need no escape in any client. */
const PATH_PART = /^[A-Za-z0-9._@+=,~-]+$/;

export function isTopLevelRole(name: string): name is TopLevelRole {
  return (TOP_LEVEL_ROLES as readonly string[]).includes(name);
}

/** Whether a delegated role may have this name: its file is `VERSION.NAME.json`. */
export function isDelegatedName(name: string): boolean {
  return name.length <= TUF_LIMITS.roleName && ROLE_NAME.test(name) && !isTopLevelRole(name) && name !== 'mirrors';
}

/** Whether a target may have this name: parts between slashes, none of them `.` or `..`. */
export function isTargetName(name: string): boolean {
  if (name.length > TUF_LIMITS.targetName) return false;
  return name.split('/').every((part) => PATH_PART.test(part) && part !== '.' && part !== '..');
}

/** The file of a version of a role's metadata on a mirror with consistent snapshots (section 6.2). */
export function metadataFileName(role: string, version: number): string {
  return role === 'timestamp' ? 'timestamp.json' : `${version}.${role}.json`;
}

/** The file of a target below `targets/` on a mirror with consistent snapshots: `DIR/HASH.NAME` (section 6.2). */
export function targetFileName(name: string, sha256: string): string {
  const slash = name.lastIndexOf('/') + 1;
  return `${name.slice(0, slash)}${sha256}.${name.slice(slash)}`;
}

/** The error of metadata that this client does not take. `what` names the file or a part of it. */
export function tufMalformed(what: string, why: string, cause?: unknown): ClientError {
  return new ClientError('tuf-malformed', `${printable(what)} ${why}`, { cause });
}

/** The result of `work`; a coded error of a reader below becomes `tuf-malformed`. */
export function asTufMalformed<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (!(cause instanceof CodedError) || cause instanceof ClientError) throw cause;
    throw tufMalformed(what, `cannot be used: ${cause.message}`, cause);
  }
}
