/**
 * Verifies a Sigstore bundle or a tlog-proof, by the trust of explorer.json and by what the person states. Each check that holds is a
 * claim; the first that does not ends it, and says why; and what nothing proves is told.
 */

import { decodeHex, encodeHex } from '../../../merkle/bytes.ts';
import type { ExplorerLog } from '../../../merkle/explorer-config.ts';
import type { Policy } from '../../../merkle/policy.ts';
import { INTOTO_TYPE } from '../../../merkle/rekor/dsse.ts';
import { HASH_NAME, type HashName } from '../../../merkle/rekor/hashes.ts';
import { noblePrimitives } from '../../../merkle/rekor/noble-primitives.ts';
import { parseTlogProof } from '../../../merkle/tlog-proof.ts';
import { compileExact, hasPattern, type IdentityRule, type IdentityTest } from '../../../merkle/x509/identity-rule.ts';
import { timeText } from '../../../merkle/x509/utc-time.ts';
import { ClientError, usage } from '../../errors.ts';
import { type Bundle, parseBundle } from '../../formats/bundle.ts';
import { parsePublicKeyPem } from '../../formats/key.ts';
import { parseStatement } from '../../formats/statement.ts';
import { withClientErrors } from '../../merkle-errors.ts';
import { withOwnLog } from '../../trust/log-key.ts';
import { verifyByTest } from '../../verify/by-test.ts';
import { checkSentence, notProvenSentence } from '../../verify/sentences.ts';
import { checkProofUnderRoots, checkTlogProof, entryDigest, type VerifiedProof } from '../../verify/tlog-proof.ts';
import { requiredHashes } from '../../verify/verify-bundle.ts';
import { type CertificateWords, certificateWords } from '../model/certificate-words.ts';
import { claimChecked, claimFailed, claimNotChecked, type PageClaim } from '../model/claims.ts';
import type { HashedFile } from '../model/hash-stream.ts';
import { trustOf } from './search-index.ts';
import { readTrustedRoot } from './show-entry.ts';
import type { EvidenceForm } from './sniff-dropped.ts';

/** Who must have signed. */
export type StatedSigner =
  | { readonly kind: 'key'; readonly pem: string }
  | { readonly kind: 'identity'; readonly identity: string; readonly issuer: string; readonly pattern: boolean };

export interface VerifyInput {
  readonly log: ExplorerLog;
  /** The file of the bundle or of the proof. */
  readonly bundle: Uint8Array;
  /** Of the file that it is about; absent where only a digest is known, or nothing. */
  readonly file?: HashedFile;
  readonly signer: StatedSigner;
}

/** What a bundle says before anything of it is verified. */
export interface BundleWords {
  readonly form: EvidenceForm;
  readonly content: 'a signature over a file' | 'an attestation' | 'a proof of an entry';
  /** The hashes of the file that the verification needs. */
  readonly hashes: readonly HashName[];
  /** The digest that it names itself, and proves nothing. */
  readonly named?: { readonly algorithm: HashName; readonly hex: string };
  readonly statement?: {
    readonly predicateType: string;
    readonly subjects: readonly { readonly name?: string; readonly digests: readonly string[] }[];
    readonly more: number;
  };
  readonly certificate?: CertificateWords;
  readonly entries: readonly { readonly index: number; readonly kind: string }[];
  readonly problems: readonly string[];
}

export interface VerifiedWords {
  readonly holds: boolean;
  readonly claims: readonly PageClaim[];
}

/** Subjects of a statement that are shown. */
const MAX_SUBJECTS_SHOWN = 50;
const ALL: readonly HashName[] = ['sha256', 'sha384', 'sha512'];

/** @throws ClientError `malformed`, `unsupported` */
export async function readDropped({ log, bundle }: Pick<VerifyInput, 'log' | 'bundle'>): Promise<BundleWords> {
  return isProofFile(bundle) ? proofWords(bundle) : bundleWords(parseBundle(bundle), log);
}

/** Never rejects for what is in the files: what does not hold is a claim. */
export async function verifyDropped(input: VerifyInput): Promise<VerifiedWords> {
  const what = 'The evidence holds';
  try {
    const claims = isProofFile(input.bundle) ? await proofClaims(input) : await bundleClaims(input);
    return { holds: true, claims };
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    const open = ['usage', 'unsupported', 'trusted-root', 'key', 'policy'].includes(error.code);
    return { holds: false, claims: [open ? claimNotChecked(what, error) : claimFailed(what, error)] };
  }
}

function isProofFile(bytes: Uint8Array): boolean {
  return bytes.length > 0 && bytes[0] === 'c'.charCodeAt(0);
}

