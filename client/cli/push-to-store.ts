/** `--store` of commands that sign: gives the bundle to an attestation store once it is logged and kept here. */
import { printable } from '../../merkle/printable.ts';
import { ClientError, usage } from '../errors.ts';
import type { LogRequestOptions } from '../submit/types.ts';
import { describe, reportFailed } from './report.ts';

export interface StoreOption {
  readonly store?: string;
}

/** What became of a bundle at the store. */
export interface Pushed {
  /** URL of the index. */
  readonly store: string;
  /** `sha256:HEX` of what it keeps, or why it does not. */
  readonly result: string | ClientError;
}

export const STORE_HELP =
  'give the bundle to the attestation store of this index too, such as https://index.example.com';

/** Before anything is signed. @param isLogged whether the signatures go to a log at once. @throws ClientError `usage` */
export async function checkStoreOption({ store }: StoreOption, isLogged: boolean): Promise<void> {
  if (store === undefined) return;
  if (!isLogged) throw usage('--store keeps what a log holds: leave out --no-log and --queue');
  await requestsTo(store);
}

/** @throws ClientError `cancelled`. Every other failure is in the result: the bundle is logged and kept all the same. */
export async function pushTo(
  { store }: StoreOption,
  bundle: Uint8Array,
  { fetch, signal }: Pick<LogRequestOptions, 'fetch' | 'signal'>,
): Promise<Pushed | undefined> {
  if (store === undefined) return undefined;
  const requests = await requestsTo(store, fetch);
  const result = await requests.submit(bundle, signal).catch((error: unknown) => {
    if (error instanceof ClientError && error.code !== 'cancelled') return error;
    throw error;
  });
  return { store: requests.url, result };
}

/** Loaded late: most signatures go to no store. */
async function requestsTo(url: string, fetch?: LogRequestOptions['fetch']) {
  const { AttestationRequests } = await import('../evidence/attestation-requests.ts');
  return new AttestationRequests({ url, fetch, timeoutMs: 30_000 });
}

/** What scripts get. */
export function pushedFacts(pushed: Pushed | undefined): { readonly stored?: object } {
  if (pushed === undefined) return {};
  const { store, result } = pushed;
  if (typeof result === 'string') return { stored: { store, digest: result } };
  const { code, message } = describe(result);
  return { stored: { store, error: { code, message } } };
}

/** Sets the exit status to 1 where a bundle was not stored. */
export function reportNotStored(kept: readonly { readonly out: string; readonly pushed?: Pushed | undefined }[]): void {
  for (const { out, pushed } of kept) {
    if (pushed === undefined || typeof pushed.result === 'string') continue;
    const { code, message } = pushed.result;
    const why = `is logged and kept, and is not in the store: ${message}. Give it again with \`stele index import ${printable(out)} --store ${printable(pushed.store)}\``;
    reportFailed(out, new ClientError(code, why));
    process.exitCode = 1;
  }
}
