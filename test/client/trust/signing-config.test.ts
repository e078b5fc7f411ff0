import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ClientError } from '../../../client/errors.ts';
import {
  formatSigningConfig,
  parseSigningConfig,
  type SigningConfig,
  type SigningService,
  selectService,
  selectServices,
} from '../../../client/trust/signing-config.ts';
import type { Json } from '../../support/instance.ts';

const bytesOf = (json: Json) => Buffer.from(JSON.stringify(json));
const service = (url: string, more: Json = {}) => ({
  url,
  majorApiVersion: 2,
  validFor: { start: '2026-01-01T00:00:00Z' },
  operator: 'a.example',
  ...more,
});
/** As Sigstore's own instances publish it. */
const config = (): Json => ({
  mediaType: 'application/vnd.dev.sigstore.signingconfig.v0.2+json',
  caUrls: [service('https://ca.example', { majorApiVersion: 1 })],
  oidcUrls: [service('https://oidc.example/auth', { majorApiVersion: 1 })],
  rekorTlogUrls: [service('https://log2.example'), service('https://log1.example', { majorApiVersion: 1 })],
  tsaUrls: [service('https://tsa.example/api/v1/timestamp', { majorApiVersion: 1 })],
  rekorTlogConfig: { selector: 'ANY' },
  tsaConfig: { selector: 'EXACT', count: 1 },
});
const errorOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof ClientError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'accepted';
};
const refusal = (change: (json: Json) => void): string => {
  const json = config();
  change(json);
  return errorOf(() => parseSigningConfig(bytesOf(json)));
};

