/** `stele decide --lock`: the verdict for each package of a lock file, before anything of it is fetched. */
import { encodeHex } from '../../../merkle/bytes.ts';
import { printable } from '../../../merkle/printable.ts';
import type { Primitives } from '../../../merkle/rekor/primitives.ts';
import { decide } from '../../../merkle/runtime/policy/decide.ts';
import { reason } from '../../../merkle/runtime/policy/reasons.ts';
import type { Decision, DecisionPolicy } from '../../../merkle/runtime/policy/types.ts';
import { ClientError, usage } from '../../errors.ts';
import {
  readEvidence,
  type UnverifiedBundle,
  type UnverifiedEvidence,
  verifyBundles,
} from '../../policy/check-evidence.ts';
import type { LockedDigest, LockedPackage } from '../../policy/lock/locked-package.ts';
import { MAX_LOCK_FILE, readLock } from '../../policy/lock/read-lock.ts';
import { readStatement } from '../../verify/content.ts';
import { readWhole } from '../files.ts';
import type { DecideOptions } from './decide-options.ts';
import type { NamedDecision } from './named-decision.ts';
import { decideBasis, evidenceSources, reportDecisions } from './run-decide.ts';

/** Prints the decisions, and sets the exit status: 0 where all are allow, else 1. @throws ClientError, RuntimeError */
export async function runLock(
  file: string,
  options: DecideOptions,
  primitives: Primitives,
  signal: AbortSignal,
): Promise<void> {
  if (options.registry === true)
    throw usage('--registry finds evidence of images: for --lock, name a folder with --evidence');
  if (options.name !== undefined) throw usage('--name is of one artifact, and a lock file names its packages itself');
  const packages = readLock(file, await readWhole(file, MAX_LOCK_FILE, 'a lock file'), options.lockHost);
  const { policy, trust, now } = await decideBasis(options, primitives);
  const sources = await evidenceSources(options);
  const evidence = new EvidenceByDigest();
  for (const source of sources) {
    for (const piece of await source.find({ digest: 'sha512:' }, signal)) {
      for (const bundle of readEvidence([piece], primitives)) evidence.add(bundle);
    }
  }
  const decisions: NamedDecision[] = [];
  for (const { one, digest } of artifactsOf(packages)) {
    const { name, line, problem } = one;
    const place = { file, line };
    if (digest === undefined) {
      decisions.push({ name, decision: unjudged(policy, name, problem ?? 'it has no digest', now), place });
      continue;
    }
    const digests = { [digest.hash]: digest.value };
    const found = evidence.about(encodeHex(digest.value));
    const items = verifyBundles(found, digests, trust, policy, now, primitives);
    const artifact = { name, digest: { [digest.hash]: encodeHex(digest.value) } };
    decisions.push({ name, decision: decide(policy, artifact, items, now), place });
  }
  if (decisions.length === 0) throw new ClientError('lock', `${printable(file)} names no package`);
  await reportDecisions(decisions, options);
}

/** Each file that may be installed once: a lock file may name a package in many places. */
function artifactsOf(packages: readonly LockedPackage[]) {
  const seen = new Set<string>();
  const artifacts: { readonly one: LockedPackage; readonly digest: LockedDigest | undefined }[] = [];
  for (const one of packages) {
    for (const digest of one.digests.length === 0 ? [undefined] : one.digests) {
      const key = `${one.name}\n${digest === undefined ? one.problem : encodeHex(digest.value)}`;
      if (!seen.has(key)) artifacts.push({ one, digest });
      seen.add(key);
    }
  }
  return artifacts;
}

function unjudged(policy: DecisionPolicy, name: string, problem: string, now: number): Decision {
  return {
    verdict: 'deny',
    artifact: { name, digest: {} },
    policy: { name: policy.name, digest: policy.digest },
    time: now,
    rules: [],
    reasons: [reason('lock', problem)],
    levels: [],
    refused: [],
  };
}

/** Bundles by the digests that they name, which are not verified here: that only saves the check of all others. */
class EvidenceByDigest {
  readonly #byDigest = new Map<string, UnverifiedBundle[]>();
  /** What cannot be read, and what names no digest. */
  readonly #others: UnverifiedEvidence[] = [];

  add(one: UnverifiedEvidence): void {
    const named = !('bundle' in one) ? [] : digestsIn(one);
    if (!('bundle' in one) || named.length === 0) this.#others.push(one);
    else for (const hex of named) this.#byDigest.set(hex, [...(this.#byDigest.get(hex) ?? []), one]);
  }

  about(hex: string): readonly UnverifiedEvidence[] {
    return [...(this.#byDigest.get(hex) ?? []), ...this.#others];
  }
}

function digestsIn({ bundle: { content } }: UnverifiedBundle): readonly string[] {
  if (content.kind !== 'dsse') return content.digest === undefined ? [] : [encodeHex(content.digest.value)];
  try {
    return [...new Set(readStatement(content).subjects.flatMap(({ digest }) => [...digest.values()]))];
  } catch (error) {
    if (error instanceof ClientError) return [];
    throw error;
  }
}
