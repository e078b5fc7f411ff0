/**
 * The check `vsa`: to rely on another verifier's decision (slsa.dev/spec/v1.2/verification_summary, "How to verify"). Signature,
 * subject and predicate type were verified before; here are the pair of signer and verifier, the resource, the result, the
 * levels, and what else the policy asks for.
 */
import { type TSchema, Type } from 'typebox';
import { printable } from '../../../printable.ts';
import { timeText } from '../../../x509/utc-time.ts';
import { duration, list, onOff } from '../../config/values.ts';
import { matchesArtifact } from '../artifact-pattern.ts';
import type { VerificationSummary } from '../predicates/provenance-predicates.ts';
import { reason } from '../reasons.ts';
import type { CheckContext, CheckKind, Reason } from '../types.ts';
import { isAskedLevel, meetsLevel, trackLevelOf } from './levels.ts';
import { readUri } from './provenance-check.ts';
import { summaryOf, VSA } from './vsa.ts';
import { whereReadable } from './where-readable.ts';

const opt = Type.Optional;
const own = (kind: string, allowed: string, description: string): TSchema =>
  Type.Unknown({ kind, allowed, description });
const URI_ALLOWED = 'a URI of 1 to 1000 visible characters';
/** How far the clock of a verifier may be ahead, in milliseconds. */
const TOLERANCE = 5 * 60_000;

const VsaSchema = Type.Object({
  verifiers: Type.Array(
    Type.Object({
      id: own('slsa-uri', URI_ALLOWED, '`verifier.id` in the summary.'),
      signer: own('slsa-signer', 'the name of one of "signers"', 'Who alone may speak for this verifier.'),
    }),
    {
      minItems: 1,
      maxItems: 100,
      allowed: 'a list of 1 to 100 verifiers',
      description: 'The verifiers, each with the signer that may speak for it.',
    },
  ),
  resourceUri: own(
    'slsa-uri',
    `${URI_ALLOWED}, where * and ** stand for others`,
    'What the artifact is fetched as: the summary must be about this.',
  ),
  levels: list(isAskedLevel, 'a list of up to 64 levels, such as SLSA_BUILD_LEVEL_2', {
    description: 'Levels that must have been verified; a higher level of the track is as good.',
    default: [],
  }),
  policyUri: opt(own('slsa-uri', URI_ALLOWED, 'The policy that the verifier must have used.')),
  policyDigest: opt(
    own('slsa-digest', 'sha256: and 64 hex digits', 'SHA-256 of that policy: exactly this version of it.'),
  ),
  maxAge: opt(
    duration('1s', '87600h', {
      description:
        'The verification must not be longer ago, by `timeVerified` and by the verified times of the signature.',
    }),
  ),
  inputs: opt(onOff({ description: 'The summary must name the attestations that it is made from.', default: false })),
  minDependencyLevel: opt(
    Type.Integer({
      kind: 'count',
      unit: 'levels',
      minimum: 0,
      maximum: 3,
      allowed: 'a whole number from 0 to 3',
      description: 'No dependency may have a lower build level; the summary must have counted them.',
    }),
  ),
});

interface VsaConfig {
  readonly verifiers: readonly { readonly id: string; readonly signer: string }[];
  readonly resourceUri: string;
  readonly levels?: readonly string[];
  readonly policyUri?: string;
  readonly policyDigest?: string;
  readonly maxAge?: number;
  readonly inputs?: boolean;
  readonly minDependencyLevel?: number;
}

export const VSA_CHECK: CheckKind = {
  name: 'vsa',
  schema: VsaSchema,
  own: {
    'slsa-uri': readUri,
    'slsa-signer': (value, at, walk) =>
      typeof value === 'string' && value !== '' ? value : walk.problem(at, 'must be the name of a signer'),
    'slsa-digest': (value, at, walk) =>
      typeof value === 'string' && /^sha256:[0-9a-f]{64}$/.test(value)
        ? value
        : walk.problem(at, 'must be sha256: and 64 lower-case hex digits'),
  },
  types: [VSA],
  compile: (config: VsaConfig, report, signers) => {
    for (const [at, { signer }] of (config.verifiers ?? []).entries()) {
      if (!signers.includes(signer)) {
        report(['verifiers', at, 'signer'], `is "${printable(signer)}", which is none of "signers"`);
      }
    }
    const check = (context: CheckContext): readonly Reason[] =>
      whereReadable(() => judge(config, context, summaryOf(context.evidence)));
    // What the verifier says beyond the levels of tracks has a meaning only where the policy asks for it.
    const facts = ({ evidence }: CheckContext) => {
      const { verifiedLevels: levels, verifier } = summaryOf(evidence);
      const asked = config.levels ?? [];
      return {
        levels: levels.filter((name) => (trackLevelOf(name)?.level ?? -1) >= 0 || asked.includes(name)),
        marks: [`verifier ${verifier.id}`],
      };
    };
    return Object.assign(check, { facts });
  },
};

