/** The attestation store of an index for its operator's commands: by its directory, or by the operator's port of a running service. */
import { join } from 'node:path';
import { readOwner } from '../../../merkle/runtime/disk/lock.ts';
import { offlineOr } from '../../../merkle/runtime/service/admin-client.ts';
import { ClientError, usage } from '../../errors.ts';
import type { IndexConfig } from '../../search/index-config.ts';
import type { AttestationStore } from '../../search/store/open-store.ts';
import { StoreError } from '../../search/store/store-errors.ts';

/** What became of a piece. */
export interface ImportedPiece {
  /** `sha256:HEX` */
  readonly digest: string;
  readonly known: boolean;
}

export interface StoreAccess {
  /** @throws ClientError `refused`: this piece is not kept; any other code: no piece can be kept now */
  take(piece: Uint8Array): Promise<ImportedPiece>;
  /** @param digest lower-case hex. @returns whether it was there. @throws ClientError */
  forget(digest: string, block: boolean): Promise<boolean>;
  /** @returns whether it was kept out. @throws ClientError */
  unblock(digest: string): Promise<boolean>;
}

const PATH = '/stele/v1/attestations';
/** Codes of the store that are no fault of the piece. */
const OF_STORE = ['storage', 'busy', 'internal', 'full', 'damaged', 'rate'];

/** @throws ClientError `usage`, `state`; RuntimeError as the start of the service */
export async function withStore<T>(config: IndexConfig, work: (store: StoreAccess) => Promise<T>): Promise<T> {
  if (!config.store.enabled) throw usage('the store of this index is off: set "store.enabled" in its configuration');
  const owned = {
    dir: config.data,
    tokenFile: join(config.data, 'admin.token'),
    service: 'index',
    error: (message: string, status: number | undefined, options?: ErrorOptions) => {
      const refused = status !== undefined && status < 500 && status !== 401;
      return new ClientError(refused ? 'refused' : 'unavailable', message, options);
    },
  };
  return await offlineOr(
    owned,
    async () => await inDirectory(config, work),
    async (call) => {
      if ((await readOwner(config.data))?.admin === undefined)
        throw usage('the service of this index is starting: try again');
      return await work({
        take: async (piece) => {
          const body = { piece: Buffer.from(piece).toString('base64') };
          const { attestations } = await call<{ readonly attestations: readonly [ImportedPiece] }>('POST', PATH, body);
          return attestations[0];
        },
        forget: async (digest, block) => {
          const order = call<{ readonly forgotten: boolean }>('POST', `${PATH}/sha256:${digest}/forget`, { block });
          return (await falseWhereRefused(order))?.forgotten ?? false;
        },
        unblock: async (digest) =>
          (await falseWhereRefused(call('POST', `${PATH}/sha256:${digest}/unblock`))) !== undefined,
      });
    },
  );
}

/** The service says by a refusal that it has no such piece. */
async function falseWhereRefused<T>(order: Promise<T>): Promise<T | undefined> {
  return await order.catch((error: unknown) => {
    if (error instanceof ClientError && error.code === 'refused') return undefined;
    throw error;
  });
}

async function inDirectory<T>(config: IndexConfig, work: (store: StoreAccess) => Promise<T>): Promise<T> {
  const { lockDir } = await import('../../../merkle/runtime/disk/lock.ts');
  const lock = await lockDir(config.data);
  try {
    const [{ openStore }, { storeLogs }, { MetricSet }] = await Promise.all([
      import('../../search/store/open-store.ts'),
      import('../../search/store-part.ts'),
      import('../../../merkle/runtime/service/metric-set.ts'),
    ]);
    const store = await openStore({
      dir: join(config.data, 'store'),
      settings: () => config.store,
      logs: storeLogs(config),
      metrics: new MetricSet({ process: false }),
      addressOf: () => '',
      onError: () => {},
    });
    try {
      return await work(accessTo(store));
    } finally {
      await store.close();
    }
  } finally {
    await lock.release();
  }
}

function accessTo(store: AttestationStore): StoreAccess {
  return {
    take: async (piece) => {
      const taken = await asClientError(store.take(piece));
      if (!taken.kept) throw toClientError(taken.error);
      return { digest: `sha256:${taken.digest}`, known: taken.known };
    },
    forget: (digest, block) => asClientError(store.forget(digest, block)),
    unblock: (digest) => asClientError(store.unblock(digest)),
  };
}

async function asClientError<T>(work: Promise<T>): Promise<T> {
  return await work.catch((error: unknown) => {
    throw error instanceof StoreError ? toClientError(error) : error;
  });
}

function toClientError(error: StoreError): ClientError {
  return new ClientError(OF_STORE.includes(error.code) ? 'unavailable' : 'refused', error.message, { cause: error });
}
