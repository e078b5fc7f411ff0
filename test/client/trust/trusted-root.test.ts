import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ClientError } from '../../../client/errors.ts';
import { formatTrustedRoot } from '../../../client/trust/format-trusted-root.ts';
import { parseTrustedRoot, type TrustedLog, type TrustedRoot } from '../../../client/trust/trusted-root.ts';
import type { HashName } from '../../../merkle/rekor/hashes.ts';
import { type Period, within } from '../../../merkle/x509/utc-time.ts';
import { Instance, type Json } from '../../support/instance.ts';
import { bundleCases } from '../../support/vectors.ts';
import { testKey } from '../verify/verify-parts.ts';

const instance = new Instance();
const bytesOf = (json: Json) => Buffer.from(JSON.stringify(json));
/** The trusted root of the instance after `change`. */
const changed = (change: (json: Json) => void) => {
  const json = instance.trustedRoot();
  change(json);
  return bytesOf(json);
};
const refusal = (file: Uint8Array): string => {
  try {
    parseTrustedRoot(file);
  } catch (error) {
    if (error instanceof ClientError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'accepted';
};

describe('the operator of a log or an authority', () => {
  it('is read; the empty text is none', () => {
    const root = parseTrustedRoot(
      changed((json) => {
        json.tlogs[0].operator = 'sigstore.dev';
        json.tlogs[1].operator = '';
        json.timestampAuthorities[0].operator = 'time.example';
      }),
    );
    expect(root.tlogs.map(({ operator }) => operator)).toEqual(['sigstore.dev', undefined]);
    expect(root.timestampAuthorities[0]!.operator).toBe('time.example');
    expect(root.certificateAuthorities[0]).not.toHaveProperty('operator');
  });

  it('is text', () => {
    const file = changed((json) => {
      json.timestampAuthorities[0].operator = 7;
    });
    expect(refusal(file)).toMatch(/^trusted-root: .*timestampAuthorities\[0\]\.operator is not text/);
  });
});

describe('the versions of a trusted root', () => {
  const typed = (mediaType: string) =>
    refusal(
      changed((json) => {
        json.mediaType = mediaType;
      }),
    );

  it('are 0.1, in both of its media types, and 0.2', () => {
    for (const known of ['+json;version=0.1', '.v0.1+json', '.v0.2+json']) {
      expect(typed(`application/vnd.dev.sigstore.trustedroot${known}`)).toBe('accepted');
    }
    for (const other of ['+json;version=0.2', '.v0.3+json', '.v0.2+JSON', '']) {
      expect(typed(`application/vnd.dev.sigstore.trustedroot${other}`)).toMatch(
        /^trusted-root: .*mediaType is neither/,
      );
    }
  });
});

describe('a validity', () => {
  const validity = (list: 'tlogs' | 'ctlogs' | 'certificateAuthorities' | 'timestampAuthorities', validFor?: object) =>
    refusal(
      changed((json) => {
        const item = json[list][0];
        if (list.endsWith('logs')) item.publicKey.validFor = validFor;
        else item.validFor = validFor;
      }),
    );

  const [start, end] = ['2020-01-01T00:00:00Z', '2030-01-01T00:00:00Z'];

  it.each(['tlogs', 'ctlogs'] as const)('of %s may lack its end and not its start', (list) => {
    expect(validity(list, { start })).toBe('accepted');
    expect(validity(list, { start, end: null })).toBe('accepted');
    expect(validity(list, { start, end })).toBe('accepted');
    for (const wrong of [undefined, {}, { end }, { start: null, end }, { start: '' }]) {
      expect(validity(list, wrong)).toMatch(/^trusted-root: .*validFor\.start /);
    }
  });

  it.each(['certificateAuthorities', 'timestampAuthorities'] as const)('of %s may lack start and end', (list) => {
    for (const validFor of [undefined, {}, { start }, { end }, { start: null, end: null }, { start, end }]) {
      expect(validity(list, validFor)).toBe('accepted');
    }
    expect(validity(list, { start: '' })).toMatch(/^trusted-root: .*validFor\.start /);
    expect(validity(list, { start: end, end: start })).toMatch(/ends before it starts/);
    const ended = changed((json) => {
      json[list][0].validFor = { end: start };
    });
    const [{ validFor } = { validFor: undefined }] = parseTrustedRoot(ended)[list];
    expect(within(validFor!, Date.parse(start))).toBe(true);
    expect(within(validFor!, 0)).toBe(true);
    expect(within(validFor!, Date.parse(start) + 1)).toBe(false);
  });
});

describe('a trusted root that is written', () => {
  const others = bundleCases().flatMap(({ all }) => all.map(({ trustedRoot }) => parseTrustedRoot(trustedRoot)));
  const authorities = parseTrustedRoot(bytesOf(instance.trustedRoot())).timestampAuthorities;

  const id = fc.uint8Array({ minLength: 4, maxLength: 40 });
  const operator = fc.option(fc.string({ minLength: 1, unit: 'grapheme' }), { nil: undefined });
  const time = fc.integer({ min: 0, max: Date.parse('9999-12-31T23:59:59Z') });
  const period = fc
    .tuple(time, fc.option(time, { nil: undefined }))
    .map(([start, end]) =>
      end === undefined ? { start } : { start: Math.min(start, end), end: Math.max(start, end) },
    );
  const open = period.map((given): Period => ({ ...given, start: Number.NEGATIVE_INFINITY }));
  const keys: readonly Pick<TrustedLog, 'key' | 'hash'>[] = [
    ...(['P-256', 'P-384', 'P-521', 'rsa'] as const)
      .map((kind) => testKey(kind))
      .map(({ info, hash }) => ({ key: info, hash })),
    ...(['P-384', 'P-521'] as const).map((kind) => ({ key: testKey(kind).info, hash: 'sha256' as HashName })),
    parseTrustedRoot(bytesOf(instance.trustedRoot())).tlogs[1]!,
  ].map(({ key, hash }) => ({ key, hash }));
  const some = <T extends object, U>(value: T, more: U | undefined, name: string) =>
    more === undefined ? value : { ...value, [name]: more };
  const log = fc
    .record({
      baseUrl: fc.webUrl(),
      named: fc.constantFrom(...keys),
      validFor: period,
      logId: id,
      checkpointKeyId: id,
      operator,
    })
    .map(({ named, operator: by, ...rest }): TrustedLog => some({ ...rest, ...named }, by, 'operator'));
  const authority = fc
    .record({ uri: fc.webUrl(), validFor: fc.oneof(period, open), operator, commonName: fc.string() })
    .map(({ operator: by, commonName, ...rest }) =>
      some({ subject: { commonName }, ...rest, certificates: authorities[0]!.certificates }, by, 'operator'),
    );
  const root: fc.Arbitrary<TrustedRoot> = fc.record({
    tlogs: fc.array(log, { maxLength: 4 }),
    certificateAuthorities: fc.array(authority, { maxLength: 2 }),
    ctlogs: fc.array(log, { maxLength: 2 }),
    timestampAuthorities: fc.array(authority, { maxLength: 2 }),
  });

  /** For comparison: a certificate has functions. */
  const plain = (its: TrustedRoot) => {
    const hex = (list: TrustedRoot['timestampAuthorities']) =>
      list.map(({ certificates, ...rest }) => ({
        ...rest,
        certificates: certificates.map(({ der }) => Buffer.from(der).toString('hex')),
      }));
    const { certificateAuthorities: cas, timestampAuthorities: tsas } = its;
    return { ...its, certificateAuthorities: hex(cas), timestampAuthorities: hex(tsas) };
  };

  it('is the same when it is read again, in version 0.2', () => {
    fc.assert(
      fc.property(root, (its) => {
        expect(plain(parseTrustedRoot(formatTrustedRoot(its, '0.2')))).toEqual(plain(its));
      }),
      { numRuns: 50 },
    );
    for (const its of others) expect(plain(parseTrustedRoot(formatTrustedRoot(its, '0.2')))).toEqual(plain(its));
  });

  it('has no operators in version 0.1, and nothing else is lost', () => {
    const without = <T extends { operator?: string }>({ operator: _, ...rest }: T) => rest;
    fc.assert(
      fc.property(root, (any) => {
        const same = (one: TrustedLog): TrustedLog => ({ ...one, checkpointKeyId: one.logId });
        const its = { ...any, tlogs: any.tlogs.map(same), ctlogs: any.ctlogs.map(same) };
        const file = formatTrustedRoot(its, '0.1');
        expect(new TextDecoder().decode(file)).not.toMatch(/checkpointKeyId|operator"/);
        const bare = {
          tlogs: its.tlogs.map(without),
          certificateAuthorities: its.certificateAuthorities.map(without),
          ctlogs: its.ctlogs.map(without),
          timestampAuthorities: its.timestampAuthorities.map(without),
        };
        expect(plain(parseTrustedRoot(file))).toEqual(plain(bare));
      }),
      { numRuns: 50 },
    );
  });

  it('is refused in version 0.1 where only 0.2 can hold it', () => {
    const [first] = parseTrustedRoot(bytesOf(instance.trustedRoot())).tlogs as [TrustedLog];
    const two = { ...first, checkpointKeyId: first.logId.subarray(0, 4) };
    const its = { tlogs: [two], certificateAuthorities: [], ctlogs: [], timestampAuthorities: [] };
    expect(() => formatTrustedRoot(its, '0.1')).toThrow(/cannot hold: write v0\.2/);
    expect(parseTrustedRoot(formatTrustedRoot(its, '0.2'))).toEqual(its);
  });
});
