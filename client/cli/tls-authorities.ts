/** The options about connections to servers: whom the command trusts there (`--ca`, `--server-id`), and what it shows of itself. */
import { X509Certificate } from 'node:crypto';
import type { Command } from 'commander';
import { decodeUtf8 } from '../../merkle/bytes.ts';
import { formatPem, parsePem, pemBytes } from '../../merkle/pem.ts';
import { fetchTrusting } from '../../merkle/runtime/service/authority-fetch.ts';
import { ClientError, usage } from '../errors.ts';
import { atEnd } from './at-end.ts';
import { readWhole } from './files.ts';
import { collect } from './program.ts';
import { bundleSettingsOf } from './spiffe-files.ts';

const MAX_AUTHORITIES = 1024 * 1024;

/** What the options of `addTlsOptions` give. */
export interface TlsOptions {
  readonly ca?: string;
  readonly clientCert?: string;
  readonly clientKey?: string;
  /** True where the option has no value. */
  readonly clientSvid?: string | true;
  readonly clientSvidId?: string;
  readonly serverId?: readonly string[];
  readonly serverBundle?: readonly string[];
}

export function addTlsOptions(command: Command): Command {
  return command
    .option('--ca <path>', "certificates (PEM) of the authorities that certify servers, in the place of the system's")
    .option('--client-cert <path>', 'certificate chain (PEM) to show to servers that ask for one; needs --client-key')
    .option('--client-key <path>', 'its private key (PEM)')
    .option(
      '--client-svid [socket]',
      'show the X.509-SVID of this SPIFFE Workload API to servers (default: that of SPIFFE_ENDPOINT_SOCKET)',
    )
    .option('--client-svid-id <spiffe-id>', 'which SVID, where the Workload API of --client-svid gives several')
    .option(
      '--server-id <spiffe-id>',
      'SPIFFE ID that servers must have, or a pattern (spiffe://example.org/log/**), in the place of their host names; may be repeated',
      collect,
    )
    .option(
      '--server-bundle <[domain=]path>',
      'SPIFFE trust bundle for --server-id, or a file that names its trust domains (default: those of the Workload API of --client-svid); may be repeated',
      collect,
    );
}

/**
 * A `fetch` that connects as the options say; undefined where they say nothing.
 *
 * @throws ClientError `file`, `usage`
 */
export async function fetchOf(options: TlsOptions): Promise<typeof fetch | undefined> {
  const { ca, clientCert, clientKey, clientSvid, clientSvidId, serverId, serverBundle } = options;
  const own = [clientCert, clientKey, clientSvid, clientSvidId, serverId, serverBundle];
  if (ca === undefined && own.every((value) => value === undefined)) return undefined;
  // A file may be a pipe, which is read once, and a command may ask twice.
  const key = JSON.stringify([ca, ...own]);
  const made = fetches.get(key) ?? (await makeFetch(options));
  fetches.set(key, made);
  return made;
}

const fetches = new Map<string, typeof fetch>();

/**
 * A `fetch` that shows a bearer token with each POST to the log. A log takes a token on the TLS connection that first showed it, and
 * on no other: so all requests use one connection.
 *
 * @param log URL
 * @throws ClientError `file`, `usage`
 */
export async function tokenFetchOf(options: TlsOptions, log: string | undefined, file: string): Promise<typeof fetch> {
  if (log?.startsWith('https:') !== true || !URL.canParse(log)) {
    throw usage('--bearer-token-file shows the token to the log of --log alone: give its https address');
  }
  if (options.clientCert !== undefined || options.clientSvid !== undefined) {
    throw usage('a log takes a certificate or a token: give --bearer-token-file, or --client-svid or --client-cert');
  }
  const token = decodeUtf8(await readWhole(file, MAX_BEARER, 'a bearer token')).trim();
  if (!BEARER.test(token)) throw new ClientError('file', `${file} holds no bearer token in one line`);
  const through = await makeFetch(options, true);
  const { origin } = new URL(log);
  return async (input, init = {}) => {
    const isWrite = init.method === 'POST' && new URL(String(input)).origin === origin;
    if (!isWrite) return await through(input, init);
    const headers = { ...(init.headers as Record<string, string>), authorization: `Bearer ${token}` };
    return await through(input, { ...init, headers });
  };
}

