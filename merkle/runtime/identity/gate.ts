/**
 * The gate before the calls of a service: lets in a caller whose identity is proven, and whom a rule of the access policy allows
 * exactly this call. Whatever else happens is a refusal.
 */
import type { IncomingMessage } from 'node:http';
import { AccessRates, judgeAccess } from '../policy/access/judge-access.ts';
import type { AccessCall, AccessPolicy, AccessVerdict } from '../policy/access/types.ts';
import type { Identifier } from './identify.ts';
import { type Caller, IdentityError } from './types.ts';

interface GateOptions {
  readonly identifier: Pick<Identifier, 'identify' | 'challengeFor'>;
  readonly policy: AccessPolicy;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** How a refusal goes out over HTTP. */
interface GateRefusal {
  readonly status: IdentityError['status'];
  /** For programs. */
  readonly code: IdentityError['code'];
  /** For people: what is wrong, and which rules do not allow it. */
  readonly message: string;
  readonly headers: Readonly<Record<string, string>>;
}

export class Gate {
  readonly #identifier: GateOptions['identifier'];
  readonly #now: () => number;
  readonly #rates = new AccessRates();
  #policy: AccessPolicy;

  constructor({ identifier, policy, now = Date.now }: GateOptions) {
    this.#identifier = identifier;
    this.#policy = policy;
    this.#now = now;
  }

  get policy(): AccessPolicy {
    return this.#policy;
  }

  /** From now on this policy decides, also about callers with open connections. */
  use(policy: AccessPolicy): void {
    this.#policy = policy;
  }

  /** Who sent the request. @throws IdentityError, also as a rejection */
  identify(request: IncomingMessage): Caller | Promise<Caller> {
    return this.#identifier.identify(request);
  }

  /** What the policy says of a call. An allowed call is counted. */
  judge(caller: Caller, call: AccessCall): AccessVerdict {
    return judgeAccess(this.#policy, caller, call, this.#now(), this.#rates);
  }

  /**
   * Resolves with the caller.
   * @throws IdentityError `not-allowed` or `caller-rate` with the reasons of the policy, or why nobody is proven to call
   */
  async admit(request: IncomingMessage, call: AccessCall): Promise<Caller> {
    const caller = await this.identify(request);
    const verdict = this.judge(caller, call);
    if (verdict.allowed === true) return caller;
    const reasons = verdict.reasons.map(({ message, rule }) => (rule === undefined ? message : `${rule}: ${message}`));
    const { retryAfter } = verdict;
    if (retryAfter === undefined) throw new IdentityError('not-allowed', reasons.join('; '));
    throw new IdentityError('caller-rate', reasons.join('; '), { retryAfter });
  }

  /** Undefined for an error that is not about the caller. */
  refusalOf(error: unknown): GateRefusal | undefined {
    if (!(error instanceof IdentityError)) return undefined;
    const { status, code, message, data } = error;
    const { retryAfter = 1 } = data;
    const headers = {
      'cache-control': 'no-store',
      ...(status === 401 && { 'www-authenticate': this.#identifier.challengeFor(error) }),
      ...((status === 503 || status === 429) && { 'retry-after': String(retryAfter) }),
    };
    return { status, code, message, headers };
  }
}
