// Follows a log with a plain index in the directory of argv and answers searches, until it is killed. Runs the built sources.
import { openPlainIndex } from '../../../../dist/client/search/index/open-plain-index.js';
import { openSource } from '../../../../dist/client/tiles/tiles.js';
import { parseVerifierKey } from '../../../../dist/merkle/verifier-key.js';

const [dir, location, vkey] = process.argv.slice(2);
const key = parseVerifierKey(vkey);
const never = new AbortController().signal;
const index = await openPlainIndex({
  dir,
  logs: [{ origin: key.name, keys: [key], location }],
  settings: { partialMs: 0, parallel: 2, chunkBytes: 1024 * 1024, pollMs: 10, retryMs: 10 },
  open: (where) => openSource(where, { retries: 0 }),
  read: () => Promise.reject(new Error('no configuration of shards')),
  threads: 1,
  onEvent: (event) => {
    if (event.type === 'store') process.send({ trouble: event.message });
  },
});
process.on('message', async ({ id, query }) => {
  try {
    const page = await index.search(query, never);
    const hits = page.hits.map(({ index: at, body, proof }) => ({
      index: at,
      body: Buffer.from(body).toString('base64'),
      proof: proof.map((hash) => Buffer.from(hash).toString('base64')),
    }));
    process.send({ id, page: { ...page, root: Buffer.from(page.root).toString('base64'), hits } });
  } catch (error) {
    process.send({ id, error: { code: error.code, message: error.message } });
  }
});
// Without its parent there is nothing to do.
process.on('disconnect', () => process.exit(0));
process.send({ ready: index.status()[0].answers?.size ?? 0 });
await index.run(never);
