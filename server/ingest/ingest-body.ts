/** Turns one body into entries. The workers run this code. */
import type { DigestVerifier } from '../../merkle/runtime/crypto/digest.ts';
import type { Encoding, Ingested, IngestedBody, Refusal } from '../types.ts';
import { dsseEntries } from './dsse.ts';
import { type Checks, hashedRekordEntry } from './hashedrekord.ts';
import { Refused, refuse } from './refuse.ts';
import type { CreateEntryRequest } from './request.ts';
import { readJson, readJsonBatch } from './request-json.ts';
import { readProtobuf, readProtobufBatch } from './request-protobuf.ts';

export interface IngestLimits {
  /** Longest canonical entry in bytes: 1 to 65,535, the largest length prefix of an entry bundle. */
  readonly entryBytes: number;
  /** Most requests of a bulk body: at least 1. */
  readonly bulkItems: number;
  /** Take certificates that Go's crypto/x509 does not read, and Rekor thus refuses. */
  readonly anyCertificate: boolean;
  /** Say of each entry what is written, for the judgement of its writer. */
  readonly facts: boolean;
}

export const DEFAULT_LIMITS: IngestLimits = { entryBytes: 65_535, bulkItems: 256, anyCertificate: false, facts: false };

/** The entries of a body, or its refusal. Never throws. */
export function ingestBody(
  body: Uint8Array,
  encoding: Encoding,
  limits: IngestLimits,
  verifier: DigestVerifier,
): IngestedBody {
  // Twice the need of a bulk body of single signatures. With the slowest kind of key, this takes about a second.
  const budget = { verifications: 2 * limits.bulkItems };
  const { entryBytes, anyCertificate, facts } = limits;
  const checks: Checks = { verifier, entryBytes, anyCertificate, facts, budget };
  try {
    return { items: readBody(body, encoding, limits).map((read) => ingestItem(read, checks)) };
  } catch (error) {
    return { refusal: refusalOf(error) };
  }
}

/** A reader for each request of a body. A reader throws `Refused` if only its request is wrong. */
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

/** The refusal for an error of the log itself. It does not reveal the error. */
export const INTERNAL: Refusal = {
  code: 'internal',
  reason: 'internal',
  message: 'the request could not be processed',
};
