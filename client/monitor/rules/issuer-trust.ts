/**
 * Whether a trusted authority issued a certificate. A log does not check chains, so anybody can log a self-made certificate
 * with any name and issuer in it.
 *
 * The chain must be valid at the start of the certificate's validity, which is the time of issue. The monitor does not know
 * the time of an entry, and signing certificates live for minutes.
 */
import { MerkleError } from '../../../merkle/errors.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { type Certificate, parseCertificate } from '../../../merkle/x509/certificate.ts';
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
}

interface Parsed {
  readonly roots: readonly Certificate[];
  readonly intermediates: readonly Certificate[];
  readonly validFor: Period | undefined;
}

export class Trust {
  readonly #authorities: readonly Parsed[];
  /** Results by certificate: the engine and the report both ask for one. */
  readonly #answers = new WeakMap<Uint8Array, { readonly why: string | undefined }>();

  /** @throws ClientError `malformed` for a malformed certificate */
  constructor(authorities: readonly IssuingAuthority[]) {
    const parsed = (list: readonly Uint8Array[]) =>
      withClientErrors(() => list.map((der) => parseCertificate(new Uint8Array(der))));
    this.#authorities = authorities.map(({ roots, intermediates, validFor }) => ({
      roots: parsed(roots),
      intermediates: parsed(intermediates),
      validFor,
    }));
  }

  /** Why no authority issued the certificate `der`; undefined if an authority issued it. */
  doubt(der: Uint8Array): string | undefined {
    const before = this.#answers.get(der);
    if (before !== undefined) return before.why;
    const why = this.#doubt(der);
    this.#answers.set(der, { why });
    return why;
  }

  #doubt(der: Uint8Array): string | undefined {
    try {
      const leaf = parseCertificate(der);
      const current = this.#authorities.filter(
        ({ validFor }) => validFor === undefined || within(validFor, leaf.notBefore),
      );
      let reason = `no authority was trusted at ${timeText(leaf.notBefore)}`;
      for (const authority of current) {
        try {
          verifyChain(leaf, authority, leaf.notBefore, nodePrimitives());
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

function reasonOf(error: unknown): string {
  if (error instanceof MerkleError) return error.message;
  throw error;
}
