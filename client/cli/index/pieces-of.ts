/** What `stele index import` reads: files of bundles, folders of them, and the evidence of images in their registries. */
import { existsSync, statSync } from 'node:fs';
import { opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { printable } from '../../../merkle/printable.ts';
import { ClientError, cancelled, usage } from '../../errors.ts';
import { formatBundle, MAX_BUNDLE } from '../../formats/bundle.ts';
import { parseBundles } from '../../formats/bundle-list.ts';
import { readWhole } from '../files.ts';

/** One piece, or why there is none in this place. */
interface SourcePiece {
  /** For people: a file with a line, or an address. */
  readonly source: string;
  readonly piece: Uint8Array | ClientError;
}

export interface RegistryChoice {
  readonly insecureRegistry?: readonly string[] | undefined;
  readonly registryConfig?: string | undefined;
  readonly authorities?: readonly string[] | undefined;
}

/** A file, or an image. */
type ImportItem = { readonly file: string } | { readonly image: string };

const MAX_FILES = 1_000_000;
const MAX_DEPTH = 16;

/**
 * The files and images that arguments name, folders with everything below them in the order of their paths. Names that begin with a
 * dot are left out, and so are links to folders.
 *
 * @throws ClientError `file`, `usage`, `cancelled`
 */
export async function itemsOf(names: readonly string[], signal: AbortSignal): Promise<readonly ImportItem[]> {
  const items: ImportItem[] = [];
  for (const name of names) {
    const stats = statSync(name, { throwIfNoEntry: false });
    if (stats?.isDirectory() === true) {
      const found: string[] = [];
      await collect(name, 0, found, signal);
      items.push(...found.sort((a, b) => (a < b ? -1 : 1)).map((file) => ({ file })));
    } else if (stats !== undefined || existsSync(name)) items.push({ file: name });
    else if (/^[^./].*[:@]/s.test(name)) items.push({ image: name });
    else
      throw new ClientError('file', `${printable(name)} is not there: name files, folders, or images NAME@sha256:HEX`);
  }
  return items;
}

async function collect(folder: string, depth: number, found: string[], signal: AbortSignal): Promise<void> {
  if (depth > MAX_DEPTH) throw usage(`${printable(folder)} lies more than ${MAX_DEPTH} folders deep`);
  const entries = await opendir(folder).catch((cause: NodeJS.ErrnoException) => {
    throw new ClientError('file', `the folder ${printable(folder)} cannot be read: ${cause.code}`, { cause });
  });
  for await (const entry of entries) {
    if (signal.aborted) throw cancelled();
    if (entry.name.startsWith('.')) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await collect(path, depth + 1, found, signal);
    else if (entry.isFile() || (entry.isSymbolicLink() && statSync(path, { throwIfNoEntry: false })?.isFile())) {
      if (found.length >= MAX_FILES) throw usage(`there are more than ${MAX_FILES} files below ${printable(folder)}`);
      found.push(path);
    }
  }
}

/** The pieces of one item. A list and lines of JSON come piece by piece. @throws ClientError of a registry; `cancelled` */
export async function piecesOf(
  item: ImportItem,
  registry: RegistryChoice,
  signal: AbortSignal,
): Promise<readonly SourcePiece[]> {
  if ('image' in item) return await ofImage(item.image, registry, signal);
  const { file } = item;
  try {
    return split(file, await readWhole(file, MAX_BUNDLE, 'a bundle'));
  } catch (error) {
    if (error instanceof ClientError && error.code !== 'cancelled') return [{ source: file, piece: error }];
    throw error;
  }
}

function split(source: string, file: Uint8Array): readonly SourcePiece[] {
  return parseBundles(file).map((one) => {
    const { place } = one;
    const where = place === undefined ? '' : 'line' in place ? ` line ${place.line}` : ` attestations[${place.index}]`;
    const at = `${source}${where}`;
    if ('error' in one) return { source: at, piece: one.error };
    if (place === undefined) return { source: at, piece: file };
    // An item of a list has no bytes of its own.
    return { source: at, piece: one.bytes ?? formatBundle(one.bundle) };
  });
}

async function ofImage(
  name: string,
  { insecureRegistry, registryConfig, authorities }: RegistryChoice,
  signal: AbortSignal,
): Promise<readonly SourcePiece[]> {
  const { parseImageName } = await import('../../evidence/image-name.ts');
  const { registrySource } = await import('../../evidence/registry.ts');
  const image = parseImageName(name);
  const allow = ['loopback', 'private'];
  const registry = registrySource({ insecure: insecureRegistry, configFile: registryConfig, authorities, allow });
  const digest = image.digest ?? (await registry.resolveTag(image, signal));
  const found = await registry.find({ digest, image }, signal);
  return found.flatMap(({ source, bytes }) => {
    try {
      return split(source, bytes);
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      return [{ source, piece: error }];
    }
  });
}
