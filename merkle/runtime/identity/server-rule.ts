/** A rule for servers by SPIFFE ID: X509-SVID section 5 in the place of host names and authorities of the web. */
import { compileSpiffeIdPattern } from '../../spiffe/spiffe-id-pattern.ts';
import { checkX509Svid } from '../../spiffe/x509-svid.ts';
import { nodePrimitives } from '../crypto/node-primitives.ts';
import type { ServerRule } from '../service/tls-pool.ts';
import type { BundleSource } from './spiffe/types.ts';

/**
 * Takes servers with a valid X.509-SVID of one of these IDs.
 *
 * @param patterns of SPIFFE IDs; without any, every server is refused
 * @throws MerkleError `bad-rule`
 */
export function spiffeServerRule(
  bundles: Pick<BundleSource, 'current' | 'onChange'>,
  patterns: readonly string[],
): ServerRule {
  const tests = patterns.map(compileSpiffeIdPattern);
  return {
    check: (chain, now) => {
      const current = bundles.current();
      const id = checkX509Svid(chain, current, now, nodePrimitives(), 'server');
      if (!tests.some((test) => test(id) === true)) {
        const expected =
          patterns.length === 0 ? 'no SPIFFE ID is configured for it' : `${patterns.join(' or ')} is expected`;
        throw new Error(`the server is ${id.text}, and ${expected}`);
      }
      const authorities = current.get(id.trustDomain)?.x509Authorities ?? [];
      return Math.min(...[...chain, ...authorities].map(({ notAfter }) => notAfter).filter((end) => end >= now));
    },
    onChange: (listener) => bundles.onChange(listener),
  };
}
