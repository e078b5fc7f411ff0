/**
 * What a decision takes and what it gives. A decision is about one artifact, under one decision policy, over evidence that
 * was verified before: what a piece merely says of itself and nobody checked stands nowhere here.
 *
 * All times are milliseconds since 1970.
 */
import type { TSchema } from 'typebox';
import type { JsonValue } from '../../rekor/json-value.ts';
import type { CertificateIdentity } from '../../x509/fulcio.ts';
import type { IdentityTest } from '../../x509/identity-rule.ts';
import type { SettingPath } from '../config/settings-file.ts';
import type { OwnReader } from '../config/settings-walk.ts';
import type { ReasonCode } from './reasons.ts';

/** Digests by algorithm, as in in-toto's DigestSet: `sha256`, `sha384`, `sha512`, `gitCommit` …, in lower-case hex. */
export type DigestSet = Readonly<Record<string, string>>;

/** What a decision is about. */
export interface Artifact {
  /** A file name, or the name of an image without tag and digest: `registry.example.com/team/app`. */
  readonly name?: string;
  /** At least one. */
  readonly digest: DigestSet;
}

export interface EvidenceSubject {
  readonly name?: string;
  readonly digest: DigestSet;
}

/** Who signed. `fingerprint`: lower-case hex of SHA-256 over the SubjectPublicKeyInfo. */
export type EvidenceSigner =
  | { readonly kind: 'key'; readonly fingerprint: string }
  | { readonly kind: 'certificate'; readonly fingerprint: string; readonly identity: CertificateIdentity };

/** An in-toto statement. What its predicate says is the word of its signer. */
export interface EvidenceStatement {
  /** `_type`: the URI of the statement's version. */
  readonly type: string;
  readonly predicateType: string;
  /** At least one. */
  readonly subjects: readonly EvidenceSubject[];
  /** Parsed once, when it is first asked for; null where the statement has none. @throws MerkleError `bad-json` */
  readonly predicate: () => JsonValue;
}

/** A signed commit or tag of git. It is about the artifact where its id is, and else about the source that other evidence names. */
export interface EvidenceGit {
  readonly kind: 'commit' | 'tag';
  /** Lower-case hex: 40 digits in a repository of SHA-1, 64 in one of SHA-256. */
  readonly id: string;
  /** Of a tag: the name inside it, and what it tags. */
  readonly tag?: { readonly name: string; readonly type: string; readonly object: string };
}

/** A place in a log that was proven, or only promised where `treeSize` is absent. */
interface EvidenceEntry {
  /** The log's name: the first line of its checkpoints. */
  readonly origin: string;
  readonly index: number;
  readonly treeSize?: number;
  /** RFC 6962 leaf hash, 32 bytes as hex. */
  readonly leafHash: string;
  /** Witnesses of the quorum policy that cosigned, each once. */
  readonly witnesses: readonly string[];
  /** The quorum policy has a quorum, and it cosigned. */
  readonly quorum: boolean;
  /** The signed note. */
  readonly checkpoint?: string;
}

/** A time by which the signature existed. */
export interface EvidenceTime {
  readonly kind: 'timestamp' | 'promise' | 'witness';
  readonly time: number;
  /** The authority's certificate, the log's key, or the name of the quorum. */
  readonly by: string;
}

/** A piece of evidence about the artifact whose signature, log entries and times were verified. It must not change. */
export interface VerifiedEvidence {
  /** `sha256:HEX` over the bytes of the piece. */
  readonly digest: string;
  /** A file or an address, for people. */
  readonly source: string;
  readonly signer: EvidenceSigner;
  /** Absent for a signature over the file itself, and for an object of git. */
  readonly statement?: EvidenceStatement;
  readonly git?: EvidenceGit;
  /** The subject of the statement that is the artifact. */
  readonly subject?: EvidenceSubject;
  readonly entries: readonly EvidenceEntry[];
  readonly times: readonly EvidenceTime[];
}

/** A piece that does not hold, or is about something else. */
export interface RefusedEvidence {
  readonly digest: string;
  readonly source: string;
  /** The error's code, such as `digest-mismatch`. */
  readonly code: string;
  readonly message: string;
}

/** What a decision is made from. A piece is refused where it has a `code`. */
export type EvidenceItem = VerifiedEvidence | RefusedEvidence;

/** Why something does not hold. Texts of others in `message` are printable. */
export interface Reason {
  readonly code: ReasonCode;
  readonly message: string;
}

/** What a rule found in one piece of evidence. */
export interface JudgedEvidence {
  readonly digest: string;
  readonly source: string;
  /** The names of the rule's signers that the signer of the piece is; empty where it is none of them. */
  readonly signers: readonly string[];
  readonly holds: boolean;
  /** What it shows of the artifact, where it holds. */
  readonly levels: readonly string[];
  /** Empty where it holds. */
  readonly reasons: readonly Reason[];
}

