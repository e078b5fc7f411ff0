/** Writes Sigstore's trusted root, which trusted-root.ts describes. */
import { encodeBase64, encodeUtf8, equal } from '../../merkle/bytes.ts';
import { signedKeyDetailsOf } from '../../merkle/rekor/key-details.ts';
import type { PublicKeyKind } from '../../merkle/rekor/spki.ts';
import { type Period, timeText } from '../../merkle/x509/utc-time.ts';
import { ClientError } from '../errors.ts';
import {
  TRUSTED_ROOT_TYPE,
  type TrustedAuthority,
  type TrustedLog,
  type TrustedRoot,
  type TrustedRootVersion,
} from './trusted-root.ts';

/**
 * The root as UTF-8 JSON, which `parseTrustedRoot` reads again. Version 0.1 has no operators, so they are left out there.
 *
 * @throws ClientError `trusted-root` in version 0.1 for a log with a checkpoint key ID of its own, which only v0.2 can hold;
 * for a root whose certificate-transparency logs all have keys of another kind: without them a verifier would ask for none
 */
export function formatTrustedRoot(root: TrustedRoot, version: TrustedRootVersion): Uint8Array {
  if (root.ctlogs.length === 0 && root.otherCtLogs === true) {
    const why = 'the certificate-transparency logs of the trusted root have keys of a kind that cannot be written';
    throw new ClientError('trusted-root', why);
  }
  const { certificateAuthorities, ctlogs, timestampAuthorities } = formatServices(root, version);
  const json = {
    mediaType: TRUSTED_ROOT_TYPE[version],
    tlogs: root.tlogs.map((one) => formatLog(one, version)),
    certificateAuthorities,
    ctlogs,
    timestampAuthorities,
  };
  return encodeUtf8(`${JSON.stringify(json, undefined, 2)}\n`);
}

/** What verifies certificates and times, in the JSON of a trusted root. */
export function formatServices(
  root: Omit<TrustedRoot, 'tlogs'>,
  version: TrustedRootVersion,
): { readonly [name in 'certificateAuthorities' | 'ctlogs' | 'timestampAuthorities']: readonly object[] } {
  return {
    certificateAuthorities: root.certificateAuthorities.map((one) => formatAuthority(one, version)),
    ctlogs: root.ctlogs.map((one) => formatLog(one, version)),
    timestampAuthorities: root.timestampAuthorities.map((one) => formatAuthority(one, version)),
  };
}

function formatLog(log: TrustedLog, version: TrustedRootVersion): object {
  const { baseUrl, key, validFor, logId, checkpointKeyId, operator } = log;
  if (version === '0.1' && !equal(logId, checkpointKeyId)) {
    const why = `the log ${baseUrl} has a checkpoint key ID of its own, which a trusted root v0.1 cannot hold: write v0.2`;
    throw new ClientError('trusted-root', why);
  }
  return {
    ...(baseUrl === '' ? {} : { baseUrl }),
    hashAlgorithm: 'SHA2_256',
    publicKey: { rawBytes: encodeBase64(key.spki), keyDetails: detailsOf(log), validFor: formatPeriod(validFor) },
    logId: { keyId: encodeBase64(logId) },
    ...(version === '0.1' ? {} : { checkpointKeyId: { keyId: encodeBase64(checkpointKeyId) } }),
    ...(version === '0.1' || operator === undefined ? {} : { operator }),
  };
}

/** Keys that logs have and entries have not. */
const LOG_DETAILS: Readonly<Partial<Record<PublicKeyKind, string>>> = {
  rsa: 'PKIX_RSA_PKCS1V5',
  'ecdsa-p384': 'PKIX_ECDSA_P384_SHA_256',
  'ecdsa-p521': 'PKIX_ECDSA_P521_SHA_256',
};

function detailsOf({ key, hash }: TrustedLog): string | undefined {
  return signedKeyDetailsOf(key, hash)?.name ?? LOG_DETAILS[key.kind];
}

function formatAuthority(
  { subject, uri, certificates, validFor, operator }: TrustedAuthority,
  version: string,
): object {
  return {
    ...(subject === undefined ? {} : { subject }),
    ...(uri === '' ? {} : { uri }),
    certChain: { certificates: certificates.map(({ der }) => ({ rawBytes: encodeBase64(der) })) },
    validFor: formatPeriod(validFor),
    ...(version === '0.1' || operator === undefined ? {} : { operator }),
  };
}

function formatPeriod({ start, end }: Period): object {
  return {
    ...(start === Number.NEGATIVE_INFINITY ? {} : { start: timestamp(start) }),
    ...(end === undefined ? {} : { end: timestamp(end) }),
  };
}

/** `google.protobuf.Timestamp` in proto3 JSON. */
function timestamp(ms: number): string {
  return timeText(ms).replace('.000Z', 'Z');
}
