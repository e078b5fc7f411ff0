/** What a running log reads anew, and what needs a restart. */

import { formatVerifierKey } from '../merkle/note.ts';
import type { Policy } from '../merkle/policy.ts';
import type { Setting } from '../merkle/runtime/config/settings.ts';
import type { Logger } from '../merkle/runtime/service/logger.ts';
import { differing, type Reloaded, Reloads } from '../merkle/runtime/service/reloads.ts';
import type { ServedTls } from '../merkle/runtime/service/served-tls.ts';
import type { Config } from './config/load.ts';
import { checkWitnessIds, quorumText, readPolicy } from './cosign/policy.ts';
import type { HttpOptions } from './http/context.ts';
import type { LogAccess } from './http/log-access.ts';
import type { Metrics } from './metrics.ts';
import type { OpenLog } from './open.ts';

/**
 * The settings that take effect at once, and all of `outgoing`. The files that `tls`, `policy` and `outgoing` name are read anew, also
 * under the same names.
 */
const LIVE: readonly string[] = [
  'tls.cert',
  'tls.key',
  'policy',
  'identity.access',
  'limits.bodyBytes',
  'limits.bodiesBytes',
  'limits.bodiesBytesPerAddress',
  'limits.bodyRate',
  'limits.bodyGrace',
  'limits.urlBytes',
  'limits.connections',
  'limits.connectionsPerAddress',
  'limits.outstanding',
  'limits.unpublished',
  'rateLimit.max',
  'rateLimit.window',
  'readiness.maxCheckpointDelay',
  'retryAfter',
];

/** The part of the configuration that the HTTP layer reads at each use. */
type LiveOptions = { -readonly [Name in keyof HttpOptions]: HttpOptions[Name] };

interface LogReload {
  readonly config: Config;
  readonly settings: readonly Setting[];
  /** Reads the configuration from where this start read it. */
  readonly reread: () => Config;
  readonly http: LiveOptions;
  readonly metrics: Metrics;
  /** The logs that are open now. */
  readonly opened: () => readonly Pick<OpenLog, 'limits' | 'cosigner' | 'useOutgoing'>[];
  /** Runs a step while no shard of the log is being opened, which would keep what the step replaces. */
  readonly inTurn: <T>(step: () => Promise<T>) => Promise<T>;
  /** Called with the configuration that is in use from now on. */
  readonly onChange?: (config: Config) => void;
  /** Undefined without TLS. */
  readonly port: ServedTls | undefined;
  /** Undefined where everybody may write. */
  readonly access?: Pick<LogAccess, 'reread'> | undefined;
  readonly logger: Logger;
}

export function logReloads(options: LogReload): Reloads {
  const { settings, reread, http, opened, port, logger, metrics } = options;
  /** What is in use. */
  let config = options.config;

  const tls = async (next: Config, reloads: Reloads): Promise<boolean> => {
    const { tls: source } = next;
    if (port === undefined || source === undefined) return false;
    let isUsed = false;
    await reloads.take('certificate', async () => {
      isUsed = await port.use(source);
    });
    return isUsed;
  };
  const policy = async (next: Config, reloads: Reloads): Promise<boolean> => {
    const cosigners = opened().flatMap(({ cosigner }) => cosigner ?? []);
    const { policy: file } = next;
    if (cosigners.length === 0 || file === undefined) return false;
    return await reloads.take('policy', async () => {
      const after = await readPolicy(file);
      if (after.witnesses.length === 0) throw new Error(`the policy ${file} names no witness: that needs a restart.`);
      checkWitnessIds(after, next.outgoing.witnessIds);
      const changed = cosigners.filter(({ policy }) => policyText(policy) !== policyText(after));
      const [before] = changed.map(({ policy }) => policy);
      for (const cosigner of changed) cosigner.replacePolicy(after);
      if (before !== undefined) tellPolicy(logger, before, after);
    });
  };
  // Before the policy: a witness that is new there may need its SPIFFE ID.
  const outgoing = (next: Config, reloads: Reloads): Promise<boolean> =>
    reloads.take('outgoing', async () => {
      for (const log of opened()) await log.useOutgoing(next.outgoing);
    });
  const access = async (next: Config, reloads: Reloads): Promise<boolean> => {
    const { access: used } = options;
    const { identity } = next;
    if (used === undefined || identity === undefined) return false;
    return await reloads.take('access policy', () => used.reread(identity.access));
  };
  const run = async (reloads: Reloads): Promise<Reloaded> => {
    const next = reread();
    reloads.good('configuration');
    const differ = differing(config, next, settings);
    const isUsed = {
      tls: await tls(next, reloads),
      outgoing: await outgoing(next, reloads),
      policy: await policy(next, reloads),
      'identity.access': await access(next, reloads),
    };
    const changed = differ.filter((name) => {
      const group = name.split('.')[0];
      if (name === 'identity.access') return isUsed[name];
      if (group === 'outgoing') return isUsed.outgoing;
      return LIVE.includes(name) && (group === 'tls' || group === 'policy' ? isUsed[group] : true);
    });
    const restart = differ.filter((name) => !changed.includes(name) && !(isKept(name) && reloads.failed));
    config = withSettings(config, next, changed);
    http.limits = config.limits;
    http.rateLimit = config.rateLimit;
    http.retryAfter = config.retryAfter;
    const { outstanding, unpublished } = config.limits;
    for (const { limits } of opened()) Object.assign(limits, { outstanding, unpublished, ...config.readiness });
    options.onChange?.(config);
    return { changed, restart };
  };
  const reloads = new Reloads({
    run: (all) => options.inTurn(() => run(all)),
    logger,
    onEnd: (result) => metrics.reloads.inc({ result }),
  });
  metrics.reloadFailed = () => reloads.failed;
  return reloads;
}

/** A part that failed is told as that, and not as one that needs a restart. */
function isKept(name: string): boolean {
  return name === 'policy' || name === 'identity.access' || name.startsWith('tls.') || name.startsWith('outgoing.');
}

/** `config` with these settings of `next`. */
function withSettings(config: Config, next: Config, names: readonly string[]): Config {
  const result: Record<string, unknown> = { ...config };
  for (const name of names) {
    const [group, leaf] = name.split('.') as [keyof Config, string | undefined];
    if (leaf === undefined) result[group] = next[group];
    else
      result[group] = {
        ...(result[group] as object),
        [leaf]: (next[group] as Record<string, unknown> | undefined)?.[leaf],
      };
  }
  return result as unknown as Config;
}

function tellPolicy(logger: Logger, before: Policy, after: Policy): void {
  const told = (policy: Policy) => ({ quorum: quorumText(policy), witnesses: policy.witnesses.map(witnessText) });
  const same = quorumText(before) === quorumText(after);
  const fields = { before: told(before), after: told(after) };
  logger.warn(fields, same ? 'the witnesses of the policy have changed' : 'the quorum of the policy has changed');
}

function policyText(policy: Policy): string {
  return [quorumText(policy), ...policy.witnesses.map(witnessText)].join('\n');
}

function witnessText({ name, key, url }: Policy['witnesses'][number]): string {
  return `${name} ${formatVerifierKey(key)}${url === undefined ? '' : ` ${url}`}`;
}
