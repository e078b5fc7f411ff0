/** Who calls, by real TLS connections. */
import http2 from 'node:http2';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { formatPem } from '../../../../merkle/pem.ts';
import { Identifier, type IdentifierParts } from '../../../../merkle/runtime/identity/identify.ts';
import { type Caller, IdentityError } from '../../../../merkle/runtime/identity/types.ts';
import { ClientAddresses } from '../../../../merkle/runtime/service/client-address.ts';
import { createHttpServer } from '../../../../merkle/runtime/service/http-server.ts';
import { OPERATOR_LIMITS } from '../../../../merkle/runtime/service/operator-limits.ts';
import type { SpiffeBundle } from '../../../../merkle/spiffe/trust-bundle.ts';
import {
  badCertificates,
  dnsName,
  emailName,
  issueClient,
  issueSvid,
  type Shown,
  shownBy,
  uriName,
} from '../../../support/client-certificates.ts';
import { pemOf } from '../../../support/tls-server.ts';
import { type Authority, issue, issueCa, issueDer } from '../../x509/make.ts';

const ID = 'spiffe://example.org/build/linux';
const root = issueCa('root');
const clients = issueCa('clients');

const bundleOf = (...authorities: Authority[]): ReadonlyMap<string, SpiffeBundle> => {
  const x509Authorities = authorities.map(({ certificate }) => certificate);
  return new Map([
    ['example.org', { trustDomain: 'example.org', x509Authorities, jwtAuthorities: [], passedOver: [] }],
  ]);
};

/** Bundles that change when the test says so. */
class Bundles {
  bundles: ReadonlyMap<string, SpiffeBundle>;
  listeners = new Set<() => void>();
  constructor(...authorities: Authority[]) {
    this.bundles = bundleOf(...authorities);
  }
  current() {
    return this.bundles;
  }
  onChange(listener: () => void) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
  change(...authorities: Authority[]) {
    this.bundles = bundleOf(...authorities);
    for (const listener of this.listeners) listener();
  }
}

interface Answered {
  readonly caller?: Caller;
  readonly code?: string;
  readonly message?: string;
  readonly challenge?: string;
  readonly reused: boolean;
}

let server: https.Server;
let serverCertificate: Shown;
const ends: (() => void)[] = [];

beforeAll(() => {
  serverCertificate = shownBy(issue({ name: 'localhost', by: root, keyUsage: 0x80, names: [dnsName('localhost')] }));
});

afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** A port that answers each request with who sent it. */
async function portOf(parts: IdentifierParts): Promise<{ port: number; identifier: Identifier }> {
  const identifier = new Identifier(parts);
  server = createHttpServer({
    limits: () => OPERATOR_LIMITS,
    clients: new ClientAddresses([]),
    bodies: { discard: () => {} },
    refuse: () => ({ status: 400, headers: {}, body: '' }),
    tls: { ...serverCertificate, askClients: true },
    http2: true,
    handler: (request, response) => {
      const reused = (request.socket as tls.TLSSocket).isSessionReused();
      const answer = (value: object) =>
        response.end(JSON.stringify({ ...value, reused }, (_, one) => (typeof one === 'bigint' ? String(one) : one)));
      const refuse = (error: unknown) => {
        if (!(error instanceof IdentityError)) throw error;
        const { code, message } = error;
        answer({ code, message, challenge: identifier.challengeFor(error) });
      };
      try {
        const caller = identifier.identify(request);
        if (caller instanceof Promise) caller.then((one) => answer({ caller: one }), refuse);
        else answer({ caller });
      } catch (error) {
        refuse(error);
      }
    },
  }) as https.Server;
  await new Promise<void>((resolve) => server.listen(0, resolve));
  const opened = server;
  ends.push(() => {
    identifier.close();
    opened.close();
    opened.closeAllConnections();
  });
  return { port: (server.address() as AddressInfo).port, identifier };
}

type Options = https.RequestOptions;

