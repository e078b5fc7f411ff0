/**
 * A bundle endpoint: SPIFFE Federation sections 4 and 5. One HTTPS GET gives the bundle of one trust domain.
 *
 * - `https_web`: the server has a certificate for its host name, from the authorities of a file or of Node.
 * - `https_spiffe`: the server has an X.509-SVID of a given ID. It is checked before the request is sent.
 *
 * Redirects are not followed, as section 7.5.1 lets careful clients do: the configured URL alone gives the bundle.
 */
import { MerkleError } from '../../../errors.ts';
import { printable } from '../../../printable.ts';
import { parseTrustBundle, type SpiffeBundle } from '../../../spiffe/trust-bundle.ts';
import { RuntimeError } from '../../runtime-errors.ts';
import { fetchTrusting } from '../../service/authority-fetch.ts';
import { fetchBounded } from '../../service/fetch.ts';

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
