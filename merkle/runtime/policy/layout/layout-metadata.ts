/**
 * Reads the files of in-toto: layouts and links, in both forms of in-toto-golang 0.11.
 *
 *   metablock   { "signed": <layout or link>, "signatures": [ { "keyid": …, "sig": <hex> } ] }    over canonical JSON
 *   DSSE        { "payloadType": "application/vnd.in-toto+json", "payload": <base64>,
 *                 "signatures": [ { "keyid": …, "sig": <base64> } ] }                             over the encoding of DSSE
 *
 * A field that is not known is an error inside of a layout or a link, because a signer may have meant something by it.
 */
import { decodeEitherBase64, decodeHex, encodeUtf8 } from '../../../bytes.ts';
import { MerkleError } from '../../../errors.ts';
import { printable } from '../../../printable.ts';
import { INTOTO_TYPE, preAuthEncoding } from '../../../rekor/dsse.ts';
import { isJsonRecord, type JsonRecord, type JsonValue, parseJsonValue } from '../../../rekor/json-value.ts';
import { timeOfText } from '../../../x509/utc-time.ts';
import { RuntimeError } from '../../runtime-errors.ts';
import { digestOfFile } from '../file-digest.ts';
import {
  anyObject,
  anyText,
  fields,
  listOf,
  mapOf,
  may,
  must,
  oneOfTexts,
  predicateError,
  type Shape,
  someText,
  wholeNumber,
} from '../predicates/shape.ts';
import { type ArtifactRule, parseRule } from './artifact-rules.ts';
import { readLayoutKey } from './layout-key.ts';
import { canonicalText } from './olpc-json.ts';
import type { Artifacts, LayoutKey, Link, MetadataSignature } from './types.ts';

export interface Step {
  readonly name: string;
  /** From 1. */
  readonly threshold: number;
  /** Key ids of the functionaries. */
  readonly pubkeys: readonly string[];
  readonly expectedCommand: readonly string[];
  readonly materialRules: readonly ArtifactRule[];
  readonly productRules: readonly ArtifactRule[];
}

export interface Layout {
  readonly kind: 'layout';
  /** Milliseconds since 1970. */
  readonly expires: number;
  /** At least one; their names differ. */
  readonly steps: readonly Step[];
  readonly keys: ReadonlyMap<string, LayoutKey>;
}

/** A layout or a link with its signatures. Nothing of it was verified. */
export interface SignedMetadata {
  readonly form: 'metablock' | 'dsse';
  readonly payload: Layout | Link;
  /** The bytes that signatures cover. */
  readonly signed: Uint8Array;
  readonly signatures: readonly MetadataSignature[];
  /** `sha256:HEX` over the bytes of the file. */
  readonly digest: string;
}

/** Longest layout or link, in bytes. */
export const MAX_LAYOUT_FILE = 32 * 1024 * 1024;
const DEPTH = 64;
const MAX_SIGNATURES = 1_000;
const MAX_STEPS = 1_000;
const MAX_RULES = 10_000;
const MAX_NAME = 200;

/**
 * Reads one file and verifies nothing.
 * @throws RuntimeError `predicate` where it is neither a layout nor a link that is read; the message names the field
 */
export function readMetadata(bytes: Uint8Array): SignedMetadata {
  const digest = digestOfFile(bytes);
  const file = anyObject(parsed(bytes, 'the file'), 'the file');
  if (file.payloadType !== undefined) return { ...readEnvelope(file), digest };
  const signatures = signaturesOf(file.signatures, hex);
  const signed = anyObject(file.signed ?? null, 'signed');
  return {
    form: 'metablock',
    payload: readPayload(signed, 'signed'),
    signed: encodeUtf8(canonicalText(signed)),
    signatures,
    digest,
  };
}

function readEnvelope(file: JsonRecord): Omit<SignedMetadata, 'digest'> {
  if (file.payloadType !== INTOTO_TYPE) throw predicateError('payloadType', `is not ${INTOTO_TYPE}`);
  const payload = base64(file.payload ?? null, 'payload');
  return {
    form: 'dsse',
    payload: readPayload(parsed(payload, 'the payload'), 'payload'),
    signed: preAuthEncoding(INTOTO_TYPE, payload),
    signatures: signaturesOf(file.signatures, base64),
  };
}

