/** What the authority opens at its start, and again at each reload: teams and their keys, identities, and who may get a certificate. */
import { readFileIfThere } from '../../merkle/runtime/disk/files.ts';
import { IdentityError } from '../../merkle/runtime/identity/types.ts';
import { openUncheckedSigner } from '../../merkle/runtime/keys/open-signer.ts';
import { AccessRates, judgeAccess } from '../../merkle/runtime/policy/access/judge-access.ts';
import { loadAccessPolicy } from '../../merkle/runtime/policy/access/load-access.ts';
import type { AccessPolicy } from '../../merkle/runtime/policy/access/types.ts';
import { MAX_POLICY_FILE } from '../../merkle/runtime/policy/policy-values.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { Closers } from '../../merkle/runtime/service/ends.ts';
import type { Logger } from '../../merkle/runtime/service/logger.ts';
import { openCallers } from './ca-callers.ts';
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

interface PartsOptions {
  readonly logger: Logger;
  /** What callers had under the access policy before: a reload gives nobody a new minute. */
  readonly rates?: AccessRates;
}

/** @throws RuntimeError */
export async function openParts(
  config: CaConfig,
  { logger, rates = new AccessRates() }: PartsOptions,
): Promise<CaParts> {
  const { teams: named, ct: promised, access } = config;
  const admit = access === undefined ? () => {} : admitBy(await readAccess(access), rates);
  const closers = new Closers();
  try {
    const teams = await openTeams(named);
    closers.add(() => closeTeams(teams));
    const ct = await openUncheckedSigner(promised.key);
    closers.add(() => ct.close());
    if (ct.algorithm !== 'ecdsa-p256') {
      throw new RuntimeError('config', '`ct.key` is no ECDSA P-256 key: clients verify timestamps with no other key');
    }
    const { identify, problems, close } = await openCallers(config, logger);
    closers.add(close);
    return { teams, ct, issuers: issuersOf(config), admit, identify, problems, close: () => closers.close() };
  } catch (error) {
    await closers.close();
    throw error;
  }
}

function issuersOf({ teams, identity, tokens }: CaConfig): CaParts['issuers'] {
  const audienceOf = (issuer: string) => identity.issuers.find((one) => one.issuer === issuer)?.audience;
  return teams.flatMap(({ issuers }) =>
    issuers.map(({ issuer, name }) => ({
      issuer,
      audience: audienceOf(issuer) ?? tokens.audience,
      challenge: name === 'email' ? 'email' : 'sub',
    })),
  );
}

async function readAccess(file: string): Promise<AccessPolicy> {
  const bytes = await readFileIfThere(file, MAX_POLICY_FILE);
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
