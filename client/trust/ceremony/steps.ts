/**
 * The steps of a ceremony: one record each, in the order in which they were done. A record is JSON in the form of RFC 8785
 * on one line, and `previous` is the SHA-256 of the line before it, so that no line changes, goes or comes unnoticed.
 *
 *   begin   the plan, the key of the service, the package that runs, a random number that no earlier paper holds
 *   key     of each holder: the key in the token, and what the token says of the key and of itself
 *   root    the root metadata that name the keys
 *   sign    of each holder who signs: the signature over the root metadata
 *   authority  once or never: the key of a certificate authority's root in a token of its own, with its certificate
 *
 * The key of a `key` or `authority` record signs the record, which shows that the holder has the key in this ceremony.
 */
import { concat, encodeUtf8 } from '../../../merkle/bytes.ts';
import type { KeyAttributes, TokenKeyFacts } from '../../../merkle/runtime/keys/pkcs11/types.ts';
import { timeOfText } from '../../../merkle/x509/utc-time.ts';
import { ClientError } from '../../errors.ts';
import { array, record, string } from '../../formats/json.ts';
import { parseTufJson, type TufObject } from '../tuf/canonical-json.ts';
import { hexSha256 } from '../tuf/tuf-key.ts';

export const MAX_HOLDERS = 16;
/** Longest record, in bytes. */
export const MAX_STEP = 16 * 1024;
/** One begin, one root, one authority, and a key and a signature of each holder. */
export const MAX_STEPS = 3 + 2 * MAX_HOLDERS;

const FIRST = '0'.repeat(64);
const HEX_32 = /^[0-9a-f]{64}$/;
/** A name that is a file name, stands in a plan, and is read aloud. */
const HOLDER = /^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$/;
const KEY_SIGNATURE = 'stele: a key of this ceremony\n';

/** What ran a step. */
export interface Machine {
  /** Version of Stele. */
  readonly stele: string;
  /** Version of Node. */
  readonly node: string;
  /** Operating system and processor, such as `linux-x64`. */
  readonly platform: string;
  /** SHA-256 over the packages that Stele loads, and those that they load, as this machine has them. */
  readonly dependencies: string;
}

interface Common extends Machine {
  /** SHA-256 of the record before; 64 zeros of the first one. */
  readonly previous: string;
  /** By the clock of the machine, which nobody vouches for: `YYYY-MM-DDTHH:MM:SSZ`. */
  readonly time: string;
}

export interface BeginStep extends Common {
  readonly step: 'begin';
  readonly name: string;
  readonly holders: readonly string[];
  /** So many holders must sign a root. */
  readonly threshold: number;
  /** So many holders must sign targets. */
  readonly targets: number;
  /** ID of the key of the service that signs snapshot and timestamp. */
  readonly online: string;
  /** SHA-256 of the plan's file. */
  readonly plan: string;
  /** 32 random bytes in hex. */
  readonly nonce: string;
  /** The package's file, its SHA-256, and the SHA-256 of the list of its files. */
  readonly package: { readonly file: string; readonly sha256: string; readonly files: string };
}

/** A key in a token, and what the token says of it. */
export interface HeldKey {
  /** PEM. */
  readonly publicKey: string;
  /** The key's label in the token. */
  readonly label: string;
  readonly token: TokenKeyFacts['token'];
  readonly module: TokenKeyFacts['module'] & { readonly file: string; readonly sha256: string };
  /** SHA-256 over what tells one TPM of this machine from another; empty for another kind of token. */
  readonly tpm: string;
  readonly mechanism: { readonly generate: string; readonly sign: string };
  readonly attributes: KeyAttributes;
  /** DER in hex, over the rest of the record. */
  readonly sig: string;
}

export interface KeyStep extends Common, HeldKey {
  readonly step: 'key';
  readonly holder: string;
  readonly keyid: string;
}

export interface AuthorityStep extends Common, HeldKey {
  readonly step: 'authority';
  /** The certificate of the root: DER in base64, and its SHA-256. */
  readonly certificate: string;
  readonly sha256: string;
}

export interface RootStep extends Common {
  readonly step: 'root';
  readonly version: number;
  /** SHA-256 of what the holders sign: the canonical JSON of the signed part of the root metadata. */
  readonly sha256: string;
  readonly expires: string;
}

export interface SignStep extends Common {
  readonly step: 'sign';
  readonly holder: string;
  readonly keyid: string;
  /** As in the `root` record. */
  readonly sha256: string;
  /** DER in hex. */
  readonly sig: string;
}

export type Step = BeginStep | KeyStep | RootStep | SignStep | AuthorityStep;

