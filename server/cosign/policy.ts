/** The witness policy of a log: read, checked against the log's keys, and grouped by URL. */
import { equal } from '../../merkle/bytes.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { formatVerifierKey, MAX_SIGNATURES, type VerifierKey } from '../../merkle/note.ts';
import { MAX_POLICY, type Policy, type PolicyWitness, parsePolicy, quorumMet } from '../../merkle/policy.ts';
import { namedIdOf } from '../../merkle/runtime/config/tls-settings.ts';
import { readFileIfThere } from '../../merkle/runtime/disk/files.ts';
import { ServerError } from '../errors.ts';

/** One URL of the policy. It gets one request, whatever the number of witnesses behind it. */
export interface Endpoint {
  /** The submission prefix, without a slash at its end. */
  readonly url: string;
  readonly witnesses: readonly PolicyWitness[];
  /** The witnesses' names in the policy, for people and metrics. */
  readonly name: string;
}

/** Leaves room in a note for the log's own signatures. */
const MAX_WITNESSES = MAX_SIGNATURES - 8;

/** @throws ServerError `policy` */
export async function readPolicy(file: string): Promise<Policy> {
  const bytes = await readFileIfThere(file, MAX_POLICY);
  if (bytes === undefined) throw new ServerError('policy', `the policy ${file} is not there.`);
  try {
    return parsePolicy(bytes);
  } catch (error) {
    if (error instanceof MerkleError) throw new ServerError('policy', `the policy ${file} is wrong: ${error.message}`);
    throw error;
  }
}

/**
 * A name that the policy does not have is a slip of the pen: the witness that was meant would be checked by the list for all.
 * @param ids as `outgoing.witnessIds`
 * @throws ServerError `policy`
 */
export function checkWitnessIds({ witnesses }: Policy, ids: readonly string[]): void {
  for (const item of ids) {
    const [named] = namedIdOf(item) ?? [];
    if (named !== undefined && !witnesses.some(({ name }) => name === named)) {
      throw new ServerError(
        'policy',
        `"outgoing.witnessIds" names the witness ${named}, which the policy does not have.`,
      );
    }
  }
}

/**
 * The URLs of the witnesses. `keys` are the log's own.
 * @throws ServerError `policy` if the quorum cannot be reached, or the policy is for other logs
 */
export function endpointsOf(policy: Policy, keys: readonly VerifierKey[]): Endpoint[] {
  if (policy.logs.length > 0 && !policy.logs.some((log) => keys.some((key) => equal(key.key, log.key.key)))) {
    throw new ServerError(
      'policy',
      'the policy names logs, and none of them has a key of this log: it is the policy of another log. Add the line ' +
        '`log <verifier key>` of this log, or leave the log lines out.',
    );
  }
  if (policy.witnesses.length > MAX_WITNESSES) {
    throw new ServerError(
      'policy',
      `the policy has more than ${MAX_WITNESSES} witnesses, which no checkpoint can carry.`,
    );
  }
  if (!quorumMet(policy, ({ url }) => url !== undefined)) {
    throw new ServerError(
      'policy',
      'the quorum of the policy cannot be reached: too many of its witnesses have no URL to ask. Add their URLs to the ' +
        'ends of their lines.',
    );
  }
  const byUrl = new Map<string, PolicyWitness[]>();
  for (const witness of policy.witnesses) {
    if (witness.url === undefined) continue;
    const url = normalUrl(witness.url, witness.name);
    byUrl.set(url, [...(byUrl.get(url) ?? []), witness]);
  }
  return [...byUrl].map(([url, witnesses]) => ({ url, witnesses, name: witnesses.map(({ name }) => name).join(',') }));
}

export function isSameKey(one: VerifierKey, other: VerifierKey): boolean {
  return formatVerifierKey(one) === formatVerifierKey(other);
}

/** The quorum in words: `2 of (alice, bob, carol)`. */
export function quorumText({ quorum }: Policy): string {
  return quorum === undefined ? 'none' : memberText(quorum);
}

function memberText(member: NonNullable<Policy['quorum']>): string {
  if (member.kind === 'witness') return member.name;
  return `${member.threshold} of (${member.members.map(memberText).join(', ')})`;
}

function normalUrl(text: string, name: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if ((url?.protocol === 'http:' || url?.protocol === 'https:') && url.search === '' && url.hash === '') {
    return url.href.replace(/\/+$/, '');
  }
  throw new ServerError(
    'policy',
    `the URL of the witness "${name}" in the policy is not http:// or https:// and a path.`,
  );
}
