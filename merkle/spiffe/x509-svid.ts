/**
 * X.509-SVIDs: X509-SVID sections 2 to 5.
 *
 * A leaf names its workload in exactly one URI, and leads to an authority in the bundle of its own trust domain. Roots of
 * other domains never count, whatever they signed.
 */
import { MerkleError, type MerkleErrorCode } from '../errors.ts';
import { printable } from '../printable.ts';
import type { Primitives } from '../rekor/primitives.ts';
import { type Certificate, isSelfIssued, USAGE } from '../x509/certificate.ts';
import { verifyChain } from '../x509/certificate-chain.ts';
import { timeText } from '../x509/utc-time.ts';
import { parseSpiffeId, type SpiffeId } from './spiffe-id.ts';
import type { SpiffeBundle } from './trust-bundle.ts';

/**
 * What the holder of an SVID does with it. `sign`: it signed an entry, for which SVIDs have no usage of their own, so the
 * usages of a client and of code signing both allow it.
 */
export type SvidUse = 'client' | 'server' | 'sign';

/** Names in `USAGE`, which is read when an SVID is checked: `stele verify` loads the reader of certificates for no key. */
const USAGES: Readonly<Record<SvidUse, readonly (keyof typeof USAGE)[]>> = {
  client: ['clientAuth'],
  server: ['serverAuth'],
  sign: ['clientAuth', 'codeSigning'],
};

/** Most certificates of a chain, with those that the check does not need. */
const MAX_CHAIN = 16;

/**
 * The SPIFFE ID in a leaf: X509-SVID sections 2 and 5.2, without path validation.
 * @throws MerkleError `svid-authority` for the certificate of an authority; `svid-usage` without the key usage
 * `digitalSignature`; `svid-names` without exactly one URI; `bad-spiffe-id` for a malformed ID or one without a path
 */
export function spiffeIdOf(leaf: Certificate): SpiffeId {
  const { isCa, keyUsage, names } = leaf;
  if (isCa || keyUsage?.includes('keyCertSign') || keyUsage?.includes('cRLSign')) {
    throw bad('svid-authority', "is an authority's, not a workload's");
  }
  if (!keyUsage?.includes('digitalSignature')) throw bad('svid-usage', 'is not for digital signatures');
  const [uri, ...more] = names.filter(({ type }) => type === 'uri');
  if (uri === undefined) throw bad('svid-names', 'has no URI among its names');
  if (more.length > 0) throw bad('svid-names', `has ${more.length + 1} URIs among its names, not one`);
  const id = parseSpiffeId(uri.value);
  if (id.path === '') {
    throw new MerkleError('bad-spiffe-id', `the SPIFFE ID "${id.text}" is a trust domain's: a workload's has a path`);
  }
  return id;
}

/**
 * Checks an X.509-SVID.
 * @param chain leaf first, then intermediates in any order. Roots among them are ignored.
 * @param bundles by trust domain
 * @param time milliseconds since 1970
 * @returns the ID that the SVID proves
 * @throws MerkleError as `spiffeIdOf`; `svid-trust-domain` without a bundle of the ID's trust domain, or with one without
 * X.509 authorities; `svid-expired` or `svid-not-yet-valid` for the leaf; `svid-usage` for a leaf that is not for `use`;
 * `svid-chain` without a valid path to an authority of the bundle
 */
export function checkX509Svid(
  chain: readonly Certificate[],
  bundles: ReadonlyMap<string, SpiffeBundle>,
  time: number,
  primitives: Primitives,
  use: SvidUse = 'client',
): SpiffeId {
  const [leaf, ...rest] = chain;
  if (leaf === undefined) throw bad('svid-chain', 'is missing: the chain is empty');
  if (chain.length > MAX_CHAIN) throw bad('svid-chain', `comes in a chain of more than ${MAX_CHAIN} certificates`);
  const id = spiffeIdOf(leaf);
  const of = `of ${printable(id.text)}`;
  const bundle = bundles.get(id.trustDomain);
  if (bundle === undefined) {
    throw bad('svid-trust-domain', `${of} is of the trust domain ${id.trustDomain}, of which there is no bundle here`);
  }
  if (bundle.x509Authorities.length === 0) {
    throw bad('svid-trust-domain', `${of} is of a trust domain whose bundle has no X.509 authority: all are revoked`);
  }
  if (time < leaf.notBefore) {
    throw bad('svid-not-yet-valid', `${of} is valid from ${timeText(leaf.notBefore)}, not at ${timeText(time)}`);
  }
  if (!(time <= leaf.notAfter)) {
    throw bad('svid-expired', `${of} expired on ${timeText(leaf.notAfter)}, before ${timeText(time)}`);
  }
  const { extKeyUsage } = leaf;
  const usages = USAGES[use]
    .map((name) => USAGE[name])
    .filter((usage) => extKeyUsage.length === 0 || extKeyUsage.includes(usage));
  if (usages.length === 0) throw bad('svid-usage', `${of} is not for the authentication of a ${use}`);
  const authorities = { intermediates: rest.filter((one) => !isSelfIssued(one)), roots: bundle.x509Authorities };
  let failure: MerkleError | undefined;
  for (const usage of usages) {
    try {
      verifyChain(leaf, authorities, time, primitives, { usage });
      return id;
    } catch (error) {
      if (!(error instanceof MerkleError)) throw error;
      failure ??= error;
    }
  }
  throw bad('svid-chain', `${of} does not lead to its trust domain: ${failure!.message}`, failure);
}

function bad(code: MerkleErrorCode, why: string, cause?: unknown): MerkleError {
  return new MerkleError(code, `the X.509-SVID ${why}`, { cause });
}