const MACHINE = ['stele', 'node', 'platform', 'dependencies'] as const;
const COMMON = ['step', 'previous', 'time', ...MACHINE] as const;
const ATTRIBUTES = ['sensitive', 'extractable', 'local', 'neverExtractable', 'alwaysSensitive'] as const;
const TOKEN = ['label', 'manufacturer', 'model', 'serial', 'hardware', 'firmware'] as const;
const MODULE = ['description', 'manufacturer', 'version', 'cryptoki', 'file', 'sha256'] as const;

/** The line of a record, without its end. */
export function stepLine(step: Step): Uint8Array {
  return canonical(step);
}

/** What the next record has as `previous`. */
export function afterStep(step: Step | undefined): string {
  return step === undefined ? FIRST : hexSha256(stepLine(step));
}

/** What the key of a `key` or `authority` record signs. It begins like nothing else that the key signs. */
export function keyStepMessage({ sig: _, ...rest }: KeyStep | AuthorityStep): Uint8Array {
  return concat(encodeUtf8(KEY_SIGNATURE), canonical(rest));
}

/** @param lines a record on each; the bytes of a file @throws ClientError `ceremony` where a record or the chain is damaged */
export function parseSteps(lines: readonly Uint8Array[]): Step[] {
  if (lines.length > MAX_STEPS) throw damaged(MAX_STEPS, `is more than the ${MAX_STEPS} steps of a ceremony`);
  return checkedChain(
    lines.map((line, at) => {
      const step = readStep(
        parsed(at, () => parseTufJson(line, 'the step', MAX_STEP)),
        at,
      );
      if (!Buffer.from(line).equals(stepLine(step))) throw damaged(at, 'is not in its canonical form');
      return step;
    }),
  );
}

/** The records of a transcript. @throws ClientError `ceremony` */
export function readSteps(values: readonly unknown[]): Step[] {
  if (values.length > MAX_STEPS) throw damaged(MAX_STEPS, `is more than the ${MAX_STEPS} steps of a ceremony`);
  return checkedChain(values.map(readStep));
}

function checkedChain(steps: Step[]): Step[] {
  for (const [at, step] of steps.entries()) {
    if (step.previous !== afterStep(steps[at - 1])) {
      throw damaged(at, 'does not follow from the step before it: a line was changed, left out or put in');
    }
  }
  return steps;
}

function readStep(value: unknown, at: number): Step {
  return parsed(at, () => {
    const kind = string((value as TufObject | null)?.step, 'step');
    switch (kind) {
      case 'begin':
        return readBegin(value);
      case 'key':
        return readKey(value);
      case 'root':
        return readRootStep(value);
      case 'sign':
        return readSign(value);
      case 'authority':
        return readAuthorityStep(value);
      default:
        throw new ClientError('malformed', `step is "${kind.slice(0, 40)}", which this version does not know`);
    }
  });
}

function readBegin(value: unknown): BeginStep {
  const own = ['name', 'holders', 'threshold', 'targets', 'online', 'plan', 'nonce', 'package'];
  const json = record(value, 'the step', [...COMMON, ...own]);
  const files = record(json.package, 'package', ['file', 'sha256', 'files']);
  const step: BeginStep = {
    step: 'begin',
    ...common(json),
    name: short(json.name, 'name'),
    holders: array(json.holders, 'holders', MAX_HOLDERS).map(holderName),
    threshold: positive(json.threshold, 'threshold'),
    targets: positive(json.targets, 'targets'),
    online: digest(json.online, 'online'),
    plan: digest(json.plan, 'plan'),
    nonce: digest(json.nonce, 'nonce'),
    package: {
      file: short(files.file, 'package.file'),
      sha256: digest(files.sha256, 'package.sha256'),
      files: digest(files.files, 'package.files'),
    },
  };
  checkHolders(step);
  return step;
}

/** @throws ClientError `malformed` */
export function checkHolders({ holders, threshold }: Pick<BeginStep, 'holders' | 'threshold'>): void {
  const twice = holders.find((holder, at) => holders.indexOf(holder) !== at);
  if (twice !== undefined) throw new ClientError('malformed', `holders name ${twice} twice`);
  if (threshold > holders.length) {
    throw new ClientError('malformed', `threshold is ${threshold}, and there are ${holders.length} holders`);
  }
}

const HELD = ['publicKey', 'label', 'token', 'module', 'tpm', 'mechanism', 'attributes', 'sig'] as const;

function readKey(value: unknown): KeyStep {
  const json = record(value, 'the step', [...COMMON, 'holder', 'keyid', ...HELD]);
  return {
    step: 'key',
    ...common(json),
    holder: holderName(json.holder),
    keyid: digest(json.keyid, 'keyid'),
    ...readHeld(json),
  };
}

function readAuthorityStep(value: unknown): AuthorityStep {
  const json = record(value, 'the step', [...COMMON, 'certificate', 'sha256', ...HELD]);
  const certificate = string(json.certificate, 'certificate');
  if (certificate.length > MAX_STEP / 2 || !/^[A-Za-z0-9+/]+={0,2}$/.test(certificate)) {
    throw new ClientError('malformed', 'certificate is not base64 of a certificate');
  }
  const sha256 = digest(json.sha256, 'sha256');
  return { step: 'authority', ...common(json), certificate, sha256, ...readHeld(json) };
}

