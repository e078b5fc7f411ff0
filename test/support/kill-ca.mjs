// Loaded before `stele ca serve` (`node --import`): ends the process with SIGKILL at step number KILL_AT of the first request for a
// certificate. A step is right before or right after a write to a store, a request to the log, and the reply.
import http from 'node:http';
import { createRequire } from 'node:module';

const { ClassicLevel } = createRequire(import.meta.url)('../../dist/leveldb/classic-level.cjs');
let armed = false;
let steps = 0;

function step() {
  if (armed && ++steps === Number(process.env.KILL_AT)) process.kill(process.pid, 'SIGKILL');
}

const emit = http.Server.prototype.emit;
http.Server.prototype.emit = function (event, request, ...rest) {
  if (event === 'request' && request.method === 'POST') armed = true;
  return emit.call(this, event, request, ...rest);
};

const batch = ClassicLevel.prototype.batch;
ClassicLevel.prototype.batch = function (...args) {
  const made = batch.apply(this, args);
  const write = made.write;
  made.write = async function (...options) {
    step();
    await write.apply(this, options);
    step();
  };
  return made;
};

const send = globalThis.fetch;
globalThis.fetch = async (...args) => {
  step();
  const reply = await send(...args);
  step();
  return reply;
};

const end = http.ServerResponse.prototype.end;
http.ServerResponse.prototype.end = function (...args) {
  step();
  const result = end.apply(this, args);
  step();
  return result;
};
