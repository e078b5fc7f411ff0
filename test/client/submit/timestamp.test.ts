import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { requestTimestamp } from '../../../client/submit/timestamp.ts';

let close: (() => void) | undefined;
afterEach(() => close?.());

/** An authority that answers with these bytes. */
async function authority(status: number, body: Uint8Array | string) {
  const queries: { type: string | undefined; query: Buffer }[] = [];
  const server = createServer((request, reply) => {
    const parts: Buffer[] = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      queries.push({ type: request.headers['content-type'], query: Buffer.concat(parts) });
      reply.writeHead(status, { 'content-type': 'application/timestamp-reply' }).end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  close = () => server.close();
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, queries };
}

// What a stamp that is good looks like is tested with a real authority: test/interop/sign.test.ts.
it.each([
  ['refuses', 400, 'no'],
  ['answers with HTML', 200, '<html></html>'],
  ['answers with nothing', 200, ''],
  ['answers that it cannot', 200, Uint8Array.of(0x30, 5, 0x30, 3, 0x02, 1, 2)],
  ['answers with a megabyte', 200, new Uint8Array(1024 * 1024)],
])('gives no stamp where the authority %s', async (_, status, body) => {
  const { url } = await authority(status, body);
  const failed = requestTimestamp(url, Uint8Array.of(1, 2, 3));
  await expect(failed).rejects.toMatchObject({ code: expect.stringMatching(/^bad-(timestamp|reply)$/) });
});

it('asks for the digest of the signature, with the certificate of the authority', async () => {
  const { url, queries } = await authority(400, '');
  await requestTimestamp(url, new TextEncoder().encode('abc')).catch(() => {});
  const [asked] = queries;
  expect(asked!.type).toBe('application/timestamp-query');
  // SHA-256 of "abc" (FIPS 180-4), as `openssl ts -query -data abc -sha256 -cert -no_nonce` writes it.
  expect(asked!.query.toString('hex')).toBe(
    '30390201013031300d060960864801650304020105000420ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad0101ff',
  );
});
