// A map that follows an input log in a directory and publishes to an output log. It ends by SIGKILL at step number KILL_AT: a step
// is right before or right after a write to its store, or a leaf that is sent.
//   node kill-child.mjs DIR INPUT-DIR INPUT-VKEY OUTPUT-URL OUTPUT-VKEY KILL_AT
import { createRequire } from 'node:module';
import { MappedLog } from '../../../../dist/client/search/map/mapped-log.js';
import { openSource } from '../../../../dist/client/tiles/tiles.js';
import { parseVerifierKey } from '../../../../dist/merkle/verifier-key.js';

const [dir, location, inputKey, url, outputKey, killAt] = process.argv.slice(2);
const { ClassicLevel } = createRequire(import.meta.url)('../../../../dist/leveldb/classic-level.cjs');
let steps = 0;

function step() {
  if (++steps === Number(killAt)) process.kill(process.pid, 'SIGKILL');
}

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

async function send(...args) {
  step();
  const reply = await fetch(...args);
  step();
  return reply;
}

const [input, output] = [inputKey, outputKey].map((vkey) => parseVerifierKey(vkey));
const map = await MappedLog.open({
  input: { origin: input.name, keys: [input], location },
  output: { origin: output.name, keys: [output], location: url },
  dir,
  threads: 0,
  open: (one) => openSource(one, { retries: 0 }),
  settings: { partialMs: 0, parallel: 2, chunkBytes: 100_000 },
  pollMs: 1,
  retryMs: 1,
  intervalMs: 0,
  fetch: send,
});
await map.run(new AbortController().signal);
