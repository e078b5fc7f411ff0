/**
 * Bills of materials as predicates: SPDX 2.2 and 2.3 (spdx.github.io/spdx-spec/v2.3), SPDX 3.0 in JSON-LD and CycloneDX 1.5 to
 * 1.7. Only the document itself is read here, not what it lists.
 */
import { encodeUtf8 } from '../../../bytes.ts';
import { MerkleError } from '../../../errors.ts';
import { printable } from '../../../printable.ts';
import { type JsonRecord, type JsonValue, parseJsonValue } from '../../../rekor/json-value.ts';
import {
  anyObject,
  anyText,
  fields,
  instant,
  listOf,
  may,
  must,
  oneOfTexts,
  predicateError,
  type Shape,
  someText,
  wholeNumber,
} from './shape.ts';

const SPDX_2 = ['SPDX-2.2', 'SPDX-2.3'] as const;
const SPDX_3 = /^https:\/\/spdx\.org\/rdf\/(3\.0(?:\.[01])?)\/spdx-context\.jsonld$/;
const CYCLONEDX = ['1.5', '1.6', '1.7'] as const;
const TEXT_LIMIT = 32 * 1024 * 1024;
const TEXT_DEPTH = 256;

const spdx2 = fields({
  spdxVersion: must(oneOfTexts(SPDX_2)),
  SPDXID: must(oneOfTexts(['SPDXRef-DOCUMENT'])),
  name: may(anyText),
  dataLicense: may(anyText),
  documentNamespace: may(someText),
  creationInfo: may(fields({ created: may(instant), creators: may(listOf(anyText)) })),
  documentDescribes: may(listOf(anyText)),
  packages: may(listOf(anyObject)),
  files: may(listOf(anyObject)),
  relationships: may(listOf(anyObject)),
});

const spdx3 = fields({
  '@context': must(anyText),
  '@graph': must(listOf(fields({ type: must(someText), spdxId: may(someText) }), 1)),
});

const cycloneDx = fields({
  bomFormat: must(oneOfTexts(['CycloneDX'])),
  specVersion: must(oneOfTexts(CYCLONEDX)),
  serialNumber: may(anyText),
  version: may(wholeNumber(1n)),
  metadata: may(fields({ timestamp: may(instant), component: may(anyObject) })),
  components: may(listOf(anyObject)),
  dependencies: may(listOf(anyObject)),
});

/** A document, typed for conditions, and as the JSON that lists the packages. */
type SbomDocument =
  | ({ readonly format: 'spdx2'; readonly version: '2.2' | '2.3'; readonly value: ReturnType<typeof spdx2> } & Json)
  | ({ readonly format: 'spdx3'; readonly version: string; readonly value: ReturnType<typeof spdx3> } & Json)
  | ({ readonly format: 'cyclonedx'; readonly version: string; readonly value: ReturnType<typeof cycloneDx> } & Json);
type Json = { readonly json: JsonRecord };

/** SPDX of the version that the predicate type names. Without one, the document says which. */
export function readSpdx(named: '2.2' | '2.3' | '3' | undefined): Shape<SbomDocument> {
  return (given, path) => {
    const json = spdxJson(given, path);
    const document = '@context' in json || named === '3' ? spdx3Document(json, path) : spdx2Document(json, path);
    const { version } = document;
    if (named !== undefined && version !== named && !(named === '3' && document.format === 'spdx3')) {
      throw predicateError(path, `is SPDX ${version}, and the predicate type says ${named}`);
    }
    return document;
  };
}

export function readCycloneDx(named: string | undefined): Shape<SbomDocument> {
  return (given, path) => {
    const value = cycloneDx(given, path);
    if (named !== undefined && value.specVersion !== named) {
      throw predicateError(path, `is CycloneDX ${value.specVersion}, and the predicate type says ${named}`);
    }
    return { format: 'cyclonedx', version: value.specVersion, value, json: anyObject(given, path) };
  };
}

function spdx2Document(json: JsonRecord, path: string): SbomDocument {
  const value = spdx2(json, path);
  return { format: 'spdx2', version: value.spdxVersion === 'SPDX-2.2' ? '2.2' : '2.3', value, json };
}

function spdx3Document(json: JsonRecord, path: string): SbomDocument {
  const value = spdx3(json, path);
  const version = SPDX_3.exec(value['@context'])?.[1];
  if (version === undefined) {
    const context = printable(value['@context'].slice(0, 100));
    throw predicateError(`${path}.@context`, `is "${context}", which is not the context of SPDX 3.0`);
  }
  return { format: 'spdx3', version, value, json };
}

/** `cosign attest --type spdx` writes the document as text, in whatever form the file has. */
function spdxJson(given: JsonValue, path: string): JsonRecord {
  if (typeof given !== 'string') return anyObject(given, path);
  if (/^\s*(?:#.*\s+)*SPDXVersion:/.test(given.slice(0, 4096))) {
    throw predicateError(
      path,
      'is SPDX in tag-value form, which is not read: attest the document in JSON, for example with cosign attest --type spdxjson',
    );
  }
  try {
    return anyObject(parseJsonValue(encodeUtf8(given), `the text of ${path}`, TEXT_LIMIT, TEXT_DEPTH), path);
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw predicateError(path, `is text, and not an SPDX document in JSON: ${cause.message}`, cause);
  }
}
