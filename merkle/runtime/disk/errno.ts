/**
 * What the operating system said of a failed call. Node gives the name of the error number in `code`; LevelDB and native
 * modules give the C library's words for it, within their message.
 */

/** The words of the C library for the errors that are told apart (strerror(3) of glibc, musl and macOS). */
const WORDS: readonly (readonly [words: RegExp, name: string])[] = [
  [/no space left on (?:the )?device/i, 'ENOSPC'],
  [/quota exceeded/i, 'EDQUOT'],
  [/file too large/i, 'EFBIG'],
  [/permission denied/i, 'EACCES'],
  [/operation not permitted/i, 'EPERM'],
  [/read-only file ?system/i, 'EROFS'],
  [/too many open files/i, 'EMFILE'],
  [/(?:input\/output|i\/o) error$/i, 'EIO'],
  [/cannot allocate memory|out of memory/i, 'ENOMEM'],
  [/stale (?:nfs )?file handle/i, 'ESTALE'],
];

/** Such as `ENOSPC`: of the error, or of the first of its causes that has one. Undefined where nothing of the kind is said. */
export function errnoOf(error: unknown): string | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    const code = 'code' in at ? at.code : undefined;
    if (typeof code === 'string' && /^E[A-Z0-9]+$/.test(code)) return code;
    // LevelDB begins every error of a call with "IO error: ", whatever the reason.
    const reason = at.message.replaceAll('IO error: ', '');
    const known = WORDS.find(([words]) => words.test(reason));
    if (known !== undefined) return known[1];
  }
  return undefined;
}

/** Whether there was no room: on the disk, in the quota of the user, or below the limit on the size of a file. */
export function isFull(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EFBIG'].includes(errnoOf(error) ?? '');
}

/**
 * Whether the call was not let through or had no means, so that its failure says nothing about the bytes on the disk. A file
 * that is missing, or is of another kind than it must be, is not among these.
 */
export function couldNotTry(error: unknown): boolean {
  const errno = errnoOf(error);
  return errno !== undefined && !OF_THE_FILE.includes(errno);
}

const OF_THE_FILE = ['ENOENT', 'ENOTDIR', 'EISDIR', 'EEXIST', 'ENOTEMPTY', 'ELOOP', 'EINVAL'];
