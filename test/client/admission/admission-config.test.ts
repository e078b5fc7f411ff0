import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { AdmissionSchema, loadAdmission } from '../../../client/admission/admission-config.ts';
import { generatedPart, settingsSections } from '../../../merkle/runtime/config/settings-docs.ts';

it('docs/configuration.md has what the schema gives: after a change run `npm run docs`', () => {
  const docs = readFileSync(new URL('../../../docs/configuration.md', import.meta.url), 'utf8');
  const sections = settingsSections(AdmissionSchema, 'STELE_ADMISSION_');
  expect(docs).toContain(generatedPart('client/admission/admission-config.ts', sections));
});

it('takes the configuration of the manifests', () => {
  const file = new URL('../../../deploy/kubernetes/admission/config/admission.yaml', import.meta.url).pathname;
  expect(loadAdmission({ file })).toMatchObject({ listen: { host: '0.0.0.0' }, evidence: { registry: true } });
});
