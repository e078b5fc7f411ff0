/**
 * The strict reader of the protobuf encoding (https://protobuf.dev/programming-guides/encoding/) for the messages of
 * request.ts, on protobufjs' `Reader`.
 *
 * protobufjs' own decoders skip unknown fields, and use the last of repeated fields. This reader refuses both, as the JSON
 * reader does, so that the log never ignores a field that a client sent. The message types bound the depth. The result has
 * views of the body.
 */
import { isUtf8 } from 'node:buffer';
import protobuf from 'protobufjs/minimal.js';
import { quoted, Refused, refuse } from './refuse.ts';
import { CREATE_ENTRY_REQUEST, type CreateEntryRequest, type Field, inside, type Message } from './request.ts';
import { checkItems } from './request-json.ts';

const VARINT = 0;
const DELIMITED = 2;

/** Reads one CreateEntryRequest. An empty body is an empty message. @throws Refused `malformed` */
export function readProtobuf(body: Uint8Array): CreateEntryRequest {
  return readMessage(CREATE_ENTRY_REQUEST, body, '') as CreateEntryRequest;
}

/** Reads `message { repeated CreateEntryRequest requests = 1; }`. Result and errors are as for `readJsonBatch`. */
export function readProtobufBatch(body: Uint8Array, maxItems: number): (() => CreateEntryRequest)[] {
  const items: Uint8Array[] = [];
  eachField(body, '', (number, wire, reader) => {
    if (number !== 1 || wire !== DELIMITED) unknownField('', number, wire);
    items.push(delimited(reader));
  });
  checkItems(items.length, maxItems);
  return items.map((item) => () => readProtobuf(item));
}

function readMessage(message: Message, bytes: Uint8Array, path: string): object {
  const result: Record<string, unknown> = {};
  eachField(bytes, path, (number, wire, reader) => {
    const field = message.byNumber.get(number);
    if (field === undefined || wire !== (field.kind === 'keyDetails' ? VARINT : DELIMITED)) {
      return unknownField(path, number, wire);
    }
    const name = inside(path, field.name);
    if (field.repeated) {
      const list = (result[field.name] ?? []) as unknown[];
      result[field.name] = list;
      list.push(readValue(field, reader, `${name}[${list.length}]`));
      return;
    }
    if (field.name in result) refuse('malformed', 'repeated-field', `field ${quoted(name)} is given twice`);
    if (field.arm && message.arms.some((arm) => arm in result)) {
      refuse('malformed', 'oneof', `only one of ${message.arms.map((arm) => inside(path, arm)).join(' and ')}`);
    }
    result[field.name] = readValue(field, reader, name);
  });
  return result;
}

function readValue(field: Field, reader: protobuf.Reader, path: string): unknown {
  switch (field.kind) {
    case 'bytes':
      return delimited(reader);
    case 'string': {
      const bytes = delimited(reader);
      if (!isUtf8(bytes)) refuse('malformed', 'utf8', `field ${quoted(path)} is not UTF-8`);
      return Buffer.from(bytes).toString('utf8');
    }
    case 'keyDetails':
      return reader.int32();
    default:
      return readMessage(field.kind, delimited(reader), path);
  }
}

function eachField(
  bytes: Uint8Array,
  path: string,
  visit: (number: number, wire: number, reader: protobuf.Reader) => void,
): void {
  const reader = protobuf.Reader.create(bytes);
  try {
    while (reader.pos < reader.len) {
      const tag = reader.tag();
      visit(tag >>> 3, tag & 7, reader);
    }
  } catch (error) {
    if (error instanceof Refused) throw error;
    // protobufjs throws a RangeError at the end of the bytes, and an Error for a malformed number.
    refuse('malformed', 'syntax', `malformed protobuf${path === '' ? '' : ` in field ${quoted(path)}`}`);
  }
}

/** A view of the next length-delimited bytes. */
function delimited(reader: protobuf.Reader): Uint8Array {
  const length = reader.size();
  const start = reader.pos;
  reader.skip(length);
  return reader.buf.subarray(start, start + length);
}

function unknownField(path: string, number: number, wire: number): never {
  return refuse(
    'malformed',
    'unknown-field',
    `unknown field ${quoted(inside(path, String(number)))} of wire type ${wire}`,
  );
}
