/**
 * Watches a TUF repository as its clients see it. An alert says that root, targets or a delegated role has a new version, so
 * that its holders can say whether it is theirs; that the mirror serves what clients refuse; and, where the operator's own
 * repository is at hand, that the mirror serves metadata which that repository never published, or holds back its news.
 */
import { join } from 'node:path';
import { encodeHex } from '../../merkle/bytes.ts';
import { printable } from '../../merkle/printable.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { timeText } from '../../merkle/x509/utc-time.ts';
import { ClientError } from '../errors.ts';
import { type FollowedTrust, loadTrust } from '../trust/tuf/load-trust.ts';
import { readTimestamp } from '../trust/tuf/metadata.ts';
import { metadataFileName } from '../trust/tuf/role.ts';
import { TrustStore } from '../trust/tuf/trust-store.ts';
import { updateTrust, useTrust } from '../trust/tuf/update.ts';
import { alertId } from './fact-alerts.ts';
import { ownFile, type TrustVersions, TrustVersionsStore } from './store/trust-versions-store.ts';
import type { Alert, AlertQueue, FollowSettings } from './types.ts';

export interface WatchedTrust {
  /** The mirror, with a slash at its end. */
  readonly url: string;
  /** The root that the operator of the monitor trusts: the bytes of its file. */
  readonly root: Uint8Array;
  /** The operator's own repository, whose `public` directory is compared with the mirror. */
  readonly directory?: string;
}

interface TrustWatchOptions {
  readonly settings: Pick<FollowSettings, 'confirmations' | 'staleMs'>;
  /** Directory of its state. */
  readonly dir: string;
  readonly queue: Pick<AlertQueue, 'enqueue'>;
  readonly fetch?: typeof fetch | undefined;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

interface WatchRound {
  readonly ok: boolean;
  readonly alerts: readonly Alert[];
  readonly fault?: string;
}

type Found = Pick<Alert, 'kind' | 'severity' | 'summary'> & { readonly detail: string };

const ADVICE = 'If its holders did not do this, docs/trust.md says under "A stolen key" what to do';

export class TrustWatch {
  readonly url: string;
  readonly #watched: WatchedTrust;
  readonly #options: TrustWatchOptions;
  readonly #store: TrustStore;
  readonly #versions: TrustVersionsStore;
  readonly #now: () => number;
  /** When the last round was good. */
  #good: number;
  #suspected = { detail: '', times: 0 };
  /** Looks in a row that showed an older timestamp than the operator's own repository has. */
  #late = 0;
  /** Details of alerts that last. */
  readonly #lasting = new Set<string>();
  failures = 0;

  constructor(watched: WatchedTrust, options: TrustWatchOptions) {
    this.#watched = watched;
    this.url = watched.url;
    this.#options = options;
    this.#store = new TrustStore(join(options.dir, 'followed'));
    this.#versions = new TrustVersionsStore(options.dir);
    this.#now = options.now ?? Date.now;
    this.#good = this.#now();
  }

