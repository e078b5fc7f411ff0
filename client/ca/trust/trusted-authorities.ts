/**
 * Certificate authorities in the trust files of a log: the trusted root, by which clients verify, and the signing
 * configuration, by which they sign. Both are changed as JSON, so that nothing else in them changes.
 *
 * Each authority of a team is an entry of its own, with its certificate and that of the root: bundles hold leaves alone. A
 * revocation ends the entry. What was signed before, by the time of a stamp or of the log, stays verifiable.
 */
import { equal } from '../../../merkle/bytes.ts';
import { printable } from '../../../merkle/printable.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import type { Certificate } from '../../../merkle/x509/certificate.ts';
import { timeText } from '../../../merkle/x509/utc-time.ts';
import { ClientError } from '../../errors.ts';
import { parsePublicKey } from '../../formats/key.ts';
import { formatServices } from '../../trust/format-trusted-root.ts';
import { parseSigningConfig } from '../../trust/signing-config.ts';
import {
  parseTrustedRoot,
  type TrustedAuthority,
  type TrustedLog,
  type TrustedRootVersion,
} from '../../trust/trusted-root.ts';
import { overlapOf, subtreesOf } from '../certificates/teams.ts';
import type { AuthorityChain } from './authority-chain.ts';

interface NewAuthority {
  readonly chain: AuthorityChain;
  /** Where clients ask for certificates. */
  readonly url: string;
  /** SubjectPublicKeyInfo of the key that signs certificate timestamps, DER: ECDSA. */
  readonly ctKey?: Uint8Array;
  /** A time-stamp authority: its own certificate first, up to its root. */
  readonly timestamps?: { readonly url: string; readonly certificates: readonly Certificate[] };
}

/**
 * Adds an authority and its key of certificate timestamps. One that is there stays as it is.
 *
 * @param file a trusted root of one document
 * @throws ClientError `trusted-root` for a file that is none; `ca` where a team in it has the names of this one, or where this
 *   authority was revoked
 */
export function withAuthority(file: Uint8Array, added: NewAuthority): Uint8Array {
  const { chain, url, ctKey, timestamps } = added;
  const root = parseTrustedRoot(file);
  const [authority] = chain;
  for (const other of root.certificateAuthorities) refuseOverlap(other, chain);
  const known = root.certificateAuthorities.find((one) => isOf(one, authority));
  if (known?.validFor.end !== undefined && known.validFor.end < authority.notAfter) {
    const end = timeText(known.validFor.end);
    throw new ClientError('ca', `the authority was revoked, and counts until ${end}: make another with another key`);
  }
  const parts = {
    certificateAuthorities: known === undefined ? [entryOf(chain, url)] : [],
    ctlogs:
      ctKey === undefined
        ? []
        : [ctLogOf(ctKey, url, authority)].filter(({ logId }) => !root.ctlogs.some((log) => equal(log.logId, logId))),
    timestampAuthorities:
      timestamps === undefined || root.timestampAuthorities.some((one) => isOf(one, timestamps.certificates[0]!))
        ? []
        : [timestampEntryOf(timestamps)],
  };
  return changed(file, (json, version) => {
    const written = formatServices(parts, version);
    for (const name of ['certificateAuthorities', 'ctlogs', 'timestampAuthorities'] as const) {
      json[name] = [...((json[name] as object[] | undefined) ?? []), ...written[name]];
    }
  });
}

/**
 * Ends the entry of an authority. One that ends earlier stays so.
 * @param at ms since 1970: the last millisecond at which it counts
 * @throws ClientError `trusted-root`; `ca` where the file does not have the authority
 */
export function withRevoked(file: Uint8Array, authority: Certificate, at: number): Uint8Array {
  const { certificateAuthorities } = parseTrustedRoot(file);
  if (!certificateAuthorities.some((one) => isOf(one, authority))) {
    throw new ClientError('ca', `the trusted root does not have the authority "${printable(authority.subject)}"`);
  }
  return changed(file, (json) => {
    const entries = json.certificateAuthorities as { validFor?: { start?: string; end?: string } }[];
    for (const [i, entry] of certificateAuthorities.entries()) {
      const { start, end = Number.POSITIVE_INFINITY } = entry.validFor;
      if (!isOf(entry, authority) || end <= at) continue;
      // A period that ends before it starts is malformed: an authority that never counted ends where it starts.
      const last = Math.max(at, start);
      entries[i]!.validFor = { ...entries[i]!.validFor, end: timeText(last).replace('.000Z', 'Z') };
    }
  });
}

/** Whether an authority at this URL counts at this time by the trusted root. */
export function countsAt(file: Uint8Array, url: string, at: number): boolean {
  return parseTrustedRoot(file).certificateAuthorities.some(
    ({ uri, validFor: { start, end = Number.POSITIVE_INFINITY } }) => uri === url && start <= at && at < end,
  );
}

interface SigningChange {
  readonly ca: string;
  /** Issuers of identity tokens, for clients that open a browser. */
  readonly oidc: readonly string[];
  readonly tsa?: string;
  /** Ends another authority that is there. */
  readonly replace: boolean;
}

interface ServiceJson {
  url: string;
  majorApiVersion: number;
  validFor: { start: string; end?: string };
  operator: string;
}

/**
 * Adds the services to a signing configuration, valid from `now` on. One certificate authority is valid at a time, since
 * clients take one and have no other way where it is away.
 *
 * @throws ClientError `signing-config`; `ca` where another authority is valid, and `replace` is false
 */
