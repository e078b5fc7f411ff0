#!/usr/bin/env node
/** The program `stele`. `stele verify` checks one file and ends, so most of its time is its start: it has files of its own. */
const args = process.argv.slice(2);
const ended =
  args[0] === 'verify'
    ? import('./verify-program.ts').then(({ runVerify }) => runVerify(args))
    : import('./main.ts').then(({ run }) => run(args));
// The built file is CommonJS, which has no `await` here.
void ended.then((status) => {
  process.exitCode = status;
});
