/** `stele ca serve`: the authority that issues certificates of minutes. */
import { Command } from 'commander';
import { makeLogger } from '../../../merkle/runtime/service/logger.ts';
import { readTls } from '../../../merkle/runtime/service/tls-files.ts';
import { type CaConfig, loadCa } from '../../ca/ca-config.ts';
import { openParts } from '../../ca/ca-parts.ts';
import { logTrustOf } from '../../ca/log-trust.ts';
import { serveCa } from '../../ca/serve-ca.ts';
import { usage } from '../../errors.ts';
import { print } from '../report.ts';
import { onHangUp, stopSignals, untilStopped } from '../signals.ts';

const HELP = `
A caller shows a token of its identity provider or build system, or an X.509-SVID of its workload, and proves that it
has the private key. It gets a certificate of minutes for code signing, which is in the log before it leaves. cosign,
@sigstore/sign and \`stele sign\` ask as they ask Fulcio. docs/identity.md says how to run it; docs/configuration.md
describes the settings of the file.
Limits, teams, keys, identities and TLS files are read again at SIGHUP.
SIGTERM or SIGINT ends it in order: requests under way are answered first. A second one ends it at once.

Exit status with --check: 0 everything can be used, 2 something cannot.

Examples:
  stele ca serve --config ca.yaml
  stele ca serve --config ca.yaml --check`;

interface CaServeOptions {
  readonly config?: string;
  readonly check?: boolean;
  readonly json?: boolean;
}

export function caServe(): Command {
  return new Command('serve')
    .description('Issue certificates of minutes to callers with an identity, each logged before it leaves')
    .option('--config <path>', 'configuration file (YAML); STELE_CA_CONFIG names one too')
    .option('--check', 'read the configuration, keys and certificates, say what is wrong with them, and end')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', HELP)
    .action(run);
}

async function run({ config: file = process.env.STELE_CA_CONFIG, check, json }: CaServeOptions): Promise<void> {
  if (file === undefined || file === '') throw usage('name the configuration file: --config ca.yaml');
  const stopping = stopSignals();
  const reread = () => loadCa(file);
  const config = reread();
  if (check === true) return await checkOnly(config, json);
  const running = await serveCa({ config, reread });
  const { url, adminUrl, teams } = running;
  print(json, { url, adminUrl, teams }, [
    `The authority issues certificates at ${url}; operator's port ${adminUrl}`,
    `Teams: ${teams.join(', ')}`,
    '',
  ]);
  onHangUp(() => void running.reload());
  await untilStopped(running, stopping);
}

/** @throws what a start would throw */
async function checkOnly(config: CaConfig, json: boolean | undefined): Promise<void> {
  if (config.tls !== undefined && config.tls.workloadApi === undefined) await readTls(config.tls);
  await logTrustOf(config.transparencyLog);
  const { teams, close } = await openParts(config, { logger: makeLogger(config.log) });
  await close();
  const names = teams.map(({ name }) => name);
  print(json, { ok: true, teams: names }, [`All of it can be used. Teams: ${names.join(', ')}`]);
}
