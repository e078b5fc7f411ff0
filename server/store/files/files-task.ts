/**
 * The buffer that goes to the thread which writes files (files-worker.ts), and its answer.
 *
 * ```
 * task:   u32 length of the head, the head, then the bytes of the parts one after the other
 *         head: {"kind":"blobs","parts":[["tile/0/x001/234",8192],…]} in JSON, or
 *               {"kind":"checkpoint","parts":[["expected",300],["next",310]]}, the first part only where one is expected
 * answer: empty where all is durable, else {"code":"store","message":"…"} in JSON
 * ```
 * The u32 is little-endian. Both sides use this file.
 */
import { ServerError, type ServerErrorCode } from '../../errors.ts';
import type { TileBlob } from '../types.ts';

/** Blobs at names below the store's directory, or the replacement of the checkpoint. */
export type FilesTask =
  | { readonly blobs: readonly TileBlob[] }
  | { readonly expected: Uint8Array | undefined; readonly next: Uint8Array };

interface Head {
  readonly kind: 'blobs' | 'checkpoint';
  readonly parts: readonly (readonly [name: string, length: number])[];
}

const HEAD_LENGTH = 4;

export function packTask(task: FilesTask): ArrayBuffer {
  return 'blobs' in task
    ? pack('blobs', task.blobs)
    : pack('checkpoint', [
        ...(task.expected === undefined ? [] : [{ name: 'expected', bytes: task.expected }]),
        { name: 'next', bytes: task.next },
      ]);
}

function pack(kind: Head['kind'], parts: readonly TileBlob[]): ArrayBuffer {
  const head = Buffer.from(JSON.stringify({ kind, parts: parts.map(({ name, bytes }) => [name, bytes.length]) }));
  const size = parts.reduce((sum, { bytes }) => sum + bytes.length, HEAD_LENGTH + head.length);
  const task = new Uint8Array(size);
  new DataView(task.buffer).setUint32(0, head.length, true);
  task.set(head, HEAD_LENGTH);
  let at = HEAD_LENGTH + head.length;
  for (const { bytes } of parts) {
    task.set(bytes, at);
    at += bytes.length;
  }
  return task.buffer;
}

/** The bytes are views of `task`. */
export function unpackTask(task: ArrayBuffer): FilesTask {
  const length = new DataView(task).getUint32(0, true);
  const { kind, parts } = JSON.parse(Buffer.from(task, HEAD_LENGTH, length).toString()) as Head;
  let at = HEAD_LENGTH + length;
  const blobs = parts.map(([name, size]) => {
    at += size;
    return { name, bytes: new Uint8Array(task, at - size, size) };
  });
  if (kind === 'blobs') return { blobs };
  return { expected: blobs.at(-2)?.bytes, next: blobs.at(-1)!.bytes };
}

export function packFailure(error: unknown): ArrayBuffer {
  const code = error instanceof ServerError ? error.code : 'store';
  const message = error instanceof Error ? error.message : String(error);
  return new Uint8Array(Buffer.from(JSON.stringify({ code, message }))).buffer;
}

/** @throws ServerError what the answer reports */
export function checkAnswer(answer: ArrayBuffer): void {
  if (answer.byteLength === 0) return;
  const { code, message } = JSON.parse(Buffer.from(answer).toString()) as { code: ServerErrorCode; message: string };
  throw new ServerError(code, message);
}
