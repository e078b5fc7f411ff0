/**
 * docs/index.md, "Extractor v1", written literally and slowly from its text. It shares no code with merkle/, so that both are unlikely
 * to have the same error.
 */
import { createHash } from 'node:crypto';
import { readJson } from './json.ts';

export type ReferenceKey = readonly [kind: string, value: string];

const sha256 = (data: Buffer) => createHash('sha256').update(data).digest();

export function referenceKeyHash([kind, value]: ReferenceKey): Buffer {
  const text = Buffer.from(value, 'utf8');
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  return sha256(Buffer.concat([Buffer.from([0x04, kind.length]), Buffer.from(kind), length, text]));
}

export function referenceKeys(input: Uint8Array): ReferenceKey[] {
  const entry = Buffer.from(input);
  const keys: ReferenceKey[] = [];
  if (entry.length > 65_535) keys.push(['kind', 'unreadable']);
  else {
    const start = entry.subarray(0, 3).toString('hex') === 'efbbbf' ? entry.subarray(3) : entry;
    if (!/^[ \t\n\r]*\{/.test(start.toString('latin1'))) keys.push(['kind', 'opaque']);
    else readEntry(entry, keys);
  }
  const seen = new Set<string>();
  return keys.filter((key) => !seen.has(JSON.stringify(key)) && seen.add(JSON.stringify(key)));
}

function readEntry(entry: Buffer, keys: ReferenceKey[]): void {
  const json = readJson(entry, 32);
  const kind = json instanceof Map ? json.get('kind') : undefined;
  if (typeof kind === 'string' && Buffer.from(kind, 'utf8').toString('utf8') === kind) keys.push(['kind', kind]);
  const parts: Parts = { digests: [], signers: [] };
  if (json !== undefined && FORMS.some((form) => fits(json, form, parts, true))) {
    keys.push(...parts.digests.map((digest): ReferenceKey => ['digest', digest]));
    keys.push(...parts.signers.flatMap(signerKeys));
  } else {
    keys.push(['kind', 'unreadable']);
    keys.push(...sweepOf(entry));
  }
}

interface Parts {
  digests: string[];
  signers: Signer[];
}

interface Signer {
  keys: Buffer[];
  names: string[];
  issuers: string[];
  extensions: string[];
}

function signerKeys({ keys, names, issuers, extensions }: Signer): ReferenceKey[] {
  const paired = [...new Set(issuers)].slice(0, 2).filter((issuer) => Buffer.byteLength(issuer) <= 256);
  return [
    ...keys.map((spki): ReferenceKey => ['key', sha256(spki).toString('hex')]),
    ...names.map((name): ReferenceKey => ['identity', name]),
    ...issuers.map((issuer): ReferenceKey => ['issuer', issuer]),
    ...paired.flatMap((issuer) =>
      names
        .slice(0, 64)
        .map((name): ReferenceKey => ['issuer-identity', `${Buffer.byteLength(issuer)}:${issuer}${name}`]),
    ),
    ...extensions.map((text): ReferenceKey => ['extension', text]),
  ];
}

// Well-formed entries. A form is a text, a test, a list of a form, or an object of forms; a name with ? may be absent.

type Check = (value: unknown, parts: Parts) => boolean;
type Form = string | Check | readonly [Form] | { readonly [name: string]: Form };

const SIZES: Record<string, number> = { sha256: 32, sha384: 48, sha512: 64 };
const NAMES: Record<string, string> = { SHA2_256: 'sha256', SHA2_384: 'sha384', SHA2_512: 'sha512' };
const ANY: Check = (value) => typeof value === 'string';

const H2: Check = (value, parts) => {
  const object = exactMap(value, ['algorithm', 'digest']);
  const name = own(NAMES, object?.get('algorithm'));
  const bytes = base64(object?.get('digest'));
  if (name === undefined || bytes?.length !== SIZES[name]) return false;
  parts.digests.push(`${name}:${bytes!.toString('hex')}`);
  return true;
};
const E1: Check = (value) => {
  const object = exactMap(value, ['algorithm', 'value']);
  const size = own(SIZES, object?.get('algorithm'));
  const hex = object?.get('value');
  return size !== undefined && typeof hex === 'string' && /^[0-9a-f]*$/.test(hex) && hex.length === 2 * size;
};
const H1: Check = (value, parts) => {
  if (!E1(value, parts)) return false;
  const object = value as Map<string, unknown>;
  parts.digests.push(`${object.get('algorithm')}:${object.get('value')}`);
  return true;
};
const signer =
  (read: (der: Buffer) => Signer | undefined): Check =>
  (value, parts) => {
    const der = base64(value);
    const found = der && read(der);
    if (found) parts.signers.push(found);
    return found !== undefined;
  };
const S2: Check = (value, parts) => {
  const verifiers = [
    { keyDetails: ANY, publicKey: { rawBytes: signer(publicKey) } },
    { keyDetails: ANY, x509Certificate: { rawBytes: signer(certificate) } },
  ];
  return verifiers.some((verifier) => fits(value, { content: ANY, verifier }, parts));
};
const PEM: Check = (value, parts) => {
  const text = base64(value)?.toString('utf8');
  const match = /^[ \t\n\r]*-----BEGIN ([A-Z ]+)-----([^-]*)-----END ([A-Z ]+)-----[ \t\n\r]*$/.exec(text ?? '');
  if (match === null || match[1] !== match[3] || match[2] === '') return false;
  const inside = match[2]!.replace(/[ \t\n\r]/g, '');
  if (match[1] === 'CERTIFICATE') return signer(certificate)(inside, parts);
  return match[1] === 'PUBLIC KEY' && signer(publicKey)(inside, parts);
};

const content = { hash: E1, 'payloadHash?': H1 };
const envelope = {
  'payload?': ANY,
  payloadType: ANY,
  signatures: [{ publicKey: PEM, sig: ANY, 'keyid?': ANY }],
} as const;
const plain = (more: Record<string, Form>) => ({
  data: { hash: H1 },
  signature: { content: ANY, publicKey: { content: PEM }, ...more },
});
const FORMS: readonly Form[] = [
  entryForm('hashedrekord', '0.0.2', { hashedRekordV002: { data: H2, signature: S2 } }),
  entryForm('dsse', '0.0.2', { dsseV002: { payloadHash: H2, signatures: [S2] } }),
  entryForm('hashedrekord', '0.0.1', plain({})),
  entryForm('rekord', '0.0.1', plain({ format: ANY })),
  entryForm('dsse', '0.0.1', {
    envelopeHash: E1,
    payloadHash: H1,
    signatures: [{ signature: ANY, verifier: PEM }],
  }),
  entryForm('intoto', '0.0.1', { content, publicKey: PEM }),
  entryForm('intoto', '0.0.2', { content: { ...content, envelope } }),
];

function entryForm(kind: string, apiVersion: string, spec: Form): Form {
  return { kind, apiVersion, spec };
}

/** Keeps what it found in `parts` only if the whole value fits. */
function fits(value: unknown, form: Form, parts: Parts, whole = false): boolean {
  const found: Parts = { digests: [], signers: [] };
  const good = fitsInto(value, form, found);
  if (good || !whole) {
    if (good) {
      parts.digests.push(...found.digests);
      parts.signers.push(...found.signers);
    }
  }
  return good;
}

function fitsInto(value: unknown, form: Form, parts: Parts): boolean {
  if (typeof form === 'string') return value === form;
  if (typeof form === 'function') return form(value, parts);
  if (Array.isArray(form)) {
    const [each] = form as readonly [Form];
    return Array.isArray(value) && value.length > 0 && value.every((item) => fits(item, each, parts));
  }
  if (!(value instanceof Map)) return false;
  const members = Object.entries(form as { readonly [name: string]: Form });
  const names = members.map(([name]) => name.replace('?', ''));
  if ([...value.keys()].some((name) => !names.includes(name))) return false;
  return members.every(([name, inner]) => {
    const plainName = name.replace('?', '');
    if (!value.has(plainName)) return name.endsWith('?');
    return fits(value.get(plainName), inner, parts);
  });
}

function exactMap(value: unknown, names: readonly string[]): Map<string, unknown> | undefined {
  return value instanceof Map && value.size === names.length && names.every((name) => value.has(name))
    ? value
    : undefined;
}

function own<T>(record: Record<string, T>, name: unknown): T | undefined {
  return typeof name === 'string' && Object.hasOwn(record, name) ? record[name] : undefined;
}

function base64(text: unknown): Buffer | undefined {
  if (typeof text !== 'string') return undefined;
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : undefined;
}

// Elements, strictly.

interface Element {
  tag: number;
  content: Buffer;
  whole: Buffer;
}

/** All elements of `bytes`, which they fill. */
function elements(bytes: Buffer): Element[] | undefined {
  const found: Element[] = [];
  for (let rest = bytes; rest.length > 0; ) {
    const next = firstElement(rest);
    if (next === undefined) return undefined;
    found.push(next);
    rest = rest.subarray(next.whole.length);
  }
  return found;
}

function firstElement(bytes: Buffer): Element | undefined {
  if (bytes.length < 2) return undefined;
  const tag = bytes[0]!;
  if ((tag & 0b11111) === 0b11111) return undefined;
  let length = bytes[1]!;
  let head = 2;
  if (length >= 0x80) {
    const more = length - 0x80;
    if (more < 1 || more > 3 || bytes.length < 2 + more) return undefined;
    length = bytes.readUIntBE(2, more);
    head += more;
    const shortest = length < 0x80 ? 0 : length < 0x100 ? 1 : length < 0x10000 ? 2 : 3;
    if (shortest !== more) return undefined;
  }
  if (head + length > bytes.length) return undefined;
  return { tag, content: bytes.subarray(head, head + length), whole: bytes.subarray(0, head + length) };
}

/** The one element that fills `bytes`, if it has this tag. */
function only(bytes: Buffer, tag: number): Element | undefined {
  const element = firstElement(bytes);
  return element?.tag === tag && element.whole.length === bytes.length ? element : undefined;
}

/** The key element that `bytes` begin with. */
function keyElement(bytes: Buffer): Buffer | undefined {
  const outer = firstElement(bytes);
  if (outer?.tag !== 0x30) return undefined;
  const inner = firstElement(outer.content);
  if (inner?.tag !== 0x30 || firstElement(inner.content)?.tag !== 0x06) return undefined;
  return only(outer.content.subarray(inner.whole.length), 0x03) && outer.whole;
}

function publicKey(der: Buffer): Signer | undefined {
  const key = keyElement(der);
  return key?.length === der.length ? { keys: [key], names: [], issuers: [], extensions: [] } : undefined;
}

function certificate(der: Buffer): Signer | undefined {
  const whole = only(der, 0x30);
  const outer = whole && elements(whole.content);
  if (outer?.map(({ tag }) => tag).join() !== [0x30, 0x30, 0x03].join()) return undefined;
  const fields: Element[] = [];
  let rest = outer[0]!.content;
  for (const [tag, mayBeAbsent] of [
    [0xa0, true],
    [0x02, false],
    [0x30, false],
    [0x30, false],
    [0x30, false],
    [0x30, false],
    [0x30, false],
    [0x81, true],
    [0x82, true],
    [0xa3, true],
  ] as const) {
    const next = firstElement(rest);
    if (next?.tag !== tag) {
      if (mayBeAbsent) continue;
      return undefined;
    }
    fields.push(next);
    rest = rest.subarray(next.whole.length);
  }
  if (rest.length > 0) return undefined;
  const key = fields[fields.findIndex(({ tag }) => tag === 0x02) + 5]!.whole;
  if (keyElement(key) === undefined) return undefined;
  const signer: Signer = { keys: [key], names: [], issuers: [], extensions: [] };
  const last = fields.at(-1)!;
  if (last.tag !== 0xa3) return signer;
  const list = only(last.content, 0x30);
  const extensions = list && elements(list.content);
  if (extensions === undefined) return undefined;
  const seen = new Set<string>();
  for (const extension of extensions) {
    const parts = extension.tag === 0x30 ? elements(extension.content) : undefined;
    const tags = parts?.map(({ tag }) => tag).join();
    if (parts === undefined || (tags !== '6,4' && tags !== '6,1,4')) return undefined;
    if (tags === '6,1,4' && parts[1]!.content.length !== 1) return undefined;
    const oid = parts[0]!.content.toString('hex');
    const value = parts.at(-1)!.content;
    if (oid !== SAN && !isFulcio(oid)) continue;
    if (seen.has(oid)) return undefined;
    seen.add(oid);
    if (!(oid === SAN ? strictNames(value, signer) : fulcio(oid, value, signer))) return undefined;
  }
  const { issuers, names } = signer;
  if (issuers.length === 2 && issuers[0] !== issuers[1]) return undefined;
  if (issuers.some((issuer) => Buffer.byteLength(issuer) > 256)) return undefined;
  return issuers.length > 0 && names.length > 64 ? undefined : signer;
}

const SAN = '551d11';
const ARC = '2b0601040183bf3001';
const isFulcio = (oid: string) => oid.startsWith(ARC) && oid.length > ARC.length;

function strictNames(value: Buffer, signer: Signer): boolean {
  const list = only(value, 0x30);
  const names = list && elements(list.content);
  if (names === undefined || names.length === 0) return false;
  for (const name of names) {
    const shown = shownName(name);
    const isText = name.tag === 0x81 || name.tag === 0x82 || name.tag === 0x86;
    if (isText && name.content.some((byte) => byte > 0x7f)) return false;
    if (name.tag === 0x87 && shown === undefined) return false;
    signer.names.push(shown ?? `#${name.whole.toString('hex')}`);
  }
  return true;
}

/** Undefined for what is shown in hex. */
function shownName({ tag, content: bytes }: Element): string | undefined {
  if (tag === 0x81 || tag === 0x82 || tag === 0x86) return utf8(bytes);
  if (tag === 0x87 && bytes.length === 4) return [...bytes].join('.');
  if (tag === 0x87 && bytes.length === 16) {
    return Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16)).join(':');
  }
  if (tag !== 0xa0) return undefined;
  const [oid, wrapper, ...more] = elements(bytes) ?? [];
  if (oid?.tag !== 0x06 || wrapper?.tag !== 0xa0 || more.length > 0) return undefined;
  const text = firstElement(wrapper.content);
  if (text === undefined || text.whole.length !== wrapper.content.length) return undefined;
  return [0x0c, 0x13, 0x16].includes(text.tag) ? utf8(text.content) : undefined;
}

