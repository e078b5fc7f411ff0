import { appendFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { acknowledge } from '../../../client/monitor/acks.ts';
import { createMatcher } from '../../../client/monitor/matcher.ts';
import type { Rule } from '../../../client/monitor/rules/types.ts';
import { AckStore } from '../../../client/monitor/store/ack-store.ts';
import type { Alert } from '../../../client/monitor/types.ts';
import {
  type CertificateOptions,
  fulcioCertificate,
  githubRun,
  hashedRekord,
  madeUpKey,
} from '../../support/fulcio.ts';

const RULES: readonly Rule[] = [
  { name: 'names', severity: 'alert', watch: [{ identity: { pattern: '.*acme.*' } }] },
  { name: 'other', severity: 'alert', watch: [{ issuer: { pattern: '.*' } }] },
];
const START = Date.parse('2026-08-01T12:00:00Z');

let state: string;
let now: number;
beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), 'stele-acks-'));
  now = START;
});
const opened: AckStore[] = [];
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
  rmSync(state, { recursive: true, force: true });
});

const entryOf = (options: CertificateOptions) => hashedRekord({ certificate: fulcioCertificate(options) });

/** A monitor that runs, and the alerts that it gives for an entry. */
function running(rules = RULES) {
  const problems: string[] = [];
  const store = new AckStore(state, { now: () => now, onProblem: (message) => problems.push(message) });
  opened.push(store);
  const matcher = createMatcher(rules, { acknowledged: store, now: () => now });
  let index = 0;
  const see = (body: Uint8Array): Promise<Alert[]> =>
    matcher.match([{ log: 'log.example.com', index: index++, leafHash: Buffer.alloc(32, index), body }]);
  return { store, see, problems };
}

/** Another process. */
async function ack(id: string, until = '2026-08-31'): Promise<void> {
  const store = new AckStore(state);
  await store.add(acknowledge(await store.find(id), { until, reason: 'looked at it', by: 'carol', now: START }));
}

const run = githubRun('acme/app', 'release.yml', 'refs/tags/v1', 1);

