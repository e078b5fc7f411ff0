/** The steps that a holder does: `stele ceremony key`, `sign` and `sign-transcript`, each in a process of its own. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { encodeHex, equal } from '../../../merkle/bytes.ts';
import { printable } from '../../../merkle/printable.ts';
import { INTOTO_TYPE, preAuthEncoding } from '../../../merkle/rekor/dsse.ts';
import { openSigner } from '../../../merkle/runtime/keys/open-signer.ts';
import { holdTokenKey } from '../../../merkle/runtime/keys/pkcs11/pkcs11.ts';
import { findModule } from '../../../merkle/runtime/keys/pkcs11/pkcs11-module.ts';
import type { Signer, TokenKeySpec } from '../../../merkle/runtime/keys/types.ts';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import type { ClientError } from '../../errors.ts';
import { formatPublicKeyPem } from '../../formats/key.ts';
import { broken, type Ceremony, checkHolder, checkKey, checkSign, MECHANISM } from '../../trust/ceremony/ceremony.ts';
import { CeremonyStore } from '../../trust/ceremony/ceremony-store.ts';
import { afterStep, type HeldKey, type KeyStep, keyStepMessage, type SignStep } from '../../trust/ceremony/steps.ts';
import { formatTranscriptEnvelope } from '../../trust/ceremony/transcript.ts';
import { hexSha256, type TufKey, tufKey } from '../../trust/tuf/tuf-key.ts';
import { note, print } from '../report.ts';
import { changesOf } from '../trust/metadata-changes.ts';
import { readSignedTranscript, refuseFrozen, stagedRoot } from './ceremony-root.ts';
import { grouped, timeNow } from './ceremony-words.ts';
import { pinOf } from './pin-prompt.ts';
import { checkRecorded } from './running-package.ts';

interface KeyOptions {
  readonly holder: string;
  readonly module: string;
  readonly token: string;
  readonly label?: string;
  readonly pinFile?: string;
  readonly json?: boolean;
}

/** A TPM has no serial number in PKCS#11: its module calls itself so. */
const TPM = /\bTPM/i;

export async function makeKey(dir: string, options: KeyOptions): Promise<void> {
  const { holder, json } = options;
  const store = new CeremonyStore(dir);
  const before = await store.ceremony();
  checkHolder(before.ceremony.begin, holder);
  const known = before.ceremony.keys.get(holder);
  if (known !== undefined) {
    // A repeat says what is recorded, and needs no PIN.
    if (known.step.token.label !== options.token) {
      throw broken(`${holder} has a key in the token "${known.step.token.label}" already`);
    }
    return sayKey(known.step, json);
  }
  const machine = await checkRecorded(store, before.ceremony.begin);
  const module = await findModule(options.module);
  const label = options.label ?? `stele-root-${before.ceremony.begin.nonce.slice(0, 8)}`;
  const spec = { module, token: options.token, label, pin: await pinOf(options.pinFile, options.token) };
  const step = await store.locked(async () => {
    const { steps, ceremony } = await store.ceremony();
    const held = await makeHeldKey(spec, ceremony, holder);
    const unsigned: KeyStep = {
      step: 'key',
      previous: afterStep(steps.at(-1)),
      time: timeNow(),
      ...machine,
      holder,
      keyid: tufKey(held.spki).keyid,
      ...held.record,
    };
    const sig = await signWith(spec, { ...unsigned, who: holder }, (signer) => signer.sign(keyStepMessage(unsigned)));
    const signed = { ...unsigned, sig: encodeHex(sig) };
    checkKey(ceremony, signed);
    await store.append(steps, signed);
    return signed;
  });
  sayKey(step, json);
}

/**
 * Makes a key in a token, or takes the one that a step that died made there.
 * @param who names its holder in errors
 * @returns the key, and what is recorded of it; the signature is empty yet
 */
