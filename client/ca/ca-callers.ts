/** Who asks for a certificate: by a token in the header or the body, or by an X.509-SVID of the TLS connection. */
import type { IncomingMessage } from 'node:http';
import { connectionOf } from '../../merkle/runtime/identity/client-certificate.ts';
import { Identifier } from '../../merkle/runtime/identity/identify.ts';
import { openBundleSource } from '../../merkle/runtime/identity/spiffe/open-sources.ts';
import { openTokenVerifier } from '../../merkle/runtime/identity/tokens/open-token-verifier.ts';
import { type Caller, IdentityError } from '../../merkle/runtime/identity/types.ts';
import { Closers } from '../../merkle/runtime/service/ends.ts';
import type { Logger } from '../../merkle/runtime/service/logger.ts';
import type { CaConfig } from './ca-config.ts';

const TOKEN_WAYS = 'send a token, in the header "Authorization: Bearer" or in credentials.oidcIdentityToken';

interface CaCallers {
  /** @throws IdentityError */
  readonly identify: (request: IncomingMessage, token: string | undefined) => Promise<Caller>;
  /** What the operator should know of, one sentence each. */
  readonly problems: () => readonly string[];
  readonly close: () => Promise<void>;
}

/** @throws RuntimeError */
export async function openCallers({ identity, tokens }: CaConfig, logger: Logger): Promise<CaCallers> {
  const { trustDomains, bundleMap, workloadApi } = identity;
  const closers = new Closers();
  try {
    const hasBundles = trustDomains.length > 0 || bundleMap !== undefined || workloadApi !== undefined;
    const bundles = hasBundles
      ? await openBundleSource({ trustDomains, bundleMap, workloadApi }, { logger })
      : undefined;
    if (bundles !== undefined) closers.add(() => bundles.close());
    const verifier = await openTokenVerifier(identity, { bundles });
    closers.add(() => verifier.close());
    const identifier = bundles && new Identifier({ bundles });
    if (identifier !== undefined) closers.add(async () => identifier.close());
    const wish = { audience: tokens.audience, maxLifetimeMs: tokens.maxLifetime };
    return {
      identify: async (request, token) => {
        if (token === undefined) {
          // Without TLS no certificate can have come.
          if (identifier === undefined || connectionOf(request) === undefined) {
            throw new IdentityError('no-identity', `the request has no identity: ${TOKEN_WAYS}`);
          }
          return await identifier.identify(request);
        }
        if (identifier !== undefined && hasCertificate(request)) {
          throw new IdentityError('no-identity', 'the request has a client certificate and a token: show one of them');
        }
        return await verifier.verify(token, wish);
      },
      problems: () => [...verifier.problems, ...(bundles?.problem === undefined ? [] : [bundles.problem])],
      close: () => closers.close(),
    };
  } catch (error) {
    await closers.close();
    throw error;
  }
}

function hasCertificate(request: IncomingMessage): boolean {
  const connection = connectionOf(request);
  return connection !== undefined && (connection.chain.length > 0 || connection.malformed !== undefined);
}
