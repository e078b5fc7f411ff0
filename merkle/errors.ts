/**
 * The base of every error that Stele throws on purpose. Programs read `code`, which comes from the closed list of its room,
 * and `data`, if the code alone is not enough. People read `message`: it says what happened, why, and what to do.
 */
export abstract class CodedError<Code extends string, Data = undefined> extends Error {
  readonly code: Code;
  readonly data: Data;

  constructor(code: Code, message: string, data: Data, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.data = data;
  }
}

/** Every error of the pure core. Bad input always causes a `MerkleError`; any other exception is a bug. */
export type MerkleErrorCode =
  | 'bad-number' // a size, index or level is not an integer in its range, or its decimal is not canonical
  | 'bad-base64' // the text or the bytes are not the one canonical encoding
  | 'bad-hex' // the text or the bytes are not the one canonical encoding
  | 'bad-utf8' // the text or the bytes are not the one canonical encoding
  | 'bad-hash' // a hash is not 32 bytes long
  | 'bad-proof' // a proof has the wrong shape or leads to another root
  | 'bad-tile' // a tile path or a tile's bytes are wrong, or a node lies outside of its tile
  | 'bad-bundle' // an entry bundle is cut short, has bytes left over, or an entry is too long
  | 'bad-note' // a signed note breaks c2sp.org/signed-note
  | 'bad-signature' // a signature of a known key does not verify
  | 'unknown-key' // no signature of a note is by a known key
  | 'bad-verifier-key' // a verifier key breaks c2sp.org/signed-note
  | 'bad-checkpoint' // a note's text breaks c2sp.org/tlog-checkpoint
  | 'bad-policy' // a policy breaks c2sp.org/tlog-policy; the message names the line
  | 'bad-state' // a compact range has the wrong number of hashes for its size
  | 'bad-cosignature' // a cosigner cannot sign this: a range is not a subtree, or a name is too long
  | 'bad-request' // a request or a reply breaks c2sp.org/tlog-witness
  | 'bad-evidence' // a piece of evidence is malformed, or shows no misbehavior
  | 'bad-tlog-proof' // an offline proof breaks c2sp.org/tlog-proof
  | 'bad-lookup' // a lookup in a verifiable index is malformed, is of another log, or claims more than it proves
  | 'bad-json' // a text is not JSON, is too long or too deep, or has a member twice
  | 'bad-entry' // a logged entry is not in the canonical form of its kind
  | 'bad-key' // a public key is of an unsupported kind, or not in its one encoding
  | 'bad-pem' // a block of PEM is not whole, or not canonical base64
  | 'bad-git' // a commit, a tag or a signature in one breaks its format
  | 'bad-der' // a certificate, a list of SCTs or a time stamp is not in DER, or breaks its specification
  // A certificate does not lead to a trusted root, was not valid at the time, or is not for this use.
  | 'bad-certificate'
  | 'bad-sct' // no trusted certificate-transparency log promised to log the certificate
  // An authority refused to stamp, or a time stamp is of another message, or its authority is not trusted.
  | 'bad-timestamp'
  | 'bad-rule' // a rule for an identity is empty, or has a pattern or an extension that cannot be used
  | 'bad-spiffe-id' // a SPIFFE ID or a trust domain breaks SPIFFE-ID section 2
  | 'bad-spiffe-bundle' // a trust bundle is malformed, or has a private key, or certificates that are no authority's
  | 'svid-authority' // the certificate of an authority stands in place of a workload's
  | 'svid-names' // an X.509-SVID does not have exactly one URI
  | 'svid-usage' // an X.509-SVID is not for this use
  | 'svid-trust-domain' // the bundle of an X.509-SVID's trust domain is missing, or has no X.509 authority
  | 'svid-expired' // an X.509-SVID has expired
  | 'svid-not-yet-valid' // an X.509-SVID is not valid yet
  | 'svid-chain' // an X.509-SVID has no valid path to an authority of its trust domain
  | 'bad-explorer' // the configuration of an explorer is malformed, or names a key, a policy or an address that cannot be used
  | 'unsupported'; // the input is well-formed, but of a kind that this version does not check

export class MerkleError extends CodedError<MerkleErrorCode> {
  override readonly name = 'MerkleError';

  constructor(code: MerkleErrorCode, message: string, options?: ErrorOptions) {
    super(code, message, undefined, options);
  }
}
