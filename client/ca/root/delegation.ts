/**
 * A delegation: the signed word of a root that an authority is for a team, for its names, for a time. It is an in-toto
 * statement v1 about the authority's certificate (DER), in a DSSE envelope that the root's key signs:
 *
 *   { "_type": "https://in-toto.io/Statement/v1",
 *     "subject": [ { "name": "build/1.cer", "digest": { "sha256": <hex> } } ],
 *     "predicateType": "urn:stele:ca-delegation:v1",
 *     "predicate": {
 *       "team": "build", "number": 1,
 *       "root": { "subject": "CN=…", "sha256": <hex of the root's certificate> },
 *       "names": { "uri": [ … ], "dns": [ … ], "email": [ … ] },
 *       "notBefore": "2026-01-31T00:00:00Z", "notAfter": …,
 *       "certificate": <base64 of the authority's certificate> } }
 *
 * It is JSON in the form of RFC 8785. The bundle of it is yet to be logged: `stele submit` does so.
 */
import { decodeBase64, encodeBase64, encodeHex, equal } from '../../../merkle/bytes.ts';
import { INTOTO_TYPE, preAuthEncoding } from '../../../merkle/rekor/dsse.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import type { Signer } from '../../../merkle/runtime/keys/types.ts';
import { type Certificate, parseCertificate } from '../../../merkle/x509/certificate.ts';
import { timeText } from '../../../merkle/x509/utc-time.ts';
import { ClientError } from '../../errors.ts';
import { formatBundle, parseBundle } from '../../formats/bundle.ts';
import { parseJson } from '../../formats/json.ts';
import { parsePublicKey } from '../../formats/key.ts';
import { withClientErrors } from '../../merkle-errors.ts';
import { attestationBundle } from '../../submit/attestation.ts';
import { canonical } from '../../trust/ceremony/steps.ts';
import { hexSha256 } from '../../trust/tuf/tuf-key.ts';
import { subtreesOf } from '../certificates/teams.ts';

export const DELEGATION_TYPE = 'urn:stele:ca-delegation:v1';
const MAX_STATEMENT = 128 * 1024;
const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1';

/** An authority of a team, as its root delegated it. */
export interface Delegation {
  readonly team: string;
  /** From 1 on: a team whose authority was renewed has several. */
  readonly number: number;
  readonly authority: Certificate;
}

/** The statement, byte for byte the same each time. */
function delegationStatement({ team, number, authority }: Delegation, root: Certificate): Uint8Array {
  return canonical({
    _type: STATEMENT_TYPE,
    subject: [{ name: `${team}/${number}.cer`, digest: { sha256: hexSha256(authority.der) } }],
    predicateType: DELEGATION_TYPE,
    predicate: {
      team,
      number,
      root: { subject: root.subject, sha256: hexSha256(root.der) },
      names: subtreesOf(authority),
      notBefore: wholeSeconds(authority.notBefore),
      notAfter: wholeSeconds(authority.notAfter),
      certificate: encodeBase64(authority.der),
    },
  });
}

/** Signs a delegation. @returns a bundle v0.3 without log entry @throws ClientError `bad-signature`; errors of the signer */
export async function signDelegation(delegation: Delegation, root: Certificate, signer: Signer): Promise<Uint8Array> {
  const payload = delegationStatement(delegation, root);
  const encoded = preAuthEncoding(INTOTO_TYPE, payload);
  const signature = await signer.sign(encoded);
  const publicKey = parsePublicKey(root.spki, nodePrimitives());
  const digest = nodePrimitives().hash('sha256', encoded);
  if (!publicKey.verify(digest, signature)) {
    throw new ClientError('bad-signature', 'the key gave a signature that the certificate of the root refuses');
  }
  const envelope = { payloadType: INTOTO_TYPE, payload, signature };
  return formatBundle(
    attestationBundle({ envelope, signed: { digest, signature, publicKey, certificate: undefined } }, undefined),
  );
}

/**
 * Reads a delegation, and verifies that the root signed exactly it.
 * @param file a bundle, logged or not
 * @throws ClientError `malformed`, `statement`, `bad-signature`
 */
export function readDelegation(file: Uint8Array, root: Certificate): Delegation {
  const { content } = parseBundle(file);
  if (content.kind !== 'dsse' || content.payloadType !== INTOTO_TYPE) throw malformed('holds no in-toto statement');
  const message = preAuthEncoding(INTOTO_TYPE, content.payload);
  const key = parsePublicKey(root.spki, nodePrimitives());
  if (!key.verify(nodePrimitives().hash('sha256', message), content.signature)) {
    throw new ClientError('bad-signature', 'the delegation is not signed by the key of this root');
  }
  const { team, number, certificate } = predicateOf(content.payload);
  if (typeof team !== 'string' || !Number.isSafeInteger(number) || typeof certificate !== 'string') {
    throw malformed('names no team, number and certificate');
  }
  const authority = withClientErrors(() => parseCertificate(decodeBase64(certificate)));
  const delegation = { team, number: number as number, authority };
  // What the statement says of the certificate is what the certificate says.
  if (equal(content.payload, delegationStatement(delegation, root))) return delegation;
  throw malformed(`does not say what the certificate ${encodeHex(authority.subjectKeyId ?? new Uint8Array(0))} says`);
}

function predicateOf(payload: Uint8Array): Readonly<Record<string, unknown>> {
  const statement = parseJson(payload, 'the delegation', MAX_STATEMENT) as { readonly predicate?: object } | null;
  return { ...statement?.predicate };
}

function wholeSeconds(ms: number): string {
  return timeText(ms).replace('.000Z', 'Z');
}

function malformed(why: string): ClientError {
  return new ClientError('malformed', `the delegation ${why}`);
}
