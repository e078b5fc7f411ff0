/** The SVID that a Workload API gives this process: X.509 by a stream, JWT on request. */
import { decodeEitherBase64 } from '../../../bytes.ts';
import { MerkleError } from '../../../errors.ts';
import { isJsonRecord, parseJsonValue } from '../../../rekor/json-value.ts';
import { parseCertificateList } from '../../../spiffe/certificate-list.ts';
import { parseSpiffeId, type SpiffeId } from '../../../spiffe/spiffe-id.ts';
import { bundleOfCertificates } from '../../../spiffe/trust-bundle.ts';
import { spiffeIdOf } from '../../../spiffe/x509-svid.ts';
import { RuntimeError } from '../../runtime-errors.ts';
import type { Clock } from '../../service/back-off.ts';
import type { SvidBoard } from './svid-board.ts';
import { privateKeyOf, svidOf } from './svid-check.ts';
import type { Svid } from './types.ts';
import { fetchJwtSvids } from './workload-api.ts';
import type { X509SvidMessage, X509SvidResponse } from './workload-messages.ts';
import { parseWorkloadSocket, type WorkloadSocket } from './workload-socket.ts';
import { WorkloadStream } from './workload-stream.ts';

/** Which of several SVIDs is meant. */
interface Choice {
  readonly id?: string | undefined;
  readonly hint?: string | undefined;
}

interface Options extends Choice {
  readonly board: SvidBoard;
  readonly clock: Clock;
  readonly firstMs: number;
}

/** A chain has a leaf and few intermediates; a bundle as many authorities as spiffe/trust-bundle.ts takes. */
const MAX_CHAIN = 16;
const MAX_AUTHORITIES = 64;
/** Longest JWT-SVID, in characters. */
const MAX_TOKEN = 65_536;
/** An agent renews at half of an SVID's time. Where this share is left and nothing came, the stream is opened again. */
const RENEW_AT = 1 / 4;
const LEAST_RENEW_MS = 1000;
const MOST_RENEW_MS = 2 ** 31 - 1;

export class WorkloadSvids {
  readonly #options: Options;
  readonly #stream: WorkloadStream<'FetchX509SVID'>;
  #timer: NodeJS.Timeout | undefined;

  constructor(socket: WorkloadSocket, options: Options) {
    const { board, clock, firstMs } = options;
    this.#options = options;
    this.#stream = new WorkloadStream(socket, 'FetchX509SVID', {
      take: (message) => {
        const now = clock.now();
        const svid = svidOfMessage(message, options, now);
        board.put(svid);
        this.#renewIn((svid.notAfter - now) * (1 - RENEW_AT));
      },
      deny: () => board.put(undefined),
      onProblem: (problem) => board.say(problem),
      clock,
      firstMs,
    });
  }

  /** Resolves at the first message or failure. */
  get tried(): Promise<void> {
    return this.#stream.tried;
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#stream.close();
  }

  #renewIn(ms: number): void {
    clearTimeout(this.#timer);
    const { board, clock } = this.#options;
    this.#timer = setTimeout(
      () => {
        this.#stream.renew();
        this.#renewIn(((board.held?.notAfter ?? 0) - clock.now()) / 2);
      },
      Math.min(Math.max(ms, LEAST_RENEW_MS), MOST_RENEW_MS),
    ).unref();
  }
}

/** @throws MerkleError, RuntimeError `svid` */
function svidOfMessage({ svids }: X509SvidResponse, choice: Choice, now: number): Svid {
  const message = chosen(svids, choice);
  const stated = parseSpiffeId(message.spiffeId);
  const chain = parseCertificateList(message.x509Svid, MAX_CHAIN);
  if (chain.length === 0) throw new RuntimeError('svid', `the SVID of ${stated.text} has no certificate`);
  const proven = spiffeIdOf(chain[0]!);
  if (proven.text !== stated.text) {
    throw new RuntimeError('svid', `the SVID that is called ${stated.text} has a certificate of ${proven.text}`);
  }
  return svidOf(
    chain,
    privateKeyOf(message.x509SvidKey),
    (trustDomain) => bundleOfCertificates(parseCertificateList(message.bundle, MAX_AUTHORITIES), trustDomain),
    now,
  );
}

/** Of several with one hint, the first: section 5.2.1. */
function chosen<T extends Pick<X509SvidMessage, 'spiffeId' | 'hint'>>(svids: readonly T[], { id, hint }: Choice): T {
  if (svids.length === 0) throw new RuntimeError('svid', 'a message without SVIDs');
  const found = svids.find(
    (one) => (id === undefined || one.spiffeId === id) && (hint === undefined || one.hint === hint),
  );
  if (found !== undefined) return found;
  const wish = [id, hint === undefined ? undefined : `the hint "${hint}"`].filter((one) => one !== undefined);
  throw new RuntimeError('svid', `none of ${svids.length} SVIDs has ${wish.join(' and ')}`);
}

/** A JWT-SVID of this process. The token is a secret. */
interface JwtSvid {
  readonly id: SpiffeId;
  readonly token: string;
  /** Milliseconds since 1970. */
  readonly expires: number;
}

interface JwtRequest extends Choice {
  readonly workloadApi: string;
  readonly audience: string;
  /** Default 10,000. */
  readonly timeoutMs?: number;
}

/**
 * Asks the Workload API for a JWT-SVID. Its signature is not checked here: the service that gets it does that.
 * @throws RuntimeError `config` for the address; `workload-api`; `svid` for a token that is expired, of another audience, or
 * of another ID than the API says. No message holds a part of the token
 */
export async function fetchJwtSvid({
  workloadApi,
  audience,
  id,
  hint,
  timeoutMs = 10_000,
}: JwtRequest): Promise<JwtSvid> {
  const socket = parseWorkloadSocket(workloadApi);
  const request = { audience: [audience], ...(id !== undefined && { spiffeId: id }) };
  const message = chosen(await fetchJwtSvids(socket, request, timeoutMs), { id, hint });
  const from = `the Workload API at ${socket.name} gives a JWT-SVID`;
  let stated: SpiffeId;
  try {
    stated = parseSpiffeId(message.spiffeId);
  } catch (cause) {
    throw new RuntimeError('svid', `${from} with a wrong ID: ${(cause as MerkleError).message}`, { cause });
  }
  const claims = claimsOf(message.svid);
  if (claims === undefined) throw new RuntimeError('svid', `${from} that is not a JWT`);
  if (claims.sub !== stated.text)
    throw new RuntimeError('svid', `${from} of another ID than ${stated.text}, which it says`);
  const audiences: readonly unknown[] = Array.isArray(claims.aud) ? claims.aud : [claims.aud];
  if (!audiences.includes(audience)) throw new RuntimeError('svid', `${from} of another audience than ${audience}`);
  const expires = Number(claims.exp) * 1000;
  if (!(expires > Date.now())) throw new RuntimeError('svid', `${from} that has expired`);
  return { id: stated, token: message.svid, expires };
}

/** The claims of a compact JWS, unverified; undefined where it is none. */
function claimsOf(token: string) {
  const parts = token.split('.');
  if (token.length > MAX_TOKEN || parts.length !== 3) return undefined;
  try {
    const claims = parseJsonValue(decodeEitherBase64(parts[1]!), 'the JWT-SVID', MAX_TOKEN);
    return isJsonRecord(claims) ? claims : undefined;
  } catch (error) {
    if (error instanceof MerkleError) return undefined;
    throw error;
  }
}
