/** One model of what SPDX 2.2 and 2.3, SPDX 3.0 and CycloneDX 1.5 to 1.7 say. */

export interface SbomPackage {
  /** The identifier within the document; empty where it has none. */
  readonly id: string;
  readonly name: string;
  readonly version: string | undefined;
  /** As written. Each is judged. */
  readonly purls: readonly string[];
  /** License expressions as written, declared and concluded: all of them apply. Empty where nothing is said. */
  readonly licenses: readonly string[];
  readonly digests: readonly SbomDigest[];
  readonly supplier: string | undefined;
  /** Files, operating systems, devices and data need no purl. */
  readonly kind: 'package' | 'other';
}

export interface SbomDigest {
  /** As in in-toto's DigestSet: `sha256`, `sha3_512` … */
  readonly algorithm: string;
  /** Lower-case hex. */
  readonly value: string;
}

export interface Sbom {
  /** `SPDX-2.3`, `SPDX-3.0.1`, `CycloneDX-1.6` */
  readonly format: string;
  /** What the document is about: identifiers of elements in `packages`. */
  readonly roots: readonly string[];
  /** Every package and file of the document, whether or not something depends on it. */
  readonly packages: readonly SbomPackage[];
  /** What contains or needs what, by identifier. */
  readonly edges: ReadonlyMap<string, readonly string[]>;
  /** What the document says it leaves out, for people. */
  readonly gaps: readonly string[];
}

/** Why a text is no SBOM that is read here; for a person. */
export class SbomProblem extends Error {}
