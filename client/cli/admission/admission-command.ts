/** `stele admission`: the webhook that a Kubernetes API server asks whether images may run. */
import { Command } from 'commander';
import { readTls } from '../../../merkle/runtime/service/tls-files.ts';
import { ADMISSION_SETTINGS, type AdmissionConfig, loadAdmission } from '../../admission/admission-config.ts';
import { serveAdmission } from '../../admission/serve-admission.ts';
import { ClientError } from '../../errors.ts';
import { type DeciderOptions, openDecider } from '../../policy/decider.ts';
import { basisPaths, readBasis } from '../policy/basis-files.ts';
import type { DecideOptions } from '../policy/decide-options.ts';
import { exitStatus, print } from '../report.ts';
import { addSettings, configOf } from '../settings-flags.ts';
import { onHangUp, stopSignals, untilStopped } from '../signals.ts';
import { admissionSources } from './admission-sources.ts';

/** What `--help` lists of the settings. */
const SHOWN = [
  'policy',
  'listen-host',
  'listen-port',
  'tls-cert',
  'tls-key',
  'trust-directory',
  'trust-trusted-root',
  'trust-quorum-policy',
  'evidence-directory',
  'evidence-registry',
];

const HELP = `
Images are judged by their digests, under a decision policy (docs/policy.md). What cannot be judged is denied.
docs/admission.md says how to run it in a cluster; deploy/kubernetes has manifests.
Every setting can also stand in the file or in a STELE_ADMISSION_… variable; docs/configuration.md describes them all.
Policy, trust and certificate are read again when their files change, and at SIGHUP.
SIGTERM or SIGINT ends it in order: reviews under way are answered first. A second one ends it at once.

Exit status with --check: 0 everything can be used, 2 something cannot.

Examples:
  stele admission --config admission.yaml
  stele admission --config admission.yaml --check
  stele admission --policy policy.yaml --tls-cert tls.crt --tls-key tls.key --trust-quorum-policy trust/policy \\
    --evidence-registry false --evidence-directory bundles
  kubectl apply -k deploy/kubernetes/admission`;

interface AdmissionFlags {
  readonly check?: boolean;
  readonly json?: boolean;
}

export function admissionCommand(): Command {
  const command = new Command('admission').description('Judge the images of a Kubernetes cluster (admission webhook)');
  return addSettings(command, { SETTINGS: ADMISSION_SETTINGS }, SHOWN, 'STELE_ADMISSION_CONFIG')
    .option('--check', 'read configuration, policy, trust and certificate, say what is wrong with them, and end')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', HELP)
    .action((options: AdmissionFlags) => run(options, command));
}

async function run({ check, json }: AdmissionFlags, command: Command): Promise<void> {
  const stopping = stopSignals();
  const reread = () => configOf(command, { SETTINGS: ADMISSION_SETTINGS, loadConfig: loadAdmission });
  const config = reread();
  const basis = basisOptions(config);
  const read = async () => (await usable(readBasis(basis))).basis;
  const sources = await admissionSources(config);
  if (check === true) return await checkOnly(config, read, json);
  const decider = await openDecider({ read, files: await usable(basisPaths(basis)) });
  const running = await serveAdmission({ config, reread, decider, ...sources }).catch(async (error: unknown) => {
    // Its threads would keep the process.
    await decider.close();
    throw error;
  });
  const { url, adminUrl } = running;
  print(json, { url, adminUrl, policy: config.policy, policyDigest: decider.policyDigest }, [
    `The webhook judges images at ${url}/validate, and replaces tags at ${url}/mutate; operator's port ${adminUrl}`,
    `Policy: ${config.policy} (${decider.policyDigest})`,
    '',
  ]);
  onHangUp(() => void running.reload());
  await untilStopped(running, stopping);
}

/** Trust that expired ends a check of evidence with status 1. Here nothing was judged yet. */
async function usable<T>(reading: Promise<T>): Promise<T> {
  return await reading.catch((error: unknown) => {
    if (error instanceof ClientError && exitStatus(error) === 1) {
      throw new ClientError('trust', error.message, { cause: error });
    }
    throw error;
  });
}

/** As `stele decide` takes them. */
function basisOptions({ policy, trust }: AdmissionConfig): DecideOptions {
  const { directory, maxAge, trustedRoot, logKey, quorumPolicy, spiffeBundles } = trust;
  return {
    policy,
    ...(directory !== undefined && { trust: directory }),
    ...(maxAge !== undefined && { maxTrustAge: ageText(maxAge) }),
    ...(trustedRoot !== undefined && { trustedRoot }),
    ...(logKey !== undefined && { logKey }),
    ...(quorumPolicy !== undefined && { quorumPolicy }),
    ...(spiffeBundles !== undefined && { spiffeBundle: [spiffeBundles] }),
  };
}

/** Not longer than the setting: whole seconds, or whole hours where the number would be long. */
function ageText(ms: number): string {
  return ms < 900_000_000 ? `${Math.floor(ms / 1000)}s` : `${Math.floor(ms / 3_600_000)}h`;
}

/** @throws what a start would throw */
async function checkOnly(
  { policy, tls }: AdmissionConfig,
  read: DeciderOptions['read'],
  json: boolean | undefined,
): Promise<void> {
  if (tls.workloadApi === undefined) await readTls(tls);
  const decider = await openDecider({ read, threads: 0 });
  const { policyDigest } = decider;
  await decider.close();
  print(json, { ok: true, policy, policyDigest }, [`All of it can be used. Policy: ${policy} (${policyDigest})`]);
}
