/** Whom a client of registries gives its credentials, and where a registry cannot lead it. */
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parseImageName } from '../../../client/evidence/image-name.ts';
import { registrySource } from '../../../client/evidence/registry.ts';
import type { RegistryOptions } from '../../../client/evidence/registry-requests.ts';
import { tempDir } from '../../support/log.ts';
import { digestOf, OciServer } from '../../support/oci-server.ts';
import { newAuthority, pemOf, tlsServer } from '../../support/tls-server.ts';
import {
  type Answer,
  endless,
  find,
  html,
  json,
  never,
  OPTIONS,
  redirect,
  refusal,
  start,
  status,
} from './lying-registry.ts';

describe('credentials', () => {
  const AUTH = Buffer.from('robot:s3cret').toString('base64');
  const USERS = (host: string) => ({ auths: { [host]: { auth: AUTH } } });

  async function configOf(content: unknown, mode = 0o600): Promise<string> {
    const dir = await tempDir();
    onTestFinished(() => dir.remove());
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
    onTestFinished(async () => void (await server.close()));
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
    onTestFinished(async () => void (await server.close()));
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
    onTestFinished(async () => void (await tls.close()));
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
