/** Names the forms of keys that are not read, and says of each how to get a form that is read. Node only. */
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import type { PemBlock } from '../../../merkle/pem.ts';
import { printable } from '../../../merkle/printable.ts';

const READ =
  'give a private key in PEM: PKCS#8 ("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), SEC 1 ("EC PRIVATE KEY"), PKCS#1 ("RSA PRIVATE KEY"), or one of cosign ("ENCRYPTED SIGSTORE PRIVATE KEY")';
const MAKE = 'make one with `stele keygen --algorithm ecdsa-p256 --out key.pem`';

type Form = readonly [pattern: RegExp, what: string];

/** By the label of a PEM block. */
const LABELS: readonly Form[] = [
  [/^PGP |^PGP$/, `it is an OpenPGP key or file, whose signatures a log does not take: ${MAKE}`],
  [/^AGE ENCRYPTED FILE$/, 'it is a file that age has encrypted: decrypt it first with `age -d`'],
  [/^TSS2 PRIVATE KEY$/, 'it is a key inside a TPM: use it with --pkcs11-module and the PKCS#11 module of the TPM'],
  [/CERTIFICATE REQUEST$/, `it is a request for a certificate: ${READ}`],
  [/CERTIFICATE$|^PKCS7$|^CMS$/, `it is a certificate, which goes with --certificate: as the key, ${READ}`],
  [/PUBLIC KEY$/, `it is a public key, and signing needs the private key: ${READ}`],
  [/^DSA PRIVATE KEY$/, `it is a DSA key, which logs do not take: ${MAKE}`],
];

