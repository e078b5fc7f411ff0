/** Signs and logs the verification summary of a decision. The log is trusted as the evidence is. */
import { printable } from '../../../merkle/printable.ts';
import { isTypeUri } from '../../../merkle/rekor/predicate-types.ts';
import { ClientError, usage } from '../../errors.ts';
import { summaryStatement } from '../../policy/verification-summary.ts';
import { withAttester } from '../attester.ts';
import { isKeyless } from '../keyless/keyless-options.ts';
import { version } from '../program.ts';
import { signersTrust } from '../refresh-trust.ts';
import type { SigningOptions } from '../signing.ts';
import { withServices } from '../signing-services.ts';
import { OR_FOLLOW } from '../trust-options.ts';
import type { DecideOptions } from './decide-options.ts';
import type { NamedDecision } from './named-decision.ts';

/**
 * Decides, and signs and logs a summary of the decision. The options are checked before, and the key is opened after it.
 *
 * @throws ClientError `usage`, `statement`, and as `stele attest` for the key, the log and its trust
 */
export async function withSummary(
  out: string,
  artifacts: number,
  options: DecideOptions,
  decide: () => Promise<readonly NamedDecision[]>,
): Promise<readonly NamedDecision[]> {
  if (artifacts !== 1) throw usage('--vsa is about one artifact: decide on one at a time');
  if (options.at !== undefined) throw usage('a summary says when the decision was made: leave out --at, or --vsa');
  const resourceUri = uriOf(options.resourceUri, '--resource-uri', 'the URI under which consumers fetch the artifact');
  const verifierId = uriOf(options.verifierId, '--verifier-id', 'the URI of who decides');
  const policyUri =
    options.policyUri === undefined ? undefined : uriOf(options.policyUri, '--policy-uri', 'the URI of the policy');
  const wish = { verifierId, verifierVersion: { stele: version() }, resourceUri, policyUri };
  const chosen = signingOptions(out, options);
  const followed = await signersTrust(chosen);
  const services = await withServices(chosen, followed);
  if (services.log === undefined)
    throw usage(`--vsa logs the summary: name the log with --log or --signing-config${OR_FOLLOW}`);
  let done: readonly NamedDecision[] = [];
  await withAttester(
    { chosen, options: services, followed },
    async () => {
      const [decided] = await decide();
      const statement = summaryStatement(decided!.decision, decided!.evidence ?? [], wish);
      return { decided: decided!, statement };
    },
    async (attester, { decided, statement }) => {
      const { logged, facts } = await attester.attestOne({ file: out, out, statement: async () => statement });
      const { origin, index } = logged.verified;
      done = [{ ...decided, summary: { out, origin, index, facts } }];
    },
  );
  return done;
}

/** The log gets the same trust as the evidence: what the quorum policy or the key says, else the trusted root. */
function signingOptions(out: string, options: DecideOptions): SigningOptions {
  const { quorumPolicy, trustedRoot, logKey, policy: _, timeout = '120', ...rest } = options;
  const named = quorumPolicy !== undefined || logKey !== undefined;
  return {
    ...rest,
    out,
    timeout,
    ...(quorumPolicy === undefined ? {} : { policy: quorumPolicy }),
    ...(logKey === undefined ? {} : { logKey }),
    // Without a key it also says which certificate authorities count.
    ...(trustedRoot === undefined || (named && !isKeyless(options)) ? {} : { trustedRoot }),
  };
}

function uriOf(value: string | undefined, flag: string, what: string): string {
  if (value === undefined) throw usage(`--vsa also needs ${flag}: ${what}`);
  if (isTypeUri(value)) return value;
  throw new ClientError('usage', `${flag} is "${printable(value.slice(0, 100))}", which is no URI with a scheme`);
}
