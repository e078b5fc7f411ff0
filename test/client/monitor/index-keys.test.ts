/** What the rules of a monitor read in an entry is found by the keys of the index: otherwise a monitor with an index is blind to it. */
import { describe, expect, it } from 'vitest';
import { readEntry } from '../../../client/monitor/rules/entry-reader.ts';
import { extractKeys } from '../../../merkle/index/extract.ts';
import { issuerIdentity } from '../../../merkle/index/keys.ts';
import { fulcioCertificate, githubRun, hashedRekord } from '../../support/fulcio.ts';
import { hidingEntries, oddBodies, plainEntries } from '../../support/odd-entries.ts';

const FULCIO = '1.3.6.1.4.1.57264.1';

/** What the reader of the rules finds and no key says, of an entry that the monitor does not look at by its kind either. */
function unseen(body: Uint8Array): string[] {
  const keys = new Set(extractKeys(body).map(({ kind, value }) => `${kind} ${value}`));
  if (keys.has('kind unreadable') || keys.has('kind opaque')) return [];
  const { digests, signers } = readEntry(body);
  const wanted = digests.map((hex) => `digest sha${4 * hex.length}:${hex}`);
  for (const { key, names, issuer, extensions } of signers) {
    wanted.push(`key ${key}`, ...names.map(({ value }) => `identity ${value}`));
    if (issuer !== undefined) {
      wanted.push(`issuer ${issuer}`, ...names.map(({ value }) => `issuer-identity ${issuerIdentity(issuer, value)}`));
    }
    for (let number = 1; number < 40; number++) {
      const text = extensions.get(`${FULCIO}.${number}`);
      if (text !== undefined && number !== 1 && number !== 8) wanted.push(`extension ${FULCIO}.${number}=${text}`);
    }
  }
  return wanted.filter((key) => !keys.has(key));
}

/** A generator that gives the same numbers each time: 0 to below `end`. */
function numbers(seed: number): (end: number) => number {
  let state = seed;
  return (end) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * end);
  };
}

const TAGS = [0x00, 0x01, 0x04, 0x06, 0x0c, 0x16, 0x30, 0x80, 0x81, 0x82, 0x86, 0x87, 0xa0, 0xff];

describe('the keys of the index', () => {
  it('have what the rules read in entries of each kind and in odd ones', () => {
    const all = [...plainEntries(), ...hidingEntries(), ...oddBodies()];
    expect(all.filter(({ body }) => unseen(body).length > 0).map(({ what }) => what)).toEqual([]);
    expect(plainEntries().every(({ body }) => readEntry(body).signers.length > 0)).toBe(true);
  });

  it('have what the rules read in certificates and entries with changes', () => {
    const next = numbers(18);
    const certificates = [
      fulcioCertificate(githubRun('example/app', 'release.yml', 'refs/heads/main')),
      fulcioCertificate({ names: ['a@example.com', 'https://x.example/y'], issuer: 'https://i.example', seed: 's' }),
    ];
    const plain = plainEntries();
    let read = 0;
    for (let i = 0; i < 600; i++) {
      const der = Buffer.from(certificates[i % 2]!);
      for (let n = next(3); n >= 0; n--) der[next(der.length)] = next(3) === 0 ? next(256) : TAGS[next(TAGS.length)]!;
      const body = Buffer.from(plain[next(plain.length)]!.body);
      for (let n = next(3); n >= 0; n--) body[next(body.length)] = next(2) === 0 ? next(256) : 0x41 + next(26);
      for (const changed of [hashedRekord({ certificate: der }), body]) {
        expect(unseen(changed), Buffer.from(changed).toString('latin1')).toEqual([]);
        if (readEntry(changed).problem === undefined) read++;
      }
    }
    expect(read).toBeGreaterThan(200);
  });
});
