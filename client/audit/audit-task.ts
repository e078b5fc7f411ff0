/**
 * What the main thread and the workers of an audit exchange: one buffer in each direction.
 *
 *   u32 length of the JSON, little-endian || JSON || bytes
 *
 * The bytes of a task are one bundle and its tile, or nothing where the worker reads the files itself. The bytes of an
 * answer are the roots of the full bundles, 32 bytes each, or the leaf hashes of a partial one.
 */
import { decodeBase64, decodeUtf8, encodeBase64, encodeUtf8 } from '../../merkle/bytes.ts';
import type { Finding } from './bundle-checker.ts';

export interface WorkerSettings {
  /** Where the files are that the worker reads itself. */
  readonly directory?: string;
  readonly signatures: boolean;
}

/** `count` full bundles from the bundle `index` on, in the directory; or one bundle of `width` with its bytes. */
export type AuditTask =
  | { readonly index: number; readonly count: number }
  | { readonly index: number; readonly width: number; readonly bundle: Uint8Array; readonly tile: Uint8Array };

export interface AuditAnswer {
  /** Of the bundles that hold, up to the first that does not. */
  readonly hashes: Uint8Array;
  readonly verified: number;
  readonly notChecked: number;
  readonly finding?: Finding;
  /** The reason why a worker could not read a file. */
  readonly unreadable?: string;
}

export function packAuditTask(task: AuditTask): ArrayBuffer {
  if ('count' in task) return pack(task, []);
  const { index, width, bundle, tile } = task;
  return pack({ index, width, bundle: bundle.length }, [bundle, tile]);
}

export function unpackAuditTask(buffer: ArrayBuffer): AuditTask {
  const { json, bytes } = unpack(buffer);
  const { index, count, width, bundle } = json as { index: number; count?: number; width: number; bundle: number };
  if (count !== undefined) return { index, count };
  return { index, width, bundle: bytes.subarray(0, bundle), tile: bytes.subarray(bundle) };
}

export function packAuditAnswer({ hashes, finding, ...rest }: AuditAnswer): ArrayBuffer {
  if (finding === undefined) return pack(rest, [hashes]);
  const { leaves, ...plain } = finding;
  const text = leaves && { computed: encodeBase64(leaves.computed), stored: encodeBase64(leaves.stored) };
  return pack({ ...rest, finding: plain, leaves: text }, [hashes]);
}

export function unpackAuditAnswer(buffer: ArrayBuffer): AuditAnswer {
  const { json, bytes } = unpack(buffer);
  const { leaves, ...rest } = json as unknown as AuditAnswer & { leaves?: { computed: string; stored: string } };
  if (rest.finding === undefined || leaves === undefined) return { ...rest, hashes: bytes };
  const decoded = { computed: decodeBase64(leaves.computed), stored: decodeBase64(leaves.stored) };
  return { ...rest, hashes: bytes, finding: { ...rest.finding, leaves: decoded } };
}

function pack(json: object, parts: readonly Uint8Array[]): ArrayBuffer {
  const text = encodeUtf8(JSON.stringify(json));
  const buffer = new ArrayBuffer(parts.reduce((length, part) => length + part.length, 4 + text.length));
  new DataView(buffer).setUint32(0, text.length, true);
  const bytes = new Uint8Array(buffer);
  bytes.set(text, 4);
  let at = 4 + text.length;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return buffer;
}

function unpack(buffer: ArrayBuffer): { json: object; bytes: Uint8Array } {
  const length = new DataView(buffer).getUint32(0, true);
  const json = JSON.parse(decodeUtf8(new Uint8Array(buffer, 4, length))) as object;
  return { json, bytes: new Uint8Array(buffer, 4 + length) };
}
