/** What the steps of a ceremony amount to, and the rules that each next step must keep. */

import { decodeBase64, equal } from '../../../merkle/bytes.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import type { KeyAttributes } from '../../../merkle/runtime/keys/pkcs11/types.ts';
import { type Certificate, isSelfIssued, parseCertificate } from '../../../merkle/x509/certificate.ts';
import { keyOf as certificateKeyOf, verifyWith } from '../../../merkle/x509/signature-algorithms.ts';
import { ClientError } from '../../errors.ts';
import { formatPublicKeyPem, parsePublicKeyPem } from '../../formats/key.ts';
import { withClientErrors } from '../../merkle-errors.ts';
import { hexSha256, type TufKey, tufKey, verifyTufSignature } from '../tuf/tuf-key.ts';
import {
  type AuthorityStep,
  type BeginStep,
  type HeldKey,
  type KeyStep,
  keyStepMessage,
  type RootStep,
  type SignStep,
  type Step,
} from './steps.ts';

/** Signatures of the holders are over SHA-256 digests: P-256 is what every token, TUF client and log takes. */
export const MECHANISM = { generate: 'CKM_EC_KEY_PAIR_GEN', sign: 'CKM_ECDSA over SHA-256' } as const;

export interface Ceremony {
  readonly begin: BeginStep;
  /** By holder, in the order of the steps. */
  readonly keys: ReadonlyMap<string, HolderKey>;
  readonly root: RootStep | undefined;
  /** By holder. */
  readonly signatures: ReadonlyMap<string, SignStep>;
  /** The root of a certificate authority, if one was made. */
  readonly authority?: AuthorityStep;
}

export interface HolderKey {
  readonly step: KeyStep;
  readonly key: TufKey;
}

/** @param steps as `parseSteps` gives them @throws ClientError `ceremony` where they break a rule */
export function ceremonyOf(steps: readonly Step[]): Ceremony {
  const [begin, ...rest] = steps;
  if (begin?.step !== 'begin') throw broken('the first step of a ceremony is "begin"');
  const keys = new Map<string, HolderKey>();
  const signatures = new Map<string, SignStep>();
  let root: RootStep | undefined;
  let authority: AuthorityStep | undefined;
  for (const step of rest) {
    if (step.stele !== begin.stele) {
      throw broken(
        `the step "${step.step}" ran with Stele ${step.stele}, and the ceremony is of version ${begin.stele}`,
      );
    }
    const so: Ceremony = { begin, keys, root, signatures, ...(authority && { authority }) };
    switch (step.step) {
      case 'begin':
        throw broken('a ceremony begins once');
      case 'key':
        keys.set(step.holder, { step, key: checkKey(so, step) });
        break;
      case 'root':
        checkRoot(so);
        root = step;
        break;
      case 'sign':
        checkSign(so, step);
        signatures.set(step.holder, step);
        break;
      case 'authority':
        checkAuthority(so, step);
        authority = step;
    }
  }
  return { begin, keys, root, signatures, ...(authority && { authority }) };
}

/**
 * Whether a holder's key may be recorded next. @returns the key
 * @throws ClientError `ceremony`
 */
export function checkKey({ begin, keys, root, authority }: Omit<Ceremony, 'signatures'>, step: KeyStep): TufKey {
  const { holder } = step;
  checkHolder(begin, holder);
  if (root !== undefined) throw broken(`the root is made, and names the keys: ${holder} comes too late`);
  if (keys.has(holder)) throw broken(`${holder} has a key in this ceremony already`);
  const key = keyOf(step, holder);
  if (key.keyid !== step.keyid) throw broken(`the key of ${holder} cannot be used: its key ID is of another key`);
  checkHeld(step, key, holder, [...heldBy(keys), ...(authority ? [{ who: AUTHORITY, held: authority }] : [])]);
  return key;
}

/**
 * Whether the root of a certificate authority may be recorded next. @returns its certificate
 * @throws ClientError `ceremony`
 */
export function checkAuthority(
  { keys, authority }: Pick<Ceremony, 'keys' | 'authority'>,
  step: AuthorityStep,
): Certificate {
  if (authority !== undefined) throw broken('the root of the certificate authority is made already');
  const key = keyOf(step, AUTHORITY);
  checkHeld(step, key, AUTHORITY, heldBy(keys));
  const certificate = certificateOf(step);
  const { isCa, keyUsage, signatureAlgorithm, tbs, signature } = certificate;
  const isOwn = equal(certificate.spki, key.spki!) && isSelfIssued(certificate);
  if (!isOwn || !isCa || keyUsage?.includes('keyCertSign') !== true) {
    throw broken(`the certificate of ${AUTHORITY} is not that of a root with this key`);
  }
  const isSigned = () =>
    verifyWith(signatureAlgorithm, certificateKeyOf(certificate), tbs, signature, nodePrimitives());
  if (!withClientErrors(isSigned))
    throw broken(`the certificate of ${AUTHORITY} does not bear the signature of its key`);
  return certificate;
}

const AUTHORITY = 'the certificate authority';

function certificateOf({ certificate, sha256 }: AuthorityStep): Certificate {
  try {
    const der = decodeBase64(certificate);
    if (hexSha256(der) !== sha256) throw broken(`the digest of ${AUTHORITY} is of another certificate`);
    return withClientErrors(() => parseCertificate(der));
  } catch (cause) {
    if (cause instanceof ClientError && cause.code === 'ceremony') throw cause;
    throw broken(`the certificate of ${AUTHORITY} is damaged: ${(cause as Error).message}`, cause);
  }
}

