/** The documents and the comments name files of this repository: each of them must be there. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readSources } from './support/sources.ts';

const ROOT = join(import.meta.dirname, '..');

/** A path from the root of the repository. Of a URL, a package or another repository something stands before it. */
const PATH = /(?<![\w./@:$-])(?:bench|client|deploy|docs|findings|merkle|server|test|witness)\/[\w.*/-]*[\w*]/g;
const LINK = /\]\(([^)\s]+)\)/g;
/** A source by its name alone, or with a part of its path: `phase.ts`, `store/retry.ts`. */
const NAME = /(?<![\w./@:$*-])[\w-]+(?:\/[\w-]+)*(?:\.[\w-]+)*\.ts\b(?!\.)/g;
/** What a walk through the documents makes beside a file. */
const MADE = /\.(?:(?:pub|key)\.pem|sigstore\.json)$/;

const documents = ['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'bench/RESULTS.md', ...markdownIn('docs')].map(
  (path) => ({ path, text: read(path) }),
);
const sources = readSources(ROOT, ['bench', 'client', 'merkle', 'server', 'test', 'witness']);
const paths = sources.map(({ path }) => path);
const comments = [
  ...sources,
  ...['bundle.js', 'docs/generate.mjs', 'docs/identity-stand-ins.mjs', 'docs/webhook-receiver.mjs'].map((path) => ({
    path,
    text: read(path),
  })),
].map(({ path, text }) => ({ path, text: commentsOf(text) }));

describe('a path in a document or a comment', () => {
  it('is that of a file or a folder here', () => {
    expect(
      [...documents, ...comments].flatMap(({ path, text }) => missingPaths(text).map((p) => `${path}: ${p}`)),
    ).toEqual([]);
  });

  it('may be the end of one', () => {
    const unknown = [...documents, ...comments].flatMap(({ path, text }) =>
      unknownNames(text).map((name) => `${path}: ${name}`),
    );
    expect(unknown).toEqual([]);
    expect(unknownNames('phase.ts and store/retry.ts, not store/phase.ts or nothing.ts')).toEqual([
      'store/phase.ts',
      'nothing.ts',
    ]);
  });

  it('is found in the middle of a text', () => {
    expect(missingPaths('see server/nothing.ts, and (client/nowhere/).')).toEqual([
      'server/nothing.ts',
      'client/nowhere',
    ]);
    expect(
      missingPaths('`server/log/log.ts`, server/log, workerUrl("server/ingest/ingest-worker"), test/**/*.ts'),
    ).toEqual([]);
    expect(missingPaths('https://example.com/docs/x.md, #dist/server/x.js, sigstore/fulcio/docs/x.md')).toEqual([]);
    expect(missingPaths('docs/operation.md.pub.pem')).toEqual([]);
  });
});

describe('docs/dependencies.md', () => {
  it('names each package that a user gets or may need, and no other', () => {
    const { dependencies, optionalDependencies, peerDependencies } = JSON.parse(read('package.json')) as Record<
      'dependencies' | 'optionalDependencies' | 'peerDependencies',
      Record<string, string>
    >;
    const used = [dependencies, optionalDependencies, peerDependencies].flatMap(Object.keys);
    // The first cell of each row; the last table is of readers that are not used.
    const tables = read('docs/dependencies.md').split('## ASN.1')[0]!;
    const firsts = [...tables.matchAll(/^\| (`[^|]+`) \|/gm)].flatMap(([, cell]) => cell!.match(/[^`, ]+/g)!);
    expect(firsts.sort()).toEqual(
      [...new Set(used.map((name) => name.replace(/(?<=^@koromix\/koffi-).*/, '*')))].sort(),
    );
  });

  it('names each package that is built into the explorer', () => {
    const scripts = JSON.parse(read('dist/explorer-sizes.json')) as Record<
      string,
      { readonly modules: readonly string[] }
    >;
    const modules = Object.values(scripts).flatMap((script) => script.modules);
    const packages = modules.flatMap((module) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(module)?.[1] ?? []);
    const text = read('docs/dependencies.md');
    const paragraph = /\*\*The explorer\.\*\*[\s\S]*?\n\n/.exec(text)![0].replaceAll('`@noble/*`', '`@noble/');
    const isNamed = (name: string) => paragraph.includes(name.startsWith('@noble/') ? '`@noble/' : `\`${name}\``);
    expect([...new Set(packages)].filter((name) => !isNamed(name))).toEqual([]);
    expect(packages).toContain('uplot');
  });
});

describe('a link in a document', () => {
  it('leads to a file here', () => {
    const broken = documents.flatMap(({ path, text }) => brokenLinks(path, text).map((link) => `${path}: ${link}`));
    expect(broken).toEqual([]);
  });

  it('is broken where the file is elsewhere or nowhere', () => {
    const text =
      '[a](wire.md) [b](../README.md#try-it) [c](https://example.com/x) [d](nothing.md) [e](../../README.md)';
    expect(brokenLinks('docs/design.md', text)).toEqual(['nothing.md', '../../README.md']);
  });
});

describe('a command in a document, a source or a test', () => {
  it('never lets npx fetch a package of our name, which is not ours', () => {
    const fetching = new RegExp(['npx', '(?:-y |--yes )?stele'].join(' '));
    const texts = [
      ...documents,
      ...sources,
      ...['package.json', 'CHANGELOG.md'].map((path) => ({ path, text: read(path) })),
    ];
    expect(texts.filter(({ text }) => fetching.test(text)).map(({ path }) => path)).toEqual([]);
    expect(fetching.test(['npx', 'stele sign'].join(' '))).toBe(true);
    expect(fetching.test('npx --no-install stele sign')).toBe(false);
  });
});

describe('the risks of docs/policy.md', () => {
  const section = read('docs/policy.md')
    .split('\n## ')
    .find((text) => text.startsWith('Risks of'))!;
  const rows = section
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(1);
  const tests = read('test/client/policy/risks.test.ts');

  it('are eight, each with a rule and with tests that are there', () => {
    expect(rows).toHaveLength(8);
    for (const row of rows) {
      const [risk, rule, cell = ''] = row.replaceAll(/^\| | \|$/g, '').split(' | ');
      expect(rule, risk).toMatch(/`\w+/);
      const titles = [...cell.matchAll(/"([^"]+)"/g)].map(([, title]) => title!);
      expect(titles.length, risk).toBeGreaterThan(0);
      for (const title of titles) expect(tests, title).toContain(`'${title}'`);
    }
  });
});

function missingPaths(text: string): string[] {
  return [...text.matchAll(PATH)]
    .map(([path]) => path)
    .filter(
      (path) => !path.includes('*') && !['', '.ts'].some((end) => existsSync(join(ROOT, path.replace(MADE, '') + end))),
    );
}

function unknownNames(text: string): string[] {
  return [...text.matchAll(NAME)]
    .map(([name]) => name)
    .filter((name) => !paths.some((path) => `/${path}`.endsWith(`/${name}`)));
}

function brokenLinks(path: string, text: string): string[] {
  return [...text.matchAll(LINK)]
    .map(([, link]) => link!)
    .filter((link) => {
      if (/^(?:https?:|#)/.test(link)) return false;
      const target = posix.join(posix.dirname(path), link.replace(/#.*$/, ''));
      return target.startsWith('..') || !existsSync(join(ROOT, target));
    });
}

function commentsOf(text: string): string {
  return text
    .split('\n')
    .filter((line) => /^\s*(?:\/\/|\/?\*)/.test(line))
    .join('\n');
}

function markdownIn(folder: string): string[] {
  return readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `${folder}/${name}`);
}

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}
