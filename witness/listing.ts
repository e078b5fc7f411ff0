/** The logs as an operator sees them: those in the file, and those that were cosigned and have left the file. */
import { encodeBase64 } from '../merkle/bytes.ts';
import { originHash } from '../merkle/witness.ts';
import type { ListedKey } from './log-lines.ts';
import type { Logs } from './logs.ts';
import type { WitnessStore } from './store.ts';

export interface Listing {
  readonly origin: string;
  /** How the witness names it in its URLs. */
  readonly hash: string;
  readonly state: 'witnessed' | 'disabled' | 'not listed';
  readonly keys: readonly string[];
  readonly url?: string;
  /** Checkpoints that are cosigned in a day at most; absent where there is no limit. */
  readonly qpd?: number;
  /** For people: how to reach the log's operator. */
  readonly contact?: string;
  /** Size of the last cosigned checkpoint; absent where there is none. */
  readonly size?: number;
  /** Base64. */
  readonly root?: string;
}

/** Sorted by origin. `store` is undefined while it is not open. */
export function listLogs(logs: Logs, store: WitnessStore | undefined): Listing[] {
  const byOrigin = new Map<string, ListedKey[]>([...(store?.all() ?? [])].map(({ origin }) => [origin, []]));
  for (const key of logs.list()) {
    const keys = byOrigin.get(key.origin);
    if (keys === undefined) byOrigin.set(key.origin, [key]);
    else keys.push(key);
  }
  return [...byOrigin.keys()].sort().map((origin) => {
    const all = byOrigin.get(origin)!;
    const enabled = all.filter(({ disabled }) => !disabled);
    const cosigned = store?.get(origin);
    const url = enabled.find((key) => key.url !== undefined)?.url;
    const contact = all.find((key) => key.contact !== undefined)?.contact;
    const qpd = logs.get(origin)?.qpd;
    return {
      origin,
      hash: originHash(origin),
      state: enabled.length > 0 ? 'witnessed' : all.length > 0 ? 'disabled' : 'not listed',
      keys: (enabled.length > 0 ? enabled : all).map(({ vkey }) => vkey),
      ...(url !== undefined && { url }),
      ...(qpd !== undefined && { qpd }),
      ...(contact !== undefined && { contact }),
      ...(cosigned !== undefined && { size: cosigned.size, root: encodeBase64(cosigned.root) }),
    };
  });
}
