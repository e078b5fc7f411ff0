/** What conditions can read: verified facts alone. A variable that a piece of evidence does not have is not there. */
import { isSignerName } from '../../x509/signer-names.ts';
import { type CelSource, type CelValue, toCel } from './cel/cel-values.ts';
import { sbomVariable } from './sbom/sbom-variable.ts';
import { SbomProblem } from './sbom/types.ts';
import { typedPredicate } from './typed-predicate.ts';
import type {
  Artifact,
  CheckContext,
  DigestSet,
  EvidenceSigner,
  EvidenceStatement,
  VerifiedEvidence,
} from './types.ts';

/** The names, and their types where they are always the same. */
export const DECLARED: readonly string[] = [
  'artifact: map(string, dyn)',
  'signer: map(string, dyn)',
  'certificate: map(string, dyn)',
  'predicateType: string',
  'subject: map(string, dyn)',
  'predicate',
  'sbom',
  'entries: list(map(string, dyn))',
  'times: list(map(string, dyn))',
  'signedAt: timestamp',
  'now: timestamp',
];

type Variables = Readonly<Record<string, CelValue>>;

/** Of a piece of evidence, which does not change. */
const known = new WeakMap<VerifiedEvidence, Variables>();
/** Of the last call: all conditions of a decision see the same. */
let last: {
  readonly artifact: Artifact;
  readonly evidence: VerifiedEvidence;
  readonly now: number;
  variables: Variables;
};

export function conditionVariables({ artifact, evidence, now }: CheckContext): Variables {
  if (last?.evidence === evidence && last.artifact === artifact && last.now === now) return last.variables;
  let own = known.get(evidence);
  if (own === undefined) {
    own = ofEvidence(evidence);
    known.set(evidence, own);
  }
  const { name, digest } = artifact;
  const variables = { ...own, artifact: toCel({ name, digest: { ...digest } }), now: toCel(new Date(now)) };
  last = { artifact, evidence, now, variables };
  return variables;
}

function ofEvidence(evidence: VerifiedEvidence): Variables {
  const { signer, statement, subject, entries, times } = evidence;
  const earliest = times.length === 0 ? undefined : Math.min(...times.map(({ time }) => time));
  const sources: Record<string, CelSource | undefined> = {
    signer: signerSource(signer),
    ...(signer.kind === 'certificate' ? { certificate: certificateSource(signer) } : {}),
    entries: entries.map(({ origin, index, treeSize, leafHash, witnesses, quorum }) => ({
      origin,
      index: BigInt(index),
      treeSize: treeSize === undefined ? undefined : BigInt(treeSize),
      leafHash,
      witnesses: [...witnesses],
      quorum,
    })),
    times: times.map(({ kind, time, by }) => ({ kind, time: new Date(time), by })),
    signedAt: earliest === undefined ? undefined : new Date(earliest),
    predicateType: statement?.predicateType,
    predicate: statement && predicateSource(statement),
    sbom: statement && sbomSource(statement),
    subject: subject && { name: subject.name, digest: { ...(subject.digest as DigestSet) } },
  };
  const given = Object.entries(sources).filter((entry): entry is [string, CelSource] => entry[1] !== undefined);
  return Object.fromEntries(given.map(([name, source]) => [name, toCel(source)]));
}

/** Of an SBOM it is the document itself, whatever its form. */
function predicateSource(statement: EvidenceStatement): CelSource {
  const typed = typedPredicate(statement);
  return (typed.kind === 'sbom' ? typed.value.value : typed.value) as CelSource;
}

/** Absent for what is no SBOM, and for one that cannot be read: a condition that reads it is an error then. */
function sbomSource(statement: EvidenceStatement): CelSource | undefined {
  const typed = typedPredicate(statement);
  if (typed.kind !== 'sbom') return undefined;
  try {
    return sbomVariable(typed) as CelSource;
  } catch (error) {
    if (error instanceof SbomProblem) return undefined;
    throw error;
  }
}

function signerSource(signer: EvidenceSigner): CelSource {
  const { kind, fingerprint } = signer;
  if (signer.kind === 'key') return { kind, fingerprint, names: [] };
  const { names, issuer, extensions } = signer.identity;
  const own = names.filter(isSignerName).map(({ value }) => value);
  return { kind, fingerprint, names: own, issuer, extensions: Object.fromEntries(extensions) };
}

function certificateSource({ identity }: EvidenceSigner & { kind: 'certificate' }): CelSource {
  const { names, issuer, extensions } = identity;
  return {
    names: names.map(({ type, value, oid }) => ({ type, value, oid })),
    issuer,
    extensions: Object.fromEntries(extensions),
  };
}
