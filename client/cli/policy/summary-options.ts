/** The options of `stele decide` that make a verification summary of a decision, sign it and log it. */
import type { Command } from 'commander';
import type { SigningOptions } from '../signing.ts';
import { addKeyOptions } from '../signing-options.ts';

export interface SummaryOptions
  extends Pick<
    SigningOptions,
    | 'key'
    | 'passphraseFile'
    | 'passphraseEnv'
    | 'signingConfig'
    | 'pkcs11Module'
    | 'token'
    | 'label'
    | 'pinFile'
    | 'pinEnv'
    | 'agentKey'
    | 'certificate'
    | 'tsa'
    | 'keyless'
    | 'identityToken'
    | 'audience'
    | 'certificateAuthority'
    | 'svid'
    | 'workloadApi'
    | 'svidId'
    | 'svidCert'
    | 'svidKey'
  > {
  readonly vsa?: string;
  readonly resourceUri?: string;
  readonly verifierId?: string;
  readonly policyUri?: string;
  readonly log?: string;
  readonly timeout?: string;
}

/** Names of the options that have a meaning with `--vsa` alone. */
export const SUMMARY_ONLY = [
  'resourceUri',
  'verifierId',
  'policyUri',
  'log',
  'timeout',
  'key',
  'passphraseFile',
  'passphraseEnv',
  'signingConfig',
  'pkcs11Module',
  'token',
  'label',
  'pinFile',
  'pinEnv',
  'agentKey',
  'certificate',
  'tsa',
  'keyless',
  'identityToken',
  'audience',
  'certificateAuthority',
  'svid',
  'workloadApi',
  'svidId',
  'svidCert',
  'svidKey',
] as const satisfies readonly (keyof SummaryOptions)[];

export function addSummaryOptions(command: Command): Command {
  command
    .option('--vsa <path>', 'write the decision as a verification summary (SLSA), signed and logged: its bundle')
    .option('--resource-uri <uri>', 'with --vsa: under which URI consumers fetch the artifact')
    .option('--verifier-id <uri>', 'with --vsa: the URI of who decides')
    .option('--policy-uri <uri>', 'with --vsa: the URI of the policy (default: one made of its digest)')
    .option('--log <url>', 'with --vsa: the log, such as https://log.example.com')
    .option('--timeout <seconds>', 'with --vsa: how long to try the log (default: 120)');
  return addKeyOptions(command);
}
