/**
 * The third part of `npm run build`: makes the page of `client/explorer/` with vite.
 *
 *   dist/explorer/index.html        no script and no style inside: its policy forbids both
 *   dist/explorer/assets/*          named after their contents, each also compressed (.br, .gz)
 *   dist/explorer/assets/LICENSES   of the packages in them
 *
 * Nothing is done where the sources and packages are the ones of the last build.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';

const OUT = 'dist/explorer';
/** Which files went into the page, and the hash of them all. The package leaves it out. */
const INPUTS = 'dist/explorer-inputs.json';
const SIZES = 'dist/explorer-sizes.json';
const ROOT = 'client/explorer';
/** A view that another view needs is loaded with it. */
const QUIET = { pluginTimings: false, ineffectiveDynamicImport: false };
const ALWAYS = ['bundle-explorer.js', 'package-lock.json', `${ROOT}/index.html`, `${ROOT}/tsconfig.json`];

function hashOf(files) {
  const hash = createHash('sha256');
  for (const file of files) hash.update(`${file}\n`).update(existsSync(file) ? readFileSync(file) : 'gone');
  return hash.digest('hex');
}

const before = existsSync(INPUTS) && existsSync(`${OUT}/index.html`) ? JSON.parse(readFileSync(INPUTS, 'utf8')) : undefined;

/**
 * Of node-forge, which is CommonJS and so comes whole, the page needs the reader and writer of ASN.1 and its buffer: 40 kB less, and
 * names of object identifiers for printing, 6 kB less.
 */
const leanForge = {
  name: 'lean-forge',
  transform(code, id) {
    if (/\/node-forge\/lib\/oids\.js$/.test(id)) return { code: '', map: null };
    if (!/\/node-forge\/lib\/util\.js$/.test(id)) return null;
    const pieces = [
      /^var util = module\.exports = forge\.util = .*$/m,
      /^util\.isArray = [^]*?(?=^\/\*\* End Buffer w\/BinaryString backing)/m,
      /^util\.createBuffer = [^]*?^\};$/m,
      /^util\.encodeUtf8 = [^]*?^\};$/m,
    ].map((piece) => piece.exec(code)?.[0]);
    if (pieces.includes(undefined)) throw new Error('node-forge is written in another way now: change bundle-explorer.js');
    return { code: `var forge = require('./forge');\n${pieces.join('\n')}`, map: null };
  },
};

async function makePage() {
  const { build } = await import('vite');
  rmSync(OUT, { recursive: true, force: true });
  const inputs = new Set(ALWAYS);
  /** Bytes of each script that a browser gets, and the modules in it. */
  const scripts = {};
  const watch = {
    name: 'inputs',
    generateBundle(_, bundle) {
      for (const chunk of Object.values(bundle)) {
        for (const id of chunk.moduleIds ?? []) {
          const file = relative('.', id.replace(/^\0/, '').replace(/\?.*$/, ''));
          if (existsSync(file)) inputs.add(file);
        }
        if (chunk.type === 'chunk') {
          scripts[chunk.fileName] = chunk.moduleIds.map((id) => relative('.', id.replace(/^\0/, '')));
        }
        for (const file of chunk.originalFileNames ?? []) inputs.add(join(ROOT, file));
      }
    },
  };
  await build({
    configFile: false,
    envDir: false,
    root: ROOT,
    // The page may lie below any path of any server.
    base: './',
    publicDir: false,
    logLevel: 'warn',
    plugins: [leanForge, watch],
    oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
    worker: {
      format: 'es',
      plugins: () => [leanForge, watch],
      rolldownOptions: {
        checks: QUIET,
        output: {
          // Few files are smaller than many. What the first look needs comes first; RE2 where a pattern is used.
          codeSplitting: {
            groups: [
              { name: 're2', test: /\/re2js\//, priority: 3, includeDependenciesRecursively: false },
              { name: 'look', test: /\/worker\/(?:look-at-log|look-around|read-explorer|compare-checkpoints)\.ts$/, priority: 2 },
              { name: 'verify', test: /\/worker\/(?!explorer-worker|tasks|protocol)[a-z-]+\.ts$/, priority: 1 },
            ],
          },
        },
      },
    },
    build: {
      outDir: `../../${OUT}`,
      emptyOutDir: true,
      target: 'es2023',
      // A data: URL is nothing that the policy of the page lets through.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      reportCompressedSize: false,
      rolldownOptions: {
        checks: QUIET,
        output: {
          codeSplitting: {
            groups: [{ name: 'views', test: /\/page\/(?!start-page|growth-plot)[a-z-]+\.tsx?$/ }],
          },
        },
      },
    },
  });
  const assets = readdirSync(join(OUT, 'assets')).map((name) => `assets/${name}`);
  writeFileSync(join(OUT, 'assets/LICENSES'), licensesOf(inputs));
  const sizes = {};
  await Promise.all(
    ['index.html', ...assets].map(async (name) => {
      const bytes = readFileSync(join(OUT, name));
      const brotli = await promisify(brotliCompress)(bytes, {
        params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY },
      });
      writeFileSync(join(OUT, `${name}.br`), brotli);
      writeFileSync(join(OUT, `${name}.gz`), await promisify(gzip)(bytes, { level: 9 }));
      if (name.endsWith('.js')) sizes[name] = { plain: bytes.length, brotli: brotli.length, modules: scripts[name] ?? [] };
    }),
  );
  writeFileSync(SIZES, JSON.stringify(sizes, null, 1));
  const files = [...inputs].sort();
  writeFileSync(INPUTS, JSON.stringify({ hash: hashOf(files), files }));
}

function licensesOf(files) {
  const packages = [...files].map((file) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1]);
  const names = [...new Set(packages.filter((name) => name !== undefined && existsSync(`node_modules/${name}`)))].sort();
  return names
    .map((name) => {
      const file = readdirSync(`node_modules/${name}`).find((one) => /^licen[cs]e/i.test(one));
      if (file === undefined) throw new Error(`${name} has no license file: bundle-explorer.js needs it`);
      return `${name}\n\n${readFileSync(`node_modules/${name}/${file}`, 'utf8')}`;
    })
    .join('\n\n');
}

if (before === undefined || before.hash !== hashOf(before.files)) await makePage();
