/** The variable `sbom` of conditions: what an SBOM says, in one form for all formats. */
import type { JsonRecord } from '../../../rekor/json-value.ts';
import { formatPurl, PurlProblem, parsePurl } from '../purl/purl.ts';
import type { ReadPredicate } from '../typed-predicate.ts';
import { pathsFrom, readSbom } from './sbom.ts';
import type { SbomPackage } from './types.ts';

const MAX_PATH = 100;

/**
 * `format`, `packages` and `gaps`. A package has `name`, `purls` (canonical; malformed ones are left out), `licenses`,
 * `digests` by algorithm, `path` (names from the root; empty where nothing leads to it), `root`, and `version`, `type`,
 * `namespace` and `supplier` where they are known: a condition that reads what is not there is an error. A package has no `path`
 * where that has more than 100 names: all paths of a document that is one long chain would fill the memory.
 *
 * @throws SbomProblem what is wrong with the SBOM
 */
export function sbomVariable(typed: ReadPredicate): JsonRecord {
  const sbom = readSbom(typed);
  const pathOf = pathsFrom(sbom, MAX_PATH);
  const roots = new Set(sbom.roots);
  const packages = sbom.packages.map((one) => packageValue(one, pathOf(one.id), roots.has(one.id)));
  return { format: sbom.format, packages, gaps: sbom.gaps };
}

function packageValue(one: SbomPackage, path: readonly string[] | null | undefined, root: boolean): JsonRecord {
  const purls = one.purls.flatMap((text) => {
    try {
      return [parsePurl(text)];
    } catch (error) {
      if (error instanceof PurlProblem) return [];
      throw error;
    }
  });
  const [first] = purls;
  const version = first?.version ?? one.version;
  return {
    name: first?.name ?? one.name,
    purls: purls.map(formatPurl),
    licenses: one.licenses,
    digests: Object.fromEntries(one.digests.map(({ algorithm, value }) => [algorithm, value])),
    ...(path === null ? {} : { path: path ?? [] }),
    root,
    ...(version === undefined ? {} : { version }),
    ...(first === undefined ? {} : { type: first.type, namespace: first.namespace }),
    ...(one.supplier === undefined ? {} : { supplier: one.supplier }),
  };
}
