/** The settings of sinks, and digests' times. */
import { describe, expect, it } from 'vitest';
import { timeOfDay } from '../../../client/monitor/alerts/sink.ts';
import { nextDaily } from '../../../client/monitor/alerts/sink-line.ts';
import { parseMonitorConfig } from '../../../client/monitor/config/load-monitor.ts';
import { ed25519VerifierKey, formatVerifierKey } from '../../../merkle/verifier-key.ts';
import { decodeSink } from '../../support/sinks.ts';

const problems = (value: unknown) => {
  const decoded = decodeSink(value, '/etc/stele');
  return 'problems' in decoded ? decoded.problems.join('; ') : 'none';
};
const sink = (value: unknown) => {
  const decoded = decodeSink(value, '/etc/stele');
  if ('problems' in decoded) throw new Error(decoded.problems.join());
  return decoded.sink;
};

const webhook = { type: 'webhook', url: 'https://hooks.example.com/x', secrets: [{ file: 'key' }] };
const email = { type: 'email', host: 'mail.example.com', from: 'a@example.com', to: ['b@example.com'] };

describe('the settings of a sink', () => {
  it('have defaults, absolute paths and milliseconds', () => {
    expect(sink(webhook)).toEqual({
      type: 'webhook',
      name: 'webhook',
      severity: 'info',
      url: 'https://hooks.example.com/x',
      secrets: [{ file: '/etc/stele/key' }],
      allow: [],
      timeout: 10_000,
    });
    const secure = { ...email, user: 'u', passwordFile: '../p', caFile: 'ca.pem', digest: '08:30', timeout: '1m' };
    expect(sink(secure)).toMatchObject({
      tls: 'implicit',
      passwordFile: '/etc/p',
      caFile: '/etc/stele/ca.pem',
      digest: '08:30',
      timeout: 60_000,
    });
    expect(sink({ type: 'stdout' })).toEqual({ type: 'stdout', name: 'stdout', severity: 'info' });
  });

  it.each([
    [undefined, /mapping/],
    [[], /mapping/],
    [{ type: 'pager' }, /"type" must be one of webhook, email, stdout, exec/],
    [{ type: 'constructor' }, /"type"/],
    [{ type: 'stdout', colour: true }, /"colour" is unknown/],
    [{ type: 'stdout', name: 'a b' }, /"name"/],
    [{ type: 'stdout', severity: 'loud' }, /"severity".*one of info, alert, critical/],
    [{ type: 'stdout', digest: '24:00' }, /"digest"/],
    [{ type: 'stdout', digest: '8:00' }, /"digest"/],
    [{ type: 'stdout', kinds: ['match', 'nonsense'] }, /"kinds"/],
    [{ type: 'webhook' }, /"url" is missing.*"secrets" is missing/],
    [{ ...webhook, secrets: [] }, /"secrets"/],
    [{ ...webhook, secrets: ['a secret itself'] }, /"secrets"/],
    [{ ...webhook, secrets: [{ file: 'a', env: 'B' }] }, /"secrets"/],
    [{ ...webhook, url: 'ftp://x/' }, /"url"/],
    [{ ...webhook, url: 'https://user:hunter2@x/' }, /"url"/],
    [{ ...webhook, allow: ['10.0.0.0/99'] }, /"allow"/],
    [{ ...webhook, timeout: '1ms' }, /"timeout"/],
    [{ ...email, to: [] }, /"to"/],
    [{ ...email, to: ['a@b.c\r\nBcc: d@e.f'] }, /"to"/],
    [{ ...email, from: 'me' }, /"from"/],
    [{ ...email, port: 0 }, /"port"/],
    [{ ...email, user: 'u' }, /belong together/],
    [{ ...email, user: 'u', passwordFile: 'a', passwordEnv: 'B' }, /both set/],
    [{ ...email, user: 'u', passwordEnv: 'B', tls: 'none' }, /in the clear/],
    [{ type: 'exec', command: 'rm -rf /' }, /"command"/],
    [{ type: 'exec', command: [] }, /"command"/],
    [{ type: 'exec', command: ['/bin/true', 'a\0b'] }, /"command"/],
  ])('of %j are refused', (value, message) => {
    expect(problems(value)).toMatch(message);
    expect(problems(value)).not.toMatch(/hunter2|a secret itself/);
  });

  it('name each sink once, and at least one', () => {
    const key = formatVerifierKey(ed25519VerifierKey('log.example.com', new Uint8Array(32).fill(7)));
    const config = (sinks: object[]) => () =>
      parseMonitorConfig(JSON.stringify({ logs: [{ dir: '.', keys: [key] }], sinks }), '/etc/stele/monitor.yaml');
    const one = { type: 'stdout' };
    expect(config([one])().sinks).toHaveLength(1);
    expect(config([])).toThrow(/"sinks" .* must be a list of 1 to 32: without a sink no alert reaches anybody/);
    expect(config([one, one])).toThrow(/"stdout" is the name of another sink already/);
    expect(config(Array.from({ length: 33 }, (_, i) => ({ ...one, name: `s${i}` })))).toThrow(/1 to 32/);
  });
});

describe('the time of a digest', () => {
  const day = Date.UTC(2026, 2, 29);
  const hours = (n: number) => n * 3_600_000;

  it.each([
    [0, '08:00', 8],
    [7.99, '08:00', 8],
    [8, '08:00', 32],
    [23.5, '08:00', 32],
    [0, '00:00', 24],
    [23.99, '23:59', 23 + 59 / 60 + 24],
  ])('after %d hours, for %s, is at %d', (after, text, expected) => {
    expect((nextDaily(day + hours(after), timeOfDay(text)) - day) / hours(1)).toBeCloseTo(expected, 6);
  });
});