function utf8(bytes: Buffer): string | undefined {
  const text = bytes.toString('utf8');
  return Buffer.from(text, 'utf8').equals(bytes) ? text : undefined;
}

/** Whether OID and value have their form. */
function fulcio(oid: string, value: Buffer, signer: Signer): boolean {
  const numbers = oidNumbers(Buffer.from(oid.slice(ARC.length), 'hex'));
  if (numbers === undefined) return false;
  const number = numbers.join('.');
  const raw = numbers.length === 1 && numbers[0]! >= 1 && numbers[0]! <= 6;
  const bytes = raw ? value : only(value, 0x0c)?.content;
  const text = bytes && utf8(bytes);
  const shown = text ?? `#${value.toString('hex')}`;
  if (number === '1' || number === '8') signer.issuers.push(shown);
  else signer.extensions.push(`1.3.6.1.4.1.57264.1.${number}=${shown}`);
  return text !== undefined;
}

function oidNumbers(bytes: Buffer): number[] | undefined {
  const groups = bytes.toString('hex').match(/../g) ?? [];
  const numbers: number[] = [];
  let group: number[] = [];
  for (const byte of groups.map((hex) => Number.parseInt(hex, 16))) {
    group.push(byte);
    if (byte >= 0x80) continue;
    if (group.length > 4 || group[0] === 0x80) return undefined;
    numbers.push(group.reduce((value, part) => value * 128 + (part % 128), 0));
    group = [];
  }
  return group.length === 0 && numbers.length >= 1 && numbers.length <= 8 ? numbers : undefined;
}

