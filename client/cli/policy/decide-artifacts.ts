/** What `stele decide` decides on: files, digests of files that are not here, images by digest, and commits of git. */
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { encodeHex } from '../../../merkle/bytes.ts';
import { printable } from '../../../merkle/printable.ts';
import type { HashName } from '../../../merkle/rekor/hashes.ts';
import type { Primitives } from '../../../merkle/rekor/primitives.ts';
import { ClientError, usage } from '../../errors.ts';
import type { ImageName } from '../../evidence/image-name.ts';
import { isDigest, parseDigest } from '../../formats/checksums.ts';
import type { ArtifactDigests } from '../../verify/content.ts';
import { digestsOf } from '../digests.ts';
import { inputName, readOnce, STANDARD_INPUT } from '../input.ts';
import type { DecideOptions } from './decide-options.ts';

/** An argument of the command line. */
export interface NamedArtifact {
  /** As the command line has it. */
  readonly given: string;
  /** For the patterns of the policy; absent for a digest alone. */
  readonly name?: string;
  readonly image?: ImageName;
  /** A commit or a tag of git by its id, which has no other digest. */
  readonly git?: { readonly gitCommit: string } | { readonly gitTag: string };
  /** The digests by these hashes, and maybe more. A file is read anew for hashes that are not known yet. */
  digests(hashes: readonly HashName[], signal: AbortSignal, primitives: Primitives): Promise<ArtifactDigests>;
}

const ALL: readonly HashName[] = ['sha256', 'sha384', 'sha512'];

/** @returns at least one. @throws ClientError `usage` */
export async function namedArtifacts(
  given: readonly string[],
  { name, registry, evidence = [], ...options }: DecideOptions,
): Promise<readonly NamedArtifact[]> {
  if (given.length === 0)
    throw usage('name the artifact: a file, its digest (sha256:HEX), or an image NAME@sha256:HEX');
  const inputs = [...given, ...evidence, options.policy, options.quorumPolicy, options.trustedRoot];
  if (inputs.filter((one) => one === STANDARD_INPUT).length > 1) throw readOnce();
  if (name !== undefined && given.length > 1) throw usage('--name is of one artifact: decide on one at a time');
  if (name === '') throw usage('--name is empty');
  const twice = given.find((one, at) => given.indexOf(one) < at);
  if (twice !== undefined) throw usage(`${printable(twice)} is given twice`);
  const artifacts: NamedArtifact[] = [];
  for (const one of given) artifacts.push({ ...(await artifactOf(one)), ...(name === undefined ? {} : { name }) });
  const other = registry === true ? artifacts.find(({ image }) => image === undefined) : undefined;
  if (other !== undefined) throw usage(`--registry finds evidence of images, and ${printable(other.given)} is none`);
  return artifacts;
}

async function artifactOf(given: string): Promise<NamedArtifact> {
  if (/^git(?:commit|tag):/i.test(given)) return ofGit(given);
  if (isDigest(given)) return { given, digests: ofDigest(given) };
  // Also where a file has this name: a folder of strangers must not change what is judged. Such a file is named with `./`.
  const isImage = /^[^./].*@[a-z0-9]+:[0-9A-Fa-f]{32,}$/s.test(given);
  if (isImage || (given !== STANDARD_INPUT && /@sha[0-9]+:/.test(given) && !existsSync(given))) {
    const { artifactName, parseImageName } = await import('../../evidence/image-name.ts');
    const image = parseImageName(given);
    return { given, name: artifactName(image), image, digests: ofDigest(image.digest ?? '') };
  }
  if (given !== STANDARD_INPUT && !existsSync(given)) {
    const digest = /^[0-9A-Fa-f]{64}$/.test(given) ? given.toLowerCase() : 'HEX';
    const forms = `A digest is written sha256:${digest}, and an image NAME@sha256:HEX`;
    throw new ClientError('file', `${printable(given)} cannot be read: there is no such file. ${forms}`);
  }
  let known: ArtifactDigests | undefined;
  return {
    given,
    ...(given === STANDARD_INPUT ? {} : { name: basename(inputName(given)) }),
    async digests(hashes, signal, primitives) {
      if (known === undefined || hashes.some((hash) => known![hash] === undefined)) {
        // Standard input cannot be read again.
        const names = given === STANDARD_INPUT ? ALL : [...new Set([...Object.keys(known ?? {}), ...hashes])];
        known = (await digestsOf(given, names as HashName[], signal, primitives.hash)).digests;
      }
      return known;
    },
  };
}

function ofGit(given: string): NamedArtifact {
  const [, kind, id = ''] = /^(gitCommit|gitTag):([0-9a-f]{40}|[0-9a-f]{64})$/.exec(given) ?? [];
  if (kind === undefined) {
    throw usage(
      `${printable(given)} is no commit or tag: write gitCommit: or gitTag: and the whole id in lower-case hex`,
    );
  }
  return { given, git: kind === 'gitTag' ? { gitTag: id } : { gitCommit: id }, digests: async () => ({}) };
}

function ofDigest(text: string): NamedArtifact['digests'] {
  const { hash, value } = parseDigest(text);
  return async () => ({ [hash]: value });
}

/** Digests as a decision names them. */
export function digestSetOf(digests: ArtifactDigests): Record<string, string> {
  return Object.fromEntries(Object.entries(digests).map(([hash, value]) => [hash, encodeHex(value!)]));
}
