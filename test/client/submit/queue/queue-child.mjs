// Flushes or fills the queue of a test, and dies where it is told to. Runs the built sources.
//   node queue-child.mjs flush DIR STEP before|after      SIGKILL to itself at this step: a method of the queue, or `request`
//   node queue-child.mjs add DIR LOG KEY_PEM COUNT        prints the id of each entry that is queued
import { createHash, createPrivateKey, createPublicKey, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { flushQueue } from '../../../../dist/client/submit/queue/queue-flush.js';
import { newItem } from '../../../../dist/client/submit/queue/queue-item.js';
import { SubmissionQueue } from '../../../../dist/client/submit/queue/queue-store.js';
import { fromDigest, keyVerifier } from '../../../../dist/client/submit/submission.js';

const [what, dir, ...args] = process.argv.slice(2);
if (what === 'flush') {
  const [at, when] = args;
  const store = await SubmissionQueue.open(dir, false);
  const stepped =
    (step, work) =>
    async (...args) => {
      if (step === at && when === 'before') process.kill(process.pid, 'SIGKILL');
      const result = await work(...args);
      if (step === at) process.kill(process.pid, 'SIGKILL');
      return result;
    };
  for (const step of ['update', 'deliver', 'record', 'remove']) store[step] = stepped(step, store[step].bind(store));
  const { results } = await flushQueue(store, { deadline: 5000, fetch: stepped('request', fetch) });
  process.stdout.write(JSON.stringify(results));
} else {
  const [log, pem, count] = args;
  const store = await SubmissionQueue.open(dir, true);
  const key = createPrivateKey(readFileSync(pem));
  const verifier = keyVerifier(createPublicKey(key).export({ format: 'der', type: 'spki' }));
  for (let at = 0; at < Number(count); at++) {
    const digest = createHash('sha256').update(String(at)).digest();
    const submission = fromDigest(digest, sign('sha256', Buffer.from(String(at)), key), verifier);
    const item = newItem(submission, { log, out: join(dir, `${at}.json`) }, undefined);
    try {
      await store.add(item);
      process.stdout.write(`${item.id}\n`);
    } catch (error) {
      process.stdout.write(`${error.code}: ${error.message}\n`);
    }
  }
}