export function withServicesOf(file: Uint8Array, { ca, oidc, tsa, replace }: SigningChange, now: number): Uint8Array {
  const config = parseSigningConfig(file);
  const operator = config.rekorTlogUrls[0]?.operator ?? '';
  const start = seconds(now);
  const isOpen = ({ validFor: { end } }: { validFor: { end?: number } }) => end === undefined || end >= now;
  const others = config.caUrls.filter((one) => one.url !== ca && isOpen(one));
  if (others.length > 0 && !replace) {
    const why = 'clients take one at a time: --replace ends it';
    throw new ClientError(
      'ca',
      `the signing configuration names the certificate authority ${printable(others[0]!.url)}, and ${why}`,
    );
  }
  return changed(file, (json) => {
    const list = (name: string) => (json[name] ?? []) as ServiceJson[];
    const service = (url: string): ServiceJson => ({ url, majorApiVersion: 1, validFor: { start }, operator });
    const added = (name: 'caUrls' | 'oidcUrls' | 'tsaUrls', urls: readonly string[]) => {
      const missing = urls.filter((url) => !config[name].some((one) => one.url === url && isOpen(one)));
      json[name] = [...list(name), ...missing.map(service)];
    };
    for (const [i, one] of config.caUrls.entries()) {
      if (others.includes(one)) endService(list('caUrls')[i]!, one.validFor.start, now);
    }
    added('caUrls', [ca]);
    added('oidcUrls', oidc);
    added('tsaUrls', tsa === undefined ? [] : [tsa]);
    if (tsa !== undefined && config.tsaConfig === undefined) json.tsaConfig = { selector: 'ANY' };
  });
}

/** Ends a certificate authority of a signing configuration. @throws ClientError `signing-config` */
export function withoutService(file: Uint8Array, url: string, now: number): Uint8Array {
  const { caUrls } = parseSigningConfig(file);
  return changed(file, (json) => {
    for (const [i, { url: one, validFor }] of caUrls.entries()) {
      if (one !== url || (validFor.end !== undefined && validFor.end <= now)) continue;
      endService((json.caUrls as ServiceJson[])[i]!, validFor.start, now);
    }
  });
}

function endService(service: ServiceJson, start: number | undefined, now: number): void {
  service.validFor = { ...service.validFor, end: seconds(Math.max(now - 1000, start ?? 0)) };
}

function seconds(ms: number): string {
  return timeText(Math.floor(ms / 1000) * 1000).replace('.000Z', 'Z');
}

function isOf({ certificates }: TrustedAuthority, authority: Certificate): boolean {
  return equal(certificates[0]!.der, authority.der);
}

/** A team that was renewed has its names again: its authorities have one subject and one root. */
function refuseOverlap({ certificates }: TrustedAuthority, [authority, root]: AuthorityChain): void {
  const [other] = certificates as [Certificate];
  if (equal(other.subjectDer, authority.subjectDer) && equal(certificates.at(-1)!.der, root.der)) return;
  const overlap = overlapOf(subtreesOf(authority), namesOf(other));
  if (overlap === undefined) return;
  throw new ClientError(
    'ca',
    `the names ${overlap.join(' and ')} are of two authorities, this one and "${printable(other.subject)}": a team is a trust domain of its own`,
  );
}

/** An authority of somebody else's may have no constraints, or others: nothing is known of its names then. */
function namesOf(authority: Certificate): ReturnType<typeof subtreesOf> {
  try {
    return subtreesOf(authority);
  } catch (error) {
    if (error instanceof ClientError) return { uri: [], dns: [], email: [] };
    throw error;
  }
}

function entryOf(chain: AuthorityChain, uri: string): TrustedAuthority {
  const [authority, root] = chain;
  const { notBefore: start, notAfter: end } = authority;
  return { subject: subjectOf(root), uri, certificates: chain, validFor: { start, end } };
}

function timestampEntryOf({ url: uri, certificates }: NonNullable<NewAuthority['timestamps']>): TrustedAuthority {
  const { notBefore: start, notAfter: end } = certificates[0]!;
  return { subject: subjectOf(certificates.at(-1)!), uri, certificates, validFor: { start, end } };
}

/** Of the certificate's subject what the trusted root has fields for. */
function subjectOf({ subject }: Certificate): { organization: string; commonName: string } {
  const part = (name: string) => new RegExp(`(?:^|,)${name}=((?:\\\\.|[^,\\\\])*)`).exec(subject)?.[1] ?? '';
  const plain = (text: string) => text.replaceAll(/\\(.)/g, '$1');
  return { organization: plain(part('O')), commonName: plain(part('CN')) };
}

function ctLogOf(spki: Uint8Array, baseUrl: string, { notBefore: start }: Certificate): TrustedLog {
  const { info } = parsePublicKey(spki, nodePrimitives());
  if (info.kind !== 'ecdsa-p256') {
    throw new ClientError('key', `the key of certificate timestamps is ECDSA P-256, and this one is ${info.name}`);
  }
  // RFC 6962 section 3.2: the ID of a log is the SHA-256 of its key.
  const logId = nodePrimitives().hash('sha256', spki);
  return { baseUrl, key: info, hash: 'sha256', validFor: { start }, logId, checkpointKeyId: logId };
}

/** The file with a change, as `stele trust files` writes such files. */
function changed(
  file: Uint8Array,
  change: (json: Record<string, unknown>, version: TrustedRootVersion) => void,
): Uint8Array {
  const json = JSON.parse(Buffer.from(file).toString()) as Record<string, unknown>;
  change(json, String(json.mediaType).includes('v0.2') ? '0.2' : '0.1');
  return new Uint8Array(Buffer.from(`${JSON.stringify(json, undefined, 2)}\n`));
}