  /**
   * One look. What the mirror does is in the result and throws nothing.
   *
   * @throws ClientError `cancelled`, `state`, `trust`; errors of the queue
   */
  async round(signal: AbortSignal): Promise<WatchRound> {
    try {
      const trust = await this.#update(signal);
      const found = [...(await this.#changes(trust)), ...(await this.#compare(trust))];
      const alerts = await this.#report(found);
      await this.#versions.write(versionsOf(trust));
      this.#good = this.#now();
      this.failures = 0;
      this.#suspected = { detail: '', times: 0 };
      if (found.length === 0) this.#lasting.clear();
      return { ok: true, alerts };
    } catch (error) {
      if (signal.aborted) throw new ClientError('cancelled', 'the monitor was told to stop', { cause: error });
      if (!(error instanceof ClientError || error instanceof RuntimeError)) throw error;
      if (error.code === 'state' || error.code === 'trust') throw error;
      this.failures++;
      return { ok: false, alerts: await this.#report(this.#refused(error)), fault: error.message };
    }
  }

  async #update(signal: AbortSignal): Promise<FollowedTrust> {
    const { url, root } = this.#watched;
    const options = { fetch: this.#options.fetch, signal, now: this.#now() };
    if (this.#store.read()?.mirror === url) await updateTrust(this.#store, options);
    else await useTrust(this.#store, url, root, options);
    return loadTrust(this.#store, { now: this.#now() })!;
  }

  /** New versions of what holders sign. None at the first look. */
  async #changes(trust: FollowedTrust): Promise<Found[]> {
    const before = await this.#versions.read();
    if (before === undefined) return [];
    const after = versionsOf(trust);
    return Object.entries(after).flatMap(([role, { version, sha256 }]) => {
      // A role may be called `constructor`.
      const known = Object.hasOwn(before, role) ? before[role] : undefined;
      if (known?.sha256 === sha256) return [];
      const was = known === undefined ? '' : ` (before: version ${known.version})`;
      const what = `the TUF repository ${printable(this.url)} has version ${version} of ${printable(role)}${was}`;
      const severity = role === 'root' ? ('critical' as const) : ('alert' as const);
      const detail = `${role} ${version} ${sha256}`;
      return [{ kind: 'trust-changed', severity, summary: `${what}. ${ADVICE}`, detail }];
    });
  }

  /** What the mirror serves against what the operator's own repository published. */
  async #compare(trust: FollowedTrust): Promise<Found[]> {
    const { directory } = this.#watched;
    if (directory === undefined) return [];
    const { state, timestamp, snapshot } = trust;
    const own = await ownFile(directory, 'timestamp.json');
    if (own === undefined) throw new ClientError('missing', `${directory} has no public/timestamp.json`);
    const newest = readTimestamp(own).signed;
    const ownSnapshot = await ownFile(directory, metadataFileName('snapshot', snapshot.version));
    const foreign = [
      ...(timestamp.version > newest.version ||
      (timestamp.version === newest.version && hash(own) !== state.set.timestamp)
        ? ['timestamp' as const]
        : []),
      ...(ownSnapshot === undefined || hash(ownSnapshot) !== state.set.snapshot ? ['snapshot' as const] : []),
    ].map((role): Found => {
      const what = `serves a ${role} of version ${trust[role].version} that ${printable(directory)} never published`;
      const summary = `the mirror ${printable(this.url)} ${what}: somebody else has the key of the ${role}`;
      return { kind: 'trust-foreign', severity: 'critical', summary, detail: `${role} ${state.set[role]}` };
    });
    this.#late = timestamp.version < newest.version ? this.#late + 1 : 0;
    // A copy may be late for a while.
    const isHeldBack = foreign.length === 0 && this.#late >= this.#options.settings.confirmations;
    return isHeldBack ? [this.#heldBack(timestamp.version, newest.version)] : foreign;
  }

  #heldBack(served: number, newest: number): Found {
    const what = `serves version ${served} of the timestamp, and version ${newest} is published`;
    const summary = `the mirror ${printable(this.url)} ${what}: it holds news back`;
    return { kind: 'trust-foreign', severity: 'alert', summary, detail: `held back ${served}` };
  }

  #refused({ code, message }: ClientError | RuntimeError): Found[] {
    if (code.startsWith('tuf-')) {
      // Messages have times in them.
      const detail = `${code} since ${timeText(this.#good)}`;
      if (!this.#confirms(detail)) return [];
      const summary = `the TUF repository ${printable(this.url)} serves what clients refuse: ${message}`;
      const severity = code === 'tuf-expired' || code === 'tuf-missing' ? ('alert' as const) : ('critical' as const);
      return [{ kind: 'trust-refused', severity, summary, detail }];
    }
    if (this.#now() - this.#good < this.#options.settings.staleMs) return [];
    const since = timeText(this.#good);
    const summary = `the TUF repository ${printable(this.url)} could not be followed since ${since}: ${message}`;
    return [{ kind: 'stale', severity: 'alert', summary, detail: since }];
  }

  /** Whether so many looks in a row have shown it. */
  #confirms(detail: string): boolean {
    const times = this.#suspected.detail === detail ? this.#suspected.times + 1 : 1;
    this.#suspected = { detail, times };
    return times >= this.#options.settings.confirmations;
  }

  async #report(found: readonly Found[]): Promise<Alert[]> {
    const fresh = found.filter(({ detail }) => !this.#lasting.has(detail));
    const alerts = fresh.map(({ kind, severity, summary, detail }): Alert => {
      const time = new Date(this.#now()).toISOString();
      return {
        id: alertId([kind, this.url, detail]),
        kind,
        severity,
        log: this.url,
        time,
        summary,
        completeThrough: 0,
      };
    });
    if (alerts.length > 0) await this.#options.queue.enqueue(alerts);
    for (const { detail } of fresh) this.#lasting.add(detail);
    return alerts;
  }
}

const hash = (bytes: Uint8Array): string => encodeHex(fastSha256(bytes));

function versionsOf({ state, root, targets, snapshot }: FollowedTrust): TrustVersions {
  const versions: Record<string, TrustVersions[string]> = {
    root: { version: root.version, sha256: state.root },
    targets: { version: targets.version, sha256: state.set.targets },
  };
  for (const [role, { version }] of snapshot.meta) {
    // Metadata of a delegated role that nobody asked for are not here: its version says that it changed. Snapshots of older
    // versions of the specification name the root too, whose hash is here.
    if (role !== 'targets' && role !== 'root') versions[role] = { version, sha256: `version ${version}` };
  }
  return versions;
}
