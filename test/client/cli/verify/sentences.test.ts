import { describe, expect, it } from 'vitest';
import type { Check, NotProven } from '../../../../client/verify/outcome.ts';
import { checkSentence, notProvenSentence, timeSentence } from '../../../../client/verify/sentences.ts';

const time = Date.UTC(2026, 0, 2, 3, 4, 5);
const digest = new Uint8Array(32).fill(0xab);
const hex = 'ab'.repeat(32);
const base64 = Buffer.from(digest).toString('base64');
const identity = {
  names: [{ type: 'email', value: 'me@example.com\u001b[2J' }],
  issuer: 'https://accounts.example.com',
  extensions: new Map(),
} as unknown as Extract<Check, { readonly name: 'identity' }>['identity'];

const { issuer: _, ...unvouched } = identity;

const CHECKS: readonly [Check, string, string?][] = [
  [{ name: 'artifact', algorithm: 'sha256', digest }, `the file has the digest sha256 ${hex}`],
  [
    { name: 'artifact', algorithm: 'sha256', digest, subject: 'a\nb' },
    `the file has the digest sha256 ${hex}, which the attestation names as "a b"`,
  ],
  [
    { name: 'statement', predicateType: 'urn:x', subjects: 2 },
    'of the type urn:x, about 2 files; what it says was not judged',
  ],
  [{ name: 'signature', fingerprint: hex, by: 'ECDSA P-256' }, `by the key with SHA-256 ${hex}`, 'ECDSA P-256'],
  [{ name: 'identity', identity }, 'me@example.com [2J', 'https://accounts.example.com'],
  [{ name: 'identity', identity: unvouched }, 'me@example.com [2J'],
  [
    { name: 'certificate', serialNumber: '42', times: [time, time + 1000], by: 'CN=root' },
    'number 42, valid at 2026-01-02T03:04:05.000Z, 2026-01-02T03:04:06.000Z, leads to a root of the trusted root',
    'CN=root',
  ],
  [
    { name: 'sct', time, logId: digest },
    'the certificate was promised to the public at 2026-01-02T03:04:05.000Z',
    `certificate-transparency log ${hex}`,
  ],
  [{ name: 'timestamp', time, by: 'CN=tsa' }, 'the signature was there at 2026-01-02T03:04:05.000Z', 'CN=tsa'],
  [{ name: 'promise', time, by: 'log' }, 'the log took the entry at 2026-01-02T03:04:05.000Z', 'log'],
  [
    { name: 'entry', kind: 'hashedrekord', version: '0.0.2' },
    'hashedrekord 0.0.2: it is about exactly this file, signature and key',
  ],
  [
    { name: 'inclusion', index: 3, treeSize: 8, hashes: 3, leafHash: digest, root: digest },
    `entry 3 of 8, by 3 hashes from the leaf ${base64} to the root ${base64}`,
  ],
  [{ name: 'checkpoint', by: 'log' }, 'the tree is signed by the log', 'log'],
  [
    { name: 'cosignature', cosignature: { witness: 'w', verifierKey: 'w+1', timestamp: time / 1000 } },
    'witnessed at 2026-01-02T03:04:05.000Z',
    'w+1',
  ],
  [{ name: 'quorum', quorum: 'all' }, '"all" of the policy is met'],
  [{ name: 'witness-time', time }, 'enough witnesses had seen the tree at 2026-01-02T03:04:05.000Z'],
];

describe('the facts of a verification', () => {
  it.each(CHECKS)('are said in words: $name', (check, detail, by) => {
    expect(checkSentence(check)).toEqual({ name: check.name, detail, ...(by === undefined ? {} : { by }) });
  });

  it('say what was not proven', () => {
    const facts: readonly [NotProven, string][] = [
      [{ name: 'key-holder' }, 'who holds the key: you must know that from elsewhere'],
      [{ name: 'issuer' }, 'who vouched for the identity: no issuer was required'],
      [{ name: 'certificate-names' }, 'the names in the certificate: only its key was compared with the given key'],
      [{ name: 'time' }, 'when it was signed: no time stamp was checked'],
      [
        { name: 'log-key-period' },
        "that the log's key still counted: the trusted root ends its time, and nothing shows that the entry is older",
      ],
      [{ name: 'timestamps', count: 2 }, 'what 2 time stamps in the bundle say: no authority for them was given'],
      [
        { name: 'timestamps', count: 1, by: ['certificate 05 of CN=tsa\u001b[2J'] },
        'what 1 time stamp in the bundle says: not checked, the trusted root does not have the authority (certificate 05 of CN=tsa [2J)',
      ],
      [
        { name: 'entries', logIds: [digest] },
        `what 1 further log entry in the bundle says: not checked, the log is not trusted (ID ${base64})`,
      ],
      [
        { name: 'entries', logIds: [digest, digest] },
        `what 2 further log entries in the bundle say: not checked, the log is not trusted (ID ${base64}, ${base64})`,
      ],
      [
        { name: 'certificate-transparency', because: 'no-log' },
        'certificate transparency: not asked, the trusted root names no log',
      ],
      [
        { name: 'certificate-transparency', because: 'ignored' },
        'certificate transparency: not asked, --insecure-ignore-sct was given',
      ],
      [{ name: 'inclusion' }, "that the entry is in the log's tree: there is only the log's promise to put it there"],
      [
        { name: 'witnesses' },
        'that the log shows everybody the same tree: no witness was checked (give a policy with witnesses)',
      ],
    ];
    for (const [fact, text] of facts) expect(notProvenSentence(fact)).toBe(text);
  });

  it('name who vouches for a time', () => {
    expect(timeSentence({ kind: 'witness', time, by: 'all' }).by).toBe('the quorum "all" of the policy');
    expect(timeSentence({ kind: 'timestamp', time, by: 'CN=\ttsa' }).by).toBe('CN= tsa');
    expect(timeSentence({ kind: 'promise', time, by: 'log' })).toEqual({
      kind: 'promise',
      time: '2026-01-02T03:04:05.000Z',
      by: 'log',
    });
  });
});
