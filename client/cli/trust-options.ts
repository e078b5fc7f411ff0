/** The options of a command that may take its trust from a followed repository. Apart, so that others do not load its code. */
import type { Command } from 'commander';

export interface TrustOptions {
  readonly trust?: string;
  readonly maxTrustAge?: string;
}

export function addTrustOptions(command: Command): Command {
  return command
    .option(
      '--trust <dir>',
      'the followed repository (see `stele trust use`) in this directory, in the place of STELE_TRUST or the default',
    )
    .option(
      '--max-trust-age <duration>',
      'refuse a followed repository whose newest timestamp came longer ago, such as 12h or 7d',
    );
}

/** What a message without any trust says at its end. */
export const OR_FOLLOW = ', or follow a repository of trust once with `stele trust use`';
