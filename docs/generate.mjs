// Writes the generated parts of the documents: `npm run docs`.
import { readFileSync, writeFileSync } from 'node:fs';
import { AdmissionSchema } from '../dist/client/admission/admission-config.js';
import { CaSchema } from '../dist/client/ca/ca-config.js';
import { monitorDocs } from '../dist/client/monitor/config/monitor-docs.js';
import { IndexSchema } from '../dist/client/search/index-config.js';
import { RebuilderSchema } from '../dist/client/search/rebuild/rebuilder-config.js';
import { TrustServeSchema } from '../dist/client/trust/tuf/serve/trust-serve-config.js';
import { generatedPart, settingsSections, settingsTable } from '../dist/merkle/runtime/config/settings-docs.js';
import { IDENTITY_SETTINGS } from '../dist/merkle/runtime/identity/identity-settings.js';
import { ConfigSchema } from '../dist/server/config/schema.js';
import { WitnessSchema } from '../dist/witness/config.js';

const ADMISSION = 'client/admission/admission-config.ts';
const REBUILDER = 'client/search/rebuild/rebuilder-config.ts';
const TRUST_SERVE = 'client/trust/tuf/serve/trust-serve-config.ts';

const parts = [
  ['configuration', generatedPart('server/config/schema.ts', settingsSections(ConfigSchema, 'STELE_'))],
  ['configuration', generatedPart(TRUST_SERVE, settingsSections(TrustServeSchema, 'STELE_TRUST_SERVE_'))],
  ['configuration', generatedPart(ADMISSION, settingsSections(AdmissionSchema, 'STELE_ADMISSION_'))],
  ['configuration', generatedPart('client/ca/ca-config.ts', [settingsTable(CaSchema)])],
  ['configuration', generatedPart('client/search/index-config.ts', [settingsTable(IndexSchema)])],
  ['configuration', generatedPart(REBUILDER, settingsSections(RebuilderSchema, 'STELE_REBUILDER_'))],
  ['identity', generatedPart('merkle/runtime/identity/identity-settings.ts', [settingsTable(IDENTITY_SETTINGS)])],
  ['monitor', monitorDocs()],
  ['witness', generatedPart('witness/config.ts', settingsSections(WitnessSchema, 'STELE_WITNESS_'))],
];
for (const [name, part] of parts) {
  const [begin] = part.split('\n');
  const file = new URL(`${name}.md`, import.meta.url);
  const text = readFileSync(file, 'utf8');
  writeFileSync(
    file,
    text.replace(new RegExp(`${begin.replaceAll('.', '\\.')}[^]*?<!-- End of [^>]* -->`), () => part),
  );
}
