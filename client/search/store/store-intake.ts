/**
 * How a piece gets into the attestation store: it is read strictly, verified as far as it goes without the file, and only then
 * kept. A piece whose signature, log entry or times do not hold is refused, so nobody fills the store with what is in no log.
 *
 * An envelope goes to the log first, with the key that verifies it. The log keeps its entry whatever becomes of the piece here, so
 * the answer has the log's proof in any case.
 */
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import { CodedError, MerkleError } from '../../../merkle/errors.ts';
import { printable } from '../../../merkle/printable.ts';
import { INTOTO_TYPE } from '../../../merkle/rekor/dsse.ts';
import type { Primitives } from '../../../merkle/rekor/primitives.ts';
import { ClientError } from '../../errors.ts';
import { readBundle } from '../../formats/bundle.ts';
import { array, bytes as bytesOf, object, oneOf, parseJson } from '../../formats/json.ts';
import type { LogClient } from '../../submit/log-client.ts';
import {
  certificateVerifier,
  keyVerifier,
  parseSigned,
  type Submission,
  type Verifier,
} from '../../submit/submission.ts';
import { readStatement } from '../../verify/content.ts';
import { checkPiece, type PieceTrust } from './check-piece.ts';
import { type PieceFacts, pieceFacts } from './piece-facts.ts';
import type { PieceStore } from './piece-store.ts';
import { StoreError } from './store-errors.ts';
import type { StoreSettings } from './store-settings.ts';

/** What became of one piece. */
export type TakenPiece = (
  | { readonly kept: true; readonly digest: string; readonly known: boolean; readonly facts: PieceFacts }
  | { readonly kept: false; readonly error: StoreError }
) & {
  /** Of an envelope: the log's entry with its proof, as proto3 JSON. */
  readonly logEntry?: unknown;
};

interface IntakeOptions {
  readonly store: PieceStore;
  readonly settings: () => Pick<StoreSettings, 'signers' | 'maxPieceBytes'>;
  readonly trusts: () => readonly PieceTrust[];
  /** The log that gets the signatures of envelopes. */
  readonly log?: LogClient | undefined;
  readonly primitives: Primitives;
}

const MAX_VERIFIERS = 16;
/** What the envelope's request has more than the piece. */
const REQUEST_ROOM = 64 * 1024;

export class StoreIntake {
  readonly #options: IntakeOptions;

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  /** The longest body. */
  get limit(): number {
    return this.#options.settings().maxPieceBytes + REQUEST_ROOM;
  }

  /**
   * Takes a bundle, or `{ "dsseRequestV002": { envelope, verifiers } }` as the write API of the log has it.
   *
   * @throws StoreError for a bundle that is not kept. What becomes of the signatures of an envelope that was logged is in the result.
   */
  async take(body: Uint8Array, by: 'submission' | 'import', signal?: AbortSignal): Promise<readonly TakenPiece[]> {
    const value = asRefusal('malformed', () => parseJson(body, 'the request', this.limit));
    if (typeof value === 'object' && value !== null && Object.hasOwn(value, 'dsseRequestV002')) {
      return await this.#takeEnvelope(value, by, signal);
    }
    return [await this.#keep(body, value, by)];
  }

  async #keep(bytes: Uint8Array, value: unknown, by: 'submission' | 'import'): Promise<TakenPiece & { kept: true }> {
    const { store, trusts, settings, primitives } = this.#options;
    const { maxPieceBytes, signers } = settings();
    if (bytes.length > maxPieceBytes) {
      throw new StoreError('too-large', `the piece has ${bytes.length} bytes, and at most ${maxPieceBytes} are kept`);
    }
    const bundle = asRefusal('malformed', () => readBundle(value));
    const checked = asRefusal('not-verified', () => checkPiece(bundle, trusts(), Date.now(), primitives));
    const facts = pieceFacts(checked);
    refuseOthers(facts, signers);
    const { digest, known } = await store.keep(bytes, facts, by);
    return { kept: true, digest, known, facts };
  }

