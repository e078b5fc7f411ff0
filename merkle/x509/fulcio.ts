/**
 * The identity in a certificate of Fulcio, with the claims of its identity token: sigstore/fulcio/docs/oid-info.md
 * (001376a).
 *
 * The name is the subject alternative name. The claims are in extensions below 1.3.6.1.4.1.57264.1: .1 to .6 hold raw text,
 * and .8 and later hold a DER UTF8String (0x0c). .7 is not an extension, but the type of a user name in the alternative
 * names.
 */

import type { SpiffeId } from '../spiffe/spiffe-id.ts';
import type { Certificate } from './certificate.ts';
import type { AlternativeName } from './certificate-names.ts';
import { badDer, parseDer, TAG } from './der.ts';
import { expectTag, utf8Of } from './der-fields.ts';

/** Prefix of the OIDs of Fulcio's extensions. A number follows. */
export const FULCIO_ARC = '1.3.6.1.4.1.57264.1.';
/** Type of a user name in the alternative names: an otherName. */
export const FULCIO_USER_NAME = `${FULCIO_ARC}7`;
/** Extensions up to this number hold raw text, later ones a UTF8String. */
export const LAST_RAW_EXTENSION = 6;
const ISSUER_V1 = `${FULCIO_ARC}1`;
const ISSUER = `${FULCIO_ARC}8`;

/** Name to OID. The names are those of sigstore-go's `certificate.Extensions`. */
export const FULCIO_EXTENSIONS: Readonly<Record<string, string>> = {
  issuerV1: ISSUER_V1,
  githubWorkflowTrigger: `${FULCIO_ARC}2`,
  githubWorkflowSHA: `${FULCIO_ARC}3`,
  githubWorkflowName: `${FULCIO_ARC}4`,
  githubWorkflowRepository: `${FULCIO_ARC}5`,
  githubWorkflowRef: `${FULCIO_ARC}6`,
  issuer: ISSUER,
  buildSignerURI: `${FULCIO_ARC}9`,
  buildSignerDigest: `${FULCIO_ARC}10`,
  runnerEnvironment: `${FULCIO_ARC}11`,
  sourceRepositoryURI: `${FULCIO_ARC}12`,
  sourceRepositoryDigest: `${FULCIO_ARC}13`,
  sourceRepositoryRef: `${FULCIO_ARC}14`,
  sourceRepositoryIdentifier: `${FULCIO_ARC}15`,
  sourceRepositoryOwnerURI: `${FULCIO_ARC}16`,
  sourceRepositoryOwnerIdentifier: `${FULCIO_ARC}17`,
  buildConfigURI: `${FULCIO_ARC}18`,
  buildConfigDigest: `${FULCIO_ARC}19`,
  buildTrigger: `${FULCIO_ARC}20`,
  runInvocationURI: `${FULCIO_ARC}21`,
  sourceRepositoryVisibilityAtSigning: `${FULCIO_ARC}22`,
  deploymentEnvironment: `${FULCIO_ARC}23`,
};

const NAMES: ReadonlyMap<string, string> = new Map(Object.entries(FULCIO_EXTENSIONS).map(([name, oid]) => [oid, name]));

/** The identity in a certificate. Its texts may hold control characters: see `printable`. */
export interface CertificateIdentity {
  /** Subject alternative names. Fulcio's certificates have one. */
  readonly names: readonly AlternativeName[];
  /** URL of the identity provider that vouched for the name. */
  readonly issuer?: string;
  /** Fulcio's extensions, each under its OID, and also under its name if `FULCIO_EXTENSIONS` has one. */
  readonly extensions: ReadonlyMap<string, string>;
  /**
   * The SPIFFE bundle of this ID's trust domain vouches for the certificate, and for no other name in it. Only what has
   * verified the certificate sets this.
   */
  readonly svid?: SpiffeId;
}

/**
 * The identity in a certificate. It proves nothing unless the caller verifies the certificate's chain.
 * @throws MerkleError `bad-der` if an extension of Fulcio is malformed, or if its two issuer extensions differ
 */
export function identityOf(certificate: Certificate): CertificateIdentity {
  const extensions = new Map<string, string>();
  for (const [oid, { value }] of certificate.extensions) {
    if (!oid.startsWith(FULCIO_ARC)) continue;
    const text = extensionText(oid, value);
    extensions.set(oid, text);
    const name = NAMES.get(oid);
    if (name !== undefined) extensions.set(name, text);
  }
  const old = extensions.get(ISSUER_V1);
  const issuer = extensions.get(ISSUER) ?? old;
  if (old !== undefined && old !== issuer) throw badDer('the certificate', 'names two issuers of its identity');
  return { names: certificate.names, ...(issuer !== undefined && { issuer }), extensions };
}

function extensionText(oid: string, value: Uint8Array): string {
  const what = `the certificate's extension ${NAMES.get(oid) ?? oid}`;
  const number = Number(oid.slice(FULCIO_ARC.length));
  if (number <= LAST_RAW_EXTENSION) return utf8Of(value, what);
  return utf8Of(expectTag(parseDer(value, what), TAG.utf8, what).content, what);
}
