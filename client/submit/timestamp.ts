/**
 * Requests a time stamp over a signature from a time-stamp authority (RFC 3161, over HTTP as in its section 3.4).
 *
 *   TimeStampReq = SEQUENCE { version 1, messageImprint SEQUENCE { sha256, digest }, certReq TRUE }
 *
 * The request has no nonce: an old time stamp over the same signature is as good as a new one.
 */
import { decodeHex, equal } from '../../merkle/bytes.ts';
import { sha256 } from '../../merkle/rfc6962.ts';
import { encodeDer, TAG } from '../../merkle/x509/der.ts';
import { parseTimestamp } from '../../merkle/x509/timestamp.ts';
import { ClientError } from '../errors.ts';
import { withClientErrors } from '../merkle-errors.ts';
import { checkPast } from '../verify/clock.ts';
import { ask, describeReply } from './log-request.ts';
import type { LogRequestOptions } from './types.ts';

/** SEQUENCE { OID 2.16.840.1.101.3.4.2.1, NULL } */
const SHA256 = decodeHex('300d06096086480165030402010500');
const MAX_REPLY = 64 * 1024;

/**
 * Resolves with the authority's reply, DER of a TimeStampResp, as bundles hold it. The time stamp is over `signature`.
 * Whether to trust the authority is for verifiers to check against their trusted root.
 *
 * @param url of the authority, such as https://timestamp.example.com/api/v1/timestamp
 * @throws ClientError `network`, `unavailable`, `cancelled`; `bad-timestamp` where the reply is no time stamp over it;
 *   `future-time` where the stamp is dated more than five minutes after this machine's clock, as verifiers refuse it
 */
export async function requestTimestamp(
  url: string,
  signature: Uint8Array,
  options: LogRequestOptions = {},
): Promise<Uint8Array> {
  const digest = sha256(signature);
  const imprint = encodeDer(TAG.sequence, SHA256, encodeDer(TAG.octetString, digest));
  const version = encodeDer(TAG.integer, Uint8Array.of(1));
  const query = encodeDer(TAG.sequence, version, imprint, encodeDer(TAG.boolean, Uint8Array.of(0xff)));
  const reply = await ask(url, query, options, MAX_REPLY);
  if (reply.status !== 200 && reply.status !== 201) {
    throw new ClientError('bad-timestamp', `the time-stamp authority ${url} refuses: ${describeReply(reply)}`);
  }
  try {
    const { imprint: stamped, time } = withClientErrors(() => parseTimestamp(reply.body));
    if (stamped.hash === 'sha256' && equal(stamped.digest, digest)) {
      checkPast(Date.now(), time, () => `the time stamp of ${url}`);
      return reply.body;
    }
  } catch (cause) {
    if (!(cause instanceof ClientError) || cause.code === 'future-time') throw cause;
    const why = `the time-stamp authority ${url} answered with something else: ${cause.message}`;
    throw new ClientError('bad-timestamp', why, { cause });
  }
  throw new ClientError('bad-timestamp', `the time-stamp authority ${url} stamped something else`);
}
