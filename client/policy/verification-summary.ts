/**
 * A decision as a verification summary attestation (slsa.dev/spec/v1.2/verification_summary): who decided, about what, under
 * which policy, from which evidence, and with what result and levels.
 */
import { decodeHex, encodeBase64, encodeUtf8 } from '../../merkle/bytes.ts';
import type { Artifact, Decision, DigestSet, EvidenceItem } from '../../merkle/runtime/policy/types.ts';
import { ClientError } from '../errors.ts';

const STATEMENT = 'https://in-toto.io/Statement/v1';
const PREDICATE = 'https://slsa.dev/verification_summary/v1';
const SLSA_VERSION = '1.2';
/** Nobody vouches for a level, and the policy holds. */
const NO_LEVEL = 'SLSA_BUILD_LEVEL_UNEVALUATED';

interface SummaryWish {
  /** URI of who decides. */
  readonly verifierId: string;
  /** Versions of what decided, by name. */
  readonly verifierVersion: Readonly<Record<string, string>>;
  /** URI under which consumers fetch the artifact. */
  readonly resourceUri: string;
  /** URI of the policy; by default one that is made of its digest (RFC 6920). */
  readonly policyUri?: string | undefined;
}

/**
 * The statement about a decision, in JSON.
 *
 * @param evidence all that the decision was made from
 * @throws ClientError `statement`: nothing was judged, so there is nothing to summarize
 */
export function summaryStatement(decision: Decision, evidence: readonly EvidenceItem[], wish: SummaryWish): Uint8Array {
  refuseUnjudged(decision);
  const { artifact, policy, verdict, levels, time } = decision;
  const passed = verdict === 'allow';
  const predicate = {
    verifier: { id: wish.verifierId, version: wish.verifierVersion },
    timeVerified: `${new Date(time).toISOString().slice(0, 19)}Z`,
    resourceUri: wish.resourceUri,
    policy: { uri: wish.policyUri ?? digestUri(policy.digest), digest: digestSet(policy.digest), name: policy.name },
    inputAttestations: inputs(decision, evidence),
    verificationResult: passed ? 'PASSED' : 'FAILED',
    verifiedLevels: passed ? (levels.length > 0 ? levels : [NO_LEVEL]) : ['FAILED'],
    slsaVersion: SLSA_VERSION,
  };
  const subject = [{ name: nameOf(artifact), digest: artifact.digest }];
  return encodeUtf8(JSON.stringify({ _type: STATEMENT, subject, predicateType: PREDICATE, predicate }));
}

/** A deny that is about this machine, or about an artifact that no rule is for, is no result of a verification. */
function refuseUnjudged({ rules, reasons }: Decision): void {
  const [first] = reasons;
  const inner = rules.flatMap((rule) => [...rule.reasons, ...rule.evidence.flatMap((one) => one.reasons)]);
  const failed = inner.find(({ code }) => code === 'internal');
  if (rules.length > 0 && first === undefined && failed === undefined) return;
  const why = (first ?? failed)?.message ?? 'no rule is for the artifact';
  throw new ClientError('statement', `nothing was verified, so no summary is made: ${why}`);
}

/** What passed was decided from the evidence that holds; what failed also from what was refused. Each piece once. */
function inputs({ verdict }: Decision, evidence: readonly EvidenceItem[]): object[] {
  const used = verdict === 'allow' ? evidence.filter((one) => !('code' in one)) : evidence;
  const distinct = new Map(used.map(({ digest, source }) => [digest, source]));
  return [...distinct].map(([digest, source]) => ({ ...placeOf(source), digest: digestSet(digest) }));
}

/** A place that others can fetch from; of a file only its name. */
function placeOf(source: string): object {
  return /^(?:https?|oci):\/\/[!-~]+$/.test(source)
    ? { uri: source }
    : { name: source.slice(source.lastIndexOf('/') + 1) };
}

function nameOf({ name, digest }: Artifact): string {
  const [[algorithm, hex] = []] = Object.entries(digest);
  return name ?? `${algorithm}:${hex}`;
}

function digestSet(digest: string): DigestSet {
  const at = digest.indexOf(':');
  return { [digest.slice(0, at)]: digest.slice(at + 1) };
}

/** RFC 6920 section 3: a name made of a SHA-256 digest. */
function digestUri(digest: string): string {
  const base64 = encodeBase64(decodeHex(digest.slice(digest.indexOf(':') + 1)));
  return `ni:///sha-256;${base64.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')}`;
}