function ask(port: number, shown: Shown | undefined, options: Options = {}): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const request = https.get(
      { host: 'localhost', port, rejectUnauthorized: false, agent: false, ...shown, ...options },
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          body += chunk;
        });
        response.on('end', () => resolve(JSON.parse(body) as Answered));
      },
    );
    request.on('error', reject);
  });
}

function keptAlive(): https.Agent {
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
  ends.push(() => agent.destroy());
  return agent;
}

const year = (n: number) => Date.UTC(n, 0, 1);

describe('an X.509-SVID', () => {
  const good = issueSvid(root, ID);

  it('is known by the bundle of its trust domain', async () => {
    const { port } = await portOf({ bundles: new Bundles(root) });
    expect(await ask(port, shownBy(good))).toMatchObject({
      caller: {
        kind: 'x509-svid',
        id: ID,
        spiffeId: { text: ID, trustDomain: 'example.org', path: '/build/linux' },
        fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
        expires: year(2040),
      },
    });
  });

  it('is known below an intermediate that comes with it, in any order and with roots among them', async () => {
    const one = issueCa('one', root);
    const two = issueCa('two', one);
    const leaf = issueSvid(two, ID);
    const { port } = await portOf({ bundles: new Bundles(root) });
    for (const shown of [shownBy(leaf, two, one), shownBy(leaf, one, two), shownBy(leaf, root, two, one)]) {
      expect(await ask(port, shown)).toMatchObject({ caller: { id: ID } });
    }
  });

  it.each(badCertificates(root))('proves nothing %s (%s)', async (_what, code, shown) => {
    const { port } = await portOf({ bundles: new Bundles(root) });
    const answer = await ask(port, shown);
    expect(answer).toMatchObject({ code, message: expect.stringMatching(/.{20}/) });
    expect(answer).not.toHaveProperty('caller');
  });

  it('is refused with too many certificates', async () => {
    const many = Array.from({ length: 16 }, (_, i) => issueCa(`authority ${i}`, root));
    const { port } = await portOf({ bundles: new Bundles(root) });
    expect(await ask(port, shownBy(good, ...many))).toMatchObject({ code: 'certificate-malformed' });
  });

  it('is refused where it cannot be read', async () => {
    const long = { oid: '1.3.6.1.4.1.99999.1', value: Buffer.alloc(20_000) };
    const { der, keys } = issueDer({ by: root, keyUsage: 0x80, names: [uriName(ID)], extensions: [long] });
    const key = keys.privateKey.export({ format: 'pem', type: 'pkcs8' }) as string;
    const { port } = await portOf({ bundles: new Bundles(root) });
    expect(await ask(port, { cert: formatPem('CERTIFICATE', der), key })).toMatchObject({
      code: 'certificate-malformed',
    });
  });

  it('is refused from the moment it expires, on an open connection', async () => {
    let now = year(2030);
    const agent = keptAlive();
    const { port } = await portOf({ bundles: new Bundles(root), now: () => now });
    const shown = shownBy(issueSvid(root, ID, { to: '2031-01-01T00:00:00Z' }));
    expect(await ask(port, shown, { agent })).toMatchObject({ caller: { id: ID } });
    now = year(2031);
    expect(await ask(port, shown, { agent })).toMatchObject({ caller: { id: ID } });
    now = year(2031) + 1;
    expect(await ask(port, shown, { agent })).toMatchObject({ code: 'certificate-expired' });
    now = year(2019);
    expect(await ask(port, shown, { agent })).toMatchObject({ code: 'certificate-not-yet-valid' });
  });

  it('is refused once its authority expired, on an open connection', async () => {
    let now = year(2030);
    const agent = keptAlive();
    const short = issueCa('short', root, { to: '2031-01-01T00:00:00Z' });
    const { port } = await portOf({ bundles: new Bundles(root), now: () => now });
    const shown = shownBy(issueSvid(short, ID), short);
    expect(await ask(port, shown, { agent })).toMatchObject({ caller: { id: ID } });
    now = year(2031) + 1;
    expect(await ask(port, shown, { agent })).toMatchObject({ code: 'certificate-chain' });
  });

  it('is judged anew when the bundles change, on an open connection', async () => {
    const agent = keptAlive();
    const bundles = new Bundles(root);
    const { port } = await portOf({ bundles });
    expect(await ask(port, shownBy(good), { agent })).toMatchObject({ caller: { id: ID } });
    bundles.change(issueCa('next'));
    expect(await ask(port, shownBy(good), { agent })).toMatchObject({ code: 'certificate-chain' });
    bundles.change();
    expect(await ask(port, shownBy(good), { agent })).toMatchObject({ code: 'trust-domain' });
    bundles.change(root);
    expect(await ask(port, shownBy(good), { agent })).toMatchObject({ caller: { id: ID } });
    expect(Object.keys(agent.sockets).length + Object.keys(agent.freeSockets).length).toBe(1);
  });

  it('cannot be told yet where the bundle of its trust domain is awaited', async () => {
    const awaiting = { current: () => new Map(), isAwaited: (name: string) => name === 'example.org' };
    const { port } = await portOf({ bundles: { ...awaiting, onChange: () => () => {} } });
    expect(await ask(port, shownBy(good))).toMatchObject({ code: 'identity-unavailable' });
    const foreign = shownBy(issueSvid(root, 'spiffe://example.net/build'));
    expect(await ask(port, foreign)).toMatchObject({ code: 'trust-domain' });
  });

  it.each(['TLSv1.2', 'TLSv1.3'] as const)('never comes by a resumed session of %s', async (maxVersion) => {
    let now = year(2030);
    const { port } = await portOf({ bundles: new Bundles(root), now: () => now });
    const shown = shownBy(issueSvid(root, ID, { to: '2031-01-01T00:00:00Z' }));
    let session: Buffer | undefined;
    const keep = (socket: tls.TLSSocket) => socket.on('session', (one: Buffer) => (session = one));
    const first = (given?: Buffer) =>
      ask(port, shown, {
        createConnection: () => {
          const socket = tls.connect({
            host: 'localhost',
            port,
            rejectUnauthorized: false,
            maxVersion,
            ...shown,
            ...(given && { session: given }),
          });
          keep(socket);
          return socket;
        },
      });
    expect(await first()).toMatchObject({ caller: { id: ID }, reused: false });
    now = year(2032);
    expect(await first(session)).toMatchObject({ code: 'certificate-expired', reused: false });
  });

  it('cannot be shown by renegotiation', async () => {
    const { port } = await portOf({ bundles: new Bundles(root) });
    const socket = tls.connect({ host: 'localhost', port, rejectUnauthorized: false, maxVersion: 'TLSv1.2' });
    await new Promise((resolve) => socket.once('secureConnect', resolve));
    const failed = await new Promise<unknown>((resolve) => {
      socket.once('error', resolve);
      socket.renegotiate({ rejectUnauthorized: false }, (error) => resolve(error));
    });
    expect(failed).toBeInstanceOf(Error);
    socket.destroy();
  });

  it('is known over HTTP/2, at each request of a session', async () => {
    let now = year(2030);
    const bundles = new Bundles(root);
    const { port } = await portOf({ bundles, now: () => now });
    const one = issueCa('one', root);
    const shown = shownBy(issueSvid(one, ID, { to: '2031-01-01T00:00:00Z' }), one);
    const session = http2.connect(`https://localhost:${port}`, { rejectUnauthorized: false, ...shown });
    ends.push(() => session.destroy());
    const get = () =>
      new Promise<Answered>((resolve, reject) => {
        const stream = session.request({ ':path': '/' });
        let body = '';
        stream.setEncoding('utf8');
        stream.on('data', (chunk: string) => {
          body += chunk;
        });
        stream.on('end', () => resolve(JSON.parse(body) as Answered));
        stream.on('error', reject);
      });
    expect(await get()).toMatchObject({ caller: { id: ID } });
    bundles.change(issueCa('next'));
    expect(await get()).toMatchObject({ code: 'certificate-chain' });
    bundles.change(root);
    expect(await get()).toMatchObject({ caller: { id: ID } });
    now = year(2032);
    expect(await get()).toMatchObject({ code: 'certificate-expired' });
  });
});

