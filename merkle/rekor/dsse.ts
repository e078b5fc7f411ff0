/**
 * DSSE envelopes (secure-systems-lab/dsse, protocol v1.0.2).
 *
 * A signature is not over the payload, but over its pre-authentication encoding (PAE):
 *
 *   "DSSEv1" SP len(type) SP type SP len(payload) SP payload        lengths in bytes, decimal
 *
 * Worked example (from the protocol): type http://example.com/HelloWorld, payload "hello world":
 *
 *   DSSEv1 29 http://example.com/HelloWorld 11 hello world
 */
import { concat, encodeUtf8 } from '../bytes.ts';

/** An envelope with one signature, as Sigstore bundles hold it. */
export interface Envelope {
  readonly payloadType: string;
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
}

/** Payload type of in-toto statements. */
export const INTOTO_TYPE = 'application/vnd.in-toto+json';

/** The pre-authentication encoding: the signed bytes. */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Uint8Array {
  return concat(encodeUtf8(paeHeader(payloadType, payload.length)), payload);
}

/** The part of the encoding before the payload, for callers that hash header and payload without copying them. */
export function paeHeader(payloadType: string, payloadLength: number): string {
  return `DSSEv1 ${encodeUtf8(payloadType).length} ${payloadType} ${payloadLength} `;
}