describe('stele monitor ack', () => {
  it('silences that rule for that identity in a running monitor, and says who, when, until and why', async () => {
    const { see, store } = running();
    const [names, other] = await see(entryOf(run));
    expect([names?.rule, other?.rule]).toEqual(['names', 'other']);
    await ack(names!.id);
    expect((await see(entryOf(run))).map(({ rule }) => rule)).toEqual(['other']);
    expect((await store.list()).acks).toMatchObject([
      {
        alert: names!.id,
        rule: 'names',
        index: 0,
        names: run.names,
        by: 'carol',
        at: '2026-08-01T12:00:00.000Z',
        until: '2026-08-31T23:59:59.999Z',
        reason: 'looked at it',
      },
    ]);
  });

  it('covers the next run of the same workflow', async () => {
    const { see } = running(RULES.slice(0, 1));
    const [alert] = await see(entryOf(run));
    await ack(alert!.id);
    expect(await see(entryOf(githubRun('acme/app', 'release.yml', 'refs/tags/v1', 2)))).toEqual([]);
  });

  it.each<[string, CertificateOptions]>([
    ['another name', { ...run, names: [run.names![0]!.replace('v1', 'v2')] }],
    ['a second name', { ...run, names: [...run.names!, 'mallory@acme.com'] }],
    ['another letter case', { ...run, names: [run.names![0]!.replace('acme', 'acme/Acme')] }],
    ['another issuer', { ...run, issuer: 'https://token.actions.githubusercontent.com/evil' }],
    ['no issuer', { names: run.names!, extensions: run.extensions! }],
    [
      'another repository in an extension',
      { ...run, extensions: { ...run.extensions, 12: 'https://github.com/evil/app' } },
    ],
    ['another trigger', { ...run, extensions: { ...run.extensions, 20: 'pull_request_target' } }],
    ['one extension less', { ...run, extensions: {} }],
  ])('does not cover %s', async (_, lookalike) => {
    const { see } = running(RULES.slice(0, 1));
    const [alert] = await see(entryOf(run));
    await ack(alert!.id);
    expect(await see(entryOf(lookalike))).toHaveLength(1);
  });

  it('is about the key where no issuer vouches for the names', async () => {
    const { see } = running(RULES.slice(0, 1));
    const own = { names: ['release@acme.com'], seed: 'own key' };
    const [alert] = await see(entryOf(own));
    await ack(alert!.id);
    expect(await see(entryOf(own))).toEqual([]);
    expect(await see(entryOf({ ...own, seed: 'other key' }))).toHaveLength(1);
  });

  it('ends at its date', async () => {
    const { see } = running(RULES.slice(0, 1));
    const [alert] = await see(entryOf(run));
    await ack(alert!.id, '2026-08-02T00:00:00Z');
    expect(await see(entryOf(run))).toEqual([]);
    now = Date.parse('2026-08-02T00:00:00Z');
    expect(await see(entryOf(run))).toHaveLength(1);
  });

  it('can be taken back, and the running monitor sees it', async () => {
    const { see } = running(RULES.slice(0, 1));
    const [alert] = await see(entryOf(run));
    await ack(alert!.id);
    expect(await see(entryOf(run))).toEqual([]);
    await new AckStore(state).remove(alert!.id.slice(0, 8));
    expect(await see(entryOf(run))).toHaveLength(1);
  });

  it('is there after a restart of the monitor', async () => {
    const [alert] = await running().see(entryOf(run));
    await ack(alert!.id);
    expect((await running().see(entryOf(run))).map(({ rule }) => rule)).toEqual(['other']);
  });

  it('silences nothing where its file is damaged, and says so once', async () => {
    const { see, problems } = running(RULES.slice(0, 1));
    const [alert] = await see(entryOf(run));
    await ack(alert!.id);
    writeFileSync(join(state, 'acks', `${alert!.id}.json`), '{"alert"');
    expect(await see(entryOf(run))).toHaveLength(1);
    await see(entryOf(run));
    expect(problems).toEqual([expect.stringContaining('is no acknowledgement')]);
  });

  it('does not take a file under the name of another alert', async () => {
    const { see, store } = running(RULES.slice(0, 1));
    const [alert] = await see(entryOf(run));
    await ack(alert!.id);
    writeFileSync(join(state, 'acks', `${'0'.repeat(64)}.json`), JSON.stringify((await store.list()).acks[0]));
    expect(await store.list()).toMatchObject({ acks: [{}], damaged: [`${'0'.repeat(64)}.json`] });
  });

  it('covers no key but its own', async () => {
    const key = madeUpKey('one');
    const rules: Rule[] = [{ name: 'd', severity: 'alert', watch: [{ digest: digestOf(hashedRekord({ key })) }] }];
    const { see } = running(rules);
    const [alert] = await see(hashedRekord({ key }));
    await ack(alert!.id);
    expect(await see(hashedRekord({ key }))).toEqual([]);
    expect(await see(hashedRekord({ key: madeUpKey('two') }))).toHaveLength(1);
  });

  it.each([
    ['an ID that is none', 'xyz', { until: '2027-01-01' }, /64 hex digits/],
    ['an unknown ID', 'f'.repeat(64), { until: '2027-01-01' }, /no alert of a rule with the ID/],
    ['a date that has passed', undefined, { until: '2026-07-31' }, /has passed/],
    ['a date that is none', undefined, { until: 'tomorrow' }, /no date/],
    ['the 31st of June', undefined, { until: '2027-06-31' }, /no date/],
    ['no reason', undefined, { until: '2027-01-01', reason: ' ' }, /--reason/],
    ['a reason of two lines', undefined, { until: '2027-01-01', reason: 'a\nb' }, /--reason/],
  ])('refuses %s', async (_, id, options, message) => {
    const [alert] = await running().see(entryOf(run));
    const store = new AckStore(state);
    const added = async () =>
      acknowledge(await store.find(id ?? alert!.id), { reason: 'r', by: 'b', now: START, ...options });
    await expect(added()).rejects.toMatchObject({ code: 'usage', message: expect.stringMatching(message) });
    expect(readdirSync(join(state, 'acks'))).toEqual(['alerts.jsonl']);
  });

  it('finds an alert after the line before it was torn, and in the older file', async () => {
    const first = running(RULES.slice(0, 1));
    const [one] = await first.see(entryOf(run));
    await first.store.close();
    appendFileSync(join(state, 'acks', 'alerts.jsonl'), '{"id":"torn');
    const store = new AckStore(state, { now: () => now, maxJournalBytes: 1 });
    const matcher = createMatcher(RULES.slice(0, 1), { acknowledged: store });
    const at = (index: number) => [{ log: 'l', index, leafHash: Buffer.alloc(32), body: entryOf(run) }];
    const [two] = await matcher.match(at(7));
    const [three] = await matcher.match(at(8));
    await store.close();
    for (const id of [one!.id, two!.id, three!.id]) expect(await new AckStore(state).find(id)).toMatchObject({ id });
  });
});

function digestOf(body: Buffer): string {
  return Buffer.from(JSON.parse(body.toString()).spec.hashedRekordV002.data.digest, 'base64').toString('hex');
}
