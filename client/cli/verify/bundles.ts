/** `stele verify` of Sigstore bundles: one file with all that was checked, or many with a line each and a summary. */
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { encodeBase64, encodeHex } from '../../../merkle/bytes.ts';
import { printable } from '../../../merkle/printable.ts';
import { DIGEST_ALGORITHM } from '../../../merkle/rekor/hashes.ts';
import type { Primitives } from '../../../merkle/rekor/primitives.ts';
import type { KeyInfo } from '../../../merkle/rekor/spki.ts';
import type { IdentityTest } from '../../../merkle/x509/identity-rule.ts';
import { ClientError, usage } from '../../errors.ts';
import { MAX_BUNDLE } from '../../formats/bundle.ts';
import { parseBundles } from '../../formats/bundle-list.ts';
import { counted } from '../../formats/counted.ts';
import type { RequiredClaim } from '../../verify/content.ts';
import type { Check, CheckName, NotProven, Outcome, VerifiedEntry, VerifiedSigner } from '../../verify/outcome.ts';
import {
  type CheckSentence,
  checkSentence,
  notProvenSentence,
  rootSentence,
  timeSentence,
} from '../../verify/sentences.ts';
import { needsIssuer } from '../../verify/svid-signer.ts';
import { checkUnderRoots } from '../../verify/under-roots.ts';
import { digestsOf } from '../digests.ts';
import { readWhole } from '../files.ts';
import { inputName, STANDARD_INPUT } from '../input.ts';
import { describe, print, printJson, writeOut } from '../report.ts';
import { type RequestedSigner, requiredClaim, type VerifyOptions } from './arguments.ts';
import type { Artifact } from './artifacts.ts';
import { type Candidates, type Chosen, firstThatHolds, placeSentence, readCandidates } from './candidates.ts';
import { presentTime, type SctWish, sctWish, type Thresholds, thresholds } from './demands.ts';
import { readSigner, readVerifyTrust, type VerifyTrust } from './verify-trust.ts';

interface Request extends VerifyTrust, RequiredClaim, Thresholds, Partial<SctWish> {
  readonly key?: KeyInfo;
  readonly identity?: IdentityTest;
  readonly witnessTime: boolean;
  readonly now: number;
  /** The rule for the identity names no issuer. */
  readonly anyIssuer: boolean;
}

/** @throws ClientError for one file. For many files, prints each error and sets the exit status. */
export async function verifyFiles(
  artifacts: readonly Artifact[],
  signer: RequestedSigner,
  options: VerifyOptions,
  primitives: Primitives,
  signal: AbortSignal,
): Promise<void> {
  const asked = { ...requiredClaim(options), ...thresholds(options), now: presentTime(options) };
  const trust = await readVerifyTrust(options);
  const read = await readSigner(signer, trust);
  const expected = 'key' in read ? { key: read.key.info } : { identity: read.identity, ...sctWish(options) };
  if (options.witnessTime === true && trust.policy?.quorum === undefined) {
    throw usage('--witness-time needs a --policy with a quorum of witnesses');
  }
  if (asked.requireTimestamps !== undefined && trust.trustedRoot === undefined) {
    throw usage('--require-timestamps needs a --trusted-root with time-stamp authorities');
  }
  const anyIssuer = 'identity' in signer && signer.identity.issuer === undefined;
  const request: Request = { ...trust, ...expected, ...asked, witnessTime: options.witnessTime === true, anyIssuer };
  const verifyOne = verifier(request, primitives, signal);
  const [only] = artifacts;
  if (artifacts.length === 1 && only !== undefined) {
    const { name: file, proof: bundle } = only;
    const { outcome, chosen } = await verifyOne(only);
    const found = { file, bundle, ...chosenJson(chosen), ...json(outcome) };
    print(options.json, found, lines(basename(inputName(file)), bundle, outcome, chosen));
    return;
  }
  await verifyMany(artifacts, verifyOne, options.json === true);
}

interface Verified {
  readonly outcome: Outcome;
  readonly chosen?: Chosen;
}

type VerifyOne = (artifact: Artifact) => Promise<Verified>;

