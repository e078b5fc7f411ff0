/** A signing configuration and a trusted root that name fake logs. */

import type { ReadLocation } from '../../../client/follow/shards.ts';
import { formatTrustedRoot } from '../../../client/trust/format-trusted-root.ts';
import { trustedRootOf } from '../../../client/trust/trust-files.ts';
import { parseVerifierKey } from '../../../merkle/verifier-key.ts';
import type { FakeLog } from '../../support/fake-log.ts';

export const SOURCE = { name: 'sigstore', signingConfig: 'config', trustedRoot: 'root' };
export const MONITOR_SOURCE = { name: 'sigstore', monitorConfig: 'monitor', trustedRoot: 'root' };
export const NOW = Date.parse('2026-06-01T00:00:00Z');

/** The two files for these logs, as `stele up` writes them. */
export function filesOf(logs: readonly FakeLog[], urls = logs.map((log) => `https://${log.origin}`)): ReadLocation {
  const config = {
    mediaType: 'application/vnd.dev.sigstore.signingconfig.v0.2+json',
    rekorTlogUrls: urls.map((url) => ({
      url,
      majorApiVersion: 2,
      validFor: { start: '2026-01-01T00:00:00Z' },
      operator: 'x',
    })),
  };
  const [root, ...more] = logs.map((log) =>
    trustedRootOf(`https://${log.origin}`, parseVerifierKey(log.vkey), Date.parse('2026-01-01T00:00:00Z'), 'x'),
  );
  const all = { ...root!, tlogs: [root!, ...more].flatMap(({ tlogs }) => tlogs) };
  const monitor = {
    rekorLogs: logs.map(({ origin }, at) => ({ readUrl: urls[at], logOrigin: origin, majorApiVersion: 2 })),
  };
  return async (location) =>
    location === 'monitor'
      ? Buffer.from(JSON.stringify(monitor))
      : location === 'config'
        ? Buffer.from(JSON.stringify(config))
        : formatTrustedRoot(all, '0.1');
}
