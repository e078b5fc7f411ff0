/**
 * The second half of `npm run build`: joins the command line, with all that it starts and the packages that they use,
 * into a few files, dist/client/cli/main.js and dist/chunks/. Each module costs Node 0.2 to 0.5 ms, and a CommonJS one
 * that is imported up to 40 ms to find its exports; a log and its packages have 1,400 modules, TypeBox alone 679.
 *
 * Measured on Node 20, CPU time: `stele verify` of one file 130 ms beyond that of a Node that does nothing without this,
 * and 59 with it; a log until its first answer 930 ms without and 590 with it.
 *
 * The library (dist/client/index.js, dist/client/verify.js) and the workers stay as tsc leaves them. Joined workers would
 * start no faster: theirs is the time of Node's own modules, and of packages that cannot be joined.
 */
import { rmSync } from 'node:fs';
import { build } from 'rolldown';

rmSync('dist/chunks', { recursive: true, force: true });

await build({
  input: { main: 'client/cli/main.ts' },
  platform: 'node',
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
    entryFileNames: 'client/cli/[name].js',
    chunkFileNames: 'chunks/[name].js',
    sourcemap: true,
    codeSplitting: {
      groups: [
        // What stands at the head of each command, and what a check of one file needs beside: a file each, in the place of
        // 40, which other commands share in part.
        { name: 'cli', test: /\/client\/cli\/(?:report|verify\/arguments)\.ts$/ },
        { name: 'verify', test: /\/(?:client\/cli\/verify\/bundles|merkle\/runtime\/crypto\/node-primitives)\.ts$/ },
      ],
    },
  },
});
