/** The bearer token of an admin port: a file in the data directory, which only the directory's owner can read. */
import { randomBytes } from 'node:crypto';
import { readBounded, tooOpen } from '../disk/bounded.ts';
import { writeFileDurable } from '../disk/files.ts';
import { RuntimeError } from '../runtime-errors.ts';

const MAX_BYTES = 1024;
const TOKEN_FORM = /^[A-Za-z0-9_-]{43}$/;

/** The token: 32 random bytes in base64url, made where the file holds none. @throws RuntimeError `file`, `secret` */
export async function openAdminToken(path: string): Promise<string> {
  const token = await readAdminToken(path);
  if (TOKEN_FORM.test(token)) return token;
  const made = randomBytes(32).toString('base64url');
  await writeFileDurable(path, Buffer.from(`${made}\n`), { mode: 0o600 });
  return made;
}

/** What the file holds, empty where it is not there. @throws RuntimeError `secret`, also where the file is open to others */
export async function readAdminToken(path: string): Promise<string> {
  try {
    const bytes = await readBounded(path, MAX_BYTES, (stats) => {
      const open = tooOpen(path, stats);
      if (open === undefined) return;
      const why = `the admin token in ${path} ${open}; remove the file before the next start if somebody may have read it`;
      throw new RuntimeError('secret', why);
    });
    return Buffer.from(bytes).toString().trim();
  } catch (cause) {
    if (cause instanceof RuntimeError) throw cause;
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT') return '';
    throw new RuntimeError('secret', `the admin token in ${path} cannot be read: ${message}`, { cause });
  }
}
