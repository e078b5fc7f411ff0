/** A time-stamp authority over HTTP that stamps with the time of this machine, for tests of clients. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { integer, issue, issueCa, STAMPING } from '../merkle/x509/make.ts';
import { makeTimestamp } from '../merkle/x509/make-timestamp.ts';

export interface TimeAuthority {
  readonly url: string;
  /** Member of a trusted root (JSON). */
  readonly trust: { readonly timestampAuthorities: object[] };
  close(): Promise<void>;
}

export async function startTimeAuthority(): Promise<TimeAuthority> {
  const root = issueCa('time root');
  const by = issue({ name: 'time', by: root, keyUsage: 0x80, usages: [STAMPING], usageCritical: true });
  let serial = 0;
  const server = createServer(async (request, reply) => {
    const query = await buffer(request);
    serial = (serial + 1) % 120;
    const time = `${new Date().toISOString().replace(/\D/g, '').slice(0, 14)}Z`;
    // The imprint is at the end of the query, before the wish for certificates (RFC 3161 section 2.4.1).
    const stamp = makeTimestamp({
      ...{ by, message: Buffer.alloc(0), imprint: query.subarray(-35, -3), time, serial: integer(1, serial) },
      ...{ infoMore: [], attributes: (list) => list.slice(0, 2) },
    });
    reply.writeHead(200, { 'content-type': 'application/timestamp-reply' }).end(stamp);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const certificates = [by, root].map(({ certificate }) => ({
    rawBytes: Buffer.from(certificate.der).toString('base64'),
  }));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    trust: {
      timestampAuthorities: [{ uri: url, certChain: { certificates }, validFor: { start: '2020-01-01T00:00:00Z' } }],
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