const MAX_BEARER = 16 * 1024;
/** RFC 6750 section 2.1. */
const BEARER = /^[A-Za-z0-9._~+/-]+=*$/;

async function makeFetch(options: TlsOptions, oneConnection = false): Promise<typeof fetch> {
  const { ca, clientCert, clientKey, clientSvid, clientSvidId, serverId = [], serverBundle } = options;
  if (serverId.length > 0 && ca !== undefined) {
    throw usage('--server-id and --ca are two ways to trust a server: keep one');
  }
  if (serverBundle !== undefined && serverId.length === 0)
    throw usage('--server-bundle is about --server-id: give both');
  if (clientSvid !== undefined && (clientCert !== undefined || clientKey !== undefined)) {
    throw usage('--client-svid and --client-cert are two identities: keep one');
  }
  if (clientSvidId !== undefined && clientSvid === undefined) {
    throw usage('--client-svid-id is about --client-svid: give both');
  }
  if ((clientCert === undefined) !== (clientKey === undefined))
    throw usage('--client-cert and --client-key belong together');
  const workloadApi = clientSvid === undefined ? undefined : socketOf(clientSvid);
  if (serverId.length > 0 && serverBundle === undefined && workloadApi === undefined) {
    throw usage('--server-id needs the bundles of its trust domain: give --server-bundle, or --client-svid');
  }
  const authorities = ca === undefined ? undefined : await certificatesOf(ca);
  if (clientCert === undefined && workloadApi === undefined && serverId.length === 0 && !oneConnection)
    return fetchTrusting(authorities!);
  const { openOutgoing } = await import('../../merkle/runtime/identity/outgoing.ts');
  const outgoing = await openOutgoing({
    named: '--client-',
    oneConnection,
    ...(clientCert !== undefined && clientKey !== undefined && { cert: clientCert, key: clientKey }),
    ...(workloadApi !== undefined && { workloadApi, svidId: clientSvidId }),
    ...(authorities !== undefined && { authorities }),
    spiffeIds: serverId,
    bundles: serverBundle === undefined ? { workloadApi } : bundleSettingsOf(serverBundle),
  });
  atEnd(() => outgoing.close());
  return outgoing.pool.fetch;
}

/** The SPIFFE ID that `--client-svid` shows. @throws ClientError `usage`; RuntimeError `svid` */
export async function clientSvidId(given: string | true): Promise<string> {
  const { openSvidSource } = await import('../../merkle/runtime/identity/spiffe/open-sources.ts');
  const source = await openSvidSource({ workloadApi: socketOf(given) });
  try {
    return source.current().id.text;
  } finally {
    await source.close();
  }
}

/** @throws ClientError `usage` */
function socketOf(given: string | true): string {
  const socket = given === true ? process.env.SPIFFE_ENDPOINT_SOCKET : given;
  if (socket !== undefined && socket !== '') return socket;
  throw usage('--client-svid has no socket: give one, or set SPIFFE_ENDPOINT_SOCKET');
}

/** @returns at least one certificate, in PEM. @throws ClientError `file` */
export async function certificatesOf(path: string): Promise<readonly string[]> {
  const text = Buffer.from(await readWhole(path, MAX_AUTHORITIES, 'a list of authorities')).toString('latin1');
  const wrong = (why: string, cause?: unknown) =>
    new ClientError('file', `the authorities in ${path} cannot be used: ${why}`, { cause });
  try {
    const blocks = parsePem(text);
    if (blocks.some(({ label }) => label.endsWith('PRIVATE KEY'))) {
      throw wrong('the file holds a private key, and --ca takes certificates alone. Keep the key elsewhere');
    }
    const certificates = blocks.filter(({ label }) => label === 'CERTIFICATE').map(pemBytes);
    if (certificates.length === 0) {
      throw wrong('the file holds no certificate (PEM, -----BEGIN CERTIFICATE-----)');
    }
    for (const der of certificates) new X509Certificate(der);
    return certificates.map((der) => formatPem('CERTIFICATE', der));
  } catch (cause) {
    if (cause instanceof ClientError) throw cause;
    throw wrong((cause as Error).message, cause);
  }
}