export interface JudgedRule {
  readonly name: string;
  readonly holds: boolean;
  /** Each piece of the rule's type. */
  readonly evidence: readonly JudgedEvidence[];
  /** What is missing; empty where the rule holds. */
  readonly reasons: readonly Reason[];
}

export interface Decision {
  readonly verdict: 'allow' | 'deny';
  readonly artifact: Artifact;
  /** `digest`: `sha256:HEX` over the bytes of the policy file. */
  readonly policy: { readonly name: string; readonly digest: string };
  /** The present that the decision was made for. */
  readonly time: number;
  /** The rules that are for the artifact. */
  readonly rules: readonly JudgedRule[];
  /** Why the answer is deny apart from any rule; empty else. */
  readonly reasons: readonly Reason[];
  /** The highest level of each track that the evidence shows, such as `SLSA_BUILD_LEVEL_3`. A deny has none. */
  readonly levels: readonly string[];
  readonly refused: readonly RefusedEvidence[];
}

/** A built-in rule about the content of evidence. Returns nothing where it holds. May throw: that denies. */
export interface EvidenceCheck {
  (context: CheckContext): readonly Reason[];
  /** What the check knows of a piece that holds. */
  readonly facts?: (context: CheckContext) => EvidenceFacts;
}

interface EvidenceFacts {
  /** Levels that the piece shows of the artifact, such as `SLSA_BUILD_LEVEL_3`. */
  readonly levels?: readonly string[];
  /** Names of who stands behind the piece beside its signer, such as a builder: who shares one counts once for a threshold. */
  readonly marks?: readonly string[];
}

export interface CheckContext {
  readonly artifact: Artifact;
  readonly evidence: VerifiedEvidence;
  /** All evidence, of every type and signer. */
  readonly all: readonly VerifiedEvidence[];
  /** The names of the policy's signers that the signer of a piece is. */
  readonly namesOf: (evidence: VerifiedEvidence) => readonly string[];
  readonly now: number;
}

/** Reports a mistake of the policy file. `at` is relative to the check's own mapping. */
export type ReportMistake = (at: SettingPath, mistake: string) => void;

/** A kind of check, which a rule asks for by its name: `provenance: { … }`. */
export interface CheckKind {
  readonly name: string;
  /** Read by the settings reader of merkle/runtime/config. */
  readonly schema: TSchema;
  /** Readers of the kinds of leaves that are the schema's own. */
  readonly own?: Readonly<Record<string, OwnReader>>;
  /** The names of signers that `config` uses beside those of the rule. */
  signers?(config: never): readonly string[];
  /** Predicate types that it is about. A rule of another type with this check is a mistake of the policy file. */
  readonly types: readonly string[];
  /**
   * @param config what the schema decodes to. Loads what it needs on demand; an unusable `config` is reported.
   * @param signers the names of the policy's signers
   */
  compile(config: never, report: ReportMistake, signers: readonly string[]): Promise<EvidenceCheck> | EvidenceCheck;
}

/** Whose signature counts under one name. A key counts by its fingerprint, also where it is in a certificate. */
export type PolicySigner = { readonly name: string } & (
  | { readonly fingerprint: string; readonly spki?: Uint8Array }
  | { readonly identity: IdentityTest }
);

export interface DecisionRule {
  readonly name: string;
  /** Patterns of names; absent for every artifact of the policy. */
  readonly artifacts?: readonly string[];
  /**
   * At least one: predicate types (URI), `signature` for a signature over the artifact itself, `commit` or `tag` for an object
   * of git.
   */
  readonly types: readonly string[];
  /** At least one. */
  readonly signers: readonly PolicySigner[];
  /** How many different signers, from 1. */
  readonly threshold: number;
  /** Origins of which one must hold the signature. Absent: any, or none at all for an object of git. */
  readonly logs?: readonly string[];
  /** The quorum of the quorum policy must have cosigned. */
  readonly quorum: boolean;
  /** Milliseconds since the earliest verified time. */
  readonly maxAge?: number;
  /** The built-in checks and the conditions, in the order of the file. */
  readonly checks: readonly EvidenceCheck[];
}

/** A decision policy. Its type is not `Policy`, which is the quorum policy of witnesses. */
export interface DecisionPolicy {
  readonly name: string;
  /** `sha256:HEX` over the bytes of the file. */
  readonly digest: string;
  /** Patterns of names; absent for every artifact. */
  readonly artifacts?: readonly string[];
  /** At least one. */
  readonly rules: readonly DecisionRule[];
  /** All that are named. */
  readonly signers: readonly PolicySigner[];
  /** The signers' keys that the policy has whole (SubjectPublicKeyInfo, DER), each once. */
  readonly keys: readonly Uint8Array[];
  /** The fingerprints of all keys, with those whose key the evidence must bring. */
  readonly fingerprints: readonly string[];
  /** Some signer is an identity in a certificate. */
  readonly identities: boolean;
}