describe('another certificate', () => {
  const parts: IdentifierParts = { clientCa: [clients.certificate] };

  it('is known by its names', async () => {
    const { port } = await portOf(parts);
    const leaf = issueClient(clients, 'builder-1.example.com', {
      names: [dnsName('builder-1.example.com'), emailName('release@example.com')],
    });
    expect(await ask(port, shownBy(leaf))).toMatchObject({
      caller: { kind: 'certificate', id: 'builder-1.example.com release@example.com' },
    });
  });

  it('is never an SVID, whatever it names', async () => {
    const leaf = issueClient(clients, 'x', { names: [uriName(ID)] });
    const { port } = await portOf(parts);
    const { caller } = await ask(port, shownBy(leaf));
    expect(caller?.kind).toBe('certificate');
    expect(caller).not.toHaveProperty('spiffeId');
    const both = await portOf({ ...parts, bundles: new Bundles(root) });
    expect(await ask(both.port, shownBy(leaf))).toMatchObject({ code: 'certificate-chain' });
    expect(await ask(both.port, shownBy(issueSvid(root, ID)))).toMatchObject({ caller: { kind: 'x509-svid' } });
    expect(await ask(both.port, shownBy(issueClient(clients, 'a.example')))).toMatchObject({
      caller: { kind: 'certificate' },
    });
    expect(await ask(both.port, shownBy(issueClient(root, 'a.example')))).toMatchObject({ code: 'certificate-chain' });
  });

  it.each<[string, string, Parameters<typeof issueClient>[2]]>([
    ['without names', 'certificate-names', { names: undefined as never }],
    ['with a wildcard', 'certificate-names', { names: [dnsName('*.example.com')] }],
    [
      'with a wildcard beside a name',
      'certificate-names',
      { names: [dnsName('a.example.com'), dnsName('*.example.com')] },
    ],
    ['with an address alone', 'certificate-names', { names: [Buffer.from([0x87, 4, 192, 0, 2, 1])] }],
    ['expired', 'certificate-expired', { to: '2021-01-01T00:00:00Z' }],
    ['not yet valid', 'certificate-not-yet-valid', { from: '2039-01-01T00:00:00Z' }],
    ['of an authority', 'certificate-authority', { ca: true, keyUsage: 0x84 }],
    ['that may sign certificates', 'certificate-authority', { keyUsage: 0x84 }],
    ['for code signing', 'certificate-usage', { usages: ['1.3.6.1.5.5.7.3.3'] }],
    ['without the usage of digital signatures', 'certificate-usage', { keyUsage: 0x20 }],
    ['of another authority', 'certificate-chain', { by: issueCa('other') }],
    ['of another authority of the same name', 'certificate-chain', { by: issueCa('clients') }],
  ])('proves nothing %s (%s)', async (_what, code, more) => {
    const { port } = await portOf(parts);
    expect(await ask(port, shownBy(issueClient(clients, 'a.example.com', more)))).toMatchObject({ code });
  });

  it('is judged anew when the authorities change, on an open connection', async () => {
    const agent = keptAlive();
    const { port, identifier } = await portOf(parts);
    const shown = shownBy(issueClient(clients, 'a.example.com'));
    expect(await ask(port, shown, { agent })).toMatchObject({ caller: { id: 'a.example.com' } });
    identifier.trustClients([issueCa('next').certificate]);
    expect(await ask(port, shown, { agent })).toMatchObject({ code: 'certificate-chain' });
  });
});

