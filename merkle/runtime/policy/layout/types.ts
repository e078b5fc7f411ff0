/** What a layout asks for, what links say, and what a verification gives (in-toto/docs, in-toto-spec.md version 1.0). */
import type { KeyInfo } from '../../../rekor/spki.ts';

/** Hashes by algorithm, by name of the artifact. The names are as the link writes them. */
export type Artifacts = ReadonlyMap<string, Readonly<Record<string, string>>>;

/** A functionary's key in a layout. */
export interface LayoutKey {
  /** As the layout calls it: hex, which need not be a hash of the key. */
  readonly keyId: string;
  /** Undefined where signatures by it cannot be checked; `unusable` says why. */
  readonly info: KeyInfo | undefined;
  readonly unusable?: string;
}

export interface Link {
  readonly kind: 'link';
  readonly name: string;
  readonly materials: Artifacts;
  readonly products: Artifacts;
  readonly command: readonly string[];
}

export interface MetadataSignature {
  /** May be empty in a DSSE envelope. */
  readonly keyId: string;
  readonly signature: Uint8Array;
}

/** A file of links. */
export interface LinkFile {
  /** `build.2d243d7e.link` */
  readonly name: string;
  /** The bytes of the file. @throws Error of the caller, which ends the verification */
  readonly read: () => Uint8Array;
  /** The Sigstore bundle of the link, where there is one. */
  readonly bundle?: () => Uint8Array | undefined;
}

/** A folder of links. */
export interface LinkFolder {
  /** The files `STEP.????????.link`, in the order of their names. @throws Error of the caller, which ends the verification */
  linksOf(step: string): Iterable<LinkFile>;
  /** The folder of the links of a sublayout; a folder that is not there has no links. */
  below(name: string): LinkFolder;
}

/** Each code, and what it means. docs/policy.md lists all. */
export const LAYOUT_REASONS = {
  'layout-format': 'the file is no layout that Stele reads',
  'layout-signature': 'a key that must have signed the layout has not',
  'layout-expired': 'the layout was valid until a time that is over',
  inspections: 'the layout has inspections, which are commands that Stele never runs',
  'no-steps': 'the layout has no steps, so that it asks for nothing',
  threshold: 'fewer functionaries than the threshold have signed a link of the step',
  'link-format': 'the file is no link that Stele reads',
  'link-signature': 'the file has no signature of a functionary of the step that holds',
  'link-name': 'the link is of another step',
  'link-artifacts': 'the link names an artifact without a hash, or one artifact under two names',
  'same-key': 'the key counts already, under another key id',
  'links-differ': 'the links of the step name different artifacts',
  disallow: 'a rule DISALLOW matches artifacts that no earlier rule consumed',
  require: 'an artifact of a rule REQUIRE is not there, or an earlier rule consumed it',
  sublayout: 'the sublayout does not hold',
  'not-logged': 'no log holds the link',
  'not-a-product': 'the artifact is no product of the last step',
  limit: 'there is more than a verification takes',
} as const;

export type LayoutReasonCode = keyof typeof LAYOUT_REASONS;

export interface LayoutReason {
  readonly code: LayoutReasonCode;
  /** For people; texts of others in it are printable. */
  readonly message: string;
}

/** What was found about one file of a step. */
export interface JudgedLink {
  /** Path below the folder of links. */
  readonly file: string;
  /** `sha256:HEX` over the bytes of the file. */
  readonly digest: string;
  /** The key id of the functionary; absent where no signature holds. */
  readonly keyId?: string;
  readonly holds: boolean;
  readonly reasons: readonly LayoutReason[];
  /** The link is a layout. */
  readonly sublayout?: LayoutVerdict;
}

export interface JudgedStep {
  readonly name: string;
  readonly threshold: number;
  readonly holds: boolean;
  readonly links: readonly JudgedLink[];
  readonly reasons: readonly LayoutReason[];
  /** What the layout expects and its verification does not ask for: another command. */
  readonly warnings: readonly string[];
}

export interface LayoutVerdict {
  readonly accepted: boolean;
  /** `sha256:HEX` over the bytes of the layout. */
  readonly layout: string;
  readonly steps: readonly JudgedStep[];
  /** What is wrong with the layout itself. */
  readonly reasons: readonly LayoutReason[];
}
