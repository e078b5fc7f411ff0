/** The check `sbom` of a rule. What judges is loaded only for a policy that has the check. */
import type { CheckKind } from '../types.ts';
import { SBOM_SETTINGS, type SbomSettings } from './sbom-settings.ts';

/** The predicate types of SBOMs. */
const SBOM_TYPES = [
  'https://spdx.dev/Document',
  'https://spdx.dev/Document/v2.2',
  'https://spdx.dev/Document/v2.3',
  'https://spdx.dev/Document/v3',
  'https://cyclonedx.org/bom',
  'https://cyclonedx.org/bom/v1.5',
  'https://cyclonedx.org/bom/v1.6',
  'https://cyclonedx.org/bom/v1.7',
];

export const SBOM_CHECK: CheckKind = {
  name: 'sbom',
  schema: SBOM_SETTINGS,
  types: SBOM_TYPES,
  compile: async (settings: SbomSettings, report) => (await import('./sbom-check.ts')).sbomCheck(settings, report),
};
