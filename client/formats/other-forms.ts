/**
 * Names what a file is that is not the expected form, and says what to do with it. Such a file is well-formed, and a reader
 * that knows its form can help its user more than one that reports the first unknown field.
 */
type Members = Readonly<Record<string, unknown>>;
type JsonForm = readonly [matches: (members: Members) => boolean, what: string];
/** A pattern, or how the file starts; Latin-1. */
type TextForm = readonly [pattern: RegExp | string, what: string];

/** Bytes of a file that tell its form. */
const HEAD = 4096;

const has =
  (...names: readonly string[]) =>
  (members: Members) =>
    names.every((name) => Object.hasOwn(members, name));
const typed = (prefix: string) => (members: Members) =>
  String(members.mediaType ?? members.media_type ?? '').startsWith(`application/vnd.dev.sigstore.${prefix}`);
/** A SEQUENCE. The lengths and types that it begins with are no text. */
const DER = /^0.{0,2}[^\t\n\r -~]/s;

/** In JSON, in the place of a bundle. The first that matches counts. */
const JSON_FORMS: readonly JsonForm[] = [
  [
    has('verification_material', 'envelope'),
    'an attestation of a Python package (PEP 740): `Attestation.to_bundle()` of pypi-attestations makes a bundle of it',
  ],
  [
    has('attestation_bundles'),
    "an index's answer about a Python package (PEP 740): `Attestation.to_bundle()` of pypi-attestations makes a bundle of each attestation",
  ],
  [
    has('base64Signature'),
    "cosign's old form of a bundle: `cosign bundle create --bundle OLD --artifact FILE --out NEW` makes a bundle of it",
  ],
  [
    has('SignedEntryTimestamp', 'Payload'),
    "a log's answer as cosign attaches it to an image, without the signature: `cosign bundle create` makes a bundle of both",
  ],
  [has('payload', 'payloadType'), 'a DSSE envelope without a log entry: `stele submit` logs it and makes a bundle'],
  [has('payload', 'signatures'), 'a JSON Web Signature (RFC 7515), and no bundle'],
  [
    has('_type', 'predicateType'),
    'an in-toto statement without a signature: `stele attest --statement` signs and logs it',
  ],
  [typed('trustedroot'), 'a trusted root: give it as --trusted-root'],
  [typed('signingconfig'), 'a signing config, and no bundle'],
  [typed('clienttrustconfig'), 'a client trust config, and no bundle: give the trusted root in it as --trusted-root'],
  [has('logIndex', 'canonicalizedBody'), 'a log entry without the signature that it is about: a bundle holds both'],
  [has('apiVersion', 'kind', 'spec'), 'the body of a log entry: a bundle holds the entry with its proof'],
  [
    (members) =>
      Object.values(members).some((value) => isObject(value) && has('body', 'logIndex', 'integratedTime')(value)),
    'an answer of Rekor v1: a bundle holds the signature as well',
  ],
  [has('format', 'keys', 'first', 'second'), 'evidence against a log: give it as --evidence'],
  [
    (members) => String(members.format).startsWith('stele-'),
    "a file of Stele's own, and no bundle: evidence is given as --evidence",
  ],
  [
    has('schemaVersion', 'manifests'),
    'an index of a container registry: a bundle is a layer of a manifest that refers to the image',
  ],
  [has('schemaVersion', 'layers'), 'a manifest of a container registry: the bundle is the layer that it names'],
  [has('critical', 'optional'), 'what cosign signs for an image, without its signature'],
  [has('signed', 'signatures'), 'metadata of TUF or an in-toto layout or link, and no bundle'],
  [has('kty'), 'a JSON Web Key, and no bundle'],
];

