/**
 * Makes TUF repositories (specification 1.0.34), good ones and bad ones. It shares no code with the product and none with the
 * clients under test: the metadata are plain JSON values, the canonical JSON is written here, the keys are Node's.
 *
 *     const maker = new TufMaker();                        // root 3 of 5, targets 2 of 3, snapshot and timestamp 1 of 1
 *     maker.target('policy', 'quorum none\n');
 *     maker.publish();                                     // files are in `maker.files`, as a mirror serves them
 *     maker.bodies.timestamp.expires = maker.expiry(-1);   // anything in a body may be set, also to what is not allowed
 *     maker.write('timestamp');                            // signs the body as it is now
 *
 * `tuf-bad.ts` has the forms of bad repositories, `tuf-mirror.ts` serves `files` by HTTP.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign as nodeSign,
} from 'node:crypto';

export type TufRole = 'root' | 'targets' | 'snapshot' | 'timestamp';
export type TufAlgorithm = 'ed25519' | 'ecdsa-p256' | 'ecdsa-p384';

/** The public half, as TUF writes it. */
export interface PublicForm {
  keytype: string;
  scheme: string;
  keyval: { public: string };
}

export interface TufKey {
  readonly id: string;
  readonly form: PublicForm;
  readonly privateKey: KeyObject;
  /** In hexadecimal digits. ECDSA signatures are DER. */
  sign(bytes: Uint8Array): string;
}

export interface TufSignature {
  keyid: string;
  sig: string;
}

export interface RoleKeys {
  keyids: string[];
  threshold: number;
}

interface Body {
  _type: string;
  spec_version: string;
  version: number;
  expires: string;
}

export interface RootBody extends Body {
  consistent_snapshot: boolean;
  keys: Record<string, PublicForm>;
  roles: Record<string, RoleKeys>;
}

export interface TargetEntry {
  length: number;
  hashes: Record<string, string>;
  custom?: unknown;
}

export interface DelegatedRole extends RoleKeys {
  name: string;
  paths: string[];
  terminating: boolean;
}

export interface TargetsBody extends Body {
  targets: Record<string, TargetEntry>;
  delegations?: { keys: Record<string, PublicForm>; roles: DelegatedRole[] };
}

export interface MetaEntry {
  version: number;
  length?: number;
  hashes?: Record<string, string>;
}

export interface MetaBody extends Body {
  meta: Record<string, MetaEntry>;
}

export interface Bodies {
  root: RootBody;
  targets: TargetsBody;
  snapshot: MetaBody;
  timestamp: MetaBody;
}

/** How a file differs from what is right. */
export interface Odd {
  /** Who signs, instead of the keys of the role. */
  readonly signers?: readonly TufKey[];
  /** The signatures in the file, instead of those that were made. */
  readonly signatures?: (made: TufSignature[]) => unknown;
  /** Changes the text of the file after it was signed. */
  readonly text?: (text: string) => string;
  /** The name of the file, instead of `N.ROLE.json` or `timestamp.json`. */
  readonly file?: string;
}

export interface TufPlan {
  /** How many hold a root key, and how many of them must sign. */
  readonly root?: readonly [threshold: number, holders: number];
  readonly targets?: readonly [threshold: number, holders: number];
  /** Of the n-th key, from 0. By default Ed25519 and P-256 in turn. */
  readonly algorithm?: (index: number) => TufAlgorithm;
}

const DAY_MS = 86_400_000;
const CURVES = {
  'ecdsa-p256': ['P-256', 'nistp256', 'sha256'],
  'ecdsa-p384': ['P-384', 'nistp384', 'sha384'],
} as const;

export const sha256Hex = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');

