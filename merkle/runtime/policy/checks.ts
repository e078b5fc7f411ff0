/** The closed list of built-in checks. A rule asks for each by its name. */
import { SOURCE } from './git/source-check.ts';
import { SBOM_CHECK } from './sbom/sbom-kind.ts';
import { PROVENANCE } from './slsa/provenance-check.ts';
import { VSA_CHECK } from './slsa/vsa-check.ts';
import type { CheckKind } from './types.ts';

export const CHECKS: readonly CheckKind[] = [PROVENANCE, SOURCE, VSA_CHECK, SBOM_CHECK];
