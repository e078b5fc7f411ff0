/**
 * Evidence in the registry that an image comes from (OCI distribution specification 1.1): Sigstore bundles whose manifests name the
 * image as their subject.
 *
 * They are listed by the referrers API, or, on a registry without it, by the index under the tag `sha256-HEX`. Every manifest of the
 * list is fetched and judged by its own type: the list of cosign has a wrong one. Bundles over a key are among them. What older
 * versions of cosign wrote (the tags `sha256-HEX.sig` and `sha256-HEX.att`) is not read, nor is what refers to other manifests: for an
 * image of several platforms the digest of the index and that of each manifest in it have evidence of their own.
 *
 * Nothing here is trusted for more than to be found. Bytes that come by a digest have that digest.
 */
import { createHash } from 'node:crypto';
import { printable } from '../../merkle/printable.ts';
import type { Fetched } from '../../merkle/runtime/service/fetch.ts';
import { ClientError, usage } from '../errors.ts';
import { MAX_BUNDLE } from '../formats/bundle.ts';
import { parseJson } from '../formats/json.ts';
import { inOrder } from '../in-order.ts';
import { formatImageName, type ImageName, isImageDigest } from './image-name.ts';
import {
  checkImage,
  type Descriptor,
  IMAGE_TYPES,
  INDEX_TYPE,
  MAX_MANIFEST,
  readIndex,
  readReferrer,
} from './oci-json.ts';
import { type RegistryOptions, RegistryRequests, withoutQuery } from './registry-requests.ts';
import type { EvidencePiece, EvidenceRoom, EvidenceSource } from './types.ts';

interface RegistrySource extends EvidenceSource {
  /**
   * The digest that the image's tag (`latest` where it has none) stands for now, computed from the bytes of its manifest.
   *
   * @returns `sha256:HEX`
   * @throws ClientError as `find`; `missing`: the registry has no such image
   */
  resolveTag(image: ImageName, signal: AbortSignal, room?: EvidenceRoom): Promise<string>;
}

const MAX_REFERRERS = 256;
const MAX_PAGES = 64;
const MAX_BYTES = 128 * 1024 * 1024;
const AT_ONCE = 6;

/** @throws ClientError `usage`: a host in `insecure` is none */
export function registrySource(options: RegistryOptions = {}): RegistrySource {
  const requests = new RegistryRequests(options);
  return {
    async find({ digest, image, room }, signal) {
      if (image === undefined)
        throw usage('evidence in a registry is looked up by the name of an image, and none is given');
      if (!isImageDigest(digest)) throw usage(`"${printable(digest)}" is not the digest of an image`);
      return await new Search(requests, image, digest, signal, room).run();
    },
    async resolveTag(image, signal, room) {
      const { tag = 'latest' } = image;
      const accept = IMAGE_TYPES.join(', ');
      const request = { image, what: `manifests/${tag}`, accept, limit: MAX_MANIFEST, signal, room };
      const reply = await requests.get(request);
      const from = `${requests.urlOf(image)}manifests/${tag}`;
      if (reply.status === 404) {
        checkNotFound(reply, from);
        throw new ClientError('missing', `the registry has no image ${formatImageName({ ...image, tag })}`);
      }
      checkImage(reply.bytes, from);
      const said = reply.headers.get('docker-content-digest');
      if (said !== null && !isOf(said, reply.bytes)) {
        throw new ClientError('bad-reply', `${from}: the digest in the answer is not that of its bytes`);
      }
      return `sha256:${createHash('sha256').update(reply.bytes).digest('hex')}`;
    },
  };
}

class Search {
  readonly #requests: RegistryRequests;
  readonly #image: ImageName;
  readonly #digest: string;
  readonly #signal: AbortSignal;
  readonly #room: EvidenceRoom | undefined;
  #left = MAX_BYTES;

  constructor(
    requests: RegistryRequests,
    image: ImageName,
    digest: string,
    signal: AbortSignal,
    room: EvidenceRoom | undefined,
  ) {
    this.#room = room;
    this.#requests = requests;
    this.#image = image;
    this.#digest = digest;
    this.#signal = signal;
  }