function proofWords(bytes: Uint8Array): BundleWords {
  const proof = withClientErrors(() => parseTlogProof(bytes));
  const problems: string[] = [];
  let hashes: readonly HashName[] = [];
  try {
    hashes = [entryDigest(bytes)];
  } catch (error) {
    if (!(error instanceof ClientError)) throw error;
    problems.push(error.message);
  }
  const entries = [{ index: proof.index, kind: 'proof' }];
  return { form: 'tlog-proof', content: 'a proof of an entry', hashes, entries, problems };
}

function bundleWords({ content, signer, entries }: Bundle, log: ExplorerLog): BundleWords {
  const problems: string[] = [];
  const part = <T>(read: () => T): T | undefined => {
    try {
      return withClientErrors(read);
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      problems.push(error.message);
      return undefined;
    }
  };
  const named =
    content.kind === 'message' && content.digest !== undefined
      ? { algorithm: HASH_NAME[content.digest.algorithm], hex: encodeHex(content.digest.value) }
      : undefined;
  const statement =
    content.kind === 'dsse' && content.payloadType === INTOTO_TYPE
      ? part(() => parseStatement(content.payload))
      : undefined;
  const certificate =
    signer.kind === 'certificate'
      ? part(() =>
          certificateWords(signer.certificate, { trustedRoot: readTrustedRoot(log).trustedRoot }, noblePrimitives),
        )
      : undefined;
  return {
    form: 'bundle',
    content: content.kind === 'dsse' ? 'an attestation' : 'a signature over a file',
    // Without the signer's key every hash may be the one that is needed.
    hashes: ALL,
    ...(named && { named }),
    ...(statement && {
      statement: {
        predicateType: statement.predicateType,
        subjects: statement.subjects.slice(0, MAX_SUBJECTS_SHOWN).map(({ name, digest }) => ({
          ...(name !== undefined && { name }),
          digests: [...digest].slice(0, 8).map(([algorithm, value]) => `${algorithm}:${value}`),
        })),
        more: Math.max(0, statement.subjects.length - MAX_SUBJECTS_SHOWN),
      },
    }),
    ...(certificate && { certificate }),
    entries: entries.map(({ index, kind, version }) => ({ index, kind: `${kind} ${version}` })),
    problems,
  };
}

async function bundleClaims({ log, bundle: bytes, file, signer }: VerifyInput): Promise<PageClaim[]> {
  const bundle = parseBundle(bytes);
  const { trustedRoot, claim } = readTrustedRoot(log);
  if (claim?.state === 'failed') throw new ClientError('trusted-root', claim.why);
  const key = signer.kind === 'key' ? parsePublicKeyPem(signer.pem, noblePrimitives).info : undefined;
  const rule = signer.kind === 'identity' ? ruleOf(signer) : undefined;
  const artifact = digestsOf(file, bundle, requiredHashes(bundle, key));
  // The log's own key and its policy count in any case, also where the trusted root does not know the log.
  const checkpoint = bundle.entries.find(({ proof }) => proof?.checkpoint !== undefined)?.proof?.checkpoint;
  const own = trustOf(log, checkpoint ?? '');
  const trust = {
    ...own,
    ...(trustedRoot && { trustedRoot: withOwnLog(trustedRoot, own.logKey!, noblePrimitives) }),
    ...(log.policy?.quorum !== undefined && { witnessTime: true }),
  };
  const outcome = verifyByTest(
    {
      bundle,
      artifact: artifact.digests,
      ...trust,
      ...(key && { key }),
      now: Date.now(),
      identity: rule && (await testOf(rule)),
    },
    rule?.issuer !== undefined,
    noblePrimitives,
  );
  return [
    ...outcome.checks.map((check) => {
      const { name, detail, by } = checkSentence(check, artifact.given);
      return claimChecked(CHECK_NAMES[name], by === undefined ? detail : `${detail}; ${by}`);
    }),
    ...(artifact.given ? [notProven({ name: 'file' })] : []),
    ...outcome.notProven.map(notProven),
  ];
}

const CHECK_NAMES = {
  artifact: 'The file',
  statement: 'The statement',
  signature: 'The signature',
  identity: 'The identity',
  certificate: 'The certificate',
  sct: 'Certificate transparency',
  timestamp: 'A time stamp',
  promise: 'A promise of the log',
  entry: 'The entry',
  inclusion: 'The proof of inclusion',
  checkpoint: 'The checkpoint',
  cosignature: 'A witness',
  quorum: 'The quorum',
  'witness-time': 'The time of the witnesses',
} as const;

function notProven(fact: Parameters<typeof notProvenSentence>[0]): PageClaim {
  return claimNotChecked('Not proven', notProvenSentence(fact));
}

