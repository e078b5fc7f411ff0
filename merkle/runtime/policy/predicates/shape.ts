/**
 * Readers of the fields of predicates. A shape takes JSON and gives typed values: texts of times become `Instant`, base64 becomes
 * bytes, and digests are checked. The parsing rules of in-toto (in-toto/attestation, spec/v1/README.md) hold: a field that is
 * not known stays as it is, and an optional field that is null is absent. A known field of another type is an error. What a shape gives holds JSON and these typed values, and `toCel` takes it.
 */
import { decodeEitherBase64 } from '../../../bytes.ts';
import { printable } from '../../../printable.ts';
import { isJsonRecord, type JsonRecord, type JsonValue } from '../../../rekor/json-value.ts';
import { RuntimeError } from '../../runtime-errors.ts';
import { Instant } from './instant.ts';

/** Reads one value. @throws RuntimeError `predicate`; the message begins with `path` */
export type Shape<T> = (value: JsonValue, path: string) => T;

type Member<T, Required extends boolean> = { readonly shape: Shape<T>; readonly required: Required };
type Members = Readonly<Record<string, Member<unknown, boolean>>>;
type RequiredNames<M extends Members> = { [N in keyof M]: M[N] extends Member<unknown, true> ? N : never }[keyof M];
type OptionalNames<M extends Members> = Exclude<keyof M, RequiredNames<M>>;
type ShapeOf<M> = M extends Member<infer T, boolean> ? T : never;
/** The known fields. Others are there too, as JSON. */
type Known<M extends Members> = { readonly [N in RequiredNames<M>]: ShapeOf<M[N]> } & {
  readonly [N in OptionalNames<M>]?: ShapeOf<M[N]>;
};

export function predicateError(path: string, why: string, cause?: unknown): RuntimeError {
  return new RuntimeError('predicate', `${path} ${why}`, { cause });
}

export const must = <T>(shape: Shape<T>) => ({ shape, required: true as const });
export const may = <T>(shape: Shape<T>) => ({ shape, required: false as const });

/** An object with these fields. `check` sees the fields after all of them are read. */
export function fields<M extends Members>(
  known: M,
  check: (value: Known<M>, path: string) => void = () => {},
): Shape<Known<M>> {
  return (value, path) => {
    const out: Record<string, unknown> = Object.create(null);
    for (const [name, member] of Object.entries(anyObject(value, path))) {
      const field = Object.hasOwn(known, name) ? known[name] : undefined;
      if (field === undefined) out[name] = member;
      else if (member !== null || field.required) out[name] = field.shape(member, `${path}.${name}`);
    }
    for (const [name, { required }] of Object.entries(known)) {
      if (required && !(name in out)) throw predicateError(`${path}.${name}`, 'is missing');
    }
    check(out as Known<M>, path);
    return out as Known<M>;
  };
}

export function listOf<T>(item: Shape<T>, least = 0): Shape<readonly T[]> {
  return (value, path) => {
    if (!Array.isArray(value)) throw predicateError(path, 'is not a list');
    if (value.length < least) throw predicateError(path, least === 1 ? 'is empty' : `has fewer than ${least} items`);
    return value.map((one, at) => item(one, `${path}[${at}]`));
  };
}

export function mapOf<T>(member: Shape<T>): Shape<Readonly<Record<string, T>>> {
  return (value, path) => {
    const out: Record<string, T> = Object.create(null);
    for (const [name, one] of Object.entries(anyObject(value, path))) out[name] = member(one, at(path, name));
    return out;
  };
}

export const anyValue: Shape<JsonValue> = (value) => value;

export const anyObject: Shape<JsonRecord> = (value, path) => {
  if (!isJsonRecord(value)) throw predicateError(path, 'is not an object');
  return value;
};

export const anyText: Shape<string> = (value, path) => {
  if (typeof value !== 'string') throw predicateError(path, 'is not text');
  return value;
};

export const someText: Shape<string> = (value, path) => {
  if (anyText(value, path) === '') throw predicateError(path, 'is empty');
  return value as string;
};

export const flag: Shape<boolean> = (value, path) => {
  if (typeof value !== 'boolean') throw predicateError(path, 'is neither true nor false');
  return value;
};