  async run(): Promise<readonly EvidencePiece[]> {
    const listed = [...((await this.#listed()) ?? (await this.#tagged()))];
    const pieces: EvidencePiece[] = [];
    const next = () => {
      const digest = listed.shift();
      return digest === undefined ? undefined : () => this.#bundlesOf(digest);
    };
    for await (const found of inOrder(next, () => AT_ONCE)) pieces.push(...found);
    return pieces;
  }

  /** By the referrers API; undefined where the registry has none. */
  async #listed(): Promise<ReadonlySet<string> | undefined> {
    const digests = new Set<string>();
    let what: string | URL = `referrers/${this.#digest}`;
    for (let page = 1; ; page++) {
      if (page > MAX_PAGES) throw this.#tooMuch(`lists referrers on more than ${MAX_PAGES} pages`);
      const reply: Fetched = await this.#get(what, INDEX_TYPE, MAX_MANIFEST, this.#room);
      if (reply.status === 404) {
        if (page === 1) return undefined;
        throw new ClientError('bad-reply', `${this.#from(what)}: the registry has not the page that it links`);
      }
      this.#add(digests, readIndex(reply.bytes, this.#from(what)));
      const next = this.#nextPage(reply, what);
      if (next === undefined) return digests;
      what = next;
    }
  }

  /** By the tag that clients write for a registry without the API. */
  async #tagged(): Promise<ReadonlySet<string>> {
    const digests = new Set<string>();
    const what = `manifests/${tagOf(this.#digest)}`;
    const reply = await this.#get(what, INDEX_TYPE, MAX_MANIFEST, this.#room);
    if (reply.status === 404) {
      checkNotFound(reply, this.#from(what));
      return digests;
    }
    // GitLab's registry takes the tag for the digest, and answers with the image itself.
    if (!isOf(this.#digest, reply.bytes)) this.#add(digests, readIndex(reply.bytes, this.#from(what)));
    return digests;
  }

  #add(digests: Set<string>, descriptors: readonly Descriptor[]): void {
    for (const { digest } of descriptors) digests.add(digest);
    if (digests.size > MAX_REFERRERS) throw this.#tooMuch(`lists more than ${MAX_REFERRERS} referrers`);
  }

  /** RFC 8288. The next page is of the same registry and repository. */
  #nextPage(reply: Fetched, what: string | URL): URL | undefined {
    const link = reply.headers.get('link');
    if (link === null) return undefined;
    const target = /<([^<>]*)>\s*(?:;[^,<>]*)?;\s*rel\s*=\s*"?next"?\s*(?:[;,]|$)/i.exec(link)?.[1];
    if (target === undefined) {
      if (!/next/i.test(link)) return undefined;
      throw new ClientError(
        'bad-reply',
        `${this.#from(what)}: the link to the next page cannot be read: ${printable(link)}`,
      );
    }
    const base = new URL(`referrers/${this.#digest}`, this.#requests.urlOf(this.#image));
    const next = URL.canParse(target, base.href) ? new URL(target, base) : undefined;
    if (next === undefined || next.origin !== base.origin || next.pathname !== base.pathname) {
      throw new ClientError(
        'bad-reply',
        `${this.#from(what)}: the next page of referrers is at another place: ${printable(target)}`,
      );
    }
    return next;
  }

  async #bundlesOf(digest: string): Promise<readonly EvidencePiece[]> {
    const what = `manifests/${digest}`;
    const bytes = await this.#fetchVerified(what, digest, MAX_MANIFEST, IMAGE_TYPES.join(', '), this.#room);
    const { subject, bundles } = readReferrer(bytes, this.#from(what));
    if (subject !== this.#digest) {
      const about = subject === undefined ? 'no image' : `the image ${subject}`;
      throw new ClientError('bad-reply', `${this.#from(what)} is listed for ${this.#digest}, and is about ${about}`);
    }
    const pieces: EvidencePiece[] = [];
    for (const layer of bundles) {
      if (layer.size > MAX_BUNDLE) throw this.#tooMuch(`holds a bundle of more than ${MAX_BUNDLE} bytes`);
      this.#reserve(layer.size);
      const blob = `blobs/${layer.digest}`;
      const piece = await this.#fetchVerified(blob, layer.digest, layer.size, '*/*');
      if (piece.length !== layer.size) {
        throw new ClientError(
          'evidence',
          `${this.#from(blob)} has ${piece.length} bytes, and not ${layer.size} as its manifest says`,
        );
      }
      pieces.push({ source: this.#from(blob), bytes: piece });
    }
    return pieces;
  }

  /** What the registry lists and does not have is an error: evidence that is not read cannot be judged. */
  async #fetchVerified(
    what: string,
    digest: string,
    limit: number,
    accept: string,
    room?: EvidenceRoom,
  ): Promise<Uint8Array> {
    const { status, bytes } = await this.#get(what, accept, limit, room);
    if (status === 404)
      throw new ClientError('bad-reply', `${this.#from(what)} is listed, and the registry does not have it`);
    if (!isOf(digest, bytes)) throw new ClientError('evidence', `${this.#from(what)}: the bytes have another digest`);
    return bytes;
  }

  async #get(what: string | URL, accept: string, limit: number, room?: EvidenceRoom): Promise<Fetched> {
    const reply = await this.#requests.get({ image: this.#image, what, accept, limit, room, signal: this.#signal });
    // The caller reads a list or a manifest at once.
    room?.give(reply.bytes.length);
    return reply;
  }

  /** Before the bytes are there: several answers come at once. */
  #reserve(bytes: number): void {
    this.#left -= bytes;
    if (this.#left < 0) throw this.#tooMuch(`has more than ${MAX_BYTES} bytes of evidence`);
    this.#room?.take(bytes);
  }

  #from(what: string | URL): string {
    return what instanceof URL ? withoutQuery(what) : `${this.#requests.urlOf(this.#image)}${what}`;
  }

  #tooMuch(what: string): ClientError {
    return new ClientError('evidence', `the registry ${what} for ${formatImageName(this.#image)}`);
  }
}

/** The referrers tag of the specification. */
function tagOf(digest: string): string {
  const [algorithm = '', hex = ''] = digest.split(':');
  return `${algorithm}-${hex.slice(0, 64)}`;
}

function isOf(digest: string, bytes: Uint8Array): boolean {
  if (!isImageDigest(digest)) return false;
  const [algorithm = '', hex] = digest.split(':');
  return createHash(algorithm).update(bytes).digest('hex') === hex;
}

/**
 * A registry says in JSON that it does not have something. Another 404 is that of a server which is no registry, or stands before one:
 * it says nothing about evidence.
 */
function checkNotFound({ bytes }: Fetched, from: string): void {
  let errors: unknown;
  try {
    errors = (parseJson(bytes, 'the answer', MAX_MANIFEST) as { errors?: unknown } | null)?.errors;
  } catch {
    // Not JSON.
  }
  if (!Array.isArray(errors))
    throw new ClientError('bad-reply', `${from} answers with status 404, and not as a registry does`);
}
