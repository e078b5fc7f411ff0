import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { generatedPart, settingsSections } from '../../merkle/runtime/config/settings-docs.ts';
import { loadConfig, SETTINGS, WitnessSchema } from '../../witness/config.ts';

const docs = readFileSync(new URL('../../docs/witness.md', import.meta.url), 'utf8');

describe('docs/witness.md', () => {
  it('describes every setting as the schema has it: after a change run `npm run docs`', () => {
    expect(docs).toContain(generatedPart('witness/config.ts', settingsSections(WitnessSchema, 'STELE_WITNESS_')));
    for (const { name, description } of SETTINGS) expect(description, name).toMatch(/\.$/);
  });
});

describe('the settings of a witness', () => {
  it('have safe defaults', () => {
    expect(loadConfig({ cwd: '/srv' })).toMatchObject({
      data: '/srv/witness-data',
      listen: { host: '127.0.0.1', port: 3100 },
      admin: { host: '127.0.0.1', port: 3101 },
      cosignatures: 'ed25519',
      key: { file: '/srv/witness-data/key.pem' },
      createKey: true,
      mldsaKey: { file: '/srv/witness-data/mldsa44.pem', create: true, threads: 1 },
      logs: '/srv/witness-data/logs',
      poll: 0,
    });
  });

  it('report all mistakes at once, each with its place', () => {
    const load = () =>
      loadConfig({ env: { STELE_WITNESS_POLL: '5', STELE_WITNESS_POL: '5s' }, flags: { cosignatures: 'rsa' } });
    expect(load).toThrow(expect.objectContaining({ code: 'config', message: expect.stringMatching(/^3 settings/) }));
    expect(load).toThrow(/"poll" \(the environment variable STELE_WITNESS_POLL\) is "5"; allowed: 0s to 24h/);
    expect(load).toThrow(/the environment variable STELE_WITNESS_POL is unknown; did you mean STELE_WITNESS_POLL\?/);
    expect(load).toThrow(/"cosignatures" \(the flag --cosignatures\) is "rsa"/);
  });

  it('do not put both servers on one port', () => {
    expect(() => loadConfig({ flags: { 'admin-port': '3100' } })).toThrow(/"listen" and "admin" are both/);
  });

  it('take lists over HTTPS or from a file, and over nothing else', () => {
    const load = (sources: string) => loadConfig({ flags: { 'lists-sources': sources } }).lists.sources;
    expect(load('https://witness-network.org/log-list.1,/etc/list')).toHaveLength(2);
    for (const source of [
      'http://a.test/list',
      'ftp://a.test',
      'list.1',
      './list',
      'https://',
      'https:///list',
      'https://me:pw@a.test/list',
    ]) {
      expect(() => load(source), source).toThrow(/"lists\.sources/);
    }
  });
});
