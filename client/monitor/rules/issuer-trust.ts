/**
 * Whether a trusted authority issued a certificate. A log does not check chains, so anybody can log a self-made certificate
 * with any name and issuer in it.
 *
 * The chain must be valid at the start of the certificate's validity, which is the time of issue. The monitor does not know
 * the time of an entry, and signing certificates live for minutes.
 */
import { MerkleError } from '../../../merkle/errors.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { checkX509Svid } from '../../../merkle/spiffe/x509-svid.ts';
import { type Certificate, parseCertificate, USAGE } from '../../../merkle/x509/certificate.ts';
import { verifyChain } from '../../../merkle/x509/certificate-chain.ts';
import { type Period, timeText, within } from '../../../merkle/x509/utc-time.ts';
import { withClientErrors } from '../../merkle-errors.ts';

/** An authority that issues certificates, as plain data for the worker threads. */
export interface IssuingAuthority {
  /** DER; 1 to 64 of each. */
  readonly roots: readonly Uint8Array[];
  readonly intermediates: readonly Uint8Array[];
  /** When the authority is trusted, in milliseconds since 1970; always if absent. */
  readonly validFor?: Period;
  /** The roots are those of this trust domain: they vouch for the SPIFFE IDs in X.509-SVIDs, and for nothing else. */
  readonly trustDomain?: string;
}

interface Parsed {
  readonly roots: readonly Certificate[];
  readonly intermediates: readonly Certificate[];
  readonly validFor: Period | undefined;
  readonly trustDomain: string | undefined;
}

export class Trust {
  readonly #authorities: readonly Parsed[];
  /** Results by certificate, for its names alone and for all that it says: the engine and the report both ask for one. */
  readonly #answers = [false, true].map(() => new WeakMap<Uint8Array, { readonly why: string | undefined }>());

  /** @throws ClientError `malformed` for a malformed certificate */
  constructor(authorities: readonly IssuingAuthority[]) {
    const parsed = (list: readonly Uint8Array[]) =>
      withClientErrors(() => list.map((der) => parseCertificate(new Uint8Array(der))));
    this.#authorities = authorities.map(({ roots, intermediates, validFor, trustDomain }) => ({
      roots: parsed(roots),
      intermediates: parsed(intermediates),
      validFor,
      trustDomain,
    }));
  }

  /**
   * Why no authority issued the certificate `der`; undefined if an authority issued it.
   *
   * @param claims whether it must also vouch for issuer and extensions, which trust domains do not
   */
  doubt(der: Uint8Array, claims = false): string | undefined {
    const answers = this.#answers[claims ? 1 : 0]!;
    const before = answers.get(der);
    if (before !== undefined) return before.why;
    const why = this.#doubt(der, claims);
    answers.set(der, { why });
    return why;
  }

  #doubt(der: Uint8Array, claims: boolean): string | undefined {
    try {
      const leaf = parseCertificate(der);
      const current = this.#authorities.filter(
        ({ validFor, trustDomain }) =>
          (validFor === undefined || within(validFor, leaf.notBefore)) && !(claims && trustDomain !== undefined),
      );
      let reason = `no authority was trusted at ${timeText(leaf.notBefore)}`;
      for (const authority of current) {
        try {
          if (authority.trustDomain !== undefined) checkSvid(leaf, authority, authority.trustDomain);
          else verifyChain(leaf, authority, leaf.notBefore, nodePrimitives());
          return undefined;
        } catch (error) {
          reason = reasonOf(error);
        }
      }
      return reason;
    } catch (error) {
      return reasonOf(error);
    }
  }
}

/** @throws MerkleError. A certificate for code signing is not an SVID as it is issued: the other authorities judge it. */
function checkSvid(leaf: Certificate, { roots }: Parsed, trustDomain: string): void {
  if (leaf.extKeyUsage.includes(USAGE.codeSigning)) {
    throw new MerkleError('svid-usage', `the trust domain ${trustDomain} does not vouch for code signing`);
  }
  const bundle = { trustDomain, x509Authorities: roots, jwtAuthorities: [], passedOver: [] };
  checkX509Svid([leaf], new Map([[trustDomain, bundle]]), leaf.notBefore, nodePrimitives(), 'sign');
}

function reasonOf(error: unknown): string {
  if (error instanceof MerkleError) return error.message;
  throw error;
}
