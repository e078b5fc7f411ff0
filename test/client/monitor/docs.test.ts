import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseMonitorConfig } from '../../../client/monitor/config/load-monitor.ts';
import { monitorDocs } from '../../../client/monitor/config/monitor-docs.ts';
import { ConditionSchema, MonitorSchema } from '../../../client/monitor/config/schema.ts';
import { ed25519VerifierKey, formatVerifierKey } from '../../../merkle/verifier-key.ts';

const docs = readFileSync(new URL('../../../docs/monitor.md', import.meta.url), 'utf8');
const KEY = formatVerifierKey(ed25519VerifierKey('log.example.com', new Uint8Array(32).fill(7)));

describe('docs/monitor.md', () => {
  it('describes every setting as the schema has it: after a change run `npm run docs`', () => {
    expect(docs).toContain(monitorDocs());
  });

  it('has a row for each name of the schema', () => {
    const names = (schema: object) => Object.keys((schema as { properties: object }).properties);
    for (const name of [...names(MonitorSchema), ...names(ConditionSchema)]) {
      expect(docs).toMatch(new RegExp(`\\| \`${name}(\`|\\.|\\[)`));
    }
  });

  it('shows configurations that are taken', () => {
    const examples = [...docs.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, text]) => text!);
    expect(examples.length).toBeGreaterThan(1);
    for (const text of examples) {
      const whole = /^logs:/m.test(text)
        ? text
        : `logs: [{ url: 'https://log.example.com', keys: ['${KEY}'] }]\nsinks: [{ type: stdout }]\n${text}`;
      const keyed = whole
        .replaceAll(/log\.example\.com\+1a2b3c4d\+AbCd…/g, KEY)
        .replaceAll(/^ +policy: .*\n/gm, '')
        .replaceAll(/root: 1\.root\.json/g, `root: ${import.meta.filename}`);
      expect(() => parseMonitorConfig(keyed, '/etc/stele/monitor.yaml')).not.toThrow();
    }
  });
});
