// Runs stores below the directory in argv, for tests that limit or kill the process. A message makes one call, and the reply
// after the call is { ok } or { code }. Runs the built sources.
import { createHash } from 'node:crypto';
import { openFileStore } from '../../dist/server/store/files/files.js';
import { openLevelState } from '../../dist/server/store/level/level.js';

const dir = process.argv[2];
const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest();
let tiles;
let store;

const commands = {
  async open() {
    await tiles?.close();
    await store?.close();
    tiles = await openFileStore(`${dir}/public`);
    store = await openLevelState(`${dir}/state`);
    return (await store.read())?.size ?? 0;
  },
  /** Adds `count` entries of `length` bytes to what the store holds. */
  async commit({ from, count, length }) {
    const expected = await store.read();
    if ((expected?.size ?? 0) !== from) throw new Error(`the store has ${expected?.size} entries, not ${from}`);
    const entries = Array.from({ length: count }, (_, i) => {
      const body = Buffer.alloc(length, sha256(`entry ${from + i}`));
      return { body, leafHash: sha256('\0', body) };
    });
    const size = from + count;
    await store.commit({ expected, entries, next: { size, root: sha256(`root ${size}`), filed: 0, status: 'open' } });
    return size;
  },
  async put({ tile, length }) {
    await tiles.put([{ name: tile, bytes: new Uint8Array(length) }]);
  },
};

process.on('message', async ({ name, ...args }) => {
  try {
    process.send({ ok: (await commands[name](args)) ?? true });
  } catch (error) {
    process.send({ code: error.code ?? String(error) });
  }
});
