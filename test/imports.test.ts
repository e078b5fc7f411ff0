/**
 * The walls between the rooms, over all sources: what may import what, no circles, and names that mean one thing. How the
 * sources are read: support/sources.ts.
 */
import { readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join, posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  basenamesSharedIn,
  circlesOf,
  circlesOfImports,
  exportsUnread,
  type Import,
  importsOf,
  namesDeclaredTwice,
  readSources,
} from './support/sources.ts';

const ROOT = join(import.meta.dirname, '..');
const ROOMS = ['merkle', 'server', 'witness', 'client'];

const isPure = (path: string) => path.startsWith('merkle/') && !isRuntime(path);
const isRuntime = (path: string) => path.startsWith('merkle/runtime/');
/** Where files may be touched: the runtime, the stores, the configuration and the command line. */
const mayTouchFiles = (path: string) =>
  isRuntime(path) ||
  /^(?:server|witness|client)\/(?:[a-z-]+\/)*(?:(?:store|config)\/|(?:[a-z]+-)?(?:store|config)\.ts$)/.test(path) ||
  isCli(path);
const isCli = (path: string) => path.startsWith('client/cli/');
const FILES = /^(?:node:)?fs(?:\/|$)/;
const THREADS = /^(?:(?:node:)?(?:worker_threads|cluster)|piscina)$/;

/** The page and its worker, which vite builds for browsers. */
const isPage = (path: string) => /^client\/explorer\/(?:page|worker)\//.test(path);
const OF_PAGES = /^(?:preact(?:\/hooks)?|uplot(?:\/dist\/uPlot\.min\.css)?)$/;

