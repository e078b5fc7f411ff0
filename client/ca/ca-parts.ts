/** What the authority opens at its start, and again at each reload: teams and their keys, identities, and who may get a certificate. */
import type { IncomingMessage } from 'node:http';
import { openTokenVerifier } from '../../merkle/runtime/identity/tokens/open-token-verifier.ts';
import { type Caller, IdentityError } from '../../merkle/runtime/identity/types.ts';
import { openSigner } from '../../merkle/runtime/keys/open-signer.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import type { CaConfig } from './ca-config.ts';
import type { IssuingParts } from './issuance.ts';
import { closeTeams, openTeams } from './issuing-teams.ts';

export interface CaParts extends IssuingParts {
  /** For `GET /api/v2/configuration`. */
  readonly issuers: readonly { readonly issuer: string; readonly audience: string; readonly challenge: string }[];
  /** What the operator should know of, one sentence each. */
  readonly problems: () => readonly string[];
  readonly close: () => Promise<void>;
}

/** @throws RuntimeError */
export async function openParts({ teams: named, ct, identity, tokens }: CaConfig): Promise<CaParts> {
  const teams = await openTeams(named);
  try {
    const signer = await openSigner(ct.key);
    try {
      if (signer.algorithm !== 'ecdsa-p256') {
        throw new RuntimeError('config', '`ct.key` is no ECDSA P-256 key: clients verify timestamps with no other key');
      }
      const verifier = await openTokenVerifier(identity);
      const wish = { audience: tokens.audience, maxLifetimeMs: tokens.maxLifetime };
      const audienceOf = (issuer: string) =>
        identity.issuers.find((one) => one.issuer === issuer)?.audience ?? tokens.audience;
      return {
        teams,
        ct: signer,
        issuers: teams.flatMap(({ issuers }) =>
          issuers.map(({ issuer, name }) => ({
            issuer,
            audience: audienceOf(issuer),
            challenge: name === 'email' ? 'email' : 'sub',
          })),
        ),
        admit: () => {},
        identify: async (_request: IncomingMessage, token: string | undefined): Promise<Caller> => {
          if (token === undefined) {
            throw new IdentityError(
              'no-identity',
              'the request has no identity: send a token, in the header "Authorization: Bearer" or in credentials.oidcIdentityToken',
            );
          }
          return await verifier.verify(token, wish);
        },
        problems: () => verifier.problems,
        close: async () => {
          await verifier.close();
          await signer.close();
          await closeTeams(teams);
        },
      };
    } catch (error) {
      await signer.close();
      throw error;
    }
  } catch (error) {
    await closeTeams(teams);
    throw error;
  }
}
