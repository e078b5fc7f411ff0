/** The options of commands that decide: the policy, the evidence, and the trust, which is that of `stele verify`. */
import { type Command, Option } from 'commander';
import { SPIFFE_BUNDLE_HELP } from '../spiffe-files.ts';
import { addTrustOptions, type TrustOptions } from '../trust-options.ts';
import type { SummaryOptions } from './summary-options.ts';

export interface DecideOptions extends TrustOptions, SummaryOptions {
  readonly policy?: string;
  readonly evidence?: readonly string[];
  readonly registry?: boolean;
  readonly insecureRegistry?: readonly string[];
  readonly ca?: string;
  readonly registryConfig?: string;
  readonly store?: string;
  readonly storeCa?: string;
  readonly storeCert?: string;
  readonly storeKey?: string;
  readonly name?: string;
  readonly lock?: string;
  readonly lockHost?: readonly string[];
  readonly quorumPolicy?: string;
  readonly trustedRoot?: string;
  readonly logKey?: string;
  readonly lastCheckpoint?: readonly string[];
  readonly spiffeBundle?: readonly string[];
  readonly requireSct?: boolean;
  readonly insecureIgnoreSct?: boolean;
  readonly witnessTime?: boolean;
  readonly requireLogs?: string;
  readonly requireTimestamps?: string;
  readonly at?: string;
  readonly json?: boolean;
}

export interface LayoutDecideOptions extends DecideOptions {
  readonly layout?: string;
  readonly layoutKey?: readonly string[];
  readonly links?: string;
  readonly requireLogged?: boolean;
  readonly sarif?: string;
  readonly junit?: string;
}

/** An option that may be given many times. */
export const repeated = (value: string, list: readonly string[] = []) => [...list, value];

/** A layout of in-toto in the place of a policy, and links in the place of evidence. */
export function addLayoutOptions(command: Command): Command {
  return command
    .option('--layout <path>', 'decide by this layout of in-toto, in the place of --policy and --evidence')
    .option('--layout-key <path>', 'a public key (PEM) that must have signed the layout; can be repeated', repeated)
    .option('--links <dir>', 'the folder with the links STEP.KEYID8.link, and folders STEP.KEYID8 of sublayouts')
    .option('--require-logged', 'each link needs a bundle beside it (….link.sigstore.json), and a log that holds it');
}

/** Where evidence comes from. */
export function addEvidenceOptions(command: Command): Command {
  return command
    .option('--evidence <path>', 'a folder or a file with bundles; - is standard input; can be repeated', repeated)
    .option('--registry', 'find the evidence of an image NAME@sha256:HEX in its registry too')
    .option('--insecure-registry <host>', 'ask this registry by http; can be repeated', repeated)
    .option('--registry-config <path>', "names and passwords for registries, in the form of Docker's config.json")
    .option(
      '--ca <path>',
      "certificates (PEM) of the authorities that certify registries, in the place of the system's",
    )
    .option('--store <url>', 'find evidence in the attestation store of this index too')
    .option(
      '--store-ca <path>',
      "certificates (PEM) of the authorities that certify the store, in the place of the system's",
    )
    .option('--store-cert <path>', 'certificate chain (PEM) to show to the store; needs --store-key')
    .option('--store-key <path>', 'its private key (PEM)');
}

/** Which logs, authorities and witnesses count: as `stele verify`, where `--policy` is the quorum policy. */
export function addEvidenceTrustOptions(command: Command): Command {
  const withFiles = command
    .option('--trusted-root <path>', "Sigstore's trusted_root.json: keys of logs and authorities")
    .option('--log-key <vkey>', "the log's verifier key, or a file with it")
    .option(
      '--quorum-policy <path>',
      'quorum policy (tlog-policy): its log and its quorum of witnesses must have signed',
    )
    .option(
      '--last-checkpoint <path>',
      'the last checkpoint of a frozen log: a proof that leads beyond it is refused; can be repeated',
      repeated,
    );
  return addTrustOptions(withFiles)
    .option('--spiffe-bundle <[domain=]path>', SPIFFE_BUNDLE_HELP, repeated)
    .option('--witness-time', "take the time of signatures by certificates from the quorum policy's witnesses")
    .option('--require-sct', 'refuse a certificate if the trusted root names no certificate-transparency log')
    .addOption(
      new Option(
        '--insecure-ignore-sct',
        'take a certificate that no certificate-transparency log has promised to publish',
      ).conflicts('requireSct'),
    )
    .option('--require-logs <n>', 'how many different logs must hold each signature (default: 1)')
    .option('--require-timestamps <n>', 'how many time-stamp authorities must have seen each signature (default: 0)')
    .option('--at <time>', "take this for the present (RFC 3339), not this machine's clock");
}
