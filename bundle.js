/**
 * The second half of `npm run build`: joins the command line, with all that it starts and the packages that they use,
 * into a few files, dist/client/cli/main.js and dist/chunks/. Each module costs Node 0.2 to 0.5 ms, and a CommonJS one
 * that is imported up to 40 ms to find its exports; a log and its packages have 1,400 modules, TypeBox alone 679.
 *
 * The files are CommonJS: Node then starts neither its loader of ES modules nor the threads that this loader reads with. They
 * have no comments, since V8 reads all of a file before it runs any of it.
 *
 * bench/RESULTS.md has what each step gives a start of `stele verify`.
 *
 * The library (dist/client/index.js, dist/client/verify.js) and the workers stay as tsc leaves them. Joined workers would
 * start no faster: theirs is the time of Node's own modules, and of packages that cannot be joined.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { build } from 'rolldown';

const CLI = 'dist/client/cli';

// What tsc made of the command line is all in the joined files.
for (const path of ['dist/chunks', CLI]) rmSync(path, { recursive: true, force: true });

/** Commander loads the modules of processes and sockets for commands that are programs of their own. Stele has none. */
const withoutProcesses = {
  name: 'commander-without-processes',
  transform(code, id) {
    if (!id.endsWith('/commander/lib/command.js')) return null;
    const without = code.replace("require('node:child_process')", 'undefined');
    if (without === code) throw new Error('commander loads node:child_process in another way now: change bundle.js');
    return { code: without, map: null };
  },
};

const { output } = await build({
  input: { main: 'client/cli/main.ts' },
  platform: 'node',
  plugins: [withoutProcesses],
  external: [
    // They load native code, or start threads from files of their own.
    ...['koffi', 'level', 'pino', 'piscina', 'pkcs11js'],
    // Fastify's own ways with schemas, which no program here loads (merkle/runtime/service/schemas.ts).
    ...['@fastify/ajv-compiler', '@fastify/fast-json-stringify-compiler'],
  ],
  logLevel: 'warn',
  // `stele verify` imports late what other commands need at once.
  checks: { ineffectiveDynamicImport: false },
  output: {
    dir: 'dist',
    format: 'cjs',
    entryFileNames: 'client/cli/[name].js',
    chunkFileNames: 'chunks/[name].cjs',
    comments: false,
    codeSplitting: {
      groups: [
        // What stands at the head of each command, and what a check of one file needs beside: a file each, in the place of
        // 40, which other commands share in part.
        { name: 'cli', test: /\/client\/cli\/(?:report|verify\/arguments)\.ts$/ },
        { name: 'verify', test: /\/(?:client\/cli\/verify\/bundles|merkle\/runtime\/crypto\/(?:node|message)-primitives)\.ts$/ },
      ],
    },
  },
});

// Which sources are in which file, for the tests. The package leaves this list out.
const sourcesOf = ({ moduleIds }) => moduleIds.map((id) => relative('.', id));
const joined = output.filter(({ type }) => type === 'chunk').map((chunk) => [chunk.fileName, sourcesOf(chunk)]);
writeFileSync('dist/joined.json', JSON.stringify(Object.fromEntries(joined)));

writeFileSync(`${CLI}/package.json`, `${JSON.stringify({ type: 'commonjs' })}\n`);
