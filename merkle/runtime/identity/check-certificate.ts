/** Who a client certificate is: an X.509-SVID by the bundle of its trust domain, or another certificate by the authorities of clients. */
import { createHash } from 'node:crypto';
import { encodeHex } from '../../bytes.ts';
import { MerkleError, type MerkleErrorCode } from '../../errors.ts';
import { printable } from '../../printable.ts';
import type { SpiffeBundle } from '../../spiffe/trust-bundle.ts';
import { checkX509Svid, spiffeIdOf } from '../../spiffe/x509-svid.ts';
import { type Certificate, isSelfIssued, USAGE } from '../../x509/certificate.ts';
import { verifyChain } from '../../x509/certificate-chain.ts';
import { isSignerName } from '../../x509/signer-names.ts';
import { timeText } from '../../x509/utc-time.ts';
import { nodePrimitives } from '../crypto/node-primitives.ts';
import { type Caller, IdentityError, type IdentityErrorCode } from './types.ts';

/** Longest name of a caller for people: many names would fill records and logs. */
const MAX_NAMES_TEXT = 1024;

const SVID_CODES: Partial<Record<MerkleErrorCode, IdentityErrorCode>> = {
  'svid-authority': 'certificate-authority',
  'svid-usage': 'certificate-usage',
  'svid-names': 'certificate-names',
  'bad-spiffe-id': 'spiffe-id',
  'svid-trust-domain': 'trust-domain',
  'svid-expired': 'certificate-expired',
  'svid-not-yet-valid': 'certificate-not-yet-valid',
};

export interface Trust {
  /** Of the trust domains whose SVIDs are taken; undefined where none are. */
  readonly bundles?: ReadonlyMap<string, SpiffeBundle> | undefined;
  /** Whether the bundle of a trust domain is missing because its source did not answer yet. */
  readonly isAwaited?: ((trustDomain: string) => boolean) | undefined;
  /** Authorities of other client certificates; undefined where none are taken. */
  readonly clientCa?: readonly Certificate[] | undefined;
}

/**
 * A certificate with a SPIFFE ID is an SVID where SVIDs are taken: an authority of clients cannot make it another thing.
 *
 * @param chain leaf first, at least one
 * @param now milliseconds since 1970
 * @throws IdentityError
 */
export function checkCertificate(
  chain: readonly Certificate[],
  { bundles, isAwaited, clientCa }: Trust,
  now: number,
): Caller {
  const [leaf] = chain;
  const isSvid = bundles !== undefined && (clientCa === undefined || leaf!.names.some(isSpiffeName));
  return isSvid ? ofSvid(chain, bundles, now, isAwaited) : ofCertificate(chain, clientCa ?? [], now);
}

function isSpiffeName({ type, value }: Certificate['names'][number]): boolean {
  return type === 'uri' && value.toLowerCase().startsWith('spiffe:');
}

function ofSvid(
  chain: readonly Certificate[],
  bundles: ReadonlyMap<string, SpiffeBundle>,
  now: number,
  isAwaited: Trust['isAwaited'],
): Caller {
  const [leaf] = chain;
  try {
    const spiffeId = checkX509Svid(chain, bundles, now, nodePrimitives(), 'client');
    return { kind: 'x509-svid', id: spiffeId.text, spiffeId, ...factsOf(leaf!) };
  } catch (error) {
    if (!(error instanceof MerkleError)) throw error;
    if (error.code === 'svid-trust-domain') {
      const { trustDomain } = spiffeIdOf(leaf!);
      if (isAwaited?.(trustDomain) === true) {
        const why = `the trust bundle of ${trustDomain} cannot be had now: try again later`;
        throw refusal('identity-unavailable', why);
      }
    }
    throw refusal(SVID_CODES[error.code] ?? 'certificate-chain', error.message);
  }
}

function ofCertificate(chain: readonly Certificate[], roots: readonly Certificate[], now: number): Caller {
  const [leaf, ...rest] = chain as readonly [Certificate, ...Certificate[]];
  const { isCa, keyUsage, extKeyUsage, notBefore, notAfter, names } = leaf;
  const what = 'the client certificate';
  if (isCa || keyUsage?.includes('keyCertSign') === true) {
    throw refusal(
      'certificate-authority',
      `${what} is an authority's: show one that the authority issued to this client`,
    );
  }
  const own = names.filter(isSignerName);
  if (own.length === 0) {
    throw refusal(
      'certificate-names',
      `${what} has no URI, e-mail address or DNS name among its subject alternative names`,
    );
  }
  const wild = own.find(({ value }) => value.includes('*'));
  if (wild !== undefined) {
    throw refusal(
      'certificate-names',
      `${what} has the name "${printable(wild.value)}", which stands for many: nobody is named`,
    );
  }
  if (now < notBefore) {
    throw refusal('certificate-not-yet-valid', `${what} is valid from ${timeText(notBefore)}, not at ${timeText(now)}`);
  }
  if (!(now <= notAfter)) {
    throw refusal('certificate-expired', `${what} expired on ${timeText(notAfter)}: get a new one`);
  }
  if (keyUsage?.includes('digitalSignature') === false) {
    throw refusal('certificate-usage', `${what} is not for digital signatures`);
  }
  if (extKeyUsage.length > 0 && !extKeyUsage.includes(USAGE.clientAuth)) {
    throw refusal('certificate-usage', `${what} is not for the authentication of a client`);
  }
  try {
    const intermediates = rest.filter((one) => !isSelfIssued(one));
    verifyChain(leaf, { intermediates, roots }, now, nodePrimitives(), { usage: USAGE.clientAuth });
  } catch (error) {
    if (!(error instanceof MerkleError)) throw error;
    throw refusal('certificate-chain', `${what} leads to no authority of clients: ${error.message}`);
  }
  const id = own
    .map(({ value }) => value)
    .join(' ')
    .slice(0, MAX_NAMES_TEXT);
  return { kind: 'certificate', id, ...factsOf(leaf) };
}

function factsOf({ names, spki, notAfter }: Certificate): Pick<Caller, 'names' | 'fingerprint' | 'expires'> {
  return { names, fingerprint: encodeHex(createHash('sha256').update(spki).digest()), expires: notAfter };
}

function refusal(code: IdentityErrorCode, message: string): IdentityError {
  return new IdentityError(code, message);
}
