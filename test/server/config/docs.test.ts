import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { generatedPart, settingsSections } from '../../../merkle/runtime/config/settings-docs.ts';
import { SETTINGS } from '../../../server/config/load.ts';
import { ConfigSchema } from '../../../server/config/schema.ts';

const docs = readFileSync(new URL('../../../docs/configuration.md', import.meta.url), 'utf8');

describe('docs/configuration.md', () => {
  it('is what the schema gives: after a change run `npm run docs`', () => {
    expect(docs).toContain(generatedPart('server/config/schema.ts', settingsSections(ConfigSchema, 'STELE_')));
  });

  it('says of every setting what it is, what is allowed and what it is by default', () => {
    for (const setting of SETTINGS) {
      expect(setting.description, setting.name).toMatch(/\.$|…$/);
      expect(setting.allowed, setting.name).toBeTruthy();
      expect(docs, setting.name).toContain(`\n| \`${setting.name}\` | \`--${setting.flag}\`, \`${setting.env}\` |`);
    }
  });
});