function parsed(bytes: Uint8Array, what: string): JsonValue {
  try {
    return parseJsonValue(bytes, what, MAX_LAYOUT_FILE, DEPTH);
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw new RuntimeError('predicate', cause.message, { cause });
  }
}

function signaturesOf(value: JsonValue | undefined, read: Shape<Uint8Array>): MetadataSignature[] {
  const list = listOf(fields({ keyid: may(anyText), sig: must(read) }))(value ?? null, 'signatures');
  if (list.length > MAX_SIGNATURES) throw predicateError('signatures', `has more than ${MAX_SIGNATURES} items`);
  return list.map(({ keyid = '', sig }) => ({ keyId: keyid, signature: sig }));
}

const hex: Shape<Uint8Array> = (value, path) => {
  const text = anyText(value, path);
  if (!/^(?:[0-9a-fA-F]{2})*$/.test(text)) throw predicateError(path, 'is not hex');
  return decodeHex(text.toLowerCase());
};

const base64: Shape<Uint8Array> = (value, path) => {
  const text = anyText(value, path);
  try {
    return decodeEitherBase64(text);
  } catch (cause) {
    throw predicateError(path, 'is not base64', cause);
  }
};

function readPayload(value: JsonValue, path: string): Layout | Link {
  const type = isJsonRecord(value) ? value._type : undefined;
  if (type === 'layout') return readLayout(value, path);
  if (type === 'link') return readLink(value, path);
  throw predicateError(`${path}._type`, 'is neither "layout" nor "link"');
}

/** An object with these fields alone. */
function only<T>(names: readonly string[], shape: Shape<T>): Shape<T> {
  return (value, path) => {
    for (const name of Object.keys(anyObject(value, path))) {
      if (!names.includes(name)) throw predicateError(path, `has the unknown field "${printable(name.slice(0, 60))}"`);
    }
    return shape(value, path);
  };
}

const nullable =
  <T>(shape: Shape<T>, empty: T): Shape<T> =>
  (value, path) =>
    value === null ? empty : shape(value, path);

const artifacts: Shape<Artifacts> = (value, path) => new Map(Object.entries(mapOf(mapOf(anyText))(value, path)));
const texts = nullable(listOf(anyText), []);

const link = only(
  ['_type', 'name', 'materials', 'products', 'byproducts', 'command', 'environment'],
  fields({
    name: must(anyText),
    materials: must(artifacts),
    products: must(artifacts),
    byproducts: must(nullable(anyObject, {})),
    command: must(texts),
    environment: must(nullable(anyObject, {})),
  }),
);

function readLink(value: JsonValue, path: string): Link {
  const { name, materials, products, command } = link(value, path);
  return { kind: 'link', name, materials, products, command };
}

const rules: Shape<readonly ArtifactRule[]> = (value, path) => {
  const list = nullable(listOf(listOf(anyText)), [])(value, path);
  if (list.length > MAX_RULES) throw predicateError(path, `has more than ${MAX_RULES} rules`);
  return list.map((words, at) => {
    const rule = parseRule(words);
    if (rule !== undefined) return rule;
    const text = printable(words.join(' ').slice(0, 100));
    throw predicateError(
      `${path}[${at}]`,
      `is "${text}", which is no rule: CREATE, DELETE, MODIFY, ALLOW and DISALLOW take a pattern, REQUIRE a name, and MATCH is "MATCH pattern [IN prefix] WITH MATERIALS|PRODUCTS [IN prefix] FROM step"`,
    );
  });
};

