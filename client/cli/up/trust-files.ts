/**
 * The files that clients need to trust a log: `policy` (c2sp.org/tlog-policy), and `trusted_root.json` and
 * `signing_config.json` as cosign and sigstore-js read them (docs/wire.md).
 */
import { KEY_TYPE, logId, type VerifierKey } from '../../../merkle/note.ts';
import { encodeSpki } from '../../../merkle/rekor/spki.ts';

export interface PolicyWitness {
  readonly name: string;
  readonly vkey: string;
  readonly url: string;
}

/** A policy by which `threshold` of the witnesses must have cosigned. */
export function policyText(
  logs: readonly string[],
  logUrl: string | undefined,
  witnesses: readonly PolicyWitness[],
  threshold: number,
): string {
  const names = witnesses.map(({ name }) => name).join(' ');
  return [
    '# Written by `stele up` at each start. A proof that is checked by it needs cosignatures of these witnesses.',
    ...logs.map((vkey) => `log ${vkey}${logUrl === undefined ? '' : ` ${logUrl}`}`),
    ...witnesses.map(({ name, vkey, url }) => `witness ${name} ${vkey} ${url}`),
    `group witnesses ${threshold} ${names}`,
    'quorum witnesses',
    '',
  ].join('\n');
}

/** Sigstore's trusted root with only this log. `start`: the RFC 3339 time from which the key is valid. */
export function trustedRoot(url: string, key: VerifierKey, start: string): object {
  const ed25519 = key.type === KEY_TYPE.ed25519;
  const spki = Buffer.from(ed25519 ? encodeSpki('ed25519', key.key) : key.key);
  return {
    mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
    tlogs: [
      {
        baseUrl: url,
        hashAlgorithm: 'SHA2_256',
        publicKey: {
          rawBytes: spki.toString('base64'),
          keyDetails: ed25519 ? 'PKIX_ED25519' : 'PKIX_ECDSA_P256_SHA_256',
          validFor: { start },
        },
        logId: { keyId: Buffer.from(logId(key)).toString('base64') },
      },
    ],
    certificateAuthorities: [],
    ctlogs: [],
    timestampAuthorities: [],
  };
}

export function signingConfig(url: string, operator: string, start: string): object {
  return {
    mediaType: 'application/vnd.dev.sigstore.signingconfig.v0.2+json',
    caUrls: [],
    oidcUrls: [],
    rekorTlogUrls: [{ url, majorApiVersion: 2, validFor: { start }, operator }],
    tsaUrls: [],
    rekorTlogConfig: { selector: 'ANY' },
    tsaConfig: {},
  };
}

/** The start in an earlier trusted root of the same key; undefined where there is none. */
export function knownStart(json: string, key: VerifierKey): string | undefined {
  try {
    const { tlogs } = JSON.parse(json) as ReturnType<typeof trustedRoot> & {
      tlogs: { publicKey: { validFor: { start: unknown } }; logId: { keyId: unknown } }[];
    };
    const [log] = tlogs;
    const start = log?.publicKey.validFor.start;
    const same = log?.logId.keyId === Buffer.from(logId(key)).toString('base64');
    return same && typeof start === 'string' && !Number.isNaN(Date.parse(start)) ? start : undefined;
  } catch {
    return undefined;
  }
}
