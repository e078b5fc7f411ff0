/** What the attestation store knows of a piece that was verified: the terms by which it is found, and a short description. */
import { createHash } from 'node:crypto';
import { concat, encodeHex, encodeUtf8 } from '../../../merkle/bytes.ts';
import type { JsonValue } from '../../../merkle/rekor/json-value.ts';
import { isSignerName } from '../../../merkle/x509/signer-names.ts';
import { ClientError } from '../../errors.ts';
import type { Bundle } from '../../formats/bundle.ts';
import { statementPredicate } from '../../formats/statement.ts';
import type { Outcome } from '../../verify/outcome.ts';
import type { CheckedPiece } from './check-piece.ts';
import { materialsOf } from './materials.ts';
import { StoreError } from './store-errors.ts';

/**
 * - `subject`: `ALGORITHM:VALUE` of each digest of each subject, and the digest of a file that was signed
 * - `name`: the name of a subject
 * - `type`: the predicate type
 * - `material`: see materials.ts
 * - `signer`: `sha256:HEX` of the key, or an identity in a verified certificate
 * - `issuer`: that vouched for the identity
 * - `entry`: `ORIGIN#INDEX` of a verified log entry
 */
export type TermKind = 'subject' | 'name' | 'type' | 'material' | 'signer' | 'issuer' | 'entry';

export interface Term {
  readonly kind: TermKind;
  readonly value: string;
}

/** What a list of pieces says of each. */
export interface PieceDescription {
  readonly mediaType: string;
  /** Absent for a signature over a file. */
  readonly predicateType?: string;
  /** How many the statement names. */
  readonly subjects: number;
  readonly signer: {
    /** `sha256:HEX` of the SubjectPublicKeyInfo. */
    readonly key: string;
    /** At most 8, each of at most 1,000 characters. */
    readonly identities?: readonly string[];
    readonly issuer?: string;
  };
  /** Verified log entries. */
  readonly entries: readonly { readonly log: string; readonly index: number }[];
  /** Not all materials are indexed: there are more than 4,096, or the predicate cannot be read. */
  readonly materialsCut?: true;
}

export interface PieceFacts {
  readonly description: PieceDescription;
  /** Each once. */
  readonly terms: readonly Term[];
  /**
   * 32 bytes: the same for all bundles of what was signed, whatever their form. Blocking one digest would block nothing: the JSON
   * of a bundle can be written in many ways.
   */
  readonly content: Uint8Array;
}

/** Most subjects of a piece, by their digests and names. */
const MAX_SUBJECT_TERMS = 8192;
const MAX_SHOWN = 8;
const MAX_SHOWN_TEXT = 1000;

/** @throws StoreError `too-many-subjects` */
export function pieceFacts({ bundle, outcome, statement }: CheckedPiece): PieceFacts {
  const terms = new Terms();
  const { signer, entries } = outcome;
  if (bundle.content.kind === 'message') {
    terms.add('subject', `${outcome.digest.algorithm}:${encodeHex(outcome.digest.value)}`);
  }
  for (const { name, digest } of statement?.subjects ?? []) {
    if (name !== undefined && name !== '') terms.add('name', name);
    for (const [algorithm, value] of digest) terms.add('subject', `${algorithm}:${value}`);
    if (terms.size > MAX_SUBJECT_TERMS) {
      throw new StoreError(
        'too-many-subjects',
        `the statement names more than ${MAX_SUBJECT_TERMS} digests and names of subjects, which is the most that is kept`,
      );
    }
  }
  let materialsCut = false;
  if (statement !== undefined && bundle.content.kind === 'dsse') {
    terms.add('type', statement.predicateType);
    const { values, cut } = readMaterials(statement.predicateType, bundle.content.payload);
    for (const value of values) terms.add('material', value);
    materialsCut = cut;
  }
  const key = `sha256:${signer.fingerprint}`;
  terms.add('signer', key);
  const { identities, issuer } = identityIn(outcome);
  for (const identity of identities) terms.add('signer', identity);
  if (issuer !== undefined) terms.add('issuer', issuer);
  for (const { origin, index } of entries) terms.add('entry', `${origin}#${index}`);
  const shown = identities.filter((one) => one.length <= MAX_SHOWN_TEXT).slice(0, MAX_SHOWN);
  return {
    terms: terms.all,
    content: contentOf(bundle, signer.fingerprint),
    description: {
      mediaType: mediaTypeOf(bundle),
      ...(statement !== undefined && { predicateType: statement.predicateType }),
      subjects: statement?.subjects.length ?? 1,
      signer: {
        key,
        ...(shown.length > 0 && { identities: shown }),
        ...(issuer !== undefined && issuer.length <= MAX_SHOWN_TEXT && { issuer }),
      },
      entries: entries.map(({ origin, index }) => ({ log: origin, index })),
      ...(materialsCut && { materialsCut }),
    },
  };
}

/** The identities that the trust vouches for. */
function identityIn({ signer }: Outcome): {
  readonly identities: readonly string[];
  readonly issuer: string | undefined;
} {
  if (signer.kind !== 'certificate') return { identities: [], issuer: undefined };
  const { identity } = signer;
  // A SPIFFE bundle vouches for the ID alone.
  if (identity.svid !== undefined) return { identities: [identity.svid.text], issuer: undefined };
  return { identities: identity.names.filter(isSignerName).map(({ value }) => value), issuer: identity.issuer };
}

function readMaterials(type: string, payload: Uint8Array) {
  let predicate: JsonValue;
  try {
    predicate = statementPredicate(payload);
  } catch (error) {
    if (error instanceof ClientError) return { values: new Set<string>(), cut: true };
    throw error;
  }
  return materialsOf(type, predicate);
}

function contentOf({ content }: Bundle, fingerprint: string): Uint8Array {
  const parts =
    content.kind === 'dsse'
      ? ['dsse', content.payloadType, content.payload]
      : ['message', fingerprint, content.digest?.value ?? new Uint8Array(0)];
  return hashOf(parts.map((part) => (typeof part === 'string' ? encodeUtf8(part) : part)));
}

/** 32 bytes, domain separated by the kind. */
export function termHash({ kind, value }: Term): Uint8Array {
  // As JSON: a name may hold a surrogate without its partner, which UTF-8 cannot express.
  return hashOf([encodeUtf8('stele attestation term'), encodeUtf8(kind), encodeUtf8(JSON.stringify(value))]);
}

/** SHA-256 over the parts, each after its length. */
function hashOf(parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash('sha256');
  for (const part of parts) {
    const length = Buffer.alloc(8);
    length.writeBigUInt64BE(BigInt(part.length));
    hash.update(concat(length, part));
  }
  return hash.digest();
}

function mediaTypeOf({ version }: Bundle): string {
  return version === '0.3'
    ? 'application/vnd.dev.sigstore.bundle.v0.3+json'
    : `application/vnd.dev.sigstore.bundle+json;version=${version}`;
}

class Terms {
  readonly #known = new Map<string, Term>();

  get size(): number {
    return this.#known.size;
  }

  get all(): readonly Term[] {
    return [...this.#known.values()];
  }

  add(kind: TermKind, value: string): void {
    this.#known.set(`${kind} ${value}`, { kind, value });
  }
}
