/** The trust files of a log with several shards, read back by the readers that clients use. */
import { describe, expect, it } from 'vitest';
import { parseMonitoredLogs } from '../../../client/trust/monitor-config.ts';
import { parseTrustPolicy } from '../../../client/trust/quorum.ts';
import { parseSigningConfig, selectServices } from '../../../client/trust/signing-config.ts';
import { type DescribedLog, knownStart, trustFiles } from '../../../client/trust/trust-files.ts';
import { parseTrustedRoot } from '../../../client/trust/trusted-root.ts';
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import { ed25519VerifierKey, formatVerifierKey } from '../../../merkle/note.ts';

const keyOf = (origin: string, byte: number) => ed25519VerifierKey(origin, new Uint8Array(32).fill(byte));
const START = Date.parse('2026-01-01T00:00:00Z');
const END = Date.parse('2026-06-01T12:00:00.001Z');
const LATEST = 'old.example.com\n7\nroot\n\n— old.example.com AAAA\n';

function shard(origin: string, byte: number, more: Partial<DescribedLog> = {}): DescribedLog {
  const keys: DescribedLog['keys'] = [keyOf(origin, byte)];
  return { origin, url: `https://${origin}`, keys, rekor: true, policy: undefined, start: START, ...more };
}

const old = shard('old.example.com', 1);
const frozen = { ...old, end: END, lastCheckpoint: LATEST };
const next = shard('new.example.com', 2);

function made(...shards: [DescribedLog, ...DescribedLog[]]) {
  const files = new Map(trustFiles(shards).map(({ name, text }) => [name, text]));
  const bytes = (name: string) => encodeUtf8(files.get(name)!);
  const { rekorTlogUrls, rekorTlogConfig } = parseSigningConfig(bytes('signing_config.v0.2.json'));
  return {
    files,
    names: [...files.keys()],
    root: parseTrustedRoot(bytes('trusted_root.json')),
    root2: parseTrustedRoot(bytes('trusted_root.v0.2.json')),
    policy: parseTrustPolicy(bytes('policy')),
    monitored: parseMonitoredLogs(bytes('monitor_config.json')).rekorLogs,
    services: rekorTlogUrls,
    chosenAt: (now: number) => selectServices(rekorTlogUrls, rekorTlogConfig, 'log', [2], now).map(({ url }) => url),
  };
}

describe('the trust files of several shards', () => {
  it('have the keys of all, end the old one at a whole second, and begin the new one with it', () => {
    const { names, files, root, root2, policy, monitored } = made(frozen, next);
    expect(names).toEqual(
      expect.arrayContaining([
        'log.vkey',
        'old.example.com.vkey',
        'new.example.com.vkey',
        'old.example.com.last-checkpoint',
      ]),
    );
    expect(names).not.toContain('new.example.com.last-checkpoint');
    expect(files.get('log.vkey')).toBe(`${formatVerifierKey(next.keys[0])}\n`);
    expect(files.get('old.example.com.last-checkpoint')).toBe(LATEST);
    const end = Date.parse('2026-06-01T12:00:01Z');
    expect(root.tlogs.map(({ validFor }) => validFor)).toEqual([{ start: START, end }, { start: START }]);
    expect(root2.tlogs.map(({ validFor, operator }) => ({ ...validFor, operator }))).toEqual([
      { start: START, end, operator: 'old.example.com' },
      { start: START, operator: 'old.example.com' },
    ]);
    expect(policy.logs.map(({ key, url }) => [key.name, url])).toEqual([
      ['old.example.com', 'https://old.example.com'],
      ['new.example.com', 'https://new.example.com'],
    ]);
    expect(monitored.map(({ logOrigin }) => logOrigin)).toEqual(['old.example.com', 'new.example.com']);
    expect(files.get('monitor.yaml')).toMatch(
      /url: "https:\/\/old[\s\S]*lastCheckpoint: "old\.example\.com\.last-checkpoint"[\s\S]*url: "https:\/\/new/,
    );
  });

  it('let a client write to one shard at each time, with a clock up to ten minutes late', () => {
    const { services, chosenAt } = made(frozen, next);
    expect(services.map(({ operator }) => operator)).toEqual(['old.example.com', 'old.example.com']);
    expect(chosenAt(START)).toEqual(['https://old.example.com']);
    expect(chosenAt(END - 10 * 60_000 - 1000)).toEqual(['https://old.example.com']);
    for (const now of [END - 9 * 60_000, END, END + 1000, END + 1e12]) {
      expect(chosenAt(now), String(now)).toEqual(['https://new.example.com']);
    }
  });

  it('let no client write to a shard that is only announced, nor to one that is frozen', () => {
    const announced = made(old, { ...next, announced: true });
    expect(announced.services.map(({ url }) => url)).toEqual(['https://old.example.com']);
    expect(announced.root.tlogs).toHaveLength(2);
    expect(announced.monitored).toHaveLength(2);
    expect(announced.files.get('log.vkey')).toBe(`${formatVerifierKey(old.keys[0])}\n`);
    const between = made(frozen, { ...next, announced: true });
    expect(between.chosenAt(END - 60_000)).toEqual(['https://old.example.com']);
    expect(() => between.chosenAt(END + 2000)).toThrow(/no log with API v2 is valid/);
  });

  it('keep the order of three shards, also where two rotations follow each other closely', () => {
    const third = shard('third.example.com', 3);
    const { services, chosenAt } = made(frozen, { ...next, end: END + 2000, lastCheckpoint: LATEST }, third);
    const starts = services.map(({ validFor }) => validFor.start!);
    expect(starts).toEqual([...starts].sort((a, b) => a - b));
    expect(new Set(starts).size).toBe(3);
    expect(chosenAt(END + 5000)).toEqual(['https://third.example.com']);
  });

  it('take the witnesses of the last shard, and hide those of this machine from others', () => {
    const policy =
      'log x\nwitness w w.test/w+b2f4f9da+BAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g http://127.0.0.1:1\nquorum w\n';
    expect(() => trustFiles([frozen, { ...next, policy }])).toThrow(
      /the quorum policy \(tlog-policy\) cannot be used: line 3/,
    );
    expect(
      trustFiles([{ ...frozen, policy: 'quorum nobody\n' }, next]).find(({ name }) => name === 'policy')?.text,
    ).toContain('quorum none');
  });

  it('are refused where two shards share an origin or a key', () => {
    expect(() => trustFiles([old, shard('old.example.com', 2)])).toThrow(/two shards have the origin/);
    expect(() => trustFiles([old, shard('new.example.com', 1)])).toThrow(/has the key of a shard before it/);
  });

  it('name no file after an origin that is no host name, nor over log.vkey', () => {
    for (const origin of ['example.com/2026', '../x', 'log']) {
      const names = trustFiles([shard(origin, 1, { url: 'https://x.example' })]).map(({ name }) => name);
      expect(
        names.filter((name) => name.endsWith('.vkey')),
        origin,
      ).toEqual(['log.vkey']);
    }
  });

  it('remember the start of each key', () => {
    const { files } = made(frozen, { ...next, start: START + 1000 });
    const root = encodeUtf8(files.get('trusted_root.json')!);
    expect(knownStart(root, old.keys[0])).toBe(START);
    expect(knownStart(root, next.keys[0])).toBe(START + 1000);
    expect(knownStart(root, keyOf('other.example.com', 9))).toBeUndefined();
  });
});
