/**
 * One log, for programs: submits entries and checks the answers, and reads the checkpoint, entries and tiles.
 *
 *   const client = new LogClient('https://log.example.com', { logKey: parseLogKey('log.example.com+1a2b3c4d+AbCd…') });
 *   const [submission] = parseSigned(await readFile('app.sigstore.json'));
 *   const { bundle, verified } = await client.submit(submission, { signal });
 *
 * A client writes nothing to disk. Every call takes an `AbortSignal`, and ends with ClientError `cancelled` when it aborts.
 */
import { equal } from '../../merkle/bytes.ts';
import { isFrozen } from '../../merkle/checkpoint.ts';
import { leafHash } from '../../merkle/rfc6962.ts';
import { nodePrimitives } from '../../merkle/runtime/crypto/node-primitives.ts';
import type { Tile } from '../../merkle/tile.ts';
import { ClientError, usage } from '../errors.ts';
import type { LogEntry } from '../formats/log-entry.ts';
import { openSource } from '../tiles/tiles.ts';
import type { TileSource } from '../tiles/types.ts';
import { type Cosigned, withoutQuorum } from '../trust/quorum.ts';
import { verifyCheckpoint } from '../verify/checkpoint.ts';
import { verifyLeaf, verifyReply } from '../verify/leaf.ts';
import type { LoggedLeaf, LogTrust, VerifiedCheckpoint } from '../verify/types.ts';
import { askLogKey, fetchLogInfo, type LogInfo } from './log-info.ts';
import { ask, refusal } from './log-request.ts';
import { sendSigned, trustedKeys } from './log-signatures.ts';
import { parseLogUrl } from './log-url.ts';
import { readSingle } from './replies.ts';
import { completeBundle, type Submission } from './submission.ts';
import type { LogRequestOptions } from './types.ts';

/** Options of all calls of a client. Times are in milliseconds. */
export interface LogClientOptions
  extends Pick<LogRequestOptions, 'fetch' | 'attemptTimeout' | 'deadline' | 'pauses' | 'onRetry'> {}

export interface CallOptions {
  readonly signal?: AbortSignal;
}

/** An entry that the log has, whether it took the entry now or before. */
export interface Submitted {
  readonly entry: LogEntry;
  /** What the checks of the entry found. */
  readonly verified: LoggedLeaf;
  /** The bytes of a file: the Sigstore bundle with its proof. */
  readonly bundle: Uint8Array;
}

export interface SubmitManyOptions extends CallOptions {
  /** Called once for each submission, after its answer is checked, in no particular order. */
  readonly onResult?: (index: number, result: Submitted | ClientError) => void;
}

/** A verified tree head. */
export interface SignedCheckpoint {
  readonly origin: string;
  /** Entries in the tree. */
  readonly size: number;
  /** 32 bytes. */
  readonly root: Uint8Array;
  /** The signed note, with every signature on it. */
  readonly note: string;
  /** Witnesses of the policy that cosigned it. */
  readonly cosigned: readonly Cosigned[];
}

export class LogClient {
  /** Without a slash at its end. */
  readonly url: string;
  readonly trust: LogTrust;
  readonly #options: LogClientOptions;
  #source: TileSource | undefined;

  /**
   * @param url http or https, without credentials, query and fragment
   * @param trust the log's key, or a policy, whose quorum must have cosigned as well
   * @throws ClientError `usage`
   */
  constructor(url: string, trust: LogTrust, options: LogClientOptions = {}) {
    this.url = parseLogUrl(url);
    this.trust = trust;
    this.#options = options;
  }

  /**
   * A client that trusts the key that the log itself names. The server at `url` may name any key: keep
   * `client.trust.logKey`, and pass it to the constructor the next time.
   *
   * @throws ClientError `usage`, `network`, `unavailable`, `refused`, `bad-reply`, `cancelled`
   */
  static async trustOnFirstUse(url: string, options: LogClientOptions & CallOptions = {}): Promise<LogClient> {
    const { signal: _, ...kept } = options;
    const { key } = await askLogKey(parseLogUrl(url), options);
    return new LogClient(url, { logKey: key }, kept);
  }

