/** The verifiable index in the service: its routes, its settings, its metrics and its readiness. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadIndexConfig } from '../../../../client/search/index-config.ts';
import { serveIndex } from '../../../../client/search/serve-index.ts';
import { parseLookup } from '../../../../merkle/index/lookup.ts';
import { verifyLookup } from '../../../../merkle/index/verify-lookup.ts';
import { formatVerifierKey } from '../../../../merkle/note.ts';
import { FakeLog } from '../../../support/fake-log.ts';
import { later, tempDir } from '../../../support/log-files.ts';
import { TestWitness } from '../../../support/witness.ts';
import { grow, keyOf, startOutput } from './mapped-log.ts';

interface Described {
  readonly size?: number;
  readonly halted: boolean;
}

async function startService(log: FakeLog, more = '') {
  const output = await startOutput();
  const dir = tempDir();
  const file = join(dir, 'index.yaml');
  writeFileSync(
    file,
    `listen: { port: 0 }
admin: { port: 0 }
data: data
log: { level: silent }
poll: 100ms
threads: 0
logs:
  - { url: ${await log.listen()}, keys: [${log.vkey}] }
maps:
  - outputLog: { url: ${output.followed.location}, keys: [${output.followed.keys.map(formatVerifierKey).join(', ')}] }
    interval: 0ms
${more}`,
  );
  const reread = () => loadIndexConfig(file);
  const service = await serveIndex({ config: reread(), reread });
  later(() => service.close());
  const parts = async () =>
    ((await (await fetch(`${service.url}/stele/v1/index`)).json()) as { parts: { map: Described[] } }).parts;
  return { service, output, parts };
}

const query = (one: Record<string, string>) => `/stele/v1/lookup?${new URLSearchParams(one)}`;

describe('the service', () => {
  it('answers lookups, and says how far its map is', async () => {
    const log = FakeLog.empty('input.test');
    grow(log, [1, 2, 1]);
    const { service, output, parts } = await startService(log);
    await expect.poll(async () => (await parts()).map[0]!.size).toBe(3);
    expect((await parts()).map[0]).toMatchObject({
      log: 'input.test',
      outputLog: { origin: 'output.test', url: output.followed.location },
      leaf: 0,
      late: false,
      halted: false,
    });
    const key = keyOf(1);
    const reply = await fetch(service.url + query({ log: 'input.test', ...key }));
    expect([reply.status, reply.headers.get('content-type'), reply.headers.get('access-control-allow-origin')]).toEqual(
      [200, 'application/octet-stream', '*'],
    );
    const lookup = parseLookup(new Uint8Array(await reply.arrayBuffer()));
    const question = { key, inputOrigin: 'input.test', outputOrigin: 'output.test' };
    expect(verifyLookup(lookup, question)).toMatchObject({ indexes: [0, 2], complete: true });
    const ready = await fetch(`${service.adminUrl}/readyz`);
    expect([ready.status, await ready.text()]).toEqual([200, expect.anything()]);
    const metrics = await (await fetch(`${service.adminUrl}/metrics`)).text();
    expect(metrics).toContain('stele_index_map_size{log="input.test"} 3');
    expect(metrics).toContain('stele_index_lookup_duration_seconds_count{result="ok"} 1');
  });

  it('refuses what is no lookup', async () => {
    const log = FakeLog.empty('input.test');
    grow(log, [1]);
    const { service, parts } = await startService(log);
    await expect.poll(async () => (await parts()).map[0]!.size).toBe(1);
    const whole = { log: 'input.test', kind: 'digest', value: 'x' };
    const cases: [Record<string, string>, number, string][] = [
      [{ ...whole, log: 'other.test' }, 404, 'unknown-log'],
      [{ ...whole, kind: 'nothing' }, 400, 'bad-query'],
      [{ log: 'input.test', kind: 'digest' }, 400, 'bad-query'],
      [{ kind: 'digest', value: 'x' }, 400, 'bad-query'],
      [{ ...whole, since: '01' }, 400, 'bad-query'],
      [{ ...whole, since: '1' }, 400, 'bad-query'],
      [{ ...whole, limit: '0' }, 400, 'bad-query'],
      [{ ...whole, limit: '8193' }, 400, 'bad-query'],
      [{ ...whole, more: '1' }, 400, 'bad-query'],
    ];
    for (const [given, status, code] of cases) {
      const reply = await fetch(service.url + query(given));
      expect([given, reply.status, ((await reply.json()) as { code: string }).code]).toEqual([given, status, code]);
    }
  });

  it('is not ready where somebody else wrote to the output log', async () => {
    const log = FakeLog.empty('input.test');
    grow(log, [1]);
    const { service, output, parts } = await startService(log);
    await expect.poll(async () => (await parts()).map[0]!.size).toBe(1);
    await output.add('not a leaf');
    await expect.poll(async () => (await fetch(`${service.adminUrl}/readyz`)).status).toBe(503);
    expect(await (await fetch(`${service.adminUrl}/readyz`)).text()).toContain(
      'the leaf 1 of the output log is no leaf',
    );
    expect((await parts()).map[0]!.halted).toBe(true);
    expect((await fetch(service.url + query({ log: 'input.test', ...keyOf(1) }))).status).toBe(200);
  });
});

describe('the settings refuse', () => {
  const witness = new TestWitness('w', FakeLog.empty('output.test').key);
  const input = FakeLog.empty('input.test');
  const output = FakeLog.empty('output.test');
  const load = (
    maps: string,
    files: Record<string, string> = {},
    logs = `  - { url: http://127.0.0.1:1, keys: [${input.vkey}] }`,
  ) => {
    const dir = tempDir();
    for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
    writeFileSync(join(dir, 'index.yaml'), `logs:\n${logs}\nmaps:\n${maps}\n`);
    return () => loadIndexConfig(join(dir, 'index.yaml'));
  };
  const outputLog = `outputLog: { url: http://127.0.0.1:2, keys: [${output.vkey}] }`;

  it('nothing where all is well', () => {
    expect(load(`  - { ${outputLog} }`)().maps).toMatchObject([{ input: { origin: 'input.test' }, intervalMs: 2000 }]);
  });

  it.each([
    [
      'a map of a log that is not followed',
      `  - { log: other.test, ${outputLog} }`,
      /must be the origin of one of "logs"/,
    ],
    ['two maps of one log', `  - { ${outputLog} }\n  - { ${outputLog} }`, /second map of this log/],
    [
      'an input log as output log',
      `  - { outputLog: { url: http://127.0.0.1:2, keys: [${input.vkey}] } }`,
      /is a log that is followed/,
    ],
    [
      'an output log that is a directory',
      `  - { outputLog: { dir: there, keys: [${output.vkey}] } }`,
      /must have a "url"/,
    ],
    ['an output log without a key', '  - { outputLog: { url: http://127.0.0.1:2 } }', /keys.*missing/],
    ['no output log', '  - { interval: 1s }', /outputLog/],
    ['what is not known', `  - { ${outputLog}, more: 1 }`, /more/],
    ['rebuilders without a quorum', `  - { ${outputLog}, rebuilders: none.txt }`, /needs "witness" lines/],
    [
      'a rebuilder without a URL',
      `  - { ${outputLog}, rebuilders: no-url.txt }`,
      /needs a URL for each rebuilder; none is there for w/,
    ],
    [
      'rebuilders of another log',
      `  - { ${outputLog}, rebuilders: other.txt }`,
      /names another log than the output log/,
    ],
    [
      'a witness as rebuilder',
      `  - { outputLog: { url: http://127.0.0.1:2, keys: [${output.vkey}], policy: good.txt }, rebuilders: good.txt }`,
      /has the key of the witness w of the output log/,
    ],
    ['a certificate without a key', `  - { ${outputLog}, outgoing: { cert: cert.pem } }`, /outgoing.key/],
  ])('%s', (_, maps, why) => {
    const line = `witness w ${formatVerifierKey(witness.key)}`;
    const files = {
      'none.txt': 'quorum none\n',
      'no-url.txt': `${line}\nquorum w\n`,
      'other.txt': `log ${input.vkey}\n${line} http://127.0.0.1:3\nquorum w\n`,
      'good.txt': `${line} http://127.0.0.1:3\nquorum w\n`,
    };
    expect(load(maps, files)).toThrow(why);
  });
});
