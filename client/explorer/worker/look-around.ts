/** What a log and its index say of themselves. None of it is proven; the page says so. */
import { decodeUtf8 } from '../../../merkle/bytes.ts';
import type { ExplorerLog } from '../../../merkle/explorer-config.ts';
import { ClientError } from '../../errors.ts';
import { INDEX_PATH, MAX_INDEX_REPLY, parseIndexDescription } from '../../search/search-json.ts';
import { MAX_CHECKPOINT } from '../../tiles/limits.ts';
import { askPatiently } from '../model/browser-files.ts';
import type { TaskContext } from './protocol.ts';

export interface Around {
  /** What the log says of itself; undefined where it says nothing, as a log that is no Stele. */
  readonly status: string | undefined;
  /** The shard that follows, as the log says. */
  readonly successor: { readonly origin: string; readonly url: string | undefined } | undefined;
  /** Up to which size the index says that it is complete; undefined where none is configured. */
  readonly index: { readonly size: number | undefined } | { readonly why: string } | undefined;
}

const ONCE = { retries: 0, timeoutMs: 10_000 };

/** @throws ClientError `cancelled` */
export async function lookAround({ log }: { readonly log: ExplorerLog }, { signal }: TaskContext): Promise<Around> {
  const [info, index] = await Promise.all([infoOf(log, signal), indexOf(log, signal)]);
  return { ...info, index };
}

async function infoOf({ url }: ExplorerLog, signal: AbortSignal): Promise<Pick<Around, 'status' | 'successor'>> {
  const nothing = { status: undefined, successor: undefined };
  try {
    const { status, bytes } = await askPatiently(`${url}/stele/v1/log`, MAX_CHECKPOINT, signal, ONCE);
    if (status !== 200) return nothing;
    const info = JSON.parse(decodeUtf8(bytes)) as { status?: unknown; successor?: { origin?: unknown; url?: unknown } };
    const { origin, url: next } = info.successor ?? {};
    return {
      status: typeof info.status === 'string' ? info.status : undefined,
      successor: typeof origin === 'string' ? { origin, url: typeof next === 'string' ? next : undefined } : undefined,
    };
  } catch (error) {
    if (error instanceof ClientError && error.code === 'cancelled') throw error;
    return nothing;
  }
}

async function indexOf({ index, origin }: ExplorerLog, signal: AbortSignal): Promise<Around['index']> {
  if (index === undefined) return undefined;
  try {
    const { status, bytes } = await askPatiently(`${index}${INDEX_PATH}`, MAX_INDEX_REPLY, signal, ONCE);
    if (status !== 200) return { why: `the index answers with status ${status}` };
    const described = parseIndexDescription(bytes).logs.find((log) => log.origin === origin);
    return described === undefined ? { why: 'the index does not have this log' } : { size: described.tree?.size };
  } catch (error) {
    if (!(error instanceof ClientError) || error.code === 'cancelled') throw error;
    return { why: error.message };
  }
}
