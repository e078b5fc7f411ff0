/** The settings of certificates: those of a service's own ports, and what a service shows and expects where it calls others. */
import { Type } from 'typebox';
import { MerkleError } from '../../errors.ts';
import { parseSpiffeId } from '../../spiffe/spiffe-id.ts';
import { compileSpiffeIdPattern } from '../../spiffe/spiffe-id-pattern.ts';
import type { TlsSource } from '../service/served-tls.ts';
import { list, path, text } from './values.ts';

const opt = Type.Optional;

/** The address of a Workload API, as `SPIFFE_ENDPOINT_SOCKET` has it, or a bare path. */
const WORKLOAD_API = /^(unix:|tcp:\/\/|\/)[^\s]{1,250}$/;
const WORKLOAD_API_ALLOWED = 'unix:///run/spire/agent.sock, an absolute path, or tcp://IP:PORT';

export function workloadApi(description: string) {
  return opt(text(WORKLOAD_API, WORKLOAD_API_ALLOWED, { description, defaultText: 'none' }));
}

/** Which SVID of the Workload API of a group of settings. */
export function svidId(group: string) {
  return opt(
    text(/^spiffe:\/\/[^\s]{1,2000}$/, 'a SPIFFE ID', {
      description: `Which X.509-SVID is shown, where \`${group}.workloadApi\` gives several.`,
      defaultText: 'the first one, which is the default identity of the workload',
    }),
  );
}

/**
 * @param ports which ports the certificate is for, such as `the public port`
 * @param danger of plain HTTP, where it is more than usual
 */
export function tlsSettings(ports: string, danger?: string) {
  return Type.Object({
    cert: opt(
      path({
        description: `Certificate chain (PEM) of ${ports}, which is read again when the file changes. Needs \`tls.key\`.`,
        defaultText: 'none: plain HTTP',
        ...(danger !== undefined && { danger }),
      }),
    ),
    key: opt(path({ description: `Private key (PEM) of ${ports}. Needs \`tls.cert\`.`, defaultText: 'none' })),
    workloadApi: workloadApi(
      `In the place of \`tls.cert\` and \`tls.key\`: the SPIFFE Workload API whose X.509-SVID ${ports} shows. It rotates while the service runs.`,
    ),
    svidId: svidId('tls'),
  });
}

interface Given {
  readonly cert?: string;
  readonly key?: string;
  readonly workloadApi?: string;
  readonly svidId?: string;
}

/** Where the certificate of a group of settings comes from; undefined where it is not set. Mistakes go to `problems`. */
export function certificateSource(group: string, given: Given, problems: string[]): TlsSource | undefined {
  const { cert, key, workloadApi: api, svidId: id } = given;
  if (id !== undefined) {
    if (api === undefined) problems.push(`"${group}.svidId" is about "${group}.workloadApi": set both`);
    if (!isSpiffeId(id)) problems.push(`"${group}.svidId" is not the SPIFFE ID of a workload`);
  }
  if (api !== undefined) {
    if (cert !== undefined || key !== undefined) {
      problems.push(`"${group}.workloadApi" is set together with "${group}.cert" or "${group}.key": keep one`);
    }
    return { workloadApi: api, ...(id !== undefined && { svidId: id }) };
  }
  if (cert === undefined && key !== undefined) {
    problems.push(`"${group}.key" is set, but not "${group}.cert": TLS needs both`);
  }
  if (cert !== undefined && key === undefined) {
    problems.push(`"${group}.cert" is set, but not "${group}.key": TLS needs both`);
  }
  return cert === undefined || key === undefined ? undefined : { cert, key };
}

/**
 * What a service shows and expects where it calls others.
 * @param whom it calls, in the plural
 */
export function outgoingSettings(whom: string) {
  return Type.Object({
    cert: opt(
      path({
        description: `Certificate chain (PEM) that this service shows to ${whom}. Needs \`outgoing.key\`.`,
        defaultText: 'none is shown',
      }),
    ),
    key: opt(path({ description: 'Private key (PEM) of that certificate.', defaultText: 'none' })),
    workloadApi: workloadApi(
      `In the place of \`outgoing.cert\` and \`outgoing.key\`: the SPIFFE Workload API whose X.509-SVID is shown to ${whom}.`,
    ),
    svidId: svidId('outgoing'),
    ca: opt(
      path({
        description: `Authorities (PEM) that certify ${whom}, in the place of those of the system.`,
        defaultText: 'those of the system',
      }),
    ),
    identity: opt(
      path({
        description: 'File with the trust domains of `outgoing.spiffeIds`, in the form of `identity.file`.',
        defaultText: 'none: the bundles of `outgoing.workloadApi` count',
      }),
    ),
    spiffeIds: list((item) => isIdPattern(item), 'SPIFFE IDs, or patterns such as spiffe://example.org/witness/**', {
      description: `SPIFFE IDs that ${whom} must have; their host names count no more. Nothing is sent to any other server.`,
      default: [],
    }),
  });
}

/** The settings of `outgoing` of a log, which calls witnesses that its policy names. */
export function outgoingToWitnesses() {
  return Type.Object({
    ...outgoingSettings('witnesses').properties,
    witnessIds: list(
      (item) => namedIdOf(item) !== undefined,
      'NAME=spiffe://example.org/witness, with a name of the policy',
      {
        description:
          'The SPIFFE ID of each witness by its name in the policy, so that no witness answers in the place of another. A witness that is named here needs this ID, and those of `outgoing.spiffeIds` do not count for it.',
        default: [],
      },
    ),
  });
}

/** One item of `outgoing.witnessIds`. A SPIFFE ID has no equals sign, while a name may. */
export function namedIdOf(item: string): readonly [name: string, pattern: string] | undefined {
  const at = item.lastIndexOf('=');
  const [name, pattern] = [item.slice(0, Math.max(at, 0)), item.slice(at + 1)];
  return name !== '' && isIdPattern(pattern) ? [name, pattern] : undefined;
}

interface OutgoingGiven extends Given {
  readonly ca?: string;
  readonly identity?: string;
  readonly spiffeIds: readonly string[];
  readonly witnessIds?: readonly string[];
}

/** Mistakes of the group `outgoing` go to `problems`. */
export function checkOutgoing(given: OutgoingGiven, problems: string[]): void {
  certificateSource('outgoing', given, problems);
  const { ca, identity, workloadApi: api, spiffeIds, witnessIds = [] } = given;
  const names = witnessIds.flatMap((item) => namedIdOf(item)?.[0] ?? []);
  for (const name of new Set(names.filter((name, i) => names.indexOf(name) !== i))) {
    problems.push(`"outgoing.witnessIds" names the witness ${name} twice: it has one SPIFFE ID`);
  }
  if (spiffeIds.length === 0 && names.length === 0) {
    if (identity !== undefined) problems.push('"outgoing.identity" is about "outgoing.spiffeIds": set both');
    return;
  }
  if (identity === undefined && api === undefined) {
    problems.push(
      '"outgoing.spiffeIds" needs the bundles of its trust domains: set "outgoing.identity", or "outgoing.workloadApi"',
    );
  }
  if (ca !== undefined)
    problems.push('"outgoing.ca" and "outgoing.spiffeIds" are two ways to trust a server: keep one');
}

function isSpiffeId(text: string): boolean {
  try {
    return parseSpiffeId(text).path !== '';
  } catch (error) {
    if (error instanceof MerkleError) return false;
    throw error;
  }
}

function isIdPattern(item: string): boolean {
  try {
    compileSpiffeIdPattern(item);
    return true;
  } catch (error) {
    if (error instanceof MerkleError) return false;
    throw error;
  }
}
