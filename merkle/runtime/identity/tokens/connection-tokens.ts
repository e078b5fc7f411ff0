/**
 * Bearer tokens that are bound to a connection: a token works on the TLS connection that first showed it, and on no other. It can be
 * stolen on its way only by one that uses it before its owner, who is then refused and learns of it.
 *
 * What was shown is remembered on disk (`UsedTokens`): a connection ends with its process, and what was shown on it must not
 * work on another after a restart. That costs one synced write for each token, and nothing for each request.
 */
import { RuntimeError } from '../../runtime-errors.ts';
import { type Caller, IdentityError } from '../types.ts';
import { tokenDigest } from './compact-token.ts';
import type { TokenVerifier } from './token-verifier.ts';
import type { UsedTokens } from './used-tokens.ts';

/** A signature is not checked again on one connection within this time: a key that its issuer withdrew works so much longer. */
const CHECKED_MS = 10_000;
/** Tokens that one connection shows while they are valid. */
const MAX_ON_CONNECTION = 64;

interface Rules {
  /** Of this service, where the settings of an issuer name no other. */
  readonly audience: string;
  readonly maxLifetimeMs: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** A token that this connection showed first. */
interface Shown {
  readonly first: Promise<boolean>;
  readonly expires: number;
  /** The text that was verified, when, and for whom. */
  verified: { readonly text: string; readonly at: number; readonly caller: Caller };
}

export class ConnectionTokens {
  readonly #verifier: Pick<TokenVerifier, 'verify'>;
  readonly #used: Pick<UsedTokens, 'take'>;
  readonly #rules: Rules;
  readonly #now: () => number;
  /** By the digest of the token. */
  readonly #shown = new WeakMap<object, Map<string, Shown>>();

  constructor(verifier: Pick<TokenVerifier, 'verify'>, used: Pick<UsedTokens, 'take'>, rules: Rules) {
    this.#verifier = verifier;
    this.#used = used;
    this.#rules = rules;
    this.#now = rules.now ?? Date.now;
  }

  /**
   * Who calls with this token on this connection.
   * @param connection what lives as long as the TLS connection
   * @throws IdentityError as `TokenVerifier.verify`; `token-connection`; `identity-unavailable` where the token cannot be remembered
   */
  async verify(text: string, connection: object): Promise<Caller> {
    const now = this.#now();
    const known = this.#shown.get(connection)?.get(tokenDigest(text));
    if (known !== undefined && isFresh(known, text, now)) {
      await onlyFirst(known.first);
      return known.verified.caller;
    }
    const caller = await this.#verifier.verify(text, this.#rules);
    const digest = tokenDigest(text);
    const verified = { text, at: now, caller };
    const shown = this.#ofConnection(connection);
    // Another request of the connection may have shown the token while the signature was checked.
    const before = shown.get(digest);
    if (before !== undefined) {
      before.verified = verified;
      await onlyFirst(before.first);
      return caller;
    }
    for (const [name, { expires }] of shown) if (expires <= now) shown.delete(name);
    if (shown.size >= MAX_ON_CONNECTION) {
      const why = `the connection has shown ${MAX_ON_CONNECTION} tokens that are still valid: use one of them again`;
      throw new IdentityError('token-connection', why);
    }
    const first = this.#remember(text, caller.expires);
    shown.set(digest, { first, expires: caller.expires, verified });
    await onlyFirst(first);
    return caller;
  }

  async #remember(text: string, expires: number): Promise<boolean> {
    try {
      return await this.#used.take(text, expires);
    } catch (error) {
      if (!(error instanceof RuntimeError)) throw error;
      throw new IdentityError(
        'identity-unavailable',
        'the service cannot remember tokens now: try again later, with a new one',
      );
    }
  }

  #ofConnection(connection: object): Map<string, Shown> {
    let shown = this.#shown.get(connection);
    if (shown === undefined) {
      shown = new Map();
      this.#shown.set(connection, shown);
    }
    return shown;
  }
}

/** Also where the clock went back, the token is verified again. */
function isFresh({ verified: { text, at }, expires }: Shown, shown: string, now: number): boolean {
  return text === shown && now < expires && now >= at && now - at < CHECKED_MS;
}

async function onlyFirst(first: Promise<boolean>): Promise<void> {
  if ((await first) === true) return;
  const why = 'the token was first shown on another connection, and works on that one alone';
  throw new IdentityError('token-connection', `${why}: keep the connection open, or get a token for each`);
}