function verifier({ anyIssuer, ...request }: Request, primitives: Primitives, signal: AbortSignal): VerifyOne {
  // Digests may share one file of bundles, which may be standard input.
  let read: { readonly path: string; readonly candidates: Candidates } | undefined;
  return async (one) => {
    const { name: file, proof: path, digests } = one;
    if (read?.path !== path) read = { path, candidates: readCandidates(await readProof(one), request.key) };
    const { candidates } = read;
    const { digests: artifact, size = 1 } =
      digests === undefined ? await digestsOf(file, candidates.hashes, signal, primitives.hash) : { digests };
    try {
      const { result: outcome, chosen } = firstThatHolds(candidates, inputName(path), (bundle) =>
        checkUnderRoots({ bundle, artifact, ...request }, primitives),
      );
      const more: NotProven[] = [];
      if (digests !== undefined) more.push({ name: 'file' });
      if (anyIssuer && needsIssuer(outcome)) more.push({ name: 'issuer' });
      return { outcome: { ...outcome, notProven: [...more, ...outcome.notProven] }, ...(chosen && { chosen }) };
    } catch (error) {
      if (size > 0 || !(error instanceof ClientError) || error.code !== 'digest-mismatch') throw error;
      throw new ClientError('digest-mismatch', `${inputName(file)} is empty; ${error.message}`, { cause: error });
    }
  };
}

/** @throws ClientError `file`; `usage` where the file itself is a bundle, and has none beside it */
async function readProof({ name, proof, digests }: Artifact): Promise<Uint8Array> {
  try {
    return await readWhole(proof, MAX_BUNDLE, 'a bundle');
  } catch (error) {
    const isFile = digests === undefined && name !== STANDARD_INPUT && !existsSync(proof);
    if (isFile && (await isBundle(name))) {
      throw usage(`${printable(name)} is a bundle itself: name the file that it is about, and give it as --bundle`);
    }
    const beside = proof === `${name}.sigstore.json` && !existsSync(proof);
    if (!beside || (digests === undefined && !existsSync(name))) throw error;
    throw new ClientError(
      'file',
      `there is no ${printable(proof)}, the proof beside the file: give its bundle with --bundle`,
    );
  }
}

async function isBundle(path: string): Promise<boolean> {
  try {
    return parseBundles(await readWhole(path, MAX_BUNDLE, 'a bundle')).some((one) => 'bundle' in one);
  } catch {
    return false;
  }
}

async function verifyMany(artifacts: readonly Artifact[], verifyOne: VerifyOne, asJson: boolean): Promise<void> {
  const results: object[] = [];
  const counts = { verified: 0, refused: 0, untried: 0 };
  for (const artifact of artifacts) {
    const { name: file, proof: bundle } = artifact;
    try {
      const { outcome, chosen } = await verifyOne(artifact);
      counts.verified++;
      results.push({ ok: true, file, bundle, ...chosenJson(chosen), ...json(outcome) });
      const by = chosen === undefined ? '' : `, ${placeSentence(chosen.place)} of ${printable(inputName(bundle))}`;
      if (!asJson) say(`OK       ${printable(file)}: ${where(outcome)}${by}`);
    } catch (error) {
      const { code, message, status } = describe(error);
      if (code === 'cancelled' || code === 'internal') throw error;
      counts[status === 2 ? 'untried' : 'refused']++;
      results.push({ ok: false, file, bundle, error: { code, message } });
      if (!asJson) say(`${status === 2 ? 'UNTRIED' : 'REFUSED'}  ${printable(file)}: [${code}] ${message}`);
    }
  }
  const { verified, refused, untried } = counts;
  if (asJson) printJson(results);
  else say(`\n${artifacts.length} files: ${verified} verified, ${refused} refused, ${untried} could not be tried`);
  // A refused file is the worse result.
  if (refused > 0) process.exitCode = 1;
  else if (untried > 0) process.exitCode = 2;
}

/** Which of several bundles it was: its line from 1, or its index from 0. */
function chosenJson(chosen: Chosen | undefined): object {
  return chosen === undefined ? {} : { bundleAt: { ...chosen.place, of: chosen.of } };
}

function where({ signer, entries: [entry], trustedRoot: root }: Outcome): string {
  const name = signer.kind === 'key' ? signer.key.name : signer.identity.names.map(({ value }) => value).join(', ');
  return `signed by ${printable(name)}, entry ${entry!.index} of ${printable(entry!.origin)}${root === undefined ? '' : `, under the trusted root ${rootSentence(root)}`}`;
}

function say(line: string): void {
  writeOut(`${line}\n`);
}

