/** The options of a command that may take its trust from a followed repository. Apart, so that others do not load its code. */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { printable } from '../../merkle/printable.ts';
import { usage } from '../errors.ts';

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

/** The absolute path of the local trust, whether a repository is followed there or not. */
export function trustDirOf({ trust }: TrustOptions): string {
  const { STELE_TRUST: named, XDG_DATA_HOME: data } = process.env;
  if (trust !== undefined && trust !== '') return resolve(trust);
  if (named !== undefined && named !== '') return resolve(named);
  return join(data !== undefined && data !== '' ? resolve(data) : join(home(), '.local', 'share'), 'stele', 'trust');
}

/** A container may run as a user that has no entry and no HOME: it gets the home that Docker gives such users. */
function home(): string {
  try {
    return homedir();
  } catch {
    return '/';
  }
}

/** The milliseconds of --max-trust-age. @throws ClientError `usage` */
export function maxAgeOf({ maxTrustAge }: TrustOptions): number | undefined {
  return maxTrustAge === undefined ? undefined : durationOf(maxTrustAge);
}

const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of `90s`, `30m`, `12h` or `7d`. @throws ClientError `usage` */
function durationOf(text: string): number {
  const [, count, unit] = /^([0-9]{1,6})([smhd])$/.exec(text) ?? [];
  if (count !== undefined && unit !== undefined) return Number(count) * UNITS[unit]!;
  throw usage(`--max-trust-age ${printable(text)} is not a duration such as 30m, 12h or 7d`);
}
