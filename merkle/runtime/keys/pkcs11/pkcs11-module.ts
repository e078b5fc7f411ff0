/** Where PKCS#11 modules are: a bare file name is looked for where distributions put them, and nowhere else. */
import { realpath } from 'node:fs/promises';
import { basename, isAbsolute, join } from 'node:path';
import { RuntimeError } from '../../runtime-errors.ts';

const TRIPLET: Partial<Record<NodeJS.Architecture, string>> = {
  x64: 'x86_64-linux-gnu',
  arm64: 'aarch64-linux-gnu',
  arm: 'arm-linux-gnueabihf',
  ia32: 'i386-linux-gnu',
  ppc64: 'powerpc64le-linux-gnu',
  riscv64: 'riscv64-linux-gnu',
  s390x: 's390x-linux-gnu',
};

/** Never the current directory or LD_LIBRARY_PATH: what is loaded gets the PIN and runs as this process. */
export function moduleDirectories(): readonly string[] {
  const triplet = TRIPLET[process.arch];
  const debian = triplet === undefined ? [] : [`/usr/lib/${triplet}`];
  return [
    ...debian.flatMap((dir) => [`${dir}/softhsm`, `${dir}/pkcs11`, dir]),
    '/usr/lib/softhsm',
    '/usr/lib/pkcs11',
    '/usr/lib64/softhsm',
    '/usr/lib64/pkcs11',
    '/usr/lib64',
    '/usr/lib',
    '/usr/local/lib/softhsm',
    '/usr/local/lib/pkcs11',
    '/usr/local/lib',
    '/opt/homebrew/lib/softhsm',
    '/opt/homebrew/lib/pkcs11',
    '/opt/homebrew/lib',
  ];
}

/**
 * The real path of a module given as an absolute path or as a bare file name such as `libsofthsm2.so`.
 * @throws RuntimeError `pkcs11-module`; the message lists where it was looked for
 */
export async function findModule(name: string, directories = moduleDirectories()): Promise<string> {
  if (isAbsolute(name)) {
    const path = await realPathIfThere(name);
    if (path !== undefined) return path;
    throw new RuntimeError('pkcs11-module', `there is no PKCS#11 module ${name}: check the path`);
  }
  if (name === '' || name !== basename(name)) {
    throw new RuntimeError(
      'pkcs11-module',
      `the PKCS#11 module "${name}" must be an absolute path or a bare file name`,
    );
  }
  for (const directory of directories) {
    const path = await realPathIfThere(join(directory, name));
    if (path !== undefined) return path;
  }
  throw new RuntimeError(
    'pkcs11-module',
    `the PKCS#11 module ${name} was not found: install it, or give its absolute path. Looked in ${directories.join(', ')}`,
  );
}

async function realPathIfThere(path: string): Promise<string | undefined> {
  try {
    return await realpath(path);
  } catch {
    return undefined;
  }
}