/** Not JSON, in the place of a bundle. */
const TEXT_FORMS: readonly TextForm[] = [
  [/^c2sp\.org\/tlog-proof@/, 'a tlog-proof: give it as --tlog-proof'],
  [/^-----BEGIN SSH SIGNATURE-----/m, 'a signature of SSH, and no bundle'],
  [/^-----BEGIN PGP /m, 'an OpenPGP file, and no bundle'],
  [/^-----BEGIN (?:PKCS7|CMS)-----/m, 'a signature in CMS, and no bundle'],
  [/^-----BEGIN CERTIFICATE-----/m, 'a certificate, and no bundle'],
  [/^-----BEGIN PUBLIC KEY-----/m, 'a public key, and no bundle: give it as --key'],
  [/^-----BEGIN /m, 'a file in PEM, and no bundle'],
  [/^untrusted comment:/, 'a signature of minisign or signify, and no bundle'],
  [/\n\n\xe2\x80\x94 \S+ \S+\n/, 'a checkpoint or another signed note, and no bundle'],
  [/^\s*<(?:!doctype|html|\?xml)/i, 'a page in HTML or XML: the download answered with something else'],
  ['\x1f\x8b', 'compressed with gzip: decompress it first'],
  ['(\xb5/\xfd', 'compressed with zstd: decompress it first'],
  ['PK\x03\x04', 'a ZIP archive: take the bundle out of it'],
  [/^(?:\xff\xfe|\xfe\xff)/, 'text in UTF-16: save it as UTF-8'],
  ['\xef\xbb\xbf', 'text that begins with a byte order mark: save it without'],
  [
    /^\s*[A-Za-z0-9+/]{64,}={0,2}\s*$/,
    'text in base64, such as a bare signature of cosign: `stele submit --digest --signature --key` logs it and makes a bundle',
  ],
  [DER, 'a binary file in DER, such as a bare signature, and no bundle'],
];

/** In the place of a public key in PEM. */
const KEY_FORMS: readonly TextForm[] = [
  [
    /^(?:[^\n]*\s)?(?:ssh-rsa|ecdsa-sha2-nistp\d+) AAAA/,
    'a public key of SSH: `ssh-keygen -e -m PKCS8 -f FILE` writes it in PEM',
  ],
  [/^(?:[^\n]*\s)?ssh-ed25519 AAAA/, 'an Ed25519 public key of SSH, which ssh-keygen writes in no other form'],
  [/^(?:[^\n]*\s)?(?:sk-|ssh-|ecdsa-)[a-z0-9@.-]+ AAAA/, 'a public key of SSH of a kind that logs do not take'],
  [
    /^---- BEGIN SSH2 PUBLIC KEY/,
    'a public key of SSH: `ssh-keygen -i -f FILE | ssh-keygen -e -m PKCS8 -f /dev/stdin` writes it in PEM',
  ],
  [
    /^untrusted comment:|^RW[A-Za-z0-9+/]{54}\s*$/,
    'a public key of minisign or signify, whose signatures a log does not take',
  ],
  [/^[^\s+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+\s*$/, "a verifier key of a log or a witness: a log's is given as --log-key"],
  [/^\s*\{[\s\S]*"kty"/, 'a JSON Web Key: it is read in PEM'],
  [/^\s*\{[\s\S]*"verificationMaterial"/, 'a bundle: give it as --bundle'],
  [/^\s*\{/, 'a file in JSON: a key is read in PEM'],
  [/^age1/, 'a key of age, which encrypts and does not sign'],
  [DER, 'a binary file in DER: `openssl pkey -pubin -inform DER -in FILE -out key.pub.pem` writes a public key in PEM'],
  [/^(?:\xff\xfe|\xfe\xff)/, 'text in UTF-16: save it as UTF-8'],
];

/** What a JSON value in the place of a bundle is; undefined where that is unknown, and for a bundle. */
export function otherJson(value: unknown): string | undefined {
  if (!isObject(value) || Object.hasOwn(value, 'verificationMaterial')) return undefined;
  return JSON_FORMS.find(([matches]) => matches(value))?.[1];
}

/** What a file in the place of a bundle is that is not JSON; undefined where that is unknown. */
export function otherText(file: Uint8Array): string | undefined {
  return formOf(String.fromCharCode(...file.subarray(0, HEAD)), TEXT_FORMS);
}

/** What a file in the place of a public key in PEM is; undefined where that is unknown. */
export function otherKey(text: string): string | undefined {
  return formOf(text.slice(0, HEAD), KEY_FORMS);
}

function formOf(text: string, forms: readonly TextForm[]): string | undefined {
  return forms.find(([form]) => (typeof form === 'string' ? text.startsWith(form) : form.test(text)))?.[1];
}

function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
