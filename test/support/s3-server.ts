/**
 * A small S3 server in this process: PutObject, GetObject, DeleteObject and ListObjectsV2 of one bucket, in memory, by the rules
 * of the S3 API. It looks at who asks, not at signatures; radosgw does that in test/interop.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

export const CREDENTIALS = { id: 'AKTESTOFASECONDPLACE', secret: 'not/a/real+secret' } as const;

export interface S3Server {
  readonly url: string;
  readonly bucket: string;
  readonly objects: Map<string, Buffer>;
  /** `PUT key`, `GET key`, `DELETE key` and `LIST start-after` of each request. */
  readonly requests: string[];
  /** Most names on a page. */
  pageSize: number;
  /** Answers in the place of the server where it is set. */
  instead: RequestListener | undefined;
  /** Nothing listens any more. */
  close(): Promise<void>;
  /** After `close`, at the same port. */
  listen(): Promise<void>;
}

export async function startS3Server(): Promise<S3Server> {
  const http = createServer((request, reply) => {
    if (server.instead !== undefined) server.instead(request, reply);
    else answer(server, request, reply).catch(() => reply.destroy());
  });
  let port = 0;
  const listen = () =>
    new Promise<void>((resolve, reject) => {
      http.once('error', reject);
      http.listen(port, '127.0.0.1', resolve);
    });
  await listen();
  port = (http.address() as AddressInfo).port;
  const server: S3Server = {
    url: `http://127.0.0.1:${port}`,
    bucket: 'records',
    objects: new Map(),
    requests: [],
    pageSize: 1000,
    instead: undefined,
    listen,
    close: () =>
      new Promise((resolve) => {
        http.close(() => resolve());
        http.closeAllConnections();
      }),
  };
  return server;
}

async function answer(server: S3Server, request: IncomingMessage, reply: ServerResponse): Promise<void> {
  const { method = '', headers } = request;
  const body = await buffer(request);
  const { pathname, searchParams } = new URL(request.url ?? '/', server.url);
  const [, bucket, ...rest] = pathname.split('/');
  const key = rest.join('/');
  server.requests.push(rest.length === 0 ? `LIST ${searchParams.get('start-after') ?? ''}` : `${method} ${key}`);
  const digest = createHash('sha256').update(body).digest('hex');
  const scope = new RegExp(
    `^AWS4-HMAC-SHA256 Credential=${CREDENTIALS.id}/\\d{8}/us-east-1/s3/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=[0-9a-f]{64}$`,
  );
  const signed = scope.exec(headers.authorization ?? '')?.[1]?.split(';') ?? [];
  const needed = ['host', 'x-amz-content-sha256', 'x-amz-date', ...(method === 'PUT' ? ['if-none-match'] : [])];
  if (!needed.every((name) => signed.includes(name))) return refuse(reply, 403, 'AccessDenied');
  if (headers['x-amz-content-sha256'] !== digest) return refuse(reply, 400, 'XAmzContentSHA256Mismatch');
  if (bucket !== server.bucket) return refuse(reply, 404, 'NoSuchBucket');
  if (rest.length === 0 && method === 'GET' && searchParams.get('list-type') === '2') {
    reply.writeHead(200, { 'content-type': 'application/xml' }).end(list(server, searchParams));
    return;
  }
  const object = server.objects.get(key);
  if (method === 'PUT') {
    if (object !== undefined && headers['if-none-match'] === '*') return refuse(reply, 412, 'PreconditionFailed');
    server.objects.set(key, body);
    reply.end();
  } else if (method === 'DELETE') {
    server.objects.delete(key);
    reply.writeHead(204).end();
  } else if (method === 'GET' && object !== undefined) {
    reply.end(object);
  } else {
    refuse(reply, 404, 'NoSuchKey');
  }
}

function refuse(reply: ServerResponse, status: number, code: string): void {
  reply.writeHead(status, { 'content-type': 'application/xml' }).end(`${XML}<Error><Code>${code}</Code></Error>`);
}

const XML = '<?xml version="1.0" encoding="UTF-8"?>\n';

function list({ objects, bucket, pageSize }: S3Server, query: URLSearchParams): string {
  const prefix = query.get('prefix') ?? '';
  const after = query.get('start-after') ?? '';
  const keys = [...objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort();
  const page = keys.slice(0, Math.min(pageSize, Number(query.get('max-keys') ?? 1000)));
  return listing(prefix, page, page.length < keys.length, bucket);
}

/** An answer to ListObjectsV2. */
export function listing(prefix: string, keys: readonly string[], truncated = false, bucket = 'records'): string {
  const contents = keys.map((key) => `<Contents><Key>${key}</Key><Size>1</Size></Contents>`).join('');
  const head = `<Name>${bucket}</Name><Prefix>${prefix}</Prefix><IsTruncated>${truncated}</IsTruncated>`;
  return `${XML}<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${head}${contents}</ListBucketResult>`;
}
