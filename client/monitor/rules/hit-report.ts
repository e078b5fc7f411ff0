/** The data of a hit for an alert, and the identity that an acknowledgement covers. */
import { hash } from 'node:crypto';
import { FULCIO_ARC } from '../../../merkle/x509/fulcio.ts';
import type { Hit } from './engine.ts';
import { type FullEntrySigner, inFull, type ReadEntry } from './entry-reader.ts';
import type { Trust } from './issuer-trust.ts';
import { escaped } from './text.ts';

/** Plain data: a worker returns it as JSON. */
export interface HitReport {
  /** Index of the entry in its batch. */
  readonly at: number;
  readonly rule: number;
  readonly kind: Hit['kind'];
  /** Escaped, at most 20. */
  readonly names: readonly string[];
  /** Number of all names. */
  readonly nameCount: number;
  readonly issuer?: string;
  readonly key?: string;
  readonly digest?: string;
  /** SHA-256, hex, over the identities of the signers: see `signerIdentity`. Absent unless all signers can be read. */
  readonly identity?: string;
  /** Why a part of the entry could not be read. */
  readonly problem?: string;
  /** Why no trusted authority issued a certificate. Absent without configured authorities. */
  readonly doubt?: string;
}

const MAX_SHOWN_NAMES = 20;

export function hitReport(at: number, entry: ReadEntry, { rule, kind, signers }: Hit, trust?: Trust): HitReport {
  const found = signers.map((index) => entry.signers[index]!);
  const names = found.flatMap((signer) => signer.names);
  const issuer = found.find((signer) => signer.issuer !== undefined)?.issuer;
  const key = found[0]?.key;
  const digest = entry.digests[0];
  const doubts = found.map(({ certificate }) => certificate && trust?.doubt(certificate));
  const doubt = doubts.find((why) => why !== undefined);
  const full = found.map(inFull);
  const whole = full.filter((signer) => signer !== undefined);
  const problem = entry.problem ?? (whole.length < full.length ? 'its certificate is not well-formed' : undefined);
  return {
    at,
    rule,
    kind,
    names: names.slice(0, MAX_SHOWN_NAMES).map(({ value }) => escaped(value)),
    nameCount: names.length,
    ...(issuer === undefined ? {} : { issuer: escaped(issuer) }),
    ...(key === undefined ? {} : { key }),
    ...(digest === undefined ? {} : { digest }),
    ...(whole.length === 0 || whole.length < full.length ? {} : { identity: identityHash(whole, doubts) }),
    ...(problem === undefined ? {} : { problem: escaped(problem) }),
    ...(doubt === undefined ? {} : { doubt: escaped(doubt) }),
  };
}

/** Extensions whose values differ between runs of one workflow, and which thus do not identify the signer. */
const OF_ONE_RUN: ReadonlySet<string> = new Set([3, 10, 13, 19, 21].map((number) => `${FULCIO_ARC}${number}`));

function identityHash(signers: readonly FullEntrySigner[], doubts: readonly (string | undefined)[]): string {
  const identities = signers.map((signer, at) => signerIdentity(signer, doubts[at] !== undefined));
  return hash('sha256', JSON.stringify(identities.sort()), 'hex');
}

/**
 * The identity that an acknowledgement covers: all names with their types, the issuer, the authority, and every extension
 * that is not in `OF_ONE_RUN`. For a key without a certificate, and for a certificate without an issuer or in doubt, it is
 * the key and the names, because anybody can make a certificate with the same names.
 */
function signerIdentity(signer: FullEntrySigner, inDoubt: boolean): string {
  const names = signer.names.map(({ type, value }) => [type, value]);
  const { parsed, issuer } = signer;
  if (inDoubt || parsed === undefined || issuer === undefined) return JSON.stringify(['key', names, signer.key]);
  const extensions = [...signer.extensions].filter(([name]) => /^\d/.test(name) && !OF_ONE_RUN.has(name)).sort();
  const authority = Buffer.from(parsed.authorityKeyId ?? []).toString('hex');
  return JSON.stringify(['certificate', names, issuer, parsed.issuer, authority, extensions]);
}
