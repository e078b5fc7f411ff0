/** Opens the connections of a service or a command to others, as they are configured: what is shown to them, and whom is trusted. */
import { formatPem } from '../../pem.ts';
import type { Certificate } from '../../x509/certificate.ts';
import { namedIdOf } from '../config/tls-settings.ts';
import type { Logger } from '../service/logger.ts';
import type { TlsIdentity } from '../service/tls-files.ts';
import { fileIdentity, svidIdentity } from '../service/tls-identity.ts';
import { type ServerRule, TlsPool } from '../service/tls-pool.ts';
import { readIdentityFile } from './identity-settings.ts';
import { readAuthorities } from './open-identifier.ts';
import { spiffeServerRule } from './server-rule.ts';
import type { BundleSettings, BundleSource } from './spiffe/types.ts';

export interface OutgoingOptions {
  /** Files (PEM) with what is shown to servers. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** In their place, a Workload API whose X.509-SVID is shown. */
  readonly workloadApi?: string | undefined;
  /** Which SVID of the Workload API; the first one where it is undefined. */
  readonly svidId?: string | undefined;
  /** Certificates (PEM) of the authorities that certify servers, in the place of the system's. */
  readonly authorities?: readonly string[] | undefined;
  /** Patterns of the SPIFFE IDs of servers, in the place of their host names. */
  readonly spiffeIds: readonly string[];
  /** By the name of a server: the pattern of its SPIFFE ID, in the place of `spiffeIds`. */
  readonly idsByName?: ReadonlyMap<string, string> | undefined;
  /** Where the bundles for `spiffeIds` and `idsByName` come from. */
  readonly bundles?: BundleSettings | undefined;
  /** What stands before `cert` and `key` in the names of the settings or flags, for messages. */
  readonly named: string;
  /** Requests wait for each other, and use one connection at a time. */
  readonly oneConnection?: boolean | undefined;
  readonly logger?: Logger | undefined;
}

export interface Outgoing {
  /** Connections to servers by `spiffeIds`, or by host name. */
  readonly pool: TlsPool;
  /** Connections to the server that these names share. It must fit the ID of each name that has one; without any, it is as `pool`. */
  poolOf(names: readonly string[]): TlsPool;
  /** What is wrong now, one sentence each: no SVID to show, or bundles that are not the newest. */
  problems(): string[];
  close(): Promise<void>;
}

/** @throws RuntimeError `config`, `file`, `svid`, `trust-bundle` */
export async function openOutgoing(options: OutgoingOptions): Promise<Outgoing> {
  const {
    cert,
    key,
    workloadApi,
    svidId,
    authorities,
    spiffeIds,
    bundles = {},
    named,
    oneConnection,
    logger,
  } = options;
  const { idsByName = new Map<string, string>() } = options;
  const opened: { close(): Promise<void> }[] = [];
  const close = async () => {
    for (const one of opened.splice(0).reverse()) await one.close();
  };
  let fileProblem: string | undefined;
  try {
    let identity: TlsIdentity | undefined;
    if (workloadApi !== undefined) identity = await svidIdentity({ workloadApi, id: svidId }, { logger });
    else if (cert !== undefined && key !== undefined) {
      const onProblem = (problem: string | undefined) => {
        fileProblem = problem;
      };
      identity = await fileIdentity({ cert, key }, { onProblem, named });
    }
    if (identity !== undefined) opened.push(identity);
    let source: BundleSource | undefined;
    if (spiffeIds.length > 0 || idsByName.size > 0) {
      const { openBundleSource } = await import('./spiffe/open-sources.ts');
      source = await openBundleSource(bundles, { logger });
      opened.push(source);
    }
    const pools = new Map<string, TlsPool>();
    opened.push({
      close: async () => {
        for (const pool of pools.values()) pool.close();
      },
    });
    // Each list of patterns that a server must fit, one of each list.
    const poolBy = (lists: readonly (readonly string[])[]) => {
      const known = JSON.stringify(lists);
      const rule = source && allOf(lists.map((patterns) => spiffeServerRule(source, patterns)));
      const pool = pools.get(known) ?? new TlsPool({ authorities, identity, rule, oneConnection });
      pools.set(known, pool);
      return pool;
    };
    const pool = poolBy([spiffeIds]);
    const poolOf = (names: readonly string[]) => {
      const own = new Set(names.flatMap((name) => idsByName.get(name) ?? []));
      return own.size === 0 ? pool : poolBy([...own].map((pattern) => [pattern]));
    };
    const problems = () => {
      const all = [fileProblem, source?.problem];
      try {
        identity?.current();
      } catch (error) {
        all.push((error as Error).message);
      }
      return all.filter((problem) => problem !== undefined);
    };
    return { pool, poolOf, problems, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A server must pass each of these rules. */
function allOf(rules: readonly ServerRule[]): ServerRule {
  return {
    check: (chain, now) => Math.min(...rules.map((rule) => rule.check(chain, now))),
    onChange: (listener) => {
      const stops = rules.map((rule) => rule.onChange(listener));
      return () => {
        for (const stop of stops) stop();
      };
    },
  };
}

export interface OutgoingSettings
  extends Pick<OutgoingOptions, 'cert' | 'key' | 'workloadApi' | 'svidId' | 'spiffeIds'> {
  /** A file (PEM). */
  readonly ca?: string | undefined;
  /** A file of identity settings, with the bundles for `spiffeIds`. */
  readonly identity?: string | undefined;
  /** Items `NAME=SPIFFE-ID`. */
  readonly witnessIds?: readonly string[] | undefined;
}

/**
 * The connections of a service as its group `outgoing` says; undefined where it says nothing.
 * @throws RuntimeError as `openOutgoing`
 */
export async function openConfiguredOutgoing(
  settings: OutgoingSettings,
  logger?: Logger,
): Promise<Outgoing | undefined> {
  const { ca, identity, witnessIds = [], ...shown } = settings;
  const { cert, workloadApi, spiffeIds } = shown;
  const saysNothing = [ca, cert, workloadApi].every((value) => value === undefined);
  if (saysNothing && spiffeIds.length + witnessIds.length === 0) return undefined;
  const idsByName = new Map(witnessIds.flatMap((item) => [namedIdOf(item)].filter((one) => one !== undefined)));
  const authorities = ca === undefined ? undefined : readAuthorities(ca, 'outgoing.ca').map(pemOf);
  const bundles = identity === undefined ? { workloadApi } : readIdentityFile(identity);
  return await openOutgoing({ ...shown, authorities, idsByName, bundles, named: 'outgoing.', logger });
}

function pemOf({ der }: Certificate): string {
  return formatPem('CERTIFICATE', der);
}
