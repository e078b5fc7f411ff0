/** The public files of a log over HTTP: bounded, timed out, and asked for again while that may help. */
import { setTimeout as sleep } from 'node:timers/promises';
import { printable } from '../../merkle/printable.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { type Fetched, fetchBounded } from '../../merkle/runtime/service/fetch.ts';
import { ClientError } from '../errors.ts';
import type { Files } from './source.ts';

export interface HttpSourceOptions {
  /** Milliseconds for one attempt, to its last byte; 30,000 unless told. */
  readonly timeoutMs?: number;
  /** How often a file is asked for again when the log does not answer or says that it cannot now; 3 unless told. */
  readonly retries?: number;
  /** How the reader names itself; `stele` unless told. */
  readonly userAgent?: string;
}

const FIRST_WAIT = 250;
const LONGEST_WAIT = 10_000;

/** @param base as `parseLogUrl` gives it: no slash at its end */
export function httpFiles(base: string, options: HttpSourceOptions): Files {
  const { timeoutMs = 30_000, retries = 3, userAgent = 'stele' } = options;
  const headers = { 'user-agent': userAgent };
  return {
    name: base,
    async get(path, limit, signal) {
      const url = `${base}/${path}`;
      for (let attempt = 0; ; attempt++) {
        const outcome = await once(url, limit, timeoutMs, headers, signal);
        if (!(outcome instanceof ClientError) && !retriable(outcome.status)) return content(url, outcome);
        if (attempt >= retries) {
          if (outcome instanceof ClientError) throw outcome;
          const tries = `asked ${attempt + 1} ${attempt === 0 ? 'time' : 'times'}`;
          throw new ClientError('unavailable', `${url} answers with status ${outcome.status} (${tries})`);
        }
        await wait(Math.max(backOff(attempt), askedWait(outcome)), signal);
      }
    },
    async close() {},
  };
}

/** A reply, or the error where another attempt may end in another way. */
async function once(
  url: string,
  limit: number,
  timeoutMs: number,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal | undefined,
): Promise<Fetched | ClientError> {
  try {
    return await fetchBounded(url, { limit, timeoutMs, signal, headers });
  } catch (cause) {
    if (!(cause instanceof RuntimeError)) throw cause;
    if (cause.code === 'aborted') throw new ClientError('cancelled', 'cancelled');
    if (cause.code === 'too-long') throw new ClientError('corrupt', printable(cause.message), { cause });
    return new ClientError('network', printable(cause.message), { cause });
  }
}

/**
 * The files of a log by the URL at which it is written to: at that URL, as c2sp.org/tlog-tiles has them, or below its
 * `/api/v2`, where Rekor's API v2 has them. Where the checkpoint was found, there everything else is asked for.
 */
export function logFiles(base: string, options: HttpSourceOptions): Files {
  const root = httpFiles(base, options);
  if (base.endsWith(API)) return root;
  const api = httpFiles(`${base}${API}`, options);
  let found: Files | undefined;
  return {
    ...root,
    async get(path, limit, signal) {
      if (found !== undefined) return await found.get(path, limit, signal);
      for (const files of [root, api]) {
        const bytes = await files.get(path, limit, signal);
        if (bytes === undefined) continue;
        if (path === 'checkpoint') found = files;
        return bytes;
      }
      return undefined;
    },
  };
}

const API = '/api/v2';

function content(url: string, { status, bytes }: Fetched): Uint8Array | undefined {
  if (status === 200) return bytes;
  if (status === 404 || status === 410) return undefined;
  if (status >= 300 && status < 400) {
    throw new ClientError(
      'bad-reply',
      `${url} answers with a redirect (status ${status}), which is not followed: give the address that it leads to, if you trust it`,
    );
  }
  if (status === NOT_IMPLEMENTED) {
    const what = 'this server does not serve the files of its log: give the URL or the directory where they are';
    throw new ClientError('refused', `${url} answers with status ${status}: ${what}`);
  }
  throw new ClientError('refused', `${url} answers with status ${status}`);
}

function retriable(status: number): boolean {
  return status === 408 || status === 429 || (status >= 500 && status !== NOT_IMPLEMENTED);
}

const NOT_IMPLEMENTED = 501;

/** Half of it at random, so that many requests that failed together do not come back together. */
function backOff(attempt: number): number {
  return Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** attempt) * (0.5 + Math.random() / 2);
}

function askedWait(outcome: Fetched | ClientError): number {
  const value = outcome instanceof ClientError ? null : outcome.headers.get('retry-after');
  return value !== null && /^[0-9]{1,6}$/.test(value) ? Math.min(LONGEST_WAIT, Number(value) * 1000) : 0;
}

async function wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(ms, undefined, signal === undefined ? {} : { signal });
  } catch (cause) {
    throw new ClientError('cancelled', 'cancelled', { cause });
  }
}
