/**
 * The buffer that goes to the thread which writes files, and its answer.
 *
 * ```
 * task:   u32 length of the head, the head, then the bytes of the files one behind the other
 *         head: {"replace":false,"files":[["tile/0/x001/234",8192],…]} in JSON
 * answer: empty where all is durable, else {"code":"store","message":"…"} in JSON
 * ```
 * The u32 is little-endian; both sides are this file.
 */
import { ServerError, type ServerErrorCode } from '../../errors.ts';
import type { TileBlob } from '../types.ts';

export interface FilesTask {
  /** False: what is there already must have the same bytes. True: the one file is replaced. */
  readonly replace: boolean;
  /** Paths relative to the store's directory. */
  readonly files: readonly TileBlob[];
}

const HEAD_LENGTH = 4;

export function packTask({ replace, files }: FilesTask): ArrayBuffer {
  const head = Buffer.from(JSON.stringify({ replace, files: files.map(({ path, bytes }) => [path, bytes.length]) }));
  const size = files.reduce((sum, { bytes }) => sum + bytes.length, HEAD_LENGTH + head.length);
  const task = new Uint8Array(size);
  new DataView(task.buffer).setUint32(0, head.length, true);
  task.set(head, HEAD_LENGTH);
  let at = HEAD_LENGTH + head.length;
  for (const { bytes } of files) {
    task.set(bytes, at);
    at += bytes.length;
  }
  return task.buffer;
}

/** The bytes are views of `task`. */
export function unpackTask(task: ArrayBuffer): FilesTask {
  const length = new DataView(task).getUint32(0, true);
  const head = JSON.parse(Buffer.from(task, HEAD_LENGTH, length).toString()) as {
    readonly replace: boolean;
    readonly files: readonly (readonly [path: string, length: number])[];
  };
  let at = HEAD_LENGTH + length;
  const files = head.files.map(([path, size]) => {
    at += size;
    return { path, bytes: new Uint8Array(task, at - size, size) };
  });
  return { replace: head.replace, files };
}

export function packFailure(error: unknown): ArrayBuffer {
  const code = error instanceof ServerError ? error.code : 'store';
  const message = error instanceof Error ? error.message : String(error);
  return new Uint8Array(Buffer.from(JSON.stringify({ code, message }))).buffer;
}

/** Throws the `ServerError` that the answer tells of. */
export function checkAnswer(answer: ArrayBuffer): void {
  if (answer.byteLength === 0) return;
  const { code, message } = JSON.parse(Buffer.from(answer).toString()) as { code: ServerErrorCode; message: string };
  throw new ServerError(code, message);
}
