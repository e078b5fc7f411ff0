/**
 * The settings of a rebuilder: those of a witness, but for the lists of logs that only a witness has, and which two logs it
 * rebuilds. The witness room is no import of this one, so the schema of the witness is a parameter.
 */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { type StaticDecode, type TObject, Type } from 'typebox';
import { failOn, type LoadOptions, readSettings } from '../../../merkle/runtime/config/load.ts';
import { type Setting, settingsOf } from '../../../merkle/runtime/config/settings.ts';
import { SettingsWalk } from '../../../merkle/runtime/config/settings-walk.ts';
import { count, duration, list, path, size, text } from '../../../merkle/runtime/config/values.ts';
import { parseVerifierKey } from '../../../merkle/verifier-key.ts';
import { followedLog, type RawLog } from '../../follow/config/followed-logs.ts';
import type { FeedSettings, FollowedLog } from '../../follow/types.ts';

const opt = Type.Optional;
/** More threads than this only wait for the log. */
const MAX_THREADS = 4;
const REBUILDER_PREFIX = 'STELE_REBUILDER_';
const DOCS = 'docs/index.md';
const URL_FORM = /^https?:\/\/[^\s?#]{1,240}$/;

const logSettings = (which: string, needs: string) =>
  Type.Object({
    url: opt(text(URL_FORM, 'an http(s) URL', { description: `Where ${which} is read.` })),
    dir: opt(path({ description: `In place of the URL: a directory with the files of ${which}.` })),
    keys: opt(
      list(isVerifierKey, 'verifier keys', {
        description: `The verifier keys of ${which}, all of one name.`,
        defaultText: 'those of the `log` lines in its policy',
      }),
    ),
    policy: opt(
      path({
        description: `Witness policy (c2sp.org/tlog-policy) that each checkpoint of ${which} must meet.`,
        defaultText: needs,
      }),
    ),
  });

const OWN = {
  input: logSettings('the log that is indexed', 'none: no witness has to cosign it'),
  output: logSettings('the output log of the index', 'none: no witness has to cosign it'),
  rebuild: Type.Object({
    poll: duration('100ms', '1h', {
      description: 'From the end of one look at both logs to the next. A request for a cosignature looks at once.',
      default: '5s',
    }),
    retry: duration('10ms', '1h', { description: 'Pause after a failure; it doubles up to a minute.', default: '1s' }),
    wait: duration('0s', '25s', {
      description: 'How long a request waits until the rebuild has come so far; then it gets 503 with Retry-After.',
      default: '10s',
    }),
    threads: opt(
      count('threads', 0, 64, {
        description: 'Threads that read the keys of entries; 0 takes the main thread.',
        defaultText: 'one for each core that the process may use, 4 at most',
      }),
    ),
    parallel: count('bundles', 1, 64, { description: 'Bundles fetched at once from one log.', default: 8 }),
    chunk: size('1MiB', '256MiB', { description: 'Bundles held in memory at once for one log.', default: '16MiB' }),
  }),
};

/** The settings that only a rebuilder has. */
export const RebuilderSchema = Type.Object(OWN);

type Own = StaticDecode<typeof RebuilderSchema>;

/** What stands in the configuration of a witness alone. */
const NOT_HERE = ['logs', 'poll', 'lists'] as const;
type NotHere = (typeof NOT_HERE)[number];

/** Both logs, and how they are followed. */
export interface RebuilderConfig {
  readonly input: FollowedLog;
  readonly output: FollowedLog;
  readonly settings: FeedSettings;
  readonly pollMs: number;
  readonly retryMs: number;
  readonly waitMs: number;
  readonly threads: number;
  /** Directory of the map and of the verdicts. */
  readonly dir: string;
}

/** The schema of a rebuilder. @param witness the schema of a witness */
export function rebuilderSchema(witness: TObject) {
  const shared = Object.entries(witness.properties).filter(([name]) => !NOT_HERE.some((other) => other === name));
  return Type.Object({ ...OWN, ...Object.fromEntries(shared) });
}

export function rebuilderSettings(witness: TObject): readonly Setting[] {
  return settingsOf(rebuilderSchema(witness), REBUILDER_PREFIX);
}

/**
 * The configuration of one start: that of the rebuild, and that of the witness in it.
 *
 * @param witness its schema, and what checks the rules between its settings
 * @throws RuntimeError `config` naming every setting that is unknown or wrong
 */
export function loadRebuilderConfig<D extends { readonly data: string }, C>(
  witness: { readonly WitnessSchema: TObject; readonly configOf: (decoded: D) => C },
  options: LoadOptions = {},
): { readonly rebuild: RebuilderConfig; readonly witness: C } {
  const schema = rebuilderSchema(witness.WitnessSchema);
  const { decoded } = readSettings<Own & Omit<D, NotHere>>({ schema, prefix: REBUILDER_PREFIX, docs: DOCS }, options);
  const { input, output, rebuild, ...rest } = decoded;
  const walk = new SettingsWalk({ base: process.cwd(), where: () => undefined, own: {} });
  const [from] = logOf(input, 'input', walk);
  const [to] = logOf(output, 'output', walk);
  const problems = [...walk.problems];
  if (from !== undefined && from.origin === to?.origin) {
    problems.push(`"input" and "output" are both the log "${from.origin}": the output log of an index is another one`);
  }
  failOn(problems);
  const alone = { logs: undefined, poll: 0, lists: { sources: [], refresh: 3_600_000 } };
  const own = { ...rest, ...alone } as unknown as D;
  return {
    rebuild: {
      input: from!,
      output: to!,
      settings: { partialMs: 0, parallel: rebuild.parallel, chunkBytes: rebuild.chunk },
      pollMs: rebuild.poll,
      retryMs: rebuild.retry,
      waitMs: rebuild.wait,
      threads: rebuild.threads ?? Math.min(MAX_THREADS, availableParallelism()),
      dir: join(own.data, 'rebuild'),
    },
    witness: witness.configOf(own),
  };
}

function logOf(given: Own['input'], name: 'input' | 'output', walk: SettingsWalk): FollowedLog[] {
  const { keys, url, ...rest } = given;
  const log: RawLog = {
    ...rest,
    ...(url !== undefined && { url: url.replace(/\/+$/, '') }),
    ...(keys !== undefined && keys.length > 0 && { keys: keys.map((key) => parseVerifierKey(key)) }),
  };
  return followedLog(log, [name], walk);
}

function isVerifierKey(text: string): boolean {
  try {
    parseVerifierKey(text);
    return true;
  } catch {
    return false;
  }
}
