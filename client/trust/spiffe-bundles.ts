/** SPIFFE trust bundles as trust for signatures: whose SVIDs count. */

import { equal } from '../../merkle/bytes.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { printable } from '../../merkle/printable.ts';
import { parseTrustBundle, parseTrustBundles, type SpiffeBundle } from '../../merkle/spiffe/trust-bundle.ts';
import { ClientError } from '../errors.ts';

/** By trust domain. */
export type SpiffeBundles = ReadonlyMap<string, SpiffeBundle>;

/** A file with trust bundles. */
export interface SpiffeBundleFile {
  /** Whose bundle it is; absent for a file that names its trust domains: `{ "trust_domains": { … } }`. */
  readonly trustDomain?: string;
  /** A JWK set, or certificates in PEM where `trustDomain` is given; at most 4 MiB. */
  readonly bytes: Uint8Array;
}

/** As many as the check of one chain takes. */
const MAX_AUTHORITIES = 64;

/**
 * The bundles of all files. Several of one trust domain count together, such as those from before and after a rotation: an
 * authority whose SVIDs signed something must stay in a bundle for as long as that is verified.
 *
 * @throws ClientError `spiffe-bundle`
 */
export function parseSpiffeBundles(files: readonly SpiffeBundleFile[]): SpiffeBundles {
  const found = new Map<string, SpiffeBundle>();
  for (const file of files) {
    for (const bundle of readFile(file)) {
      const known = found.get(bundle.trustDomain);
      found.set(bundle.trustDomain, known === undefined ? bundle : joined(known, bundle));
    }
  }
  return found;
}

function readFile({ trustDomain, bytes }: SpiffeBundleFile): Iterable<SpiffeBundle> {
  try {
    if (trustDomain !== undefined) return [parseTrustBundle(bytes, trustDomain)];
    return parseTrustBundles(bytes).values();
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    if (trustDomain === undefined) {
      throw unusable('', `${cause.message}. The bundle of one trust domain is given as DOMAIN=FILE`, cause);
    }
    throw unusable(` of ${printable(trustDomain.slice(0, 255))}`, cause.message, cause);
  }
}

function joined(one: SpiffeBundle, other: SpiffeBundle): SpiffeBundle {
  const more = other.x509Authorities.filter(({ der }) => !one.x509Authorities.some((known) => equal(known.der, der)));
  const x509Authorities = [...one.x509Authorities, ...more];
  if (x509Authorities.length > MAX_AUTHORITIES) {
    throw unusable(` of ${one.trustDomain}`, `its files have more than ${MAX_AUTHORITIES} X.509 authorities together`);
  }
  const { trustDomain } = one;
  // Signatures are verified with X.509 authorities alone.
  return { trustDomain, x509Authorities, jwtAuthorities: [], passedOver: [...one.passedOver, ...other.passedOver] };
}

function unusable(of: string, why: string, cause?: unknown): ClientError {
  return new ClientError('spiffe-bundle', `the SPIFFE trust bundle${of} cannot be used: ${why}`, { cause });
}
