/** `--svid`: signing as a workload, with the X.509-SVID that a SPIFFE Workload API or files give. */
import { workloadApiOf } from '../../merkle/runtime/identity/spiffe/workload-socket.ts';
import { timeText } from '../../merkle/x509/utc-time.ts';
import { usage } from '../errors.ts';
import type { KeySigner } from '../submit/signers/types.ts';
import { note } from './report.ts';
import type { SvidOptions } from './svid-options.ts';

/**
 * The signer of the SVID that is valid now.
 *
 * @throws ClientError `usage`, `key`; RuntimeError `config`, `svid`, `file`, `trust-bundle`
 */
export async function svidKey({ svidCert, svidKey, workloadApi, svidId }: SvidOptions): Promise<KeySigner> {
  const { openSvidSource } = await import('../../merkle/runtime/identity/spiffe/open-sources.ts');
  const settings =
    svidCert === undefined ? { workloadApi: workloadApi ?? named() } : { files: { cert: svidCert, key: svidKey! } };
  const source = await openSvidSource({ ...settings, id: svidId });
  try {
    const svid = source.current();
    const { workloadSigner } = await import('../submit/signers/workload-signer.ts');
    note(`signing as ${svid.id.text}, whose SVID is valid until ${timeText(svid.notAfter)}`);
    return await workloadSigner(svid);
  } finally {
    await source.close();
  }
}

function named(): string {
  const address = workloadApiOf(process.env);
  if (address !== undefined) return address;
  throw usage(
    '--svid asks a SPIFFE Workload API, and nothing says where it is: give --workload-api, or set SPIFFE_ENDPOINT_SOCKET',
  );
}