export async function makeHeldKey(
  spec: TokenKeySpec,
  ceremony: Ceremony,
  who: string,
): Promise<{ readonly spki: Uint8Array; readonly record: HeldKey }> {
  const { module, label } = spec;
  const facts = await holdTokenKey({ ...spec, algorithm: 'ecdsa-p256' });
  const tpm = TPM.test(facts.module.description) ? tpmOf(ceremony) : '';
  if (tpm !== '' && facts.neighbors.length > 0) {
    throw broken(
      `the TPM of ${who} holds other tokens too (${printable(facts.neighbors.join(', '))}): three wrong PINs of one lock them all, so a holder's TPM has one token`,
    );
  }
  const record = {
    publicKey: formatPublicKeyPem({ spki: facts.publicKey }),
    label,
    token: facts.token,
    module: { ...facts.module, file: module, sha256: hexSha256(readFileSync(module)) },
    tpm,
    mechanism: MECHANISM,
    attributes: facts.attributes,
    sig: '',
  };
  return { spki: facts.publicKey, record };
}

/** What tells one TPM of this machine from another: the module's way to it. */
function tpmOf({ begin }: Ceremony): string {
  const machine = machineId();
  const way = process.env.TPM2_PKCS11_TCTI ?? '';
  return createHash('sha256').update([begin.nonce, machine, way].join('\n')).digest('hex');
}

function machineId(): string {
  try {
    return readFileSync('/etc/machine-id', 'utf8').trim();
  } catch {
    return '';
  }
}

function sayKey({ holder, keyid, token, attributes, module, time }: KeyStep, json: boolean | undefined): void {
  print(json, { holder, time, keyid, token, module, attributes }, [
    `${holder} has a key in the token "${printable(token.label)}" (${printable(token.manufacturer)} ${printable(token.model)}, serial number ${printable(token.serial)}).`,
    'The token says: sensitive, not extractable, made here, never extractable, always sensitive.',
    '',
    'Key ID, to read aloud and to write down:',
    `  ${grouped(keyid)}`,
  ]);
}

interface SignOptions {
  readonly holder: string;
  readonly module?: string;
  readonly pinFile?: string;
  readonly json?: boolean;
}

/** Signs the root. */
export async function signRoot(dir: string, options: SignOptions): Promise<void> {
  const { holder, json } = options;
  const store = new CeremonyStore(dir);
  const before = await store.ceremony();
  checkHolder(before.ceremony.begin, holder);
  const done = before.ceremony.signatures.get(holder);
  if (done === undefined) {
    const key = heldKey(before.ceremony, holder);
    const machine = await checkRecorded(store, before.ceremony.begin);
    await refuseFrozen(store);
    const staged = await stagedRoot(store, before.ceremony);
    const shown = hexSha256(staged.signedBytes);
    const words = [...changesOf(staged, undefined, nameOf(before.ceremony)), 'digest', grouped(shown)];
    note(`${holder} signs version 1 of the root${words.map((line) => `\n  ${line}`).join('')}`);
    const spec = await specOf(key, options);
    await store.locked(async () => {
      const { steps, ceremony } = await store.ceremony();
      await refuseFrozen(store);
      const { signedBytes } = await stagedRoot(store, ceremony);
      if (hexSha256(signedBytes) !== shown)
        throw broken('the root was changed while the PIN was typed: nothing was signed');
      const unsigned: SignStep = {
        step: 'sign',
        previous: afterStep(steps.at(-1)),
        time: timeNow(),
        ...machine,
        holder,
        keyid: key.keyid,
        sha256: hexSha256(signedBytes),
        sig: '',
      };
      checkSign(ceremony, unsigned);
      const sig = await signWith(spec, { ...key, who: holder }, (signer) => signer.sign(signedBytes));
      await store.append(steps, { ...unsigned, sig: encodeHex(sig) });
    });
  }
  const { ceremony } = await store.ceremony();
  const { root, signatures, begin } = ceremony;
  const by = [...signatures.keys()];
  const facts = { holder, sha256: root?.sha256, signed: by, threshold: begin.threshold };
  print(json, facts, [
    `${holder} ${done === undefined ? 'signed' : 'has signed already'} the root with the digest`,
    `  ${grouped(root!.sha256)}`,
    `Signed by ${by.join(', ')}: ${by.length} of the ${begin.threshold} that are needed.`,
  ]);
}

