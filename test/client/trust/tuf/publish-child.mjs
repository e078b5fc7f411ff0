/** Publishes a repository, and kills itself before the given call that changes a file. Prints how many calls there were. */
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

const [dir, keyFiles, now, last] = process.argv.slice(2);
let calls = 0;
for (const name of ['link', 'rename', 'unlink', 'rm']) {
  const original = fs[name];
  fs[name] = (path, ...rest) => {
    // The lock of the directory is a matter of its own tests.
    if (!/\/lock(?:\/|$)|owner\.json/.test(`${path} ${rest[0]}`) && ++calls === Number(last)) {
      process.kill(process.pid, 'SIGKILL');
    }
    return original(path, ...rest);
  };
}
syncBuiltinESMExports();

const { publish } = await import('../../../../dist/client/trust/tuf/publish.js');
const { openKeyFile } = await import('../../../../dist/merkle/runtime/keys/keyfile.js');
const online = [];
for (const file of keyFiles.split(',')) online.push(await openKeyFile(file));
await publish(dir, { online, now: Number(now) });
console.log(calls);
