/** Evidence from a registry that behaves, and from one that does not. With real registries and cosign: test/interop/registry.test.ts. */
import { afterEach, describe, expect, it } from 'vitest';
import { parseImageName } from '../../../client/evidence/image-name.ts';
import { registrySource } from '../../../client/evidence/registry.ts';
import type { RegistryOptions } from '../../../client/evidence/registry-requests.ts';
import { BUNDLE, type Descriptor, INDEX, type OciOptions, OciServer } from '../../support/oci-server.ts';

const servers: OciServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

async function start(options: OciOptions = {}): Promise<OciServer> {
  const server = await new OciServer(options).start();
  servers.push(server);
  return server;
}

/** The content of each piece of evidence about an image. */
async function find(server: OciServer, { digest }: Descriptor, options: RegistryOptions = {}, signal?: AbortSignal) {
  const source = registrySource({ insecure: [server.host], retries: 0, timeoutMs: 5000, ...options });
  const image = parseImageName(`${server.host}/team/app@${digest}`);
  const pieces = await source.find({ digest, image }, signal ?? new AbortController().signal);
  return pieces.map(({ bytes }) => Buffer.from(bytes).toString());
}

const tagOf = ({ digest }: Descriptor) => digest.replace(':', '-');

describe.each([
  ['the referrers API', true],
  ['the fallback tag', false],
])('by %s', (_, api) => {
  async function startWith(attach: (server: OciServer, image: Descriptor) => Descriptor[], options: OciOptions = {}) {
    const server = await start({ ...options, api });
    const image = server.image('v1');
    const attached = attach(server, image);
    if (!api) server.index(attached, tagOf(image));
    return { server, image };
  }

  it('bundles are found, in the order of the list, and each of a manifest', async () => {
    const { server, image } = await startWith((server, image) => [
      server.attach(image, 'bundle 1'),
      server.attach(image, 'an SBOM', 'text/spdx+json'),
      server.attach(image, 'bundle 2', 'application/vnd.dev.sigstore.bundle+json;version=0.2'),
      server.attach(image, '', BUNDLE, { layers: [server.blob('bundle 3', BUNDLE), server.blob('bundle 4', BUNDLE)] }),
      // The type of a bundle on the whole, and that of a file on the layer.
      server.attach(image, 'bundle 5', 'application/octet-stream', { artifactType: BUNDLE }),
      // The other way round.
      server.attach(image, 'bundle 6', BUNDLE, { artifactType: 'application/vnd.oci.empty.v1+json' }),
    ]);
    expect(await find(server, image)).toEqual([1, 2, 3, 4, 5, 6].map((n) => `bundle ${n}`));
  });

  it('bundles are counted before they are fetched, and none is fetched without room', async () => {
    const { server, image } = await startWith((server, image) => [server.attach(image, 'bundle 1')]);
    const source = registrySource({ insecure: [server.host], retries: 0 });
    const named = parseImageName(`${server.host}/team/app@${image.digest}`);
    const sizes: number[] = [];
    let held = 0;
    const room = {
      take(bytes: number) {
        // Lists and manifests are held while they are read.
        held += bytes;
        if (bytes !== 'bundle 1'.length) return;
        sizes.push(held);
        throw new Error('no room');
      },
      give(bytes: number) {
        held -= bytes;
      },
    };
    const found = source.find({ digest: image.digest, image: named, room }, new AbortController().signal);
    await expect(found).rejects.toThrow('no room');
    expect(sizes).toEqual(['bundle 1'.length]);
  });

  it('none are found where there are none', async () => {
    const { server, image } = await startWith(() => []);
    expect(await find(server, image)).toEqual([]);
  });

  it('those of another image are not found', async () => {
    const { server, image } = await startWith((server, image) => [server.attach(image, 'bundle 1')]);
    expect(await find(server, server.image('v2', 'another'))).toEqual([]);
    expect(await find(server, image)).toHaveLength(1);
  });

  it('an index that refers to the image holds no bundle', async () => {
    const { server, image } = await startWith((server, subject) => [
      server.manifest({ mediaType: INDEX, subject, manifests: [server.attach(subject, 'bundle 1')] }),
    ]);
    expect(await find(server, image)).toEqual(api ? ['bundle 1'] : []);
  });

  it('more than 256 are too many', async () => {
    const many = (count: number) => (server: OciServer, image: Descriptor) =>
      Array.from({ length: count }, (_, n) => server.attach(image, `${n}`, 'text/plain'));
    const { server, image } = await startWith(many(256));
    expect(await find(server, image)).toEqual([]);
    const over = await startWith(many(257));
    await expect(find(over.server, over.image)).rejects.toThrow(
      expect.objectContaining({ code: 'evidence', message: expect.stringContaining('more than 256 referrers') }),
    );
  });

  it.each<[string, string, string, (server: OciServer, image: Descriptor) => Descriptor]>([
    [
      'names another image',
      'bad-reply',
      'is about the image',
      (server) => server.attach(server.image('v2', 'another'), 'x'),
    ],
    [
      'names no image',
      'bad-reply',
      'is about no image',
      (server, image) => server.attach(image, 'x', BUNDLE, { subject: undefined }),
    ],
    [
      'is no manifest',
      'bad-reply',
      'schemaVersion 2 is missing',
      (server, image) => server.attach(image, 'x', BUNDLE, { schemaVersion: 1 }),
    ],
    [
      'has a layer without a digest',
      'bad-reply',
      'digest',
      (server, image) => server.attach(image, 'x', BUNDLE, { layers: [{ mediaType: BUNDLE, size: 1 }] }),
    ],
    [
      'has a layer of a digest that is none',
      'bad-reply',
      'digest',
      (server, image) =>
        server.attach(image, 'x', BUNDLE, { layers: [{ mediaType: BUNDLE, size: 1, digest: 'sha256:../..' }] }),
    ],
    [
      'has a bundle that is not there',
      'bad-reply',
      'does not have it',
      (server, image) =>
        server.attach(image, 'x', BUNDLE, {
          layers: [{ mediaType: BUNDLE, size: 1, digest: `sha256:${'00'.repeat(32)}` }],
        }),
    ],
    [
      'has a bundle above 64 MiB',
      'evidence',
      'more than 67108864 bytes',
      (server, image) =>
        server.attach(image, 'x', BUNDLE, { layers: [{ ...server.blob('x', BUNDLE), size: 2 ** 26 + 1 }] }),
    ],
    [
      'has a bundle longer than it says',
      'evidence',
      'more than 3 bytes',
      (server, image) => server.attach(image, 'x', BUNDLE, { layers: [{ ...server.blob('longer', BUNDLE), size: 3 }] }),
    ],
    [
      'has a bundle shorter than it says',
      'evidence',
      'has 1 bytes, and not 2',
      (server, image) => server.attach(image, 'x', BUNDLE, { layers: [{ ...server.blob('x', BUNDLE), size: 2 }] }),
    ],
    [
      'has too many bytes of bundles',
      'evidence',
      'more than 134217728 bytes',
      (server, image) => {
        const layers = [60_000_000, 8_000_000].map((size) => ({ ...server.blob(Buffer.alloc(size), BUNDLE) }));
        return server.attach(image, 'x', BUNDLE, { layers: layers.flatMap((one) => [one, one]) });
      },
    ],
  ])('a listed manifest that %s is an error', async (_, code, why, attach) => {
    const server = await start({ api: false });
    const image = server.image('v1');
    const good = server.attach(image, 'good');
    const bad = attach(server, image);
    server.index([good, bad], tagOf(image));
    const error = { code, message: expect.stringContaining(why) };
    await expect(find(server, image)).rejects.toThrow(expect.objectContaining(error));
  });
});