function readHeld(json: { readonly [name: string]: unknown }): HeldKey {
  const mechanism = record(json.mechanism, 'mechanism', ['generate', 'sign']);
  const attributes = record(json.attributes, 'attributes', ATTRIBUTES);
  const module = texts(json.module, 'module', MODULE);
  digest(module.sha256, 'module.sha256');
  return {
    publicKey: short(json.publicKey, 'publicKey'),
    label: short(json.label, 'label'),
    token: texts(json.token, 'token', TOKEN),
    module,
    tpm: json.tpm === '' ? '' : digest(json.tpm, 'tpm'),
    mechanism: {
      generate: short(mechanism.generate, 'mechanism.generate'),
      sign: short(mechanism.sign, 'mechanism.sign'),
    },
    attributes: Object.fromEntries(
      ATTRIBUTES.map((name) => [name, bit(attributes[name], `attributes.${name}`)]),
    ) as unknown as KeyAttributes,
    sig: hex(json.sig, 'sig'),
  };
}

function readRootStep(value: unknown): RootStep {
  const json = record(value, 'the step', [...COMMON, 'version', 'sha256', 'expires']);
  return {
    step: 'root',
    ...common(json),
    version: positive(json.version, 'version'),
    sha256: digest(json.sha256, 'sha256'),
    expires: time(json.expires, 'expires'),
  };
}

function readSign(value: unknown): SignStep {
  const json = record(value, 'the step', [...COMMON, 'holder', 'keyid', 'sha256', 'sig']);
  return {
    step: 'sign',
    ...common(json),
    holder: holderName(json.holder),
    keyid: digest(json.keyid, 'keyid'),
    sha256: digest(json.sha256, 'sha256'),
    sig: hex(json.sig, 'sig'),
  };
}

function common(json: { readonly [name: string]: unknown }): Common {
  return {
    previous: digest(json.previous, 'previous'),
    time: time(json.time, 'time'),
    stele: short(json.stele, 'stele'),
    node: short(json.node, 'node'),
    platform: short(json.platform, 'platform'),
    dependencies: digest(json.dependencies, 'dependencies'),
  };
}

function texts<Name extends string>(value: unknown, path: string, names: readonly Name[]): Record<Name, string> {
  const json = record(value, path, names);
  return Object.fromEntries(names.map((name) => [name, short(json[name], `${path}.${name}`)])) as Record<Name, string>;
}

function short(value: unknown, path: string): string {
  const text = string(value, path);
  if (text.length <= 1024) return text;
  throw new ClientError('malformed', `${path} is longer than 1024 characters`);
}

/** @throws ClientError `malformed` */
export function holderName(value: unknown): string {
  const name = string(value, 'holder');
  if (HOLDER.test(name)) return name;
  throw new ClientError(
    'malformed',
    `"${name.slice(0, 80)}" cannot name a holder: use small letters, digits, and ".", "_", "-" between them`,
  );
}

function digest(value: unknown, path: string): string {
  const text = string(value, path);
  if (HEX_32.test(text)) return text;
  throw new ClientError('malformed', `${path} is not 64 digits of lower-case hex`);
}

function hex(value: unknown, path: string): string {
  const text = string(value, path);
  if (/^(?:[0-9a-f]{2}){1,256}$/.test(text)) return text;
  throw new ClientError('malformed', `${path} is not lower-case hex`);
}

function time(value: unknown, path: string): string {
  const text = string(value, path);
  if (/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text) && timeOfText(text) !== undefined) return text;
  throw new ClientError('malformed', `${path} is not a time such as 2026-01-31T00:00:00Z`);
}

function positive(value: unknown, path: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 1) return value;
  throw new ClientError('malformed', `${path} is not a whole number of at least 1`);
}

function bit(value: unknown, path: string): boolean {
  if (typeof value === 'boolean') return value;
  throw new ClientError('malformed', `${path} is neither true nor false`);
}

/**
 * JSON in the form of RFC 8785: members in the order of their names, no white space. The values are text, integers, booleans,
 * lists and objects, for which JSON.stringify has that form.
 */
export function canonical(value: unknown): Uint8Array {
  return encodeUtf8(JSON.stringify(value, sorted));
}

function sorted(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function parsed<T>(at: number, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof ClientError) || cause.code === 'ceremony') throw cause;
    throw damaged(at, `is damaged: ${cause.message}`, cause);
  }
}

function damaged(at: number, why: string, cause?: unknown): ClientError {
  return new ClientError('ceremony', `step ${at + 1} of the ceremony ${why}`, { cause });
}
