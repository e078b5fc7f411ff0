import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createMatcher } from '../../../client/monitor/matcher.ts';
import { AckStore } from '../../../client/monitor/store/ack-store.ts';
import { encodeBundle } from '../../../merkle/bundle.ts';
import { formatCheckpoint } from '../../../merkle/checkpoint.ts';
import { formatNote } from '../../../merkle/note.ts';
import { fulcioCertificate, githubRun, hashedRekord } from '../../support/fulcio.ts';

/** What `npm run build` made. */
const STELE = fileURLToPath(new URL('../../../dist/client/cli/main.js', import.meta.url));
const RULE = `
name: release
watch: { githubActions: { repository: acme/app } }
expect: { githubActions: { repository: acme/app, workflow: release.yml } }
`;

let dir: string;
const bodies = [
  entryOf('acme/app', 'release.yml'),
  entryOf('acme/app', 'evil.yml'),
  ...Array.from({ length: 300 }, (_, i) => entryOf(`other/app${i}`, 'release.yml')),
];
const last = bodies.length - 1;

function entryOf(repository: string, workflow: string): Buffer {
  return hashedRekord({ certificate: fulcioCertificate(githubRun(repository, workflow, 'refs/heads/main')) });
}

function stele(...args: string[]): Promise<{ status: number; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [STELE, 'monitor', ...args], { cwd: dir }, (error, out, err) => {
      resolve({ status: error === null ? 0 : Number(error.code), out, err });
    });
  });
}

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'stele-monitor-test-'));
  writeFileSync(join(dir, 'rule.yaml'), RULE);
  for (const [at, body] of bodies.slice(0, 3).entries()) writeFileSync(join(dir, `entry${at}.json`), body);
  // As a log answers it.
  writeFileSync(
    join(dir, 'tlog.json'),
    JSON.stringify({ logIndex: '1', canonicalizedBody: bodies[1]!.toString('base64') }),
  );
  mkdirSync(join(dir, 'log/tile/entries/001.p'), { recursive: true });
  writeFileSync(join(dir, 'log/tile/entries/000'), encodeBundle(bodies.slice(0, 256)));
  writeFileSync(join(dir, `log/tile/entries/001.p/${bodies.length - 256}`), encodeBundle(bodies.slice(256)));
  const text = formatCheckpoint({
    origin: 'log.example.com',
    size: bodies.length,
    root: new Uint8Array(32),
    extensions: [],
  });
  writeFileSync(
    join(dir, 'log/checkpoint'),
    formatNote(text, [{ name: 'log.example.com', keyId: new Uint8Array(4), signature: new Uint8Array(64) }]),
  );
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe('stele monitor test', () => {
  it('says why an entry alerts, condition by condition, and ends with 0', async () => {
    const { status, out } = await stele('test', 'rule.yaml', '--entry', 'entry1.json');
    expect(status).toBe(0);
    expect(out).toContain('UNEXPECTED');
    expect(out).toMatch(
      /yes extensions\.sourceRepositoryURI\n +wanted https:\/\/github\.com\/acme\/app\n +got +https:\/\/github\.com\/acme\/app\n/,
    );
    expect(out).toMatch(/no +identity\n +wanted pattern .*release/);
  });

  it('ends with 1 where the entry is as expected, or not watched', async () => {
    const expected = await stele('test', 'rule.yaml', '--entry', 'entry0.json', '--json');
    expect(expected.status).toBe(1);
    expect(JSON.parse(expected.out)).toMatchObject({
      ok: true,
      alerts: 0,
      entries: [{ rules: [{ outcome: 'expected' }] }],
    });
    const other = await stele('test', 'rule.yaml', '--entry', 'entry2.json', '--json');
    expect(other.status).toBe(1);
    expect(JSON.parse(other.out)).toMatchObject({ entries: [{ rules: [{ outcome: 'none' }] }] });
  });

  it('takes what a log answers, and tells the conditions as JSON', async () => {
    const { status, out } = await stele('test', 'rule.yaml', '--entry', 'tlog.json', '--json');
    expect(status).toBe(0);
    const [entry] = JSON.parse(out).entries;
    expect(entry).toMatchObject({
      index: 1,
      rules: [{ rule: 'release', outcome: 'unexpected', kind: 'hashedrekord' }],
    });
    const [{ watch, expect: wanted }] = entry.rules[0].signers;
    expect(watch[0].conditions[0]).toMatchObject({ field: 'identity', holds: true });
    expect(wanted[0].conditions).toContainEqual(expect.objectContaining({ field: 'issuer', holds: true }));
  });

  it('tries a part of a log, in whole bundles and in the last one', async () => {
    const all = await stele('test', 'rule.yaml', '--log', 'log', '--json');
    expect(all.status).toBe(0);
    expect(
      all.out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).index),
    ).toEqual([1]);
    expect((await stele('test', 'rule.yaml', '--log', 'log', '--from', '2')).status).toBe(1);
    const end = await stele(
      'test',
      'rule.yaml',
      '--log',
      'log',
      '--from',
      `${last}`,
      '--to',
      `${last + 1}`,
      '--all',
      '--json',
    );
    expect(JSON.parse(end.out)).toMatchObject({ index: last, rules: [{ outcome: 'none' }] });
  });

  it.each<[string, string[]]>([
    ['nothing to try it on', ['rule.yaml']],
    ['two things to try it on', ['rule.yaml', '--entry', 'entry0.json', '--log', 'log']],
    ['no such file', ['nowhere.yaml', '--entry', 'entry0.json']],
    ['no such entry', ['rule.yaml', '--entry', 'nowhere.json']],
    ['no such rule', ['--config', 'rule.yaml', '--rule', 'x', '--entry', 'entry0.json']],
    ['a bundle that is none', ['rule.yaml', '--bundle', 'entry0.json']],
    ['no such log', ['rule.yaml', '--log', 'nowhere']],
    ['a part that the log does not have', ['rule.yaml', '--log', 'log', '--from', '5000']],
  ])('ends with 2 for %s', async (_, args) => {
    const { status, err } = await stele('test', ...args);
    expect(err).toMatch(/^stele: error \[/);
    expect(status).toBe(2);
  });
});

describe('stele monitor ack', () => {
  it('acknowledges, lists and removes', async () => {
    const state = join(dir, 'state');
    const store = new AckStore(state);
    const matcher = createMatcher([{ name: 'r', severity: 'alert', watch: [{ issuer: { pattern: '.*' } }] }], {
      acknowledged: store,
    });
    const [alert] = await matcher.match([{ log: 'l', index: 5, leafHash: Buffer.alloc(32), body: bodies[0]! }]);
    await matcher.close();
    const id = alert!.id.slice(0, 12);

    const missing = await stele('ack', id, '--state', 'state', '--reason', 'x');
    expect([missing.status, missing.err]).toEqual([2, expect.stringContaining('--until')]);
    const added = await stele('ack', id, '--state', 'state', '--until', '2999-12-31', '--reason', 'by hand', '--json');
    expect(added).toMatchObject({ status: 0 });
    expect(JSON.parse(added.out).ack).toMatchObject({ alert: alert!.id, rule: 'r', index: 5, reason: 'by hand' });
    const listed = await stele('ack', 'list', '--state', 'state');
    expect(listed.out).toContain('by hand');
    expect((await stele('ack', 'remove', id, '--state', 'state')).status).toBe(0);
    expect((await stele('ack', 'list', '--state', 'state')).out).toBe('Nothing is acknowledged.\n');
    expect((await stele('ack', 'remove', id, '--state', 'state')).status).toBe(2);
  });
});
