/** The contracts of the webhook's parts. */
import type { Artifact, Decision } from '../../merkle/runtime/policy/types.ts';
import type { ImageName } from '../evidence/image-name.ts';
import type { EvidencePiece } from '../evidence/types.ts';

/** A request for admission, as the API server of a cluster sends it (admission.k8s.io/v1). */
export interface AdmissionRequest extends Addressee {
  readonly operation: string;
  readonly kind: GroupKind;
  /** `pods`, `pods/ephemeralcontainers`, for people. */
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
  readonly dryRun: boolean;
  /** As it will be; undefined for a deletion. */
  readonly object: unknown;
  /** As it was; undefined for a creation. */
  readonly oldObject: unknown;
}

/** What an answer repeats of its review, so that the API server takes the answer. */
export interface Addressee {
  /** `admission.k8s.io/v1`, or the other version that the review has. */
  readonly apiVersion: string;
  /** Empty where the review has none that can be read. */
  readonly uid: string;
}

export interface GroupKind {
  /** Empty for the core group. */
  readonly group: string;
  readonly kind: string;
}

/** A field that names an image. */
export interface ImagePlace {
  /** RFC 6901, within the object. */
  readonly pointer: string;
  /** For people: `container "app"`. */
  readonly where: string;
  readonly image: string;
}

/** Decides about artifacts under a policy and a trust that may change while it runs. */
export interface ImageDecider {
  /** Names what decisions depend on beside the evidence: the policy, the files of trust and the quorum policy. */
  readonly versions: string;
  /**
   * @param ahead milliseconds from now to the time that the decision is for; default 0
   * @throws CodedError: there is no decision
   */
  decide(artifact: Artifact, pieces: readonly EvidencePiece[], signal: AbortSignal, ahead?: number): Promise<Decision>;
}

/** A decider whose files may change. */
export interface ReloadingDecider extends ImageDecider {
  /** Files and directories that it was read from. */
  readonly files: readonly string[];
  /** Reads them again. @throws CodedError: they cannot be used */
  reload(): Promise<void>;
  close(): Promise<void>;
}

/** Finds what a tag stands for now. @throws ClientError `denied`: no rule is for the image, and its registry is not asked */
export type ResolveTag = (image: ImageName, namespace: string, signal: AbortSignal) => Promise<string>;

/** What was found out about one image. */
export interface ImageVerdict {
  readonly allowed: boolean;
  /** Why not, in one sentence without a period; empty where it is allowed. */
  readonly why: string;
  /** `sha256:HEX` of the policy that decided; empty where none did. */
  readonly policy: string;
}
