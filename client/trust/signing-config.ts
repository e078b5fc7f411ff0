/**
 * Sigstore's signing configuration (sigstore/protobuf-specs 104df67, `dev.sigstore.trustroot.v1.SigningConfig`, proto3 JSON,
 * v0.2): the services that a client signs with, and how many of them it must use.
 *
 *   { "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
 *     "caUrls", "oidcUrls", "rekorTlogUrls" and "tsaUrls":
 *       [ { "url", "majorApiVersion", "validFor": { "start", "end"? }, "operator" } ],
 *     "rekorTlogConfig" and "tsaConfig": { "selector": "ANY" | "ALL" | "EXACT", "count"? } }
 */
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { printable } from '../../merkle/printable.ts';
import { timeText } from '../../merkle/x509/utc-time.ts';
import { ClientError } from '../errors.ts';
import { array, enumeration, int64, type JsonObject, malformed, object, parseJson, string } from '../formats/json.ts';
import { readTime } from './trusted-root.ts';

/** Longest signing configuration that is accepted, in bytes. */
export const MAX_SIGNING_CONFIG = 1024 * 1024;
const MEDIA_TYPE = 'application/vnd.dev.sigstore.signingconfig.v0.2+json';
const MAX_SERVICES = 64;

/** One instance of a service. */
export interface SigningService {
  /** http or https; of a log and of a certificate authority the base address, of a time-stamp authority the whole one. */
  readonly url: string;
  /** 0 for a service that is not released. */
  readonly majorApiVersion: number;
  /** Milliseconds since 1970, both ends included. A missing start is long ago, a missing end is open. */
  readonly validFor: { readonly start?: number; readonly end?: number };
  /** A URI without a scheme, such as sigstore.dev; empty if the configuration names none. */
  readonly operator: string;
}

/** How many services a client uses: all, any one, or exactly `count`. */
export type ServiceSelection =
  | { readonly selector: 'ALL' | 'ANY' }
  | { readonly selector: 'EXACT'; readonly count: number };

export interface SigningConfig {
  readonly caUrls: readonly SigningService[];
  readonly oidcUrls: readonly SigningService[];
  readonly rekorTlogUrls: readonly SigningService[];
  /** Undefined if the configuration has no selector. */
  readonly rekorTlogConfig: ServiceSelection | undefined;
  readonly tsaUrls: readonly SigningService[];
  readonly tsaConfig: ServiceSelection | undefined;
}

/** @throws ClientError `signing-config`; the message names the field */
export function parseSigningConfig(file: Uint8Array): SigningConfig {
  try {
    return readConfig(file);
  } catch (cause) {
    if (!(cause instanceof ClientError)) throw cause;
    const why = `the signing configuration cannot be used: ${cause.message}`;
    throw new ClientError('signing-config', why, { cause });
  }
}

function readConfig(file: Uint8Array): SigningConfig {
  const json = parseJson(file, 'the file', MAX_SIGNING_CONFIG);
  // First, so that another file of Sigstore is told for what it is.
  const { mediaType } = (json ?? {}) as { readonly mediaType?: unknown };
  if (typeof mediaType === 'string' && mediaType !== MEDIA_TYPE) {
    throw malformed('mediaType', `is "${printable(mediaType.slice(0, 100))}", not ${MEDIA_TYPE}`);
  }
  const config = object(json, 'the file', [
    'mediaType',
    'caUrls',
    'oidcUrls',
    'rekorTlogUrls',
    'rekorTlogConfig',
    'tsaUrls',
    'tsaConfig',
  ]);
  if (string(config.mediaType, 'mediaType') !== MEDIA_TYPE) throw malformed('mediaType', `is not ${MEDIA_TYPE}`);
  const services = (name: string) =>
    array(config[name], name, MAX_SERVICES).map((value, at) => readService(value, `${name}[${at}]`));
  return {
    caUrls: services('caUrls'),
    oidcUrls: services('oidcUrls'),
    rekorTlogUrls: services('rekorTlogUrls'),
    rekorTlogConfig: readSelection(config.rekorTlogConfig, 'rekorTlogConfig'),
    tsaUrls: services('tsaUrls'),
    tsaConfig: readSelection(config.tsaConfig, 'tsaConfig'),
  };
}

function readService(value: unknown, path: string): SigningService {
  const service = object(value, path, ['url', 'majorApiVersion', 'validFor', 'operator']);
  const url = string(service.url, `${path}.url`);
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw malformed(`${path}.url`, 'is not an http or https URL');
  }
  const period: JsonObject = object(service.validFor ?? {}, `${path}.validFor`, ['start', 'end']);
  const time = (name: 'start' | 'end') =>
    period[name] === undefined ? {} : { [name]: readTime(period[name], `${path}.validFor.${name}`) };
  return {
    url,
    majorApiVersion: int64(service.majorApiVersion, `${path}.majorApiVersion`),
    validFor: { ...time('start'), ...time('end') },
    operator: service.operator === undefined ? '' : string(service.operator, `${path}.operator`),
  };
}

const SELECTORS = { SERVICE_SELECTOR_UNDEFINED: 0, ALL: 1, ANY: 2, EXACT: 3 };

function readSelection(value: unknown, path: string): ServiceSelection | undefined {
  if (value === undefined) return undefined;
  const { selector: given = 0, count } = object(value, path, ['selector', 'count']);
  const selector = enumeration(given, `${path}.selector`, SELECTORS);
  if (selector === 'SERVICE_SELECTOR_UNDEFINED') return undefined;
  if (selector !== 'EXACT') return { selector };
  const number = int64(count, `${path}.count`);
  if (number === 0) throw malformed(`${path}.count`, 'is 0, and EXACT asks for a number of services');
  return { selector, count: number };
}

