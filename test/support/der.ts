/** A small DER encoder, for test certificates with keys of every kind. */

/** One element: tag, definite length, contents. */
export function der(tag: number, ...contents: Uint8Array[]): Buffer {
  const body = Buffer.concat(contents);
  const length: number[] = [];
  for (let rest = body.length; rest > 0; rest = Math.floor(rest / 256)) {
    length.unshift(rest % 256);
  }
  const head = body.length < 0x80 ? [tag, body.length] : [tag, 0x80 + length.length, ...length];
  return Buffer.concat([Buffer.from(head), body]);
}

export const sequence = (...contents: Uint8Array[]): Buffer => der(0x30, ...contents);
export const bitString = (bytes: Uint8Array): Buffer => der(0x03, Buffer.from([0]), bytes);

const COMMON_NAME = der(0x06, Buffer.from('550403', 'hex'));

function name(common: string): Buffer {
  return sequence(der(0x31, sequence(COMMON_NAME, der(0x0c, Buffer.from(common)))));
}

/** AlgorithmIdentifiers of certificate signatures, by `asymmetricKeyType`. */
const ALGORITHMS = {
  ec: sequence(der(0x06, Buffer.from('2a8648ce3d040302', 'hex'))), // ecdsa-with-SHA256
  rsa: sequence(der(0x06, Buffer.from('2a864886f70d01010b', 'hex')), der(0x05)), // sha256WithRSAEncryption
  ed25519: sequence(der(0x06, Buffer.from('2b6570', 'hex'))),
};

/**
 * A self-signed X.509 v3 certificate in DER over `spki`.
 *
 * @param sign signs the TBSCertificate with the algorithm of `type`
 * @param padding length in bytes of an extension that no parser reads, to make the certificate longer
 */
export function certificate(
  spki: Uint8Array,
  type: keyof typeof ALGORITHMS,
  sign: (tbs: Uint8Array) => Uint8Array,
  padding = 0,
): Buffer {
  const algorithm = ALGORITHMS[type];
  const extension = sequence(der(0x06, Buffer.from('2b0601040182e77c01', 'hex')), der(0x04, Buffer.alloc(padding)));
  const tbs = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.from([1])),
    algorithm,
    name('stele test'),
    sequence(der(0x17, Buffer.from('260101000000Z')), der(0x17, Buffer.from('460101000000Z'))),
    name('stele test'),
    spki,
    ...(padding > 0 ? [der(0xa3, sequence(extension))] : []),
  );
  return sequence(tbs, algorithm, bitString(sign(tbs)));
}
