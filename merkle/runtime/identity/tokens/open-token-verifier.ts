/** Opens a verifier of tokens from settings: one source of keys for each issuer. */
import { readBounded } from '../../disk/bounded.ts';
import { RuntimeError } from '../../runtime-errors.ts';
import { fetchTrusting } from '../../service/authority-fetch.ts';
import type { IdentitySettings } from '../identity-settings.ts';
import { keysOfFile, keysOfIssuer, keysOfUrl } from './fetch-keys.ts';
import { FETCHED_TIMES, FILE_TIMES, IssuerKeys, type KeyTimes } from './issuer-keys.ts';
import type { TokenAlgorithm } from './token-algorithms.ts';
import { type KnownIssuer, TokenVerifier } from './token-verifier.ts';
import { type Bundles, TrustDomainKeys } from './trust-domain-keys.ts';

const MAX_AUTHORITIES_FILE = 1024 * 1024;

export interface TokenDependencies {
  /** Trust bundles that verify JWT-SVIDs. Without them no JWT-SVID is taken. The caller closes their source. */
  readonly bundles?: Bundles | undefined;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** Milliseconds that never go back. */
  readonly elapsed?: () => number;
  /** Other times than those of `issuer-keys.ts`. */
  readonly times?: Partial<KeyTimes>;
}

type TokenSettings = Pick<IdentitySettings, 'issuers'> & Partial<Pick<IdentitySettings, 'trustDomains'>>;

/**
 * A file of keys must be there. An issuer may be away: its keys are fetched in the background, and again for the first token.
 * @throws RuntimeError `file`, `key-format`: a file of the settings cannot be used
 */
export async function openTokenVerifier(
  { issuers, trustDomains = [] }: TokenSettings,
  { bundles, now = Date.now, elapsed = () => performance.now(), times }: TokenDependencies = {},
): Promise<TokenVerifier> {
  const known: KnownIssuer[] = [];
  for (const settings of issuers) {
    const { issuer, audience, keysFile, keepKeys } = settings;
    const usual = keysFile === undefined ? FETCHED_TIMES : FILE_TIMES;
    const keys = new IssuerKeys({
      name: `the issuer ${issuer}`,
      times: { ...usual, keepMs: keepKeys, ...times },
      load: await loaderOf(settings),
      elapsed,
    });
    const first = keys.refresh();
    if (keysFile !== undefined) await first;
    known.push({ issuer, audience, algorithms: settings.algorithms as readonly TokenAlgorithm[], keys });
  }
  const names = trustDomains.map(({ name }) => name);
  const verifier = new TokenVerifier(known, bundles && new TrustDomainKeys(bundles, names), now);
  const missing = issuers.findIndex(
    ({ keysFile }, i) => keysFile !== undefined && known[i]!.keys.problem !== undefined,
  );
  if (missing === -1) return verifier;
  await verifier.close();
  const { issuer } = issuers[missing]!;
  throw new RuntimeError('file', `the keys of the issuer ${issuer} cannot be read: ${known[missing]!.keys.problem}`);
}

async function loaderOf({ issuer, keysFile, keysUrl, ca }: IdentitySettings['issuers'][number]) {
  if (keysFile !== undefined) return () => keysOfFile(keysFile);
  const fetch = ca === undefined ? undefined : fetchTrusting([await authoritiesOf(ca)]);
  return keysUrl === undefined
    ? (signal: AbortSignal) => keysOfIssuer(issuer, { signal, fetch })
    : (signal: AbortSignal) => keysOfUrl(keysUrl, { signal, fetch });
}

async function authoritiesOf(file: string): Promise<string> {
  try {
    return new TextDecoder().decode(await readBounded(file, MAX_AUTHORITIES_FILE));
  } catch (cause) {
    throw new RuntimeError(
      'file',
      `the authorities of an issuer cannot be read: ${file}: ${(cause as Error).message}`,
      { cause },
    );
  }
}
