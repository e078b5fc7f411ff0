/**
 * The rule of a start: an old copy of a data directory must not begin a second history.
 *
 * A log that was there before asks its witnesses about its last published checkpoint, and signs nothing new until so many
 * have cosigned exactly that again that every quorum of the policy has one of them. A newer checkpoint had a quorum, so one
 * of these witnesses would have seen it, and would have refused.
 */
import { inEveryQuorum, type Policy, type PolicyWitness } from '../../merkle/policy.ts';
import { type Endpoint, isSameKey } from './policy.ts';

export class Confirmation {
  readonly #policy: Policy;
  readonly #confirmed = new Set<PolicyWitness>();

  constructor(policy: Policy) {
    this.#policy = policy;
  }

  /** These witnesses have shown that they know no tree beyond the committed one. */
  add(witnesses: Iterable<PolicyWitness>): void {
    for (const witness of witnesses) this.#confirmed.add(witness);
  }

  /** What is confirmed holds under another policy, for the witnesses that it names with the same keys. */
  under(policy: Policy): Confirmation {
    const next = new Confirmation(policy);
    next.add(policy.witnesses.filter(({ key }) => [...this.#confirmed].some((before) => isSameKey(before.key, key))));
    return next;
  }

  has({ witnesses }: Endpoint): boolean {
    return witnesses.every((witness) => this.#confirmed.has(witness));
  }

  /** A witness without a URL never cosigned a checkpoint for this log, so no quorum of the log has one. */
  get done(): boolean {
    return inEveryQuorum(
      this.#policy,
      (witness) => this.#confirmed.has(witness),
      ({ url }) => url !== undefined,
    );
  }
}
