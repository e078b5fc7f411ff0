import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parseMonitorConfig } from '../../../client/monitor/config/load-monitor.ts';
import { monitorDocs } from '../../../client/monitor/config/monitor-docs.ts';
import { ConditionSchema, MonitorSchema } from '../../../client/monitor/config/schema.ts';
import { ed25519VerifierKey, formatVerifierKey, KEY_TYPE, makeVerifierKey } from '../../../merkle/verifier-key.ts';

const docs = readFileSync(new URL('../../../docs/monitor.md', import.meta.url), 'utf8');
const KEY = formatVerifierKey(ed25519VerifierKey('log.example.com', new Uint8Array(32).fill(7)));
const OUTPUT = formatVerifierKey(ed25519VerifierKey('output.example.com', new Uint8Array(32).fill(9)));
const REBUILDER = makeVerifierKey('rebuilder.example.com', KEY_TYPE.cosignature, new Uint8Array(32).fill(8));

/** The policies that the examples name. */
const dir = mkdtempSync(join(tmpdir(), 'stele-monitor-docs-'));
writeFileSync(join(dir, 'output.policy'), `log ${OUTPUT}\nquorum none\n`);
writeFileSync(
  join(dir, 'rebuilders.policy'),
  `log ${OUTPUT}\nwitness one ${formatVerifierKey(REBUILDER)}\nquorum one\n`,
);
afterAll(() => rmSync(dir, { recursive: true }));

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
        .replaceAll(/\b(?:output|rebuilders)\.policy/g, (name) => join(dir, name))
        .replaceAll(/root: 1\.root\.json/g, `root: ${import.meta.filename}`);
      expect(() => parseMonitorConfig(keyed, '/etc/stele/monitor.yaml')).not.toThrow();
    }
  });
});
