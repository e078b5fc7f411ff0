/**
 * Finds attestations in a store, and verifies each by the trust of the caller: the store is believed nothing.
 *
 * What is found is what the store chose to show. Nothing here says that there is no other attestation.
 */
import type { Primitives } from '../../merkle/rekor/primitives.ts';
import { messagePrimitives } from '../../merkle/runtime/crypto/message-primitives.ts';
import { nodePrimitives } from '../../merkle/runtime/crypto/node-primitives.ts';
import { ClientError, usage } from '../errors.ts';
import { type AttestationQuery, AttestationRequests, type ListedPiece } from '../evidence/attestation-requests.ts';
import { parseBundle } from '../formats/bundle.ts';
import { inOrder } from '../in-order.ts';
import { type CheckedPiece, checkPiece, type ExpectedPieceSigner, type PieceTrust } from './store/check-piece.ts';
import { pieceFacts, type Term } from './store/piece-facts.ts';
import { StoreError } from './store/store-errors.ts';

export interface FindAttestationsOptions {
  /** URL of the index whose store is asked. */
  readonly store: string;
  /** What is looked for: at least one field. Each piece is checked to be about all of it. */
  readonly query: AttestationQuery;
  /** Which logs, authorities and witnesses are trusted. */
  readonly trust: PieceTrust;
  /** Whose signature each must be; without it anybody's counts, and the outcome says whose it is. */
  readonly signer?: ExpectedPieceSigner;
  /** Milliseconds since 1970; the clock of this machine where it is undefined. */
  readonly now?: number | undefined;
  /** Most pieces. Default 1,000. */
  readonly limit?: number | undefined;
  readonly fetch?: typeof fetch | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly primitives?: Primitives | undefined;
  /** Called after each piece with how many of them are checked. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** A piece that holds. */
export interface FoundAttestation extends CheckedPiece {
  /** `sha256:HEX` of the bytes. */
  readonly digest: string;
  readonly bytes: Uint8Array;
}

/** A piece of the store that does not hold, or is not about what was looked for. */
export interface RefusedAttestation {
  readonly digest: string;
  readonly error: ClientError;
}

export interface FoundAttestations {
  /** In the order in which the store took them. */
  readonly verified: readonly FoundAttestation[];
  readonly refused: readonly RefusedAttestation[];
}

const LIMIT = 1000;
const AT_ONCE = 6;

/**
 * @throws ClientError `network`, `unavailable`, `refused`, `bad-reply`, `cancelled`: the store gives no answer to work with;
 *   `evidence`: there is more than the limit; `usage`
 */
export async function findAttestations(options: FindAttestationsOptions): Promise<FoundAttestations> {
  const { store, query, signal, fetch, limit = LIMIT, onProgress } = options;
  const wanted = termsOf(query);
  if (wanted.length === 0) throw usage('say what is looked for: a subject, a material, a predicate type or a signer');
  const { primitives = messagePrimitives(nodePrimitives()), now = Date.now() } = options;
  const requests = new AttestationRequests({ url: store, fetch });
  const listed = await requests.list(query, { pieces: limit, signal });
  const waiting = [...listed];
  const verified: FoundAttestation[] = [];
  const refused: RefusedAttestation[] = [];
  const next = () => {
    const piece = waiting.shift();
    return piece && (async () => ({ piece, got: await fetched(requests, piece, signal) }));
  };
  for await (const { piece, got } of inOrder(next, () => AT_ONCE)) {
    try {
      if (got instanceof ClientError) throw got;
      const bundle = parseBundle(got);
      const checked = checkPiece(bundle, [options.trust], now, primitives, options.signer);
      refuseOtherTopic(checked, wanted);
      verified.push({ ...checked, digest: piece.digest, bytes: got });
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      refused.push({ digest: piece.digest, error });
    }
    onProgress?.(verified.length + refused.length, listed.length);
  }
  return { verified, refused };
}

/** Wrong bytes are an error of one piece; where the store gives no answer, nothing is known of the others. */
async function fetched(requests: AttestationRequests, piece: ListedPiece, signal: AbortSignal | undefined) {
  try {
    return await requests.piece(piece, signal);
  } catch (error) {
    if (error instanceof ClientError && (error.code === 'evidence' || error.code === 'bad-reply')) return error;
    throw error;
  }
}

function termsOf({ subject, name, predicateType, material, signer, issuer }: AttestationQuery): readonly Term[] {
  const given = { subject, name, type: predicateType, material, signer, issuer };
  return Object.entries(given).flatMap(([kind, value]) =>
    value === undefined ? [] : [{ kind: kind as Term['kind'], value }],
  );
}

/** @throws ClientError `attestation`, `unsupported` */
function refuseOtherTopic(checked: CheckedPiece, wanted: readonly Term[]): void {
  let terms: readonly Term[];
  try {
    terms = pieceFacts(checked).terms;
  } catch (cause) {
    if (!(cause instanceof StoreError)) throw cause;
    throw new ClientError('unsupported', cause.message, { cause });
  }
  const missing = wanted.find(({ kind, value }) => !terms.some((term) => term.kind === kind && term.value === value));
  if (missing === undefined) return;
  const what = { subject: 'subject', name: 'name of a subject', type: 'predicate type' }[missing.kind as string];
  throw new ClientError(
    'attestation',
    `the attestation does not have the ${what ?? missing.kind} that was looked for: the store lists it wrongly`,
  );
}
