/**
 * Verifies what was signed: a file's digest, or an attestation (DSSE) with a statement about the file.
 *
 *   key              message: signed is the file's digest    attestation: signed is the PAE, hashed with
 *   ECDSA P-256      any of SHA-256, -384, -512              SHA-256
 *   ECDSA P-384      any; SHA-384 where none is named        SHA-384 or SHA-256
 *   ECDSA P-521      any; SHA-512 where none is named        SHA-512 or SHA-256
 *   RSA              any; SHA-256 where none is named        SHA-256
 *   Ed25519          Ed25519ph over SHA-512                  pure Ed25519, or Ed25519ph over SHA-512
 */
import { encodeHex, equal } from '../../merkle/bytes.ts';
import { MerkleError } from '../../merkle/errors.ts';
import { printable } from '../../merkle/printable.ts';
import { INTOTO_TYPE, preAuthEncoding } from '../../merkle/rekor/dsse.ts';
import { DIGEST_SIZE, HASH_NAME, type HashName } from '../../merkle/rekor/hashes.ts';
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import type { KeyInfo } from '../../merkle/rekor/spki.ts';
import { ClientError, usage } from '../errors.ts';
import type { Bundle, DsseContent, MessageContent } from '../formats/bundle.ts';
import { malformed } from '../formats/json.ts';
import { parseStatement, type Statement, type StatementSubject } from '../formats/statement.ts';
import type { Check, Outcome } from './outcome.ts';

const HASHES: readonly HashName[] = ['sha256', 'sha384', 'sha512'];

/** Digests of the file that is verified. */
export type ArtifactDigests = Readonly<Partial<Record<HashName, Uint8Array>>>;

/** What the signer must have claimed. Where one of these is given, a signature over the file alone does not suffice. */
export interface RequiredClaim {
  /** URI: the in-toto statement must have exactly this predicate type. */
  readonly predicateType?: string | undefined;
  /** The statement must have a subject with the file's digest and exactly this name. */
  readonly subject?: string | undefined;
}

/** A verified signature and what it signs. */
export interface SignedContent {
  readonly content: MessageContent | DsseContent;
  /** The signed digest: of the file, or of the PAE. */
  readonly algorithm: HashName;
  readonly digest: Uint8Array;
  /** The signature is Ed25519 over the PAE itself: an entry about a digest cannot be of this signature. */
  readonly pure: boolean;
  readonly checks: readonly Check[];
  readonly artifact: Outcome['digest'];
  readonly statement?: NonNullable<Outcome['statement']>;
}

/**
 * The hashes of the file that `checkContent` uses; `checkContent` refuses a payload that is no statement.
 *
 * @param key the signer's
 * @throws ClientError as `checkContent`
 */
export function hashesNeeded(content: Bundle['content'], key: KeyInfo): HashName[] {
  if (content.kind === 'dsse') return content.payloadType === INTOTO_TYPE ? hashesOf(readStatement(content)) : [];
  const named = content.digest === undefined ? [] : [HASH_NAME[content.digest.algorithm]];
  return [...new Set([...named, ...messageHashes(content, key)])];
}

/**
 * @param artifact of the hashes of `hashesNeeded`, all where the file is at hand. A statement is compared by those that are
 * given.
 * @throws ClientError `attestation`, `digest-mismatch`, `bad-signature`, `malformed`; `unsupported` if the payload is no
 * statement, or if no digest in the statement can be compared; `usage` if a digest is missing without which the file
 * cannot be compared
 */
export function checkContent(
  content: Bundle['content'],
  artifact: ArtifactDigests,
  claim: RequiredClaim,
  key: KeyInfo,
  primitives: Primitives,
): SignedContent {
  if (content.kind === 'dsse') return checkAttestation(content, artifact, claim, key, primitives);
  if (claim.predicateType === undefined && claim.subject === undefined) {
    return checkMessage(content, artifact, key, primitives);
  }
  throw new ClientError(
    'attestation',
    'the bundle holds a signature over a file and no attestation: the signer claims nothing about the file',
  );
}

