/**
 * The check `provenance`: who built the artifact, from what and how (slsa.dev/spec/v1.2/verifying-artifacts). A builder is only
 * believed from its own signer, an external parameter that the policy does not name is refused, and the level is that of the
 * pair of builder and signer in the policy's table.
 */
import { type TSchema, Type } from 'typebox';
import { printable } from '../../../printable.ts';
import type { SettingPath } from '../../config/settings-file.ts';
import { isMapping, type SettingsWalk } from '../../config/settings-walk.ts';
import { count, list } from '../../config/values.ts';
import { matchesArtifact } from '../artifact-pattern.ts';
import { reason } from '../reasons.ts';
import type { CheckContext, CheckKind, EvidenceCheck, Reason, ReportMistake } from '../types.ts';
import { type BuiltSource, builtSource, type SourceParameters, splitSource } from './built-source.ts';
import { buildLevel } from './levels.ts';
import {
  compileRules,
  judgeParameters,
  PARAMETERS_ALLOWED,
  type ParameterRules,
  readParameterRules,
} from './parameter-rule.ts';
import { type Dependency, PROVENANCE_1, PROVENANCE_02, type Provenance, provenanceOf } from './provenance.ts';
import { whereReadable } from './where-readable.ts';

const opt = Type.Optional;
const own = (kind: string, allowed: string, description: string): TSchema =>
  Type.Unknown({ kind, allowed, description });
const URI = /^[!-~]{1,1000}$/;
const URI_ALLOWED = 'a URI of 1 to 1000 visible characters';
const REFS_ALLOWED = 'a pattern of refs, such as refs/heads/main or refs/tags/v*, or a list of 1 to 16';
const PLACE_ALLOWED = 'a list of names, from the outermost parameter inwards, such as [workflow, repository]';
const DEPENDENCIES_ALLOWED =
  'a list of 1 to 1000 of { uri: pattern, digest: { algorithm: hex } }, each with one of both or both';

const uriText = (description: string) => own('slsa-uri', URI_ALLOWED, description);

const BuilderSchema = Type.Object({
  id: uriText('`builder.id` in the provenance.'),
  signer: own('slsa-signer', 'the name of one of "signers"', 'Who alone may speak for this builder.'),
  level: opt(
    count('levels', 0, 3, {
      description: 'The SLSA build level up to which this pair of builder and signer is trusted.',
      default: 1,
    }),
  ),
});

const ProvenanceSchema = Type.Object({
  builders: Type.Array(BuilderSchema, {
    minItems: 1,
    maxItems: 100,
    allowed: 'a list of 1 to 100 builders',
    description: 'The builders, each with the signer that may speak for it.',
  }),
  minLevel: opt(
    count('levels', 0, 3, { description: 'The build level that the pair must have at least.', default: 0 }),
  ),
  buildTypes: opt(
    list((item) => URI.test(item), 'a list of up to 64 URIs', { description: '`buildType` must be one of these.' }),
  ),
  source: opt(
    Type.Object({
      uri: uriText('The repository, without ref: `git+https://…` and `https://…` are the same.'),
      ref: opt(own('slsa-refs', REFS_ALLOWED, 'The ref that was built must match one of these.')),
      commit: opt(own('slsa-commit', 'the id of a commit in lower-case hex', 'The commit that was built.')),
      uriParameter: opt(
        own('slsa-place', PLACE_ALLOWED, 'Which external parameter names the repository, for build types of others.'),
      ),
      refParameter: opt(own('slsa-place', PLACE_ALLOWED, 'Which external parameter names the ref.')),
    }),
  ),
  parameters: opt(
    own(
      'slsa-parameters',
      PARAMETERS_ALLOWED,
      'External parameters. One that neither this nor `source` names is refused.',
    ),
  ),
  dependencies: opt(
    Type.Object({
      allow: opt(
        own('slsa-dependencies', DEPENDENCIES_ALLOWED, 'Each dependency but the source must be one of these.'),
      ),
      require: opt(own('slsa-dependencies', DEPENDENCIES_ALLOWED, 'Each of these must be among the dependencies.')),
    }),
  ),
});

