/**
 * The request messages of `dev.sigstore.rekor.v2`, for both readers (request-json.ts, request-protobuf.ts).
 *
 * A field has a JSON name, a name in the .proto file (which proto3 JSON accepts too) and a number, as in docs/wire.md.
 * `Envelope.payloadType` is camelCase in its .proto file, so it has only one name.
 */

export interface CreateEntryRequest {
  readonly hashedRekordRequestV002?: HashedRekordRequest;
  readonly dsseRequestV002?: DsseRequest;
}

export interface HashedRekordRequest {
  readonly digest?: Uint8Array;
  readonly signature?: { readonly content?: Uint8Array; readonly verifier?: Verifier };
}

export interface Verifier {
  readonly publicKey?: { readonly rawBytes?: Uint8Array };
  readonly x509Certificate?: { readonly rawBytes?: Uint8Array };
  /** A number of PublicKeyDetails, or any other int32. */
  readonly keyDetails?: number;
}

export interface DsseRequest {
  readonly envelope?: {
    readonly payload?: Uint8Array;
    readonly payloadType?: string;
    readonly signatures?: readonly { readonly sig?: Uint8Array; readonly keyid?: string }[];
  };
  readonly verifiers?: readonly Verifier[];
}

/** The type of a field: a scalar type or a message. */
type FieldKind = 'bytes' | 'string' | 'keyDetails' | Message;

export interface Field {
  readonly name: string;
  readonly number: number;
  readonly kind: FieldKind;
  readonly repeated: boolean;
  /** The field is an arm of its message's oneof: at most one arm may be present. */
  readonly arm: boolean;
}

export interface Message {
  readonly byName: ReadonlyMap<string, Field>;
  readonly byNumber: ReadonlyMap<number, Field>;
  /** Names of the oneof's arms; empty for a message without a oneof. */
  readonly arms: readonly string[];
}

interface FieldOptions {
  /** Name in the .proto file, if it differs from the JSON name. */
  readonly proto?: string;
  readonly repeated?: true;
  readonly arm?: true;
}

function message(
  fields: readonly (readonly [name: string, number: number, kind: FieldKind, options?: FieldOptions])[],
) {
  const byName = new Map<string, Field>();
  const byNumber = new Map<number, Field>();
  const arms: string[] = [];
  for (const [name, number, kind, options = {}] of fields) {
    const field: Field = { name, number, kind, repeated: options.repeated ?? false, arm: options.arm ?? false };
    byName.set(name, field);
    byName.set(options.proto ?? name, field);
    byNumber.set(number, field);
    if (field.arm) arms.push(name);
  }
  return { byName, byNumber, arms } satisfies Message;
}

const RAW_BYTES = message([['rawBytes', 1, 'bytes', { proto: 'raw_bytes' }]]);

const VERIFIER = message([
  ['publicKey', 1, RAW_BYTES, { proto: 'public_key', arm: true }],
  ['x509Certificate', 2, RAW_BYTES, { proto: 'x509_certificate', arm: true }],
  ['keyDetails', 3, 'keyDetails', { proto: 'key_details' }],
]);

const SIGNATURE = message([
  ['content', 1, 'bytes'],
  ['verifier', 2, VERIFIER],
]);

const HASHED_REKORD_REQUEST = message([
  ['digest', 1, 'bytes'],
  ['signature', 2, SIGNATURE],
]);

const ENVELOPE_SIGNATURE = message([
  ['sig', 1, 'bytes'],
  ['keyid', 2, 'string'],
]);

const ENVELOPE = message([
  ['payload', 1, 'bytes'],
  ['payloadType', 2, 'string'],
  ['signatures', 3, ENVELOPE_SIGNATURE, { repeated: true }],
]);

const DSSE_REQUEST = message([
  ['envelope', 1, ENVELOPE],
  ['verifiers', 2, VERIFIER, { repeated: true }],
]);

export const CREATE_ENTRY_REQUEST = message([
  ['hashedRekordRequestV002', 1, HASHED_REKORD_REQUEST, { proto: 'hashed_rekord_request_v002', arm: true }],
  ['dsseRequestV002', 2, DSSE_REQUEST, { proto: 'dsse_request_v002', arm: true }],
]);

/** Joins a path for an error message: `signature` and `content` give `signature.content`. */
export function inside(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}
