// Loaded before a command (`node --import`): ends the process with SIGKILL right before its change number KILL_AT of a name in the
// file system.
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

let changes = 0;
for (const name of ['rename', 'mkdir', 'link', 'unlink']) {
  const call = fs[name];
  fs[name] = function (...args) {
    changes++;
    if (changes === Number(process.env.KILL_AT)) process.kill(process.pid, 'SIGKILL');
    return call.apply(this, args);
  };
}
syncBuiltinESMExports();
