/**
 * The two buffers between the main thread and a worker. A structured clone of the same values costs the main thread at least
 * 10 µs per body; a transferred buffer costs one copy.
 *
 * ```
 * batch:   u32 count, count * (u32 encoding, u32 length), then the bodies
 * answers: for each body one of
 *   u32 REFUSED, refusal                      the body as a whole
 *   u32 items, items * (u32 REFUSED, refusal  |  u32 entries, entries * (32 bytes leaf hash, u32 length, body, facts))
 *   facts: u32 length, JSON of an AccessEntry; no bytes where the log does not judge its writers
 *   refusal: u32 length, JSON of a Refusal
 * ```
 * All u32 are little-endian; both sides are this file.
 */
import type { AccessEntry } from '../../merkle/runtime/policy/access/types.ts';
import type { Encoding, Ingested, IngestedBody, Refusal } from '../types.ts';

export interface Body {
  readonly body: Uint8Array;
  readonly encoding: Encoding;
}

const ENCODINGS: readonly Encoding[] = ['json', 'protobuf', 'json-batch', 'protobuf-batch'];
const REFUSED = 0xffffffff;
const HASH = 32;

export function packBatch(bodies: readonly Body[]): ArrayBuffer {
  let size = 4 + 8 * bodies.length;
  for (const { body } of bodies) size += body.length;
  const buffer = new ArrayBuffer(size);
  const view = new DataView(buffer);
  const bytes = new Uint8Array(buffer);
  view.setUint32(0, bodies.length, true);
  let head = 4;
  let at = 4 + 8 * bodies.length;
  for (const { body, encoding } of bodies) {
    view.setUint32(head, ENCODINGS.indexOf(encoding), true);
    view.setUint32(head + 4, body.length, true);
    bytes.set(body, at);
    head += 8;
    at += body.length;
  }
  return buffer;
}

/** The bodies are views of `buffer`. */
export function unpackBatch(buffer: ArrayBuffer): Body[] {
  const view = new DataView(buffer);
  const count = view.getUint32(0, true);
  const bodies: Body[] = [];
  let at = 4 + 8 * count;
  for (let index = 0; index < count; index++) {
    const encoding = ENCODINGS[view.getUint32(4 + 8 * index, true)]!;
    const length = view.getUint32(8 + 8 * index, true);
    bodies.push({ encoding, body: new Uint8Array(buffer, at, length) });
    at += length;
  }
  return bodies;
}

/** Receives the parts of the answers twice: first to measure, then to write. */
interface Sink {
  number(value: number): void;
  bytes(value: Uint8Array): void;
}

export function packAnswers(answers: readonly IngestedBody[]): ArrayBuffer {
  const texts = new Map<Refusal | AccessEntry, Uint8Array>();
  let size = 0;
  put(answers, texts, {
    number: () => {
      size += 4;
    },
    bytes: (value) => {
      size += value.length;
    },
  });
  const buffer = new ArrayBuffer(size);
  const view = new DataView(buffer);
  const bytes = new Uint8Array(buffer);
  let at = 0;
  put(answers, texts, {
    number: (value) => {
      view.setUint32(at, value, true);
      at += 4;
    },
    bytes: (value) => {
      bytes.set(value, at);
      at += value.length;
    },
  });
  return buffer;
}

function put(answers: readonly IngestedBody[], texts: Map<Refusal | AccessEntry, Uint8Array>, to: Sink): void {
  const putRefusal = (refusal: Refusal): void => {
    let text = texts.get(refusal);
    if (text === undefined) {
      text = Buffer.from(JSON.stringify(refusal));
      texts.set(refusal, text);
    }
    to.number(REFUSED);
    to.number(text.length);
    to.bytes(text);
  };
  const putFacts = (facts: AccessEntry | undefined): void => {
    if (facts === undefined) {
      to.number(0);
      return;
    }
    const known = texts.get(facts);
    const text = known ?? Buffer.from(JSON.stringify(facts));
    if (known === undefined) texts.set(facts, text);
    to.number(text.length);
    to.bytes(text);
  };
  for (const answer of answers) {
    if ('refusal' in answer) {
      putRefusal(answer.refusal);
      continue;
    }
    to.number(answer.items.length);
    for (const item of answer.items) {
      if ('refusal' in item) {
        putRefusal(item.refusal);
        continue;
      }
      to.number(item.entries.length);
      for (const { leafHash, body, facts } of item.entries) {
        to.bytes(leafHash);
        to.number(body.length);
        to.bytes(body);
        putFacts(facts);
      }
    }
  }
}

/** The leaf hashes and bodies are views of `buffer`. */
export function unpackAnswers(buffer: ArrayBuffer, count: number): IngestedBody[] {
  const view = new DataView(buffer);
  let at = 0;
  const number = (): number => {
    at += 4;
    return view.getUint32(at - 4, true);
  };
  const bytes = (length: number): Uint8Array => {
    at += length;
    return new Uint8Array(buffer, at - length, length);
  };
  const refusal = (): { refusal: Refusal } => ({
    refusal: JSON.parse(Buffer.from(bytes(number())).toString()) as Refusal,
  });
  const facts = (): { facts?: AccessEntry } => {
    const length = number();
    return length === 0 ? {} : { facts: JSON.parse(Buffer.from(bytes(length)).toString()) as AccessEntry };
  };
  const item = (): Ingested => {
    const entries = number();
    if (entries === REFUSED) return refusal();
    return {
      entries: Array.from({ length: entries }, () => ({ leafHash: bytes(HASH), body: bytes(number()), ...facts() })),
    };
  };
  return Array.from({ length: count }, () => {
    const items = number();
    return items === REFUSED ? refusal() : { items: Array.from({ length: items }, item) };
  });
}