/** A whole number from `least` on. */
export function wholeNumber(least: bigint): Shape<bigint> {
  return (value, path) => {
    if (typeof value !== 'bigint') throw predicateError(path, 'is not a whole number');
    if (value < least) throw predicateError(path, `is less than ${least}`);
    return value;
  };
}

export function oneOfTexts<T extends string>(texts: readonly T[]): Shape<T> {
  return (value, path) => {
    const text = anyText(value, path);
    if ((texts as readonly string[]).includes(text)) return text as T;
    throw predicateError(path, `is "${printable(text.slice(0, 60))}", which is not one of ${texts.join(', ')}`);
  };
}

/** A time (field_types.md: Timestamp). */
export const instant: Shape<Instant> = (value, path) => {
  const time = Instant.parse(anyText(value, path));
  if (time === undefined) throw predicateError(path, 'is not a time of RFC 3339 such as 2026-08-01T12:00:00Z');
  return time;
};

/** A URI with a scheme (RFC 3986 section 3), in visible ASCII. */
export const uri: Shape<string> = (value, path) => {
  const text = anyText(value, path);
  if (!/^[A-Za-z][A-Za-z0-9+.-]*:[!-~]+$/.test(text)) throw predicateError(path, 'is not a URI');
  return text;
};

/** Names a resource. Many producers write image names here, which are no URIs. */
export const resourceUri: Shape<string> = (value, path) => {
  const text = someText(value, path);
  if (/[\p{Cc}\p{Cs}\s]/u.test(text)) throw predicateError(path, 'holds white space or control characters');
  return text;
};

/** Bytes in base64, of either alphabet. */
export const base64: Shape<Uint8Array> = (value, path) => {
  try {
    return decodeEitherBase64(anyText(value, path));
  } catch (cause) {
    if (cause instanceof RuntimeError) throw cause;
    throw predicateError(path, 'is not base64', cause);
  }
};

/** Lengths of the digests in hex. The other algorithms of digest_set.md have digests of more than one length, or no hex. */
const HEX_LENGTHS: ReadonlyMap<string, readonly number[]> = new Map(
  Object.entries({
    32: 'md5',
    40: 'sha1 ripemd160 gitCommit gitTree gitBlob gitTag',
    56: 'sha224 sha512_224 sha3_224',
    64: 'sha256 sha512_256 sha3_256 sm3 gost dirHash dirHash1 goModuleH1',
    96: 'sha384 sha3_384',
    128: 'sha512 sha3_512',
  }).flatMap(([length, names]) =>
    names.split(' ').map((name) => [name, name.startsWith('git') ? [40, 64] : [Number(length)]] as const),
  ),
);

/** Digests by algorithm (digest_set.md). An algorithm that is not known may have any encoding. */
export const digestSet: Shape<Readonly<Record<string, string>>> = (value, path) => {
  const digests = mapOf(someText)(value, path);
  for (const [algorithm, digest] of Object.entries(digests)) {
    const lengths = HEX_LENGTHS.get(algorithm);
    if (lengths === undefined || (lengths.includes(digest.length) && /^[0-9a-f]+$/.test(digest))) continue;
    throw predicateError(at(path, algorithm), `is not ${lengths.join(' or ')} characters of lower-case hex`);
  }
  return digests;
};

/** A resource descriptor (resource_descriptor.md), which has at least one of uri, digest and content. */
export const descriptor = fields(
  {
    name: may(anyText),
    uri: may(resourceUri),
    digest: may(digestSet),
    content: may(base64),
    downloadLocation: may(resourceUri),
    mediaType: may(anyText),
    annotations: may(anyObject),
  },
  ({ uri: named, digest, content }, path) => {
    if (named !== undefined || isFilled(digest) || content !== undefined) return;
    throw predicateError(path, 'has none of uri, digest and content');
  },
);

/** Whether there is at least one digest. An empty set is the same as none. */
export function isFilled(digest: Readonly<Record<string, string>> | undefined): boolean {
  return digest !== undefined && Object.keys(digest).length > 0;
}

function at(path: string, name: string): string {
  return `${path}.${printable(name.slice(0, 60))}`;
}
