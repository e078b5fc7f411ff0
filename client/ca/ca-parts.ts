/** What the authority opens at its start, and again at each reload: teams and their keys, identities, and who may get a certificate. */
import type { IncomingMessage } from 'node:http';
import { readFileIfThere } from '../../merkle/runtime/disk/files.ts';
import { openTokenVerifier } from '../../merkle/runtime/identity/tokens/open-token-verifier.ts';
import { type Caller, IdentityError } from '../../merkle/runtime/identity/types.ts';
import { openSigner } from '../../merkle/runtime/keys/open-signer.ts';
import { AccessRates, judgeAccess } from '../../merkle/runtime/policy/access/judge-access.ts';
import { loadAccessPolicy, MAX_ACCESS_POLICY } from '../../merkle/runtime/policy/access/load-access.ts';
import type { AccessPolicy } from '../../merkle/runtime/policy/access/types.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import type { CaConfig } from './ca-config.ts';
import { CaError } from './ca-errors.ts';
import type { IssuingParts } from './issuance.ts';
import { closeTeams, openTeams } from './issuing-teams.ts';

export interface CaParts extends IssuingParts {
  /** For `GET /api/v2/configuration`. */
  readonly issuers: readonly { readonly issuer: string; readonly audience: string; readonly challenge: string }[];
  /** What the operator should know of, one sentence each. */
  readonly problems: () => readonly string[];
  readonly close: () => Promise<void>;
}

/**
 * @param rates what callers had under the access policy before: a reload gives nobody a new minute
 * @throws RuntimeError
 */
export async function openParts(
  { teams: named, ct, identity, tokens, access }: CaConfig,
  rates = new AccessRates(),
): Promise<CaParts> {
  const admit = access === undefined ? () => {} : admitBy(await readAccess(access), rates);
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
        admit,
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

async function readAccess(file: string): Promise<AccessPolicy> {
  const bytes = await readFileIfThere(file, MAX_ACCESS_POLICY);
  if (bytes === undefined) throw new RuntimeError('config', `the access policy ${file} is not there`);
  return await loadAccessPolicy(bytes, { file, actions: ['issue'] });
}

function admitBy(policy: AccessPolicy, rates: AccessRates): IssuingParts['admit'] {
  return (caller) => {
    const verdict = judgeAccess(policy, caller, { action: 'issue' }, Date.now(), rates);
    if (verdict.allowed === true) return;
    const { reasons, retryAfter } = verdict;
    const why = reasons
      .map(({ message, rule }) => (rule === undefined ? message : `${message} (rule ${rule})`))
      .join('; ');
    if (retryAfter !== undefined) throw new CaError('rate', `not now: ${why}`, { retryAfter });
    throw new IdentityError('not-allowed', `the access policy does not let this caller have a certificate: ${why}`);
  };
}
