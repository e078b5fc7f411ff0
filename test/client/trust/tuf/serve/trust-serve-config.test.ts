import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { TrustServeSchema } from '../../../../../client/trust/tuf/serve/trust-serve-config.ts';
import { generatedPart, settingsSections } from '../../../../../merkle/runtime/config/settings-docs.ts';

it('docs/configuration.md has what the schema gives: after a change run `npm run docs`', () => {
  const docs = readFileSync(new URL('../../../../../docs/configuration.md', import.meta.url), 'utf8');
  const sections = settingsSections(TrustServeSchema, 'STELE_TRUST_SERVE_');
  expect(docs).toContain(generatedPart('client/trust/tuf/serve/trust-serve-config.ts', sections));
});
