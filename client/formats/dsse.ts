/**
 * DSSE envelopes (secure-systems-lab/dsse, protocol v1.0.2) with one signature, as Sigstore bundles hold them.
 *
 * What is signed is not the payload but its pre-authentication encoding:
 *
 *   "DSSEv1" SP len(type) SP type SP len(payload) SP payload        lengths in decimal, of bytes
 *
 * Worked example (from the protocol): type http://example.com/HelloWorld, payload "hello world":
 *
 *   DSSEv1 29 http://example.com/HelloWorld 11 hello world
 */
import { concat, encodeUtf8 } from '../../merkle/bytes.ts';

export interface Envelope {
  readonly payloadType: string;
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
}

/** Payload type of in-toto statements. */
export const INTOTO_TYPE = 'application/vnd.in-toto+json';

/** The bytes that are signed. */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Uint8Array {
  const type = encodeUtf8(payloadType);
  return concat(encodeUtf8('DSSEv1 '), encodeUtf8(`${type.length} `), type, encodeUtf8(` ${payload.length} `), payload);
}
