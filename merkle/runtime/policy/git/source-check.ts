/**
 * The check `source`: the commit from which an artifact was built, by its provenance, is signed by somebody of the policy. The
 * signature is on the commit itself or on a tag of it. A tag counts under the name inside it: a ref of any name may lead to it.
 */
import { type TSchema, Type } from 'typebox';
import { printable } from '../../../printable.ts';
import { list, onOff } from '../../config/values.ts';
import { matchesArtifact } from '../artifact-pattern.ts';
import { reason } from '../reasons.ts';
import { type BuiltSource, builtSource, type ParameterPath } from '../slsa/built-source.ts';
import { PROVENANCE_1, PROVENANCE_02, provenanceOf } from '../slsa/provenance.ts';
import { readPlace } from '../slsa/provenance-check.ts';
import { whereReadable } from '../slsa/where-readable.ts';
import type { CheckContext, CheckKind, EvidenceGit, Reason, VerifiedEvidence } from '../types.ts';

const opt = Type.Optional;
const place = (description: string): TSchema =>
  Type.Unknown({ kind: 'slsa-place', allowed: 'a list of names, from the outermost parameter inwards', description });

const SourceSchema = Type.Object({
  signers: list((item) => item !== '', 'a list of up to 64 names of "signers"', {
    description: 'Who may sign the commit or its tag.',
    default: [],
  }),
  tags: opt(
    list((item) => item !== '', 'a list of 1 to 64 patterns of tag names, such as v*', {
      description: 'The signature must be on a tag whose own name matches one of these.',
    }),
  ),
  logged: opt(onOff({ description: 'The signature must be in a log, which SSH signatures are not.', default: false })),
  uriParameter: opt(place('Which external parameter names the repository, as in `provenance.source`.')),
  refParameter: opt(place('Which external parameter names the ref.')),
});

interface SourceConfig {
  readonly signers: readonly string[];
  readonly tags?: readonly string[];
  readonly logged?: boolean;
  readonly uriParameter?: ParameterPath;
  readonly refParameter?: ParameterPath;
}

export const SOURCE: CheckKind = {
  name: 'source',
  schema: SourceSchema,
  own: { 'slsa-place': readPlace },
  types: [PROVENANCE_1, PROVENANCE_02, 'tag'],
  signers: ({ signers = [] }: Partial<SourceConfig>) => signers,
  compile: (config: SourceConfig, report, names) => {
    if ((config.signers ?? []).length === 0 && config.tags === undefined) {
      report(['signers'], 'names nobody who signs: name at least one of "signers"');
    }
    for (const [at, name] of (config.signers ?? []).entries()) {
      if (!names.includes(name)) report(['signers', at], `is "${printable(name)}", which is none of "signers"`);
    }
    if (config.tags?.length === 0) report(['tags'], 'is empty: leave it out, or give a pattern');
    if (config.refParameter !== undefined && config.uriParameter === undefined) {
      report(['refParameter'], 'stands without uriParameter');
    }
    return (context) => (context.evidence.git === undefined ? judgeBuild(config, context) : judgeTag(config, context));
  },
};

/** A rule about a tag itself: the rule's own signers signed it. */
function judgeTag({ tags, logged }: SourceConfig, { evidence }: CheckContext): readonly Reason[] {
  const name = evidence.git?.tag?.name;
  const reasons: Reason[] = [];
  if (tags !== undefined && !isNamed(name, tags)) {
    reasons.push(reason('tag', `the tag is called ${printable(name ?? '')}, not ${printable(tags.join(' or '))}`));
  }
  if (logged === true && evidence.entries.length === 0) reasons.push(unlogged());
  return reasons;
}

function judgeBuild(config: SourceConfig, context: CheckContext): readonly Reason[] {
  return whereReadable(() => {
    const { uriParameter: uri, refParameter: ref } = config;
    const source = builtSource(provenanceOf(context.evidence), uri && { uri, ...(ref === undefined ? {} : { ref }) });
    const { commit } = source;
    if (config.signers.length === 0) return [reason('source', 'the rule names nobody who signs the source')];
    if (commit === undefined) {
      return [reason('source', `no dependency of the build has the commit of ${printable(source.uri)}`)];
    }
    const found = context.all.filter(({ git }) => git !== undefined && isOf(git, commit));
    if (found.length === 0) {
      const why = `there is no signed commit ${commit} and no signed tag of it among the evidence`;
      return [reason('source', why)];
    }
    const judged = found.map((piece) => judgePiece(piece, source, config, context));
    return judged.some((reasons) => reasons.length === 0) ? [] : judged.flat();
  });
}

function isOf({ kind, id, tag }: EvidenceGit, commit: string): boolean {
  return kind === 'commit' ? id === commit : tag?.type === 'commit' && tag.object === commit;
}

function judgePiece(
  piece: VerifiedEvidence,
  { ref }: BuiltSource,
  { signers, tags, logged }: SourceConfig,
  { namesOf }: CheckContext,
): Reason[] {
  const { kind, id, tag } = piece.git!;
  const reasons: Reason[] = [];
  const names = namesOf(piece);
  if (!names.some((name) => signers.includes(name))) {
    const who = names.join(', ') || `the key ${piece.signer.fingerprint}`;
    reasons.push(reason('source', `the ${kind} ${id} is signed by ${who}; the rule takes ${signers.join(', ')}`));
  }
  if (tags !== undefined && !isNamed(tag?.name, tags)) {
    const what = tag === undefined ? 'a commit is signed and no tag' : `the tag is called ${printable(tag.name)}`;
    reasons.push(reason('tag', `${what}; the rule takes ${printable(tags.join(', '))}`));
  }
  const built = ref?.startsWith('refs/tags/') ? ref.slice('refs/tags/'.length) : undefined;
  if (tag !== undefined && built !== undefined && tag.name !== built) {
    const why = `the build was made from the tag ${printable(built)}, and the signed tag is called ${printable(tag.name)}`;
    reasons.push(reason('tag', why));
  }
  if (logged === true && piece.entries.length === 0) reasons.push(unlogged());
  return reasons;
}

function isNamed(name: string | undefined, patterns: readonly string[]): boolean {
  return name !== undefined && patterns.some((pattern) => matchesArtifact(pattern, name));
}

function unlogged(): Reason {
  return reason('log', 'the signature of the git object is in no log');
}
