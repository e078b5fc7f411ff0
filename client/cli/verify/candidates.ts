/** The bundles of a file, of which one must hold. The others do not count. */
import { printable } from '../../../merkle/printable.ts';
import type { HashName } from '../../../merkle/rekor/hashes.ts';
import type { KeyInfo } from '../../../merkle/rekor/spki.ts';
import { CLIENT_ERRORS, ClientError } from '../../errors.ts';
import type { Bundle } from '../../formats/bundle.ts';
import { type BundlePlace, parseBundles } from '../../formats/bundle-list.ts';
import { howFar } from '../../verify/furthest.ts';
import { requiredHashes } from '../../verify/verify-bundle.ts';

export interface Candidates {
  /** The hashes of the file that the bundles need together. */
  readonly hashes: readonly HashName[];
  readonly list: readonly Candidate[];
}

type Candidate = { readonly place?: BundlePlace } & ({ readonly bundle: Bundle } | { readonly error: ClientError });

/** Which of several bundles holds. */
export interface Chosen {
  readonly place: BundlePlace;
  /** The number of bundles in the file. */
  readonly of: number;
}

/** Most reasons in one message. */
const MAX_REASONS = 8;

/**
 * @param key as the caller will give it to `checkBundle`
 * @throws ClientError as `parseBundles`, and for a file of one bundle as `requiredHashes`
 */
export function readCandidates(file: Uint8Array, key: KeyInfo | undefined): Candidates {
  const hashes = new Set<HashName>();
  const list = parseBundles(file).map((one): Candidate => {
    if ('error' in one) return one;
    try {
      for (const hash of requiredHashes(one.bundle, key)) hashes.add(hash);
      return one;
    } catch (error) {
      if (!(error instanceof ClientError) || one.place === undefined) throw error;
      return { place: one.place, error };
    }
  });
  return { hashes: [...hashes], list };
}

/**
 * The result for the first bundle for which `check` does not throw.
 *
 * @param file names the file in the error
 * @throws ClientError of the one bundle; of several with the code of the bundle that came furthest, and the reason for each
 */
export function firstThatHolds<T>(
  { list }: Candidates,
  file: string,
  check: (bundle: Bundle) => T,
): { readonly result: T; readonly chosen?: Chosen } {
  const failures: Failure[] = [];
  for (const candidate of list) {
    const { place } = candidate;
    try {
      if ('error' in candidate) throw candidate.error;
      const result = check(candidate.bundle);
      return place === undefined ? { result } : { result, chosen: { place, of: list.length } };
    } catch (error) {
      if (!(error instanceof ClientError) || place === undefined) throw error;
      failures.push({ place, error });
    }
  }
  throw noneHolds(failures, file);
}

/** The place of a bundle, for people. */
export function placeSentence(place: BundlePlace): string {
  return 'line' in place ? `line ${place.line}` : `attestations[${place.index}]`;
}

interface Failure {
  readonly place: BundlePlace;
  readonly error: ClientError;
}

function noneHolds(failures: readonly Failure[], file: string): ClientError {
  // A bundle that was refused says more than one that could not be tried.
  const far = (error: ClientError) => (CLIENT_ERRORS[error.code] === 1 ? 100 : 0) + howFar(error);
  const furthest = failures.reduce((best, { error }) => (far(error) > far(best) ? error : best), failures[0]!.error);
  const places = new Map<string, string[]>();
  for (const { place, error } of failures) {
    const reason = `[${error.code}] ${error.message}`;
    places.set(reason, [...(places.get(reason) ?? []), placeSentence(place)]);
  }
  const reasons = [...places].slice(0, MAX_REASONS).map(([reason, at]) => `${shortList(at)}: ${reason}`);
  const more = places.size > reasons.length ? `; and ${places.size - reasons.length} other reasons` : '';
  const count = failures.length === 1 ? 'the one bundle in' : `none of the ${failures.length} bundles in`;
  const verb = failures.length === 1 ? 'does not hold' : 'holds';
  const why = `${count} ${printable(file)} ${verb}. ${reasons.join('; ')}${more}`;
  return new ClientError(furthest.code, why, { cause: furthest });
}

function shortList(places: readonly string[]): string {
  return places.length > 4 ? `${places.slice(0, 3).join(', ')} and ${places.length - 3} others` : places.join(', ');
}