// The sweep.

function sweepOf(entry: Buffer): ReferenceKey[] {
  const keys: ReferenceKey[] = [];
  for (const run of runs(entry)) {
    const bytes = decode(run);
    const isHex = [64, 96, 128].includes(run.length) && /^[0-9a-fA-F]+$/.test(run);
    const digest = isHex ? run.toLowerCase() : [32, 48, 64].includes(bytes.length) ? bytes.toString('hex') : undefined;
    if (digest !== undefined) keys.push(['digest', `sha${digest.length * 4}:${digest}`]);
    keys.push(...signerKeys(anchors(bytes)));
    for (const inner of runs(bytes)) {
      for (const without of [0, 1, 2, 3]) keys.push(...signerKeys(anchors(decode(inner.slice(without)))));
    }
  }
  return keys;
}

function runs(bytes: Buffer): string[] {
  const text = bytes
    .toString('latin1')
    .replace(/\\(?:u([0-9a-fA-F]{4})|([\s\S])|$)/g, (_, unit?: string, other?: string) => {
      if (unit !== undefined) return String.fromCharCode(Number.parseInt(unit, 16));
      return other === '"' || other === '/' ? other : '';
    });
  return text
    .replace(/[^A-Za-z0-9+/_"=-]/g, '')
    .split(/["=]/)
    .filter((run) => run.length >= 43);
}

function decode(run: string): Buffer {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  const bits = [...run.replaceAll('-', '+').replaceAll('_', '/')]
    .map((digit) => alphabet.indexOf(digit).toString(2).padStart(6, '0'))
    .join('');
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
}

interface Head {
  tag: number;
  start: number;
  end: number;
}

/** Tag and length at `at`, which lie before `limit`; the contents may go beyond it. */
function head(bytes: Buffer, at: number, limit: number): Head | undefined {
  if (at + 2 > limit) return undefined;
  const first = bytes[at + 1]!;
  if (first < 0x80) return { tag: bytes[at]!, start: at + 2, end: at + 2 + first };
  const more = first % 128;
  if (more === 0 || at + 2 + more > limit) return undefined;
  const length = Number(BigInt(`0x${bytes.subarray(at + 2, at + 2 + more).toString('hex')}`));
  return { tag: bytes[at]!, start: at + 2 + more, end: at + 2 + more + length };
}

function anchors(bytes: Buffer): Signer {
  const signer: Signer = { keys: [], names: [], issuers: [], extensions: [] };
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at] === 0x30) {
      const key = keyElement(bytes.subarray(at, at + 4096));
      if (key !== undefined) signer.keys.push(key);
    }
    const oidEnd = at + 2 + (bytes[at + 1] ?? 0);
    if (bytes[at] !== 0x06 || at + 1 >= bytes.length || bytes[at + 1]! >= 0x80 || oidEnd > bytes.length) continue;
    const oid = bytes.subarray(at + 2, oidEnd).toString('hex');
    if (oid === SAN || isFulcio(oid)) extensionAt(bytes, oid, oidEnd, signer);
  }
  return signer;
}

function extensionAt(bytes: Buffer, oid: string, oidEnd: number, signer: Signer): void {
  const limit = Math.min(bytes.length, oidEnd + 1024);
  const flag = head(bytes, oidEnd, limit);
  const value = head(bytes, flag?.tag === 0x01 ? flag.end : oidEnd, limit);
  if (value?.tag !== 0x04) return;
  if (oid !== SAN) {
    if (value.end <= limit) fulcio(oid, bytes.subarray(value.start, value.end), signer);
    return;
  }
  const list = head(bytes, value.start, Math.min(value.end, limit));
  if (list?.tag !== 0x30) return;
  const end = Math.min(list.end, value.end, limit);
  let next = list.start;
  for (let count = 0; count < 64; count++) {
    const name = head(bytes, next, end);
    if (name === undefined || name.end > end) return;
    const whole = bytes.subarray(next, name.end);
    const element = { tag: name.tag, content: bytes.subarray(name.start, name.end), whole };
    signer.names.push(shownName(element) ?? `#${whole.toString('hex')}`);
    next = name.end;
  }
}
