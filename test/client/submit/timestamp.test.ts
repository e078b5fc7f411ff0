import { createHash, sign } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { timestampsOf } from '../../../client/cli/signing.ts';
import type { Signed } from '../../../client/formats/entry-request.ts';
import { parsePublicKey } from '../../../client/formats/key.ts';
import { requestTimestamp } from '../../../client/submit/timestamp.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { issue, newKeys, spkiOf } from '../../merkle/x509/make.ts';
import { Instance } from '../../support/instance.ts';

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

describe('a stamp over the signature', () => {
  const instance = new Instance('stamp.test');
  const keys = newKeys();
  const message = Buffer.from('hello');
  const signed = (certificate: Uint8Array): Signed => ({
    digest: createHash('sha256').update(message).digest(),
    signature: sign('sha256', message, keys.privateKey),
    publicKey: parsePublicKey(spkiOf(keys.publicKey), nodePrimitives()),
    certificate,
  });
  const stampsOf = async (one: Signed, time: string) => {
    const { url } = await authority(200, instance.stamp(one.signature, { time }));
    return await timestampsOf(one, { tsas: [url], moreLogs: [] }, {});
  };

  it('is kept where verifiers can take it', async () => {
    const { certificate } = instance.signer({}, keys);
    expect(await stampsOf(signed(certificate), '2026-08-01T12:05:00Z')).toHaveLength(1);
  });

  it('is refused where the certificate was not valid at its time', async () => {
    const { certificate } = instance.signer({}, keys);
    for (const time of ['2026-08-01T11:59:00Z', '2026-08-01T12:30:00Z']) {
      await expect(stampsOf(signed(certificate), time)).rejects.toMatchObject({ code: 'bad-certificate' });
    }
  });

  it('is refused where it is dated after this clock', async () => {
    const { certificate } = issue({ by: instance.intermediate, keys });
    const future = new Date(Date.now() + 3_600_000).toISOString().replace(/\..*/, 'Z');
    await expect(stampsOf(signed(certificate.der), future)).rejects.toMatchObject({ code: 'future-time' });
  });
});
