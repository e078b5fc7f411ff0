/** A PKCS#8 key encrypted by PBES2 with scrypt (RFC 7914 section 7) and AES-256-CBC, at a cost that OpenSSL may not write. */
import { createCipheriv, randomBytes, scryptSync } from 'node:crypto';
import { der, sequence } from './der.ts';

const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'));
const PBES2 = oid('2a864886f70d01050d');
const SCRYPT = oid('2b06010401da47040b');
const AES_256_CBC = oid('60864801650304012a');

function integer(value: number): Buffer {
  const hex = value.toString(16);
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  return der(0x02, bytes[0]! < 0x80 ? bytes : Buffer.concat([Buffer.of(0), bytes]));
}

/** @param pkcs8 the key in DER; r is 8 and p is 1 */
export function scryptPem(pkcs8: Uint8Array, passphrase: string, N: number): string {
  const [salt, iv] = [randomBytes(16), randomBytes(16)];
  const key = scryptSync(passphrase, salt, 32, { N, r: 8, p: 1, maxmem: 256 * 1024 * 1024 });
  const cipher = createCipheriv('aes-256-cbc', key, iv);
  const content = Buffer.concat([cipher.update(pkcs8), cipher.final()]);
  const kdf = sequence(SCRYPT, sequence(der(0x04, salt), integer(N), integer(8), integer(1)));
  const algorithm = sequence(PBES2, sequence(kdf, sequence(AES_256_CBC, der(0x04, iv))));
  const base64 = sequence(algorithm, der(0x04, content)).toString('base64');
  const lines = base64.match(/.{1,64}/g)!;
  return ['-----BEGIN ENCRYPTED PRIVATE KEY-----', ...lines, '-----END ENCRYPTED PRIVATE KEY-----', ''].join('\n');
}
