/** What a person can do where the certificate of a server is not accepted. */
import type { RuntimeError } from '../merkle/runtime/runtime-errors.ts';
import { connectionRefused } from '../merkle/runtime/service/connection-refused.ts';
import { networkReason } from '../merkle/runtime/service/fetch.ts';

/** Codes of OpenSSL and Node, and the advice for them. */
const ADVICE: readonly (readonly [code: RegExp, advice: string])[] = [
  [
    /^(UNABLE_TO_(GET_ISSUER|VERIFY)|SELF_SIGNED_CERT|DEPTH_ZERO_SELF_SIGNED|CERT_SIGNATURE_FAILURE)/,
    "no authority that this command trusts certified the server. If you trust the server's authority, give its certificate with --ca",
  ],
  [
    /^CERT_(HAS_EXPIRED|NOT_YET_VALID)$/,
    "a certificate of the server is not valid now. Its operator must renew it, unless this machine's clock is wrong",
  ],
  [/^ERR_TLS_CERT_ALTNAME_INVALID$/, "the server's certificate is for another host. Is the address right?"],
];

/** Undefined for an error that is not about a certificate or an identity; otherwise no other attempt ends better. */
export function tlsAdvice({ cause }: RuntimeError): string | undefined {
  const refused = connectionRefused(cause);
  if (refused !== undefined) return refused.message;
  const reason = networkReason(cause);
  const advice = ADVICE.find(([code]) => code.test(reason))?.[1];
  return advice && `${advice} (${reason})`;
}
