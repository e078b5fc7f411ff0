/** Whether a log holds a link: the Sigstore bundle beside the link has a statement of the same step by the same key. */

import { decodeHex } from '../../merkle/bytes.ts';
import { CodedError } from '../../merkle/errors.ts';
import { printable } from '../../merkle/printable.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import type { KeyInfo } from '../../merkle/rekor/spki.ts';
import { sameArtifacts } from '../../merkle/runtime/policy/layout/artifact-rules.ts';
import type { Artifacts, Link } from '../../merkle/runtime/policy/layout/types.ts';
import { readPredicate } from '../../merkle/runtime/policy/predicates/predicate.ts';
import { parseBundle } from '../formats/bundle.ts';
import { type Statement, statementPredicate } from '../formats/statement.ts';
import { readStatement } from '../verify/content.ts';
import { checkUnderRoots } from '../verify/under-roots.ts';
import type { EvidenceTrust } from './check-evidence.ts';

/**
 * Why the link counts as not logged; undefined where a log of the trust holds it.
 *
 * @param bytes the bundle; undefined where there is none
 * @param key of the functionary who signed the link, in whatever form
 * @param now milliseconds since 1970
 */
export function whyUnlogged(
  bytes: Uint8Array | undefined,
  link: Link,
  key: KeyInfo,
  trust: EvidenceTrust,
  now: number,
  primitives: Primitives,
): string | undefined {
  if (bytes === undefined) return 'there is no bundle beside it (….link.sigstore.json)';
  try {
    const bundle = parseBundle(bytes);
    const { content } = bundle;
    if (content.kind !== 'dsse') return 'the bundle beside it holds no statement';
    const statement = readStatement(content);
    const difference = differenceOf(link, statement, content.payload);
    if (difference !== undefined) return `the statement in the bundle beside it ${difference}`;
    const sha256 = decodeHex(statement.subjects[0]!.digest.get('sha256')!);
    const { spiffeBundles: _, ...logs } = trust;
    checkUnderRoots({ ...logs, bundle, artifact: { sha256 }, now, key }, primitives);
    return undefined;
  } catch (error) {
    if (!(error instanceof CodedError)) throw error;
    return `the bundle beside it does not hold: ${printable(error.message)}`;
  }
}

/** What the statement says otherwise than the link. */
function differenceOf(link: Link, { predicateType, subjects }: Statement, payload: Uint8Array): string | undefined {
  const predicate = readPredicate(predicateType, statementPredicate(payload));
  if (predicate?.kind !== 'link' && predicate?.kind !== 'oldLink') {
    return `is of the type ${printable(predicateType)}, which is not a link`;
  }
  const { value } = predicate;
  if (value.name !== link.name) return `is about the step "${printable(value.name.slice(0, 100))}"`;
  const products = new Map(subjects.map(({ name, digest }) => [name ?? '', Object.fromEntries(digest)]));
  const materials: Artifacts =
    predicate.kind === 'link'
      ? new Map((predicate.value.materials ?? []).map(({ name, digest }) => [name ?? '', digest ?? {}]))
      : new Map(Object.entries(predicate.value.materials));
  if (products.size !== subjects.length || !sameArtifacts(products, link.products)) return 'names other products';
  if (!sameArtifacts(materials, link.materials)) return 'names other materials';
  const command = value.command ?? [];
  const isSame = command.length === link.command.length && command.every((word, at) => word === link.command[at]);
  if (!isSame) return 'names another command';
  return subjects[0]?.digest.has('sha256') === true ? undefined : 'names a product without SHA-256';
}
