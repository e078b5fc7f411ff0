/**
 * What the main thread and the workers of an audit hand each other: one buffer each way.
 *
 *   u32 length of the JSON, little-endian || JSON || bytes
 *
 * In a task the bytes are one bundle and its tile, or nothing where the worker reads the files on its own; in an answer
 * the roots of the full bundles, 32 bytes each, or the leaf hashes of a partial one.
 */
import { decodeBase64, decodeUtf8, encodeBase64, encodeUtf8 } from '../../merkle/bytes.ts';
import type { Finding } from './bundle-checker.ts';

export interface WorkerSettings {
  /** Where the files are that the worker reads on its own. */
  readonly directory?: string;
  readonly signatures: boolean;
}

/** `count` full bundles from the bundle `index` on, read from the directory; or one bundle of `width`, as it was fetched. */
export type Task =
  | { readonly index: number; readonly count: number }
  | { readonly index: number; readonly width: number; readonly bundle: Uint8Array; readonly tile: Uint8Array };

export interface Answer {
  /** Of the bundles that hold, up to the first that does not. */
  readonly hashes: Uint8Array;
  readonly verified: number;
  readonly notChecked: number;
  readonly finding?: Finding;
  /** A file could not be read; the reason. */
  readonly unreadable?: string;
}

export function packTask(task: Task): ArrayBuffer {
  if ('count' in task) return pack(task, []);
  const { index, width, bundle, tile } = task;
  return pack({ index, width, bundle: bundle.length }, [bundle, tile]);
}

export function unpackTask(buffer: ArrayBuffer): Task {
  const { json, bytes } = unpack(buffer);
  const { index, count, width, bundle } = json as { index: number; count?: number; width: number; bundle: number };
  if (count !== undefined) return { index, count };
  return { index, width, bundle: bytes.subarray(0, bundle), tile: bytes.subarray(bundle) };
}

export function packAnswer({ hashes, finding, ...rest }: Answer): ArrayBuffer {
  if (finding === undefined) return pack(rest, [hashes]);
  const { leaves, ...plain } = finding;
  const text = leaves && { computed: encodeBase64(leaves.computed), stored: encodeBase64(leaves.stored) };
  return pack({ ...rest, finding: plain, leaves: text }, [hashes]);
}

export function unpackAnswer(buffer: ArrayBuffer): Answer {
  const { json, bytes } = unpack(buffer);
  const { leaves, ...rest } = json as unknown as Answer & { leaves?: { computed: string; stored: string } };
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
