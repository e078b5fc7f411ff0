/** What holders read before they sign: every change, and nothing that a terminal would obey. */
import { describe, expect, it } from 'vitest';
import { changesOf, signedDigest } from '../../../client/cli/trust/metadata-changes.ts';
import { readRoot, readTargets, writeMetadata } from '../../../client/trust/tuf/metadata.ts';
import { ed25519Key, type Json, keysOf, p256Key, roleOf, rootJson, targetsJson } from '../trust/tuf/tuf-files.ts';

const [a, b, c, online] = [ed25519Key(), p256Key(), ed25519Key(), ed25519Key()] as const;
const root = (json: Json) => readRoot(writeMetadata(json, []));
const targets = (json: Json) => readTargets(writeMetadata(json, []));
const name = ({ keyid }: { readonly keyid: string }) => keyid.slice(0, 8);
const of = ({ id }: { readonly id: string }) => id.slice(0, 8);

describe('the changes of a root', () => {
  it('are keys, thresholds and expiry, for each role', () => {
    const before = root(rootJson(2, [a, b], online));
    const after = root({ ...rootJson(3, [b, c, a], online), version: 2, expires: '2031-01-01T00:00:00Z' });
    expect(changesOf(after, before, name)).toEqual([
      'expires 2031-01-01T00:00:00Z (before: 2030-01-01T00:00:00Z)',
      'root: who must sign 3 of 3 (before: 2 of 2)',
      `root: ADDS ${of(c)}, Ed25519, key ID ${c.id}`,
      'targets: the same 1 key, 1 of 1 must sign',
      'snapshot: the same 1 key, 1 of 1 must sign',
      'timestamp: the same 1 key, 1 of 1 must sign',
    ]);
    expect(changesOf(before, after, name)).toContain(`root: REMOVES ${of(c)}, Ed25519, key ID ${c.id}`);
    expect(signedDigest(before)).not.toBe(signedDigest(after));
  });

  it('are said where only the key behind a name changes', () => {
    const json = rootJson(1, [a], online);
    const next = { ...json, version: 2, keys: { ...keysOf(online), [a.id]: c.json } };
    expect(changesOf(root(next), root(json), name)).toEqual(
      expect.arrayContaining([expect.stringMatching(/^root: ADDS/), expect.stringMatching(/^root: REMOVES/)]),
    );
  });

  it('cannot move the cursor of a terminal', () => {
    const json = rootJson(1, [a], online);
    json.keys.odd = { keytype: 'evil\u001b[2J\nroot: nothing changes', scheme: 'x', keyval: { public: 'x' } };
    json.roles.root = { keyids: [a.id, 'odd'], threshold: 1 };
    const lines = changesOf(root(json), undefined, name);
    expect(lines.some((line) => line.includes('evil'))).toBe(true);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    expect(lines.join('')).not.toMatch(/[\u0000-\u001f]/);
  });
});

describe('the changes of targets', () => {
  const target = (digit: string) => ({ length: 1, hashes: { sha256: digit.repeat(64) } });
  it('are targets and delegations', () => {
    const role = (paths: string[], threshold = 1, keys = [a, b]) => ({
      name: 'team',
      terminating: true,
      paths,
      ...roleOf(threshold, ...keys),
    });
    const before = targets({
      ...targetsJson(),
      targets: { x: target('1'), y: target('2'), z: target('3') },
      delegations: { keys: keysOf(a, b), roles: [role(['a'])] },
    });
    const after = targets({
      ...targetsJson(),
      targets: { x: target('1'), y: target('4'), w: target('5') },
      delegations: { keys: keysOf(a, b), roles: [{ ...role(['a', 'b'], 2), terminating: false }] },
    });
    expect(changesOf(after, before, name).slice(1)).toEqual([
      `REPLACES y: 1 byte, SHA-256 ${'4'.repeat(64)}`,
      `ADDS w: 1 byte, SHA-256 ${'5'.repeat(64)}`,
      'REMOVES z',
      'DELEGATES a, b to team, in place of a',
      'team: later delegations count for its targets',
      'team: who must sign 2 of 2 (before: 1 of 2)',
    ]);
    expect(changesOf(targets(targetsJson()), before, name)).toContain('DELEGATES nothing to team any more');
    expect(changesOf(before, undefined, name)).toContain('DELEGATES a to team');
    expect(changesOf(before, before, name).slice(1)).toEqual(['the same 3 targets']);
    const swapped = structuredClone(before.signed.json) as Json;
    swapped.delegations.keys[b.id] = c.json;
    expect(changesOf(targets(swapped), before, name).slice(2)).toEqual([
      expect.stringMatching(/^team: ADDS .*Ed25519/),
      expect.stringMatching(/^team: REMOVES .*P-256/),
    ]);
  });
});
