import { expect } from 'vitest';
import { digestVerifier } from '../../../merkle/runtime/crypto/digest.ts';
import { DEFAULT_LIMITS, type IngestLimits, ingestBody } from '../../../server/ingest/ingest-body.ts';
import type { Encoding, IngestedBody } from '../../../server/types.ts';

const verifier = digestVerifier();

export function ingestHere(body: Uint8Array | string, encoding: Encoding = 'json', limits: Partial<IngestLimits> = {}) {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  return ingestBody(bytes, encoding, { ...DEFAULT_LIMITS, ...limits }, verifier);
}

/** The entries of the only item, as text. */
export function entriesOf(answer: IngestedBody): string[] {
  const item = 'items' in answer ? answer.items[0] : answer;
  expect(item).toHaveProperty('entries');
  return 'entries' in item! ? item.entries.map(({ body }) => Buffer.from(body).toString()) : [];
}

/** The refusal of the body or of its only item. */
export function refusalOf(answer: IngestedBody) {
  const item = 'items' in answer ? answer.items[0] : answer;
  expect(item).toHaveProperty('refusal');
  return 'refusal' in item! ? item.refusal : undefined;
}

/** A copy of the JSON value with the field at `path` set, or left out where `value` is undefined. */
export function withField(value: unknown, path: string, field: unknown): Record<string, unknown> {
  const copy = structuredClone(value) as Record<string, unknown>;
  const names = path.split('.');
  const last = names.pop()!;
  let at = copy;
  for (const name of names) {
    at = at[name] as Record<string, unknown>;
  }
  if (field === undefined) {
    delete at[last];
  } else {
    at[last] = field;
  }
  return copy;
}
