/** Private keys in PEM: PKCS#8, SEC 1 or PKCS#1, plain or encrypted as OpenSSL writes them, and those of cosign. Node only. */
import { createPrivateKey, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { MerkleError } from '../../../merkle/errors.ts';
import { type PemBlock, parsePem, pemBytes } from '../../../merkle/pem.ts';
import { encodeSpki } from '../../../merkle/rekor/spki.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { scryptLimit } from '../../../merkle/runtime/keys/scrypt-limit.ts';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import { parseDer, TAG } from '../../../merkle/x509/der.ts';
import { fieldsOf, oidOf } from '../../../merkle/x509/der-fields.ts';
import { ClientError } from '../../errors.ts';
import { parsePublicKey } from '../../formats/key.ts';
import { withClientErrors } from '../../merkle-errors.ts';
import type { SoftwareSigner } from './software-signer.ts';

const COSIGN_LABELS = ['ENCRYPTED SIGSTORE PRIVATE KEY', 'ENCRYPTED COSIGN PRIVATE KEY'];
const LABELS = ['PRIVATE KEY', 'ENCRYPTED PRIVATE KEY', 'EC PRIVATE KEY', 'RSA PRIVATE KEY', ...COSIGN_LABELS];
const TAKEN = 'ECDSA (P-256, P-384, P-521), Ed25519 and RSA (2048, 3072, 4096)';

/** The curves of JSON Web Keys (RFC 7518 section 6.2.1.1) whose keys a log takes. */
const CURVES = { 'P-256': 'ecdsa-p256', 'P-384': 'ecdsa-p384', 'P-521': 'ecdsa-p521' } as const;

/**
 * The signer of an ECDSA, Ed25519 or RSA key.
 *
 * @param block as `privateKeyBlock` gives it
 * @param passphrase of an encrypted key; it may be empty
 * @throws ClientError `key` where the block is damaged, or the key is of another kind; RuntimeError `passphrase` where the
 *   key is encrypted, and the passphrase is missing or wrong
 */
export async function pemSigner(block: PemBlock, passphrase: string | undefined): Promise<SoftwareSigner> {
  return await keyObjectSigner(await openKey(block, passphrase));
}

/** The signer of a private key that is open already. @throws ClientError `key` where the key is of another kind */
export async function keyObjectSigner(key: KeyObject): Promise<SoftwareSigner> {
  const kind = key.asymmetricKeyType;
  if (kind !== 'ec' && kind !== 'ed25519' && kind !== 'rsa') {
    throw new ClientError('key', `it is a key of the kind ${kind}; use ${TAKEN}`);
  }
  const publicKey = parsePublicKey(spkiOf(key), nodePrimitives());
  // Each kind loads only the code that it needs.
  if (kind === 'rsa') return (await import('./rsa-signer.ts')).rsaSigner(key, publicKey);
  const { softwareSigner } = await import('./software-signer.ts');
  return softwareSigner(publicKey, Buffer.from(key.export({ format: 'jwk' }).d!, 'base64url'));
}

/**
 * The one private key of a file. Text and other blocks around the key are not read.
 *
 * @throws ClientError `key`: the message says what the file is instead, and how to get a key that is read
 */
export async function privateKeyBlock(file: Buffer): Promise<PemBlock> {
  const blocks = withClientErrors(() => parsePem(file.toString('latin1')));
  const [block, ...more] = blocks.filter(({ label }) => LABELS.includes(label));
  if (more.length > 0) throw new ClientError('key', `it holds ${more.length + 1} private keys: name a file with one`);
  if (block !== undefined) return block;
  const { unreadBlock, unreadFile } = await import('./unread-key.ts');
  // The private key says more than the certificates and parameters around it.
  const other = blocks.find(({ label }) => label.includes('PRIVATE KEY')) ?? blocks[0];
  throw new ClientError('key', other === undefined ? unreadFile(file) : unreadBlock(other));
}

async function openKey(block: PemBlock, passphrase: string | undefined): Promise<KeyObject> {
  const { label, headers } = block;
  const isEncrypted = label.startsWith('ENCRYPTED') || headers.some((header) => header.includes('ENCRYPTED'));
  if (isEncrypted && passphrase === undefined) {
    throw new RuntimeError('passphrase', 'the key is encrypted, and there is no passphrase for it');
  }
  if (COSIGN_LABELS.includes(label)) {
    const { decryptCosignKey } = await import('./cosign-key.ts');
    const der = await decryptCosignKey(
      withClientErrors(() => pemBytes(block)),
      passphrase!,
    );
    return openPem({ label: 'PRIVATE KEY', headers: [], base64: Buffer.from(der).toString('base64') }, undefined);
  }
  return openPem(block, isEncrypted ? passphrase : undefined);
}

function openPem(block: PemBlock, passphrase: string | undefined): KeyObject {
  const { label, headers, base64 } = block;
  const lines = [...headers, ...(headers.length > 0 ? [''] : []), ...(base64.match(/.{1,64}/g) ?? [])];
  const key = [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
  try {
    return createPrivateKey({ key, format: 'pem', ...(passphrase === undefined ? {} : { passphrase }) });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_OSSL_EVP_UNSUPPORTED') {
      const turn = '`openssl pkcs8 -topk8 -provider legacy -provider default -in FILE -out key.pem`';
      throw new ClientError('key', `it is encrypted with an old cipher that is not read: encrypt it anew with ${turn}`);
    }
    const limit = scryptLimit(cause);
    if (limit !== undefined) throw new ClientError('key', limit);
    if (passphrase === undefined) {
      throw new ClientError('key', `the private key cannot be read: ${unknownKind(block)}`, { cause });
    }
    // No cause: OpenSSL's words may quote what it read.
    throw new RuntimeError('passphrase', 'the key cannot be opened: the passphrase is wrong, or the file is damaged');
  }
}

/** The algorithm of a PKCS#8 key (RFC 5958 section 2) that OpenSSL does not know. */
function unknownKind(block: PemBlock): string {
  try {
    const fields = fieldsOf(parseDer(pemBytes(block), 'the key'), 'the key');
    fields.next(TAG.integer);
    const oid = oidOf(fieldsOf(fields.next(TAG.sequence), 'the key').next(TAG.oid), 'the key');
    if (block.label === 'PRIVATE KEY') return `the file is damaged, or its algorithm ${oid} is not known; use ${TAKEN}`;
  } catch (error) {
    if (!(error instanceof MerkleError)) throw error;
  }
  return 'the file is damaged';
}

/** SubjectPublicKeyInfo with a named curve and an uncompressed point, also where the file has its key in another form. */
function spkiOf(key: KeyObject): Uint8Array {
  if (key.asymmetricKeyType !== 'ec') return createPublicKey(key).export({ format: 'der', type: 'spki' });
  const curve = key.asymmetricKeyDetails?.namedCurve;
  let jwk: JsonWebKey | undefined;
  try {
    jwk = key.export({ format: 'jwk' });
  } catch {
    // Node writes only the curves of RFC 7518 and 8812 as a JSON Web Key.
  }
  const kind = CURVES[jwk?.crv as keyof typeof CURVES];
  if (jwk === undefined || kind === undefined) {
    throw new ClientError('key', `it is an ECDSA key on the curve ${curve}; use ${TAKEN}`);
  }
  const point = Buffer.concat([Buffer.from([4]), Buffer.from(jwk.x!, 'base64url'), Buffer.from(jwk.y!, 'base64url')]);
  return encodeSpki(kind, point);
}
