/**
 * What an attestation says that its subjects were made from, or consist of: digests, URIs and names in the predicates that are read
 * here. A reader of materials finds attestations by them, and judges nothing: what is malformed is passed over.
 *
 * | predicate | materials |
 * |---|---|
 * | SLSA provenance 0.2 | `materials`, `invocation.configSource` |
 * | SLSA provenance 1 | `buildDefinition.resolvedDependencies` |
 * | in-toto link 0.3, and the older form | `materials` |
 * | CycloneDX | `metadata.component` and `components` by their `hashes` |
 * | SPDX 2 | `packages` by their `checksums` |
 * | OpenVEX | the products of each statement, by their `hashes` and identifiers |
 */
import { isJsonRecord, type JsonRecord, type JsonValue } from '../../../merkle/rekor/json-value.ts';

/** Most materials that are indexed of one piece. */
const MAX_MATERIALS = 4096;
const MAX_ALGORITHM = 64;

interface Materials {
  /** `ALGORITHM:VALUE`, URIs and names, each once. */
  readonly values: ReadonlySet<string>;
  /** There were more than are indexed. */
  readonly cut: boolean;
}

export function materialsOf(predicateType: string, predicate: JsonValue): Materials {
  const found = new Found();
  if (isJsonRecord(predicate)) READERS.find(([type]) => type.test(predicateType))?.[1](predicate, found);
  return found;
}

class Found implements Materials {
  readonly values = new Set<string>();
  cut = false;

  add(value: JsonValue | undefined): void {
    if (typeof value !== 'string' || value === '' || this.values.has(value)) return;
    if (this.values.size >= MAX_MATERIALS) this.cut = true;
    else this.values.add(value);
  }

  /** A DigestSet. */
  digests(value: JsonValue | undefined): void {
    if (!isJsonRecord(value)) return;
    for (const [algorithm, digest] of Object.entries(value)) this.digest(algorithm, digest);
  }

  digest(algorithm: JsonValue | undefined, digest: JsonValue | undefined): void {
    if (typeof algorithm !== 'string' || typeof digest !== 'string') return;
    if (algorithm === '' || algorithm.length > MAX_ALGORITHM || digest === '') return;
    this.add(`${algorithm}:${digest}`);
    // Provenance 0.2 names commits so, and provenance 1 `gitCommit`.
    if (algorithm === 'sha1' && /^[0-9a-f]{40}$/.test(digest)) this.add(`gitCommit:${digest}`);
  }

  descriptor(value: JsonValue): void {
    if (!isJsonRecord(value)) return;
    this.add(value.uri);
    this.add(value.name);
    this.digests(value.digest);
  }
}

type Reader = (predicate: JsonRecord, found: Found) => void;

const READERS: readonly (readonly [RegExp, Reader])[] = [
  [
    /^https:\/\/slsa\.dev\/provenance\/v0\.[12]$/,
    ({ materials, invocation }, found) => {
      for (const one of items(materials)) found.descriptor(one);
      found.descriptor(member(invocation, 'configSource') ?? null);
    },
  ],
  [
    /^https:\/\/slsa\.dev\/provenance\/v1(?:\.\d+)?$/,
    ({ buildDefinition }, found) => {
      for (const one of items(member(buildDefinition, 'resolvedDependencies'))) found.descriptor(one);
    },
  ],
  [
    /^https:\/\/in-toto\.io\/(?:attestation\/link\/v0\.3|Link\/v1)$/,
    ({ materials }, found) => {
      for (const one of items(materials)) found.descriptor(one);
      if (!isJsonRecord(materials)) return;
      for (const [name, digests] of Object.entries(materials)) {
        found.add(name);
        found.digests(digests);
      }
    },
  ],
  [
    /^https:\/\/cyclonedx\.org\/bom(?:\/|$)/,
    ({ metadata, components }, found) => {
      const component = member(metadata, 'component');
      for (const one of [...(component === undefined ? [] : [component]), ...items(components)]) {
        found.add(member(one, 'purl'));
        for (const hash of items(member(one, 'hashes'))) {
          found.digest(plainAlgorithm(member(hash, 'alg')), lower(member(hash, 'content')));
        }
      }
    },
  ],
  [
    /^https:\/\/spdx\.dev\/Document(?:\/v2(?:\.\d+)*)?$/,
    ({ packages }, found) => {
      for (const one of items(packages)) {
        for (const checksum of items(member(one, 'checksums'))) {
          found.digest(plainAlgorithm(member(checksum, 'algorithm')), lower(member(checksum, 'checksumValue')));
        }
      }
    },
  ],
  [
    /^https:\/\/openvex\.dev\/ns(?:\/|$)/,
    ({ statements }, found) => {
      for (const statement of items(statements)) {
        for (const product of items(member(statement, 'products'))) {
          found.add(typeof product === 'string' ? product : member(product, '@id'));
          const hashes = member(product, 'hashes');
          if (!isJsonRecord(hashes ?? null)) continue;
          for (const [algorithm, digest] of Object.entries(hashes as JsonRecord)) {
            found.digest(plainAlgorithm(algorithm), lower(digest));
          }
        }
      }
    },
  ],
];

function items(value: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(value) ? (value as readonly JsonValue[]) : [];
}

function member(value: JsonValue | undefined, name: string): JsonValue | undefined {
  return isJsonRecord(value) ? value[name] : undefined;
}

function lower(value: JsonValue | undefined): JsonValue | undefined {
  return typeof value === 'string' ? value.toLowerCase() : undefined;
}

/** `SHA-256`, `SHA256` and `sha-256` are the `sha256` of a DigestSet. */
function plainAlgorithm(value: JsonValue | undefined): JsonValue | undefined {
  return typeof value === 'string' ? value.toLowerCase().replace(/^sha-?(\d)/, 'sha$1') : undefined;
}
