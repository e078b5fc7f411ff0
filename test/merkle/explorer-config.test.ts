/** `explorer.json`, and what a server says about the page that reads it. */
import { describe, expect, it } from 'vitest';
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { explorerOrigins, MAX_EXPLORER_CONFIG, parseExplorerConfig } from '../../merkle/explorer-config.ts';
import { explorerCaching, explorerHeaders, explorerPolicy } from '../../merkle/explorer-headers.ts';
import { ed25519VerifierKey, formatVerifierKey, KEY_TYPE, makeVerifierKey } from '../../merkle/note.ts';
import { codeOf } from './helpers.ts';

const BASE = 'https://log.example.com/explorer/explorer.json';
const POINT = Uint8Array.from(Buffer.from('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a', 'hex'));
const vkey = formatVerifierKey(ed25519VerifierKey('log.example.com', POINT));
const witness = formatVerifierKey(makeVerifierKey('w.example.com', KEY_TYPE.cosignature, POINT));
const policy = `witness w ${witness}\nquorum w\n`;
const log = { origin: 'log.example.com', url: 'https://log.example.com', keys: [vkey], policy };

const parsed = (value: unknown) => parseExplorerConfig(encodeUtf8(JSON.stringify(value)), BASE);
const one = (change: object) => parsed({ version: 1, logs: [{ ...log, ...change }] }).logs[0]!;

describe('the configuration of an explorer', () => {
  it('is read with all that it trusts', () => {
    const map = { outputLog: 'https://out.example.com/', policy: `log ${vkey}\nquorum none\n`, rebuilders: policy };
    const read = one({ index: 'http://localhost:3400/x/', map, trustedRoot: { a: 1 } });
    expect(read).toMatchObject({
      origin: 'log.example.com',
      url: 'https://log.example.com',
      index: 'http://localhost:3400/x',
      map: { outputLog: 'https://out.example.com' },
      trustedRoot: { a: 1 },
    });
    expect(formatVerifierKey(read.keys[0]!)).toBe(vkey);
    expect(read.policy?.witnesses.map(({ name }) => name)).toEqual(['w']);
    expect(read.map?.rebuilders?.quorum).toMatchObject({ name: 'w' });
    expect(explorerOrigins({ logs: [read] })).toEqual([
      'https://log.example.com',
      'http://localhost:3400',
      'https://out.example.com',
    ]);
  });

  it.each([
    ['/', 'https://log.example.com'],
    ['../', 'https://log.example.com'],
    ['./log/', 'https://log.example.com/explorer/log'],
    ['http://[::1]:3000', 'http://[::1]:3000'],
  ])('takes an address that is relative to the file: %s', (url, absolute) => expect(one({ url }).url).toBe(absolute));

  it.each<[string, object]>([
    ['//evil.example', {}],
    ['javascript:alert(1)', {}],
    ['data:text/plain,x', {}],
    ['ftp://log.example.com', {}],
    ['log.example.com', {}],
    ['', {}],
    ['https://user:secret@log.example.com', {}],
    ['https://log.example.com/?x', {}],
    ['https://log.example.com/#x', {}],
    ['https://*', {}],
    ['https://*.example.com', {}],
    ["https://log.example.com;script-src'unsafe-inline'", {}],
    ['https://log.example.com,x', {}],
    [`https://log.example.com/${'x'.repeat(2048)}`, {}],
  ])('refuses the address %s', (url) => {
    expect(codeOf(() => one({ url }))).toBe('bad-explorer');
    expect(codeOf(() => one({ index: url }))).toBe('bad-explorer');
    expect(codeOf(() => one({ map: { outputLog: url, policy: `log ${vkey}\nquorum none\n` } }))).toBe('bad-explorer');
  });

  it.each<[string, unknown, string]>([
    ['another version', { version: 2, logs: [log] }, 'version'],
    ['no logs', { version: 1, logs: [] }, 'logs'],
    ['too many logs', { version: 1, logs: Array(65).fill(log) }, 'logs'],
    ['an unknown member', { version: 1, logs: [log], title: 'x' }, 'unknown member "title"'],
    ['an unknown member of a log', { version: 1, logs: [{ ...log, quorum: 1 }] }, 'unknown member "quorum"'],
    ['a member that is missing', { version: 1, logs: [{ origin: 'a', url: '/' }] }, 'no member "keys"'],
    ['an origin twice', { version: 1, logs: [log, log] }, 'logs[1].origin'],
    ['an origin that is none', { version: 1, logs: [{ ...log, origin: 'a b' }] }, 'logs[0].origin'],
    ['no key', { version: 1, logs: [{ ...log, keys: [] }] }, 'logs[0].keys'],
    ['a key that is wrong', { version: 1, logs: [{ ...log, keys: ['log.example.com+00000000+AA=='] }] }, 'keys[0]'],
    ['the key of a witness', { version: 1, logs: [{ ...log, keys: [witness] }] }, 'key of a witness'],
    ['a policy that is wrong', { version: 1, logs: [{ ...log, policy: 'quorum w\n' }] }, 'line 1'],
    ['a policy that is no text', { version: 1, logs: [{ ...log, policy: 1 }] }, 'policy'],
    ['a trusted root that is a list', { version: 1, logs: [{ ...log, trustedRoot: [] }] }, 'trustedRoot'],
    ['a map without a log', { version: 1, logs: [{ ...log, map: { outputLog: '/', policy } }] }, 'map.policy'],
    ['a list', [], 'the file'],
  ])('refuses %s, and names it', (_, value, where) => {
    expect(() => parsed(value)).toThrow(where);
    expect(codeOf(() => parsed(value))).toBe('bad-explorer');
  });

  it('refuses text that is not JSON, has a member twice, or is too long', () => {
    for (const text of ['{', '{"version":1,"version":1,"logs":[]}', '', '\xff'.repeat(MAX_EXPLORER_CONFIG + 1)]) {
      expect(codeOf(() => parseExplorerConfig(encodeUtf8(text), BASE))).toBe('bad-explorer');
    }
  });

  it('shows a member of strangers without control characters', () => {
    expect(() => parsed({ version: 1, logs: [log], 'a\u202e\u0000b': 1 })).toThrow('unknown member "a b"');
  });
});

describe('the policy of the page', () => {
  it('lets through its own files and the addresses of explorer.json, and no script or style in the page', () => {
    const policy = explorerPolicy(['https://out.example.com']);
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("connect-src 'self' https://out.example.com;");
    expect(policy).toContain("require-trusted-types-for 'script'; trusted-types stele-explorer");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toMatch(/unsafe|\*|data:|blob:|nonce|https?:(?!\/\/out\.example\.com)/);
    expect(explorerPolicy([], true)).not.toContain('frame-ancestors');
  });

  it('comes with all headers, and lets a browser keep what never changes', () => {
    expect(Object.keys(explorerHeaders([])).sort()).toEqual([
      'content-security-policy',
      'cross-origin-opener-policy',
      'cross-origin-resource-policy',
      'referrer-policy',
      'x-content-type-options',
    ]);
    expect(explorerCaching('assets/index-DPRRaAAi.js')).toContain('immutable');
    // The policy of a worker comes with its script.
    const worker = 'assets/explorer-worker-DIv_4kzW.js';
    for (const path of ['index.html', 'explorer.json', 'assets/LICENSES', 'assets/plain.js', worker]) {
      expect(explorerCaching(path)).toBe('no-cache');
    }
  });
});