/** The digests of the file; without one, the digest that the bundle names, which shows nothing about any file. */
function digestsOf(file: HashedFile | undefined, { content }: Bundle, needed: readonly HashName[]) {
  if (file !== undefined) {
    const digests = Object.fromEntries(Object.entries(file.digests).map(([name, hex]) => [name, decodeHex(hex)]));
    return { digests, given: false };
  }
  if (content.kind === 'message' && content.digest !== undefined) {
    return { digests: { [HASH_NAME[content.digest.algorithm]]: content.digest.value }, given: true };
  }
  if (content.kind === 'dsse' && content.payloadType === INTOTO_TYPE) {
    const [subject] = parseStatement(content.payload).subjects;
    const digests = Object.fromEntries(
      [...(subject?.digest ?? [])]
        .filter(([name, hex]) => (needed as readonly string[]).includes(name) && /^(?:[0-9a-f]{2})+$/.test(hex))
        .map(([name, hex]) => [name, decodeHex(hex)]),
    );
    return { digests, given: true };
  }
  throw usage('this bundle names no digest: choose the file that it is about as well');
}

async function proofClaims({ log, bundle: bytes, file, signer }: VerifyInput): Promise<PageClaim[]> {
  const proof = withClientErrors(() => parseTlogProof(bytes));
  if (file === undefined) throw usage('a tlog-proof is about a file: choose the file as well');
  const policy = proofPolicy(log, proof.checkpoint);
  const { trustedRoot, claim } = readTrustedRoot(log);
  if (claim?.state === 'failed') throw new ClientError('trusted-root', claim.why);
  const digests = Object.fromEntries(Object.entries(file.digests).map(([name, hex]) => [name, decodeHex(hex)]));
  const common = { proof: bytes, policy, digests, now: Date.now() };
  const verified =
    signer.kind === 'key'
      ? checkTlogProof(
          { ...common, signer: { key: parsePublicKeyPem(signer.pem, noblePrimitives).spki } },
          noblePrimitives,
        )
      : checkProofUnderRoots(
          { ...common, signer: { identity: await testOf(ruleOf(signer)), ...(trustedRoot && { trustedRoot }) } },
          noblePrimitives,
        );
  return verifiedProofClaims(verified, file, log);
}

function verifiedProofClaims(verified: VerifiedProof, file: HashedFile, { policy }: ExplorerLog): PageClaim[] {
  const { signer, index, treeSize, hashes, origin, cosigned } = verified;
  const algorithm = HASH_NAME[signer!.publicKey.digest];
  const claims = [
    claimChecked('The file', `it has the digest ${algorithm} ${file.digests[algorithm]}`),
    claimChecked('The signature', `by a key of the kind ${signer!.publicKey.name}`),
    ...(signer!.matched === undefined
      ? []
      : [claimChecked('The identity', `the certificate names the one that was stated`)]),
    claimChecked(
      'The proof of inclusion',
      `entry ${index} of ${treeSize} of the log ${origin}, by ${hashes.length} hashes`,
    ),
    claimChecked('The checkpoint', 'the tree is signed by the log'),
    ...cosigned.map(({ witness, timestamp }) =>
      claimChecked('A witness', `${witness} cosigned at ${timeText(timestamp * 1000)}`),
    ),
  ];
  const open = [
    ...(signer!.certificate === undefined ? [notProven({ name: 'key-holder' }), notProven({ name: 'time' })] : []),
    ...signer!.notProven.map(notProven),
    ...(policy?.quorum === undefined ? [notProven({ name: 'witnesses' })] : []),
  ];
  return [...claims, ...open];
}

/** The policy of explorer.json, with the log's own key where it names none. */
function proofPolicy(log: ExplorerLog, checkpoint: string): Policy {
  const { logKey } = trustOf(log, checkpoint);
  const own = { key: logKey! };
  if (log.policy === undefined) return { logs: [own], witnesses: [], groups: [], quorum: undefined };
  return log.policy.logs.length > 0 ? log.policy : { ...log.policy, logs: [own] };
}

function ruleOf({ identity, issuer, pattern }: Extract<StatedSigner, { kind: 'identity' }>): IdentityRule {
  if (identity.trim() === '') throw usage('state the identity that must have signed: anybody can sign as somebody');
  const text = (value: string) => (pattern ? { pattern: value.trim() } : value.trim());
  return { identity: text(identity), ...(issuer.trim() !== '' && { issuer: text(issuer) }) };
}

/** RE2 is loaded only for a pattern. */
async function testOf(rule: IdentityRule): Promise<IdentityTest> {
  if (!hasPattern(rule)) return withClientErrors(() => compileExact(rule));
  const { compileRule } = await import('../../trust/identity.ts');
  return compileRule(rule);
}
