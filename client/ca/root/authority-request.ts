/**
 * Certificate requests (PKCS#10, RFC 2986): the public key of a team's authority on its way to the root, signed by the private
 * key, so that nobody gets a certificate for a key of somebody else.
 *
 *   SEQUENCE { SEQUENCE { version 0, subject Name, SubjectPublicKeyInfo, [0] attributes }, algorithm, BIT STRING signature }
 *
 * A request asks for nothing: names, usages and times of the certificate are the root's to say. Attributes are not read.
 */
import { webcrypto } from 'node:crypto';
import { decodeUtf8, encodeUtf8, equal } from '../../../merkle/bytes.ts';
import { formatPem, parsePem, pemBytes } from '../../../merkle/pem.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { readPublicKey } from '../../../merkle/runtime/crypto/public-key.ts';
import type { Signer } from '../../../merkle/runtime/keys/types.ts';
import { constructed, type Der, parseDer, TAG } from '../../../merkle/x509/der.ts';
import { fieldsOf, oidOf, smallInteger, wholeBits } from '../../../merkle/x509/der-fields.ts';
import { verifyWith } from '../../../merkle/x509/signature-algorithms.ts';
import { ClientError } from '../../errors.ts';
import { withClientErrors } from '../../merkle-errors.ts';
import { loadX509 } from '../certificates/library.ts';

/** Longest file with a request, in bytes. */
export const MAX_REQUEST = 16 * 1024;
const WHAT = 'the certificate request';
const LABEL = 'CERTIFICATE REQUEST';

/** A request for the key of `signer`, PEM. The subject is for people alone. Errors of the signer pass. */
export async function makeRequest(signer: Signer, commonName: string): Promise<Uint8Array> {
  const { Name, Pkcs10CertificateRequestGenerator } = await loadX509();
  const isEd25519 = signer.algorithm === 'ed25519';
  const algorithm = isEd25519 ? { name: 'Ed25519' } : { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const key = { algorithm, type: 'private', extractable: false, usages: ['sign'] } as webcrypto.CryptoKey;
  // The library takes what signs for the Web Cryptography API, whose ECDSA signatures are r and s without DER.
  const provider = {
    exportKey: async () => Uint8Array.from(signer.publicKey).buffer,
    sign: async (_: unknown, __: unknown, message: ArrayBuffer) => {
      const signature = await signer.sign(new Uint8Array(message));
      return Uint8Array.from(isEd25519 ? signature : rawEcdsa(signature)).buffer;
    },
  };
  const request = await Pkcs10CertificateRequestGenerator.create(
    {
      name: new Name([{ CN: [{ utf8String: commonName }] }]),
      keys: { privateKey: key, publicKey: key },
      signingAlgorithm: algorithm,
    },
    { ...webcrypto, subtle: provider } as unknown as webcrypto.Crypto,
  );
  const der = new Uint8Array(request.rawData);
  const pem = encodeUtf8(formatPem(LABEL, der));
  if (!equal(readRequest(pem), signer.publicKey)) throw malformed('is not for the key that signed it');
  return pem;
}

/**
 * The key of a request, once the request bears the signature of that key.
 *
 * @param file PEM or DER
 * @returns SubjectPublicKeyInfo, DER
 * @throws ClientError `malformed`, `key`; `bad-signature` where another key signed it
 */
export function readRequest(file: Uint8Array): Uint8Array {
  return withClientErrors(() => {
    const [info, algorithm, signature, ...more] = parseDer(derOf(file), WHAT).children as [Der, Der, Der];
    if (signature === undefined || more.length > 0) throw malformed('is no PKCS#10 request');
    const fields = fieldsOf(info, WHAT);
    if (smallInteger(fields.next(TAG.integer), WHAT) !== 0) throw malformed('is of another version than 0');
    fields.next(TAG.sequence);
    const spki = fields.next(TAG.sequence).bytes;
    fields.optional(constructed(0));
    fields.end();
    const key = publicKeyOf(spki);
    const oid = oidOf(fieldsOf(algorithm, WHAT).next(TAG.oid), WHAT);
    if (!verifyWith(oid, key, info.bytes, wholeBits(signature, WHAT), nodePrimitives())) {
      throw new ClientError('bad-signature', `${WHAT} does not bear the signature of the key that it is for`);
    }
    return spki;
  });
}

function publicKeyOf(spki: Uint8Array): ReturnType<typeof readPublicKey> {
  try {
    return readPublicKey(spki);
  } catch (cause) {
    throw new ClientError('key', `the key of ${WHAT} cannot be used: ${(cause as Error).message}`, { cause });
  }
}

function derOf(file: Uint8Array): Uint8Array {
  if (file.length > MAX_REQUEST) throw malformed(`has more than ${MAX_REQUEST} bytes`);
  if (file[0] === TAG.sequence) return file;
  const [block, ...more] = parsePem(decodeUtf8(file));
  // OpenSSL and others wrote NEW CERTIFICATE REQUEST once.
  if (block === undefined || more.length > 0 || !block.label.endsWith(LABEL)) {
    throw malformed('is not one block "CERTIFICATE REQUEST" in PEM');
  }
  return pemBytes(block);
}

/** r and s of 32 bytes each, from DER. */
function rawEcdsa(signature: Uint8Array): Uint8Array {
  const raw = new Uint8Array(64);
  for (const [at, { content }] of parseDer(signature, 'the signature').children.entries()) {
    const digits = content.subarray(Math.max(0, content.length - 32));
    raw.set(digits, at * 32 + 32 - digits.length);
  }
  return raw;
}

function malformed(why: string): ClientError {
  return new ClientError('malformed', `${WHAT} ${why}`);
}