function checkMessage(
  content: MessageContent,
  artifact: ArtifactDigests,
  key: KeyInfo,
  primitives: Primitives,
): SignedContent {
  const { digest: claimed, signature } = content;
  const hashes = messageHashes(content, key);
  if (claimed !== undefined) {
    const hash = HASH_NAME[claimed.algorithm];
    if (claimed.value.length !== DIGEST_SIZE[hash]) {
      throw malformed('messageSignature.messageDigest.digest', `has not the ${DIGEST_SIZE[hash]} bytes of ${hash}`);
    }
    // The signature decides. The digest in the bundle is compared with it where the caller has one to compare.
    const comparable = hashes.includes(hash) || artifact[hash] !== undefined;
    if (comparable && !equal(claimed.value, given(artifact, hash))) {
      throw new ClientError(
        'digest-mismatch',
        'the file is not the one that was signed: its digest differs from the one in the bundle. It was changed, or the bundle belongs to another file',
      );
    }
  }
  for (const algorithm of hashes) {
    if (artifact[algorithm] === undefined) continue;
    const digest = given(artifact, algorithm);
    if (!primitives.verifyDigest(key, algorithm, digest, signature)) continue;
    return {
      content,
      algorithm,
      digest,
      pure: false,
      checks: [{ name: 'artifact', algorithm, digest }],
      artifact: { algorithm, value: digest },
    };
  }
  // The signature may be over a digest that was not given.
  for (const algorithm of hashes) given(artifact, algorithm);
  throw badSignature();
}

function checkAttestation(
  content: DsseContent,
  artifact: ArtifactDigests,
  claim: RequiredClaim,
  key: KeyInfo,
  primitives: Primitives,
): SignedContent {
  const signed = checkEnvelope(content, key, primitives);
  const statement = statementOf(content, claim);
  const subject = namedSubject(subjectsFor(statement, artifact), claim);
  const hash = HASHES.find((name) => artifact[name] !== undefined && subject.digest.has(name))!;
  const value = given(artifact, hash);
  const about = { predicateType: statement.predicateType, subject: subject.name ?? '' };
  return {
    ...signed,
    checks: [
      { name: 'artifact', algorithm: hash, digest: value, subject: about.subject },
      { name: 'statement', predicateType: about.predicateType, subjects: statement.subjects.length },
    ],
    artifact: { algorithm: hash, value },
    statement: about,
  };
}

/** A large statement takes as long to read as all else, and each trusted root of several asks for it. */
const statements = new WeakMap<DsseContent, Statement>();

/** The statement in an envelope. The payload must not change once it was read. @throws ClientError `malformed` */
export function readStatement(content: DsseContent): Statement {
  const known = statements.get(content);
  if (known !== undefined) return known;
  const statement = parseStatement(content.payload);
  statements.set(content, statement);
  return statement;
}

function statementOf(content: DsseContent, { predicateType: type, subject }: RequiredClaim): Statement {
  const { payloadType } = content;
  if (payloadType !== INTOTO_TYPE) {
    const required = type !== undefined || subject !== undefined;
    throw new ClientError(
      required ? 'attestation' : 'unsupported',
      `the attestation's payload is "${printable(payloadType.slice(0, 80))}", not an in-toto statement: it does not say which file it is about`,
    );
  }
  const statement = readStatement(content);
  if (type === undefined || statement.predicateType === type) return statement;
  throw new ClientError(
    'attestation',
    `the attestation is of the type ${printable(statement.predicateType)}, not of the required type ${printable(type)}`,
  );
}

/** The error for a statement whose subjects have digests of other algorithms alone: nothing can be compared. */
function incomparable({ subjects }: Statement): ClientError {
  const named = [...new Set(subjects.flatMap(({ digest }) => [...digest.keys()]))];
  const list = named.slice(0, 8).map((algorithm) => printable(algorithm.slice(0, 40)));
  return new ClientError(
    'unsupported',
    `the attestation names its subjects by ${list.join(', ')}${named.length > list.length ? ', …' : ''} alone: ` +
      `no such digest can be compared with the file's ${HASHES.join(', ')}, so it is not known whether the attestation is about this file`,
  );
}

/** The hashes that the subjects name, of those that are checked here. */
export function hashesOf({ subjects }: Statement): HashName[] {
  return HASHES.filter((hash) => subjects.some(({ digest }) => digest.has(hash)));
}

