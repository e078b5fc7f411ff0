// Rotates the log below the directory in argv once, with the built sources: through a server of its own (`running`) or without one
// (`stopped`). Kills itself with SIGKILL right before its durable step number `killAt`: a change of a name in the file system, a
// write of LevelDB, or a task of a worker, some of which write files. Prints the number of steps where it comes to its end.
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { Piscina } from 'piscina';

const [dir, origin, mode, killAt = '0'] = process.argv.slice(2);
let steps = 0;
let counting = mode === 'stopped';
const counted = (object, name) => {
  const call = object[name];
  object[name] = function (...args) {
    if (counting) steps++;
    if (steps === Number(killAt) && counting) process.kill(process.pid, 'SIGKILL');
    return call.apply(this, args);
  };
};
for (const name of ['rename', 'mkdir', 'link', 'unlink']) counted(fs, name);
syncBuiltinESMExports();
counted(Piscina.prototype, 'run');
const { GuardedLevel } = await import('../../dist/merkle/runtime/disk/level.js');
counted(GuardedLevel.prototype, 'write');

const { freezeLog, loadConfig, openShard, prepareShard, serve } = await import('../../dist/server/main.js');
const ports = { 'listen-port': '0', 'admin-port': '0', 'log-level': 'silent' };
const config = loadConfig({ flags: { data: dir, 'ingest-threads': '1', ...ports } });
const logger = { info() {}, warn() {}, error() {} };
const server = mode === 'running' ? await serve({ config }) : undefined;
counting = true;
await prepareShard({ config, logger }, { origin, url: `http://${origin}:3000` });
await freezeLog({ config, logger, shard: 'localhost' });
await openShard({ config, logger }, origin);
counting = false;
await server?.close();
console.log(steps);
