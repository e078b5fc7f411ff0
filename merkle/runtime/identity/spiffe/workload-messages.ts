/** The messages of the SPIFFE Workload API that Stele uses: workloadapi.proto of the SPIFFE standards. */
import protobuf from 'protobufjs/light.js';

const bytes = (id: number) => ({ type: 'bytes', id });
const string = (id: number) => ({ type: 'string', id });
const many = (type: string, id: number) => ({ rule: 'repeated', type, id });
const bytesByName = (id: number) => ({ keyType: 'string', type: 'bytes', id });

const root = protobuf.Root.fromJSON({
  nested: {
    X509SVIDRequest: { fields: {} },
    X509SVIDResponse: {
      fields: { svids: many('X509SVID', 1), crl: many('bytes', 2), federatedBundles: bytesByName(3) },
    },
    X509SVID: {
      fields: { spiffeId: string(1), x509Svid: bytes(2), x509SvidKey: bytes(3), bundle: bytes(4), hint: string(5) },
    },
    X509BundlesRequest: { fields: {} },
    X509BundlesResponse: { fields: { crl: many('bytes', 1), bundles: bytesByName(2) } },
    JWTSVIDRequest: { fields: { audience: many('string', 1), spiffeId: string(2) } },
    JWTSVIDResponse: { fields: { svids: many('JWTSVID', 1) } },
    JWTSVID: { fields: { spiffeId: string(1), svid: string(2), hint: string(3) } },
    JWTBundlesRequest: { fields: {} },
    JWTBundlesResponse: { fields: { bundles: bytesByName(1) } },
  },
});

/** Request and response of each call. */
export interface WorkloadCalls {
  readonly FetchX509SVID: [Empty, X509SvidResponse];
  readonly FetchX509Bundles: [Empty, BundlesResponse];
  readonly FetchJWTBundles: [Empty, BundlesResponse];
  readonly FetchJWTSVID: [{ readonly audience: readonly string[]; readonly spiffeId?: string }, JwtSvidResponse];
}
type Empty = Readonly<Record<string, never>>;

/** A field that a message lacks has its default: an empty text, list or map, no bytes. */
export interface X509SvidResponse {
  readonly svids: readonly X509SvidMessage[];
  readonly federatedBundles: Readonly<Record<string, Uint8Array>>;
}
export interface X509SvidMessage {
  readonly spiffeId: string;
  /** Certificates in DER, one after the other, leaf first. */
  readonly x509Svid: Uint8Array;
  /** PKCS#8, DER. */
  readonly x509SvidKey: Uint8Array;
  /** Certificates in DER, one after the other. */
  readonly bundle: Uint8Array;
  readonly hint: string;
}
export interface BundlesResponse {
  /** By the SPIFFE ID of a trust domain: certificates in DER, or a JWK set. */
  readonly bundles: Readonly<Record<string, Uint8Array>>;
}
interface JwtSvidResponse {
  readonly svids: readonly { readonly spiffeId: string; readonly svid: string; readonly hint: string }[];
}

const TYPES: Readonly<Record<keyof WorkloadCalls, readonly [request: string, response: string]>> = {
  FetchX509SVID: ['X509SVIDRequest', 'X509SVIDResponse'],
  FetchX509Bundles: ['X509BundlesRequest', 'X509BundlesResponse'],
  FetchJWTBundles: ['JWTBundlesRequest', 'JWTBundlesResponse'],
  FetchJWTSVID: ['JWTSVIDRequest', 'JWTSVIDResponse'],
};

interface Codec<T> {
  encode(message: T): Buffer;
  /** @throws Error for malformed bytes */
  decode(message: Uint8Array): T;
}

/** How the messages of a call are written and read, and its path in HTTP/2. */
export function workloadCall<Name extends keyof WorkloadCalls>(name: Name) {
  const [request, response] = TYPES[name];
  return {
    path: `/SpiffeWorkloadAPI/${name}`,
    request: codecOf<WorkloadCalls[Name][0]>(request),
    response: codecOf<WorkloadCalls[Name][1]>(response),
  };
}

function codecOf<T>(name: string): Codec<T> {
  const type = root.lookupType(name);
  return {
    encode: (message) => Buffer.from(type.encode(type.create(message as object)).finish()),
    decode: (message) => type.toObject(type.decode(message), { defaults: true, arrays: true, objects: true }) as T,
  };
}
