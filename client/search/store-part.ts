/** The store of attestations as a part of the service. */

import { join } from 'node:path';
import { openAdminToken } from '../../merkle/runtime/service/admin-token.ts';
import type { IndexConfig } from './index-config.ts';
import type { IndexPart, PartContext } from './index-parts.ts';
import { type OpenStoreOptions, openStore } from './store/open-store.ts';

/** Whose logs count for the pieces of the store. */
export function storeLogs({ logs }: Pick<IndexConfig, 'logs'>): OpenStoreOptions['logs'] {
  return logs.flatMap(({ location, keys, policy }) =>
    keys.map((logKey) => ({ url: location, trust: { logKey, ...(policy !== undefined && { policy }) } })),
  );
}

/** @throws RuntimeError, ClientError as `openStore`; RuntimeError `file`, `secret` of the admin token */
export async function openStorePart(context: PartContext): Promise<IndexPart> {
  const { config, dir, live, metrics, logger, clients, fetch } = context;
  const store = await openStore({
    dir,
    settings: () => live.store,
    logs: storeLogs(config),
    metrics,
    addressOf: (request) => clients.of(request),
    onError: (error) => logger.error({ err: error }, 'the attestation store failed'),
    fetch,
  });
  const token = await openAdminToken(join(config.data, 'admin.token'));
  const { bodiesBytes } = live.limits;
  return {
    name: 'store',
    routes: store.routes,
    about: ['GET  /stele/v1/attestations  attestations by what they are about; a convenience, and no promise of a log'],
    calls: { routes: store.adminRoutes, token, bodiesBytes },
    describe: () => store.about(),
    notReady: () => store.notReady(),
    alarms: () => store.alarms(),
    close: () => store.close(),
  };
}
