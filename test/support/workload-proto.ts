/** The messages of the Workload API for the stand-in, as the standard's workloadapi.proto has them, with the calls that the product does not make. */
import protobuf from 'protobufjs/light.js';

const mapOf = (type: string, id: number) => ({ keyType: 'string', type, id });

const root = protobuf.Root.fromJSON({
  nested: {
    Empty: { fields: {} },
    X509SVIDResponse: {
      fields: {
        svids: { rule: 'repeated', type: 'X509SVID', id: 1 },
        crl: { rule: 'repeated', type: 'bytes', id: 2 },
        federatedBundles: mapOf('bytes', 3),
      },
    },
    X509SVID: {
      fields: {
        spiffeId: { type: 'string', id: 1 },
        x509Svid: { type: 'bytes', id: 2 },
        x509SvidKey: { type: 'bytes', id: 3 },
        bundle: { type: 'bytes', id: 4 },
        hint: { type: 'string', id: 5 },
      },
    },
    X509BundlesResponse: {
      fields: {
        crl: { rule: 'repeated', type: 'bytes', id: 1 },
        bundles: mapOf('bytes', 2),
      },
    },
    JWTSVIDRequest: {
      fields: { audience: { rule: 'repeated', type: 'string', id: 1 }, spiffeId: { type: 'string', id: 2 } },
    },
    JWTSVIDResponse: { fields: { svids: { rule: 'repeated', type: 'JWTSVID', id: 1 } } },
    JWTSVID: {
      fields: {
        spiffeId: { type: 'string', id: 1 },
        svid: { type: 'string', id: 2 },
        hint: { type: 'string', id: 3 },
      },
    },
    JWTBundlesResponse: { fields: { bundles: mapOf('bytes', 1) } },
    ValidateJWTSVIDRequest: { fields: { audience: { type: 'string', id: 1 }, svid: { type: 'string', id: 2 } } },
    ValidateJWTSVIDResponse: {
      fields: { spiffeId: { type: 'string', id: 1 }, claims: { type: 'Struct', id: 2 } },
    },
    Struct: { fields: { fields: mapOf('Value', 1) } },
    Value: {
      oneofs: { kind: { oneof: ['numberValue', 'stringValue', 'listValue'] } },
      fields: {
        numberValue: { type: 'double', id: 2 },
        stringValue: { type: 'string', id: 3 },
        listValue: { type: 'ListValue', id: 6 },
      },
    },
    ListValue: { fields: { values: { rule: 'repeated', type: 'Value', id: 1 } } },
  },
});

export const CALLS = {
  FetchX509SVID: ['Empty', 'X509SVIDResponse', true],
  FetchX509Bundles: ['Empty', 'X509BundlesResponse', true],
  FetchJWTBundles: ['Empty', 'JWTBundlesResponse', true],
  FetchJWTSVID: ['JWTSVIDRequest', 'JWTSVIDResponse', false],
  ValidateJWTSVID: ['ValidateJWTSVIDRequest', 'ValidateJWTSVIDResponse', false],
} as const;
export type WorkloadCall = keyof typeof CALLS;
/** Reads a request of a call. */
export function decodeRequest(name: WorkloadCall, bytes: Uint8Array): unknown {
  const type = root.lookupType(CALLS[name][0]);
  return type.toObject(type.decode(bytes), { defaults: true, arrays: true });
}

export function encodeAnswer(name: WorkloadCall, message: object): Buffer {
  const type = root.lookupType(CALLS[name][1]);
  return Buffer.from(type.encode(type.create(message)).finish());
}

/** The claims of a token, whose signature is not checked: go-spiffe's client shows that it reads them. */
export function validated({ svid }: { svid: string }): object {
  const claims = JSON.parse(Buffer.from(svid.split('.')[1]!, 'base64url').toString()) as Record<string, unknown>;
  const fields = Object.entries(claims).map(([name, value]) => [name, structValue(value)]);
  return { spiffeId: claims.sub, claims: { fields: Object.fromEntries(fields) } };
}

function structValue(value: unknown): object {
  if (Array.isArray(value)) return { listValue: { values: value.map(structValue) } };
  return typeof value === 'number' ? { numberValue: value } : { stringValue: String(value) };
}
