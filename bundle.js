/**
 * The second half of `npm run build`: joins the command line, with all that it starts and the packages that they use,
 * into a few files. Each module costs Node 0.2 to 0.5 ms, and a CommonJS one that is imported up to 40 ms to find its
 * exports; a log and its packages have 1,400 modules, TypeBox alone 679.
 *
 *   dist/client/cli/main.js, dist/chunks/*.cjs   the start, `stele verify` and `stele decide`
 *   dist/chunks/*.js                             all other commands
 *
 * `stele verify` of one file ends at once, so nearly all of its time is its start. Its files are CommonJS: Node then does not
 * start its loader of ES modules. In files of CommonJS a call from one file to another is slower, so that services stay ES
 * modules. bench/RESULTS.md has what each step gives.
 *
 *   dist/leveldb/classic-level.cjs, prebuilds/   the binding of LevelDB, with its library for each platform
 *
 * The package classic-level holds these libraries, and all the same has a script that npm would run, and compile if it had to.
 * So its JavaScript and its libraries become a part of this package.
 *
 *   dist/grpc/grpc-js.cjs                        the gRPC client, for the Workload API of SPIFFE
 *
 * The package @grpc/grpc-js would bring 32 others, one of them with a script, for a loader of .proto files that Stele does not use.
 *
 * The library (dist/client/index.js, dist/client/verify.js) and the workers stay as tsc leaves them. Joined workers would
 * start no faster: theirs is the time of Node's own modules, and of packages that cannot be joined.
 */
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { build } from 'rolldown';

const CLI = 'dist/client/cli';
const ALL = resolve('client/cli/main.ts');

// What tsc made of the command line is all in the joined files.
for (const path of ['dist/chunks', 'dist/leveldb', 'dist/grpc', CLI]) rmSync(path, { recursive: true, force: true });

const common = {
  platform: 'node',
  logLevel: 'warn',
  // `stele verify` imports late what other commands need at once.
  checks: { ineffectiveDynamicImport: false },
};

/**
 * @bufbuild/cel knows the messages of protobuf, whose descriptions take 30 ms to load. Conditions have none of them
 * (merkle/runtime/policy/cel/cel-plan.ts), so what it imports of protobuf says that no value is a message.
 */
const messageless = {
  name: 'messageless',
  resolveId(source, importer) {
    const of = /^@bufbuild\/(?:protobuf|cel-spec)\b/.test(source) && /\/@bufbuild\/cel\//.test(importer ?? '');
    return of ? { id: `\0messageless ${source}` } : null;
  },
  async load(id) {
    if (!id.startsWith('\0messageless ')) return null;
    const exported = Object.entries(await import(id.slice('\0messageless '.length)));
    return exported.map(([name, value]) => `export const ${name} = ${withoutMessages(name, value)};`).join('\n');
  },
};

function withoutMessages(name, value) {
  if (typeof value?.typeName === 'string') return JSON.stringify({ typeName: value.typeName });
  return /^is[A-Z]/.test(name) ? '() => false' : 'undefined';
}

// What loads native code, or starts threads from files of its own.
const external = ['#leveldb', '#grpc', 'piscina'];

const all = await build({
  ...common,
  input: { stele: ALL },
  external,
  plugins: [messageless],
  output: {
    dir: 'dist/chunks',
    entryFileNames: '[name].js',
    chunkFileNames: '[name].js',
    comments: false,
    codeSplitting: {
      // What stands at the head of each command, and what all that sign or verify need: a file each, in the place of 40.
      groups: [
        { name: 'cli', test: /\/client\/cli\/program\.ts$/ },
        { name: 'verify', test: /\/(?:client\/cli\/verify\/bundles|merkle\/runtime\/crypto\/node-primitives)\.ts$/ },
      ],
    },
  },
});

/** What a check of one file does not need. */
const lean = {
  name: 'lean',
  resolveId(source, importer) {
    if (importer === undefined) return null;
    if (resolve(importer, '..', source) === ALL) return { id: '../../chunks/stele.js', external: true };
    // The same parser as ES modules, of which the half that writes YAML is left out.
    if (source === 'yaml') return resolve('node_modules/yaml/browser/dist/index.js');
    // The hash that merkle takes where its caller names none: Node has one.
    const own = source === '@noble/hashes/sha2.js' && importer.endsWith('/merkle/rfc6962.ts');
    return own ? resolve('merkle/runtime/crypto/sha2.ts') : null;
  },
  transform(code, id) {
    if (!id.endsWith('/commander/lib/command.js')) return null;
    // Commander loads the modules of processes and sockets for commands that are programs of their own. Stele has none.
    const without = code.replace("require('node:child_process')", 'undefined');
    if (without === code) throw new Error('commander loads node:child_process in another way now: change bundle.js');
    return { code: without, map: null };
  },
};

