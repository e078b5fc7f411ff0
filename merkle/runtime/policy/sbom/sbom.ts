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

/** The names from a root to each package that something leads to from there, by identifier. Cycles end where they began. */
export function pathsFrom({ roots, edges, packages }: Sbom): (id: string) => readonly string[] | undefined {
  const parents = new Map<string, string | undefined>(roots.map((root) => [root, undefined]));
  const waiting = [...roots];
  for (let i = 0; i < waiting.length; i++) {
    for (const part of edges.get(waiting[i]!) ?? []) {
      if (parents.has(part)) continue;
      parents.set(part, waiting[i]);
      waiting.push(part);
    }
  }
  const names = new Map(packages.map(({ id, name }) => [id, name]));
  return (id) => {
    if (!parents.has(id)) return undefined;
    const path: string[] = [];
    for (let at: string | undefined = id; at !== undefined; at = parents.get(at)) path.unshift(names.get(at) ?? at);
    return path;
  };
}
