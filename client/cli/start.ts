#!/usr/bin/env node
/**
 * The program `stele`. `stele verify` checks one file and ends, so most of its time is its start: it has files of its own, and so
 * does `stele decide`.
 *
 * An old Node must be able to read this file, which tells its user so: nothing newer than ES2015 and `import()` stands here.
 */
const args = process.argv.slice(2);

/** Of package.json. */
const NEEDED = [20, 19];

// A webhook looks up the hosts of registries, which the people who make pods name. Node has 4 threads for that and for files, and a name
// whose servers do not answer keeps one for many seconds. The number counts at the first use of a thread.
if (args[0] === 'admission' && process.env.UV_THREADPOOL_SIZE === undefined) process.env.UV_THREADPOOL_SIZE = '128';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < NEEDED[0]! || (major === NEEDED[0] && minor < NEEDED[1]!)) {
  const needed = NEEDED.join('.');
  process.stderr.write(`stele: error [usage]: Stele needs Node ${needed} or later; this is ${process.versions.node}\n`);
  process.exitCode = 2;
} else {
  const ended =
    args[0] === 'verify'
      ? import('./verify-program.ts').then(({ runVerify }) => runVerify(args))
      : args[0] === 'decide'
        ? import('./policy/decide-program.ts').then(({ runDecideAlone }) => runDecideAlone(args))
        : import('./main.ts').then(({ run }) => run(args));
  // The built file is CommonJS, which has no `await` here.
  void ended.then((status) => {
    process.exitCode = status;
  });
}
