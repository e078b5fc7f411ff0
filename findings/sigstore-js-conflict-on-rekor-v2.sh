#!/usr/bin/env bash
# sigstore-js gives up on an entry that a Rekor v2 log already has, whatever its options say.
#
# The guess, written down first: RekorWitness of @sigstore/sign has the options `retry` and `fetchOnConflict`. A log may
# take an entry and lose the answer (a time-out, a proxy that restarts). The retry then meets 409 "already exists", and
# with `fetchOnConflict: true` the client fetches the entry that is there, so that signing succeeds. One would expect
# this for both API versions, as the option stands beside `majorApiVersion` and its type allows both together.
#
# What it does (@sigstore/sign 4.1.1, run against a local server that answers as the two APIs document): with
# majorApiVersion 1 it fetches the entry and succeeds. With majorApiVersion 2 the option is ignored without a word: the
# same lost answer ends in TLOG_CREATE_ENTRY_ERROR, though the signature is logged. So a Rekor v2 log that answers 409
# turns each lost answer into a failed release; one that answers 201 with the entry that is there does not.
#
# Prints what it saw and ends with 0; ends with 1 where a version behaves otherwise.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --no-package-lock @sigstore/sign@4.1.1 >&2
cat > run.mjs <<'JS'
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { RekorWitness } = require('@sigstore/sign');
const { version } = require('@sigstore/sign/package.json');

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const data = Buffer.from('artifact');
const content = {
  $case: 'messageSignature',
  messageSignature: {
    messageDigest: { algorithm: 1, digest: createHash('sha256').update(data).digest() },
    signature: sign('sha256', data, privateKey),
  },
};
const key = publicKey.export({ type: 'spki', format: 'pem' });
const uuid = 'a'.repeat(80);
const hash = Buffer.alloc(32).toString('base64');

/** A log that takes the first request and loses its answer; the retry meets 409, as the API of each version says. */
async function run(majorApiVersion) {
  const seen = [];
  let posts = 0;
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      seen.push(`${request.method} ${request.url.replace(uuid, 'UUID')}`);
      const json = (status, body, headers = {}) =>
        response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
      if (request.method === 'GET') {
        const body = Buffer.from('{"kind":"hashedrekord","apiVersion":"0.0.1","spec":{}}').toString('base64');
        const verification = { signedEntryTimestamp: hash };
        return json(200, { [uuid]: { body, integratedTime: 1, logID: 'ab'.repeat(32), logIndex: 7, verification } });
      }
      if (++posts === 1) return json(502, { message: 'the answer was lost on its way' });
      const message = 'an equivalent entry already exists in the transparency log with index 7';
      if (majorApiVersion === 1) return json(409, { code: 409, message }, { location: `/api/v1/log/entries/${uuid}` });
      return json(409, { code: 6, message, details: [] }, { 'x-log-index': '7' });
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const witness = new RekorWitness({
    rekorBaseURL: `http://127.0.0.1:${server.address().port}`,
    majorApiVersion,
    fetchOnConflict: true,
    retry: { retries: 1, minTimeout: 1 },
  });
  const result = await witness.testify(content, key).then(
    ({ tlogEntries }) => `succeeds with entry ${tlogEntries[0].logIndex}`,
    ({ code }) => `fails with ${code}`,
  );
  server.close();
  return { result, seen };
}

console.log(`@sigstore/sign ${version}, fetchOnConflict: true, one lost answer, then 409`);
const first = await run(1);
const second = await run(2);
for (const [name, { result, seen }] of [['majorApiVersion 1', first], ['majorApiVersion 2', second]]) {
  console.log(`  ${name}: ${result} (${seen.join(', ')})`);
}
const expected =
  first.result === 'succeeds with entry 7' &&
  first.seen.at(-1) === 'GET /api/v1/log/entries/UUID' &&
  second.result === 'fails with TLOG_CREATE_ENTRY_ERROR' &&
  second.seen.every((request) => request.startsWith('POST '));
if (!expected) {
  console.log('This is not what was seen before: the finding no longer holds.');
  process.exit(1);
}
JS
node run.mjs