/** Why `path` must not have this import, or undefined. */
function offence(path: string, { specifier, lazy }: Pick<Import, 'specifier' | 'lazy'>): string | undefined {
  const room = path.split('/')[0]!;
  // Which module the runtime loads can hang on the platform; anywhere else it would pass by this test.
  if (specifier === undefined) return isRuntime(path) ? undefined : 'computed';
  if (specifier.startsWith('.')) {
    const target = posix.join(posix.dirname(path), specifier);
    const targetRoom = target.split('/')[0]!;
    if (isPure(path)) return isPure(target) ? undefined : 'merkle imports itself only';
    if (isPage(target) && !isPage(path)) return 'nothing imports the page';
    if (targetRoom === 'merkle' || targetRoom === room) return undefined;
    if (isCli(path) && lazy && (target === 'server/main.ts' || target === 'witness/main.ts')) return undefined;
    return `${room} does not import ${targetRoom}`;
  }
  if (isPure(path)) {
    // The one pure room that reads ASN.1, and compares identities with patterns.
    const isOfIdentities = path.startsWith('merkle/x509/') && /^(?:node-forge\/lib\/|re2js$)/.test(specifier);
    return specifier.startsWith('@noble/') || isOfIdentities ? undefined : 'merkle imports @noble only';
  }
  if (isPage(path) || OF_PAGES.test(specifier)) {
    return isPage(path) && OF_PAGES.test(specifier)
      ? undefined
      : 'the page alone imports what draws it, and nothing else';
  }
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

const sources = readSources(ROOT, ROOMS);
/** Imported by the programs that use the package. */
const ENTRY_POINTS = ['client/index.ts', 'client/verify.ts'];
const named = sources.filter(({ path }) => !ENTRY_POINTS.includes(path));

/** Every module that `path` loads, with itself, as far as our own sources go; and the packages that they name. */
function closure(path: string, seen = new Map<string, string[]>()): Map<string, string[]> {
  if (seen.has(path)) return seen;
  const packages: string[] = [];
  seen.set(path, packages);
  for (const { specifier = 'import(…)' } of importsOf(readFileSync(join(ROOT, path), 'utf8'))) {
    if (specifier.startsWith('.')) {
      closure(posix.join(posix.dirname(path), specifier.replace(/\?.*$/, '')), seen);
    } else packages.push(specifier);
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

  it('keep everything of Node out of the page and its worker', () => {
    const modules = closure('client/explorer/page/start-page.tsx');
    for (const part of ['page/views.ts', 'worker/explorer-worker.ts', 'worker/tasks.ts', 'worker/look-at-log.ts']) {
      expect([...modules.keys()]).toContain(`client/explorer/${part}`);
    }
    const packages = new Set([...modules.values()].flat());
    const allowed = /^(?:@noble\/|node-forge\/lib\/|re2js$)/;
    expect([...packages].filter((name) => !allowed.test(name) && !OF_PAGES.test(name))).toEqual([]);
    expect([...modules.keys()].filter((path) => isRuntime(path) || isCli(path))).toEqual([]);
  });

  it('hold in every source', () => {
    expect(sources.length).toBeGreaterThan(20);
    expect(sources.flatMap(({ path, text }) => offences(path, text))).toEqual([]);
  });

  it('merkle needs no platform: no Buffer, no process, no clock, no chance, no network, no console', () => {
    const platform =
      /\b(?:Buffer|process|Date|performance|setTimeout|setInterval|setImmediate|console|fetch|globalThis|Math\.random)\b/;
    for (const { path, text } of sources) {
      if (!isPure(path)) continue;
      const code = text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
      expect(platform.exec(code)?.[0], path).toBeUndefined();
    }
  });

  it.each([
    ['merkle/a.ts', `import { x } from 'node:crypto';`],
    ['merkle/a.ts', `import 'pino';`],
    ['merkle/a.ts', `import asn1 from 'node-forge/lib/asn1.js';`],
    ['merkle/x509/a.ts', `import forge from 'node-forge';`],
    ['merkle/a.ts', `import { RE2JS } from 're2js';`],
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
    ['client/a.ts', `import { h } from 'preact';`],
    ['client/explorer/a.ts', `import uPlot from 'uplot';`],
    ['client/explorer/page/a.tsx', `import { readFile } from 'node:fs/promises';`],
    ['client/explorer/page/a.tsx', `import { RE2JS } from 're2js';`],
    ['client/explorer/worker/a.ts', `import { z } from 'commander';`],
    ['client/a.ts', `import { x } from './explorer/page/a.tsx';`],
    ['client/cli/a.ts', `const x = await import('../explorer/worker/a.ts');`],
  ])('refuse in %s: %s', (path, source) => expect(offences(path, source)).toHaveLength(1));

  it.each([
    ['merkle/a.ts', `import { sha256 } from '@noble/hashes/sha2.js';\nimport { b } from './b.ts';`],
    ['merkle/x509/a.ts', `import asn1 from 'node-forge/lib/asn1.js';\nimport { RE2JS } from 're2js';`],
    ['merkle/runtime/a.ts', `import { x } from 'node:fs';\nimport { Piscina } from 'piscina';\nawait import(name);`],
    ['server/a.ts', `import { x } from '../merkle/runtime/a.ts';\nimport router from 'find-my-way';`],
    ['server/a.ts', `// import { x } from '../client/a.ts';\n/**\n * import('../client/a.ts')\n */`],
    ['server/ingest/worker.ts', `import { Piscina } from 'piscina';`],
    ['server/store/a.ts', `import { open } from 'node:fs/promises';`],
    ['client/submit/queue/queue-store.ts', `import { open } from 'node:fs/promises';`],
    ['server/ingest/ingest-worker.ts', `import { move } from 'piscina';`],
    ['client/explorer/page/a.tsx', `import { h } from 'preact';\nimport { b } from '../worker/b.ts?worker&url';`],
    ['client/cli/a.ts', `type A = typeof import('../../server/main.ts');\nawait import('../../witness/main.ts');`],
  ])('allow in %s: %s', (path, source) => expect(offences(path, source)).toEqual([]));
});

describe('circles of imports', () => {
  it('are in no source, types included', () => {
    expect(circlesOfImports(sources).map((circle) => circle.join(' '))).toEqual([]);
  });

  it.each([
    ['two files', { a: ['b'], b: ['a'] }, [['a', 'b']]],
    ['a file and itself', { a: ['a'] }, [['a']]],
    ['a long way round', { a: ['b'], b: ['c'], c: ['d'], d: ['b'] }, [['b', 'c', 'd']]],
    ['two circles that share a file', { a: ['b', 'c'], b: ['a'], c: ['a'] }, [['a', 'b', 'c']]],
    [
      'two circles, one behind the other',
      { a: ['b'], b: ['a', 'c'], c: ['d'], d: ['c'] },
      [
        ['a', 'b'],
        ['c', 'd'],
      ],
    ],
  ])('are found: %s', (_, graph, circles) => expect(circlesOf(new Map(Object.entries(graph)))).toEqual(circles));

  it.each([
    ['a tree', { a: ['b', 'c'], b: ['d'], c: ['d'], d: [] }],
    ['a diamond of depth', { a: ['b', 'd'], b: ['c'], c: ['d'], d: [] }],
    ['a file that is not there', { a: ['b'] }],
  ])('are not seen in %s', (_, graph) => expect(circlesOf(new Map(Object.entries(graph)))).toEqual([]));

  it('are found through types and lazy imports', () => {
    const files = [
      { path: 'server/a.ts', text: `import type { B } from './sub/b.ts';` },
      { path: 'server/sub/b.ts', text: `const c = await import('../c.ts');` },
      { path: 'server/c.ts', text: `export { a } from './a.ts';\nimport { x } from 'server/a.ts';` },
      { path: 'server/d.ts', text: `// import { d } from './d.ts';\nimport { a } from './a.ts';` },
    ];
    expect(circlesOfImports(files)).toEqual([['server/a.ts', 'server/c.ts', 'server/sub/b.ts']]);
  });
});

describe('names', () => {
  it('are exported by one file of a room and by at most two files overall', () => {
    expect(namesDeclaredTwice(named)).toEqual([]);
  });

  it('tell files of a room apart without their folders', () => {
    expect(basenamesSharedIn(sources.map(({ path }) => path))).toEqual([]);
  });

  it('are exported for somebody', () => {
    const readers = [...sources, ...readSources(ROOT, ['test', 'bench'])];
    expect(exportsUnread(named, readers)).toEqual([]);
  });

  it.each([
    ['twice in a room', { 'server/a.ts': 'export interface A {}', 'server/b/c.ts': 'export type A = 1;' }],
    [
      'in three rooms',
      { 'server/a.ts': 'export class A {}', 'client/a.ts': 'export const A = 1;', 'merkle/a.ts': 'export enum A {}' },
    ],
  ])('are refused %s', (_, files) => expect(namesDeclaredTwice(sourcesOf(files))).toHaveLength(1));

  it.each([
    ['once in each of two rooms', { 'server/a.ts': 'export interface A {}', 'client/a.ts': 'export type A = 1;' }],
    ['once, overloaded', { 'server/a.ts': 'export function a(): void;\nexport async function a() {}' }],
    [
      'once, and not exported elsewhere',
      { 'server/a.ts': 'export const a = 1;', 'server/b.ts': 'const a = 1;\n// export const a' },
    ],
    ['once, and handed on', { 'server/a.ts': 'export const a = 1;', 'server/b.ts': `export { a } from './a.ts';` }],
  ])('are allowed %s', (_, files) => expect(namesDeclaredTwice(sourcesOf(files))).toEqual([]));

  it('of files are refused twice in a room, but for contracts', () => {
    expect(
      basenamesSharedIn(['server/a.ts', 'server/x/a.ts', 'client/a.ts', 'server/types.ts', 'server/x/types.ts']),
    ).toEqual(['server: a.ts: server/a.ts, server/x/a.ts']);
  });

  it('are found where nobody imports them', () => {
    const files = sourcesOf({
      'server/a.ts': 'export const a = 1;\nexport type B = 2;\nexport function c() {}',
      'server/b.ts': `import { a as x, type B } from './a.ts';\nexport const d = x;`,
      'server/e.ts': 'export const e = 1;',
      'server/f.ts': `export * from './b.ts';\nconst all = await import('./e.ts');`,
    });
    expect(exportsUnread(files, files)).toEqual(['server/a.ts: c']);
  });
});

function sourcesOf(files: Readonly<Record<string, string>>) {
  return Object.entries(files).map(([path, text]) => ({ path, text }));
}
