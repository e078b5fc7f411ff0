/**
 * A registry of images in memory (OCI distribution specification 1.1): pull, push, the referrers API with pages, tokens. What a
 * real registry does is tested with one (test/interop/registry.test.ts); this one has the referrers API, and can be told to misbehave.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

export const INDEX = 'application/vnd.oci.image.index.v1+json';
export const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const BUNDLE = 'application/vnd.dev.sigstore.bundle.v0.3+json';

export interface OciOptions {
  /** Whether it has the referrers API. Default true. */
  readonly api?: boolean;
  /** Most descriptors of a page. Default all. */
  readonly page?: number;
  /** Answers in place of the registry; true if it did. */
  readonly intercept?: (request: IncomingMessage, reply: ServerResponse) => boolean;
}

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

type Json = Readonly<Record<string, unknown>>;

export class OciServer {
  /** Every request: method, path and the Authorization header. */
  readonly requests: { readonly line: string; readonly authorization: string | undefined }[] = [];
  readonly #blobs = new Map<string, Buffer>();
  readonly #manifests = new Map<string, { readonly bytes: Buffer; readonly type: string }>();
  /** Blobs that come in pieces, by the path of their upload. */
  readonly #uploads = new Map<string, Buffer>();
  readonly #options: OciOptions;
  readonly #server = createServer((request, reply) => void this.#answer(request, reply));

  constructor(options: OciOptions = {}) {
    this.#options = options;
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  /** `127.0.0.1:PORT` */
  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  blob(content: Buffer | string, mediaType: string): Descriptor {
    const bytes = Buffer.from(content);
    this.#blobs.set(digestOf(bytes), bytes);
    return { mediaType, digest: digestOf(bytes), size: bytes.length };
  }

  /** A manifest under its digest, and under a tag. */
  manifest(content: Json, tag?: string): Descriptor {
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, ...content }));
    return this.#store(bytes, String(content.mediaType ?? MANIFEST), tag);
  }

  image(tag?: string, name = 'an image'): Descriptor {
    const config = this.blob(
      JSON.stringify({ os: 'linux', architecture: 'amd64', name }),
      'application/vnd.oci.image.config.v1+json',
    );
    return this.manifest({ config, layers: [] }, tag);
  }

  /** A manifest that refers to `subject`, with one layer. */
  attach(subject: Descriptor, content: string, layerType = BUNDLE, more: Json = {}): Descriptor {
    const config = this.blob('{}', 'application/vnd.oci.empty.v1+json');
    const layers = [this.blob(content, layerType)];
    return this.manifest({ artifactType: layerType, config, layers, subject, ...more });
  }

  index(manifests: readonly Json[] | readonly Descriptor[], tag: string): Descriptor {
    return this.manifest({ mediaType: INDEX, manifests }, tag);
  }

  #store(bytes: Buffer, type: string, tag?: string): Descriptor {
    for (const name of [digestOf(bytes), ...(tag === undefined ? [] : [tag])])
      this.#manifests.set(name, { bytes, type });
    return { mediaType: type, digest: digestOf(bytes), size: bytes.length };
  }

  async #answer(request: IncomingMessage, reply: ServerResponse): Promise<void> {
    const { method = '', url = '' } = request;
    this.requests.push({ line: `${method} ${url}`, authorization: request.headers.authorization });
    if (this.#options.intercept?.(request, reply) === true) return;
    const { pathname, searchParams } = new URL(url, `http://${this.host}`);
    if (pathname === '/v2/') return void reply.writeHead(200).end('{}');
    const [, name = '', kind = '', reference = ''] =
      /^\/v2\/(.+)\/(manifests|blobs|referrers)\/(.*)$/.exec(pathname) ?? [];
    if (kind === 'blobs' && method === 'POST') {
      return void reply.writeHead(202, { location: `/v2/${name}/blobs/uploads/${randomUUID()}` }).end();
    }
    if (method === 'PATCH') {
      this.#uploads.set(
        pathname,
        Buffer.concat([this.#uploads.get(pathname) ?? Buffer.alloc(0), await buffer(request)]),
      );
      return void reply.writeHead(202, { location: pathname }).end();
    }
    if (method === 'PUT') return await this.#put(kind, reference, searchParams, request, reply);
    if (kind === 'referrers' && this.#options.api !== false)
      return this.#referrers(name, reference, searchParams, reply);
    const found = kind === 'blobs' ? this.#blob(reference) : this.#manifests.get(reference);
    if (found === undefined || kind === 'referrers') return notFound(reply);
    const head = {
      'content-type': found.type,
      'content-length': found.bytes.length,
      'docker-content-digest': digestOf(found.bytes),
    };
    reply.writeHead(200, head).end(method === 'HEAD' ? undefined : found.bytes);
  }

  #blob(digest: string): { readonly bytes: Buffer; readonly type: string } | undefined {
    const bytes = this.#blobs.get(digest);
    return bytes && { bytes, type: 'application/octet-stream' };
  }

  async #put(kind: string, reference: string, query: URLSearchParams, request: IncomingMessage, reply: ServerResponse) {
    const begun = this.#uploads.get(new URL(request.url ?? '', 'http://x').pathname) ?? Buffer.alloc(0);
    const bytes = Buffer.concat([begun, await buffer(request)]);
    if (kind === 'blobs') {
      if (query.get('digest') !== digestOf(bytes)) return void reply.writeHead(400).end();
      this.#blobs.set(digestOf(bytes), bytes);
      return void reply.writeHead(201, { location: '/' }).end();
    }
    this.#store(bytes, request.headers['content-type'] ?? '', reference.includes(':') ? undefined : reference);
    const { subject } = JSON.parse(bytes.toString()) as { subject?: Descriptor };
    reply.writeHead(201, {
      'docker-content-digest': digestOf(bytes),
      ...(subject === undefined || this.#options.api === false ? {} : { 'oci-subject': subject.digest }),
    });
    reply.end();
  }

  #referrers(name: string, subject: string, query: URLSearchParams, reply: ServerResponse): void {
    const all = [...this.#manifests].flatMap(([key, { bytes, type }]) => {
      const manifest = JSON.parse(bytes.toString()) as { subject?: Descriptor; artifactType?: string };
      if (!key.includes(':') || manifest.subject?.digest !== subject) return [];
      return [{ mediaType: type, digest: digestOf(bytes), size: bytes.length, artifactType: manifest.artifactType }];
    });
    const { page = all.length || 1 } = this.#options;
    const from = Number(query.get('from') ?? 0);
    const more = from + page < all.length;
    const link = more ? { link: `</v2/${name}/referrers/${subject}?from=${from + page}>; rel="next"` } : {};
    reply.writeHead(200, { 'content-type': INDEX, ...link });
    reply.end(JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: all.slice(from, from + page) }));
  }
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

export function notFound(reply: ServerResponse): void {
  reply.writeHead(404, { 'content-type': 'application/json' }).end('{"errors":[{"code":"MANIFEST_UNKNOWN"}]}');
}
