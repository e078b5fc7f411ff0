/**
 * A small SPIFFE Workload API. It stands in for the agent of SPIRE, which cannot be built here: it follows the standards
 * (SPIFFE Workload API, SPIFFE Workload Endpoint), gives real certificates of its own authorities, and go-spiffe reads it
 * (test/interop). Unlike an agent it asks nobody who the caller is, and misbehaves on command.
 */
import { generateKeyPairSync, type KeyPairKeyObjectResult, randomBytes, sign } from 'node:crypto';
import * as grpc from '@grpc/grpc-js';
import { concat } from '../../merkle/bytes.ts';
import { formatPem } from '../../merkle/pem.ts';
import { domainCa, issueSvid, jwtKey, x509Key } from '../merkle/spiffe/make-svid.ts';
import type { Authority, Wish } from '../merkle/x509/make.ts';
import { CALLS, decodeRequest, encodeAnswer, validated, type WorkloadCall } from './workload-proto.ts';

type StreamCall = 'FetchX509SVID' | 'FetchX509Bundles' | 'FetchJWTBundles';

/** One identity of the workload. */
export interface WorkloadIdentity {
  readonly id: string;
  readonly hint?: string;
  /** Default 3,600,000. Certificates have whole seconds. */
  readonly lifetimeMs?: number;
  readonly wish?: Wish;
}

export interface SvidMessage {
  spiffeId: string;
  x509Svid: Uint8Array;
  x509SvidKey: Uint8Array;
  bundle: Uint8Array;
  hint: string;
}

interface JwtRequest {
  readonly audience: readonly string[];
  readonly spiffeId: string;
}

interface Domain {
  /** Newest last. The newest one issues. */
  readonly authorities: Authority[];
  readonly jwt: { readonly kid: string; readonly keys: KeyPairKeyObjectResult }[];
  sequence: number;
}

type Open = grpc.ServerWritableStream<unknown, Buffer>;

export interface WorkloadApiOptions {
  /** A path for a unix socket; without it a port of 127.0.0.1. */
  readonly socket?: string;
  /** The first one's trust domain is that of the agent. Default `spiffe://example.org/workload`. */
  readonly identities?: readonly WorkloadIdentity[];
  /** Trust domains whose bundles come along. */
  readonly federated?: readonly string[];
}

export class WorkloadApiServer {
  /** The server's address as the specification spells it. */
  address = '';
  identities: readonly WorkloadIdentity[];
  federated: readonly string[];
  /** Calls so far. Each has the security header. */
  readonly calls: WorkloadCall[] = [];
  /** What is sent in the place of the usual message: bytes, also wrong ones. */
  readonly raw = new Map<WorkloadCall, () => Uint8Array>();
  /** Calls that end with this code of gRPC. */
  readonly failures = new Map<WorkloadCall, grpc.status>();
  /** Calls that are open, and whose answer does not come. */
  readonly silent = new Set<WorkloadCall>();
  /** Changes the usual SVIDs before they are sent. */
  spoil: (svids: SvidMessage[]) => SvidMessage[] = (svids) => svids;
  /** Changes the bundles, DER by SPIFFE ID of the trust domain. */
  spoilBundles: (bundles: Record<string, Uint8Array>) => Record<string, Uint8Array> = (bundles) => bundles;
  /** Claims of JWT-SVIDs, in the place of the usual ones. */
  claims: Record<string, unknown> = {};
  readonly #domains = new Map<string, Domain>();
  readonly #open = new Map<Open, StreamCall>();
  readonly #server = new grpc.Server();
  #issued: SvidMessage[] = [];

  private constructor({ identities, federated }: WorkloadApiOptions) {
    this.identities = identities ?? [{ id: 'spiffe://example.org/workload' }];
    this.federated = federated ?? [];
  }

