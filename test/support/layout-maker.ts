/** Makes keys, layouts and links of in-toto for tests, in both forms, signed with Node's own primitives. */
import { constants, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { preAuthEncoding } from '../../merkle/rekor/dsse.ts';
import { type JsonValue, parseJsonValue } from '../../merkle/rekor/json-value.ts';
import { type KeyInfo, parseSpki } from '../../merkle/rekor/spki.ts';
import { keyIdOf } from '../../merkle/runtime/policy/layout/layout-key.ts';
import { canonicalText } from '../../merkle/runtime/policy/layout/olpc-json.ts';
import type { LinkFolder } from '../../merkle/runtime/policy/layout/types.ts';

const INTOTO = 'application/vnd.in-toto+json';

export interface Functionary {
  readonly keyId: string;
  readonly info: KeyInfo;
  readonly publicPem: string;
  readonly privatePem: string;
  /** As it stands in a layout. */
  readonly json: object;
  sign(message: Uint8Array): Buffer;
}

export type FunctionaryKind = 'ed25519' | 'P-256' | 'P-384' | 'P-521' | 'rsa';

export function newFunctionary(kind: FunctionaryKind = 'ed25519'): Functionary {
  const { publicKey, privateKey } = keyPair(kind);
  const info = parseSpki(publicKey.export({ type: 'spki', format: 'der' }));
  const publicPem = publicKey.export({ type: 'spki', format: 'pem' }) as string;
  const keyId = keyIdOf(info);
  const type = kind === 'ed25519' || kind === 'rsa' ? kind : 'ecdsa';
  const scheme = { ed25519: 'ed25519', rsa: 'rsassa-pss-sha256', ecdsa: 'ecdsa-sha2-nistp256' }[type];
  const value = type === 'ed25519' ? Buffer.from(info.spki).subarray(-32).toString('hex') : publicPem.trim();
  return {
    keyId,
    info,
    publicPem,
    privatePem: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    json: {
      keyid: keyId,
      keyid_hash_algorithms: ['sha256', 'sha512'],
      keytype: type,
      scheme,
      keyval: { public: value },
    },
    sign: (message) => signed(kind, privateKey, message),
  };
}

function keyPair(kind: FunctionaryKind) {
  if (kind === 'ed25519') return generateKeyPairSync('ed25519');
  return kind === 'rsa'
    ? generateKeyPairSync('rsa', { modulusLength: 2048 })
    : generateKeyPairSync('ec', { namedCurve: kind });
}

function signed(kind: FunctionaryKind, key: KeyObject, message: Uint8Array): Buffer {
  if (kind === 'ed25519') return sign(null, message, key);
  if (kind === 'rsa') {
    return sign('sha256', message, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 });
  }
  return sign({ 'P-256': 'sha256', 'P-384': 'sha384', 'P-521': 'sha512' }[kind], message, key);
}

/** A layout or a link in a metablock. */
export function metablock(payload: unknown, ...signers: readonly Functionary[]): Buffer {
  const signatures = signers.map((one) => ({ keyid: one.keyId, sig: one.sign(canonical(payload)).toString('hex') }));
  return Buffer.from(JSON.stringify({ signed: payload, signatures }, null, 1));
}

/** A layout or a link in a DSSE envelope. Canonical JSON would hold the line feeds of a PEM as they are, which is no JSON. */
export function dsse(payload: unknown, ...signers: readonly Functionary[]): Buffer {
  const bytes = encodeUtf8(JSON.stringify(payload));
  const signatures = signers.map((one) => ({
    keyid: one.keyId,
    sig: one.sign(preAuthEncoding(INTOTO, bytes)).toString('base64'),
  }));
  return Buffer.from(
    JSON.stringify({ payloadType: INTOTO, payload: Buffer.from(bytes).toString('base64'), signatures }),
  );
}

function canonical(payload: unknown): Uint8Array {
  return encodeUtf8(canonicalText(parseJsonValue(encodeUtf8(JSON.stringify(payload)), 'it', 10_000_000) as JsonValue));
}

type Rule = readonly string[];
export interface StepPlan {
  readonly name: string;
  readonly keys: readonly Functionary[];
  readonly threshold?: number;
  readonly materials?: readonly Rule[];
  readonly products?: readonly Rule[];
  readonly more?: object;
}

export function layoutOf(steps: readonly StepPlan[], more: object = {}): Record<string, unknown> {
  const keys = new Map(steps.flatMap((step) => step.keys).map((key) => [key.keyId, key.json]));
  return {
    _type: 'layout',
    steps: steps.map((step) => ({
      _type: 'step',
      name: step.name,
      threshold: step.threshold ?? 1,
      pubkeys: step.keys.map(({ keyId }) => keyId),
      expected_command: [],
      expected_materials: step.materials ?? [],
      expected_products: step.products ?? [],
      ...step.more,
    })),
    inspect: [],
    keys: Object.fromEntries(keys),
    expires: '2099-01-01T00:00:00Z',
    readme: '',
    ...more,
  };
}

/** Names of artifacts, each with a letter that stands for its content. */
export type Contents = Readonly<Record<string, string | object>>;

export function linkOf(name: string, materials: Contents, products: Contents, more: object = {}): object {
  return {
    _type: 'link',
    name,
    materials: hashed(materials),
    products: hashed(products),
    byproducts: { 'return-value': 0, stdout: '', stderr: '' },
    command: [],
    environment: {},
    ...more,
  };
}

function hashed(contents: Contents): object {
  return Object.fromEntries(
    Object.entries(contents).map(([name, content]) => [
      name,
      typeof content === 'string' ? { sha256: Buffer.from(content.padEnd(32)).toString('hex') } : content,
    ]),
  );
}

export function linkName(step: string, { keyId }: Functionary): string {
  return `${step}.${keyId.slice(0, 8)}.link`;
}

/** A folder in memory: files by their path, `build.2d243d7e.link` or `build.2d243d7e/compile.736a2f89.link`. */
export function folderOf(files: Readonly<Record<string, Uint8Array>>, path = ''): LinkFolder {
  return {
    linksOf: (step) =>
      Object.entries(files)
        .filter(([file]) => file.startsWith(`${path}${step}.`) && file.endsWith('.link'))
        .map(([file, bytes]) => ({ name: file.slice(path.length), read: () => bytes }))
        .filter(({ name }) => name.length === step.length + 14 && !name.includes('/')),
    below: (name) => folderOf(files, `${path}${name}/`),
  };
}
