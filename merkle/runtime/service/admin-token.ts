/** The bearer token of an admin port: a file in the data directory, which only the directory's owner can read. */
import { randomBytes } from 'node:crypto';
import { readFileIfThere, writeFileDurable } from '../disk/files.ts';

const MAX_BYTES = 1024;
const TOKEN_FORM = /^[A-Za-z0-9_-]{43}$/;

/** The token: 32 random bytes in base64url, made where the file holds none. @throws RuntimeError `file` */
export async function openAdminToken(path: string): Promise<string> {
  const token = await readAdminToken(path);
  if (TOKEN_FORM.test(token)) return token;
  const made = randomBytes(32).toString('base64url');
  await writeFileDurable(path, Buffer.from(`${made}\n`), { mode: 0o600 });
  return made;
}

/** What the file holds, empty where it is not there. @throws RuntimeError `file` */
export async function readAdminToken(path: string): Promise<string> {
  const bytes = await readFileIfThere(path, MAX_BYTES);
  return bytes === undefined ? '' : Buffer.from(bytes).toString().trim();
}
