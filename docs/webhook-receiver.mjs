// An example: takes the alerts of `stele monitor` on this machine, and prints those whose signature holds.
//   node docs/webhook-receiver.mjs SECRET_FILE [PORT]
import { createHmac, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

const [secretFile, port = '8080'] = process.argv.slice(2);
const secret = readFileSync(secretFile, 'utf8').trim();
const MAX_BODY = 1024 * 1024;

createServer((request, reply) => {
  const parts = [];
  let length = 0;
  request.on('data', (part) => {
    length += part.length;
    if (length > MAX_BODY) request.destroy();
    else parts.push(part);
  });
  request.on('end', () => {
    const body = Buffer.concat(parts);
    const genuine = isGenuine(request.headers['stele-signature'] ?? '', body);
    reply.writeHead(genuine ? 204 : 401).end();
    if (!genuine) return console.log('refused: not signed with the secret, or too old');
    for (const { id, kind, summary } of JSON.parse(body).alerts) console.log(`${kind}: ${summary}\n  alert ${id}`);
  });
}).listen(Number(port), '127.0.0.1', () => console.log(`waiting for alerts on http://127.0.0.1:${port}`));

function isGenuine(header, body) {
  const [, t] = /^t=([0-9]+),/.exec(header) ?? [];
  const mac = createHmac('sha256', secret).update(`${t}.`).update(body).digest();
  const signed = header
    .split(',')
    .some((part) => /^v1=[0-9a-f]{64}$/.test(part) && timingSafeEqual(Buffer.from(part.slice(3), 'hex'), mac));
  return signed && Math.abs(Date.now() / 1000 - Number(t)) < 300;
}
