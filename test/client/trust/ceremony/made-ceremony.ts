/** Ceremonies made in memory, with software keys in the place of tokens, so that each part of them can be wrong. */
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { MECHANISM } from '../../../../client/trust/ceremony/ceremony.ts';
import {
  type AuthorityStep,
  afterStep,
  type BeginStep,
  type KeyStep,
  keyStepMessage,
  type RootStep,
  type SignStep,
  type Step,
} from '../../../../client/trust/ceremony/steps.ts';
import { formatTranscript } from '../../../../client/trust/ceremony/transcript.ts';
import { canonicalJson, type TufObject } from '../../../../client/trust/tuf/canonical-json.ts';
import { writeMetadata } from '../../../../client/trust/tuf/metadata.ts';
import { tufKey } from '../../../../client/trust/tuf/tuf-key.ts';
import { INTOTO_TYPE, preAuthEncoding } from '../../../../merkle/rekor/dsse.ts';

export const hash = (text: string | Uint8Array) => createHash('sha256').update(text).digest('hex');

const COMMON = {
  time: '2026-01-31T10:00:00Z',
  stele: '0.1.0',
  node: 'v20.20.2',
  platform: 'linux-x64',
  dependencies: hash('dependencies'),
};

export interface TestHolder {
  readonly name: string;
  readonly key: KeyObject;
  readonly pem: string;
  readonly keyid: string;
  readonly json: TufObject;
}

export function newHolder(name: string, curve = 'P-256'): TestHolder {
  const { privateKey: key, publicKey } = generateKeyPairSync('ec', { namedCurve: curve });
  const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string;
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const { keyid, json } = curve === 'P-256' ? tufKey(spki) : { keyid: hash(spki), json: {} };
  return { name, key, pem, keyid, json };
}

export const signature = (holder: TestHolder, message: Uint8Array) => sign('sha256', message, holder.key);
export const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** Members in the place of those of a good step. A key step is signed after them, unless they bring a signature. */
export type Changes = Partial<BeginStep> | Partial<KeyStep> | Partial<RootStep> | Partial<SignStep>;

const ONLINE = newHolder('online');
export const OTHER_ONLINE = newHolder('other-online');
/** Snapshot and timestamp, as a good root has them. */
export const ONLINE_ROLES = {
  snapshot: { keyids: [ONLINE.keyid], threshold: 1 },
  timestamp: { keyids: [ONLINE.keyid], threshold: 1 },
};

/** Adds steps to a chain. */
export class Chain {
  readonly steps: Step[] = [];
  root: Uint8Array = new Uint8Array();
  signed: TufObject = {};

  readonly holders: readonly TestHolder[];

  constructor(holders: readonly TestHolder[]) {
    this.holders = holders;
  }

  #add<S extends Step>(step: Omit<S, 'previous'>, changes: Changes): S {
    const whole = { previous: afterStep(this.steps.at(-1)), ...step, ...changes } as unknown as S;
    this.steps.push(whole);
    return whole;
  }

  begin(changes: Partial<BeginStep> = {}): this {
    this.#add<BeginStep>(
      {
        step: 'begin',
        ...COMMON,
        name: 'root of example.com',
        holders: this.holders.map(({ name }) => name),
        threshold: 2,
        targets: 2,
        online: ONLINE.keyid,
        plan: hash('plan'),
        nonce: hash('nonce'),
        package: { file: 'stele-0.1.0.tgz', sha256: hash('package'), files: hash('files') },
      },
      changes,
    );
    return this;
  }

  key(holder: TestHolder, changes: Partial<KeyStep> = {}): this {
    const step: Omit<KeyStep, 'previous'> = {
      step: 'key',
      ...COMMON,
      holder: holder.name,
      keyid: holder.keyid,
      publicKey: holder.pem,
      label: 'stele-root',
      token: {
        label: holder.name,
        manufacturer: 'Maker',
        model: 'Model',
        serial: hash(holder.keyid).slice(0, 16),
        hardware: '1.0',
        firmware: '1.0',
      },
      module: {
        description: 'A module',
        manufacturer: 'Maker',
        version: '1.0',
        cryptoki: '2.40',
        file: '/usr/lib/module.so',
        sha256: hash('module'),
      },
      tpm: '',
      mechanism: MECHANISM,
      attributes: { sensitive: true, extractable: false, local: true, neverExtractable: true, alwaysSensitive: true },
      sig: '',
    };
    const whole: KeyStep = { previous: afterStep(this.steps.at(-1)), ...step, ...changes };
    this.steps.push({ ...whole, sig: changes.sig ?? hex(signature(holder, keyStepMessage(whole))) });
    return this;
  }

  /** @param certificate DER of the root for the holder's key */
  authority(holder: TestHolder, certificate: Uint8Array, changes: Partial<AuthorityStep> = {}): this {
    const { holder: _, keyid: __, sig: ___, ...held } = new Chain([holder]).key(holder).steps[0] as KeyStep;
    const whole: AuthorityStep = {
      ...held,
      previous: afterStep(this.steps.at(-1)),
      step: 'authority',
      certificate: Buffer.from(certificate).toString('base64'),
      sha256: hash(certificate),
      sig: '',
      ...changes,
    };
    this.steps.push({ ...whole, sig: changes.sig ?? hex(signature(holder, keyStepMessage(whole))) });
    return this;
  }

  keys(): this {
    for (const holder of this.holders) this.key(holder);
    return this;
  }

  makeRoot(changes: Partial<RootStep> = {}, inRoot: object = {}): this {
    const roles = { keyids: this.holders.map(({ keyid }) => keyid), threshold: 2 };
    this.signed = {
      _type: 'root',
      spec_version: '1.0.31',
      version: 1,
      expires: '2027-01-31T10:00:00Z',
      consistent_snapshot: true,
      keys: Object.fromEntries([...this.holders, ONLINE, OTHER_ONLINE].map(({ keyid, json }) => [keyid, json])),
      roles: { root: roles, targets: roles, ...ONLINE_ROLES },
      ...inRoot,
    } as TufObject;
    const expires = String(this.signed.expires);
    this.#add<RootStep>(
      { step: 'root', ...COMMON, version: 1, sha256: hash(canonicalJson(this.signed, 'root')), expires },
      changes,
    );
    return this;
  }

  sign(holder: TestHolder, changes: Partial<SignStep> = {}): this {
    const message = canonicalJson(this.signed, 'root');
    this.#add<SignStep>(
      {
        step: 'sign',
        ...COMMON,
        holder: holder.name,
        keyid: holder.keyid,
        sha256: hash(message),
        sig: hex(signature(holder, message)),
      },
      changes,
    );
    return this;
  }

  /** The root with the signatures of the steps, and the transcript about it. */
  finish(): { readonly root: Uint8Array; readonly statement: Uint8Array } {
    const signatures = this.steps.flatMap((step) =>
      step.step === 'sign' ? [{ keyid: step.keyid, sig: step.sig }] : [],
    );
    const root = Uint8Array.from(writeMetadata(this.signed, signatures));
    return { root, statement: formatTranscript(this.steps, { name: '1.root.json', bytes: root }) };
  }
}

/** Signs a transcript. */
export const dsse = (holder: TestHolder, statement: Uint8Array) =>
  Uint8Array.from(signature(holder, preAuthEncoding(INTOTO_TYPE, statement)));
