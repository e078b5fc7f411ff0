/** What the following of logs is told: made from the configuration, which knows files and defaults of its own. */
import type { VerifierKey } from '../../merkle/note.ts';
import type { Policy } from '../../merkle/policy.ts';

export interface FollowedLog {
  /** First line of its checkpoints. */
  readonly origin: string;
  /** Its keys, one or more, types 1, 2 and 6; several during a rotation. */
  readonly keys: readonly VerifierKey[];
  /** Where its checkpoint, tiles and bundles are: an http(s) URL or a directory. */
  readonly location: string;
  /** The quorum that its checkpoints need; none without it. */
  readonly policy?: Policy;
  /** The quorum must have cosigned what it shows so recently, in milliseconds; whenever, where it is absent. Needs a quorum. */
  readonly maxCheckpointAge?: number;
  /** It was declared frozen: true for the size at which it is first seen, or that size. */
  readonly frozen?: boolean | number;
  /** Other views: http(s) URLs of copies of the log or of witnesses, or directories. */
  readonly peers?: readonly string[];
  /** It came by a signing configuration. */
  readonly shard?: boolean;
}

/** A `signing_config.json` of Sigstore, whose logs are followed as they come, with their keys from `trusted_root.json`. */
export interface ShardSource {
  /** For messages. */
  readonly name: string;
  /** Paths, read anew each minute. */
  readonly signingConfig: string;
  readonly trustedRoot: string;
  /** Their quorum. */
  readonly policy?: Policy;
  /** As for one log. */
  readonly maxCheckpointAge?: number;
  readonly peers?: readonly string[];
}

/** All times in milliseconds. */
export interface FollowSettings {
  /** From the end of a round to the next one. */
  readonly pollMs: number;
  /** So long entries of a bundle that is not full wait for more to come. 0: they do not. */
  readonly partialMs: number;
  /** A log that could not be followed for so long is reported. */
  readonly staleMs: number;
  /** First pause after a failure; it doubles up to `pollMs`, or up to 60 s where that is longer. */
  readonly retryMs: number;
  /** What may be a fault on the way is reported when so many looks in a row have shown it: 1 or more. */
  readonly confirmations: number;
  /** Bundles fetched at once, 1 or more. */
  readonly parallel: number;
  /** Bytes of bundles that are held at once for one log; one bundle of up to 16 MiB is always taken. */
  readonly chunkBytes: number;
}

export const FOLLOW_DEFAULTS: FollowSettings = {
  pollMs: 10_000,
  partialMs: 10_000,
  staleMs: 60 * 60_000,
  retryMs: 1000,
  confirmations: 3,
  parallel: 8,
  chunkBytes: 16 * 1024 * 1024,
};