/** By the first bytes of a file that is not PEM, as Latin-1. */
const CONTENTS: readonly Form[] = [
  [/^\s*$/, 'it is empty'],
  [
    /^PuTTY-User-Key-File-/,
    'it is a key of PuTTY: turn an ECDSA or RSA key into PEM with `puttygen FILE -O private-openssh -o key.pem`',
  ],
  [/^untrusted comment:/, `it is a key of minisign or signify, whose signatures a log does not take: ${MAKE}`],
  [/^(?:#[^\n]*\n|\s)*AGE-SECRET-KEY-/, `it is a key of age, which encrypts and does not sign: ${MAKE}`],
  [
    /^(?:ssh-|ecdsa-sha2-|sk-)[a-z0-9@.-]+ AAAA/,
    'it is an SSH public key: where an ssh-agent holds its private key, use --agent-key FILE',
  ],
  [/^---- BEGIN SSH2 /, `it is a key in the form of SSH2 (RFC 4716): ${READ}`],
  [/^\xfe\xed\xfe\xed|^\xce\xce\xce\xce/, jks()],
  [/^(?:\xff\xfe|\xfe\xff)/, `it is text in UTF-16: save it as UTF-8, and ${READ}`],
];

/** What an `--key` of cosign means that is no file. */
const URI = /^(?:([a-z][a-z0-9+.-]*):\/\/|(pkcs11):)/i;

/** Why the name of a key names no file, and what to do; undefined where it may be a file. */
export function unreadKeyUri(name: string): string | undefined {
  const match = URI.exec(name);
  if (match === null) return undefined;
  const scheme = (match[1] ?? match[2]!).toLowerCase();
  if (scheme === 'pkcs11') {
    return 'a PKCS#11 URI is not read: give --pkcs11-module, --token, --label and --pin-file';
  }
  if (scheme === 'file') return 'a URL is not read: give the path of the file';
  if (scheme === 'env') return 'a key is not read from the environment: write it to a file of mode 0600';
  const how = `sign with cosign (\`cosign sign-blob --key ${scheme}://… --use-signing-config=false --tlog-upload=false --bundle FILE.sigstore.json FILE\`), and log the bundle with \`stele submit\``;
  return `a key in a key-management service or a secret store (${scheme}://) is not read: ${how}`;
}

/** What a PEM block is that holds no readable private key, and what to do. */
export function unreadBlock(block: PemBlock): string {
  const { label } = block;
  if (label === 'OPENSSH PRIVATE KEY') return openSsh(block);
  const form = LABELS.find(([pattern]) => pattern.test(label));
  return form?.[1] ?? `it is a PEM block "${printable(label.slice(0, 60))}", which is not read: ${READ}`;
}

/** What a file without a PEM block is, and what to do. */
export function unreadFile(file: Buffer): string {
  const text = file.subarray(0, 4096).toString('latin1');
  const form = CONTENTS.find(([pattern]) => pattern.test(text));
  if (form !== undefined) return form[1];
  if (/^\s*[{[]/.test(text)) return unreadJson(file);
  if (file[0] === 0x30) return unreadDer(file);
  return `it is not in PEM: ${READ}`;
}

/** A key of OpenSSH names its type in clear, also where it is encrypted. */
function openSsh(block: PemBlock): string {
  const what = "it is a private key in OpenSSH's own form, which is not read";
  const head = Buffer.from(block.base64.slice(0, 600), 'base64').toString('latin1');
  const type = /ssh-ed25519|ssh-rsa|ssh-dss|ecdsa-sha2-nistp\d+|sk-[a-z0-9-]+/.exec(head)?.[0] ?? 'unknown';
  const turn = 'turn a copy of it into PKCS#8 with `ssh-keygen -p -m PKCS8 -f COPY`';
  if (type.startsWith('ecdsa-')) return `${what}: add it to an ssh-agent and use --agent-key, or ${turn}`;
  if (type === 'ssh-rsa') return `${what}: ${turn}`;
  if (type === 'ssh-ed25519') {
    return `${what}: ${turn} of OpenSSH 10.6 (9.2 says that it did, and leaves an Ed25519 key as it is), or ${MAKE}`;
  }
  return `${what}, of the type ${type}: ${MAKE}`;
}

function unreadJson(file: Buffer): string {
  let json: Record<string, unknown>;
  try {
    json = Object(JSON.parse(file.toString()));
  } catch {
    return `it is not in PEM: ${READ}`;
  }
  if ('kty' in json || 'keys' in json) {
    const turn = `crypto.createPrivateKey({ key: JSON.parse(fs.readFileSync("FILE")), format: "jwk" }).export({ type: "pkcs8", format: "pem" })`;
    return `it is a JSON Web Key: turn it into PEM with \`node -p '${turn}' > key.pem\``;
  }
  if ('keytype' in json || 'keyval' in json || 'encrypted' in json) {
    return `it is a key of TUF or securesystemslib in JSON: write the PEM that its "private" holds to a file, or ${MAKE}`;
  }
  if ('kdf' in json && 'ciphertext' in json) {
    return 'it is an encrypted key of securesystemslib without its PEM: put the base64 of it between "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----" and "-----END ENCRYPTED SIGSTORE PRIVATE KEY-----"';
  }
  return `it is JSON that holds no key: ${READ}`;
}

function unreadDer(der: Buffer): string {
  for (const type of ['pkcs8', 'sec1', 'pkcs1'] as const) {
    if (parses(() => createPrivateKey({ key: der, format: 'der', type }))) {
      return 'it is a private key in DER: turn it into PEM with `openssl pkey -inform DER -in FILE -out key.pem`';
    }
  }
  const hex = der.subarray(0, 64).toString('hex');
  // PFX (RFC 7292 section 4): SEQUENCE { INTEGER 3, SEQUENCE { … } }, its length in any form.
  if (/^30(?:[0-7].|8[1-4](?:..){1,4}|80)02010330/.test(hex)) {
    return 'it is PKCS#12: take the key out with `openssl pkcs12 -in FILE -nocerts -nodes -out key.pem`';
  }
  // EncryptedPrivateKeyInfo (RFC 5958 section 3) begins with the identifier of PKCS#5 or of PKCS#12.
  if (/^30(?:[0-7].|8[12](?:..){1,2})30(?:[0-7].|81..)06(?:092a864886f70d0105|0a2a864886f70d010c01)/.test(hex)) {
    return 'it is an encrypted private key in DER: turn it into PEM with `openssl pkcs8 -inform DER -in FILE -topk8 -out key.pem`';
  }
  if (parses(() => new X509Certificate(der))) return `it is a certificate in DER, and no private key: ${READ}`;
  if (parses(() => createPublicKey({ key: der, format: 'der', type: 'spki' }))) {
    return `it is a public key in DER, and signing needs the private key: ${READ}`;
  }
  return `it is not in PEM: ${READ}`;
}

function parses(parse: () => unknown): boolean {
  try {
    parse();
    return true;
  } catch {
    return false;
  }
}

function jks(): string {
  const turn = 'keytool -importkeystore -srckeystore FILE -destkeystore key.p12 -deststoretype PKCS12';
  return `it is a key store of Java: turn it into PKCS#12 with \`${turn}\`, and take the key out with \`openssl pkcs12 -in key.p12 -nocerts -nodes -out key.pem\``;
}