function judge(config: VsaConfig, context: CheckContext, summary: VerificationSummary): Reason[] {
  return [
    ...judgeVerifier(config, context, summary),
    ...judgeSubject(config, summary),
    ...judgeTimes(config, context, summary),
    ...judgeDependencies(config, summary),
  ];
}

function judgeVerifier(
  { verifiers }: VsaConfig,
  { evidence, namesOf }: CheckContext,
  { verifier }: VerificationSummary,
): Reason[] {
  const names = namesOf(evidence);
  if (verifiers.some(({ id, signer }) => id === verifier.id && names.includes(signer))) return [];
  const others = verifiers.filter(({ id }) => id === verifier.id).map(({ signer }) => signer);
  const id = printable(verifier.id);
  const why =
    others.length === 0
      ? `the verifier ${id} is not one of the rule`
      : `only ${others.join(', ')} may speak for the verifier ${id}, and ${names.join(', ') || 'another'} signed`;
  return [reason('verifier', why)];
}

function judgeSubject(config: VsaConfig, summary: VerificationSummary): Reason[] {
  const { resourceUri, levels = [], policyUri, policyDigest, inputs = false } = config;
  const reasons: Reason[] = [];
  const wrong = (why: string) => reasons.push(reason('summary', why));
  if (!matchesArtifact(resourceUri, summary.resourceUri)) {
    wrong(`the summary is about ${printable(summary.resourceUri)}, not about ${printable(resourceUri)}`);
  }
  const passed = summary.verificationResult === 'PASSED';
  if (!passed) wrong('the verification failed: the result is FAILED');
  for (const wanted of passed ? levels : []) {
    if (meetsLevel(summary.verifiedLevels, wanted)) continue;
    const found = summary.verifiedLevels.join(', ') || 'no level';
    reasons.push(reason('level', `the summary has ${printable(found)}, and the rule requires ${wanted}`));
  }
  if (policyUri !== undefined && summary.policy.uri !== policyUri) {
    wrong(`the policy was ${printable(summary.policy.uri ?? '')}, not ${printable(policyUri)}`);
  }
  if (policyDigest !== undefined && `sha256:${summary.policy.digest?.sha256}` !== policyDigest) {
    wrong(
      `the policy had the digest ${printable(summary.policy.digest?.sha256 ?? 'of no sha256')}, not ${policyDigest}`,
    );
  }
  if (inputs && (summary.inputAttestations ?? []).length === 0)
    wrong('the summary names no attestation that it is made from');
  return reasons;
}

function judgeTimes({ maxAge }: VsaConfig, { evidence, now }: CheckContext, summary: VerificationSummary): Reason[] {
  const timeVerified = summary.timeVerified?.milliseconds;
  if (timeVerified !== undefined && timeVerified > now + TOLERANCE) {
    return [reason('future-time', `the verification is dated ${timeText(timeVerified)}, after ${timeText(now)}`)];
  }
  const earliest = Math.min(...evidence.times.map(({ time }) => time));
  // A signature that existed before the verification is not over its result.
  if (timeVerified !== undefined && timeVerified > earliest + TOLERANCE) {
    const why = `the verification is dated ${timeText(timeVerified)}, and the signature over it existed at ${timeText(earliest)}`;
    return [reason('summary', why)];
  }
  if (maxAge === undefined) return [];
  if (timeVerified === undefined) return [reason('age', 'the summary does not say when the verification was')];
  if (now - timeVerified <= maxAge) return [];
  return [reason('age', `the verification is of ${timeText(timeVerified)}, older than the rule allows`)];
}

function judgeDependencies({ minDependencyLevel }: VsaConfig, { dependencyLevels }: VerificationSummary): Reason[] {
  if (minDependencyLevel === undefined) return [];
  if (dependencyLevels === undefined) return [reason('level', 'the summary says nothing of dependencies')];
  const low = Object.entries(dependencyLevels).find(([name, count]) => {
    const found = trackLevelOf(name);
    return count > 0n && (found === undefined || (found.track === 'BUILD' && found.level < minDependencyLevel));
  });
  if (low === undefined) return [];
  return [reason('level', `the artifact has dependencies of ${printable(low[0])}`)];
}
