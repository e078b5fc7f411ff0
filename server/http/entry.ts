/**
 * `TransparencyLogEntry` (dev.sigstore.rekor.v1, sigstore/protobuf-specs 0.5) as proto3 JSON with all fields, and in
 * binary.
 *
 *     {"logIndex":"12","logId":{"keyId":"…"},"kindVersion":{"kind":"hashedrekord","version":"0.0.2"},
 *      "integratedTime":"0","inclusionPromise":null,
 *      "inclusionProof":{"logIndex":"12","rootHash":"…","treeSize":"13","hashes":["…"],"checkpoint":{"envelope":"…"}},
 *      "canonicalizedBody":"…"}
 *
 * The JSON is built as text: a request then costs 21 µs in all of HTTP, and 46 µs with an object. All entries of one
 * publication share its checkpoint and root, so these are encoded once.
 *
 * One character of that text is one byte of the reply: the bytes of UTF-8 are written as Latin-1. Otherwise the dash in a
 * checkpoint's signature lines would double every string that it is joined to, and V8 encodes such strings slowly.
 * Measured for a reply of 2.3 kB: 5.4 µs, against 11 to 18 µs with each hash in base64 alone and UTF-8 at the end.
 */
import { MAX_PROOF } from '../../merkle/proof.ts';
import { HASH_SIZE } from '../../merkle/rfc6962.ts';
import { toBase64 } from '../../merkle/runtime/base64.ts';
import { REQUEST_ERRORS } from '../errors.ts';
import type { EntryKind, LoggedEntry, LogInfo, Outcome } from '../types.ts';
import { errorJson } from './answers.ts';
import { BatchCreateEntriesResponse, TransparencyLogEntry } from './reply-protobuf.ts';

/** `kindVersion` of the entries that a log takes. */
export const KIND_VERSION = {
  signed: { kind: 'hashedrekord', version: '0.0.2' },
  raw: { kind: 'raw', version: '0.0.1' },
} as const satisfies Record<EntryKind, { kind: string; version: string }>;

/** Room for the longest proof. Each hash is followed by one byte that stays 0. */
const hashBytes = Buffer.alloc(MAX_PROOF * (HASH_SIZE + 1));

/**
 * The hashes (32 bytes each) in base64, quoted, with commas between them. All are encoded in one call: a hash and a zero
 * byte are 44 characters without padding, of which the first 43 are those of the hash alone and the last takes the place of
 * its "=". Measured for 16 hashes: 1.2 µs, against 4.1 µs one by one.
 */
function hashList(hashes: readonly Uint8Array[]): string {
  for (const [i, hash] of hashes.entries()) hashBytes.set(hash, i * (HASH_SIZE + 1));
  const text = hashBytes.toString('base64', 0, hashes.length * (HASH_SIZE + 1));
  let list = '';
  for (let at = 0; at < text.length; at += 44) list += `${at === 0 ? '' : ','}"${text.slice(at, at + 43)}="`;
  return list;
}

/** The bytes of `text` in UTF-8, each as one character. */
function byteText(text: string): string {
  return Buffer.from(text).toString('latin1');
}

export class EntryEncoder {
  readonly #logId: Uint8Array;
  readonly #kindVersion: { readonly kind: string; readonly version: string };
  /** The text from the log's ID to the proof: the same in every entry. */
  readonly #middle: string;
  #checkpoint = '';
  #treeSize = -1;
  /** The text from the root hash on, and the checkpoint: the same in every entry of one publication. */
  #tree = '';
  #envelope = '""';

  constructor({ logId, entries }: Pick<LogInfo, 'logId' | 'entries'>) {
    this.#logId = logId;
    this.#kindVersion = KIND_VERSION[entries];
    const { kind, version } = this.#kindVersion;
    this.#middle =
      `","logId":{"keyId":"${toBase64(logId)}"},"kindVersion":{"kind":"${kind}","version":"${version}"},` +
      '"integratedTime":"0","inclusionPromise":null,"inclusionProof":{"logIndex":"';
  }

  json(entry: LoggedEntry): Buffer {
    return Buffer.from(this.#text(entry), 'latin1');
  }

  #text({ index, body, proof }: LoggedEntry): string {
    // A checkpoint names its root and size, so equal checkpoints have equal trees.
    if (proof.checkpoint !== this.#checkpoint || proof.treeSize !== this.#treeSize) {
      this.#checkpoint = proof.checkpoint;
      this.#treeSize = proof.treeSize;
      this.#tree = `","rootHash":"${toBase64(proof.root)}","treeSize":"${proof.treeSize}","hashes":[`;
      this.#envelope = byteText(JSON.stringify(proof.checkpoint));
    }
    return (
      `{"logIndex":"${index}${this.#middle}${index}${this.#tree}${hashList(proof.hashes)}],` +
      `"checkpoint":{"envelope":${this.#envelope}}},"canonicalizedBody":"${toBase64(body)}"}`
    );
  }

  protobuf(entry: LoggedEntry): Uint8Array {
    return TransparencyLogEntry.encode(this.#message(entry)).finish();
  }

  batchJson(outcomes: readonly Outcome[]): Buffer {
    const results = outcomes.map((outcome) =>
      'entry' in outcome ? `{"entry":${this.#text(outcome.entry)}}` : `{"error":${byteText(errorJson(outcome.error))}}`,
    );
    return Buffer.from(`{"results":[${results.join(',')}]}`, 'latin1');
  }

  batchProtobuf(outcomes: readonly Outcome[]): Uint8Array {
    const results = outcomes.map((outcome) =>
      'entry' in outcome
        ? { entry: this.#message(outcome.entry) }
        : { error: { code: REQUEST_ERRORS[outcome.error.code].grpc, message: outcome.error.message } },
    );
    return BatchCreateEntriesResponse.encode({ results }).finish();
  }

  #message({ index, body, proof }: LoggedEntry) {
    return {
      logIndex: index,
      logId: { keyId: this.#logId },
      kindVersion: this.#kindVersion,
      inclusionProof: {
        logIndex: index,
        rootHash: proof.root,
        treeSize: proof.treeSize,
        hashes: proof.hashes,
        checkpoint: { envelope: proof.checkpoint },
      },
      canonicalizedBody: body,
    };
  }
}
