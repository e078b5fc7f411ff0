/**
 * The way of one certificate:
 *
 *   request ─ identity ─ team ─ access ─ possession ─ name ─ log is there ─ leaf ═ TOKEN USED ═ PROMISE ═ logged ─ reply
 *
 * | a crash after … | leaves |
 * |---|---|
 * | any step before the token is used | nothing |
 * | the token is used | a token that works no more, and no certificate |
 * | the promise is durable | a certificate that the next start brings into the log, and that nobody has |
 * | the log has it | the same; the next start finds it in the log, and nobody has it |
 * | the reply | a certificate that is in the log |
 */
import type { IncomingMessage } from 'node:http';
import { formatPem } from '../../merkle/pem.ts';
import { type Caller, IdentityError } from '../../merkle/runtime/identity/types.ts';
import type { Signer } from '../../merkle/runtime/keys/types.ts';
import type { Logger } from '../../merkle/runtime/service/logger.ts';
import { Window } from '../../merkle/runtime/service/window.ts';
import type { Certificate } from '../../merkle/x509/certificate.ts';
import { timeText } from '../../merkle/x509/utc-time.ts';
import type { Signed } from '../formats/entry-request.ts';
import { certificateVerifier } from '../submit/submission.ts';
import type { CaClock } from './ca-clock.ts';
import type { LiveCa } from './ca-config.ts';
import { CaError } from './ca-errors.ts';
import { makeLeaf } from './ca-leaf.ts';
import { type CertificateLog, type LoggedCertificate, LogRefusal } from './certificate-log.ts';
import { notPermitted } from './certificates/constraints.ts';
import { type Team, teamOf } from './issuing-teams.ts';
import { svidIdentity, tokenIdentity } from './leaf-identity.ts';
import { checkPossession, provenName } from './possession.ts';
import type { PromiseStore } from './promise-store.ts';
import { readSigningRequest, tokenOfRequest } from './signing-request.ts';
import type { CertificatePromise, LeafIdentity } from './types.ts';

/** Tokens that were used: each works once. */
interface TokensOnce {
  /** Marks the token as used, durably, until it expires. False where it was used before. */
  take(token: string, expires: number): Promise<boolean>;
}

/** What the service reads anew while it runs. */
export interface IssuingParts {
  readonly teams: readonly Team[];
  /** ECDSA P-256. */
  readonly ct: Signer;
  /** @throws CaError, IdentityError `not-allowed` where the caller may get no certificate */
  readonly admit: (caller: Caller) => void;
  /** By the token, or by the client certificate of the connection. @throws IdentityError */
  readonly identify: (request: IncomingMessage, token: string | undefined) => Promise<Caller>;
}

interface IssuanceOptions {
  readonly parts: () => IssuingParts;
  readonly live: LiveCa;
  readonly log: CertificateLog;
  readonly store: PromiseStore;
  readonly clock: CaClock;
  readonly usedTokens: TokensOnce;
  readonly logger: Logger;
  /** Called with each certificate that leaves. */
  readonly onIssued: (team: string) => void;
}

/** `SigningCertificate` of fulcio.proto, with the proof of the log beside it. */
interface IssuedReply {
  readonly signedCertificateEmbeddedSct: { readonly chain: { readonly certificates: readonly string[] } };
  /** c2sp.org/tlog-proof of the entry that holds the leaf. */
  readonly tlogProof: string;
}

/** A leaf that is ready, and everything else holds. */
interface Made {
  readonly caller: Caller;
  readonly token: string | undefined;
  readonly team: Team;
  readonly leaf: Certificate;
  readonly promise: CertificatePromise;
  /** The proof of possession, with the leaf. */
  readonly signed: Signed;
}

const MINUTE_MS = 60_000;

export class Issuance {
  readonly #options: IssuanceOptions;
  readonly #rates: Window;
  /** Certificates that are being made, and are not in the log's line yet. */
  #ahead = 0;
  /** The requests that use a set of parts. */
  readonly #users = new WeakMap<IssuingParts, Set<Promise<unknown>>>();

  constructor(options: IssuanceOptions) {
    this.#options = options;
    this.#rates = new Window(() => MINUTE_MS);
  }

  /** @throws CaError, IdentityError, ClientError `malformed` */
  async issue(http: IncomingMessage, body: Uint8Array): Promise<IssuedReply> {
    const { onIssued, logger } = this.#options;
    const made = await this.#using((parts) => this.#make(parts, http, body));
    const { caller, team, leaf, promise, signed } = made;
    try {
      await this.#promise(made);
    } finally {
      // `complete` puts the certificate into the log's line before anything else runs.
      this.#ahead--;
    }
    const logged = await this.#inTime(this.complete(promise, signed), leaf);
    this.#checkTime(leaf, logged);
    onIssued(team.name);
    const facts = { team: team.name, caller: caller.id, serial: leaf.serialNumber, index: logged.index };
    logger.info({ ...facts, name: leaf.names[0]!.value }, 'issued a certificate');
    const chain = [formatPem('CERTIFICATE', leaf.der), ...team.chainPem];
    return { signedCertificateEmbeddedSct: { chain: { certificates: chain } }, tlogProof: logged.proof };
  }