  static async start(options: WorkloadApiOptions = {}): Promise<WorkloadApiServer> {
    const api = new WorkloadApiServer(options);
    const { socket } = options;
    api.renew();
    api.#serve();
    const where = socket === undefined ? '127.0.0.1:0' : `unix:${socket}`;
    const port = await new Promise<number>((resolve, reject) => {
      api.#server.bindAsync(where, grpc.ServerCredentials.createInsecure(), (error, bound) => {
        if (error === null) resolve(bound);
        else reject(error);
      });
    });
    api.address = socket === undefined ? `tcp://127.0.0.1:${port}` : `unix://${socket}`;
    return api;
  }

  /** The SVIDs that are sent. */
  get issued(): readonly SvidMessage[] {
    return this.#issued;
  }

  /** Streams that are open now. */
  get streams(): number {
    return this.#open.size;
  }

  get trustDomain(): string {
    return domainOf(this.identities[0]!.id);
  }

  /** The authority that issues for a trust domain. */
  authority(trustDomain: string = this.trustDomain): Authority {
    return this.#domain(trustDomain).authorities.at(-1)!;
  }

  /** A trust bundle as an endpoint serves it: a JWK set with all that is in force. */
  bundle(trustDomain: string = this.trustDomain): string {
    const { authorities, jwt, sequence } = this.#domain(trustDomain);
    const keys = [
      ...authorities.map((one) => x509Key(one)),
      ...jwt.map(({ kid, keys: { publicKey } }) => jwtKey(publicKey, kid)),
    ];
    return JSON.stringify({ spiffe_sequence: sequence, spiffe_refresh_hint: 60, keys });
  }

  /** The newest SVID that was given for an ID, as files: chain, key and bundle in PEM. */
  files(id: string = this.identities[0]!.id): { cert: string; key: string; bundle: string } {
    const { x509Svid, x509SvidKey, bundle } = this.#issued.find(({ spiffeId }) => spiffeId === id)!;
    return {
      cert: formatPem('CERTIFICATE', x509Svid),
      key: formatPem('PRIVATE KEY', x509SvidKey),
      bundle: formatPem('CERTIFICATE', bundle),
    };
  }

  /** Issues new SVIDs of the newest authorities, and sends all that changed. */
  rotate(): void {
    this.renew();
    this.push();
  }

  /**
   * A new authority and a new JWT key of a trust domain; the old ones stay in the bundle unless `only`. With `renew` false the
   * new authority is published before it issues.
   */
  rotateAuthority(trustDomain: string = this.trustDomain, { only = false, renew = true } = {}): void {
    const domain = this.#domain(trustDomain);
    const fresh = newDomain(trustDomain);
    if (only) {
      domain.authorities.length = 0;
      domain.jwt.length = 0;
    }
    domain.authorities.push(...fresh.authorities);
    domain.jwt.push(...fresh.jwt);
    domain.sequence += 1;
    if (renew) this.renew();
    this.push();
  }

  /** Sends to each open stream what holds now. */
  push(): void {
    for (const [stream, call] of this.#open) this.#answer(stream, call);
  }

  /** Ends each open stream with an error. */
  cut(code: grpc.status = grpc.status.UNAVAILABLE): void {
    for (const stream of this.#open.keys()) stream.emit('error', { code, details: 'cut' });
    this.#open.clear();
  }

  async close(): Promise<void> {
    this.#server.forceShutdown();
    await Promise.resolve();
  }

  /** Issues the SVIDs anew, without sending them. */
  renew(): void {
    this.#issued = this.identities.map(({ id, hint = '', lifetimeMs = 3_600_000, wish }) => {
      const trustDomain = domainOf(id);
      const now = Math.floor(Date.now() / 1000) * 1000;
      const text = (ms: number) => `${new Date(ms).toISOString().slice(0, 19)}Z`;
      const times = { from: text(now - 10_000), to: text(now + lifetimeMs) };
      const { certificate, keys } = issueSvid(this.authority(trustDomain), id, { ...times, ...wish });
      return {
        spiffeId: id,
        x509Svid: certificate.der,
        x509SvidKey: keys.privateKey.export({ format: 'der', type: 'pkcs8' }),
        bundle: this.#der(trustDomain),
        hint,
      };
    });
  }

  #domain(trustDomain: string): Domain {
    let domain = this.#domains.get(trustDomain);
    if (domain === undefined) {
      domain = newDomain(trustDomain);
      this.#domains.set(trustDomain, domain);
    }
    return domain;
  }

  #der(trustDomain: string): Uint8Array {
    return concat(...this.#domain(trustDomain).authorities.map(({ certificate }) => certificate.der));
  }

  #serve(): void {
    const service: Record<string, grpc.MethodDefinition<Buffer, Buffer>> = {};
    const handlers: Record<string, grpc.UntypedHandleCall> = {};
    for (const [name, [, , isStream]] of Object.entries(CALLS) as [WorkloadCall, (typeof CALLS)[WorkloadCall]][]) {
      const plain = (bytes: Buffer) => bytes;
      service[name] = {
        path: `/SpiffeWorkloadAPI/${name}`,
        requestStream: false,
        responseStream: isStream,
        requestSerialize: plain,
        requestDeserialize: plain,
        responseSerialize: plain,
        responseDeserialize: plain,
      };
      handlers[name] = isStream
        ? (stream: Open) => this.#stream(stream, name as StreamCall)
        : (call: grpc.ServerUnaryCall<Buffer, Buffer>, done: grpc.sendUnaryData<Buffer>) =>
            this.#unary(call, name, done);
    }
    this.#server.addService(service, handlers);
  }

  #stream(stream: Open, name: StreamCall): void {
    stream.on('cancelled', () => this.#open.delete(stream));
    if (!this.#admits(stream, name, (error) => stream.emit('error', error))) return;
    this.#open.set(stream, name);
    if (!this.silent.has(name)) this.#answer(stream, name);
  }

  #unary(call: grpc.ServerUnaryCall<Buffer, Buffer>, name: WorkloadCall, done: grpc.sendUnaryData<Buffer>): void {
    if (!this.#admits(call, name, done) || this.silent.has(name)) return;
    const raw = this.raw.get(name);
    if (raw !== undefined) {
      done(null, Buffer.from(raw()));
      return;
    }
    const request = decodeRequest(name, call.request);
    const answer =
      name === 'FetchJWTSVID' ? this.#jwtSvids(request as JwtRequest) : validated(request as { svid: string });
    done(null, encodeAnswer(name, answer));
  }

  #admits(
    call: { readonly metadata: grpc.Metadata },
    name: WorkloadCall,
    refuse: (error: { code: grpc.status; details: string }) => void,
  ): boolean {
    if (call.metadata.get('workload.spiffe.io').join() !== 'true') {
      refuse({ code: grpc.status.INVALID_ARGUMENT, details: 'security header missing from request' });
      return false;
    }
    this.calls.push(name);
    const code = this.failures.get(name);
    if (code === undefined) return true;
    refuse({ code, details: 'on command' });
    return false;
  }

  #answer(stream: Open, name: StreamCall): void {
    const raw = this.raw.get(name);
    stream.write(raw === undefined ? encodeAnswer(name, this.#message(name)) : Buffer.from(raw()));
  }

  #message(name: StreamCall): object {
    const others = (of: (trustDomain: string) => Uint8Array, names: readonly string[]) =>
      this.spoilBundles(Object.fromEntries(names.map((one) => [`spiffe://${one}`, of(one)])));
    const der = (one: string) => this.#der(one);
    switch (name) {
      case 'FetchX509SVID':
        return {
          svids: this.spoil(this.#issued.map((one) => ({ ...one, bundle: this.#der(domainOf(one.spiffeId)) }))),
          federatedBundles: others(der, this.federated),
        };
      case 'FetchX509Bundles':
        return { bundles: others(der, [this.trustDomain, ...this.federated]) };
      case 'FetchJWTBundles':
        return { bundles: others((one) => this.#jwks(one), [this.trustDomain, ...this.federated]) };
    }
  }

  #jwks(trustDomain: string): Uint8Array {
    const keys = this.#domain(trustDomain).jwt.map(({ kid, keys: { publicKey } }) => jwtKey(publicKey, kid));
    return Buffer.from(JSON.stringify({ keys }));
  }

  #jwtSvids({ audience, spiffeId }: JwtRequest): object {
    const wanted = this.identities.filter(({ id }) => spiffeId === '' || id === spiffeId);
    return { svids: wanted.map(({ id, hint = '' }) => ({ spiffeId: id, svid: this.jwtSvid(id, audience), hint })) };
  }

  /** A JWT-SVID by the newest key of the ID's trust domain. */
  jwtSvid(id: string, audience: readonly string[], more: Record<string, unknown> = {}): string {
    const { kid, keys } = this.#domain(domainOf(id)).jwt.at(-1)!;
    const now = Math.floor(Date.now() / 1000);
    const claims = { sub: id, aud: audience, iat: now, exp: now + 300, ...this.claims, ...more };
    const input = [{ alg: 'ES256', kid, typ: 'JWT' }, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    const signature = sign('sha256', Buffer.from(input), { key: keys.privateKey, dsaEncoding: 'ieee-p1363' });
    return `${input}.${signature.toString('base64url')}`;
  }
}

function newDomain(trustDomain: string): Domain {
  const jwt = { kid: randomBytes(8).toString('hex'), keys: generateKeyPairSync('ec', { namedCurve: 'P-256' }) };
  return { authorities: [domainCa(trustDomain)], jwt: [jwt], sequence: 1 };
}

function domainOf(id: string): string {
  return new URL(id).host;
}
