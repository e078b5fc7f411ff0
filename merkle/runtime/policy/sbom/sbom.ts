/** From the predicate of a statement to one model of packages. */
import type { ReadPredicate } from '../typed-predicate.ts';
import { readCycloneDxParts } from './cyclonedx.ts';
import { readSpdx2 } from './spdx2.ts';
import { readSpdx3 } from './spdx3.ts';
import { type Sbom, SbomProblem } from './types.ts';

/** @throws SbomProblem what is wrong with the SBOM */
export function readSbom(typed: ReadPredicate): Sbom {
  if (typed.kind !== 'sbom') throw new SbomProblem('the predicate is no SBOM');
  const { format, version, json } = typed.value;
  // Another tool could read the document as the other format, and see other packages.
  const markers = { spdx2: 'spdxVersion', spdx3: '@context', cyclonedx: 'bomFormat' };
  for (const [other, marker] of Object.entries(markers)) {
    if (other !== format && json[marker] !== undefined)
      throw new SbomProblem(`it is of two formats: it has "${marker}" too`);
  }
  if (format === 'spdx2') return readSpdx2(json, version);
  return format === 'spdx3' ? readSpdx3(json, version) : readCycloneDxParts(json, version);
}

/**
 * The names from a root to each package that something leads to from there, by identifier: undefined where nothing does, null
 * where there are more than `most`. Cycles end where they began.
 */
export function pathsFrom({ roots, edges, packages }: Sbom, most = Number.POSITIVE_INFINITY) {
  const found = new Map(roots.map((root) => [root, { parent: undefined as string | undefined, length: 1 }]));
  const waiting = [...found.keys()];
  for (let i = 0; i < waiting.length; i++) {
    const parent = waiting[i]!;
    const length = found.get(parent)!.length + 1;
    for (const part of edges.get(parent) ?? []) {
      if (found.has(part)) continue;
      found.set(part, { parent, length });
      waiting.push(part);
    }
  }
  const names = new Map(packages.map(({ id, name }) => [id, name]));
  return (id: string): readonly string[] | null | undefined => {
    const last = found.get(id);
    if (last === undefined) return undefined;
    if (last.length > most) return null;
    const path: string[] = [];
    for (let at: string | undefined = id; at !== undefined; at = found.get(at)!.parent) path.push(names.get(at) ?? at);
    return path.reverse();
  };
}
