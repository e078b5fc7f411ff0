/** Requests with a Host of their own, which `fetch` does not send. */
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { bodyOf } from '../../support/log.ts';

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export function callAt(
  url: string,
  host: string,
  path: string,
  body?: string | Uint8Array,
  more: Readonly<Record<string, string>> = {},
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const options = { method: body === undefined ? 'GET' : 'POST', headers: { ...more, host } };
    const sent = request(`${url}${path}`, options, async (reply) => {
      resolve({ status: reply.statusCode!, headers: reply.headers, body: await text(reply) });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

/** Logs an entry; resolves with the status. */
export async function addAt(url: string, host: string, name: string): Promise<number> {
  return (await callAt(url, host, '/api/v2/log/entries', bodyOf(name))).status;
}