  /** What the log says about itself, unverified. @throws ClientError as `trustOnFirstUse` */
  async info(call: CallOptions = {}): Promise<LogInfo> {
    return await fetchLogInfo(this.url, this.#http(call));
  }

  /**
   * Logs one signature and checks the answer as a verifier will. A second call, after any failure, gives the entry that the
   * log has by then.
   *
   * @throws ClientError `network`, `unavailable`, `refused`, `bad-reply`, `cancelled`, `entry-mismatch`, `bad-proof`,
   * `bad-checkpoint`, `policy`, `quorum`
   */
  async submit(submission: Submission, call: CallOptions = {}): Promise<Submitted> {
    const [result] = await this.submitMany([submission], call);
    if (result instanceof ClientError) throw result;
    return result!;
  }

  /**
   * Logs many signatures with the log's bulk call. `deadline` is for all of them together; 120,000 by default. An entry that
   * the log refuses, or whose answer does not hold, does not keep the others from the log. A log that is not the trusted one
   * gets nothing more after its first answer.
   *
   * @returns in the order of `submissions`, the entry or why there is none
   * @throws ClientError `cancelled`
   */
  async submitMany(
    submissions: readonly Submission[],
    options: SubmitManyOptions = {},
  ): Promise<(Submitted | ClientError)[]> {
    return await sendSigned(
      this.url,
      submissions.map(({ signed }) => signed),
      { logKeys: trustedKeys(this.trust), ...this.#http(options) },
      (at, entry) => {
        const submission = submissions[at]!;
        const verified = verifyReply(entry, submission.signed, this.trust, nodePrimitives());
        return { entry, verified, bundle: completeBundle(submission, entry) };
      },
      options.onResult,
    );
  }

  /**
   * The newest tree head, after its signatures are checked.
   *
   * @throws ClientError `network`, `unavailable`, `refused`, `cancelled`, `bad-checkpoint`, `policy`, `quorum`
   */
  async checkpoint(call: CallOptions = {}): Promise<SignedCheckpoint> {
    const reply = await ask(`${this.url}/checkpoint`, undefined, this.#http(call));
    if (reply.status !== 200) throw refusal(reply);
    const note = new TextDecoder().decode(reply.body);
    const { head, cosigned } = await this.#verifyHead(note, call);
    return { origin: head.origin, size: head.size, root: head.root, note, cosigned };
  }

  /** The last checkpoint of a frozen log may be without the quorum: then the plain one of the same tree must have it. */
  async #verifyHead(note: string, call: CallOptions): Promise<Pick<VerifiedCheckpoint, 'head' | 'cosigned'>> {
    const { trust } = this;
    try {
      return verifyCheckpoint(note, undefined, trust, nodePrimitives());
    } catch (error) {
      if (trust.policy === undefined || !(error instanceof ClientError) || error.code !== 'quorum') throw error;
      const policy = withoutQuorum(trust.policy);
      const { head } = verifyCheckpoint(note, undefined, { ...trust, policy }, nodePrimitives());
      if (!isFrozen(head)) throw error;
      const reply = await ask(`${this.url}/checkpoint.plain`, undefined, this.#http(call));
      if (reply.status !== 200) throw error;
      const plain = verifyCheckpoint(new TextDecoder().decode(reply.body), undefined, trust, nodePrimitives());
      const { origin, size, root, extensions } = plain.head;
      const isSame = origin === head.origin && size === head.size && equal(root, head.root);
      if (!isSame || extensions.length > 0) throw error;
      return { head, cosigned: plain.cosigned };
    }
  }

  /**
   * The entry at an index, after its proof is checked. Requires `0 <= index < size` of the newest checkpoint.
   *
   * @throws ClientError as `checkpoint`, and `bad-reply`, `bad-proof`; `refused` where there is no such entry
   */
  async entry(index: number, call: CallOptions = {}): Promise<{ entry: LogEntry; verified: LoggedLeaf }> {
    if (!Number.isSafeInteger(index) || index < 0) throw usage('an index is a whole number from 0');
    const reply = await ask(`${this.url}/stele/v1/entries/${index}`, undefined, this.#http(call));
    const answer = readSingle(reply);
    if (answer.kind !== 'logged') throw answer.kind === 'later' ? refusal(reply) : answer.error;
    const { entry } = answer;
    if (entry.index !== index)
      throw new ClientError('bad-reply', `the log answered with entry ${entry.index}, not ${index}`);
    const { hashes, checkpoint } = entry;
    const verified = verifyLeaf(
      { leafHash: leafHash(entry.body), index, hashes, checkpoint },
      this.trust,
      nodePrimitives(),
    );
    return { entry, verified };
  }

  /** A tile of hashes, of exactly `width` * 32 bytes, unverified. @throws ClientError `network`, `bad-reply`, `cancelled` */
  async tile(tile: Tile, call: CallOptions = {}): Promise<Uint8Array> {
    return await this.#tiles().tile(tile, call.signal);
  }

  /** An entry bundle (c2sp.org/tlog-tiles) of `width` entries from `index` * 256 on, unverified. @throws as `tile` */
  async entries(index: number, width: number, call: CallOptions = {}): Promise<Uint8Array> {
    return await this.#tiles().entries(index, width, call.signal);
  }

  #tiles(): TileSource {
    this.#source ??= openSource(this.url);
    return this.#source;
  }

  #http({ signal }: CallOptions): LogRequestOptions {
    return { ...this.#options, ...(signal === undefined ? {} : { signal }) };
  }
}
