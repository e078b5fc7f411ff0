/** Registries that are none, or that are broken: each is an error, and never "no evidence". */
import { describe, expect, it, onTestFinished } from 'vitest';
import { parseImageName } from '../../../client/evidence/image-name.ts';
import { registrySource } from '../../../client/evidence/registry.ts';
import { digestOf, notFound, OciServer } from '../../support/oci-server.ts';
import {
  type Answer,
  endless,
  find,
  html,
  html404,
  index,
  json,
  never,
  OPTIONS,
  redirect,
  refusal,
  start,
  status,
} from './lying-registry.ts';

describe('a list of referrers', () => {
  it.each<[string, string, string, Answer]>([
    ['HTML', 'bad-reply', 'is not JSON', html],
    ['nothing', 'bad-reply', 'is empty', status(200)],
    ['JSON that is no index', 'bad-reply', 'schemaVersion 2 is missing', json({ manifests: [] })],
    ['null', 'bad-reply', 'schemaVersion 2 is missing', json(null)],
    ['an index without manifests', 'bad-reply', 'lists no manifests', json({ schemaVersion: 2 })],
    [
      'a manifest',
      'bad-reply',
      'is of the type',
      json({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json' }),
    ],
    ['an index of texts', 'bad-reply', 'manifests[0] is no descriptor', index(['x'])],
    ['a path for a digest', 'bad-reply', 'digest', index([{ mediaType: 'x', size: 1, digest: '../../blobs/x' }])],
    [
      'two lists of manifests',
      'bad-reply',
      'manifests',
      (reply) => reply.end('{"schemaVersion":2,"manifests":[],"manifests":[]}'),
    ],
    [
      '10,000 entries',
      'evidence',
      'more than 256 referrers',
      index(
        Array.from({ length: 10_000 }, (_, n) => ({ mediaType: 'x', size: 1, digest: digestOf(Buffer.from(`${n}`)) })),
      ),
    ],
    ['bytes without end', 'evidence', 'more than 4194304 bytes', endless],
    [
      'half of the bytes',
      'network',
      'does not answer',
      (reply) => reply.writeHead(200, { 'content-length': '100' }).write('{', () => reply.destroy()),
    ],
    ['a cut connection', 'network', 'cut off', (reply) => reply.destroy()],
    ['status 204', 'refused', 'status 204', status(204)],
    ['status 400', 'refused', 'status 400', status(400)],
    ['status 403', 'refused', 'status 403: it asks for other credentials', status(403)],
    ['status 429', 'unavailable', 'status 429', status(429)],
    ['status 500', 'unavailable', 'status 500', status(500)],
    ['status 503', 'unavailable', 'status 503 (asked 1 time)', status(503)],
    ['a challenge of no kind', 'bad-reply', 'does not say for which', status(401)],
    [
      'a challenge of another kind',
      'bad-reply',
      'unknown kind: Negotiate',
      (reply) => reply.writeHead(401, { 'www-authenticate': 'Negotiate' }).end(),
    ],
    [
      'a challenge for a password',
      'refused',
      'asks for a name and a password',
      (reply) => reply.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end(),
    ],
    [
      'a token service by http',
      'bad-reply',
      'which is not https',
      (reply) => reply.writeHead(401, { 'www-authenticate': 'Bearer realm="http://token.example.com/"' }).end(),
    ],
    [
      'a token service with a user',
      'bad-reply',
      'with a user',
      (reply) => reply.writeHead(401, { 'www-authenticate': 'Bearer realm="https://a:b@token.example.com/"' }).end(),
    ],
    [
      'a token service of a file',
      'bad-reply',
      'which is not https',
      (reply) => reply.writeHead(401, { 'www-authenticate': 'Bearer realm="file:///etc/passwd"' }).end(),
    ],
    [
      'a token service on loopback',
      'refused',
      'is not asked',
      (reply) => reply.writeHead(401, { 'www-authenticate': 'Bearer realm="https://127.0.0.1/token"' }).end(),
    ],
    [
      'a token service of the cloud',
      'refused',
      'is not asked',
      (reply) => reply.writeHead(401, { 'www-authenticate': 'Bearer realm="https://169.254.169.254/token"' }).end(),
    ],
    ['a redirect to no address', 'bad-reply', 'redirect to no address', status(307)],
    [
      'a redirect to http',
      'bad-reply',
      'leads to http://example.com/x, which is not followed',
      redirect('http://example.com/x'),
    ],
    ['a redirect to a file', 'bad-reply', 'which is not followed', redirect('file:///etc/passwd')],
    ['a redirect with a user', 'bad-reply', 'which is not followed', redirect('https://a:b@example.com/')],
    ['a redirect to loopback', 'refused', 'https://127.0.0.1/x is not asked', redirect('https://127.0.0.1/x?secret=1')],
    ['a redirect to loopback by name', 'refused', 'https://localhost/x is not asked', redirect('https://localhost/x')],
    ['a redirect to loopback, spelled oddly', 'refused', 'is not asked', redirect('https://0x7f.1/x')],
    ['a redirect to loopback in IPv6', 'refused', 'is not asked', redirect('https://[::1]/x')],
    ['a redirect to mapped loopback', 'refused', 'is not asked', redirect('https://[::ffff:127.0.0.1]/x')],
    ['a redirect to a private address', 'refused', 'is not asked', redirect('https://10.0.0.1/x')],
    [
      'a redirect to the metadata of a cloud',
      'refused',
      'is not asked',
      redirect('https://169.254.169.254/latest/meta-data/'),
    ],
    [
      'a redirect without end',
      'bad-reply',
      'more than 5 addresses',
      (reply, request) => redirect(`${request.url}?again`)(reply, request, undefined as never),
    ],
    [
      'a next page elsewhere',
      'bad-reply',
      'at another place',
      (reply) =>
        reply.writeHead(200, { link: '<https://example.com/>; rel="next"' }).end('{"schemaVersion":2,"manifests":[]}'),
    ],
    [
      'a next page of another repository',
      'bad-reply',
      'at another place',
      (reply) =>
        reply.writeHead(200, { link: '</v2/other/referrers/x>; rel=next' }).end('{"schemaVersion":2,"manifests":[]}'),
    ],
    [
      'a next page in odd words',
      'bad-reply',
      'cannot be read',
      (reply) => reply.writeHead(200, { link: '<?x>; rel="last next"' }).end('{"schemaVersion":2,"manifests":[]}'),
    ],
    [
      'pages without end',
      'evidence',
      'more than 64 pages',
      (reply, request) =>
        reply.writeHead(200, { link: `<${request.url}>; rel="next"` }).end('{"schemaVersion":2,"manifests":[]}'),
    ],
  ])('in the form of %s is an error', async (_, code, why, answer) => {
    const server = await start({ '/referrers/': answer });
    const image = server.image();
    server.attach(image, 'a bundle');
    const error = await find(server, image).catch((error) => error);
    expect(error).toEqual(refusal(code, why));
    expect(error.message).not.toContain('secret');
  });

  it.each<[string, string, string, Answer]>([
    ['HTML', 'bad-reply', 'is not JSON', html],
    ['a 404 in HTML', 'bad-reply', 'not as a registry does', html404],
    ['a 404 in no words', 'bad-reply', 'not as a registry does', status(404)],
    [
      'another image',
      'bad-reply',
      'is of the type',
      (reply, _, server) => reply.end(JSON.stringify({ schemaVersion: 2, mediaType: server.image().mediaType })),
    ],
    ['status 500', 'unavailable', 'status 500', status(500)],
    ['bytes without end', 'evidence', 'more than 4194304 bytes', endless],
  ])('under the tag, in the form of %s, is an error', async (_, code, why, answer) => {
    const server = await start({ '/manifests/sha256-': answer }, false);
    await expect(find(server, server.image())).rejects.toEqual(refusal(code, why));
  });

  it('under the tag is none where the registry takes the tag for the digest', async () => {
    const server = await start({}, false);
    const image = server.index([server.image()], 'v1');
    server.index([server.image()], image.digest.replace(':', '-'));
    expect(await find(server, image)).toEqual([]);
  });

  it('may take several pages', async () => {
    const server = await new OciServer({ page: 2 }).start();
    onTestFinished(async () => void (await server.close()));
    const image = server.image();
    for (const n of [1, 2, 3, 4, 5]) server.attach(image, `bundle ${n}`);
    expect(await find(server, image)).toEqual([1, 2, 3, 4, 5].map((n) => `bundle ${n}`));
    expect(server.requests.filter(({ line }) => line.includes('/referrers/'))).toHaveLength(3);
  });

  it('is an error where a page is missing', async () => {
    const server = await start({
      'from=1': (reply) => notFound(reply),
      '/referrers/': (reply) =>
        reply.writeHead(200, { link: '<?from=1>; rel="next"' }).end('{"schemaVersion":2,"manifests":[]}'),
    });
    await expect(find(server, server.image())).rejects.toEqual(refusal('bad-reply', 'has not the page that it links'));
  });
});

describe('what a digest names', () => {
  it.each<[string, string, string, string, Answer]>([
    ['a manifest with other bytes', '/manifests/', 'evidence', 'another digest', json({ schemaVersion: 2 })],
    ['a manifest in HTML', '/manifests/', 'evidence', 'another digest', html],
    ['a manifest that is gone', '/manifests/', 'bad-reply', 'does not have it', (reply) => notFound(reply)],
    ['a bundle with other bytes', '/blobs/', 'evidence', 'another digest', (reply) => reply.end('A BUNDLE')],
    ['a bundle in HTML', '/blobs/', 'evidence', 'more than 8 bytes', html],
    ['a bundle without end', '/blobs/', 'evidence', 'more than 65536 bytes', endless],
    ['a bundle that is gone', '/blobs/', 'bad-reply', 'does not have it', html404],
    ['a bundle that leads to loopback', '/blobs/', 'refused', 'is not asked', redirect('https://localhost/blob')],
  ])('is an error as %s', async (_, path, code, why, answer) => {
    const server = await start({ [path]: answer });
    const image = server.image();
    server.attach(image, 'a bundle');
    await expect(find(server, image)).rejects.toEqual(refusal(code, why));
  });
});

describe('a registry that lets one wait', () => {
  const slow: Answer = (reply) => {
    const timer = setInterval(() => reply.write(' '), 10);
    reply.on('close', () => clearInterval(timer));
  };

  it.each<[string, Answer]>([
    ['with everything', () => {}],
    ['with every byte', slow],
  ])('%s is an error when the time is over', async (_, answer) => {
    const server = await start({ '/referrers/': answer });
    await expect(find(server, server.image(), { timeoutMs: 100 })).rejects.toEqual(
      refusal('network', 'no whole answer within 0.1 s'),
    );
  });

  it('ends with the signal', async () => {
    const stop = new AbortController();
    const server = await start({ '/referrers/': () => stop.abort() });
    await expect(find(server, server.image(), {}, stop.signal)).rejects.toEqual(refusal('cancelled', ''));
  });

  it('is asked again where that may help', async () => {
    let asked = 0;
    const server = await start({
      '/referrers/': (reply, request, server) => {
        asked += 1;
        (asked < 3 ? status(503) : index([]))(reply, request, server);
      },
    });
    expect(await find(server, server.image(), { retries: 2 })).toEqual([]);
    expect(asked).toBe(3);
  });

  it('is an error where nothing listens', async () => {
    const server = await start();
    const subject = { digest: server.image().digest, image: parseImageName(`${server.host}/team/app`) };
    const source = registrySource({ insecure: [server.host], ...OPTIONS });
    await server.close();
    await expect(source.find(subject, never)).rejects.toEqual(refusal('network', 'nothing listens there'));
  });
});

describe('a tag', () => {
  const resolve = (server: OciServer, name: string) =>
    registrySource({ insecure: [server.host], ...OPTIONS }).resolveTag(
      parseImageName(`${server.host}/team/${name}`),
      never,
    );

  it('stands for the digest of what the registry has under it', async () => {
    const server = await start();
    const image = server.image('v1');
    const latest = server.index([image], 'latest');
    expect(await resolve(server, 'app:v1')).toBe(image.digest);
    expect(await resolve(server, 'app')).toBe(latest.digest);
    await expect(resolve(server, 'app:v2')).rejects.toEqual(
      refusal('missing', `has no image ${server.host}/team/app:v2`),
    );
  });

  it.each<[string, string, string, Answer]>([
    ['HTML', 'bad-reply', 'is no manifest', html],
    ['a 404 in HTML', 'bad-reply', 'not as a registry does', html404],
    [
      'an image of the first kind',
      'bad-reply',
      'schemaVersion 2 is missing',
      json({ schemaVersion: 1, signatures: [] }),
    ],
    [
      'something that is no image',
      'bad-reply',
      'is no image manifest',
      json({ schemaVersion: 2, mediaType: 'text/plain' }),
    ],
    [
      'an image with the digest of another',
      'bad-reply',
      'is not that of its bytes',
      (reply) =>
        reply
          .writeHead(200, { 'docker-content-digest': digestOf(Buffer.from('x')) })
          .end('{"schemaVersion":2,"config":{}}'),
    ],
    [
      'an image with a digest that is none',
      'bad-reply',
      'is not that of its bytes',
      (reply) => reply.writeHead(200, { 'docker-content-digest': 'x' }).end('{"schemaVersion":2,"config":{}}'),
    ],
  ])('that leads to %s is an error', async (_, code, why, answer) => {
    const server = await start({ '/manifests/v1': answer });
    await expect(resolve(server, 'app:v1')).rejects.toEqual(refusal(code, why));
  });
});
