/**
 * The life of a log in one value, and what the log answers in each phase of it.
 *
 *     confirming                  witnesses have not confirmed yet that the newest tree is here
 *        ↓
 *     running ⇄ recovering        the store failed, and is opened again; while confirming too
 *        ↓          ↓
 *         draining                no new entries; a store that fails is opened again all the same
 *            ↓
 *     halted · broken · closed    nothing is signed or committed any more
 *
 * The phase is of one process. The status of the tree (open, freezing, frozen) is stored, and comes first: a log that is
 * freezing or frozen refuses new entries with `frozen` in every phase.
 */
import { type RequestErrorCode, requestError, type ServerError } from '../errors.ts';

export type Phase =
  /** The log was there before, and its witnesses have not confirmed yet that they know no newer tree. */
  | { readonly name: 'confirming' }
  | { readonly name: 'running' }
  | { readonly name: 'recovering' }
  | { readonly name: 'draining' }
  /** A witness holds a history of this log that the log does not extend. */
  | { readonly name: 'halted'; readonly why: ServerError }
  /** The stored data contradicts itself. */
  | { readonly name: 'broken'; readonly why: unknown }
  | { readonly name: 'closed' };

export type PhaseName = Phase['name'];

/** The calls on a log. `read` stands for every read of the published tree. */
export type Call = 'submit' | 'add' | 'read' | 'freeze';

/** The call goes on, or gets one row of `REQUEST_ERRORS`. */
type Permission = 'goes on' | (RequestErrorCode & ('unconfirmed' | 'store-failed' | 'draining' | 'halted' | 'broken'));

interface PhaseRow extends Readonly<Record<Call, Permission>> {
  /** The sentence in `GET /readyz`; undefined if the log is ready in this phase. */
  readonly notReady: string | undefined;
  /** The phases that may follow. */
  readonly next: readonly PhaseName[];
}

export const PHASES: Readonly<Record<PhaseName, PhaseRow>> = {
  confirming: {
    submit: 'unconfirmed',
    add: 'unconfirmed',
    // What was published is true, whether it is the newest or not.
    read: 'goes on',
    // A freeze signs, so it waits for the confirmation.
    freeze: 'goes on',
    notReady: 'the log signs nothing and takes no entry before its witnesses confirm that no newer tree of it exists',
    next: ['running', 'recovering', 'draining', 'halted', 'broken', 'closed'],
  },
  running: {
    submit: 'goes on',
    add: 'goes on',
    read: 'goes on',
    freeze: 'goes on',
    notReady: undefined,
    next: ['recovering', 'draining', 'halted', 'broken', 'closed'],
  },
  recovering: {
    submit: 'store-failed',
    add: 'store-failed',
    // Readers keep using the failed store until another one opens.
    read: 'goes on',
    // A freeze waits until the store is open again.
    freeze: 'goes on',
    notReady: 'the store failed and is being opened again',
    next: ['running', 'confirming', 'draining', 'halted', 'broken', 'closed'],
  },
  draining: {
    submit: 'draining',
    add: 'draining',
    read: 'goes on',
    freeze: 'goes on',
    notReady: 'the log is shutting down',
    next: ['halted', 'broken', 'closed'],
  },
  halted: {
    submit: 'halted',
    add: 'halted',
    // What was published stays true, and auditors need it.
    read: 'goes on',
    freeze: 'halted',
    notReady: 'the log has stopped: a witness holds another history of it',
    next: ['closed'],
  },
  broken: {
    submit: 'broken',
    add: 'broken',
    read: 'goes on',
    freeze: 'broken',
    notReady: 'the log has stopped: what it stored contradicts itself',
    next: ['closed'],
  },
  closed: {
    submit: 'draining',
    add: 'draining',
    read: 'draining',
    freeze: 'draining',
    notReady: 'the log has stopped',
    next: [],
  },
};

/** Holds the phase of one log, and changes it only as the table allows. */
export class Life {
  #phase: Phase;

  constructor(first: 'running' | 'confirming' = 'running') {
    this.#phase = { name: first };
  }

  get phase(): Phase {
    return this.#phase;
  }

  /** Goes on to `next`. Returns false, and stays, if the table does not allow it. */
  enter(next: Phase): boolean {
    if (!PHASES[this.#phase.name].next.includes(next.name)) return false;
    this.#phase = next;
    return true;
  }

  /** Why the call is not served in this phase: a code of `REQUEST_ERRORS`. Undefined if it goes on. */
  unavailable(call: Call): RequestErrorCode | undefined {
    const permission = PHASES[this.#phase.name][call];
    return permission === 'goes on' ? undefined : permission;
  }

  /** @throws RequestError if the call is not served in this phase */
  check(call: Call): void {
    const code = this.unavailable(call);
    if (code !== undefined) throw requestError(code);
  }

  /** Why the log is not ready, in one sentence; undefined if it is ready in this phase. */
  notReady(): string | undefined {
    const phase = this.#phase;
    // This names the witness and the checkpoint that it holds.
    return phase.name === 'halted' ? phase.why.message : PHASES[phase.name].notReady;
  }
}
