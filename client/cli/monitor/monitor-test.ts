/** `stele monitor test`: tries rules on a bundle, an entry or a part of a log, and shows what matches and why. */
import { Command, Option } from 'commander';
import { parseBundle as parseEntries } from '../../../merkle/bundle.ts';
import { parseCheckpoint } from '../../../merkle/checkpoint.ts';
import { MerkleError } from '../../../merkle/errors.ts';
import { parseNote } from '../../../merkle/note.ts';
import { TILE_WIDTH } from '../../../merkle/tile.ts';
import { ClientError, usage } from '../../errors.ts';
import { MAX_BUNDLE, parseBundle } from '../../formats/bundle.ts';
import { counted } from '../../formats/counted.ts';
import { parseJson } from '../../formats/json.ts';
import { type LoadedRules, loadRules } from '../../monitor/config/load-monitor.ts';
import { RuleEngine } from '../../monitor/rules/engine.ts';
import { readEntry } from '../../monitor/rules/entry-reader.ts';
import { type Explained, type ExplainedAlternative, explain } from '../../monitor/rules/explain.ts';
import { Trust } from '../../monitor/rules/issuer-trust.ts';
import { escaped } from '../../monitor/rules/text.ts';
import type { Rule } from '../../monitor/rules/types.ts';
import { openSource } from '../../tiles/tiles.ts';
import { readWhole } from '../files.ts';
import { withProgress } from '../progress.ts';
import { note, printJson, reportError } from '../report.ts';
import { stopSignals } from '../signals.ts';
import { addTlsOptions, fetchOf, type TlsOptions } from '../tls-authorities.ts';

interface TestOptions extends TlsOptions {
  readonly config?: string;
  readonly rule?: string;
  readonly bundle?: string;
  readonly entry?: string;
  readonly log?: string;
  readonly from?: string;
  readonly to?: string;
  readonly all?: boolean;
  readonly json?: boolean;
}

const HELP = `
RULE is a YAML file with one rule, or a list of them; --config takes the rules of a monitor's configuration instead.
Nothing is verified here but a certificate's chain, where a configuration names "authorities": what is shown is what the
entry says of itself.

--log reads the entries from --from (included) to --to (not included); of a log only entries that alert are shown, and with
--all also those that do not.

Exit status: 0 an entry alerts, 1 none does, 2 it could not be tried.

Examples:
  stele monitor test release.yaml --bundle app.tgz.sigstore.json
  stele monitor test --config monitor.yaml --rule release --entry entry.json
  stele monitor test release.yaml --log https://log.example.com --from 0 --to 5000 --json`;

const MAX_ENTRY_FILE = 1024 * 1024;

export function monitorTestCommand(): Command {
  const command = new Command('test')
    .description('Try watch rules on a bundle, an entry or a part of a log: what matches, and why')
    .argument('[rule]', 'a file with the rule')
    .addOption(
      new Option('--config <path>', "a monitor's configuration, whose rules are tried (default: monitor.yaml)"),
    )
    .option('--rule <name>', 'only the rule of this name')
    .option('--bundle <path>', 'a Sigstore bundle: its logged entries')
    .option('--entry <path>', 'an entry as it stands in the log, or a TransparencyLogEntry in JSON')
    .option('--log <url>', 'a log, or a directory with its files')
    .option('--from <index>', 'first entry of the log', '0')
    .option('--to <index>', 'the entry after the last one (default: the end of the log)')
    .option('--all', 'show entries that do not alert too');
  return addTlsOptions(command)
    .option('--json', 'print the result as JSON; of a log, one line an entry')
    .addHelpText('after', HELP)
    .action(test);
}

interface Tested {
  readonly rules: readonly Rule[];
  readonly trust: Trust | undefined;
}

interface Tried {
  readonly index?: number;
  readonly body: Uint8Array;
}

