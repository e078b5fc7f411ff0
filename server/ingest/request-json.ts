/**
 * The strict reader of proto3 JSON (https://protobuf.dev/programming-guides/json/) for the messages of request.ts.
 *
 * The reader accepts everything that proto3 JSON allows: either name of a field, null for an absent field, an enum by name or
 * number, bytes in base64 or base64url with or without padding. It refuses unknown fields at any depth, repeated fields
 * (also under both names), a second arm of a oneof, and base64 that is not canonical. Messages name the field.
 */
import { isAscii, isUtf8 } from 'node:buffer';
import { findKeyDetails } from '../../merkle/rekor/key-details.ts';
import { scanJson } from '../../merkle/rekor/strict-json.ts';
import { quoted, refuse } from './refuse.ts';
import { CREATE_ENTRY_REQUEST, type CreateEntryRequest, type Field, inside, type Message } from './request.ts';

/** Most levels of objects and arrays. The deepest valid request, a bulk request, has 7. */
const MAX_DEPTH = 16;

/** Reads one CreateEntryRequest. An empty body is an empty message. @throws Refused `malformed` */
export function readJson(body: Uint8Array): CreateEntryRequest {
  if (body.length === 0) return {};
  const { value, repeated } = parse(body);
  refuseRepeated(repeated.get(-1));
  return readRequest(value);
}

/**
 * Reads `{"requests": [...]}`. Each item of the result reads one request, and throws `Refused` if only that request is wrong.
 * @throws Refused if the body as a whole is wrong: `malformed`, or `too-large` for more than `maxItems`
 */
export function readJsonBatch(body: Uint8Array, maxItems: number): (() => CreateEntryRequest)[] {
  const { value, repeated } = parse(body, 'requests');
  refuseRepeated(repeated.get(-1));
  if (!isObject(value)) return refuse('malformed', 'field-type', 'the body must be an object with requests');
  const unknown = Object.keys(value).find((key) => key !== 'requests');
  if (unknown !== undefined) refuse('malformed', 'unknown-field', `unknown field ${quoted(unknown)}`);
  const requests = value.requests ?? [];
  if (!Array.isArray(requests)) return refuse('malformed', 'field-type', 'requests must be an array');
  checkItems(requests.length, maxItems);
  return requests.map((item: unknown, index) => () => {
    refuseRepeated(repeated.get(index));
    return readRequest(item);
  });
}

/** Requires 1 <= `count` <= `maxItems`. @throws Refused `malformed`, `too-large` */
export function checkItems(count: number, maxItems: number): void {
  if (count === 0) refuse('malformed', 'missing', 'requests is missing or empty');
  if (count > maxItems) refuse('too-large', 'too-many', `${count} requests; a batch takes ${maxItems}`);
}

function refuseRepeated(key: string | undefined): void {
  if (key !== undefined) refuse('malformed', 'repeated-field', `field ${quoted(key)} is given twice`);
}

function parse(body: Uint8Array, itemsOf?: string) {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  let text: string;
  if (isAscii(bytes)) {
    text = bytes.toString('latin1');
  } else if (isUtf8(bytes)) {
    text = bytes.toString('utf8');
  } else {
    return refuse('malformed', 'utf8', 'malformed JSON: not UTF-8');
  }
  if (text.charCodeAt(0) === 0xfeff) refuse('malformed', 'utf8', 'malformed JSON: a byte order mark is before it');
  const { tooDeep, repeated } = scanJson(text, MAX_DEPTH, itemsOf);
  if (tooDeep) refuse('malformed', 'depth', `malformed JSON: nested more than ${MAX_DEPTH} levels deep`);
  try {
    return { value: JSON.parse(text) as unknown, repeated };
  } catch {
    // V8's message quotes the body, and differs between versions.
    return refuse('malformed', 'syntax', 'malformed JSON');
  }
}

function readRequest(value: unknown): CreateEntryRequest {
  return readMessage(CREATE_ENTRY_REQUEST, value, '') as CreateEntryRequest;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readMessage(message: Message, value: unknown, path: string): object {
  if (!isObject(value)) return wrongType(path, 'an object');
  const result: Record<string, unknown> = {};
  const seen: Field[] = [];
  let arm: Field | undefined;
  for (const key of Object.keys(value)) {
    const field = message.byName.get(key);
    if (field === undefined) return refuse('malformed', 'unknown-field', `unknown field ${quoted(inside(path, key))}`);
    const name = inside(path, field.name);
    if (seen.includes(field)) refuse('malformed', 'repeated-field', `field ${quoted(name)} is given twice`);
    seen.push(field);
    const item = value[key];
    if (item === null) continue;
    if (field.arm) {
      if (arm !== undefined) {
        refuse('malformed', 'oneof', `only one of ${message.arms.map((other) => inside(path, other)).join(' and ')}`);
      }
      arm = field;
    }
    result[field.name] = field.repeated ? readList(field, item, name) : readValue(field, item, name);
  }
  return result;
}

function readList(field: Field, value: unknown, path: string): unknown[] {
  if (!Array.isArray(value)) return wrongType(path, 'an array');
  return value.map((item, index) => readValue(field, item, `${path}[${index}]`));
}

function readValue(field: Field, value: unknown, path: string): unknown {
  switch (field.kind) {
    case 'bytes':
      return readBytes(value, path);
    case 'string':
      return readString(value, path);
    case 'keyDetails':
      return readKeyDetails(value, path);
    default:
      return readMessage(field.kind, value, path);
  }
}

function readBytes(value: unknown, path: string): Uint8Array {
  if (typeof value !== 'string') return wrongType(path, 'a string in base64');
  // Node's decoder skips invalid characters. Encoding the bytes again shows that. Most clients send standard, padded base64.
  const bytes = Buffer.from(value, 'base64');
  if (bytes.toString('base64') !== value) {
    const standard = value.replaceAll('-', '+').replaceAll('_', '/');
    const mixed = standard !== value && (value.includes('+') || value.includes('/'));
    const encoded = bytes.toString('base64');
    if (mixed || (encoded !== standard && encoded.replaceAll('=', '') !== standard)) {
      refuse('malformed', 'base64', `field ${quoted(path)} is not base64`);
    }
  }
  return bytes;
}

/** A surrogate without its partner. JSON can express it with an escape, but UTF-8 cannot. */
const LONE_SURROGATE = /\p{Surrogate}/u;

function readString(value: unknown, path: string): string {
  if (typeof value !== 'string') return wrongType(path, 'a string');
  if (LONE_SURROGATE.test(value)) refuse('malformed', 'utf8', `field ${quoted(path)} is not Unicode`);
  return value;
}

function readKeyDetails(value: unknown, path: string): number {
  if (typeof value === 'string') {
    const number = findKeyDetails(value)?.number;
    return number ?? refuse('malformed', 'enum', `field ${quoted(path)} has the unknown value ${quoted(value)}`);
  }
  // proto3 enums are open, so an unknown number is well-formed. The registry refuses it.
  if (typeof value === 'number' && Number.isInteger(value) && Math.abs(value) <= 0x7fffffff) return value;
  return wrongType(path, 'a name or number of PublicKeyDetails');
}

function wrongType(path: string, wanted: string): never {
  const what = path === '' ? 'the request' : `field ${quoted(path)}`;
  return refuse('malformed', 'field-type', `${what} must be ${wanted}`);
}
