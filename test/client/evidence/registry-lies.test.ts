/** Registries that are none, that are broken, and that want to lead a client somewhere: each is an error, and never "no evidence". */
import { chmod, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { parseImageName } from '../../../client/evidence/image-name.ts';
import { registrySource } from '../../../client/evidence/registry.ts';
import type { RegistryOptions } from '../../../client/evidence/registry-requests.ts';
import { tempDir } from '../../support/log.ts';
import { type Descriptor, digestOf, INDEX, notFound, OciServer } from '../../support/oci-server.ts';
import { newAuthority, pemOf, tlsServer } from '../../support/tls-server.ts';

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

type Answer = (reply: ServerResponse, request: IncomingMessage, server: OciServer) => void;

/** A registry that answers requests for a path as told, and others as a registry does. */
async function start(lies: Readonly<Record<string, Answer>> = {}, api = true): Promise<OciServer> {
  const server: OciServer = new OciServer({
    api,
    intercept: (request, reply) => {
      const lie = Object.entries(lies).find(([path]) => (request.url ?? '').includes(path));
      if (lie !== undefined) lie[1](reply, request, server);
      return lie !== undefined;
    },
  });
  ends.push(() => server.close());
  return await server.start();
}

const OPTIONS = { retries: 0, timeoutMs: 5000 };
const never = new AbortController().signal;

async function find(server: OciServer, { digest }: Descriptor, options: RegistryOptions = {}, signal = never) {
  const source = registrySource({ insecure: [server.host], ...OPTIONS, ...options });
  const pieces = await source.find({ digest, image: parseImageName(`${server.host}/team/app`) }, signal);
  return pieces.map(({ bytes }) => Buffer.from(bytes).toString());
}

const refusal = (code: string, why: string) =>
  expect.objectContaining({ name: 'ClientError', code, message: expect.stringContaining(why) });

const html: Answer = (reply) => reply.writeHead(200, { 'content-type': 'text/html' }).end('<html>Welcome</html>');
const html404: Answer = (reply) => reply.writeHead(404, { 'content-type': 'text/html' }).end('<html>Not here</html>');
const status =
  (code: number): Answer =>
  (reply) =>
    reply.writeHead(code).end();
const json =
  (value: unknown): Answer =>
  (reply) =>
    reply.writeHead(200, { 'content-type': INDEX }).end(JSON.stringify(value));
const redirect =
  (to: string): Answer =>
  (reply) =>
    reply.writeHead(307, { location: to }).end();
const endless: Answer = (reply) => {
  const piece = Buffer.alloc(1024 * 1024, ' ');
  reply.on('error', () => {});
  const more = () => {
    while (!reply.destroyed && reply.write(piece));
    if (!reply.destroyed) reply.once('drain', more);
  };
  more();
};
const index = (manifests: unknown) => json({ schemaVersion: 2, mediaType: INDEX, manifests });

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
    ends.push(() => server.close());
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

describe('credentials', () => {
  const AUTH = Buffer.from('robot:s3cret').toString('base64');
  const USERS = (host: string) => ({ auths: { [host]: { auth: AUTH } } });

  async function configOf(content: unknown, mode = 0o600): Promise<string> {
    const dir = await tempDir();
    ends.push(() => dir.remove());
    const path = join(dir.path, 'config.json');
    await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
    await chmod(path, mode);
    return path;
  }

  const basicWanted: Answer = (reply) => reply.writeHead(401, { 'www-authenticate': 'Basic realm="registry"' }).end();

  /** A registry that wants the header `wanted`. */
  async function closed(wanted: string, challenge: (server: OciServer) => string): Promise<OciServer> {
    const server: OciServer = new OciServer({
      intercept: (request, reply) => {
        if (request.headers.authorization === wanted) return false;
        reply.writeHead(401, { 'www-authenticate': challenge(server) }).end();
        return true;
      },
    });
    ends.push(() => server.close());
    return await server.start();
  }

  it('by name and password are sent where they are asked for', async () => {
    const server = await closed(`Basic ${AUTH}`, () => 'Basic realm="registry"');
    const image = server.image();
    server.attach(image, 'a bundle');
    expect(await find(server, image, { configFile: await configOf(USERS(server.host)) })).toEqual(['a bundle']);
    expect(server.requests[0]!.authorization).toBeUndefined();
    for (const key of [
      `https://${server.host}`,
      `https://${server.host}/v1/`,
      `${server.host}/team`,
      `${server.host}/team/app`,
    ]) {
      expect(await find(server, image, { configFile: await configOf(USERS(key)) })).toEqual(['a bundle']);
    }
    const named = { auths: { [server.host]: { username: 'robot', password: 's3cret' } } };
    expect(await find(server, image, { configFile: await configOf(named) })).toEqual(['a bundle']);
  });

  it('of the longest fitting path are taken', async () => {
    const server = await closed(`Basic ${AUTH}`, () => 'Basic realm="registry"');
    const wrong = { auth: Buffer.from('other:pass').toString('base64') };
    const auths = { [server.host]: wrong, [`${server.host}/team/app`]: { auth: AUTH }, [`${server.host}/team`]: wrong };
    expect(await find(server, server.image(), { configFile: await configOf({ auths }) })).toEqual([]);
  });

  it('are refused once, and no oftener', async () => {
    const server = await closed('nothing', () => 'Basic realm="registry"');
    const configFile = await configOf(USERS(server.host));
    await expect(find(server, server.image(), { configFile })).rejects.toEqual(
      refusal('refused', 'status 401: it asks for other credentials'),
    );
    expect(server.requests).toHaveLength(2);
  });

  it.each(['other.example.com', '127.0.0.1', '127.0.0.1:1', 'x'])('for %s go to no other registry', async (key) => {
    const server = await start({ '/v2/': basicWanted });
    const error = await find(server, server.image(), { configFile: await configOf(USERS(key)) }).catch(
      (error) => error,
    );
    expect(error).toEqual(refusal('refused', 'asks for a name and a password'));
    expect(server.requests.map(({ authorization }) => authorization)).toEqual([undefined]);
  });

  it('for another path of the host are not sent', async () => {
    const server = await start({ '/v2/': basicWanted });
    for (const path of ['tea', 'team/application', 'team/app/more']) {
      const configFile = await configOf(USERS(`${server.host}/${path}`));
      await expect(find(server, server.image(), { configFile })).rejects.toEqual(refusal('refused', 'has none for it'));
    }
  });

  it.each<[string, unknown, string, number?]>([
    ['not JSON', '{"auths": {"s3cret', 'is malformed'],
    ['no object', '[]', 'is malformed'],
    ['auths of another kind', { auths: ['s3cret'] }, 'is malformed'],
    ['an auth that is not base64', (host: string) => ({ auths: { [host]: { auth: 's3cret!' } } }), 'is malformed'],
    [
      'an auth without a user',
      (host: string) => ({ auths: { [host]: { auth: Buffer.from('s3cret').toString('base64') } } }),
      'is malformed',
    ],
    ['a file that is open to others', {}, 'is open to others', 0o644],
  ])('in a file with %s are an error that shows nothing of them', async (_, content, why, mode) => {
    const server = await start({ '/v2/': basicWanted });
    const configFile = await configOf(typeof content === 'function' ? content(server.host) : content, mode);
    const error = await find(server, server.image(), { configFile }).catch((error) => error);
    expect(error).toEqual(refusal('file', why));
    expect(`${error.stack}${JSON.stringify(error)}`).not.toContain('s3cret');
  });

  it('in a file that is not there are an error', async () => {
    const server = await start({ '/v2/': basicWanted });
    await expect(find(server, server.image(), { configFile: join(await configOf(''), 'x') })).rejects.toEqual(
      refusal('file', 'cannot be read: ENOTDIR'),
    );
  });

  it('are exchanged for a token, which is used again', async () => {
    const tokens: (string | undefined)[] = [];
    const service = await start({
      '/token': (reply, request) => {
        tokens.push(request.url, request.headers.authorization);
        reply.end('{"token":"t0ken","expires_in":300}');
      },
    });
    const server = await closed(
      'Bearer t0ken',
      () => `Bearer realm="http://${service.host}/token?a=b",service="registry x",scope="repository:other:push"`,
    );
    const image = server.image();
    server.attach(image, 'a bundle');
    const insecure = [server.host, service.host];
    const source = registrySource({ insecure, ...OPTIONS, configFile: await configOf(USERS(server.host)) });
    const name = parseImageName(`${server.host}/team/app`);
    for (const _ of [1, 2]) expect(await source.find({ digest: image.digest, image: name }, never)).toHaveLength(1);
    // The client names what it wants to do, whatever the registry names.
    expect(tokens).toEqual(['/token?a=b&service=registry+x&scope=repository%3Ateam%2Fapp%3Apull', `Basic ${AUTH}`]);
    expect(server.requests.filter(({ authorization }) => authorization === undefined)).toHaveLength(1);
    // A token of one repository is not sent for another.
    await source.find({ digest: image.digest, image: parseImageName(`${server.host}/team/other`) }, never);
    expect(tokens).toHaveLength(4);
  });

  it.each<[string, string, string, Answer]>([
    ['refuses', 'refused', 'status 403', status(403)],
    ['answers with HTML', 'bad-reply', 'something else than a token', html],
    ['answers with no token', 'bad-reply', 'something else than a token', json({ token: 1 })],
    [
      'answers with a token that breaks the header',
      'bad-reply',
      'something else than a token',
      json({ token: 's3cret\r\nx: y' }),
    ],
    ['never ends', 'evidence', 'more than 65536 bytes', endless],
    ['leads elsewhere', 'refused', 'status 307', redirect('/token2')],
  ])('are an error where the service of tokens %s', async (_, code, why, answer) => {
    const service = await start({ '/token': answer });
    const server = await closed('Bearer t', () => `Bearer realm="http://${service.host}/token"`);
    const error = await find(server, server.image(), { insecure: [server.host, service.host] }).catch((error) => error);
    expect(error).toEqual(refusal(code, why));
    expect(String(error.stack)).not.toContain('s3cret');
  });

  it('go to no host that a redirect leads to, nor to the service that it names', async () => {
    const elsewhere = await start({
      '/blob': (reply) => reply.end('a bundle'),
      '/closed': (reply, _, { host }) =>
        reply.writeHead(401, { 'www-authenticate': `Bearer realm="http://${host}/token"` }).end(),
    });
    let to = '/blob';
    const server: OciServer = new OciServer({
      intercept: (request, reply) => {
        if (request.headers.authorization !== `Basic ${AUTH}`)
          reply.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
        else if (request.url?.includes('/blobs/')) redirect(`http://${elsewhere.host}${to}`)(reply, request, server);
        else return false;
        return true;
      },
    });
    ends.push(() => server.close());
    await server.start();
    const image = server.image();
    server.attach(image, 'a bundle');
    const options = { insecure: [server.host, elsewhere.host], configFile: await configOf(USERS(server.host)) };
    expect(await find(server, image, options)).toEqual(['a bundle']);
    to = '/closed';
    await expect(find(server, image, options)).rejects.toEqual(
      refusal('refused', `${elsewhere.host}/closed answers with status 401`),
    );
    expect(elsewhere.requests).toEqual(
      ['/blob', '/closed'].map((path) => ({ line: `GET ${path}`, authorization: undefined })),
    );
  });
});

describe('a registry by https', () => {
  async function secured(server: OciServer) {
    const by = newAuthority('an authority of registries');
    const tls = await tlsServer(`http://${server.host}`, { by });
    ends.push(() => tls.close());
    return { host: new URL(tls.url).host, authorities: [pemOf(by)] };
  }

  it('is asked where its authority is trusted, and its address permitted', async () => {
    const server = await start();
    const image = server.image();
    server.attach(image, 'a bundle');
    const { host, authorities } = await secured(server);
    const subject = { digest: image.digest, image: parseImageName(`${host}/team/app`) };
    const look = (options: RegistryOptions) => registrySource({ ...OPTIONS, ...options }).find(subject, never);
    expect(await look({ authorities, allow: ['loopback'] })).toHaveLength(1);
    await expect(look({ allow: ['loopback'] })).rejects.toEqual(refusal('refused', 'cannot be used'));
    // Loopback is where a caller's image may lead that must not lead anywhere inside.
    await expect(look({ authorities })).rejects.toEqual(refusal('refused', 'is not asked'));
  });

  it('may lead to an address that is permitted, where it has such an address itself', async () => {
    const elsewhere = await start({ '/blob': (reply) => reply.end('a bundle') });
    const other = await secured(elsewhere);
    const server = await start({ '/blobs/': (...all) => redirect(`https://${other.host}/blob`)(...all) });
    const image = server.image();
    server.attach(image, 'a bundle');
    const options = { authorities: other.authorities, retries: 0 };
    expect(await find(server, image, { ...options, allow: ['loopback'] })).toEqual(['a bundle']);
    await expect(find(server, image, options)).rejects.toEqual(refusal('refused', 'is not asked'));
  });

  it('does not lead to http, even to a host that is asked by http', async () => {
    const plain = await start();
    const server = await start({ '/referrers/': redirect(`http://${plain.host}/`) });
    const { host, authorities } = await secured(server);
    const subject = { digest: server.image().digest, image: parseImageName(`${host}/team/app`) };
    const source = registrySource({ ...OPTIONS, authorities, allow: ['loopback'], insecure: [plain.host] });
    await expect(source.find(subject, never)).rejects.toEqual(refusal('bad-reply', 'must be https'));
    expect(plain.requests).toEqual([]);
  });
});

describe('a registry', () => {
  it.each(['1.2/app', '0x7f.1/app', '010.0.0.1/app', '2130706433:443/app', '127.1/app'])(
    'with the odd address of %s is not asked',
    async (name) => {
      const source = registrySource(OPTIONS);
      const subject = { digest: digestOf(Buffer.from('x')), image: parseImageName(name) };
      await expect(source.find(subject, never)).rejects.toEqual(refusal('usage', 'is no host of a registry'));
    },
  );

  it.each(['127.0.0.1/app', '169.254.169.254/app', '[::1]/app', 'localhost/app', '0.0.0.0/app', '[::ffff:7f00:1]/app'])(
    'at %s is not asked unless that is permitted',
    async (name) => {
      const source = registrySource(OPTIONS);
      const subject = { digest: digestOf(Buffer.from('x')), image: parseImageName(name) };
      await expect(source.find(subject, never)).rejects.toEqual(refusal('refused', 'is not asked'));
    },
  );

  it('is looked for by the name of an image and a digest alone', async () => {
    const source = registrySource();
    await expect(source.find({ digest: digestOf(Buffer.from('x')) }, never)).rejects.toEqual(
      refusal('usage', 'none is given'),
    );
    await expect(source.find({ digest: 'md5:x', image: parseImageName('a/b') }, never)).rejects.toEqual(
      refusal('usage', 'not the digest'),
    );
    expect(() => registrySource({ insecure: ['http://x'] })).toThrow('is no host of a registry');
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
