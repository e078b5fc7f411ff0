/**
 * From which source a build was made, by its provenance. The source is what the external parameters name. A repository that is
 * only among the dependencies is none: a build of a fork may fetch the real one beside it. Where the names of parameters are
 * known, they are those of the build types of GitHub Actions, Google Cloud Build and slsa-github-generator, and of the
 * specification's example; a policy may name others.
 */
import { printable } from '../../../printable.ts';
import { isJsonRecord, type JsonValue } from '../../../rekor/json-value.ts';
import type { RuntimeError } from '../../runtime-errors.ts';
import { predicateError } from '../predicates/shape.ts';
import type { Dependency, Provenance } from './provenance.ts';

/** Where a parameter stands: names from the outermost inwards. */
export type ParameterPath = readonly string[];

export interface SourceParameters {
  readonly uri: ParameterPath;
  readonly ref?: ParameterPath;
}

export interface BuiltSource {
  /** Without `git+` and without a ref. */
  readonly uri: string;
  readonly ref: string | undefined;
  /** Lower-case hex of the commit, where a dependency has it. */
  readonly commit: string | undefined;
  /** The parameters that were read. */
  readonly read: readonly ParameterPath[];
}

const KNOWN: readonly SourceParameters[] = [
  { uri: ['workflow', 'repository'], ref: ['workflow', 'ref'] },
  { uri: ['sourceToBuild', 'repository'], ref: ['sourceToBuild', 'ref'] },
  { uri: ['repository'], ref: ['ref'] },
  { uri: ['source', 'uri'] },
  { uri: ['source'] },
];

/**
 * @param given where the policy says that the source stands; absent for the known places, of which exactly one must have it
 * @throws RuntimeError `predicate`: there is no source, or there are several
 */
export function builtSource({ parameters, dependencies }: Provenance, given?: SourceParameters): BuiltSource {
  const places = (given === undefined ? KNOWN : [given]).flatMap((place) => {
    const uri = parameterAt(parameters, place.uri);
    return typeof uri === 'string' && uri !== '' ? [{ place, uri }] : [];
  });
  const [found, ...others] = places;
  if (found === undefined) throw bad('no external parameter names its source');
  if (others.length > 0) throw bad('several external parameters name a source: say in the policy which is meant');
  const { place } = found;
  const address = splitSource(found.uri);
  const named = place.ref === undefined ? undefined : parameterAt(parameters, place.ref);
  if (named !== undefined && named !== null && typeof named !== 'string')
    throw bad('the ref of its source is not text');
  const ref = typeof named === 'string' && named !== '' ? named : undefined;
  if (ref !== undefined && address.ref !== undefined && ref !== address.ref) throw bad('its source has two refs');
  const source = { uri: address.uri, ref: ref ?? address.ref };
  const read = ref === undefined || place.ref === undefined ? [place.uri] : [place.uri, place.ref];
  return { ...source, commit: commitOf(dependencies, source), read };
}

/** `git+https://host/path@refs/heads/main`: the address without `git+`, and the ref, which begins after the first `@` of the path. */
export function splitSource(text: string): { readonly uri: string; readonly ref: string | undefined } {
  const address = text.startsWith('git+') ? text.slice(4) : text;
  const path = address.indexOf('/', address.indexOf('://') + 3);
  const at = path < 0 ? -1 : address.indexOf('@', path);
  return at < 0 ? { uri: address, ref: undefined } : { uri: address.slice(0, at), ref: address.slice(at + 1) };
}

/** The one commit of the dependencies that are the source. @throws RuntimeError `predicate` where there are two */
function commitOf(dependencies: readonly Dependency[], source: { uri: string; ref: string | undefined }) {
  const commits = new Set<string>();
  for (const { uri, digest = {} } of dependencies) {
    if (uri === undefined) continue;
    const address = splitSource(uri);
    if (address.uri !== source.uri) continue;
    if (address.ref !== undefined && source.ref !== undefined && address.ref !== source.ref) continue;
    // `sha1` is how provenance 0.2 names a commit.
    for (const algorithm of ['gitCommit', 'sha1'])
      if (Object.hasOwn(digest, algorithm)) commits.add(digest[algorithm]!);
  }
  const [commit, ...others] = commits;
  if (others.length > 0) throw bad('its dependencies have several commits of its source');
  if (commit !== undefined && !/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(commit)) {
    throw bad(`the commit of its source is "${printable(commit.slice(0, 80))}", which is no id`);
  }
  return commit;
}

/** Undefined where there is none. */
function parameterAt(value: JsonValue, path: ParameterPath): JsonValue | undefined {
  let at: JsonValue | undefined = value;
  for (const name of path) at = isJsonRecord(at) && Object.hasOwn(at, name) ? at[name] : undefined;
  return at;
}

function bad(why: string): RuntimeError {
  return predicateError('of the build,', why);
}