  /** Resolves once no request uses these parts any more. */
  async unused(parts: IssuingParts): Promise<void> {
    while ((this.#users.get(parts)?.size ?? 0) > 0) await Promise.allSettled(this.#users.get(parts)!);
  }

  async #using<T>(work: (parts: IssuingParts) => Promise<T>): Promise<T> {
    const parts = this.#options.parts();
    const users = this.#users.get(parts) ?? new Set();
    this.#users.set(parts, users);
    const working = work(parts);
    users.add(working);
    try {
      return await working;
    } finally {
      users.delete(working);
    }
  }

  /** All that holds or does not, and the leaf. Nothing of it leaves here. */
  async #make(parts: IssuingParts, http: IncomingMessage, body: Uint8Array): Promise<Made> {
    const { live, log, clock } = this.#options;
    // A wrong clock would find right tokens wrong, and wrong ones right.
    clock.now();
    const { token: inBody, ...request } = readSigningRequest(body, live.limits.requestBytes);
    const token = tokenOfRequest(http, inBody);
    const caller = await parts.identify(http, token);
    const { team, rule } = teamOf(caller, parts.teams);
    this.#countRate(caller);
    parts.admit(caller);
    const proof = checkPossession(request, provenName(caller));
    const identity = rule === undefined ? svidIdentity(caller) : tokenIdentity(caller, rule);
    checkConstraints(team, identity);

    const seen = await log.look();
    if (seen !== undefined) clock.sawWitnesses(seen);
    const now = clock.now();
    const waiting = log.open + this.#ahead;
    if (waiting >= live.limits.pending) {
      throw new CaError('busy', `${waiting} certificates wait for the log already: try again later`);
    }
    this.#ahead++;
    const { ct } = parts;
    const { lifetime: lifetimeMs } = live.leaf;
    const publicKey = request.publicKey.spki;
    const leaf = await makeLeaf({ team, ct, identity, publicKey, now, lifetimeMs }).catch((error: unknown) => {
      this.#ahead--;
      throw error;
    });
    const { serialNumber: serial, der: certificate } = leaf;
    const { digest, signature } = proof;
    const promise = { serial, time: now, team: team.name, certificate, digest, signature };
    return { caller, token, team, leaf, promise, signed: { ...proof, certificate } };
  }

  /** Uses up the token, and makes the promise durable. @throws IdentityError `token-used`; CaError `storage` */
  async #promise({ caller, token, promise }: Made): Promise<void> {
    const { store, usedTokens } = this.#options;
    // Only what holds in every other way uses up the token.
    if (token !== undefined && !(await this.#stored(usedTokens.take(token, caller.expires)))) {
      throw new IdentityError('token-used', 'the token was used before, and works once: get a new one from its issuer');
    }
    await this.#stored(store.keep(promise));
  }

  /** @throws CaError `storage` */
  async #stored<T>(writing: Promise<T>): Promise<T> {
    return await writing.catch((cause: unknown) => {
      // Too many tokens are kept.
      if (cause instanceof IdentityError) throw cause;
      const why = 'the authority cannot write to its disk, so no certificate leaves: try again later, with a new token';
      throw new CaError('storage', why, {}, { cause });
    });
  }

  /**
   * Brings a promised certificate into the log, and ends the promise.
   * @param signed what the log gets; without it, read from the promise
   * @throws CaError `log-refused`
   */
  async complete(promise: CertificatePromise, signed: Signed = signedOf(promise)): Promise<LoggedCertificate> {
    const { log, store, clock, logger } = this.#options;
    let logged: LoggedCertificate;
    try {
      logged = await log.add(signed);
    } catch (error) {
      if (!(error instanceof LogRefusal)) throw error;
      logger.error(
        { serial: promise.serial, reason: error.message },
        'the log refuses a certificate, which nobody got',
      );
      await store.neverGiven(promise, error.message);
      throw new CaError(
        'log-refused',
        'the log refuses the certificate, which therefore does not leave',
        {},
        { cause: error },
      );
    }
    if (logged.witnessed !== undefined) clock.sawWitnesses(logged.witnessed);
    // The next start would find the certificate in the log again, so that nobody waits for this write.
    void store.kept(promise, logged.witnessed).catch(() => {});
    return logged;
  }

  async #inTime(logged: Promise<LoggedCertificate>, { serialNumber }: Certificate): Promise<LoggedCertificate> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(
          new CaError(
            'log-unavailable',
            'the log did not take the certificate in time, so it does not leave. Try again later, with a new token',
          ),
        );
      }, this.#options.live.limits.logTimeout);
    });
    // It may end after its caller has given up.
    logged.catch(() => {});
    try {
      return await Promise.race([logged, late]);
    } catch (error) {
      this.#options.logger.warn(
        { serial: serialNumber },
        'a certificate does not leave: the log did not take it in time',
      );
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** A leaf that is not valid yet, by the clocks of the witnesses, is the work of a clock that is ahead. */
  #checkTime({ notBefore, notAfter }: Certificate, { witnessed }: LoggedCertificate): void {
    if (witnessed === undefined) return;
    const { clock, store } = this.#options;
    if (clock.agrees(notBefore, witnessed) && witnessed <= notAfter) return;
    void store.setBack(witnessed).catch(() => {});
    throw new CaError(
      'clock',
      `the authority made a certificate from ${timeText(notBefore)} on, and the witnesses of the log saw it at ${timeText(witnessed)}: its clock is wrong, and the certificate does not leave`,
    );
  }

  #countRate({ id }: Caller): void {
    const { perMinute } = this.#options.live.limits;
    if (perMinute === 0) return;
    if (this.#rates.isFull(id, perMinute)) {
      const { retryAfter } = this.#rates;
      throw new CaError('rate', `the caller had ${perMinute} requests in this minute, which is its limit`, {
        retryAfter,
      });
    }
    this.#rates.count(id);
  }
}

function signedOf({ digest, signature, certificate }: CertificatePromise): Signed {
  return { digest, signature, ...certificateVerifier(certificate) };
}

function checkConstraints({ name: team, chain }: Team, { name }: LeafIdentity): void {
  for (const authority of chain.slice(0, -1)) {
    const why = notPermitted(authority, name);
    if (why === undefined) continue;
    throw new CaError('name-constraints', `the team ${team} may not certify this caller: the certificate ${why}`);
  }
}
