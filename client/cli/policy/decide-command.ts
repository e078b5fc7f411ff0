/** `stele decide`: whether an artifact may be used, under a decision policy, from evidence. */
import { Command } from 'commander';
import { usage } from '../../errors.ts';
import { exitStatus, reportError } from '../report.ts';
import {
  addEvidenceOptions,
  addEvidenceTrustOptions,
  addLayoutOptions,
  type LayoutDecideOptions,
  repeated,
} from './decide-options.ts';
import { addOutputOptions } from './decision-outputs.ts';
import { addSummaryOptions } from './summary-options.ts';

const HELP = `
The decision policy (docs/policy.md) says which evidence the artifact needs. Which logs, authorities and witnesses are trusted
stands in no policy: it comes from the same options as for \`stele verify\`, with --quorum-policy for a c2sp.org/tlog-policy,
or from the repository that \`stele trust use\` follows.

All evidence is verified first: a signature that is in no trusted log counts for nothing, and neither does evidence of another
artifact. Without evidence the answer is deny, and so it is where anything cannot be told.

With --layout, the layout says which steps made the artifact and who may have done them, with the verdicts of in-toto-golang.
Inspections are never run: a layout with some is denied. An ARTIFACT must then be a product of the last step.

With --vsa the decision is written as a verification summary attestation (SLSA): signed, logged and cosigned as \`stele attest\`
does it, with the policy and each piece of evidence by digest. A deny gives a summary with the result FAILED and no level. Where
nothing was judged, as without a rule for the artifact, none is made.

Exit status: 0 allow, 1 deny, 2 it could not be tried. Of many artifacts: 1 if any is denied.

Examples:
  stele decide app.tgz --policy policy.yaml --evidence app.tgz.sigstore.json --quorum-policy trust/policy
  stele decide app.tgz --policy policy.yaml --evidence evidence/ --trusted-root trusted_root.json --json
  stele decide sha256:9f86…0a08 --name app --policy policy.yaml --evidence evidence/
  stele decide registry.example.com/team/app@sha256:9f86…0a08 --policy policy.yaml --registry
  git cat-file commit HEAD > commit.txt
  stele decide gitCommit:$(git rev-parse HEAD) --policy source.yaml --evidence commit.txt --quorum-policy trust/policy
  stele decide app.tgz --policy policy.yaml --evidence evidence/ --quorum-policy trust/policy --vsa app.vsa.json \\
    --resource-uri https://example.com/app.tgz --verifier-id https://example.com/verifier --key signing.pem \\
    --log https://log.example.com
  stele decide dist/*.tgz --policy policy.yaml --evidence evidence/
  stele decide app.tgz --policy policy.yaml --evidence evidence/ --sarif stele.sarif --junit stele.xml
  stele decide --lock package-lock.json --policy policy.yaml --evidence evidence/ --json
  stele decide app.tgz --layout root.layout --layout-key owner.pub --links links/
  stele decide --layout root.layout --layout-key owner.pub --links links/ --require-logged --log-key trust/log.vkey`;

export function decideCommand(): Command {
  const command = new Command('decide')
    .description('Decide from evidence whether an artifact may be used')
    .argument(
      '[artifacts...]',
      'files, digests of them (sha256:HEX), images NAME@sha256:HEX, or commits and tags of git (gitCommit:HEX, gitTag:HEX)',
    )
    .option('--policy <path>', 'the decision policy (YAML)')
    .option(
      '--name <name>',
      'the name of the artifact, in the place of its file name: the policy may be for some names',
    )
    .option('--lock <path>', 'decide on each package of a lock file, in the place of artifacts')
    .option(
      '--lock-host <host>',
      'a host that packages of the lock file may come from (default: any); can be repeated',
      repeated,
    );
  addSummaryOptions(addEvidenceTrustOptions(addLayoutOptions(addEvidenceOptions(command))));
  return addOutputOptions(command)
    .option('--json', 'print the decision as JSON; of several artifacts as a list')
    .addHelpText('after', HELP)
    .action(decideOn);
}

async function decideOn(artifacts: readonly string[], options: LayoutDecideOptions): Promise<void> {
  const stop = new AbortController();
  const interrupted = () => stop.abort();
  process.once('SIGINT', interrupted);
  try {
    checkLockOptions(artifacts, options);
    if (options.vsa !== undefined && (options.layout ?? options.lock) !== undefined) {
      throw usage('--vsa is about one artifact and a decision by a policy: leave out --layout and --lock');
    }
    if (options.layout !== undefined) {
      const { decideByLayout } = await import('./decide-layout.ts');
      return await decideByLayout({ ...options, layout: options.layout }, artifacts, stop.signal);
    }
    refuseLayoutOptions(options);
    const { runDecide } = await import('./run-decide.ts');
    const { nodePrimitives } = await import('../../../merkle/runtime/crypto/node-primitives.ts');
    const primitives =
      artifacts.length > 1
        ? nodePrimitives()
        : (await import('../../../merkle/runtime/crypto/message-primitives.ts')).messagePrimitives(nodePrimitives());
    if (options.lock === undefined) await runDecide(artifacts, options, primitives, stop.signal);
    else await (await import('./run-lock.ts')).runLock(options.lock, options, nodePrimitives(), stop.signal);
  } catch (error) {
    if (exitStatus(error) !== 1) throw error;
    // Status 1 says that the answer is deny, and nothing was decided: a registry was away, or the trust has expired.
    reportError(error, options.json === true);
    process.exitCode = 2;
  } finally {
    process.removeListener('SIGINT', interrupted);
  }
}

/** @throws ClientError `usage` */
function checkLockOptions(artifacts: readonly string[], { lock, lockHost, layout }: LayoutDecideOptions): void {
  if (lock === undefined) {
    if (lockHost !== undefined) throw usage('--lock-host is about the packages of a lock file: give --lock too');
  } else if (artifacts.length > 0) throw usage('--lock names the packages itself: leave the artifacts out');
  else if (layout !== undefined)
    throw usage('--layout is about what one build made, and --lock about many packages: give one');
}

/** @throws ClientError `usage` */
function refuseLayoutOptions({ layoutKey, links, requireLogged }: LayoutDecideOptions): void {
  if (layoutKey === undefined && links === undefined && requireLogged === undefined) return;
  throw usage(
    '--layout-key, --links and --require-logged are about a layout: name it with --layout, or leave them out',
  );
}
