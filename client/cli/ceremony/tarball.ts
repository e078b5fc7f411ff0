/** The files of a package of npm: a gzipped tar in the form of POSIX.1-2001 (pax). */
import { gunzipSync } from 'node:zlib';
import { ClientError } from '../../errors.ts';

/** In bytes, packed and unpacked. */
export const MAX_PACKAGE = 256 * 1024 * 1024;
const BLOCK = 512;
const TOP = 'package/';

/** The regular files by their path below `package/`. @throws ClientError `ceremony` where it is no such package */
export function filesOfPackage(tgz: Uint8Array): ReadonlyMap<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  const tar = unpacked(tgz);
  let longName: string | undefined;
  for (let at = 0; at + BLOCK <= tar.length; ) {
    const header = tar.subarray(at, at + BLOCK);
    if (header.every((byte) => byte === 0)) break;
    const size = Number.parseInt(text(header, 124, 12) || '0', 8);
    const content = tar.subarray(at + BLOCK, at + BLOCK + size);
    if (!Number.isSafeInteger(size) || size < 0 || content.length !== size)
      throw damaged('one of its files is cut off');
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
    const kind = String.fromCharCode(header[156]!);
    if (kind === 'x') {
      longName = /(?:^|\n)\d+ path=([^\n]*)\n/.exec(Buffer.from(content).toString())?.[1];
      continue;
    }
    const prefix = text(header, 345, 155);
    const name = longName ?? (prefix === '' ? text(header, 0, 100) : `${prefix}/${text(header, 0, 100)}`);
    longName = undefined;
    if (kind !== '0' && kind !== '\0') continue;
    if (!name.startsWith(TOP) || name.split('/').some((part) => part === '..' || part === '' || part === '.')) {
      throw damaged(`it holds ${JSON.stringify(name.slice(0, 100))}`);
    }
    if (files.has(name.slice(TOP.length))) throw damaged(`it holds ${name} twice`);
    files.set(name.slice(TOP.length), content);
  }
  if (!files.has('package.json')) throw damaged('it holds no package.json');
  return files;
}

function unpacked(tgz: Uint8Array): Buffer {
  try {
    return gunzipSync(tgz, { maxOutputLength: MAX_PACKAGE });
  } catch (cause) {
    throw damaged(`it is not gzipped, is cut off, or has more than ${MAX_PACKAGE} bytes`, cause);
  }
}

function text(header: Uint8Array, from: number, length: number): string {
  return Buffer.from(header.subarray(from, from + length))
    .toString('latin1')
    .replace(/[\0 ][\s\S]*$/, '');
}

function damaged(why: string, cause?: unknown): ClientError {
  return new ClientError('ceremony', `the package is not one that npm packed: ${why}`, { cause });
}
