/** The options of signing as a workload. Apart, so that a command that only names them loads nothing else. */
import type { Command } from 'commander';
import { usage } from '../errors.ts';

export interface SvidOptions {
  readonly svid?: boolean;
  readonly workloadApi?: string;
  readonly svidId?: string;
  readonly svidCert?: string;
  readonly svidKey?: string;
}

export function addSvidOptions(command: Command): Command {
  return command
    .option('--svid', 'sign as a workload: with the X.509-SVID of the SPIFFE Workload API')
    .option('--workload-api <address>', 'where that is, in the place of SPIFFE_ENDPOINT_SOCKET: unix:///run/agent.sock')
    .option('--svid-id <id>', 'which SVID, where there are several: spiffe://example.org/build')
    .option('--svid-cert <path>', '… or a file with the SVID and the certificates above it (PEM)')
    .option('--svid-key <path>', '… and the file of its private key (PEM)');
}

/** Whether the options ask for a signature by an SVID. @throws ClientError `usage` */
export function isWorkload({ svid, workloadApi, svidId, svidCert, svidKey }: SvidOptions): boolean {
  if ((svidCert === undefined) !== (svidKey === undefined)) throw usage('--svid-cert and --svid-key belong together');
  if (svidCert !== undefined && workloadApi !== undefined) {
    throw usage('an SVID comes from a Workload API or from files: give --workload-api, or --svid-cert and --svid-key');
  }
  return [svid, workloadApi, svidId, svidCert].some((option) => option !== undefined);
}
