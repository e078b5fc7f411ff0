/** Opens the connections of a service or a command to others, as they are configured: what is shown to them, and whom is trusted. */
import { formatPem } from '../../pem.ts';
import type { Certificate } from '../../x509/certificate.ts';
import type { Logger } from '../service/logger.ts';
import { fileIdentity, svidIdentity, type TlsIdentity } from '../service/tls-identity.ts';
import { TlsPool } from '../service/tls-pool.ts';
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
  /** Certificates (PEM) of the authorities that certify servers, in the place of the system's. */
  readonly authorities?: readonly string[] | undefined;
  /** Patterns of the SPIFFE IDs of servers, in the place of their host names. */
  readonly spiffeIds: readonly string[];
  /** Where the bundles for `spiffeIds` come from. */
  readonly bundles?: BundleSettings | undefined;
  /** What stands before `cert` and `key` in the names of the settings or flags, for messages. */
  readonly named: string;
  /** Requests wait for each other, and use one connection at a time. */
  readonly oneConnection?: boolean | undefined;
  readonly logger?: Logger | undefined;
}

export interface Outgoing {
  readonly pool: TlsPool;
  /** What is wrong now, one sentence each: no SVID to show, or bundles that are not the newest. */
  problems(): string[];
  close(): Promise<void>;
}

/** @throws RuntimeError `config`, `file`, `svid`, `trust-bundle` */
export async function openOutgoing(options: OutgoingOptions): Promise<Outgoing> {
  const { cert, key, workloadApi, authorities, spiffeIds, bundles = {}, named, oneConnection, logger } = options;
  const opened: { close(): Promise<void> }[] = [];
  const close = async () => {
    for (const one of opened.splice(0).reverse()) await one.close();
  };
  let fileProblem: string | undefined;
  try {
    let identity: TlsIdentity | undefined;
    if (workloadApi !== undefined) identity = await svidIdentity({ workloadApi }, { logger });
    else if (cert !== undefined && key !== undefined) {
      const onProblem = (problem: string | undefined) => {
        fileProblem = problem;
      };
      identity = await fileIdentity({ cert, key }, { onProblem, named });
    }
    if (identity !== undefined) opened.push(identity);
    let source: BundleSource | undefined;
    if (spiffeIds.length > 0) {
      const { openBundleSource } = await import('./spiffe/open-sources.ts');
      source = await openBundleSource(bundles, { logger });
      opened.push(source);
    }
    const rule = source && spiffeServerRule(source, spiffeIds);
    const pool = new TlsPool({ authorities, identity, rule, oneConnection });
    opened.push({ close: async () => pool.close() });
    const problems = () => {
      const all = [fileProblem, source?.problem];
      try {
        identity?.current();
      } catch (error) {
        all.push((error as Error).message);
      }
      return all.filter((problem) => problem !== undefined);
    };
    return { pool, problems, close };
  } catch (error) {
    await close();
    throw error;
  }
}

interface OutgoingSettings extends Pick<OutgoingOptions, 'cert' | 'key' | 'workloadApi' | 'spiffeIds'> {
  /** A file (PEM). */
  readonly ca?: string | undefined;
  /** A file of identity settings, with the bundles for `spiffeIds`. */
  readonly identity?: string | undefined;
}

/**
 * The connections of a service as its group `outgoing` says; undefined where it says nothing.
 * @throws RuntimeError as `openOutgoing`
 */
export async function openConfiguredOutgoing(
  settings: OutgoingSettings,
  logger: Logger,
): Promise<Outgoing | undefined> {
  const { ca, identity, ...shown } = settings;
  const { cert, workloadApi, spiffeIds } = shown;
  if (ca === undefined && cert === undefined && workloadApi === undefined && spiffeIds.length === 0) return undefined;
  const authorities = ca === undefined ? undefined : readAuthorities(ca, 'outgoing.ca').map(pemOf);
  const bundles = identity === undefined ? { workloadApi } : readIdentityFile(identity);
  return await openOutgoing({ ...shown, authorities, bundles, named: 'outgoing.', logger });
}

function pemOf({ der }: Certificate): string {
  return formatPem('CERTIFICATE', der);
}
