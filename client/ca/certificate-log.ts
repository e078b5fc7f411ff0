/**
 * Brings certificates into the log, many in one call, and checks what the log answers as a verifier will: the inclusion proof,
 * the log's signature, and the quorum of witnesses. A certificate that the log could not take is sent again until it is in.
 */

import { nodePrimitives } from '../../merkle/runtime/crypto/node-primitives.ts';
import { backOffMs } from '../../merkle/runtime/service/back-off.ts';
import type { Logger } from '../../merkle/runtime/service/logger.ts';
import { formatTlogProof } from '../../merkle/tlog-proof.ts';
import { ClientError, type ClientErrorCode } from '../errors.ts';
import type { Signed } from '../formats/entry-request.ts';
import type { LogEntry } from '../formats/log-entry.ts';
import { LogClient } from '../submit/log-client.ts';
import { pause } from '../submit/log-request.ts';
import { sendSigned, trustedKeys } from '../submit/log-signatures.ts';
import { quorumTime, withoutQuorum } from '../trust/quorum.ts';
import { CheckpointMemory } from '../verify/checkpoint-memory.ts';
import { verifyReply } from '../verify/leaf.ts';
import type { LogTrust } from '../verify/types.ts';
import { CaError } from './ca-errors.ts';

/** Certificates in one call, and calls at one time. */
const BATCH = 256;
const CALLS = 4;
/** Milliseconds for all attempts of one call. */
const CALL_MS = 30_000;
/** Milliseconds for a look whether the log is there. */
const LOOK = { deadline: 3_000, attemptTimeout: 3_000 };
/** Of the newest checkpoints. */
const CHECKPOINT_CHARACTERS = 256 * 1024;
const BACK_OFF = { firstMs: 100, longestMs: 5_000 };

/** What the log has of a certificate. */
export interface LoggedCertificate {
  /** c2sp.org/tlog-proof. */
  readonly proof: string;
  readonly index: number;
  /** When a quorum of witnesses had cosigned, in milliseconds since 1970, by their clocks; undefined without a quorum. */
  readonly witnessed: number | undefined;
}

/** The log refuses the certificate for good. */
export class LogRefusal extends Error {}

interface Waiting {
  readonly signed: Signed;
  readonly resolve: (logged: LoggedCertificate) => void;
  readonly reject: (error: LogRefusal) => void;
}

interface CertificateLogOptions {
  readonly url: string;
  readonly trust: LogTrust;
  readonly logger: Logger;
}

/** Errors after which the same certificate can be logged later: the fault is that of the log, or of the way to it. */
const MAY_PASS: readonly ClientErrorCode[] = [
  'network',
  'unavailable',
  'quorum',
  'bad-reply',
  'bad-proof',
  'bad-checkpoint',
  'entry-mismatch',
  'policy',
  'log-key',
];

export class CertificateLog {
  readonly #options: CertificateLogOptions;
  readonly #client: LogClient;
  readonly #closing = new AbortController();
  /** One checkpoint covers many certificates. */
  readonly #checkpoints = new CheckpointMemory(CHECKPOINT_CHARACTERS);
  #line: Waiting[] = [];
  #calls = 0;
  /** Certificates that are not logged yet. */
  #open = 0;
  #failures = 0;
  #problem: string | undefined = 'the log has not answered yet';
  #isIll = false;
  #look: Promise<number | undefined> | undefined;
  #started = false;

  constructor(options: CertificateLogOptions) {
    this.#options = options;
    this.#client = new LogClient(options.url, options.trust, LOOK);
  }

  /** Why the log takes no certificates now; undefined where it does. */
  get problem(): string | undefined {
    return this.#problem;
  }

  get open(): number {
    return this.#open;
  }

  /**
   * Resolves where the log is there, with the time of the witnesses of its newest checkpoint where this call looked.
   * @throws CaError `log-unavailable`
   */
  async look(): Promise<number | undefined> {
    if (this.#problem === undefined) return undefined;
    // The certificates that wait find out themselves. A log whose witnesses are away shows its checkpoint as before.
    if (this.#open > 0) throw away();
    this.#look ??= this.#lookNow().finally(() => {
      this.#look = undefined;
    });
    return await this.#look;
  }

