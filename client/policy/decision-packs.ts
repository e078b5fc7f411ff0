/**
 * Requests and decisions between threads: one buffer for each pack. A decision of ten rules takes longer to read than to make, so it
 * goes without what the asker knows, and names each piece of evidence once.
 */
import { deserialize, serialize } from 'node:v8';
import type { Artifact, Decision, DecisionPolicy, JudgedEvidence } from '../../merkle/runtime/policy/types.ts';
import type { NamedPiece } from './decision-basis.ts';

export interface DecisionRequest {
  readonly artifact: Artifact;
  readonly pieces: readonly NamedPiece[];
  readonly now: number;
}

/** A decision, or the digests of the pieces whose bytes are needed. */
export type DecisionReply = Decision | readonly string[];

interface PackedDecision extends Pick<Decision, 'verdict' | 'reasons' | 'levels' | 'refused'> {
  /** Digest and source of each piece. */
  readonly pieces: readonly (readonly [string, string])[];
  readonly rules: readonly (readonly [string, boolean, readonly PackedEvidence[], Decision['reasons']])[];
}

/** The place in `pieces`, and the members of a `JudgedEvidence`. */
type PackedEvidence = readonly [
  number,
  JudgedEvidence['signers'],
  boolean,
  JudgedEvidence['levels'],
  JudgedEvidence['reasons'],
];

export function packDecisionRequests(requests: readonly DecisionRequest[]): ArrayBuffer {
  return exactly(serialize(requests));
}

export function unpackDecisionRequests(pack: ArrayBuffer): readonly DecisionRequest[] {
  return deserialize(Buffer.from(pack)) as DecisionRequest[];
}

export function packReplies(replies: readonly DecisionReply[]): ArrayBuffer {
  const packed = replies.map((reply) => ('verdict' in reply ? packDecision(reply) : reply));
  return exactly(Buffer.from(JSON.stringify(packed)));
}

/** @param requests what `pack` answers, in its order */
export function unpackReplies(
  pack: ArrayBuffer,
  requests: readonly DecisionRequest[],
  policy: DecisionPolicy,
): readonly DecisionReply[] {
  const replies = JSON.parse(Buffer.from(pack).toString()) as readonly (PackedDecision | readonly string[])[];
  return replies.map((reply, i) => ('verdict' in reply ? unpackDecision(reply, requests[i]!, policy) : reply));
}

function packDecision({ verdict, rules, reasons, levels, refused }: Decision): PackedDecision {
  // A decision has no two pieces of one digest.
  const places = new Map<string, number>();
  const pieces: [string, string][] = [];
  const placeOf = ({ digest, source }: JudgedEvidence): number => {
    let place = places.get(digest);
    if (place === undefined) {
      place = pieces.push([digest, source]) - 1;
      places.set(digest, place);
    }
    return place;
  };
  const packedRules = rules.map(({ name, holds, evidence, reasons }) => {
    const packed = evidence.map((one): PackedEvidence => {
      return [placeOf(one), one.signers, one.holds, one.levels, one.reasons];
    });
    return [name, holds, packed, reasons] as const;
  });
  return { verdict, reasons, levels, refused, pieces, rules: packedRules };
}

function unpackDecision(
  { verdict, pieces, rules, reasons, levels, refused }: PackedDecision,
  { artifact, now }: DecisionRequest,
  { name, digest }: DecisionPolicy,
): Decision {
  const wholeRules = rules.map(([name, holds, evidence, reasons]) => ({
    name,
    holds,
    evidence: evidence.map(([place, signers, holds, levels, reasons]) => {
      const [digest, source] = pieces[place]!;
      return { digest, source, signers, holds, levels, reasons };
    }),
    reasons,
  }));
  return { verdict, artifact, policy: { name, digest }, time: now, rules: wholeRules, reasons, levels, refused };
}

/** The bytes in a buffer of their own, which can be transferred. */
function exactly({ buffer, byteOffset, byteLength }: Buffer): ArrayBuffer {
  return buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
}
