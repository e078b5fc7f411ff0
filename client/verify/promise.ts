/**
 * Signed entry timestamps (SET) of Rekor v1: the log's promise that it took an entry at a time. The log signs the RFC 8785
 * form of
 *
 *   {"body": base64, "integratedTime": seconds since 1970, "logID": hex, "logIndex": number}
 */

import { encodeBase64, encodeHex, encodeUtf8 } from '../../merkle/bytes.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { timeText, within } from '../../merkle/x509/utc-time.ts';
import { ClientError } from '../errors.ts';
import type { TlogEntry } from '../formats/log-entry.ts';
import type { LogKey } from '../trust/log-key.ts';

/**
 * The key of `keys` that signed the promise, if the key counts at the time of the promise. `entry.promise` must be set.
 *
 * @throws ClientError `bad-promise`
 */
export function checkPromise(entry: TlogEntry, keys: readonly LogKey[], primitives: Primitives): LogKey {
  const { promise, integratedTime, index: logIndex } = entry;
  if (promise === undefined || integratedTime === 0) {
    throw new ClientError('bad-promise', 'the signed entry timestamp in the bundle is about no time');
  }
  // The members stand in the order of RFC 8785.
  const signed = encodeUtf8(
    JSON.stringify({ body: encodeBase64(entry.body), integratedTime, logID: encodeHex(entry.logId), logIndex }),
  );
  const key = keys.find((one) => one.signed(signed, promise, primitives));
  if (key === undefined) {
    throw new ClientError(
      'bad-promise',
      `the signed entry timestamp is not by the log ${keys[0]?.label}: it was changed, or is of another entry`,
    );
  }
  const time = integratedTime * 1000;
  const counting = keys.find((one) => one.label === key.label && (!one.validFor || within(one.validFor, time)));
  if (counting !== undefined) return counting;
  throw new ClientError(
    'bad-promise',
    `the log promised the entry at ${timeText(time)}, when the trusted root does not give its key`,
  );
}
