/**
 * The transcript of a ceremony: an in-toto statement v1 about the root metadata, with every step.
 *
 *   { "_type": "https://in-toto.io/Statement/v1",
 *     "subject": [ { "name": "1.root.json", "digest": { "sha256": <hex> } } ],
 *     "predicateType": "urn:stele:ceremony:v1", "predicate": { "steps": [ … ] } }
 *
 * It is JSON in the form of RFC 8785, so that one transcript has one digest. The holders sign it in one DSSE envelope, each with the key
 * in their token. A log takes each signature as an entry of its own.
 */
import { encodeBase64, encodeUtf8, equal } from '../../../merkle/bytes.ts';
import { INTOTO_TYPE, preAuthEncoding } from '../../../merkle/rekor/dsse.ts';
import { ClientError } from '../../errors.ts';
import { parseEnvelope } from '../../formats/bundle.ts';
import { array, parseJson, record, string } from '../../formats/json.ts';
import { parseTufJson } from '../tuf/canonical-json.ts';
import { type Metadata, type Root, readRoot } from '../tuf/metadata.ts';
import { type TufRole, tufTime } from '../tuf/metadata-fields.ts';
import { TUF_LIMITS } from '../tuf/role.ts';
import { checkSigned } from '../tuf/threshold.ts';
import { hexSha256, verifyTufSignature } from '../tuf/tuf-key.ts';
import { broken, type Ceremony, ceremonyOf, checkEnough, type HolderKey } from './ceremony.ts';
import { canonical, MAX_STEP, MAX_STEPS, readSteps, type Step } from './steps.ts';

export const CEREMONY_TYPE = 'urn:stele:ceremony:v1';
const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1';
const MAX_TRANSCRIPT = MAX_STEPS * MAX_STEP + 4096;
/** Base64 of a transcript, and a signature of each holder. */
export const MAX_ENVELOPE = 2 * MAX_TRANSCRIPT;

/** @param root the signed root metadata, and the name of its file */
export function formatTranscript(steps: readonly Step[], root: { readonly name: string; readonly bytes: Uint8Array }) {
  const subject = [{ name: root.name, digest: { sha256: hexSha256(root.bytes) } }];
  const statement = { _type: STATEMENT_TYPE, subject, predicateType: CEREMONY_TYPE, predicate: { steps } };
  return canonical(statement);
}

/** A ceremony whose steps, root and transcript belong together. */
export interface CheckedCeremony extends Ceremony {
  readonly metadata: Metadata<Root>;
}

/**
 * Checks a transcript against the root metadata that it is about: the chain of its steps and their rules, the digest, the
 * keys, the threshold and the signatures of the root.
 *
 * @param statement the payload of the envelope
 * @param root the file of the root metadata
 * @throws ClientError `ceremony`, `tuf-malformed`, `tuf-signatures`
 */
export function checkTranscript(statement: Uint8Array, root: Uint8Array): CheckedCeremony {
  const { steps, digest } = readTranscript(statement);
  const ceremony = ceremonyOf(steps);
  checkEnough(ceremony);
  if (digest !== hexSha256(root)) {
    throw broken(`the transcript is about a root with the SHA-256 ${digest}, and this one has ${hexSha256(root)}`);
  }
  const metadata = readRoot(root);
  checkRootOf(ceremony, metadata);
  const recorded = [...ceremony.signatures.values()].map(({ keyid, sig }) => `${keyid} ${sig}`).sort();
  const present = metadata.signatures.map(({ keyid, sig }) => `${keyid} ${sig}`).sort();
  if (recorded.join() !== present.join()) throw broken('the signatures of the root are not those of the transcript');
  checkSigned(metadata.signed, 'root', metadata);
  return { ...ceremony, metadata };
}

/** Whether the root is the recorded one, and names the keys of all holders. @throws ClientError `ceremony` */
export function checkRootOf({ begin, keys, root, signatures }: Ceremony, metadata: Metadata<Root>): void {
  const { signed, signedBytes } = metadata;
  if (root === undefined || root.sha256 !== hexSha256(signedBytes) || root.version !== signed.version) {
    throw broken('the root is not the one whose digest is in the steps: it was changed after it was made');
  }
  if (root.expires !== tufTime(signed.expires)) {
    throw broken(
      `the steps say that the root expires at ${root.expires}, and it expires at ${tufTime(signed.expires)}`,
    );
  }
  const held = [...keys.values()].map(({ key }) => key.keyid);
  const isHeld = ({ keyids }: TufRole) => [...keyids].sort().join() === [...held].sort().join();
  const { root: own, targets, snapshot, timestamp } = signed.roles;
  if (!isHeld(own) || own.threshold !== begin.threshold) {
    throw broken(
      `the root does not name exactly the keys of the ${begin.holders.length} holders, with a threshold of ${begin.threshold}`,
    );
  }
  if (!isHeld(targets) || targets.threshold !== begin.targets) {
    throw broken(
      `the root names other keys for targets than those of the holders, or another threshold than ${begin.targets}`,
    );
  }
  if (held.includes(begin.online)) throw broken('the key of a holder is the key of the service, which is online');
  if (![snapshot, timestamp].every(({ keyids }) => keyids.length === 1 && keyids[0] === begin.online)) {
    throw broken('the root names other keys for snapshot or timestamp than the one that the ceremony began with');
  }
  for (const { holder, sig } of signatures.values()) {
    if (!verifyTufSignature(keys.get(holder)!.key, signedBytes, sig)) {
      throw broken(`the recorded signature of ${holder} is not over this root`);
    }
  }
}

