/**
 * The format of a worker's task and of its result, each in one transferred buffer.
 *
 * ```
 * batch:   u32 length, JSON of the origins, u32 count, count * (u32 origin, u32 length), then the bodies
 * answer:  JSON of the hits
 * ```
 * All u32 are little-endian; both sides are this file.
 */
import type { RuleEngine } from './engine.ts';
import { readEntry } from './entry-reader.ts';
import { type HitReport, hitReport } from './hit-report.ts';
import type { Trust } from './issuer-trust.ts';

interface BatchEntry {
  readonly log: string;
  readonly body: Uint8Array;
}

export function matchBatch(engine: RuleEngine, entries: readonly BatchEntry[], trust?: Trust): HitReport[] {
  const hits: HitReport[] = [];
  for (const [at, { log, body }] of entries.entries()) {
    const entry = readEntry(body);
    for (const hit of engine.match(entry, log)) hits.push(hitReport(at, entry, hit, trust));
  }
  return hits;
}

export function packBatch(entries: readonly BatchEntry[]): ArrayBuffer {
  const origins = [...new Set(entries.map(({ log }) => log))];
  const header = Buffer.from(JSON.stringify(origins));
  let size = 8 + header.length + 8 * entries.length;
  for (const { body } of entries) size += body.length;
  const buffer = new ArrayBuffer(size);
  const view = new DataView(buffer);
  const bytes = new Uint8Array(buffer);
  view.setUint32(0, header.length, true);
  bytes.set(header, 4);
  let head = 4 + header.length;
  view.setUint32(head, entries.length, true);
  head += 4;
  let at = head + 8 * entries.length;
  for (const { log, body } of entries) {
    view.setUint32(head, origins.indexOf(log), true);
    view.setUint32(head + 4, body.length, true);
    bytes.set(body, at);
    head += 8;
    at += body.length;
  }
  return buffer;
}

/** The bodies are views of `buffer`. */
export function unpackBatch(buffer: ArrayBuffer): BatchEntry[] {
  const view = new DataView(buffer);
  const length = view.getUint32(0, true);
  const origins = JSON.parse(Buffer.from(buffer, 4, length).toString()) as string[];
  const count = view.getUint32(4 + length, true);
  let head = 8 + length;
  let at = head + 8 * count;
  const entries: BatchEntry[] = [];
  for (let i = 0; i < count; i++) {
    const size = view.getUint32(head + 4, true);
    entries.push({ log: origins[view.getUint32(head, true)]!, body: new Uint8Array(buffer, at, size) });
    head += 8;
    at += size;
  }
  return entries;
}

export function packHits(hits: readonly HitReport[]): ArrayBuffer {
  return new TextEncoder().encode(JSON.stringify(hits)).buffer;
}

export function unpackHits(buffer: ArrayBuffer): HitReport[] {
  return JSON.parse(Buffer.from(buffer).toString()) as HitReport[];
}
