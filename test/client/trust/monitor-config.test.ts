import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ClientError } from '../../../client/errors.ts';
import { formatMonitoredLogs, type MonitoredLogs, parseMonitoredLogs } from '../../../client/trust/monitor-config.ts';
import type { Json } from '../../support/instance.ts';

const log = (more: object = {}) => ({
  readUrl: 'https://read.log.example',
  logOrigin: 'log.example',
  majorApiVersion: 2,
  ...more,
});
const parse = (json: Json) => parseMonitoredLogs(Buffer.from(typeof json === 'string' ? json : JSON.stringify(json)));

describe('a monitor configuration', () => {
  it('is read, with the names of proto3 JSON', () => {
    const ct = log({ majorApiVersion: 1 });
    expect(parse({ rekorLogs: [log()], ctLogs: [ct] })).toEqual({ rekorLogs: [log()], ctLogs: [ct] });
    expect(parse({ rekor_logs: [{ read_url: 'https://a.example', log_origin: 'a', major_api_version: '2' }] })).toEqual(
      {
        rekorLogs: [{ readUrl: 'https://a.example', logOrigin: 'a', majorApiVersion: 2 }],
        ctLogs: [],
      },
    );
    expect(parse({})).toEqual({ rekorLogs: [], ctLogs: [] });
  });

  it('is the same when it is written and read again', () => {
    const logs = fc.array(
      fc.record({
        readUrl: fc.webUrl(),
        logOrigin: fc.string({ minLength: 1 }).filter((text) => !/[\r\n]/.test(text)),
        majorApiVersion: fc.nat(9),
      }),
    );
    const any: fc.Arbitrary<MonitoredLogs> = fc.record({ rekorLogs: logs, ctLogs: logs });
    fc.assert(fc.property(any, (its) => void expect(parseMonitoredLogs(formatMonitoredLogs(its))).toEqual(its)));
  });

  it.each<[string, Json, RegExp]>([
    ['what is no JSON', '{', /JSON/],
    ['an unknown field', { rekorLogs: [], logs: [] }, /unknown field "logs"/],
    ['a log without a URL', { rekorLogs: [log({ readUrl: undefined })] }, /rekorLogs\[0\]\.readUrl is missing/],
    ['a URL of another kind', { ctLogs: [log({ readUrl: 'file:///etc' })] }, /ctLogs\[0\]\.readUrl is not an http/],
    ['a log without an origin', { rekorLogs: [log({ logOrigin: '' })] }, /logOrigin is not the origin/],
    ['an origin of two lines', { rekorLogs: [log({ logOrigin: 'a\nb' })] }, /logOrigin is not the origin/],
    ['a version that is none', { rekorLogs: [log({ majorApiVersion: 2.5 })] }, /majorApiVersion/],
    ['257 logs', { ctLogs: Array(257).fill(log()) }, /more than 256/],
  ])('is not %s', (_, json, why) => {
    let error: unknown;
    try {
      parse(json);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(ClientError);
    expect((error as ClientError).code).toBe('monitor-config');
    expect((error as ClientError).message).toMatch(why);
  });
});