interface ProvenanceConfig {
  readonly builders: readonly { readonly id: string; readonly signer: string; readonly level: number }[];
  readonly minLevel: number;
  readonly buildTypes?: readonly string[];
  readonly source?: {
    readonly uri: string;
    readonly ref?: readonly string[];
    readonly commit?: string;
    readonly uriParameter?: readonly string[];
    readonly refParameter?: readonly string[];
  };
  readonly parameters?: ParameterRules;
  readonly dependencies?: { readonly allow?: readonly DependencyRule[]; readonly require?: readonly DependencyRule[] };
}

interface DependencyRule {
  readonly uri?: string;
  readonly digest?: Readonly<Record<string, string>>;
}

export const PROVENANCE: CheckKind = {
  name: 'provenance',
  schema: ProvenanceSchema,
  own: {
    'slsa-uri': readUri,
    'slsa-signer': (value, at, walk) => textOr(value, at, walk, /^[^\p{Cc}]{1,100}$/u, 'must be the name of a signer'),
    'slsa-refs': readRefs,
    'slsa-commit': (value, at, walk) =>
      textOr(value, at, walk, /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/, 'must be the id of a commit in lower-case hex'),
    'slsa-place': readPlace,
    'slsa-parameters': readParameterRules,
    'slsa-dependencies': readDependencies,
  },
  types: [PROVENANCE_1, PROVENANCE_02],
  compile: async (config: ProvenanceConfig, report, signers) => {
    checkConfig(config, report, signers);
    const parameters = await compileRules(config.parameters ?? new Map(), ['parameters'], report);
    const celOf = hasCondition(parameters) ? (await import('../cel/cel-values.ts')).toCel : undefined;
    const check = (context: CheckContext): readonly Reason[] =>
      whereReadable(() => {
        const provenance = provenanceOf(context.evidence);
        return [
          ...judgeBuilder(config, context, provenance),
          ...judgeBuildType(config, provenance),
          ...judgeSource(config, provenance, (judged) =>
            judgeParameters(provenance.parameters, parameters, judged, celOf),
          ),
          ...judgeDependencies(config, provenance),
        ];
      });
    return Object.assign(check, { facts: (context: CheckContext) => factsOf(config, context) }) satisfies EvidenceCheck;
  },
};

/** The rows of the table for this builder, from a signer who may speak for it. */
function rowsFor({ builders }: ProvenanceConfig, { evidence, namesOf }: CheckContext, { builderId }: Provenance) {
  const names = namesOf(evidence);
  return builders.filter(({ id, signer }) => id === builderId && names.includes(signer));
}

function judgeBuilder(config: ProvenanceConfig, context: CheckContext, provenance: Provenance): Reason[] {
  const rows = rowsFor(config, context, provenance);
  const id = printable(provenance.builderId);
  if (rows.length === 0) {
    const others = config.builders.filter((row) => row.id === provenance.builderId).map(({ signer }) => signer);
    const why =
      others.length === 0
        ? `the builder ${id} is not one of the rule`
        : `only ${others.join(', ')} may speak for the builder ${id}, and ${context.namesOf(context.evidence).join(', ') || 'another'} signed`;
    return [reason('builder', why)];
  }
  const level = levelOf(rows);
  if (level >= config.minLevel) return [];
  return [
    reason('level', `the builder ${id} is trusted up to level ${level}, and the rule requires ${config.minLevel}`),
  ];
}

function levelOf(rows: readonly { readonly level: number }[]): number {
  return Math.max(...rows.map(({ level }) => level));
}