describe('a request without an identity', () => {
  it('learns over HTTP what it needs', async () => {
    const { port } = await portOf({ bundles: new Bundles(root) });
    expect(await ask(port, undefined)).toMatchObject({
      code: 'no-identity',
      message: 'this call needs an X.509-SVID in the TLS handshake',
      challenge: 'Certificate',
    });
  });

  it('gets none from headers', async () => {
    const { port } = await portOf({ bundles: new Bundles(root), clientCa: [clients.certificate] });
    const cert = encodeURIComponent(pemOf(issueSvid(root, ID)));
    const headers = {
      'x-forwarded-client-cert': `By=spiffe://example.org/log;URI=${ID};Cert="${cert}"`,
      'x-ssl-client-cert': cert,
      'client-cert': `:${Buffer.from(issueSvid(root, ID).certificate.der).toString('base64')}:`,
      authorization: 'Bearer aaaa.bbbb.cccc',
    };
    expect(await ask(port, undefined, { headers })).toMatchObject({
      code: 'no-identity',
      message: expect.stringContaining('tokens are not taken here'),
    });
  });
});

describe('a bearer token', () => {
  const caller: Caller = { kind: 'id-token', id: 'https://a.example b', names: [], expires: year(2040) };
  const seen: object[] = [];
  const tokens = {
    kinds: ['id-token'] as const,
    verify: (token: string, connection: object) => {
      seen.push(connection);
      if (token === 'good') return Promise.resolve(caller);
      return Promise.reject(new IdentityError('token-signature', 'the signature does not verify'));
    },
  };
  const bearer = (token: string | string[]) => ({ headers: { authorization: token as string } });

  it('is verified on its connection', async () => {
    const { port } = await portOf({ tokens });
    const agent = keptAlive();
    seen.length = 0;
    expect(await ask(port, undefined, { agent, ...bearer('Bearer good') })).toMatchObject({ caller });
    expect(await ask(port, undefined, { agent, ...bearer('bearer  good') })).toMatchObject({ caller });
    expect(await ask(port, undefined, bearer('Bearer good'))).toMatchObject({ caller });
    expect(seen[0]).toBe(seen[1]);
    expect(seen[0]).not.toBe(seen[2]);
  });

  it('is refused with a challenge that says so', async () => {
    const { port } = await portOf({ tokens });
    expect(await ask(port, undefined, bearer('Bearer bad'))).toMatchObject({
      code: 'token-signature',
      challenge: 'Bearer error="invalid_token"',
    });
    expect(await ask(port, undefined)).toMatchObject({ code: 'no-identity', challenge: 'Bearer' });
  });

  it.each(['Basic good', 'Bearer', 'Bearer good good', 'Bearer good, Bearer good', 'good', 'Bearer\u00a0good'])(
    'is none in "%s"',
    async (text) => {
      const { port } = await portOf({ tokens });
      expect(await ask(port, undefined, bearer(text))).toMatchObject({ code: 'no-identity' });
    },
  );

  it('is refused where the header stands twice', async () => {
    const { port } = await portOf({ tokens });
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = tls.connect({ host: 'localhost', port, rejectUnauthorized: false }, () =>
        socket.write(
          'GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer good\r\nAuthorization: Bearer bad\r\nConnection: close\r\n\r\n',
        ),
      );
      let all = '';
      socket.on('data', (chunk) => {
        all += String(chunk);
      });
      socket.on('end', () => resolve(all));
      socket.on('error', reject);
    });
    expect(answer).toContain('"no-identity"');
  });

  it('is refused beside a certificate', async () => {
    const { port } = await portOf({ tokens, bundles: new Bundles(root) });
    expect(await ask(port, shownBy(issueSvid(root, ID)), bearer('Bearer good'))).toMatchObject({
      code: 'no-identity',
      message: expect.stringContaining('show one of them'),
    });
    expect(await ask(port, shownBy(issueSvid(root, ID)))).toMatchObject({ caller: { id: ID } });
  });
});
