/** The teams of the authority: which of them certifies a caller, with which key and by which rule. */

import { decodeUtf8, equal } from '../../merkle/bytes.ts';
import { formatPem, parsePem, pemBytes } from '../../merkle/pem.ts';
import { printable } from '../../merkle/printable.ts';
import { nodePrimitives } from '../../merkle/runtime/crypto/node-primitives.ts';
import { readFileIfThere } from '../../merkle/runtime/disk/files.ts';
import type { Caller } from '../../merkle/runtime/identity/types.ts';
import { openUncheckedSigner } from '../../merkle/runtime/keys/open-signer.ts';
import type { Signer } from '../../merkle/runtime/keys/types.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { type Certificate, isSelfIssued, parseCertificate } from '../../merkle/x509/certificate.ts';
import { keyOf, verifyWith } from '../../merkle/x509/signature-algorithms.ts';
import { CaError } from './ca-errors.ts';
import { overlapOf, subtreesOf } from './certificates/teams.ts';
import type { NameSubtrees } from './certificates/types.ts';
import type { IssuerRule, TeamConfig } from './types.ts';

const MAX_CHAIN_BYTES = 256 * 1024;
const MAX_CHAIN = 5;

export interface Team extends Pick<TeamConfig, 'name' | 'issuers' | 'trustDomains'> {
  /** The team's certificate first, the root last. */
  readonly chain: readonly Certificate[];
  /** The same, each in PEM. */
  readonly chainPem: readonly string[];
  /** `makeLeaf` verifies what it signs. */
  readonly signer: Signer;
}

/** Opens the keys of all teams, and closes those that were opened where one fails. @throws RuntimeError */
export async function openTeams(teams: readonly TeamConfig[]): Promise<readonly Team[]> {
  const open: Team[] = [];
  try {
    for (const team of teams) {
      open.push(await openTeam(team));
      refuseOverlaps(open);
    }
    return open;
  } catch (error) {
    await closeTeams(open);
    throw error;
  }
}

/** The names of the last team are those of no team before it: Go would let a domain certify what lies below it. */
function refuseOverlaps(teams: readonly Team[]): void {
  const last = teams.at(-1)!;
  const names = namesOf(last);
  for (const other of teams.slice(0, -1)) {
    const overlap = overlapOf(names, namesOf(other));
    if (overlap === undefined) continue;
    throw new RuntimeError(
      'config',
      `the teams ${last.name} and ${other.name} may both certify ${overlap.join(' and ')}: a team is a trust domain of its own`,
    );
  }
}

function namesOf({ name, chain }: Team): NameSubtrees {
  try {
    return subtreesOf(chain[0]!);
  } catch (cause) {
    throw new RuntimeError(
      'config',
      `the certificate of the team ${name} cannot be used: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  }
}

export async function closeTeams(teams: readonly Team[]): Promise<void> {
  await Promise.allSettled(teams.map(({ signer }) => signer.close()));
}

async function openTeam({ name, certificate, key, issuers, trustDomains }: TeamConfig): Promise<Team> {
  const chain = await readChain(certificate, name);
  const signer = await openUncheckedSigner(key);
  if (!equal(signer.publicKey, chain[0]!.spki)) {
    await signer.close();
    throw new RuntimeError('config', `the key of the team ${name} is not the one of the certificate in ${certificate}`);
  }
  const chainPem = chain.map(({ der }) => formatPem('CERTIFICATE', der));
  return { name, issuers, trustDomains, chain, chainPem, signer };
}

async function readChain(path: string, team: string): Promise<readonly Certificate[]> {
  const wrong = (why: string, cause?: unknown) =>
    new RuntimeError('config', `the certificate of the team ${team} cannot be used: ${path} ${why}`, { cause });
  const bytes = await readFileIfThere(path, MAX_CHAIN_BYTES);
  if (bytes === undefined) throw wrong('is not there');
  let chain: Certificate[];
  try {
    chain = parsePem(decodeUtf8(bytes)).map((block) => parseCertificate(pemBytes(block)));
  } catch (cause) {
    throw wrong(`does not hold certificates in PEM alone: ${(cause as Error).message}`, cause);
  }
  if (chain.length < 2 || chain.length > MAX_CHAIN) {
    throw wrong(
      `holds ${chain.length} certificates: it must hold those of the team and of each authority above it, the root last`,
    );
  }
  if (chain.some((one) => !one.isCa)) throw wrong('holds a certificate that is not one of an authority');
  for (const [at, one] of chain.entries()) {
    const isLast = at === chain.length - 1;
    if (isSelfIssued(one) !== isLast) throw wrong('must hold the team first and the root, and only the root, last');
    if (!isLast && !equal(one.issuerDer, chain[at + 1]!.subjectDer)) throw wrong('is not in the order of issuing');
    if (!isLast && !isSignedBy(one, chain[at + 1]!)) throw wrong('holds a certificate that the next one did not sign');
  }
  return chain;
}

function isSignedBy({ signatureAlgorithm, tbs, signature }: Certificate, issuer: Certificate): boolean {
  return verifyWith(signatureAlgorithm, keyOf(issuer), tbs, signature, nodePrimitives());
}

/** The team of a caller, and its rule for the caller's tokens; without a rule the caller is a workload of SPIFFE. */
interface CallersTeam {
  readonly team: Team;
  readonly rule: IssuerRule | undefined;
}

/** @throws CaError `team` */
export function teamOf(caller: Caller, teams: readonly Team[]): CallersTeam {
  const { kind, spiffeId, issuer } = caller;
  if (kind === 'id-token') {
    for (const team of teams) {
      const rule = team.issuers.find((one) => one.issuer === issuer);
      if (rule !== undefined) return { team, rule };
    }
    throw new CaError('team', `no team of this authority certifies tokens of the issuer ${printable(issuer ?? '')}`);
  }
  if (spiffeId === undefined) {
    throw new CaError(
      'team',
      'this authority certifies callers by a token or by an X.509-SVID, not by another certificate',
    );
  }
  const team = teams.find(({ trustDomains }) => trustDomains.includes(spiffeId.trustDomain));
  if (team !== undefined) return { team, rule: undefined };
  throw new CaError(
    'team',
    `no team of this authority certifies workloads of the trust domain ${spiffeId.trustDomain}`,
  );
}