/** Signs the transcript. */
export async function signTranscript(dir: string, options: SignOptions): Promise<void> {
  const { holder, json } = options;
  const store = new CeremonyStore(dir);
  const before = await readSignedTranscript(store);
  checkHolder(before.ceremony.begin, holder);
  const done = before.signatures.some((one) => one.holder === holder);
  if (!done) {
    const key = heldKey(before.ceremony, holder);
    await checkRecorded(store, before.ceremony.begin);
    note(`${holder} signs the transcript with the digest\n  ${grouped(hexSha256(before.statement))}`);
    const spec = await specOf(key, options);
    await store.locked(async () => {
      const { statement, signatures, ceremony } = await readSignedTranscript(store);
      if (!equal(statement, before.statement))
        throw broken('the transcript was changed while the PIN was typed: nothing was signed');
      const message = preAuthEncoding(INTOTO_TYPE, statement);
      const sig = await signWith(spec, { ...key, who: holder }, (signer) => signer.sign(message));
      const all = [...signatures.filter((one) => one.holder !== holder), { holder, sig }];
      await store.write('envelope', formatTranscriptEnvelope(statement, all, ceremony));
    });
  }
  const { statement, signatures, ceremony } = await readSignedTranscript(store);
  const by = signatures.map((one) => one.holder);
  const { threshold } = ceremony.begin;
  print(json, { holder, sha256: hexSha256(statement), signed: by, threshold }, [
    `${holder} ${done ? 'has signed already' : 'signed'} the transcript with the digest`,
    `  ${grouped(hexSha256(statement))}`,
    `Signed by ${by.join(', ')}: ${by.length} of the ${threshold} that are needed.`,
  ]);
}

/** Who holds a key of the root. Snapshot and timestamp have the key of the service. */
function nameOf({ keys }: Ceremony): (key: TufKey) => string {
  return ({ keyid }) => [...keys].find(([, { key }]) => key.keyid === keyid)?.[0] ?? 'online';
}

function heldKey({ keys }: Ceremony, holder: string): KeyStep {
  const held = keys.get(holder);
  if (held === undefined) throw broken(`${holder} has made no key yet: \`stele ceremony key\``);
  return held.step;
}

/** The key that was recorded. The module may lie elsewhere on this machine. */
async function specOf({ module, token, label }: KeyStep, options: SignOptions): Promise<TokenKeySpec> {
  const path = await findModule(options.module ?? module.file);
  return { module: path, token: token.label, label, pin: await pinOf(options.pinFile, token.label) };
}

/** Signs with the recorded key and no other. @throws ClientError `ceremony` where the token has another one; RuntimeError */
export async function signWith<T>(
  spec: TokenKeySpec,
  { who: holder, publicKey }: Pick<HeldKey, 'publicKey'> & { readonly who: string },
  work: (signer: Signer) => Promise<T>,
): Promise<T> {
  const signer = await openSigner({ pkcs11: spec }).catch((error: unknown): never => {
    if (!(error instanceof RuntimeError) || error.code !== 'pkcs11-key') throw error;
    throw otherKey(spec, holder, error);
  });
  try {
    if (formatPublicKeyPem({ spki: signer.publicKey }) !== publicKey) throw otherKey(spec, holder);
    return await work(signer);
  } finally {
    await signer.close();
  }
}

function otherKey({ token, label }: TokenKeySpec, holder: string, cause?: RuntimeError): ClientError {
  const why = cause === undefined ? '' : `: ${cause.message}`;
  return broken(
    `the token "${token}" does not hold the key "${label}" that ${holder} made in this ceremony. It is another token, or was initialized again${why}`,
    cause,
  );
}