function factsOf(config: ProvenanceConfig, context: CheckContext) {
  const provenance = provenanceOf(context.evidence);
  const rows = rowsFor(config, context, provenance);
  return {
    levels: rows.length === 0 ? [] : [buildLevel(levelOf(rows))],
    marks: [`builder ${provenance.builderId}`],
  };
}

function judgeBuildType({ buildTypes }: ProvenanceConfig, { buildType }: Provenance): Reason[] {
  if (buildTypes === undefined || buildTypes.includes(buildType)) return [];
  return [reason('build-type', `the build is of the type ${printable(buildType)}`)];
}

/** @param judgeRest judges the parameters that are not the source's */
function judgeSource(
  { source }: ProvenanceConfig,
  provenance: Provenance,
  judgeRest: (judged: BuiltSource['read']) => readonly Reason[],
): readonly Reason[] {
  if (source === undefined) return judgeRest([]);
  const { uri: wanted, ref, commit } = source;
  const found = builtSource(provenance, placeOf(source));
  const wrong = (why: string) => reason('source', why);
  const reasons: Reason[] = [];
  if (found.uri !== splitSource(wanted).uri) {
    reasons.push(wrong(`the source is ${printable(found.uri)}, not ${printable(wanted)}`));
  }
  if (ref !== undefined && (found.ref === undefined || !ref.some((pattern) => matchesArtifact(pattern, found.ref!)))) {
    reasons.push(
      wrong(`the source was built at ${printable(found.ref ?? 'no ref')}, not at ${printable(ref.join(', '))}`),
    );
  }
  if (commit !== undefined && found.commit !== commit) {
    reasons.push(wrong(`the source was built at the commit ${found.commit ?? 'of no dependency'}, not at ${commit}`));
  }
  // Without a rule for the ref, the parameter with the ref is judged as all others are.
  const judged = ref === undefined ? found.read.slice(0, 1) : found.read;
  return [...reasons, ...judgeRest(judged)];
}

function placeOf({
  uriParameter,
  refParameter,
}: NonNullable<ProvenanceConfig['source']>): SourceParameters | undefined {
  if (uriParameter === undefined) return undefined;
  return { uri: uriParameter, ...(refParameter === undefined ? {} : { ref: refParameter }) };
}

function judgeDependencies({ dependencies, source }: ProvenanceConfig, provenance: Provenance): Reason[] {
  const { allow, require = [] } = dependencies ?? {};
  const found = provenance.dependencies;
  const isSource = ({ uri }: Dependency) =>
    source !== undefined && uri !== undefined && splitSource(uri).uri === splitSource(source.uri).uri;
  const strange = allow && found.find((one) => !isSource(one) && !allow.some((rule) => isDependency(rule, one)));
  const missing = require.filter((rule) => !found.some((one) => isDependency(rule, one)));
  return [
    ...(strange === undefined
      ? []
      : [reason('dependency', `the dependency ${shownDependency(strange)} is not allowed`)]),
    ...missing.map((rule) => reason('dependency', `the dependency ${shownDependency(rule)} is missing`)),
  ];
}

/** Every digest of the rule must be there, and equal. */
function isDependency({ uri, digest = {} }: DependencyRule, found: Dependency): boolean {
  if (uri !== undefined && (found.uri === undefined || !matchesArtifact(uri, found.uri))) return false;
  return Object.entries(digest).every(([algorithm, hex]) => found.digest?.[algorithm] === hex);
}

function shownDependency({ uri, digest }: DependencyRule | Dependency): string {
  const [first] = Object.entries(digest ?? {});
  return printable([uri ?? '', first === undefined ? '' : `${first[0]}:${first[1]}`].filter(Boolean).join(' '));
}

