/** Whether files have changed, without reading them. */
import { type BigIntStats, promises as fs } from 'node:fs';
import { join } from 'node:path';

/** Entries of one directory that are looked at. */
const MAX_ENTRIES = 1000;

/**
 * What `stat` says of the files behind their links, and of the files in directories. Programs that renew a file replace it, or a
 * symbolic link to it or to its directory. All of these change the text.
 */
export async function stampOf(paths: readonly string[]): Promise<string> {
  return (await Promise.all(paths.map(ofPath))).join();
}

async function ofPath(path: string): Promise<string> {
  const stat = await fs.stat(path, { bigint: true }).catch(() => undefined);
  if (stat?.isDirectory() !== true) return text(stat);
  const names = (await fs.readdir(path).catch(() => [])).sort().slice(0, MAX_ENTRIES);
  const inner = names.map(async (name) =>
    text(await fs.stat(join(path, name), { bigint: true }).catch(() => undefined)),
  );
  return [text(stat), ...(await Promise.all(inner))].join();
}

function text(stat: BigIntStats | undefined): string {
  return `${stat?.dev} ${stat?.ino} ${stat?.size} ${stat?.mtimeNs} ${stat?.ctimeNs}`;
}