interface Held {
  readonly who: string;
  readonly held: KeyStep | AuthorityStep;
}

function heldBy(keys: Ceremony['keys']): Held[] {
  return [...keys.values()].map(({ step }) => ({ who: step.holder, held: step }));
}

/** What holds of each key in a token, beside those that are recorded. @throws ClientError `ceremony` */
function checkHeld(step: KeyStep | AuthorityStep, key: TufKey, who: string, others: readonly Held[]): void {
  const { token } = step;
  checkAttributes(step.attributes, who);
  if (step.mechanism.generate !== MECHANISM.generate || step.mechanism.sign !== MECHANISM.sign) {
    throw broken(`the key of ${who} is for other mechanisms than ${MECHANISM.generate} and ${MECHANISM.sign}`);
  }
  for (const { who: other, held } of others) {
    if (held.publicKey === step.publicKey) {
      throw broken(`${who} has the key of ${other}: each holder has a token of their own`);
    }
    if (isSameToken(held, step)) {
      throw broken(
        `the token "${token.label}" (serial number ${token.serial}) holds the key of ${other}: each holder has a token of their own`,
      );
    }
    if (step.tpm !== '' && held.tpm === step.tpm) {
      throw broken(`the token of ${who} is on the same TPM as that of ${other}: three wrong PINs of the one lock both`);
    }
  }
  if (!verifyTufSignature(key, keyStepMessage(step), step.sig))
    throw broken(`the key of ${who} did not sign its record`);
}

/** A TPM has no serial number: its module shows zeros. */
function isSameToken({ token: a }: HeldKey, { token: b }: HeldKey): boolean {
  return a.serial === b.serial && /[^0 ]/.test(a.serial) && a.manufacturer === b.manufacturer && a.model === b.model;
}

/** Whether the root may be made next. @throws ClientError `ceremony` */
export function checkRoot({ begin, keys, root }: Omit<Ceremony, 'signatures'>): void {
  if (root !== undefined) throw broken('the root is made already');
  const missing = begin.holders.filter((holder) => !keys.has(holder));
  if (missing.length > 0)
    throw broken(`the root names the keys of all holders, and ${missing.join(', ')} have made none yet`);
}

/** Whether a signature may be recorded next. @throws ClientError `ceremony` */
export function checkSign({ begin, keys, root, signatures }: Ceremony, step: SignStep): void {
  const { holder } = step;
  checkHolder(begin, holder);
  if (root === undefined) throw broken('there is no root to sign yet');
  if (signatures.has(holder)) throw broken(`${holder} has signed the root already, and counts once`);
  const { key } = keys.get(holder)!;
  if (step.keyid !== key.keyid) throw broken(`the signature of ${holder} is by another key than the recorded one`);
  if (step.sha256 !== root.sha256) throw broken(`${holder} signed another root`);
}

/** @throws ClientError `ceremony` */
export function checkHolder({ holders }: BeginStep, holder: string): void {
  if (!holders.includes(holder)) throw broken(`"${holder}" is no holder of this ceremony (${holders.join(', ')})`);
}

/** Enough holders signed the root. @throws ClientError `ceremony` */
export function checkEnough({ begin, signatures }: Ceremony): void {
  if (signatures.size >= begin.threshold) return;
  const by = signatures.size === 0 ? 'nobody' : [...signatures.keys()].join(', ');
  throw broken(
    `${begin.threshold} of ${begin.holders.length} holders must sign the root, and ${signatures.size} did: ${by}`,
  );
}

/** All five, since each alone holds of some copy too. @throws ClientError `ceremony` */
function checkAttributes(attributes: KeyAttributes, holder: string): void {
  const { sensitive, extractable, local, neverExtractable, alwaysSensitive } = attributes;
  const wrong = [
    ...(sensitive ? [] : ['not CKA_SENSITIVE']),
    ...(extractable ? ['CKA_EXTRACTABLE'] : []),
    ...(local ? [] : ['not CKA_LOCAL']),
    ...(neverExtractable ? [] : ['not CKA_NEVER_EXTRACTABLE']),
    ...(alwaysSensitive ? [] : ['not CKA_ALWAYS_SENSITIVE']),
  ];
  if (wrong.length === 0) return;
  throw broken(
    `the token says of the key of ${holder}: ${wrong.join(', ')}. So a copy of it may be elsewhere: make another key`,
  );
}

function keyOf({ publicKey }: HeldKey, who: string): TufKey {
  try {
    const { info, spki } = parsePublicKeyPem(publicKey, nodePrimitives());
    if (info.kind !== 'ecdsa-p256') throw broken(`it is ${info.name}, not ECDSA P-256`);
    if (formatPublicKeyPem({ spki }) !== publicKey) throw broken('it is not in its one PEM encoding');
    return tufKey(spki);
  } catch (cause) {
    if (!(cause instanceof ClientError)) throw cause;
    throw broken(`the key of ${who} cannot be used: ${cause.message}`, cause);
  }
}

export function broken(why: string, cause?: unknown): ClientError {
  return new ClientError('ceremony', why, { cause });
}
