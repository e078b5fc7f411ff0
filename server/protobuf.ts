/**
 * The protobuf messages of the write API (WIRE.md, "POST /api/v2/log/entries"): Rekor v2's `CreateEntryRequest`
 * (sigstore/rekor-tiles 2.3.0) and `TransparencyLogEntry` (sigstore/protobuf-specs 0.5), and Stele's own bulk call.
 *
 *     BatchCreateEntriesRequest  { repeated CreateEntryRequest requests = 1; }
 *     BatchCreateEntriesResponse { repeated Result results = 1; }
 *     Result                     { oneof result { TransparencyLogEntry entry = 1; Status error = 2; } }
 *
 * `Status` is google.rpc.Status without details. Names are camelCase as in proto3 JSON; 64-bit fields take and give
 * JavaScript numbers on encoding, and `Long` on decoding.
 */
import protobuf from 'protobufjs/light.js';

const bytes = (id: number) => ({ type: 'bytes', id });
const string = (id: number) => ({ type: 'string', id });
const int32 = (id: number) => ({ type: 'int32', id });
const int64 = (id: number) => ({ type: 'int64', id });
const one = (type: string, id: number) => ({ type, id });
const many = (type: string, id: number) => ({ rule: 'repeated', type, id });

const root = protobuf.Root.fromJSON({
  nested: {
    CreateEntryRequest: {
      oneofs: { spec: { oneof: ['hashedRekordRequestV002', 'dsseRequestV002'] } },
      fields: {
        hashedRekordRequestV002: one('HashedRekordRequestV002', 1),
        dsseRequestV002: one('DSSERequestV002', 2),
      },
    },
    HashedRekordRequestV002: { fields: { digest: bytes(1), signature: one('Signature', 2) } },
    Signature: { fields: { content: bytes(1), verifier: one('Verifier', 2) } },
    Verifier: {
      oneofs: { verifier: { oneof: ['publicKey', 'x509Certificate'] } },
      fields: { publicKey: one('PublicKey', 1), x509Certificate: one('X509Certificate', 2), keyDetails: int32(3) },
    },
    PublicKey: { fields: { rawBytes: bytes(1) } },
    X509Certificate: { fields: { rawBytes: bytes(1) } },
    DSSERequestV002: { fields: { envelope: one('Envelope', 1), verifiers: many('Verifier', 2) } },
    Envelope: { fields: { payload: bytes(1), payloadType: string(2), signatures: many('EnvelopeSignature', 3) } },
    EnvelopeSignature: { fields: { sig: bytes(1), keyid: string(2) } },

    TransparencyLogEntry: {
      fields: {
        logIndex: int64(1),
        logId: one('LogId', 2),
        kindVersion: one('KindVersion', 3),
        integratedTime: int64(4),
        inclusionPromise: one('InclusionPromise', 5),
        inclusionProof: one('InclusionProof', 6),
        canonicalizedBody: bytes(7),
      },
    },
    LogId: { fields: { keyId: bytes(1) } },
    KindVersion: { fields: { kind: string(1), version: string(2) } },
    InclusionPromise: { fields: { signedEntryTimestamp: bytes(1) } },
    InclusionProof: {
      fields: {
        logIndex: int64(1),
        rootHash: bytes(2),
        treeSize: int64(3),
        hashes: many('bytes', 4),
        checkpoint: one('Checkpoint', 5),
      },
    },
    Checkpoint: { fields: { envelope: string(1) } },

    BatchCreateEntriesRequest: { fields: { requests: many('CreateEntryRequest', 1) } },
    BatchCreateEntriesResponse: { fields: { results: many('Result', 1) } },
    Result: {
      oneofs: { result: { oneof: ['entry', 'error'] } },
      fields: { entry: one('TransparencyLogEntry', 1), error: one('Status', 2) },
    },
    Status: { fields: { code: int32(1), message: string(2) } },
  },
});

export const CreateEntryRequest = root.lookupType('CreateEntryRequest');
export const TransparencyLogEntry = root.lookupType('TransparencyLogEntry');
export const BatchCreateEntriesRequest = root.lookupType('BatchCreateEntriesRequest');
export const BatchCreateEntriesResponse = root.lookupType('BatchCreateEntriesResponse');
