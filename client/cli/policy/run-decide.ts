/** Decides on each artifact: finds its evidence, verifies the evidence, and asks the policy. */
import { statSync } from 'node:fs';
import { printable } from '../../../merkle/printable.ts';
import type { Primitives } from '../../../merkle/rekor/primitives.ts';
import { decide } from '../../../merkle/runtime/policy/decide.ts';
import type { DecisionPolicy } from '../../../merkle/runtime/policy/types.ts';
import { ClientError, usage } from '../../errors.ts';
import type { EvidencePiece, EvidenceSource } from '../../evidence/types.ts';
import { MAX_BUNDLE } from '../../formats/bundle.ts';
import { counted } from '../../formats/counted.ts';
import { type EvidenceTrust, hashesOfEvidence, readEvidence, verifyBundles } from '../../policy/check-evidence.ts';
import { openBasis } from '../../policy/decision-basis.ts';
import { decisionJson, decisionLines, decisionSentence, verdictSentence } from '../../policy/decision-text.ts';
import { shellWord } from '../called-as.ts';
import { readWhole } from '../files.ts';
import { inputName, STANDARD_INPUT } from '../input.ts';
import { printJson, reportFailed, writeOut } from '../report.ts';
import { presentTime } from '../verify/demands.ts';
import { readBasis } from './basis-files.ts';
import { digestSetOf, type NamedArtifact, namedArtifacts } from './decide-artifacts.ts';
import type { DecideOptions } from './decide-options.ts';
import { writeOutputs } from './decision-outputs.ts';
import type { NamedDecision } from './named-decision.ts';
import { SUMMARY_ONLY } from './summary-options.ts';

/** What all decisions of a command are made by. */
export interface DecideBasis {
  readonly policy: DecisionPolicy;
  readonly trust: EvidenceTrust;
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly primitives: Primitives;
}

/** Prints the decisions, and sets the exit status: 0 where all are allow, else 1. @throws ClientError, RuntimeError */
export async function runDecide(
  names: readonly string[],
  options: DecideOptions,
  primitives: Primitives,
  signal: AbortSignal,
): Promise<void> {
  const basis = await decideBasis(options, primitives);
  const decideAll = () => decideNamed(names, options, basis, signal);
  const { vsa } = options;
  if (vsa === undefined) refuseSummaryOptions(options);
  const decisions =
    vsa === undefined
      ? await decideAll()
      : await (await import('./sign-summary.ts')).withSummary(vsa, names.length, options, decideAll);
  await reportDecisions(decisions, options);
}

/** @throws ClientError, RuntimeError */
export async function decideBasis(options: DecideOptions, primitives: Primitives): Promise<DecideBasis> {
  const now = presentTime(options);
  const { basis, loaded } = await readBasis(options);
  return { ...(await openBasis(basis, loaded)), now, primitives };
}

/** The decisions, in the order of the arguments. @throws ClientError where one cannot be tried */
export async function decideNamed(
  names: readonly string[],
  options: DecideOptions,
  basis: DecideBasis,
  signal: AbortSignal,
): Promise<NamedDecision[]> {
  const artifacts = await namedArtifacts(names, options);
  const sources = await evidenceSources(options);
  const decisions: NamedDecision[] = [];
  for (const artifact of artifacts) {
    decisions.push({ name: artifact.given, ...(await decideOne(artifact, sources, basis, signal)) });
  }
  return decisions;
}

async function decideOne(
  artifact: NamedArtifact,
  sources: readonly EvidenceSource[],
  { policy, trust, now, primitives }: DecideBasis,
  signal: AbortSignal,
): Promise<Pick<NamedDecision, 'decision' | 'evidence'>> {
  const first = await artifact.digests(['sha256'], signal, primitives);
  const [[hash, hex] = []] = Object.entries({ ...digestSetOf(first), ...artifact.git });
  const subject = { digest: `${hash}:${hex}`, image: artifact.image };
  const pieces: EvidencePiece[] = [];
  for (const source of sources) pieces.push(...(await source.find(subject, signal)));
  const bundles = readEvidence(pieces, primitives);
  const digests = await artifact.digests(hashesOfEvidence(bundles, policy, primitives), signal, primitives);
  const evidence = verifyBundles(bundles, digests, trust, policy, now, primitives);
  const { name } = artifact;
  const about = { ...(name === undefined ? {} : { name }), digest: { ...digestSetOf(digests), ...artifact.git } };
  return { decision: decide(policy, about, evidence, now), evidence };
}

/** @throws ClientError `usage` */
function refuseSummaryOptions(options: DecideOptions): void {
  const needless = SUMMARY_ONLY.find((name) => options[name] !== undefined);
  if (needless === undefined) return;
  const flag = needless.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw usage(`--${flag} is about a verification summary: give --vsa, or leave it out`);
}

