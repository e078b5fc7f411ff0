/** A signing configuration and a trusted root that name fake logs. */
import { trustedRoot } from '../../../client/cli/up/trust-files.ts';
import type { ReadLocation } from '../../../client/follow/shards.ts';
import { parseVerifierKey } from '../../../merkle/verifier-key.ts';
import type { FakeLog } from '../../support/fake-log.ts';

export const SOURCE = { name: 'sigstore', signingConfig: 'config', trustedRoot: 'root' };
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
  const roots = logs.map(
    (log) =>
      trustedRoot(`https://${log.origin}`, parseVerifierKey(log.vkey), '2026-01-01T00:00:00Z') as { tlogs: object[] },
  );
  const root = { ...roots[0], tlogs: roots.flatMap(({ tlogs }) => tlogs) };
  return async (location) => Buffer.from(JSON.stringify(location === 'config' ? config : root));
}