  async #lookNow(): Promise<number | undefined> {
    const { trust } = this.#options;
    try {
      const { cosigned } = await this.#client.checkpoint({ signal: this.#closing.signal });
      this.#well();
      const seconds = trust.policy && quorumTime(trust.policy, cosigned);
      return seconds === undefined ? undefined : seconds * 1000;
    } catch (error) {
      if (await this.#isEmpty(error)) {
        this.#well();
        return undefined;
      }
      this.#ill((error as Error).message);
      throw away(error);
    }
  }

  /** Witnesses may have seen nothing yet of a log without entries, or it has no checkpoint. */
  async #isEmpty(error: unknown): Promise<boolean> {
    if (!(error instanceof ClientError)) return false;
    if (error.code === 'refused') return true;
    const { url, trust } = this.#options;
    if (error.code !== 'quorum' || trust.policy === undefined) return false;
    const log = new LogClient(url, { ...trust, policy: withoutQuorum(trust.policy) }, LOOK);
    const head = await log.checkpoint({ signal: this.#closing.signal }).catch(() => undefined);
    return head?.size === 0;
  }

  /**
   * Resolves once the certificate is in the log.
   * @param signed a proof of possession, with the certificate
   * @throws LogRefusal where it never will be
   */
  add(signed: Signed): Promise<LoggedCertificate> {
    this.#open++;
    const logged = new Promise<LoggedCertificate>((resolve, reject) => this.#line.push({ signed, resolve, reject }));
    this.#pump();
    return logged.finally(() => {
      this.#open--;
    });
  }

  /** Ends every call. Certificates that are not logged stay promises. */
  close(): void {
    this.#closing.abort();
  }

  #pump(): void {
    if (this.#started || this.#line.length === 0) return;
    this.#started = true;
    // Certificates that are made in one turn of the event loop go in one call.
    setImmediate(() => {
      this.#started = false;
      while (this.#calls < CALLS && this.#line.length > 0 && !this.#closing.signal.aborted) {
        this.#calls++;
        void this.#call(this.#line.splice(0, BATCH)).finally(() => {
          this.#calls--;
          this.#pump();
        });
      }
    });
  }

  async #call(batch: readonly Waiting[]): Promise<void> {
    const { url, trust } = this.#options;
    const { signal } = this.#closing;
    const again: Waiting[] = [];
    let failure: Error | undefined;
    try {
      await sendSigned(
        url,
        batch.map(({ signed }) => signed),
        {
          signal,
          deadline: CALL_MS,
          logKeys: trustedKeys(trust),
          onRetry: ({ why }) => this.#ill(why),
        },
        (at, entry) => this.#checked(entry, batch[at]!.signed),
        (at, result) => {
          const one = batch[at]!;
          if (!(result instanceof ClientError)) {
            this.#well();
            one.resolve(result);
          } else if (MAY_PASS.includes(result.code)) {
            failure = result;
            again.push(one);
          } else one.reject(new LogRefusal(result.message, { cause: result }));
        },
      );
    } catch (error) {
      if (signal.aborted) return;
      failure = error as Error;
    }
    if (failure === undefined) return;
    this.#ill(failure.message);
    this.#line.unshift(...again);
    await pause(backOffMs(BACK_OFF, ++this.#failures), signal).catch(() => {});
  }

  /** @throws ClientError where the entry does not hold */
  #checked(entry: LogEntry, signed: Signed): LoggedCertificate {
    const { trust } = this.#options;
    const { cosigned } = verifyReply(entry, signed, trust, nodePrimitives(), this.#checkpoints);
    const { index, hashes, checkpoint } = entry;
    const seconds = trust.policy && quorumTime(trust.policy, cosigned);
    const proof = formatTlogProof({ extra: undefined, index, hashes, checkpoint });
    return {
      proof: new TextDecoder().decode(proof),
      index,
      witnessed: seconds === undefined ? undefined : seconds * 1000,
    };
  }

  #well(): void {
    this.#failures = 0;
    if (this.#problem === undefined) return;
    this.#problem = undefined;
    this.#isIll = false;
    this.#options.logger.info({}, 'the log takes certificates');
  }

  #ill(reason: string): void {
    if (!this.#isIll) this.#options.logger.warn({ reason }, 'the log does not take certificates');
    this.#isIll = true;
    this.#problem = reason;
  }
}

function away(cause?: unknown): CaError {
  const why = 'the log takes no certificates now, and none leaves before it is logged: try again later';
  return new CaError('log-unavailable', why, {}, { cause });
}
