/**
 * A bundle endpoint: SPIFFE Federation sections 4 and 5. One HTTPS GET gives the bundle of one trust domain.
 *
 * - `https_web`: the server has a certificate for its host name, from the authorities of a file or of Node.
 * - `https_spiffe`: the server has an X.509-SVID of a given ID. It is checked before the request is sent.
 *
 * Redirects are not followed, as section 7.5.1 lets careful clients do: the configured URL alone gives the bundle.
 */
import https from 'node:https';
import { connect, type TLSSocket } from 'node:tls';
import { MerkleError } from '../../../errors.ts';
import { printable } from '../../../printable.ts';
import { parseTrustBundle, type SpiffeBundle } from '../../../spiffe/trust-bundle.ts';
import { checkX509Svid } from '../../../spiffe/x509-svid.ts';
import { nodePrimitives } from '../../crypto/node-primitives.ts';
import { RuntimeError } from '../../runtime-errors.ts';
import { fetchThrough, fetchTrusting } from '../../service/authority-fetch.ts';
import { fetchBounded } from '../../service/fetch.ts';
import { peerChain } from './peer-chain.ts';

export interface Endpoint {
  readonly url: string;
  readonly trustDomain: string;
  readonly fetch: typeof fetch | undefined;
}

const MAX_BUNDLE = 4 * 1_048_576;
const TIMEOUT_MS = 20_000;

/** @throws RuntimeError `config` for a URL that is none of an endpoint: section 5.2.1.1 */
export function checkEndpointUrl(text: string): void {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'https:' || url.username !== '' || url.password !== '') {
    throw new RuntimeError(
      'config',
      `the URL "${printable(text)}" of a trust bundle is not an https URL without a user`,
    );
  }
}

/**
 * A `fetch` for the profile `https_web`.
 * @param authorities PEM
 * @throws RuntimeError `config` without a certificate in `authorities`
 */
export function webFetch(authorities: string): typeof fetch {
  const certificates = authorities.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  if (certificates === null) throw new RuntimeError('config', 'the file of `ca` has no certificate in PEM');
  return fetchTrusting(certificates);
}

interface SpiffeFetchOptions {
  /** The ID that the server must prove. */
  readonly id: string;
  /** The bundles that prove it, at this moment. */
  readonly bundles: () => ReadonlyMap<string, SpiffeBundle>;
  readonly now: () => number;
}

/** A `fetch` for the profile `https_spiffe`. Each request has a connection of its own, which the newest bundle proves. */
export function spiffeFetch({ id, bundles, now }: SpiffeFetchOptions): typeof fetch {
  const check = (socket: TLSSocket) => {
    const proven = checkX509Svid(peerChain(socket), bundles(), now(), nodePrimitives(), 'server');
    if (proven.text !== id) throw new MerkleError('bad-spiffe-id', `the server is ${proven.text}, not ${id}`);
  };
  return (input, init) => {
    const agent = new https.Agent({ keepAlive: false });
    agent.createConnection = (options, done) => {
      // What Node checks is the name of a host, and the authorities of the web. Here the SVID is checked in its place.
      const socket = connect({ ...options, rejectUnauthorized: false, checkServerIdentity: () => undefined } as never);
      // A request that is ended before it has its socket would leave the socket open, and wait for it.
      const end = () => socket.destroy(new Error('the request was ended'));
      init?.signal?.addEventListener('abort', end, { once: true });
      socket.once('error', (error) => done?.(error, undefined as never));
      socket.once('secureConnect', () => {
        try {
          check(socket);
          done?.(null, socket);
        } catch (error) {
          // Without its code, which would stand for the message.
          socket.destroy(new Error((error as Error).message));
        }
      });
      return undefined as never;
    };
    return fetchThrough(agent)(input, init);
  };
}

/** @throws RuntimeError `network`, `too-long`, `trust-bundle` */
export async function fetchBundle({ url, trustDomain, fetch }: Endpoint, signal: AbortSignal): Promise<SpiffeBundle> {
  const limits = { limit: MAX_BUNDLE, timeoutMs: TIMEOUT_MS, signal, headers: { accept: 'application/json' } };
  const { status, bytes } = await fetchBounded(url, { ...limits, fetch });
  if (status !== 200) {
    const why =
      status >= 300 && status < 400 ? `: it redirects (${status}), which is not followed` : ` with 200, but ${status}`;
    throw new RuntimeError('trust-bundle', `${url} does not answer${why}`);
  }
  try {
    return parseTrustBundle(bytes, trustDomain);
  } catch (error) {
    if (!(error instanceof MerkleError)) throw error;
    throw new RuntimeError('trust-bundle', `${url}: ${error.message}`);
  }
}