/**
 * The services to use. Of the highest API version in `versions` that has a service at this time: of each operator the newest
 * one, the first of two that are equally new; then as many as `selection` says, in the order of the list. So a second run
 * uses the same services as the first.
 *
 * @param what names the services in errors: `log`
 * @param versions API versions that the client speaks
 * @param now milliseconds since 1970
 * @returns at least one
 * @throws ClientError `signing-config` if there are not as many
 */
export function selectServices(
  services: readonly SigningService[],
  selection: ServiceSelection | undefined,
  what: string,
  versions: readonly number[],
  now: number,
): readonly SigningService[] {
  if (selection === undefined) throw unusable(`it does not say how many of its ${what}s to use: it has no selector`);
  const current = services.filter(({ validFor }) => isCurrent(validFor, now));
  const version = Math.max(...current.map((one) => one.majorApiVersion).filter((one) => versions.includes(one)));
  const newest = new Map<string, SigningService>();
  for (const service of current) {
    if (service.majorApiVersion !== version) continue;
    const known = newest.get(service.operator);
    if (known === undefined || startOf(service) > startOf(known)) newest.set(service.operator, service);
  }
  const chosen = services.filter((service) => newest.get(service.operator) === service);
  if (chosen.length === 0) throw unusable(noneOf(services, what, versions, now));
  if (selection.selector === 'ALL') return chosen;
  const count = 'count' in selection ? selection.count : 1;
  if (chosen.length < count) {
    const have = `it has ${what}s of ${chosen.length} ${chosen.length === 1 ? 'operator' : 'operators'}`;
    throw unusable(`it asks for ${count} ${what}s, each of another operator, and ${have} at this time`);
  }
  return chosen.slice(0, count);
}

/**
 * The one certificate authority, or the one identity provider, that a client uses: of the highest API version in `versions` that
 * has a service at this time, the newest one, the first of two that are equally new. There is no other one to fall back to.
 *
 * @param what names the services in errors: `certificate authority`
 * @param versions API versions that the client speaks
 * @param now milliseconds since 1970
 * @throws ClientError `signing-config` where there is none
 */
export function selectService(
  services: readonly SigningService[],
  what: string,
  versions: readonly number[],
  now: number,
): SigningService {
  const current = services.filter(
    ({ validFor, majorApiVersion }) => versions.includes(majorApiVersion) && isCurrent(validFor, now),
  );
  const version = Math.max(...current.map(({ majorApiVersion }) => majorApiVersion));
  const [first, ...others] = current.filter(({ majorApiVersion }) => majorApiVersion === version);
  if (first === undefined) throw unusable(noneOf(services, what, versions, now));
  return others.reduce((newest, one) => (startOf(one) > startOf(newest) ? one : newest), first);
}

const startOf = ({ validFor: { start = Number.NEGATIVE_INFINITY } }: SigningService): number => start;

function isCurrent({ start, end }: SigningService['validFor'], now: number): boolean {
  return (start === undefined || start <= now) && (end === undefined || now <= end);
}

function noneOf(services: readonly SigningService[], what: string, versions: readonly number[], now: number): string {
  const spoken = versions.map((version) => `v${version}`).join(' or ');
  if (services.length === 0) return `it names no ${what}`;
  const fitting = services.filter(({ majorApiVersion }) => versions.includes(majorApiVersion));
  if (fitting.length === 0) {
    const others = services.map(({ url, majorApiVersion }) => `${printable(url)} (v${majorApiVersion})`).join(', ');
    return `it names no ${what} that speaks API ${spoken}, which Stele speaks, only ${others}`;
  }
  const times = fitting.map(({ url, validFor: { start, end } }) => {
    const from = start === undefined ? '' : ` from ${timeText(start)}`;
    return `${printable(url)}${from}${end === undefined ? '' : ` to ${timeText(end)}`}`;
  });
  return `no ${what} with API ${spoken} is valid at ${timeText(now)}: ${times.join(', ')}`;
}

function unusable(why: string): ClientError {
  return new ClientError('signing-config', `the signing configuration cannot be used: ${why}`);
}

/** UTF-8 JSON, which `parseSigningConfig` reads again. */
export function formatSigningConfig(config: SigningConfig): Uint8Array {
  const { caUrls, oidcUrls, rekorTlogUrls, rekorTlogConfig, tsaUrls, tsaConfig } = config;
  const json = {
    mediaType: MEDIA_TYPE,
    caUrls: caUrls.map(serviceJson),
    oidcUrls: oidcUrls.map(serviceJson),
    rekorTlogUrls: rekorTlogUrls.map(serviceJson),
    tsaUrls: tsaUrls.map(serviceJson),
    rekorTlogConfig: rekorTlogConfig ?? {},
    tsaConfig: tsaConfig ?? {},
  };
  return encodeUtf8(`${JSON.stringify(json, undefined, 2)}\n`);
}

function serviceJson({ url, majorApiVersion, validFor, operator }: SigningService): object {
  const time = (name: 'start' | 'end') =>
    validFor[name] === undefined ? {} : { [name]: timeText(validFor[name]).replace('.000Z', 'Z') };
  return { url, majorApiVersion, validFor: { ...time('start'), ...time('end') }, operator };
}
