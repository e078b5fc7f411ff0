/** Turns one body into entries. A worker calls this; tests call it without a worker. */
import type { DigestVerifier } from '../../merkle/runtime/crypto/digest.ts';
import type { Encoding, Ingested, IngestedBody, Refusal } from '../types.ts';
import { dsseEntries } from './dsse.ts';
import { type Checks, hashedRekordEntry } from './hashedrekord.ts';
import { Refused, refuse } from './refuse.ts';
import type { CreateEntryRequest } from './request.ts';
import { readJson, readJsonBatch } from './request-json.ts';
import { readProtobuf, readProtobufBatch } from './request-protobuf.ts';

export interface IngestLimits {
  /** Bytes of a canonical entry: 1 to 65,535, what the length prefix of an entry bundle can say. */
  readonly entryBytes: number;
  /** Requests of a bulk body, from 1. */
  readonly bulkItems: number;
}

export const DEFAULT_LIMITS: IngestLimits = { entryBytes: 65_535, bulkItems: 256 };

/** Never throws: every body gets an answer. */
export function ingestBody(
  body: Uint8Array,
  encoding: Encoding,
  limits: IngestLimits,
  verifier: DigestVerifier,
): IngestedBody {
  // Twice as many as a bulk body of single signatures needs; they take about a second with the slowest kind of key.
  const budget = { verifications: 2 * limits.bulkItems };
  const checks: Checks = { verifier, entryBytes: limits.entryBytes, budget };
  try {
    return { items: readBody(body, encoding, limits).map((read) => ingestItem(read, checks)) };
  } catch (error) {
    return { refusal: refusalOf(error) };
  }
}

/** The requests of a body. Each function reads its request and throws `Refused` where that item alone is wrong. */
function readBody(body: Uint8Array, encoding: Encoding, { bulkItems }: IngestLimits): (() => CreateEntryRequest)[] {
  switch (encoding) {
    case 'json': {
      const request = readJson(body);
      return [() => request];
    }
    case 'protobuf': {
      const request = readProtobuf(body);
      return [() => request];
    }
    case 'json-batch':
      return readJsonBatch(body, bulkItems);
    case 'protobuf-batch':
      return readProtobufBatch(body, bulkItems);
  }
}

function ingestItem(read: () => CreateEntryRequest, checks: Checks): Ingested {
  try {
    const { hashedRekordRequestV002, dsseRequestV002 } = read();
    if (hashedRekordRequestV002 !== undefined) return { entries: [hashedRekordEntry(hashedRekordRequestV002, checks)] };
    if (dsseRequestV002 !== undefined) return { entries: dsseEntries(dsseRequestV002, checks) };
    return refuse('invalid-type', 'kind', 'invalid type, must be hashedrekord or dsse');
  } catch (error) {
    return { refusal: refusalOf(error) };
  }
}

function refusalOf(error: unknown): Refusal {
  return error instanceof Refused ? { code: error.code, reason: error.reason, message: error.message } : INTERNAL;
}

/** The log is at fault, not the request; the answer does not say more. */
export const INTERNAL: Refusal = {
  code: 'internal',
  reason: 'internal',
  message: 'the request could not be processed',
};
