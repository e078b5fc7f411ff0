/** What a command verifies: files, digests of files that are not here, and lists of such digests. */
import { existsSync } from 'node:fs';
import { printable } from '../../../merkle/printable.ts';
import { usage } from '../../errors.ts';
import { isDigest, MAX_CHECKSUMS, parseChecksums, parseDigest } from '../../formats/checksums.ts';
import type { ArtifactDigests } from '../../verify/content.ts';
import { readWhole } from '../files.ts';
import { inputName, readOnce, STANDARD_INPUT } from '../input.ts';
import type { VerifyOptions } from './arguments.ts';

export interface Artifact {
  /** The file, as the command line or the list names it, or the digest. */
  readonly name: string;
  /** The file of its proof. */
  readonly proof: string;
  /** One digest, of a file that nobody reads here. */
  readonly digests?: ArtifactDigests;
}

/**
 * @param names files, or digests as `sha256:<hex>`
 * @returns at least one
 * @throws ClientError `usage`, `file`
 */
export async function artifactsOf(names: readonly string[], options: VerifyOptions): Promise<readonly Artifact[]> {
  const { checksums, bundle, tlogProof, key, trustedRoot, policy } = options;
  const inputs = [...names, checksums, bundle, tlogProof, key, trustedRoot, policy];
  if (inputs.filter((input) => input === STANDARD_INPUT).length > 1) throw readOnce();
  const given = tlogProof ?? bundle;
  const artifacts =
    checksums === undefined ? names.map((name) => named(name, given)) : await listed(checksums, names, given);
  if (artifacts.length === 0) throw usage('name the file that was signed, or its digest, or --leaf-hash');
  const twice = names.find((name, at) => isDigest(name) && names.indexOf(name) < at);
  if (twice !== undefined) throw usage(`${printable(twice)} is given twice`);
  if (artifacts.length > 1 && tlogProof !== undefined) throw usage('--tlog-proof is of one file: verify one at a time');
  if (artifacts.length > 1 && bundle !== undefined && artifacts.some(({ digests }) => digests === undefined)) {
    throw usage('--bundle is of one file, or of digests alone; of several files each has its FILE.sigstore.json');
  }
  return artifacts;
}

function named(name: string, given: string | undefined): Artifact {
  if (name === STANDARD_INPUT && given === undefined)
    throw usage('standard input does not name its bundle: give --bundle');
  const image = /@(sha(?:256|384|512):[0-9a-f]+)$/.exec(name);
  if (image !== null && !existsSync(name)) {
    throw usage(`there is no file ${printable(name)}: of a container image give the digest alone, ${image[1]}`);
  }
  if (!isDigest(name)) return { name, proof: given ?? `${name}.sigstore.json` };
  const { hash, value } = parseDigest(name);
  if (given === undefined) throw usage(`${printable(name)} does not name its bundle: give --bundle`);
  return { name, proof: given, digests: { [hash]: value } };
}

async function listed(path: string, names: readonly string[], given: string | undefined): Promise<Artifact[]> {
  if (names.length > 0) throw usage('--checksums names the files: leave out the others');
  return parseChecksums(await readWhole(path, MAX_CHECKSUMS, 'a list'), `the list ${printable(inputName(path))}`).map(
    ({ name, hash, value }) => ({ name, proof: given ?? `${name}.sigstore.json`, digests: { [hash]: value } }),
  );
}