/** @throws ClientError `usage` */
export async function evidenceSources(options: DecideOptions): Promise<EvidenceSource[]> {
  const { evidence, registry, insecureRegistry, ca, registryConfig, store } = options;
  if (evidence === undefined && registry !== true && store === undefined) {
    throw usage(
      'say where the evidence is: --evidence with a folder or a file of bundles, --registry for an image, or --store',
    );
  }
  const sources: EvidenceSource[] = [];
  for (const path of evidence ?? []) sources.push(await sourceOf(path));
  const inStore = await storeSource(options);
  if (inStore !== undefined) sources.push(inStore);
  if (registry !== true) {
    const ofRegistry = ca !== undefined && options.vsa === undefined;
    if (insecureRegistry !== undefined || ofRegistry || registryConfig !== undefined) {
      const about = '--insecure-registry, --registry-config and --ca are about a registry';
      throw usage(`${about}: give --registry, or leave them out`);
    }
    return sources;
  }
  const { registrySource } = await import('../../evidence/registry.ts');
  const { certificatesOf } = await import('../tls-authorities.ts');
  const authorities = ca === undefined ? undefined : await certificatesOf(ca);
  // A person names the image on this command line, and may mean a registry on this machine.
  const allow = ['loopback', 'private'];
  sources.push(registrySource({ insecure: insecureRegistry, authorities, configFile: registryConfig, allow }));
  return sources;
}

/** @throws ClientError `usage`, `file` */
async function storeSource({
  store,
  storeCa,
  storeCert,
  storeKey,
}: DecideOptions): Promise<EvidenceSource | undefined> {
  if (store === undefined) {
    if ([storeCa, storeCert, storeKey].every((path) => path === undefined)) return undefined;
    throw usage('--store-ca, --store-cert and --store-key are about a store: give --store, or leave them out');
  }
  if ((storeCert === undefined) !== (storeKey === undefined))
    throw usage('--store-cert and --store-key belong together');
  const { attestationSource } = await import('../../evidence/attestation-source.ts');
  const { fetchOf } = await import('../tls-authorities.ts');
  const fetch = await fetchOf({
    ...(storeCa !== undefined && { ca: storeCa }),
    ...(storeCert !== undefined && { clientCert: storeCert }),
    ...(storeKey !== undefined && { clientKey: storeKey }),
  });
  return attestationSource({ url: store, fetch });
}

/** A file is read here: what reads folders takes as long to load as a bundle to verify. A pipe is read once. */
async function sourceOf(path: string): Promise<EvidenceSource> {
  const stats = path === STANDARD_INPUT ? undefined : statSync(path, { throwIfNoEntry: false });
  if (stats?.isDirectory()) return (await import('../../evidence/directory-store.ts')).directorySource(path);
  const read = async () => [{ source: inputName(path), bytes: await readWhole(path, MAX_BUNDLE, 'a bundle') }];
  if (stats?.isFile()) return { find: read };
  const pieces = await read();
  return { find: async () => pieces };
}

/** Writes and prints the decisions, and sets the exit status to 1 where one is deny. @throws ClientError `file` */
export async function reportDecisions(decisions: readonly NamedDecision[], options: DecideOptions): Promise<void> {
  await writeOutputs(options as Readonly<Record<string, unknown>>, decisions);
  const denied = decisions.filter(({ decision }) => decision.verdict !== 'allow');
  const [only] = decisions;
  const json = ({ name, decision, summary }: NamedDecision) => ({
    ok: decision.verdict === 'allow',
    name,
    ...decisionJson(decision),
    ...(summary === undefined ? {} : { summary: summary.facts }),
  });
  if (options.json === true) printJson(decisions.length === 1 ? json(only!) : decisions.map(json));
  else if (decisions.length === 1) {
    writeOut(`${[...decisionLines(only!.name, only!.decision), ...summaryLines(only!)].join('\n')}\n`);
  } else {
    for (const { name, decision } of decisions) {
      writeOut(
        `${decision.verdict === 'allow' ? 'ALLOW' : 'DENY '} ${printable(name)}: ${decisionSentence(decision)}\n`,
      );
    }
    writeOut(`${counted(decisions.length - denied.length, 'artifact')} allowed, ${denied.length} denied\n`);
  }
  for (const { name, decision } of denied) {
    // The lines of one decision have the reasons already.
    const why =
      options.json !== true && decisions.length === 1 ? verdictSentence(decision) : decisionSentence(decision);
    reportFailed(name, new ClientError('denied', why));
  }
  if (denied.length > 0) process.exitCode = 1;
}

function summaryLines({ decision, summary }: NamedDecision): string[] {
  if (summary === undefined) return [];
  const { origin, index, out } = summary;
  const result = decision.verdict === 'allow' ? 'PASSED' : 'FAILED';
  return ['', `Verification summary ${result}: entry ${index} of ${printable(origin)}, ${shellWord(out)}`];
}
