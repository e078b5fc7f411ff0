/**
 * The attestation store of `stele index`: keeps bundles beside the index, by digest, and finds them by what they are about.
 *
 * It is off by default, and promises nothing: see STORE_NOTICE. The service mounts `routes` at its public port and `adminRoutes` at
 * the operator's, where the operator alone may call.
 */
import type { IncomingMessage } from 'node:http';
import { messagePrimitives } from '../../../merkle/runtime/crypto/message-primitives.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { readFileIfThere } from '../../../merkle/runtime/disk/files.ts';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import type { Route } from '../../../merkle/runtime/service/app.ts';
import type { MetricSet } from '../../../merkle/runtime/service/metric-set.ts';
import type { DocumentedRoute } from '../../../merkle/runtime/service/openapi.ts';
import { LogClient } from '../../submit/log-client.ts';
import { MAX_TRUSTED_ROOT, parseTrustedRoots } from '../../trust/trusted-root.ts';
import type { LogTrust } from '../../verify/types.ts';
import type { PieceTrust } from './check-piece.ts';
import { PieceStore } from './piece-store.ts';
import { StoreIntake, type TakenPiece } from './store-intake.ts';
import { StoreMetrics } from './store-metrics.ts';
import { STORE_NOTICE } from './store-notice.ts';
import { STORE_PATH, storeAdminRoutes, storeRoutes } from './store-routes.ts';
import { type StoreSettings, takesSubmissions } from './store-settings.ts';

/** How often pieces that are too old are looked for, in milliseconds. */
const SWEEP_MS = 60_000;
const MAX_SWEEP = 256;

export interface OpenStoreOptions {
  /** The store's own directory. */
  readonly dir: string;
  /** Read at each use: a reload replaces the limits. `trustedRoot` and `log` are read once. */
  readonly settings: () => StoreSettings;
  /** Who must have signed the checkpoint of each log of the index. */
  readonly logs: readonly { readonly url?: string | undefined; readonly trust: LogTrust }[];
  readonly metrics: MetricSet;
  readonly addressOf: (request: IncomingMessage) => string;
  readonly onError: (error: unknown) => void;
  readonly fetch?: typeof fetch | undefined;
  /** Default 60,000. */
  readonly sweepMs?: number;
}

export interface AttestationStore {
  readonly routes: readonly DocumentedRoute[];
  readonly adminRoutes: readonly Route[];
  /** Takes a piece of the operator. @throws StoreError */
  take(bytes: Uint8Array): Promise<TakenPiece>;
  /** @param digest lower-case hex. @returns whether it was there. @throws StoreError */
  forget(digest: string, block: boolean): Promise<boolean>;
  /** @returns whether it was kept out. @throws StoreError */
  unblock(digest: string): Promise<boolean>;
  /** For the service's page about itself. */
  about(): { readonly url: string; readonly pieces: number; readonly bytes: number; readonly notice: string };
  /** Why the service is not ready, one sentence each. */
  notReady(): readonly string[];
  /** What an operator should know, one sentence each. */
  alarms(): readonly string[];
  close(): Promise<void>;
}

/** @throws RuntimeError `locked`, `store`, `file`, `config`; ClientError `trusted-root` */
export async function openStore(options: OpenStoreOptions): Promise<AttestationStore> {
  const { dir, settings, metrics: set, addressOf, onError } = options;
  const trusts = await trustsOf(options);
  const log = logOf(options);
  const metrics = new StoreMetrics(set);
  let problem: string | undefined;
  const store = await PieceStore.open({
    dir,
    limits: settings,
    onProblem: (now) => {
      problem = now;
      if (now !== undefined) onError(new RuntimeError('store', now));
    },
    onEvicted: (why, pieces) => metrics.forgotten.inc({ why }, pieces),
  });
  metrics.totals = () => store.totals;
  const primitives = messagePrimitives(nodePrimitives());
  const intake = new StoreIntake({ store, settings, trusts: () => trusts, log, primitives });
  const parts = { store, intake, settings, metrics, addressOf, onError };
  let sweeping: Promise<void> | undefined;
  const sweep = async () => {
    const { retention } = settings();
    if (retention === undefined) return;
    while ((await store.forgetBefore(Date.now() - retention)) === MAX_SWEEP);
  };
  const timer = setInterval(() => {
    sweeping ??= sweep()
      .catch(onError)
      .finally(() => {
        sweeping = undefined;
      });
  }, options.sweepMs ?? SWEEP_MS).unref();
  return {
    routes: storeRoutes(parts),
    adminRoutes: storeAdminRoutes(parts),
    take: async (bytes) => (await intake.take(bytes, 'import'))[0]!,
    forget: (digest, block) => store.forget(digest, { block }),
    unblock: (digest) => store.unblock(digest),
    about: () => {
      const { pieces, bytes } = store.totals;
      return { url: STORE_PATH, pieces, bytes, submissions: takesSubmissions(settings()), notice: STORE_NOTICE };
    },
    notReady: () => (problem === undefined ? [] : ['the attestation store failed, and opens itself again']),
    alarms: () => fullness(settings(), store.totals),
    close: async () => {
      clearInterval(timer);
      await sweeping;
      await store.close();
    },
  };
}

function fullness(
  { maxBytes, maxPieces, whenFull }: StoreSettings,
  { bytes, pieces }: { readonly bytes: number; readonly pieces: number },
): string[] {
  if (whenFull !== 'refuse' || (bytes < 0.9 * maxBytes && pieces < 0.9 * maxPieces)) return [];
  return [
    'the attestation store is nearly full: raise `store.maxBytes` or `store.maxPieces`, or set `store.retention`',
  ];
}

/** A piece must hold under one of these. */
async function trustsOf({ settings, logs }: OpenStoreOptions): Promise<readonly PieceTrust[]> {
  const own: PieceTrust[] = logs.map(({ trust }) => trust);
  const { trustedRoot: path } = settings();
  if (path === undefined) return own;
  const file = await readFileIfThere(path, MAX_TRUSTED_ROOT);
  if (file === undefined) throw new RuntimeError('config', `"store.trustedRoot" is not there: ${path}`);
  const trustedRoot = parseTrustedRoots(file);
  return [{ trustedRoot }, ...own];
}

function logOf({ settings, logs, fetch }: OpenStoreOptions): LogClient | undefined {
  const { log } = settings();
  if (log === undefined) return undefined;
  const plain = (url: string | undefined) => url?.replace(/\/+$/, '');
  const known = logs.find(({ url }) => plain(url) === plain(log)) ?? (logs.length === 1 ? logs[0] : undefined);
  if (known !== undefined) return new LogClient(log, known.trust, { ...(fetch && { fetch }), deadline: 30_000 });
  throw new RuntimeError('config', `"store.log" (${log}) is no log of this index: its answers could not be verified`);
}
