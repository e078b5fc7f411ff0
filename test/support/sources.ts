/**
 * Reads the imports, exports and names of the source files, for the tests of the borders between rooms, of import circles
 * and of names. The scan is textual, so it finds type imports, `import(…)` in types and in code, re-exports and `require`.
 * It skips comment lines.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';

export interface Source {
  /** Path from the root of the repository, with slashes. */
  readonly path: string;
  readonly text: string;
}

/** All TypeScript files below these folders of `root`. */
export function readSources(root: string, folders: readonly string[]): Source[] {
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => /\.tsx?$/.test(file) && !file.endsWith('.d.ts'))
      .map((file) => {
        const path = posix.join(folder, file.replaceAll('\\', '/'));
        return { path, text: readFileSync(join(root, path), 'utf8') };
      }),
  );
}

export interface Import {
  /** The imported path; undefined if the program computes it. */
  readonly specifier: string | undefined;
  /** A call loads the other module later, or the import is only a type. */
  readonly lazy: boolean;
  /** The imported names, as the other file exports them; undefined for an import of all names or of no names. */
  readonly names: readonly string[] | undefined;
}

const withoutComments = (text: string) =>
  text
    .split('\n')
    .filter((line) => !/^\s*(?:\/\/|\/?\*)/.test(line))
    .join('\n');

export function importsOf(text: string): Import[] {
  const code = withoutComments(text);
  const found: Import[] = [];
  for (const match of code.matchAll(/^\s*(?:import|export)\b(?:([^'"`;]*?)\bfrom)?\s*(['"])([^'"]+)\2/gm)) {
    found.push({ specifier: match[3], lazy: false, names: namesIn(match[1]) });
  }
  for (const match of code.matchAll(/\bimport\s*\(\s*(?:(['"`])([^'"`]+)\1\s*\))?/g)) {
    found.push({ specifier: match[2], lazy: true, names: undefined });
  }
  for (const match of code.matchAll(/\brequire(?:\.resolve)?\s*\(\s*(?:(['"`])([^'"`]+)\1\s*\))?/g)) {
    found.push({ specifier: match[2], lazy: false, names: undefined });
  }
  return found;
}

/** The names in the braces of an import or a re-export. */
function namesIn(clause: string | undefined): string[] | undefined {
  const list = clause?.match(/\{([^}]*)\}/)?.[1];
  return list
    ?.split(',')
    .map((name) =>
      name
        .trim()
        .replace(/^type\s+/, '')
        .replace(/\s+as\s+.*$/, ''),
    )
    .filter((name) => name !== '');
}

/** The file of an import of `path`, if it is a file of the repository. */
export function targetOf(path: string, { specifier }: Import): string | undefined {
  // vite builds what is imported with a query (`?worker&url`): another program, and the same file.
  return specifier?.startsWith('.') ? posix.join(posix.dirname(path), specifier.replace(/\?.*$/, '')) : undefined;
}

/** The names that a file declares and exports, without its re-exports. */
export function exportsOf(text: string): string[] {
  const declared =
    /^export (?:declare )?(?:abstract )?(?:async )?(?:interface|type|class|function\*?|const|let|enum) (\w+)/gm;
  // The declarations of an overloaded function repeat its name.
  return [...new Set([...withoutComments(text).matchAll(declared)].map((match) => match[1]!))];
}

/**
 * The circles of a graph: its strongly connected components of more than one node, and the nodes that lead to themselves.
 * (Tarjan 1972.)
 */
export function circlesOf(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const found: string[][] = [];
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const path: string[] = [];
  const visit = (node: string) => {
    order.set(node, order.size);
    lowest.set(node, order.get(node)!);
    path.push(node);
    for (const next of graph.get(node) ?? []) {
      if (!order.has(next)) visit(next);
      if (path.includes(next)) lowest.set(node, Math.min(lowest.get(node)!, lowest.get(next)!));
    }
    if (lowest.get(node) !== order.get(node)) return;
    const circle = path.splice(path.indexOf(node));
    if (circle.length > 1 || graph.get(node)?.includes(node)) found.push(circle.sort());
  };
  for (const node of graph.keys()) if (!order.has(node)) visit(node);
  return found.sort();
}

export function circlesOfImports(sources: readonly Source[]): string[][] {
  return circlesOf(
    new Map(sources.map(({ path, text }) => [path, importsOf(text).flatMap((found) => targetOf(path, found) ?? [])])),
  );
}

const roomOf = (path: string) => path.split('/')[0]!;

/** `name: file, file` for each name that two files of a room declare, or more than two files overall. */
export function namesDeclaredTwice(sources: readonly Source[]): string[] {
  const files = new Map<string, string[]>();
  for (const { path, text } of sources) {
    for (const name of exportsOf(text)) files.set(name, [...(files.get(name) ?? []), path]);
  }
  return [...files]
    .filter(([, paths]) => paths.length > 2 || new Set(paths.map(roomOf)).size < paths.length)
    .map(([name, paths]) => `${name}: ${paths.sort().join(', ')}`)
    .sort();
}

/** `<room>: <name>: <file>, <file>` for each name that two files of a room share. Each folder may have its `types.ts`. */
export function basenamesSharedIn(paths: readonly string[]): string[] {
  const files = new Map<string, string[]>();
  for (const path of paths) {
    const name = `${roomOf(path)}: ${posix.basename(path)}`;
    if (posix.basename(path) !== 'types.ts') files.set(name, [...(files.get(name) ?? []), path]);
  }
  return [...files]
    .filter(([, shared]) => shared.length > 1)
    .map(([name, shared]) => `${name}: ${shared.sort().join(', ')}`)
    .sort();
}

/**
 * `file: name` for each name that a file of `sources` exports and no file of `readers` imports. An import of a whole module
 * (`import *`, `import(…)`) reads all of its names.
 */
export function exportsUnread(sources: readonly Source[], readers: readonly Source[]): string[] {
  const read = new Map<string, Set<string> | 'all'>();
  for (const { path, text } of readers) {
    for (const found of importsOf(text)) {
      const target = targetOf(path, found);
      if (target === undefined || read.get(target) === 'all') continue;
      if (found.names === undefined) read.set(target, 'all');
      else read.set(target, new Set([...(read.get(target) ?? []), ...found.names]));
    }
  }
  return sources
    .flatMap(({ path, text }) => {
      const names = read.get(path);
      return names === 'all'
        ? []
        : exportsOf(text)
            .filter((name) => !names?.has(name))
            .map((name) => `${path}: ${name}`);
    })
    .sort();
}
