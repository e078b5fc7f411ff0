/** `stele trust get`: a target of the followed repository by its name. */
import { Command } from 'commander';
import { printable } from '../../../merkle/printable.ts';
import { ClientError, type ClientErrorCode, usage } from '../../errors.ts';
import { notFollowed, TrustStore } from '../../trust/tuf/trust-store.ts';
import { hexSha256 } from '../../trust/tuf/tuf-key.ts';
import { updateTrust } from '../../trust/tuf/update.ts';
import { writeWhole } from '../files.ts';
import { followedTarget } from '../followed-files.ts';
import { followedTrust } from '../followed-trust.ts';
import { interruptible } from '../refresh-trust.ts';
import { print, writeOut } from '../report.ts';
import { addTlsOptions, fetchOf, type TlsOptions } from '../tls-authorities.ts';
import { addTrustOptions, type TrustOptions, trustDirOf } from '../trust-options.ts';

const HELP = `
The name is that in the signed metadata. What is here and has not expired is given offline; otherwise the command fetches the
news and the target. Run \`stele trust update\` before for what is newest.

Exit status: 0 given, 1 what the mirror serves is refused, or it does not answer, 2 nothing is followed, or it has no such target.

Examples:
  stele trust get policy
  stele trust get policies/admission.yaml --out admission.yaml`;

interface GetOptions extends TrustOptions, TlsOptions {
  readonly out?: string;
  readonly json?: boolean;
}

export function getCommand(): Command {
  const get = new Command('get')
    .description('Give a target of the followed repository, checked against its metadata')
    .argument('<name>', 'the name of the target, such as policies/admission.yaml')
    .option('--out <path>', 'write it to this file, in the place of stdout')
    .option('--json', 'print what was written as JSON; needs --out')
    .addHelpText('after', HELP);
  return addTlsOptions(addTrustOptions(get)).action(getTarget);
}

async function getTarget(name: string, options: GetOptions): Promise<void> {
  const { out, json } = options;
  if (json === true && out === undefined) throw usage('without --out the target itself goes to stdout: give --out');
  const bytes = await targetOf(name, options);
  if (out === undefined) {
    writeOut(bytes);
    return;
  }
  await writeWhole(out, bytes);
  const sha256 = hexSha256(bytes);
  print(json, { name, file: out, length: bytes.length, sha256 }, [
    `Wrote ${printable(name)} to ${printable(out)}: ${bytes.length} bytes, SHA-256 ${sha256}`,
  ]);
}

/** An update may bring what is not here, replace what was changed, and renew what has expired. */
const CURED: readonly ClientErrorCode[] = ['trust', 'tuf-expired', 'tuf-mismatch', 'tuf-signatures'];

/** The mirror does not serve, and what is here keeps its reason. */
const AWAY: readonly ClientErrorCode[] = ['network', 'bad-reply'];

async function targetOf(name: string, options: GetOptions): Promise<Uint8Array> {
  let why = `${printable(name)} is not here`;
  try {
    const bytes = followedTrust(options)?.target(name);
    if (bytes !== undefined) return bytes;
  } catch (error) {
    if (!(error instanceof ClientError && CURED.includes(error.code))) throw error;
    why = error.message;
  }
  try {
    return await fetchTarget(name, options);
  } catch (error) {
    if (!(error instanceof ClientError && AWAY.includes(error.code))) throw error;
    throw new ClientError(error.code, `${error.message}. The local trust alone does not give it: ${why}`, {
      cause: error,
    });
  }
}

async function fetchTarget(name: string, options: GetOptions): Promise<Uint8Array> {
  const store = new TrustStore(trustDirOf(options));
  await interruptible(async (signal) => {
    await updateTrust(store, { fetch: await fetchOf(options), signal, target: name });
  });
  const trust = followedTrust(options);
  if (trust === undefined) throw notFollowed(store.dir);
  return followedTarget(trust, name);
}
