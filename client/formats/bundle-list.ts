/**
 * Files with one bundle or with several:
 *
 *   one a line (json-lines.ts)                             `gh attestation download`
 *   { "attestations": [ { "bundle": { … }, … }, … ] }      the npm registry (`/-/npm/v1/attestations/NAME@VERSION`), where each
 *                                                          item has a `predicateType` too, and GitHub's REST API, where each
 *                                                          item has a `repository_id` and a `bundle_url`
 *
 * Nobody vouches for the members beside a bundle, and no reader uses them.
 */
import { ClientError } from '../errors.ts';
import { type Bundle, MAX_BUNDLE, parseBundle, parseBundleJson, readBundle } from './bundle.ts';
import { array, malformed } from './json.ts';
import { jsonDocuments } from './json-lines.ts';

/** Most bundles of a file. */
const MAX_BUNDLES = 256;

/** Where a bundle stands: on a line, from 1, or at an index of the list `attestations`, from 0. */
export type BundlePlace = { readonly line: number } | { readonly index: number };

/** A bundle of a file, or why it cannot be read. `place` is absent where the file is one bundle; `bytes` are those of a line. */
export type ListedBundle = { readonly bytes?: Uint8Array } & (
  | { readonly place?: BundlePlace; readonly bundle: Bundle }
  | { readonly place: BundlePlace; readonly error: ClientError }
);

/**
 * Parses the bundles of a file, and verifies nothing. A bundle that cannot be read does not keep the others from being read.
 *
 * @param file at most 64 MiB, with at most 256 bundles
 * @returns at least one
 * @throws ClientError as `parseBundle` for a file that is one bundle; `malformed` for an empty list, and over a limit
 */
export function parseBundles(file: Uint8Array): readonly ListedBundle[] {
  const what = 'the file of bundles';
  if (file.length > MAX_BUNDLE) throw malformed(what, `is longer than ${MAX_BUNDLE} bytes`);
  const documents = jsonDocuments(file, what, MAX_BUNDLES);
  if (documents.length > 1) {
    return documents.map(({ line, bytes }) => ({ ...listed({ line }, () => parseBundle(bytes)), bytes }));
  }
  const value = parseBundleJson(file);
  const attestations = attestationsOf(value);
  if (attestations === undefined) return [{ bundle: readBundle(value) }];
  const items = array(attestations, 'attestations', MAX_BUNDLES);
  if (items.length === 0) throw malformed('attestations', 'is empty: it holds no bundle');
  return items.map((item, index) => listed({ index }, () => readItem(item, `attestations[${index}]`)));
}

function listed(place: BundlePlace, parse: () => Bundle): ListedBundle {
  try {
    return { place, bundle: parse() };
  } catch (error) {
    if (error instanceof ClientError) return { place, error };
    throw error;
  }
}

function attestationsOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, 'attestations')) return undefined;
  return (value as { readonly attestations: unknown }).attestations;
}

function readItem(item: unknown, path: string): Bundle {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) throw malformed(path, 'is not an object');
  const { bundle } = item as { readonly bundle?: unknown };
  if (bundle === undefined || bundle === null) throw malformed(`${path}.bundle`, 'is missing');
  return readBundle(bundle);
}