async function test(file: string | undefined, options: TestOptions): Promise<void> {
  const { rules, authorities } = rulesOf(file, options);
  const tested: Tested = { rules, trust: authorities && new Trust(authorities) };
  const given = [options.bundle, options.entry, options.log].filter((source) => source !== undefined);
  if (given.length !== 1) throw usage('give one of --bundle, --entry and --log: what to try the rule on');
  try {
    const alerted =
      options.log === undefined ? await tryFile(tested, options) : await tryLog(tested, options.log, options);
    process.exitCode = alerted ? 0 : 1;
  } catch (error) {
    // Status 1 means that the rule was tried and does not match.
    reportError(error, options.json ?? false);
    process.exitCode = error instanceof ClientError && error.code === 'cancelled' ? 130 : 2;
  }
}

function rulesOf(file: string | undefined, { config, rule: name }: TestOptions): LoadedRules {
  if (file !== undefined && config !== undefined) {
    throw usage('a file with the rule and --config are both given: keep one');
  }
  const path = file ?? config ?? 'monitor.yaml';
  const loaded = loadRules(path);
  const { rules } = loaded;
  if (name === undefined) return loaded;
  const found = rules.filter((rule) => rule.name === name);
  if (found.length > 0) return { ...loaded, rules: found };
  const known = rules.map((rule) => rule.name).join(', ');
  throw usage(`${escaped(path)} has no rule "${escaped(name)}"; it has ${known}`);
}

async function tryFile({ rules, trust }: Tested, { bundle, entry, json }: TestOptions): Promise<boolean> {
  const tried = bundle === undefined ? [await entryFile(entry!)] : await bundleEntries(bundle);
  const results = tried.map(({ index, body }) => ({
    ...(index === undefined ? {} : { index }),
    rules: rules.map((rule) => explain(rule, readEntry(body), undefined, trust)),
  }));
  const alerts = results.flatMap((result) => result.rules).filter(alertsIn).length;
  if (json) printJson({ ok: true, alerts, entries: results });
  else for (const { index, rules: explained } of results) printLines(explained.flatMap((one) => lines(one, index)));
  return alerts > 0;
}

async function bundleEntries(path: string): Promise<Tried[]> {
  const { entries } = parseBundle(await readWhole(path, MAX_BUNDLE, 'a bundle'));
  if (entries.length === 0) throw usage(`${escaped(path)} holds no logged entry: nothing to try the rule on`);
  return entries.map(({ index, body }) => ({ index, body }));
}

/** Reads the body of an entry, or a log's answer about it. */
async function entryFile(path: string): Promise<Tried> {
  const bytes = await readWhole(path, MAX_ENTRY_FILE, 'an entry');
  let value: unknown;
  try {
    value = parseJson(bytes, 'the entry', MAX_ENTRY_FILE);
  } catch {
    return { body: bytes };
  }
  const { canonicalizedBody: body, logIndex } = (value ?? {}) as { canonicalizedBody?: unknown; logIndex?: unknown };
  if (typeof body !== 'string') return { body: bytes };
  const index = Number(logIndex);
  return { body: Buffer.from(body, 'base64'), ...(Number.isSafeInteger(index) ? { index } : {}) };
}

