/** The shards of a log of one's own as the trust files describe them. */
import { parseVerifierKey, type VerifierKey } from '../../../merkle/note.ts';
import { usage } from '../../errors.ts';
import { endOf } from '../../trust/last-checkpoint.ts';
import { type DescribedLog, knownStart } from '../../trust/trust-files.ts';
import type { ServerMain } from '../settings-flags.ts';

export type ShardInfo = Awaited<ReturnType<ServerMain['listShards']>>[number];
export type Shards = readonly [DescribedLog, ...DescribedLog[]];

export interface DescribeOptions {
  readonly entries: 'signed' | 'raw';
  /** Text of the policy. */
  readonly policy: string | undefined;
  /** An earlier trusted root, whose start of the first key stays. */
  readonly before: Uint8Array | undefined;
  /** When the keys become valid, in milliseconds since 1970; by default as `before` says, or else in 1970. */
  readonly start?: number | undefined;
}

/**
 * @param infos what `listShards` says
 * @throws ClientError `usage`: a shard has no public URL
 */
export function describeShards(infos: readonly ShardInfo[], options: DescribeOptions): Shards {
  const { entries, policy, before } = options;
  const [first, ...further] = infos.map((info) => ({ info, keys: keysOf(info), url: info.url ?? noUrl(info) }));
  const start = options.start ?? (before && knownStart(before, first!.keys[0])) ?? 0;
  const isFrozen = new Set(infos.filter(({ status }) => status === 'frozen').map(({ origin }) => origin));
  const described = ({ info, keys, url }: NonNullable<typeof first>): DescribedLog => {
    const { origin, status, predecessor, lastCheckpoint } = info;
    // A prepared shard opens next where the one before it has ended.
    const announced = status === 'prepared' && predecessor !== undefined && !isFrozen.has(predecessor);
    return {
      origin,
      url,
      keys,
      rekor: entries !== 'raw',
      policy,
      start,
      ...(announced && { announced }),
      ...(lastCheckpoint !== undefined && { lastCheckpoint, end: endOf(lastCheckpoint) }),
    };
  };
  return [described(first!), ...further.map(described)];
}

function keysOf({ verifierKeys }: ShardInfo): [VerifierKey, ...VerifierKey[]] {
  const [own, ...others] = verifierKeys.map(parseVerifierKey);
  return [own!, ...others];
}

function noUrl({ origin }: ShardInfo): never {
  throw usage(
    '`publicUrl` is not set: these files tell others where the log is. Set it to the address by which they reach it, such ' +
      `as https://${origin} (\`publicUrl\` in the configuration, --public-url)`,
  );
}