/**
 * Loads the files for certificates and for patterns where they are first used: a bundle with a key needs none, and neither does a
 * condition without `matches`.
 */
const late = {
  name: 'late',
  generateBundle(_, bundle) {
    for (const [name, user] of [['x509', 'verify'], ['re2js', 'conditions']]) {
      const early = new RegExp(`(?<=\\brequire_${name}\\s*=\\s*)(?=require\\(.\\.\\/${name}\\.cjs.\\))`);
      const users = Object.values(bundle).filter(({ code }) => early.test(code ?? ''));
      if (!users.includes(bundle[`chunks/${user}.cjs`])) {
        throw new Error('rolldown loads a file in another way now: change bundle.js');
      }
      for (const chunk of users) {
        chunk.code = chunk.code.replaceAll(`require_${name}.`, `require_${name}().`).replace(early, '()=>');
      }
    }
  },
};

const verify = await build({
  ...common,
  input: { main: 'client/cli/start.ts' },
  preserveEntrySignatures: false,
  external,
  plugins: [messageless, lean, late],
  output: {
    dir: 'dist',
    format: 'cjs',
    entryFileNames: 'client/cli/[name].js',
    chunkFileNames: 'chunks/[name].cjs',
    // V8 reads all of a file before it runs any of it. Names stay, for the traces of STELE_DEBUG.
    minify: { compress: true, mangle: false, codegen: { removeWhitespace: true } },
    // One file for a check of one file, one for certificates, one for patterns, and one for the trust of a followed repository.
    codeSplitting: {
      groups: [
        { name: 'x509', test: /\/merkle\/x509\/(?!utc-time|identity-|signer-names)|\/node-forge\//, priority: 1, includeDependenciesRecursively: false },
        { name: 're2js', test: /\/re2js\/|\/pattern-steps\.ts$/, priority: 1 },
        { name: 'verify', test: /\/(?:verify-program|artifacts|bundles|(?:node|message)-primitives)\.ts$/ },
        // What a decision needs beside them. Conditions and patterns come late, each with its engine.
        { name: 'decide', test: /\/(?:decide-program|run-decide)\.ts$/ },
        { name: 'conditions', test: /\/policy\/conditions\.ts$/ },
        { name: 'followed', test: /\/(?:checked-store|expiry|followed-(?:files|targets)|local-store|trust-files|tuf\/role)\.ts$/, includeDependenciesRecursively: false },
      ],
    },
  },
});

// Which sources are in which file, for the tests. The package leaves this list out.
const sourcesOf = ({ moduleIds }) => moduleIds.map((id) => relative('.', id));
const listOf = (folder, { output }) =>
  output.filter(({ type }) => type === 'chunk').map((chunk) => [`${folder}${chunk.fileName}`, sourcesOf(chunk)]);
writeFileSync('dist/joined.json', JSON.stringify(Object.fromEntries([...listOf('chunks/', all), ...listOf('', verify)])));

writeFileSync(`${CLI}/package.json`, `${JSON.stringify({ type: 'commonjs' })}\n`);

const LEVEL = 'node_modules/classic-level';
await build({
  ...common,
  input: `${LEVEL}/index.js`,
  external: ['abstract-level', 'module-error', 'node-gyp-build'],
  output: { file: 'dist/leveldb/classic-level.cjs', format: 'cjs' },
});
cpSync(`${LEVEL}/prebuilds`, 'dist/leveldb/prebuilds', { recursive: true });
writeLicenses('dist/leveldb', LEVEL, ['LICENSE', 'deps/leveldb/leveldb-1.20/LICENSE', 'deps/snappy/snappy/COPYING']);

// A server and channelz load the loader of .proto files when they are used, which Stele does not.
await build({
  ...common,
  input: 'node_modules/@grpc/grpc-js/build/src/index.js',
  external: ['@grpc/proto-loader'],
  output: { file: 'dist/grpc/grpc-js.cjs', format: 'cjs' },
});
writeLicenses('dist/grpc', 'node_modules', ['@grpc/grpc-js/LICENSE', '@js-sdsl/ordered-map/LICENSE']);

function writeLicenses(folder, from, names) {
  const licenses = names.map((name) => {
    const title = `${relative('node_modules', join(from, name))}\n\n`;
    return title + readFileSync(join(from, name), 'utf8');
  });
  writeFileSync(`${folder}/LICENSES`, licenses.join('\n\n'));
}