describe('a signing configuration', () => {
  it('is read, with the names and the enumeration of proto3 JSON', () => {
    const read = parseSigningConfig(bytesOf(config()));
    expect(read.rekorTlogUrls[0]).toEqual({
      url: 'https://log2.example',
      majorApiVersion: 2,
      validFor: { start: Date.parse('2026-01-01T00:00:00Z') },
      operator: 'a.example',
    });
    expect([read.rekorTlogConfig, read.tsaConfig]).toEqual([{ selector: 'ANY' }, { selector: 'EXACT', count: 1 }]);
    const { mediaType, tsaUrls, ...rest } = config();
    const snake = { ...rest, media_type: mediaType, tsa_urls: tsaUrls, tsa_config: { selector: 1 }, tsaConfig: null };
    expect(parseSigningConfig(bytesOf(snake)).tsaConfig).toEqual({ selector: 'ALL' });
    expect(parseSigningConfig(bytesOf({ mediaType }))).toMatchObject({ rekorTlogUrls: [], rekorTlogConfig: undefined });
  });

  it.each<[string, (json: Json) => void, RegExp]>([
    ['another version', (json) => (json.mediaType = json.mediaType.replace('v0.2', 'v0.1')), /mediaType is "/],
    ['a trusted root', (json) => (json.mediaType = 'application/vnd.dev.sigstore.trustedroot.v0.2+json'), /mediaType/],
    ['an unknown field', (json) => (json.rekorTlogUrl = 'https://log.example'), /unknown field "rekorTlogUrl"/],
    ['a service without a URL', (json) => delete json.rekorTlogUrls[0].url, /rekorTlogUrls\[0\]\.url is missing/],
    ['a URL without a scheme', (json) => (json.tsaUrls[0].url = 'tsa.example'), /tsaUrls\[0\]\.url is not an http/],
    ['another scheme', (json) => (json.tsaUrls[0].url = 'file:///etc/passwd'), /tsaUrls\[0\]\.url is not an http/],
    ['a version below zero', (json) => (json.rekorTlogUrls[0].majorApiVersion = -1), /majorApiVersion/],
    ['a time that is none', (json) => (json.caUrls[0].validFor.end = 'never'), /caUrls\[0\]\.validFor\.end/],
    ['another selector', (json) => (json.rekorTlogConfig.selector = 'SOME'), /selector is "SOME"/],
    ['EXACT without a count', (json) => (json.tsaConfig = { selector: 'EXACT' }), /tsaConfig\.count is 0/],
    ['65 services', (json) => (json.oidcUrls = Array(65).fill(json.oidcUrls[0])), /more than 64/],
  ])('with %s is refused', (_, change, why) => {
    expect(refusal(change)).toMatch(/^signing-config: the signing configuration cannot be used: /);
    expect(refusal(change)).toMatch(why);
  });

  it('that is no JSON is refused', () => {
    expect(errorOf(() => parseSigningConfig(Buffer.from('{')))).toMatch(/^signing-config: /);
    expect(errorOf(() => parseSigningConfig(Buffer.alloc(1024 * 1024 + 1, ' ')))).toMatch(/^signing-config: /);
  });

  it('is the same when it is written and read again', () => {
    const time = fc.option(fc.integer({ min: 0, max: Date.parse('9999-12-31T23:59:59Z') }), { nil: undefined });
    const services = fc.array(
      fc.record({ url: fc.webUrl(), majorApiVersion: fc.nat(9), start: time, end: time, operator: fc.string() }).map(
        ({ start, end, ...rest }): SigningService => ({
          ...rest,
          validFor: { ...(start === undefined ? {} : { start }), ...(end === undefined ? {} : { end }) },
        }),
      ),
      { maxLength: 3 },
    );
    const selection = fc.oneof(
      fc.constantFrom({ selector: 'ALL' } as const, { selector: 'ANY' } as const, undefined),
      fc.integer({ min: 1, max: 9 }).map((count) => ({ selector: 'EXACT', count }) as const),
    );
    const any: fc.Arbitrary<SigningConfig> = fc.record({
      ...{ caUrls: services, oidcUrls: services, rekorTlogUrls: services, rekorTlogConfig: selection },
      ...{ tsaUrls: services, tsaConfig: selection },
    });
    fc.assert(fc.property(any, (its) => void expect(parseSigningConfig(formatSigningConfig(its))).toEqual(its)));
  });
});

describe('the one authority that a client uses', () => {
  const NOW = Date.parse('2026-06-01T00:00:00Z');
  const of = (url: string, start?: string, more: Partial<SigningService> = {}): SigningService => ({
    ...{ url, majorApiVersion: 1, operator: 'us', validFor: start === undefined ? {} : { start: Date.parse(start) } },
    ...more,
  });
  const select = (...services: SigningService[]) => selectService(services, 'certificate authority', [1], NOW).url;

  it('is the newest one that is valid now, whoever runs it, and the first of two', () => {
    expect(select(of('a', '2026-01-01'), of('b', '2026-02-01', { operator: 'them' }))).toBe('b');
    expect(select(of('a', '2026-02-01'), of('b', '2026-01-01'))).toBe('a');
    expect(select(of('a', '2026-01-01'), of('b', '2026-01-01'))).toBe('a');
    expect(select(of('a'), of('b', '2026-01-01'))).toBe('b');
    expect(select(of('a', '2026-01-01'), of('later', '2026-07-01'))).toBe('a');
    const ended = of('ended', '2026-03-01', { validFor: { start: 0, end: NOW - 1 } });
    expect(select(of('a', '2026-01-01'), ended)).toBe('a');
  });

  it('speaks an API that the client speaks, the highest one', () => {
    const services = [of('v1', '2026-02-01'), of('v2', '2026-01-01', { majorApiVersion: 2 })];
    expect(select(...services)).toBe('v1');
    expect(selectService(services, 'certificate authority', [1, 2], NOW).url).toBe('v2');
  });

  it('is missing, and the error says why', () => {
    expect(errorOf(() => select())).toMatch(/^signing-config: .*names no certificate authority$/);
    expect(errorOf(() => select(of('v2', '2026-01-01', { majorApiVersion: 2 })))).toMatch(/only v2 \(v2\)$/);
    expect(errorOf(() => select(of('later', '2026-07-01')))).toMatch(/is valid at 2026-06-01.*later from 2026-07-01/);
  });
});

describe('the services that a client uses', () => {
  const NOW = Date.parse('2026-06-01T00:00:00Z');
  const at = (text: string) => Date.parse(`${text}T00:00:00Z`);
  const of = (url: string, more: Partial<SigningService> = {}): SigningService => ({
    ...{ url, majorApiVersion: 2, validFor: { start: at('2026-01-01') }, operator: url },
    ...more,
  });
  const select = (services: SigningService[], selection: Parameters<typeof selectServices>[1], versions = [2]) =>
    selectServices(services, selection, 'log', versions, NOW).map(({ url }) => url);
  const ALL = { selector: 'ALL' } as const;
  const exactly = (count: number) => ({ selector: 'EXACT', count }) as const;

  it('are all, the first, or so many, in the order of the list', () => {
    const three = [of('a'), of('b'), of('c')];
    expect(select(three, ALL)).toEqual(['a', 'b', 'c']);
    expect(select(three, { selector: 'ANY' })).toEqual(['a']);
    expect(select(three, exactly(2))).toEqual(['a', 'b']);
    expect(errorOf(() => select(three, exactly(4)))).toMatch(
      /^signing-config: .*asks for 4 logs, each of another operator, and it has logs of 3 operators at this time/,
    );
  });

  it('are of the newest API version that the client speaks, and of no other', () => {
    const mixed = [of('v1', { majorApiVersion: 1 }), of('v2'), of('v3', { majorApiVersion: 3 })];
    expect(select(mixed, ALL)).toEqual(['v2']);
    expect(select(mixed, ALL, [1, 2])).toEqual(['v2']);
    expect(select(mixed, ALL, [1, 2, 3])).toEqual(['v3']);
    expect(errorOf(() => select([mixed[0]!], ALL))).toMatch(
      /names no log that speaks API v2, which Stele speaks, only v1 \(v1\)/,
    );
    const old = [of('old', { validFor: { end: at('2026-05-01') } }), of('v1', { majorApiVersion: 1 })];
    expect(select(old, ALL, [1, 2])).toEqual(['v1']);
    expect(errorOf(() => select([of('v0', { majorApiVersion: 0 })], ALL))).toMatch(/only v0 \(v0\)/);
  });

  it('are valid now, both ends included', () => {
    const valid = (validFor: SigningService['validFor']) => errorOf(() => select([of('a', { validFor })], ALL));
    for (const validFor of [{}, { start: NOW }, { end: NOW }, { start: NOW, end: NOW }]) {
      expect(valid(validFor)).toBe('accepted');
    }
    for (const validFor of [{ start: NOW + 1 }, { end: NOW - 1 }]) {
      expect(valid(validFor)).toMatch(/no log with API v2 is valid at 2026-06-01T00:00:00.000Z: a (from|to) /);
    }
    expect(errorOf(() => select([], ALL))).toMatch(/names no log/);
  });

  it('are one of each operator, the newest one', () => {
    const same = { operator: 'x' };
    const older = of('older', same);
    const newer = of('newer', { ...same, validFor: { start: at('2026-05-01') } });
    const coming = of('coming', { ...same, validFor: { start: at('2026-07-01') } });
    expect(select([older, of('b'), newer, coming], ALL)).toEqual(['b', 'newer']);
    expect(select([newer, of('twin', { ...same, validFor: newer.validFor })], ALL)).toEqual(['newer']);
    expect(errorOf(() => select([older, newer], exactly(2)))).toMatch(/it has logs of 1 operator at this time/);
    // Services without an operator count as one.
    expect(select([of('a', { operator: '' }), of('b', { operator: '' })], ALL)).toEqual(['a']);
  });

  it('need a selector', () => {
    expect(errorOf(() => select([of('a')], undefined))).toMatch(/^signing-config: .*no selector/);
  });
});
