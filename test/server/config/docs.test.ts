import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { configurationDocs } from '../../../server/config/docs.ts';
import { SETTINGS } from '../../../server/config/settings.ts';

describe('docs/configuration.md', () => {
  it('is what the schema gives: after a change run `npm run docs`', () => {
    expect(readFileSync(new URL('../../../docs/configuration.md', import.meta.url), 'utf8')).toBe(configurationDocs());
  });

  it('says of every setting what it is, what is allowed and what it is by default', () => {
    for (const setting of SETTINGS) {
      expect(setting.description, setting.name).toMatch(/\.$|…$/);
      expect(setting.allowed, setting.name).toBeTruthy();
      expect(configurationDocs(), setting.name).toContain(`### \`${setting.name}\``);
    }
  });
});