/** What every client of TUF signs (OLPC's canonical JSON): sorted names, no blanks, and only the quotation mark and the backslash escaped. */
export function canonicalJson(value: unknown): string {
  if (typeof value === 'string') return `"${value.replace(/["\\]/g, '\\$&')}"`;
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  members.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, member]) => `${canonicalJson(name)}:${canonicalJson(member)}`).join(',')}}`;
}

/** @param id by default the SHA-256 of the key's canonical JSON, as go-tuf and python-tuf make it */
export function newTufKey(algorithm: TufAlgorithm = 'ed25519', id?: string): TufKey {
  if (algorithm === 'ed25519') return tufKeyOf(generateKeyPairSync('ed25519').privateKey, id);
  return tufKeyOf(generateKeyPairSync('ec', { namedCurve: CURVES[algorithm][0] }).privateKey, id);
}

/** A key for TUF of a private key: PKCS#8 in PEM, or Node's object. */
export function tufKeyOf(secret: KeyObject | string, id?: string): TufKey {
  const privateKey = typeof secret === 'string' ? createPrivateKey(secret) : secret;
  const publicKey = createPublicKey(privateKey);
  if (privateKey.asymmetricKeyType === 'ed25519') {
    const raw = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32).toString('hex');
    const form = { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: raw } };
    const sign = (bytes: Uint8Array) => nodeSign(null, bytes, privateKey).toString('hex');
    return { id: id ?? keyId(form), form, privateKey, sign };
  }
  const p384 = privateKey.asymmetricKeyDetails?.namedCurve === 'secp384r1';
  const [, curve, hash] = CURVES[p384 ? 'ecdsa-p384' : 'ecdsa-p256'];
  const pem = String(publicKey.export({ format: 'pem', type: 'spki' }));
  const form = { keytype: 'ecdsa', scheme: `ecdsa-sha2-${curve}`, keyval: { public: pem } };
  return {
    id: id ?? keyId(form),
    form,
    privateKey,
    sign: (bytes) => nodeSign(hash, bytes, privateKey).toString('hex'),
  };
}

export const keyId = (form: PublicForm): string => sha256Hex(canonicalJson(form));

/** The same key under another key ID. */
export const renamed = (key: TufKey, id: string): TufKey => ({ ...key, id });

export class TufMaker {
  /** What a mirror serves: bytes by path, such as `2.root.json` and `targets/HASH.NAME`. */
  readonly files = new Map<string, Uint8Array>();
  readonly bodies: Bodies;
  /** The keys with which `write` signs. What the root says of them is in `bodies.root`. */
  readonly keys: Record<TufRole, TufKey[]>;
  readonly delegated = new Map<string, { readonly body: TargetsBody; readonly keys: readonly TufKey[] }>();
  readonly #algorithm: (index: number) => TufAlgorithm;
  #made = 0;

  constructor({ root = [3, 5], targets = [2, 3], algorithm }: TufPlan = {}) {
    this.#algorithm = algorithm ?? ((index) => (index % 2 === 0 ? 'ed25519' : 'ecdsa-p256'));
    this.keys = {
      root: this.newKeys(root[1]),
      targets: this.newKeys(targets[1]),
      snapshot: this.newKeys(1),
      timestamp: this.newKeys(1),
    };
    this.bodies = {
      root: { ...this.#head('root'), consistent_snapshot: true, keys: {}, roles: {} },
      targets: { ...this.#head('targets'), targets: {} },
      snapshot: { ...this.#head('snapshot'), meta: {} },
      timestamp: { ...this.#head('timestamp'), meta: {} },
    };
    this.#describe('root', root[0]);
    this.#describe('targets', targets[0]);
    this.#describe('snapshot', 1);
    this.#describe('timestamp', 1);
  }

  /** Another maker with the same keys, at the same state. What happens to one does not happen to the other. */
  copy(): TufMaker {
    const copy = new TufMaker({ algorithm: this.#algorithm });
    for (const [path, bytes] of this.files) copy.files.set(path, bytes);
    Object.assign(copy.bodies, structuredClone(this.bodies));
    for (const [role, keys] of Object.entries(this.keys)) copy.keys[role as TufRole] = [...keys];
    for (const [name, { body, keys }] of this.delegated)
      copy.delegated.set(name, { body: structuredClone(body), keys });
    return copy;
  }

  /** The bytes of the first root, or of a later one. */
  root(version = 1): Uint8Array {
    const bytes = this.files.get(`${version}.root.json`);
    if (bytes === undefined) throw new Error(`no root of version ${version} was written`);
    return bytes;
  }

  newKeys(count: number): TufKey[] {
    return Array.from({ length: count }, () => newTufKey(this.#algorithm(this.#made++)));
  }

  /** @param days from now, may be negative */
  expiry(days: number): string {
    return expiryAt(Date.now() + days * DAY_MS);
  }

  /** Adds a target or changes it; `publish` shows it. In a delegated role where `role` is given. */
  target(name: string, content: Uint8Array | string, role?: string): Uint8Array {
    const bytes = Buffer.from(content);
    const body = role === undefined ? this.bodies.targets : this.delegated.get(role)!.body;
    body.targets[name] = { length: bytes.length, hashes: { sha256: sha256Hex(bytes) } };
    this.files.set(targetPath(name, bytes), bytes);
    return bytes;
  }

  /** Hands the paths over to a role of its own. */
  delegate(name: string, paths: string[], { threshold = 1, keys = this.newKeys(1), terminating = false } = {}): void {
    const { targets } = this.bodies;
    targets.delegations ??= { keys: {}, roles: [] };
    for (const { id, form } of keys) targets.delegations.keys[id] = form;
    targets.delegations.roles.push({ name, paths, terminating, threshold, keyids: keys.map(({ id }) => id) });
    this.delegated.set(name, { body: { ...this.#head('targets'), version: 0, targets: {} }, keys });
  }

  /** Replaces keys of a role in the body of the root, and signs with the new ones from then on. `newRoot` shows it. */
  replace(role: TufRole, fresh: TufKey[], threshold = this.bodies.root.roles[role]!.threshold): void {
    this.keys[role] = fresh;
    this.#describe(role, threshold);
  }

  /** Publishes a next root, signed by those who signed so far and by those who sign from now on. */
  newRoot(before: readonly TufKey[] = [], odd: Odd = {}): Uint8Array {
    this.bodies.root.version += this.files.has('1.root.json') ? 1 : 0;
    const signers = [...new Map([...before, ...this.keys.root].map((key) => [key.id, key])).values()];
    return this.write('root', { signers, ...odd });
  }

  /** Publishes everything anew: the first root if there is none, targets and delegated roles, snapshot, timestamp. */
  publish(): void {
    const { targets, snapshot, timestamp } = this.bodies;
    if (!this.files.has('1.root.json')) this.newRoot();
    for (const [name, { body }] of this.delegated) {
      body.version += 1;
      this.writeDelegated(name);
    }
    if (this.files.has('timestamp.json')) {
      for (const body of [targets, snapshot, timestamp]) body.version += 1;
    }
    this.write('targets');
    snapshot.meta = { 'targets.json': { version: targets.version } };
    for (const [name, { body }] of this.delegated) snapshot.meta[`${name}.json`] = { version: body.version };
    this.write('snapshot');
    timestamp.meta = { 'snapshot.json': this.#metaOf(`${snapshot.version}.snapshot.json`, snapshot.version) };
    this.write('timestamp');
  }

  /** Signs the body of a role as it is now, and puts the file among `files`. */
  write(role: TufRole, { signers = this.keys[role], file, ...odd }: Odd = {}): Uint8Array {
    const body = this.bodies[role];
    return this.#put(
      file ?? (role === 'timestamp' ? 'timestamp.json' : `${body.version}.${role}.json`),
      body,
      signers,
      odd,
    );
  }

  writeDelegated(name: string, { signers, file, ...odd }: Odd = {}): Uint8Array {
    const { body, keys } = this.delegated.get(name)!;
    return this.#put(file ?? `${body.version}.${name}.json`, body, signers ?? keys, odd);
  }

  #put(file: string, body: Body, signers: readonly TufKey[], odd: Odd): Uint8Array {
    const bytes = Buffer.from(signedText(body, signers, odd));
    this.files.set(file, bytes);
    return bytes;
  }

  #metaOf(file: string, version: number): MetaEntry {
    const bytes = this.files.get(file)!;
    return { version, length: bytes.length, hashes: { sha256: sha256Hex(bytes) } };
  }

  #head(type: TufRole): Body {
    return { _type: type, spec_version: '1.0.31', version: 1, expires: this.expiry(7) };
  }

  /** Writes the keys of a role into the body of the root, and forgets keys that no role names any more. */
  #describe(role: TufRole, threshold: number): void {
    const { root } = this.bodies;
    root.roles[role] = { keyids: this.keys[role].map(({ id }) => id), threshold };
    const all = Object.entries(this.keys).flatMap(([name, keys]) => (root.roles[name] === undefined ? [] : keys));
    root.keys = Object.fromEntries(all.map(({ id, form }) => [id, form]));
  }
}

/** In the one form that all clients read. */
export const expiryAt = (ms: number): string => new Date(ms).toISOString().replace(/\.\d{3}Z$/, 'Z');

/** The text of a signed file. */
export function signedText(body: unknown, signers: readonly TufKey[], { signatures, text }: Odd = {}): string {
  const bytes = Buffer.from(canonicalJson(body));
  const made = signers.map((key) => ({ keyid: key.id, sig: key.sign(bytes) }));
  const written = JSON.stringify(
    { signatures: signatures === undefined ? made : signatures(made), signed: body },
    null,
    1,
  );
  return text === undefined ? written : text(written);
}

/** Where a mirror has a target: the hash stands before the last part of its name. */
export function targetPath(name: string, bytes: Uint8Array): string {
  const cut = name.lastIndexOf('/') + 1;
  return `targets/${name.slice(0, cut)}${sha256Hex(bytes)}.${name.slice(cut)}`;
}