/** A part that is wrong was reported before, and is missing. */
function checkConfig(config: Partial<ProvenanceConfig>, report: ReportMistake, signers: readonly string[]): void {
  for (const [at, { signer }] of (config.builders ?? []).entries()) {
    if (!signers.includes(signer))
      report(['builders', at, 'signer'], `is "${printable(signer)}", which is none of "signers"`);
  }
  const { source, buildTypes, dependencies } = config;
  if (buildTypes?.length === 0) report(['buildTypes'], 'is empty: leave it out, or name a type');
  if (source?.uri !== undefined && splitSource(source.uri).ref !== undefined) {
    report(
      ['source', 'uri'],
      'has an "@" in its path: name the ref in "ref". A repository with one in its path is not taken',
    );
  }
  if (source?.refParameter !== undefined && source.uriParameter === undefined) {
    report(['source', 'refParameter'], 'stands without uriParameter');
  }
  if (dependencies !== undefined && dependencies.allow === undefined && dependencies.require === undefined) {
    report(['dependencies'], 'is empty: give allow, require or both');
  }
}

function hasCondition(rules: ParameterRules): boolean {
  return [...rules.values()].some((rule) => 'cel' in rule || ('members' in rule && hasCondition(rule.members)));
}

function textOr(value: unknown, at: SettingPath, walk: SettingsWalk, pattern: RegExp, mistake: string) {
  return typeof value === 'string' && pattern.test(value) ? value : walk.problem(at, mistake);
}

export function readUri(value: unknown, at: SettingPath, walk: SettingsWalk) {
  return textOr(value, at, walk, URI, `must be ${URI_ALLOWED}`);
}

function readRefs(value: unknown, at: SettingPath, walk: SettingsWalk) {
  const refs: unknown[] = Array.isArray(value) ? value : [value];
  const good =
    refs.length > 0 &&
    refs.length <= 16 &&
    refs.every((ref) => typeof ref === 'string' && /^[^\p{Cc}]{1,255}$/u.test(ref));
  return good ? refs : walk.problem(at, `must be ${REFS_ALLOWED}`);
}

export function readPlace(value: unknown, at: SettingPath, walk: SettingsWalk) {
  const good =
    Array.isArray(value) &&
    value.length > 0 &&
    value.length <= 8 &&
    value.every((name) => typeof name === 'string' && name !== '');
  return good ? value : walk.problem(at, `must be ${PLACE_ALLOWED}`);
}

function readDependencies(value: unknown, at: SettingPath, walk: SettingsWalk): DependencyRule[] | undefined {
  if (!Array.isArray(value) || value.length === 0 || value.length > 1000) {
    return walk.problem(at, `must be ${DEPENDENCIES_ALLOWED}`);
  }
  return value.flatMap((item: unknown, i) => {
    const one = readDependency(item, [...at, i], walk);
    return one === undefined ? [] : [one];
  });
}

function readDependency(value: unknown, at: SettingPath, walk: SettingsWalk): DependencyRule | undefined {
  if (!isMapping(value)) return walk.problem(at, 'must be a mapping with uri, digest or both');
  for (const name of Object.keys(value)) {
    if (name !== 'uri' && name !== 'digest') walk.unknown([...at, name], name, ['uri', 'digest']);
  }
  const { uri, digest } = value;
  if (uri === undefined && digest === undefined) return walk.problem(at, 'must have uri, digest or both');
  if (uri !== undefined && (typeof uri !== 'string' || !URI.test(uri))) {
    return walk.problem(
      [...at, 'uri'],
      'must be a pattern of URIs: visible characters, where * and ** stand for others',
    );
  }
  if (digest === undefined) return { uri: uri as string };
  const digests = isMapping(digest) ? Object.entries(digest) : [];
  if (digests.length === 0 || !digests.every(([, hex]) => typeof hex === 'string' && /^[0-9a-f]{2,256}$/.test(hex))) {
    return walk.problem([...at, 'digest'], 'must be a mapping from algorithms to digests in lower-case hex, as text');
  }
  const set = Object.fromEntries(digests) as Record<string, string>;
  return uri === undefined ? { digest: set } : { uri: uri as string, digest: set };
}
