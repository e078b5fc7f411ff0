/** The options of `stele verify`: which proof, whose signature, and which trust. */
import { printable } from '../../../merkle/printable.ts';
import type { IdentityRule } from '../../../merkle/x509/identity-rule.ts';
import { usage } from '../../errors.ts';
import { predicateType } from '../../formats/statement.ts';
import type { RequiredClaim } from '../../verify/content.ts';
import type { TrustOptions } from '../trust-options.ts';

export interface VerifyOptions extends TrustOptions {
  readonly bundle?: string;
  readonly checksums?: string;
  readonly tlogProof?: string;
  readonly leafHash?: string;
  readonly evidence?: string;
  readonly ceremony?: string;
  readonly key?: string;
  readonly identity?: string;
  readonly identityRegexp?: string;
  readonly issuer?: string;
  readonly issuerRegexp?: string;
  readonly extension?: readonly string[];
  readonly type?: string;
  readonly subject?: string;
  readonly spiffeBundle?: readonly string[];
  readonly requireSct?: boolean;
  readonly insecureIgnoreSct?: boolean;
  readonly trustedRoot?: string;
  readonly logKey?: string;
  readonly policy?: string;
  readonly lastCheckpoint?: readonly string[];
  readonly witnessTime?: boolean;
  readonly requireLogs?: string;
  readonly requireTimestamps?: string;
  readonly at?: string;
  readonly json?: boolean;
}

/** The expected signer. */
export type RequestedSigner = { readonly key: string } | { readonly identity: IdentityRule };

/** @throws ClientError `usage` */
export function requestedSigner(options: VerifyOptions): RequestedSigner {
  const rule = ruleOf(options);
  if ((options.key === undefined) === (rule === undefined)) {
    throw usage(
      options.key === undefined
        ? 'say whose signature it must be: --key with their public key, or --identity and --issuer of their certificate'
        : 'give either --key, or the identity in a certificate (--identity, --issuer, --extension), not both',
    );
  }
  if (options.key === undefined) return { identity: rule! };
  for (const [given, flag] of [
    [options.spiffeBundle !== undefined, '--spiffe-bundle'],
    [options.requireSct, '--require-sct'],
    [options.insecureIgnoreSct, '--insecure-ignore-sct'],
  ] as const) {
    if (given)
      throw usage(`${flag} is about the certificate of an identity, and --key does not look at one: leave it out`);
  }
  return { key: options.key };
}

/** What the attestation must say. @throws ClientError `usage` */
export function requiredClaim({ type, subject }: VerifyOptions): RequiredClaim {
  if (subject === '') throw usage('--subject is empty: give the name that the attestation must have for the file');
  return { predicateType: type === undefined ? undefined : predicateType(type), subject };
}

/**
 * @param taken the options that `what` uses
 * @throws ClientError `usage` for any other given option: a given option must hold, and must not be ignored
 */
export function refuseOthers(options: VerifyOptions, taken: readonly (keyof VerifyOptions)[], what: string): void {
  for (const name of Object.keys(options) as (keyof VerifyOptions)[]) {
    if (taken.includes(name)) continue;
    const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    throw usage(`${what} does not look at --${flag}: leave it out`);
  }
}

function ruleOf(options: VerifyOptions): IdentityRule | undefined {
  const { identity, identityRegexp, issuer, issuerRegexp, extension = [] } = options;
  const name = text(identity, identityRegexp);
  const provider = text(issuer, issuerRegexp);
  const extensions = Object.fromEntries(extension.map(pair));
  if (name === undefined && extension.length === 0) {
    if (provider === undefined) return undefined;
    throw usage(
      'an issuer vouches for many people: give --identity or --extension with it, to say who must have signed',
    );
  }
  if (Object.keys(extensions).length < extension.length) throw usage('an --extension is given twice');
  return {
    ...(name === undefined ? {} : { identity: name }),
    ...(provider === undefined ? {} : { issuer: provider }),
    ...(extension.length === 0 ? {} : { extensions }),
  };
}

function text(exact: string | undefined, pattern: string | undefined): IdentityRule['identity'] {
  return pattern === undefined ? exact : { pattern };
}

function pair(given: string): [string, string] {
  const at = given.indexOf('=');
  if (at < 1) throw usage(`--extension "${printable(given)}" is not of the form NAME=VALUE`);
  return [given.slice(0, at), given.slice(at + 1)];
}

/** 32 bytes in hex or in base64. @throws ClientError `usage` */
export function parseLeafHash(given: string): Uint8Array {
  if (/^[0-9a-fA-F]{64}$/.test(given)) return Buffer.from(given, 'hex');
  const bytes = Buffer.from(given, 'base64');
  if (bytes.length === 32 && bytes.toString('base64') === given) return bytes;
  throw usage('--leaf-hash is not 32 bytes, as 64 digits of hex or as padded base64');
}
