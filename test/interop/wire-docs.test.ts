/** The examples of docs/wire.md, run as they stand against a log: what the page promises is true today. */
import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run, type ServeProcess, startServer } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';

const page = readFileSync(join(import.meta.dirname, '../../docs/wire.md'), 'utf8');
const examples = [...page.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, script]) => script!);

describe.skipIf(skips('the examples of docs/wire.md', lacking('curl', 'openssl', 'bash')))('docs/wire.md', () => {
  let dir: string;
  let log: ServeProcess;

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'stele-wire-'));
    log = await startServer(join(dir, 'data'));
  });

  afterAll(async () => {
    await log.stop();
    await rm(dir, { recursive: true, force: true });
  });

  it('has examples that all work, in their order', async () => {
    expect(examples.length).toBeGreaterThanOrEqual(6);
    const script = ['set -euo pipefail', `cd ${dir}`, ...examples].join('\n');
    const { code, stdout, stderr } = await run('bash', ['-c', script], { env: { LOG: log.url } });
    expect(stderr.replace(/read EC key\nwriting EC key\n/, '')).toBe('');
    expect(code).toBe(0);
    expect(await readdir(dir)).toContain('results.json');
    // Each kind of answer is there: an entry, a checkpoint, a bundle with the entry, the log itself.
    expect(stdout).toContain('"canonicalizedBody":"');
    expect(stdout).toMatch(/^localhost\n1\n/m);
    expect(stdout).toContain('{"apiVersion":"0.0.2","kind":"hashedrekord"');
    expect(stdout).toContain('{"first":0,"second":1,"hashes":[]}');
  });

  it('shows all fields of an answer, and no other', async () => {
    const { results } = JSON.parse(await readFile(join(dir, 'results.json'), 'utf8')) as {
      results: [{ entry: Record<string, unknown> }];
    };
    const shown = page.slice(page.indexOf('The log answers **201**'), page.indexOf('The entry is the RFC 8785'));
    expect([...shown.matchAll(/^ {2}"(\w+)":/gm)].map(([, name]) => name)).toEqual(Object.keys(results[0].entry));
    const info = (await (await fetch(`${log.url}/stele/v1/log`)).json()) as object;
    // What a log with several shards says besides is shown after this.
    const about = page.slice(page.indexOf('`GET /stele/v1/log` says'), page.indexOf('A log with several shards'));
    // This log has no `publicUrl`, and so no `url`, and takes writes of everybody.
    const names = [...about.matchAll(/^ {2}"(\w+)":/gm)].map(([, name]) => name);
    expect(names.filter((name) => name !== 'url' && name !== 'writes')).toEqual(Object.keys(info));
  });
});
