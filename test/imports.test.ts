/**
 * The walls between the rooms: what may import what, over all sources. The scan is textual, so it sees type imports,
 * `import(…)` in types and in code, re-exports and `require` alike; a comment line is passed over.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join, posix } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..');
const ROOMS = ['merkle', 'server', 'witness', 'client'];

interface Import {
  /** Undefined where it is computed when it runs. */
  readonly specifier: string | undefined;
  /** Loaded where it is called (or only a type), not with the module. */
  readonly lazy: boolean;
}

function importsOf(source: string): Import[] {
  const code = source
    .split('\n')
    .filter((line) => !/^\s*(?:\/\/|\/?\*)/.test(line))
    .join('\n');
  const found: Import[] = [];
  for (const match of code.matchAll(/^\s*(?:import|export)\b(?:[^'"`;]*?\bfrom)?\s*(['"])([^'"]+)\1/gm)) {
    found.push({ specifier: match[2], lazy: false });
  }
  for (const match of code.matchAll(/\bimport\s*\(\s*(?:(['"`])([^'"`]+)\1\s*\))?/g)) {
    found.push({ specifier: match[2], lazy: true });
  }
  for (const match of code.matchAll(/\brequire(?:\.resolve)?\s*\(\s*(?:(['"`])([^'"`]+)\1\s*\))?/g)) {
    found.push({ specifier: match[2], lazy: false });
  }
  return found;
}

const isPure = (path: string) => path.startsWith('merkle/') && !isRuntime(path);
const isRuntime = (path: string) => path.startsWith('merkle/runtime/');
/** Where files may be touched: the runtime, the stores, the configuration and the command line. */
const mayTouchFiles = (path: string) =>
  isRuntime(path) ||
  /^(?:server|witness|client)\/(?:[a-z-]+\/)?(?:store\/|store\.ts$|config\/|config\.ts$)/.test(path) ||
  isCli(path);
const isCli = (path: string) => path.startsWith('client/cli/');
const FILES = /^(?:node:)?fs(?:\/|$)/;
const THREADS = /^(?:(?:node:)?(?:worker_threads|cluster)|piscina)$/;

/** Why `path` must not have this import, or undefined. */
function offence(path: string, { specifier, lazy }: Import): string | undefined {
  const room = path.split('/')[0]!;
  // Which module the runtime loads can hang on the platform; anywhere else it would pass by this test.
  if (specifier === undefined) return isRuntime(path) ? undefined : 'computed';
  if (specifier.startsWith('.')) {
    const target = posix.join(posix.dirname(path), specifier);
    const targetRoom = target.split('/')[0]!;
    if (isPure(path)) return isPure(target) ? undefined : 'merkle imports itself only';
    if (targetRoom === 'merkle' || targetRoom === room) return undefined;
    if (isCli(path) && lazy && (target === 'server/main.ts' || target === 'witness/main.ts')) return undefined;
    return `${room} does not import ${targetRoom}`;
  }
  if (isPure(path)) return specifier.startsWith('@noble/') ? undefined : 'merkle imports @noble only';
  if (isBuiltin(specifier) && !specifier.startsWith('node:')) return 'built-in without node:';
  if (FILES.test(specifier) && !mayTouchFiles(path)) return 'files';
  // A worker's own module hands its results back through piscina; it starts no thread.
  const ownWorker = specifier === 'piscina' && /\bworker\.ts$/.test(path);
  if (THREADS.test(specifier) && !isRuntime(path) && !ownWorker) return 'threads';
  return undefined;
}

function offences(path: string, source: string): string[] {
  return importsOf(source).flatMap((found) => {
    const why = offence(path, found);
    return why === undefined ? [] : [`${path}: ${found.specifier ?? 'import(…)'}: ${why}`];
  });
}

const sources = ROOMS.flatMap((room) =>
  readdirSync(join(ROOT, room), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => {
      const path = posix.join(room, file.replaceAll('\\', '/'));
      return { path, source: readFileSync(join(ROOT, path), 'utf8') };
    }),
);

/** Every module that `path` loads, with itself, as far as our own sources go; and the packages that they name. */
function closure(path: string, seen = new Map<string, string[]>()): Map<string, string[]> {
  if (seen.has(path)) return seen;
  const packages: string[] = [];
  seen.set(path, packages);
  for (const { specifier = 'import(…)' } of importsOf(readFileSync(join(ROOT, path), 'utf8'))) {
    if (specifier.startsWith('.')) closure(posix.join(posix.dirname(path), specifier), seen);
    else packages.push(specifier);
  }
  return seen;
}

describe('import rules', () => {
  it('keep everything of Node out of what verifies in a browser', () => {
    const modules = closure('client/verify.ts');
    expect(modules.size).toBeGreaterThan(20);
    const packages = new Set([...modules.values()].flat());
    expect([...packages].filter((name) => !/^(?:@noble\/|node-forge\/lib\/|re2js$)/.test(name))).toEqual([]);
    expect([...modules.keys()].filter((path) => isRuntime(path) || isCli(path))).toEqual([]);
  });

  it('hold in every source', () => {
    expect(sources.length).toBeGreaterThan(20);
    expect(sources.flatMap(({ path, source }) => offences(path, source))).toEqual([]);
  });

  it('merkle needs no platform: no Buffer, no process, no clock, no chance, no network, no console', () => {
    const platform =
      /\b(?:Buffer|process|Date|performance|setTimeout|setInterval|setImmediate|console|fetch|globalThis|Math\.random)\b/;
    for (const { path, source } of sources) {
      if (!isPure(path)) continue;
      const code = source.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
      expect(platform.exec(code)?.[0], path).toBeUndefined();
    }
  });

  it.each([
    ['merkle/a.ts', `import { x } from 'node:crypto';`],
    ['merkle/a.ts', `import 'pino';`],
    ['merkle/a.ts', `import type { A } from './runtime/a.ts';`],
    ['merkle/sub/a.ts', `export * from '../runtime/a.ts';`],
    ['merkle/a.ts', `type A = import('../server/a.ts').A;`],
    ['merkle/runtime/a.ts', `import { a } from '../../server/a.ts';`],
    ['server/a.ts', `import { a } from '../client/a.ts';`],
    ['server/a.ts', `import {\n  a,\n  type B,\n} from '../witness/a.ts';`],
    ['server/a.ts', `export type { A } from '../client/a.ts';`],
    ['server/a.ts', `import { a } from '../test/support/a.ts';`],
    ['witness/a.ts', `const a = await import('../server/main.ts');`],
    ['client/a.ts', `const a = await import('../server/main.ts');`],
    ['client/cli/a.ts', `import { a } from '../../server/main.ts';`],
    ['client/cli/a.ts', `import type { A } from '../../server/main.ts';`],
    ['client/cli/a.ts', `const a = await import('../../server/log.ts');`],
    ['client/a.ts', `const a = await import(name);`],
    ['client/a.ts', 'const a = await import(`../server/log/log.ts`);'],
    ['client/a.ts', "const a = await import('../server/' + name);"],
    ['server/a.ts', `import { readFile } from 'node:fs/promises';`],
    ['server/a.ts', `import fs from 'fs';`],
    ['server/a.ts', `const fs = require('node:fs');`],
    ['server/a.ts', `import { join } from 'path';`],
    ['server/a.ts', `import { Worker } from 'node:worker_threads';`],
    ['server/a.ts', `import { Piscina } from 'piscina';`],
  ])('refuse in %s: %s', (path, source) => expect(offences(path, source)).toHaveLength(1));

  it.each([
    ['merkle/a.ts', `import { sha256 } from '@noble/hashes/sha2.js';\nimport { b } from './b.ts';`],
    ['merkle/runtime/a.ts', `import { x } from 'node:fs';\nimport { Piscina } from 'piscina';\nawait import(name);`],
    ['server/a.ts', `import { x } from '../merkle/runtime/a.ts';\nimport fastify from 'fastify';`],
    ['server/a.ts', `// import { x } from '../client/a.ts';\n/**\n * import('../client/a.ts')\n */`],
    ['server/ingest/worker.ts', `import { Piscina } from 'piscina';`],
    ['server/store/a.ts', `import { open } from 'node:fs/promises';`],
    ['client/cli/a.ts', `type A = typeof import('../../server/main.ts');\nawait import('../../witness/main.ts');`],
  ])('allow in %s: %s', (path, source) => expect(offences(path, source)).toEqual([]));
});
