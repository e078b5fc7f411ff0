/** `--signing-config`: the services that a signing configuration of Sigstore selects. */
import { usage } from '../errors.ts';
import { parseLogUrl } from '../submit/log-url.ts';
import {
  MAX_SIGNING_CONFIG,
  parseSigningConfig,
  type SigningConfig,
  selectService,
  selectServices,
} from '../trust/signing-config.ts';
import { SIGNING_CONFIG_FILE } from '../trust/trust-files.ts';
import type { FollowedTrust } from '../trust/tuf/load-trust.ts';
import { readWhole } from './files.ts';
import { followedTarget } from './followed-files.ts';

/** Major versions of the services' APIs that Stele speaks: Rekor's, RFC 3161 and Fulcio's as Sigstore numbers them. */
const LOG_API = [2];
const TSA_API = [1];
/** Fulcio's v2 paths: Sigstore's files call that API 1. */
const AUTHORITY_API = [1];

interface ServiceOptions {
  readonly log?: string;
  readonly tsa?: string;
  readonly noLog?: boolean;
  readonly queue?: string;
  readonly signingConfig?: string;
}

export interface SelectedServices {
  /** Logs beside `log` that each signature goes to. */
  readonly moreLogs: readonly string[];
  /** URLs of the authorities that stamp each signature. */
  readonly tsas: readonly string[];
  /** The configuration whose certificate authority counts for a signature without a key; undefined where none is given. */
  readonly signingServices?: Pick<SigningConfig, 'caUrls' | 'oidcUrls'> | undefined;
}

/**
 * URL of the one certificate authority that counts now; undefined where the configuration names none.
 *
 * @throws ClientError `signing-config` where it names some, and none that counts now
 */
export function authorityOf({ signingServices }: SelectedServices): string | undefined {
  if (signingServices === undefined || signingServices.caUrls.length === 0) return undefined;
  return selectService(signingServices.caUrls, 'certificate authority', AUTHORITY_API, Date.now()).url;
}

/** URLs of all logs that each signature goes to. */
export function logsOf({ log, moreLogs }: ServiceOptions & SelectedServices): string[] {
  return log === undefined ? [] : [log, ...moreLogs];
}

/**
 * The options with the services of the signing configuration, or with those that `--log` and `--tsa` name, or else with those
 * of the followed repository.
 *
 * @throws ClientError `signing-config`, `file`, `usage`, `trust`
 */
export async function withServices<O extends ServiceOptions>(
  options: O,
  followed?: FollowedTrust,
): Promise<O & SelectedServices> {
  const { signingConfig: path, log, tsa, noLog } = options;
  if (path === undefined) {
    const given = tsa === undefined ? [] : [tsa];
    if (followed === undefined || log !== undefined || noLog === true) return { ...options, moreLogs: [], tsas: given };
    const selected = selectedBy(followedTarget(followed, SIGNING_CONFIG_FILE), options);
    return tsa === undefined ? selected : { ...selected, tsas: given };
  }
  const given = Object.entries({ '--log': log, '--tsa': tsa }).find(([, value]) => value !== undefined);
  if (given !== undefined) throw usage(`--signing-config names the services: leave out ${given[0]}`);
  return selectedBy(await readWhole(path, MAX_SIGNING_CONFIG, 'a signing configuration'), options);
}

/** @throws ClientError `signing-config`, `usage` */
function selectedBy<O extends ServiceOptions>(file: Uint8Array, options: O): O & SelectedServices {
  const { noLog, queue } = options;
  const config = parseSigningConfig(file);
  const now = Date.now();
  const tsas = tsasOf(config, now);
  const { caUrls, oidcUrls } = config;
  const signingServices = { caUrls, oidcUrls };
  if (noLog === true) return { ...options, moreLogs: [], tsas, signingServices };
  const services = selectServices(config.rekorTlogUrls, config.rekorTlogConfig, 'log', LOG_API, now);
  const [first, ...moreLogs] = services.map(({ url }) => parseLogUrl(url));
  if (queue !== undefined && moreLogs.length > 0) {
    const count = services.length;
    throw usage(`the signing configuration asks for ${count} logs, and --queue keeps an entry for one: leave it out`);
  }
  return { ...options, log: first, moreLogs, tsas, signingServices };
}

function tsasOf({ tsaUrls, tsaConfig }: SigningConfig, now: number): string[] {
  // A configuration without authorities wants no time stamp, unless it says how many.
  if (tsaUrls.length === 0 && (tsaConfig === undefined || !('count' in tsaConfig))) return [];
  return selectServices(tsaUrls, tsaConfig, 'time-stamp authority', TSA_API, now).map(({ url }) => url);
}
