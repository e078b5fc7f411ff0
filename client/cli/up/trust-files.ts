/**
 * The files that clients need to trust a log: `policy` (c2sp.org/tlog-policy), and `trusted_root.json` and
 * `signing_config.json` as cosign and sigstore-js read them (docs/wire.md). cosign reads only v0.1 of the trusted root; v0.2
 * stands beside it, in `trusted_root.v0.2.json`.
 */
import { equal } from '../../../merkle/bytes.ts';
import { KEY_TYPE, logId, type VerifierKey } from '../../../merkle/note.ts';
import { encodeSpki, parseSpki } from '../../../merkle/rekor/spki.ts';
import type { SigningConfig } from '../../trust/signing-config.ts';
import { parseTrustedRoot, type TrustedLog, type TrustedRoot } from '../../trust/trusted-root.ts';

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

/** Sigstore's trusted root with only this log. `start`: when the key becomes valid, in milliseconds since 1970. */
export function trustedRootOf(baseUrl: string, key: VerifierKey, start: number, operator: string): TrustedRoot {
  const ed25519 = key.type === KEY_TYPE.ed25519;
  const id = logId(key);
  const log: TrustedLog = {
    baseUrl,
    key: parseSpki(ed25519 ? encodeSpki('ed25519', key.key) : key.key),
    hash: ed25519 ? undefined : 'sha256',
    validFor: { start },
    // Entries of Rekor v2 name the checkpoint key's whole ID, and sigstore-js compares it with this one.
    logId: id,
    checkpointKeyId: id,
    operator,
  };
  return { tlogs: [log], certificateAuthorities: [], ctlogs: [], timestampAuthorities: [] };
}

/** @param start milliseconds since 1970 */
export function signingConfigOf(url: string, operator: string, start: number): SigningConfig {
  return {
    caUrls: [],
    oidcUrls: [],
    rekorTlogUrls: [{ url, majorApiVersion: 2, validFor: { start }, operator }],
    rekorTlogConfig: { selector: 'ANY' },
    tsaUrls: [],
    tsaConfig: undefined,
  };
}

/** The start in an earlier trusted root of the same key, in milliseconds since 1970; undefined where there is none. */
export function knownStart(file: Uint8Array, key: VerifierKey): number | undefined {
  try {
    const [log] = parseTrustedRoot(file).tlogs;
    return log !== undefined && equal(log.logId, logId(key)) ? log.validFor.start : undefined;
  } catch {
    return undefined;
  }
}