/**
 * The subjects that name a digest of the file, and among the hashes of `artifact` no other digest. Hashes that are not
 * checked here do not count.
 *
 * The specification lets one matching digest suffice. A subject with another digest beside it is not this file.
 *
 * @throws ClientError `digest-mismatch`; `unsupported` if nothing can be compared; `usage` if a subject could be this file, but has no digest of the given hashes
 */
export function subjectsFor(statement: Statement, artifact: ArtifactDigests): readonly StatementSubject[] {
  const { subjects } = statement;
  const hashes = hashesOf(statement);
  if (hashes.length === 0) throw incomparable(statement);
  const known = hashes.flatMap((hash) =>
    artifact[hash] === undefined ? [] : [[hash, encodeHex(given(artifact, hash))] as const],
  );
  const found = subjects.filter(({ digest }) => {
    const named = known.filter(([hash]) => digest.has(hash));
    return named.length > 0 && named.every(([hash, hex]) => digest.get(hash) === hex);
  });
  if (found.length > 0) return found;
  const open = subjects.find(
    ({ digest }) => !known.some(([hash]) => digest.has(hash)) && hashes.some((hash) => digest.has(hash)),
  );
  if (open !== undefined) given(artifact, hashes.find((hash) => open.digest.has(hash))!);
  throw new ClientError(
    'digest-mismatch',
    `the attestation is not about this file: none of its ${subjects.length} subjects has the file's digest. The file was changed, or the bundle belongs to another`,
  );
}

/** @param found at least one subject with the file's digest. @throws ClientError `attestation` if none has the required name */
function namedSubject(found: readonly StatementSubject[], { subject: required }: RequiredClaim): StatementSubject {
  const subject = required === undefined ? found[0] : found.find(({ name }) => name === required);
  if (subject !== undefined) return subject;
  const names = found.slice(0, 3).map(({ name }) => `"${printable((name ?? '').slice(0, 200))}"`);
  throw new ClientError(
    'attestation',
    `the attestation calls this file ${names.join(', ')}${found.length > names.length ? ', …' : ''}, not "${printable(required!)}"`,
  );
}

type Envelope = Pick<SignedContent, 'content' | 'algorithm' | 'digest' | 'pure'>;

function checkEnvelope(content: DsseContent, key: KeyInfo, primitives: Primitives): Envelope {
  const pae = encode(content);
  const { signature } = content;
  if (key.kind === 'ed25519') {
    if (primitives.verifyMessage(key, undefined, pae, signature)) {
      return { content, algorithm: 'sha512', digest: primitives.hash('sha512', pae), pure: true };
    }
  }
  for (const algorithm of envelopeHashes(key)) {
    const digest = primitives.hash(algorithm, pae);
    if (primitives.verifyDigest(key, algorithm, digest, signature)) return { content, algorithm, digest, pure: false };
  }
  throw badSignature();
}

function encode({ payloadType, payload }: DsseContent): Uint8Array {
  try {
    return preAuthEncoding(payloadType, payload);
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw malformed('dsseEnvelope.payloadType', 'is not valid text', cause);
  }
}

/** The hashes that the signer may have used, in order of likelihood. */
function messageHashes({ digest }: MessageContent, key: KeyInfo): readonly HashName[] {
  // Ed25519ph signs SHA-512, whatever digest the bundle names for people.
  if (key.kind === 'ed25519') return ['sha512'];
  return digest === undefined ? envelopeHashes(key) : [HASH_NAME[digest.algorithm]];
}

function envelopeHashes(key: KeyInfo): readonly HashName[] {
  switch (key.kind) {
    case 'ecdsa-p384':
      return ['sha384', 'sha256'];
    case 'ecdsa-p521':
      return ['sha512', 'sha256'];
    case 'ed25519':
      return ['sha512'];
    default:
      return ['sha256'];
  }
}

function given(artifact: ArtifactDigests, hash: HashName): Uint8Array {
  const digest = artifact[hash];
  if (digest?.length === DIGEST_SIZE[hash]) return digest;
  throw usage(`the ${hash} digest of the file is needed, and was not given`);
}

function badSignature(): ClientError {
  return new ClientError(
    'bad-signature',
    'the signature in the bundle does not verify with this key over this file: the bundle was changed, or another key signed',
  );
}