const LABELS: Readonly<Record<CheckName, string>> = {
  artifact: 'file',
  statement: 'statement',
  signature: 'signature',
  certificate: 'certificate',
  sct: 'transparency',
  identity: 'identity',
  timestamp: 'time stamp',
  promise: 'promise',
  entry: 'entry',
  inclusion: 'inclusion',
  checkpoint: 'checkpoint',
  cosignature: 'cosigned',
  quorum: 'quorum',
  'witness-time': 'time',
};
const WIDTH = 14;

function lines(name: string, bundle: string, outcome: Outcome, chosen: Chosen | undefined): string[] {
  const [first] = outcome.entries;
  const left = outcome.entries.flatMap(({ unverified }) => unverified);
  const signed = outcome.statement === undefined ? 'is signed' : 'has a signed attestation';
  return [
    `OK: ${printable(name)} ${signed}, and the signature is in the log ${printable(first!.origin)}`,
    '',
    'Checked:',
    ...(chosen === undefined
      ? []
      : [
          `  ${'bundle'.padEnd(WIDTH)}${placeSentence(chosen.place)} of ${printable(inputName(bundle))}, which has ${counted(chosen.of, 'bundle')}`,
        ]),
    ...(outcome.trustedRoot === undefined ? [] : [`  trusted root  ${rootSentence(outcome.trustedRoot)}`]),
    ...outcome.checks.map((check) => checkSentence(check, isGiven(outcome))).flatMap(shown),
    ...(left.length === 0 ? [] : [`  (further signatures, not checked: ${printable(left.join(', '))})`]),
    '',
    'Not proven:',
    ...outcome.notProven.map((fact) => `  ${notProvenSentence(fact)}`),
  ];
}

/** Whether the digest was given, and no file was read. */
function isGiven({ notProven }: Outcome): boolean {
  return notProven.some(({ name }) => name === 'file');
}

function shown({ name, detail, by }: CheckSentence): string[] {
  const line = `  ${LABELS[name].padEnd(WIDTH)}${detail}`;
  return by === undefined ? [line] : [line, `  ${''.padEnd(WIDTH)}by ${by}`];
}

/** Everything that a reader needs to verify again: each fact, and the key or certificate behind it. */
function json(outcome: Outcome): object {
  const { trustedRoot, checks, notProven, digest, signer, statement, times, entries } = outcome;
  const [first, ...more] = entries.map(entryJson);
  return {
    ...(trustedRoot === undefined ? {} : { trustedRoot }),
    digest: { algorithm: DIGEST_ALGORITHM[digest.algorithm], hex: encodeHex(digest.value) },
    signer: signerJson(signer, checks),
    ...(statement === undefined ? {} : { statement }),
    times: times.map(timeSentence),
    ...first,
    ...(more.length === 0 ? {} : { moreEntries: more }),
    checks: checks.map((check) => checkSentence(check, isGiven(outcome))),
    notProven: notProven.map(notProvenSentence),
  };
}

function signerJson(signer: VerifiedSigner, checks: readonly Check[]): object {
  const key = { key: signer.key.name, spkiSha256: signer.fingerprint };
  if (signer.kind === 'key') return { kind: 'key', ...key };
  const { names, issuer, extensions } = signer.identity;
  // Each extension stands here under its name and under its OID. The names are enough.
  const named = [...extensions].filter(([name]) => !/^[0-9.]+$/.test(name));
  const matched = checks.find((check) => check.name === 'identity')?.matched;
  const { svid } = signer.identity;
  return {
    kind: 'certificate',
    ...key,
    names,
    matched,
    ...(svid === undefined ? {} : { spiffeId: svid.text, trustDomain: svid.trustDomain }),
    issuer: issuer ?? null,
    extensions: Object.fromEntries(named),
  };
}

function entryJson(entry: VerifiedEntry): object {
  const { origin, log, kind, version, index, leafHash, tree, cosigned, unverified } = entry;
  return {
    log: { origin, verifierKey: log },
    kind: `${kind} ${version}`,
    index,
    leafHash: encodeBase64(leafHash),
    ...(tree === undefined
      ? {}
      : {
          treeSize: tree.size,
          root: encodeBase64(tree.root),
          hashes: tree.hashes.map(encodeBase64),
          checkpoint: tree.checkpoint,
        }),
    cosignatures: cosigned,
    unverifiedSignatures: unverified,
  };
}
