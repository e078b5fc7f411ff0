/**
 * The replies of the write API in protobuf (docs/wire.md): `TransparencyLogEntry`
 * (dev.sigstore.rekor.v1, sigstore/protobuf-specs 0.5), and the reply to Stele's own bulk call.
 *
 *     BatchCreateEntriesResponse { repeated Result results = 1; }
 *     Result                     { oneof result { TransparencyLogEntry entry = 1; Status error = 2; } }
 *
 * `Status` is google.rpc.Status without details. Names are camelCase as in proto3 JSON; 64-bit fields take JavaScript
 * numbers on encoding, and give `Long` on decoding. The requests are read by server/ingest, which is stricter than
 * protobufjs' decoders.
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

    BatchCreateEntriesResponse: { fields: { results: many('Result', 1) } },
    Result: {
      oneofs: { result: { oneof: ['entry', 'error'] } },
      fields: { entry: one('TransparencyLogEntry', 1), error: one('Status', 2) },
    },
    Status: { fields: { code: int32(1), message: string(2) } },
  },
});

export const TransparencyLogEntry = root.lookupType('TransparencyLogEntry');
export const BatchCreateEntriesResponse = root.lookupType('BatchCreateEntriesResponse');
