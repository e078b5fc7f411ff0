/** Whether one piece of evidence holds under one rule, and everything that does not. */
import { CodedError } from '../../errors.ts';
import { printable } from '../../printable.ts';
import type { CertificateIdentity } from '../../x509/fulcio.ts';
import { timeText } from '../../x509/utc-time.ts';
import type { Meter } from './cel/cel-limits.ts';
import { reason } from './reasons.ts';
import { typedPredicate } from './typed-predicate.ts';
import type { CheckContext, DecisionRule, EvidenceSigner, PolicySigner, Reason, VerifiedEvidence } from './types.ts';

/** The type, in a rule, of a signature over the artifact itself. */
export const SIGNATURE_TYPE = 'signature';
/** How far the clocks of authorities, logs and witnesses may be ahead, in milliseconds. */
const TOLERANCE = 5 * 60_000;

export function judgeEvidence(
  rule: DecisionRule,
  context: CheckContext,
  meter: Meter,
): { readonly signers: readonly string[]; readonly reasons: readonly Reason[] } {
  const { evidence, now } = context;
  const signers = namesOfSigner(rule.signers, evidence.signer);
  const reasons: Reason[] = [];
  if (signers.length === 0) reasons.push(notASigner(rule, evidence.signer));
  reasons.push(...judgeLog(rule, evidence), ...judgeTime(rule, evidence, now));
  // What a stranger says is not looked at: a stranger would choose how long that takes.
  if (signers.length === 0) return { signers, reasons };
  const lie = judgePredicate(evidence);
  if (lie !== undefined) return { signers, reasons: [...reasons, lie] };
  for (const check of rule.checks) {
    if (meter.isLate)
      return { signers, reasons: [...reasons, reason('limit', 'there is no time left for its checks')] };
    reasons.push(...check(context));
  }
  return { signers, reasons };
}

/** The names under which `signer` stands among those of a policy or a rule. */
export function namesOfSigner(signers: readonly PolicySigner[], signer: EvidenceSigner): string[] {
  return signers.filter((one) => isSigner(one, signer)).map(({ name }) => name);
}

function isSigner(expected: PolicySigner, signer: EvidenceSigner): boolean {
  if ('fingerprint' in expected) return expected.fingerprint === signer.fingerprint;
  return signer.kind === 'certificate' && expected.identity(signer.identity) !== undefined;
}

function notASigner({ signers }: DecisionRule, signer: EvidenceSigner): Reason {
  const expected = signers.map(({ name }) => name).join(', ');
  const names = signer.kind === 'key' ? [] : signer.identity.names.map(({ value }) => value);
  const by = signer.kind === 'key' ? '' : `, vouched for by ${printable(voucherOf(signer.identity))}`;
  const who = signer.kind === 'key' ? `the key ${signer.fingerprint}` : printable(names.join(', ') || 'nobody');
  return reason('signer', `${who}${by}, signed; the rule takes ${expected}`);
}

function voucherOf({ issuer, svid }: CertificateIdentity): string {
  return svid === undefined ? (issuer ?? 'nobody') : `the trust domain ${svid.trustDomain}`;
}

/** A predicate that is not what its type says would be read as something else by each reader. */
function judgePredicate({ statement }: VerifiedEvidence): Reason | undefined {
  if (statement === undefined) return undefined;
  try {
    typedPredicate(statement);
    return undefined;
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    return reason('predicate', `it is no ${printable(statement.predicateType)}: ${printable(error.message)}`);
  }
}

function judgeLog({ logs, quorum }: DecisionRule, { entries, git }: VerifiedEvidence): Reason[] {
  // SSH signatures of git are in no log. Where the rule names a log or wants the quorum, they do not hold.
  if (git !== undefined && entries.length === 0 && logs === undefined && !quorum) return [];
  const counting = logs === undefined ? entries : entries.filter(({ origin }) => logs.includes(origin));
  if (counting.length === 0) {
    const found = printable(entries.map(({ origin }) => origin).join(', ')) || 'no log';
    return [reason('log', `the signature is in ${found}; the rule takes ${logs?.join(', ') ?? 'any log'}`)];
  }
  if (!quorum || counting.some((entry) => entry.quorum)) return [];
  return [reason('quorum', 'the quorum of witnesses did not cosign the log, or no quorum policy is given')];
}

function judgeTime({ maxAge }: DecisionRule, { times }: VerifiedEvidence, now: number): Reason[] {
  const late = times.find(({ time }) => time > now + TOLERANCE);
  if (late !== undefined) {
    return [reason('future-time', `the evidence is dated ${timeText(late.time)}, after the present ${timeText(now)}`)];
  }
  if (maxAge === undefined) return [];
  if (times.length === 0)
    return [reason('age', 'nobody vouches for the time of the signature, so its age is not known')];
  const earliest = Math.min(...times.map(({ time }) => time));
  if (now - earliest <= maxAge) return [];
  return [reason('age', `the evidence is of ${timeText(earliest)}, older than the rule allows`)];
}
