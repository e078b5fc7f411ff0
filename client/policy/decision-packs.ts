/** Requests and decisions between threads: one buffer for each pack. A decision travels as JSON, which is read fastest. */
import { deserialize, serialize } from 'node:v8';
import type { Artifact } from '../../merkle/runtime/policy/types.ts';
import type { NamedPiece } from './decision-basis.ts';

export interface DecisionRequest {
  readonly artifact: Artifact;
  readonly pieces: readonly NamedPiece[];
  readonly now: number;
}

/** A decision as JSON, or the digests of the pieces whose bytes are needed. */
export type DecisionReply = { readonly decision: string } | { readonly missing: readonly string[] };

export function packDecisionRequests(requests: readonly DecisionRequest[]): ArrayBuffer {
  return exactly(serialize(requests));
}

export function unpackDecisionRequests(pack: ArrayBuffer): readonly DecisionRequest[] {
  return deserialize(Buffer.from(pack)) as DecisionRequest[];
}

export function packReplies(replies: readonly DecisionReply[]): ArrayBuffer {
  return exactly(serialize(replies));
}

export function unpackReplies(pack: ArrayBuffer): readonly DecisionReply[] {
  return deserialize(Buffer.from(pack)) as DecisionReply[];
}

/** The bytes in a buffer of their own, which can be transferred. */
function exactly({ buffer, byteOffset, byteLength }: Buffer): ArrayBuffer {
  return buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
}