async function tryLog({ rules, trust }: Tested, location: string, options: TestOptions): Promise<boolean> {
  const source = openSource(location, { fetch: await fetchOf(options) });
  const engine = new RuleEngine(rules, trust);
  const stopped = new AbortController();
  void stopSignals().then(() => stopped.abort());
  let alerts = 0;
  let done = 0;
  let unreadable = 0;
  try {
    const { origin, size } = await head(source.checkpoint(stopped.signal));
    const from = indexOf('--from', options.from ?? '0');
    const to = options.to === undefined ? size : indexOf('--to', options.to);
    if (from >= to || to > size) {
      throw usage(`--from ${from} --to ${to} is no part of the log, which has ${size} entries`);
    }
    await withProgress('reading the log', 'entries', async (update) => {
      for (let bundle = Math.floor(from / TILE_WIDTH); bundle * TILE_WIDTH < to; bundle++) {
        const first = bundle * TILE_WIDTH;
        const width = Math.min(TILE_WIDTH, size - first);
        const bodies = parseEntries(await source.entries(bundle, width, stopped.signal), width);
        for (let index = Math.max(first, from); index < Math.min(first + width, to); index++) {
          const entry = readEntry(bodies[index - first]!);
          if (entry.problem !== undefined) unreadable++;
          const hits = engine.match(entry, origin);
          alerts += hits.length;
          // An explanation takes a hundred times as long as a comparison.
          const asked = options.all ? rules : hits.map(({ rule }) => rules[rule]!);
          if (asked.length === 0) continue;
          const shown = asked.map((rule) => explain(rule, entry, origin, trust));
          if (options.json) process.stdout.write(`${JSON.stringify({ index, rules: shown })}\n`);
          else printLines(shown.flatMap((one) => lines(one, index)));
        }
        done = Math.min(first + width, to) - from;
        update(done, to - from);
      }
    });
  } catch (error) {
    if (stopped.signal.aborted) throw new ClientError('cancelled', `interrupted after ${done} entries`);
    throw error;
  } finally {
    await source.close();
  }
  note(
    `${counted(done, 'entry', 'entries')} tried with ${counted(rules.length, 'rule')}: ${counted(alerts, 'alert')}, ${counted(unreadable, 'entry', 'entries')} not readable in full`,
  );
  return alerts > 0;
}

/** Origin and size from the log's checkpoint, whose signature is not checked here. */
async function head(checkpoint: Promise<Uint8Array>): Promise<{ origin: string; size: number }> {
  try {
    return parseCheckpoint(parseNote(await checkpoint).text);
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw new ClientError('bad-checkpoint', `the log's checkpoint is none: ${cause.message}`, { cause });
  }
}

function indexOf(option: string, text: string): number {
  if (/^(0|[1-9][0-9]{0,15})$/.test(text) && Number.isSafeInteger(Number(text))) return Number(text);
  throw usage(`${option} is not a whole number`);
}

function alertsIn({ outcome }: Explained): boolean {
  return outcome !== 'none' && outcome !== 'expected';
}

const OUTCOMES: Readonly<Record<Explained['outcome'], string>> = {
  match: 'MATCH: this alerts',
  unexpected: 'UNEXPECTED: this alerts',
  unreadable: 'UNREADABLE: it looks like something that is watched, and this alerts',
  expected: 'expected: watched, and as it should be',
  none: 'no match',
};

function lines(explained: Explained, index: number | undefined): string[] {
  const { rule, outcome, kind, problem, signers } = explained;
  return [
    `${index === undefined ? 'entry' : `entry ${index}`} (${kind || 'of no known kind'}), rule "${rule}": ${OUTCOMES[outcome]}`,
    ...(problem === undefined ? [] : [`  could not be read in full: ${problem}`]),
    ...signers.flatMap(({ names, key, watch, expect }) => [
      `  signer ${names.join(', ') || (key === undefined ? 'unknown' : `key ${key}`)}`,
      ...alternatives('watch', watch),
      ...alternatives('expect', expect ?? []),
    ]),
  ];
}

function alternatives(of: string, list: readonly ExplainedAlternative[]): string[] {
  return list.flatMap(({ holds, conditions }, i) => [
    `    ${of}[${i}] ${holds ? 'holds' : 'does not hold'}`,
    ...conditions.flatMap(({ field, wanted, got, holds: is }) => [
      `      ${is ? 'yes' : 'no '} ${field}`,
      `            wanted ${wanted}`,
      `            got    ${got.join(', ') || 'nothing'}`,
    ]),
  ]);
}

function printLines(text: readonly string[]): void {
  process.stdout.write(`${text.join('\n')}\n`);
}