/** A step's name is a part of file names, in which in-toto-golang also reads patterns. */
export function isStepName(name: string): boolean {
  return name.length <= MAX_NAME && !['', '.', '..'].includes(name) && !/[/\\*?[\p{Cc}\p{Cs}]/u.test(name);
}

const stepName: Shape<string> = (value, path) => {
  const name = someText(value, path);
  if (isStepName(name)) return name;
  const shown = printable(name.slice(0, MAX_NAME));
  const why = `it names files: at most ${MAX_NAME} characters, without / \\ * ? [ and control characters`;
  throw predicateError(path, `is "${shown}", and ${why}`);
};

const STEP_FIELDS = [
  ...['_type', 'name', 'threshold', 'pubkeys', 'cert_constraints'],
  ...['expected_command', 'expected_materials', 'expected_products'],
];

const step: Shape<Step> = only(STEP_FIELDS, (value, path) => {
  const read = fields({
    _type: may(oneOfTexts(['step'])),
    name: must(stepName),
    threshold: must(wholeNumber(1n)),
    pubkeys: must(texts),
    cert_constraints: may(listOf(anyObject)),
    expected_command: may(texts),
    expected_materials: may(rules),
    expected_products: may(rules),
  })(value, path);
  if (read.cert_constraints !== undefined && read.cert_constraints.length > 0) {
    throw predicateError(
      `${path}.cert_constraints`,
      'names functionaries by certificates, which Stele does not check in layouts',
    );
  }
  return {
    name: read.name,
    threshold: Number(read.threshold),
    pubkeys: read.pubkeys,
    expectedCommand: read.expected_command ?? [],
    materialRules: read.expected_materials ?? [],
    productRules: read.expected_products ?? [],
  };
});

const key = only(
  ['keyid', 'keyid_hash_algorithms', 'keytype', 'keyval', 'scheme'],
  fields({
    keyid: must(someText),
    keyid_hash_algorithms: may(listOf(anyText)),
    keytype: must(anyText),
    scheme: must(anyText),
    keyval: must(only(['public', 'certificate'], fields({ public: must(anyText), certificate: may(anyText) }))),
  }),
);

const layout = only(
  ['_type', 'steps', 'inspect', 'keys', 'rootcas', 'intermediatecas', 'expires', 'readme'],
  fields({
    steps: must(nullable(listOf(step), [])),
    inspect: must(nullable(listOf(anyObject), [])),
    keys: must(nullable(mapOf(key), {})),
    rootcas: may(anyObject),
    intermediatecas: may(anyObject),
    expires: must(anyText),
    readme: must(nullable(anyText, '')),
  }),
);

/** Marks what a layout asks for and Stele never does, so that its reason has a code of its own. */
export class UnverifiableLayout extends RuntimeError {
  readonly reason: 'inspections' | 'no-steps';

  constructor(reason: 'inspections' | 'no-steps', message: string) {
    super('predicate', message);
    this.reason = reason;
  }
}

function readLayout(value: JsonValue, path: string): Layout {
  const { steps, inspect, keys, rootcas = {}, intermediatecas = {}, expires } = layout(value, path);
  if (inspect.length > 0) {
    throw new UnverifiableLayout(
      'inspections',
      `${path}.inspect has ${inspect.length} inspections: their commands run on the verifier, and Stele never runs them`,
    );
  }
  if (steps.length === 0)
    throw new UnverifiableLayout('no-steps', `${path}.steps is empty: the layout asks for nothing`);
  if (steps.length > MAX_STEPS) throw predicateError(`${path}.steps`, `has more than ${MAX_STEPS} steps`);
  for (const [at, { name }] of steps.entries()) {
    const earlier = steps.findIndex((one) => one.name === name);
    if (earlier < at)
      throw predicateError(`${path}.steps[${at}].name`, `is "${printable(name)}", as of steps[${earlier}]`);
  }
  if (Object.keys({ ...rootcas, ...intermediatecas }).length > 0) {
    throw predicateError(`${path}.rootcas`, 'names certificate authorities, which Stele does not check in layouts');
  }
  return { kind: 'layout', expires: expiry(expires, `${path}.expires`), steps, keys: keysOf(keys, `${path}.keys`) };
}

function keysOf(keys: Readonly<Record<string, ReturnType<typeof key>>>, path: string): Layout['keys'] {
  const named = Object.entries(keys).map(([keyId, { keyid, keytype, scheme, keyval }]) => {
    if (keyid !== keyId)
      throw predicateError(`${path}.${printable(keyId.slice(0, 64))}.keyid`, 'is not the name of the key');
    return [keyId, readLayoutKey(keyId, keytype, scheme, keyval.public)] as const;
  });
  return new Map(named);
}

/** As Go reads the layout "2006-01-02T15:04:05Z": upper case, no offset, and a fraction of a second of any length. */
function expiry(text: string, path: string): number {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?Z$/.exec(text);
  const time = match === null ? undefined : timeOfText(`${match[1]}.${(match[2] ?? '0').slice(0, 9)}Z`);
  if (time === undefined) throw predicateError(path, 'is not a time such as 2027-01-31T00:00:00Z');
  return time;
}