  async #takeEnvelope(request: object, by: 'submission' | 'import', signal?: AbortSignal): Promise<TakenPiece[]> {
    const { log } = this.#options;
    const submissions = asRefusal('malformed', () => readRequest(request));
    for (const { bundle } of submissions) asRefusal('unsupported', () => checkPayload(bundle.content));
    if (log === undefined) {
      throw new StoreError(
        'no-log',
        'this store submits to no log: log the envelope, and send the bundle with its proof',
      );
    }
    const logged = await log.submitMany(submissions, signal === undefined ? {} : { signal });
    const taken: TakenPiece[] = [];
    for (const result of logged) taken.push(await this.#keepLogged(result, by));
    // Nothing was logged: the first reason is that of the request.
    const [first] = taken;
    if (first !== undefined && !first.kept && taken.every((one) => one.logEntry === undefined)) throw first.error;
    return taken;
  }

  async #keepLogged(
    result: Awaited<ReturnType<LogClient['submitMany']>>[number],
    by: 'submission' | 'import',
  ): Promise<TakenPiece> {
    if (result instanceof ClientError) return { kept: false, error: logError(result) };
    const value = parseJson(result.bundle, 'the bundle', Number.MAX_SAFE_INTEGER);
    const { verificationMaterial } = value as {
      readonly verificationMaterial: { readonly tlogEntries: readonly unknown[] };
    };
    const logEntry = verificationMaterial.tlogEntries[0];
    try {
      return { ...(await this.#keep(result.bundle, value, by)), logEntry };
    } catch (error) {
      if (error instanceof StoreError) return { kept: false, error, logEntry };
      throw error;
    }
  }
}

function readRequest(request: object): Submission[] {
  const { dsseRequestV002 } = object(request, 'the request', ['dsseRequestV002']);
  const path = 'dsseRequestV002';
  const { envelope, verifiers } = object(dsseRequestV002, path, ['envelope', 'verifiers']);
  const given = array(verifiers, `${path}.verifiers`, MAX_VERIFIERS).map((item, at) =>
    readVerifier(item, `${path}.verifiers[${at}]`),
  );
  return parseSigned(encodeUtf8(JSON.stringify(envelope ?? null)), given);
}

function readVerifier(item: unknown, path: string): Verifier {
  const fields = object(item, path, ['publicKey', 'x509Certificate', 'keyDetails']);
  const arm = oneOf(fields, path, ['publicKey', 'x509Certificate']);
  const { rawBytes } = object(fields[arm], `${path}.${arm}`, ['rawBytes']);
  const der = bytesOf(rawBytes, `${path}.${arm}.rawBytes`);
  return arm === 'publicKey' ? keyVerifier(der) : certificateVerifier(der);
}

/** Before the log has it: a log never removes an entry. */
function checkPayload(content: Submission['bundle']['content']): void {
  if (content.kind !== 'dsse' || content.payloadType !== INTOTO_TYPE) {
    throw new ClientError('unsupported', 'the payload of the envelope is no in-toto statement');
  }
  readStatement(content);
}

/** @param signers `StoreSettings.signers`; empty takes all */
function refuseOthers({ terms, description: { signer } }: PieceFacts, signers: readonly string[]): void {
  if (signers.length === 0) return;
  const values = terms.filter(({ kind }) => kind === 'signer').map(({ value }) => value);
  const issuer = terms.find(({ kind }) => kind === 'issuer')?.value;
  const names = values.flatMap((value) => {
    if (value === signer.key || value.startsWith('spiffe://')) return [value];
    return issuer === undefined ? [] : [`${issuer}=${value}`];
  });
  if (names.some((name) => signers.includes(name))) return;
  throw new StoreError(
    'not-accepted',
    `this store takes pieces of certain signers, and not of the key ${signer.key}: ask its operator`,
  );
}

function logError(error: ClientError): StoreError {
  const final = error.code === 'refused' || error.code === 'malformed' || error.code === 'unsupported';
  const text = final ? 'the log refuses the signature' : 'the log does not take the signature now';
  const data = { because: error.code };
  return new StoreError(final ? 'log-refused' : 'log-unavailable', `${text}: ${printable(error.message)}`, data, {
    cause: error,
  });
}

/** What a reader or a verifier throws, as a refusal. */
function asRefusal<T>(code: 'malformed' | 'unsupported' | 'not-verified', read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof StoreError || !(error instanceof CodedError)) throw error;
    if (!(error instanceof ClientError || error instanceof MerkleError)) throw error;
    const data = { because: error.code };
    const unread = error.code === 'malformed' || error.code === 'unsupported' ? error.code : code;
    // What the verifier calls malformed is malformed too.
    throw new StoreError(unread, printable(error.message), data, { cause: error });
  }
}