function readTranscript(statement: Uint8Array): { readonly steps: Step[]; readonly digest: string } {
  try {
    const json = parseTufJson(statement, 'the transcript', MAX_TRANSCRIPT);
    const { _type, subject, predicateType, predicate } = record(json, 'the transcript', [
      '_type',
      'subject',
      'predicateType',
      'predicate',
    ]);
    if (_type !== STATEMENT_TYPE || predicateType !== CEREMONY_TYPE) {
      throw broken(`the statement is not of the type ${CEREMONY_TYPE}: it is no transcript of a ceremony`);
    }
    const [only, ...more] = array(subject, 'subject', 2);
    if (only === undefined || more.length > 0) throw broken('the transcript is not about one root');
    const { digest } = record(only, 'subject[0]', ['name', 'digest']);
    const { sha256: hex } = record(digest, 'subject[0].digest', ['sha256']);
    const { steps } = record(predicate, 'predicate', ['steps']);
    const read = readSteps(array(steps, 'predicate.steps', MAX_STEPS));
    if (!equal(statement, canonical(json))) throw broken('the transcript is not in the form of RFC 8785');
    return { steps: read, digest: string(hex, 'subject[0].digest.sha256') };
  } catch (cause) {
    if (!(cause instanceof ClientError) || cause.code === 'ceremony') throw cause;
    throw broken(`the transcript is damaged: ${cause.message}`, cause);
  }
}

export interface TranscriptSignature {
  readonly holder: string;
  /** DER. */
  readonly sig: Uint8Array;
}

/** The DSSE envelope with the signatures of holders. */
export function formatTranscriptEnvelope(
  statement: Uint8Array,
  signatures: readonly TranscriptSignature[],
  { keys }: Ceremony,
): Uint8Array {
  const envelope = {
    payloadType: INTOTO_TYPE,
    payload: encodeBase64(statement),
    signatures: signatures.map(({ holder, sig }) => ({ keyid: keys.get(holder)!.key.keyid, sig: encodeBase64(sig) })),
  };
  return encodeUtf8(`${JSON.stringify(envelope, undefined, 2)}\n`);
}

/** @throws ClientError `ceremony` where it is no envelope of a statement */
export function parseTranscriptEnvelope(file: Uint8Array) {
  try {
    const envelope = parseEnvelope(parseJson(file, 'the envelope', MAX_ENVELOPE), 'the envelope');
    if (envelope.payloadType === INTOTO_TYPE) return envelope;
    throw broken('the envelope holds no in-toto statement');
  } catch (cause) {
    if (!(cause instanceof ClientError) || cause.code === 'ceremony') throw cause;
    throw broken(`the transcript is damaged: ${cause.message}`, cause);
  }
}

/** The holder whose key made the signature over the statement; undefined for nobody's. */
export function transcriptSigner(
  statement: Uint8Array,
  signature: Uint8Array,
  { keys }: Pick<Ceremony, 'keys'>,
): string | undefined {
  const message = preAuthEncoding(INTOTO_TYPE, statement);
  const hex = Buffer.from(signature).toString('hex');
  const found = [...keys].find(([, { key }]: [string, HolderKey]) => verifyTufSignature(key, message, hex));
  return found?.[0];
}

/** Enough different holders signed the transcript. @throws ClientError `ceremony` */
export function checkTranscriptSigners({ begin }: Ceremony, holders: readonly string[]): void {
  const different = new Set(holders);
  if (different.size >= begin.threshold) return;
  const by = different.size === 0 ? 'nobody' : [...different].join(', ');
  throw broken(
    `${begin.threshold} of ${begin.holders.length} holders must sign the transcript, and ${different.size} did: ${by}`,
  );
}

/** Most bytes of the file of the root metadata. */
export const MAX_ROOT = TUF_LIMITS.file.root;
