/** Links as predicates (in-toto/attestation, spec/predicates/link.md), and as cosign's `link` has them. */
import {
  anyObject,
  anyText,
  descriptor,
  digestSet,
  fields,
  isFilled,
  listOf,
  mapOf,
  may,
  must,
  oneOfTexts,
  predicateError,
  someText,
} from './shape.ts';

export const readLink03 = fields(
  {
    name: must(someText),
    command: may(listOf(anyText)),
    materials: may(listOf(descriptor)),
    byproducts: may(anyObject),
    environment: may(anyObject),
  },
  ({ materials = [] }, path) => {
    const names = new Set<string>();
    for (const [at, { name, digest }] of materials.entries()) {
      if (name === undefined || name === '') throw predicateError(`${path}.materials[${at}].name`, 'is missing');
      if (!isFilled(digest)) throw predicateError(`${path}.materials[${at}].digest`, 'is missing');
      if (names.has(name)) throw predicateError(`${path}.materials[${at}].name`, 'is the name of an earlier material');
      names.add(name);
    }
  },
);

/** The form of in-toto 1.0 (in-toto/docs, in-toto-spec.md section 4.4): names are the members of an object. */
export const readOldLink = fields({
  _type: may(oneOfTexts(['link'])),
  name: must(someText),
  command: may(listOf(anyText)),
  materials: must(mapOf(digestSet)),
  products: may(mapOf(digestSet)),
  byproducts: may(anyObject),
  environment: may(anyObject),
});
