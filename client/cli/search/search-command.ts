/** `stele search`: asks an index for entries, and checks each of them. */
import { Command, Option } from 'commander';
import { KEY_KINDS } from '../../../merkle/index/keys.ts';
import { printable } from '../../../merkle/printable.ts';
import { timeOfText } from '../../../merkle/x509/utc-time.ts';
import { ClientError, type ClientErrorCode, usage } from '../../errors.ts';
import type { DescribedIndexLog } from '../../search/search-json.ts';
import type { SearchTrust } from '../../search/search-log.ts';
import type { SearchQuery } from '../../search/types.ts';
import { collect } from '../program.ts';
import { describe, exitStatus, printJson, reportError, writeOut } from '../report.ts';
import { addTlsOptions, fetchOf, type TlsOptions } from '../tls-authorities.ts';
import { addTrustOptions, type TrustOptions } from '../trust-options.ts';
import {
  checkProvable,
  compareHits,
  haveOneHistory,
  type OutputTrust,
  type Proof,
  type ProvenOptions,
  proofJson,
  proofLines,
  prove,
  readOutputTrust,
  type Shown,
} from './proven.ts';
import { endJson, endLines, hitJson, hitLine, type LogFinds } from './search-report.ts';
import { searchTerms, type TermOptions } from './search-terms.ts';

interface SearchOptions extends TermOptions, TrustOptions, TlsOptions, ProvenOptions {
  readonly index?: string;
  readonly log?: readonly string[];
  readonly from?: string;
  readonly to?: string;
  readonly after?: string;
  readonly before?: string;
  readonly limit: string;
  readonly all?: boolean;
  readonly descending?: boolean;
  readonly logKey?: string;
  readonly policy?: string;
  readonly trustedRoot?: string;
  readonly lastCheckpoint?: readonly string[];
  readonly timeout: string;
  readonly json?: boolean;
}

/** Hits of one request, whatever the limit of all. */
const PAGE = 1000;
const MAX_LIMIT = 1_000_000;
/** Not a lie of the index: it could not be asked, or answers as no index does. */
const NOT_ASKED: readonly ClientErrorCode[] = ['network', 'unavailable', 'refused', 'bad-reply', 'missing'];

const HELP = `
Each hit is checked here: its proof leads to a checkpoint that a trusted log signed (and the quorum of --policy cosigned), and its
entry has what was asked for. That no hit was left out is the word of the index, and this command says so; with the trust in the
output log of a verifiable index (--output-policy) an exact search is proven complete, and --proven demands that rebuilders say so. An entry's own
signature, and who may sign, is not judged: \`stele verify\` and \`stele decide\` do that.

--digest takes a file, which is hashed here and goes nowhere, or a digest. Without --log every log is asked that the index has and
the trust knows. --after and --before compare the time at which the index first had a checkpoint over the entry: no client can
check that, and it says no more than that the entry was there by then.

Exit status: 0 every hit holds (also where there is none), 1 one does not or the index lies, 2 it could not be asked.

Examples:
  stele search --index https://index.example.com --digest app.tgz --policy trust/policy
  stele search --index https://index.example.com --identity release@example.com --issuer https://accounts.example.com
  stele search --index https://index.example.com --identity https://github.com/example/ --prefix --all --json
  stele search --index https://index.example.com --key app.tgz.pub.pem --from 100000 --log-key log.vkey
  stele search --index https://index.example.com --kind unreadable --descending --limit 5
  stele search --index https://index.example.com --digest app.tgz --policy log.policy --proven \\
    --output-policy output.policy --output-log https://output.example.com --rebuilders rebuilders.policy`;

export function searchCommand(): Command {
  const command = new Command('search')
    .description('Ask an index for entries of logs by what is in them, and check each')
    .option('--index <url>', 'the index; STELE_INDEX names one too')
    .option('--digest <file|digest>', 'entries about this file, or about sha256:HEX, sha384:HEX or sha512:HEX')
    .option('--identity <name>', 'entries by this name in a certificate: e-mail, URI (SPIFFE ID), DNS or user name')
    .option('--issuer <url>', 'entries by an identity that this provider vouched for')
    .option('--key <file|sha256>', 'entries by this public key (PEM), or by the key with this SHA-256 in hex')
    .option(
      '--extension <name=value>',
      'entries with this extension of Fulcio, by name or OID; can be repeated',
      collect,
    )
    .addOption(new Option('--kind <kind>', 'entries of this kind: hashedrekord, dsse, …, opaque, unreadable'))
    .option('--prefix', '--identity, --issuer and --extension say how the text begins')
    .option('--re2', '--identity, --issuer and --extension are patterns (RE2) that are found in the text')
    .option('--log <origin>', 'only this log; can be repeated', collect)
    .option('--from <index>', 'only entries from this index on')
    .option('--to <index>', 'only entries below this index')
    .option('--after <time>', 'only entries whose time is this or later (RFC 3339)')
    .option('--before <time>', 'only entries whose time is earlier (RFC 3339)')
    .option('--limit <n>', 'hits of each log, at most', '100')
    .option('--all', 'all hits, however many')
    .option('--descending', 'the newest first')
    .option('--log-key <vkey>', "the log's verifier key, or a file with it: its checkpoint must be signed with it")
    .option('--policy <path>', 'trust policy (tlog-policy): its log must have signed, its quorum of witnesses cosigned')
    .option('--trusted-root <path>', "Sigstore's trusted_root.json: a log in it must have signed")
    .option(
      '--last-checkpoint <path>',
      'the last checkpoint of a frozen log: what leads beyond it is refused',
      collect,
    );
  command
    .option('--proven', 'demand that enough of --rebuilders have proven that no hit is missing')
    .option('--output-policy <path>', 'trust policy of the output log of a verifiable index: asks it for a proof')
    .option('--output-key <vkey>', 'verifier key of that output log, or a file with it')
    .option('--output-log <url>', 'where that output log is, to prove that it only grew (default: as its policy says)')
    .option('--rebuilders <path>', 'policy whose witnesses are the rebuilders of the index, and how many must cosign')
    .option('--log-url <url>', 'where the log is, to prove that it only grew (default: as --policy says)')
    .option('--memory <dir>', 'what is remembered of output logs (default: stele/lookups in XDG_STATE_HOME)');
  return addTlsOptions(addTrustOptions(command))
    .option('--timeout <seconds>', 'how long one answer of the index may take', '30')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', HELP)
    .action(search);
}

async function search(options: SearchOptions): Promise<void> {
  const stop = new AbortController();
  const interrupted = () => stop.abort();
  process.once('SIGINT', interrupted);
  try {
    await new Search(options, await prepared(options, stop.signal)).run();
  } finally {
    process.removeListener('SIGINT', interrupted);
  }
}

interface Prepared {
  readonly index: string;
  /** One query for each list of terms. */
  readonly queries: readonly Omit<SearchQuery, 'log'>[];
  readonly trust: SearchTrust;
  readonly most: number;
  readonly output: OutputTrust | undefined;
  readonly requests: {
    readonly timeoutMs: number;
    readonly signal: AbortSignal;
    readonly fetch: typeof fetch | undefined;
  };
}

async function prepared(options: SearchOptions, signal: AbortSignal): Promise<Prepared> {
  const { parseLogUrl } = await import('../../submit/log-url.ts');
  const { readVerifyTrust } = await import('../verify/verify-trust.ts');
  const given = options.index ?? process.env.STELE_INDEX;
  if (given === undefined || given === '') throw usage('name the index: --index https://index.example.com');
  const index = parseLogUrl(given, 'an index');
  const { kind, limit, all, timeout, from, to, after, before } = options;
  if (kind === '') throw usage(`--kind is empty; kinds of keys are ${KEY_KINDS.join(', ')}`);
  if (all === true && limit !== '100') throw usage('--all and --limit say how many hits: keep one');
  const most = all === true ? Number.POSITIVE_INFINITY : whole(limit, '--limit', MAX_LIMIT);
  if (most < 1) throw usage('--limit is 1 at least');
  const range = {
    ...(from !== undefined && { from: whole(from, '--from') }),
    ...(to !== undefined && { to: whole(to, '--to') }),
    ...(after !== undefined && { after: time(after, '--after') }),
    ...(before !== undefined && { before: time(before, '--before') }),
    ...(options.descending === true && { order: 'descending' as const }),
  };
  if (range.from !== undefined && range.to !== undefined && range.from >= range.to) {
    throw usage(`no entry is from ${range.from} on and before ${range.to}: --from must be less than --to`);
  }
  const timeoutMs = whole(timeout, '--timeout', 86_400) * 1000;
  const trust = await readVerifyTrust(trustOptions(options));
  const terms = await searchTerms(options, signal);
  const queries = terms.map((one) => ({ terms: one, ...range, limit: Math.min(PAGE, most) }));
  const output = await readOutputTrust(options);
  if (output !== undefined) for (const query of queries) checkProvable(query);
  return { index, queries, trust, most, output, requests: { timeoutMs, signal, fetch: await fetchOf(options) } };
}

function trustOptions({ logKey, policy, trustedRoot, lastCheckpoint, trust, maxTrustAge }: SearchOptions) {
  return {
    ...(logKey !== undefined && { logKey }),
    ...(policy !== undefined && { policy }),
    ...(trustedRoot !== undefined && { trustedRoot }),
    ...(lastCheckpoint !== undefined && { lastCheckpoint }),
    ...(trust !== undefined && { trust }),
    ...(maxTrustAge !== undefined && { maxTrustAge }),
  };
}

/** One run of the command: asks log after log, prints hits as they come, and keeps what the end says. */
class Search {
  readonly #options: SearchOptions;
  readonly #prepared: Prepared;
  readonly #hits: object[] = [];
  readonly #finds: LogFinds[] = [];
  readonly #errors: { readonly log?: string; readonly error: unknown }[] = [];
  /** By log. */
  readonly #proofs = new Map<string, { readonly proof: Proof; readonly shown: Shown }>();
  /** Logs of the index that the trust does not know. */
  readonly #unknown: string[] = [];

  constructor(options: SearchOptions, prepared: Prepared) {
    this.#options = options;
    this.#prepared = prepared;
  }

  async run(): Promise<void> {
    try {
      for (const log of await this.#logs()) await this.#searchLog(log);
    } catch (error) {
      if (error instanceof ClientError && error.code === 'cancelled') throw error;
      this.#fail(undefined, error);
    }
    this.#end();
  }

  /** The origins to ask. */
  async #logs(): Promise<readonly string[]> {
    const { fetchIndexDescription } = await import('../../search/index-client.ts');
    const { index, requests, trust } = this.#prepared;
    const { logs } = await fetchIndexDescription(index, requests);
    const { log: named } = this.#options;
    if (named !== undefined) {
      const missing = named.filter((origin) => !logs.some((log) => log.origin === origin));
      for (const origin of missing) this.#fail(origin, notThere(origin));
      return named.filter((origin) => !missing.includes(origin));
    }
    const expected = [
      ...(trust.policy?.logs ?? []).map(({ key }) => key.name),
      ...(trust.logKey ? [trust.logKey.name] : []),
    ];
    for (const origin of new Set(expected)) {
      if (!logs.some((log) => log.origin === origin)) this.#fail(origin, notThere(origin));
    }
    const known = [];
    for (const log of logs) {
      if (await this.#isKnown(log, expected)) known.push(log.origin);
      else this.#unknown.push(log.origin);
    }
    if (known.length > 0 || this.#errors.length > 0) return known;
    const why = logs.length === 0 ? 'has no log' : 'has no log that the trust knows';
    throw new ClientError(
      'missing',
      `the index ${why}: ask another one, or trust a log of it (--log-key, --policy, --trusted-root)`,
    );
  }

  /** Whether the trust knows the log. One that is not ready yet, or whose checkpoint does not hold, says so when it is asked. */
  async #isKnown({ origin, tree }: DescribedIndexLog, expected: readonly string[]): Promise<boolean> {
    if (expected.includes(origin)) return true;
    if (tree === undefined || this.#prepared.trust.trustedRoot === undefined) return false;
    const { isKnownLog } = await import('../../search/search-log.ts');
    return isKnownLog(tree.checkpoint, this.#prepared.trust);
  }

  async #searchLog(log: string): Promise<void> {
    const { queries } = this.#prepared;
    const finds: { -readonly [Name in keyof LogFinds]: LogFinds[Name] } = { log, hits: 0, failed: 0, more: false };
    const { searchLog } = await import('../../search/search-log.ts');
    const { index, trust, most, requests, output } = this.#prepared;
    const seen = new Set<number>();
    // Before the search, so that the hits are of no older tree than the proof.
    const proof = output && (await this.#lookUp(log, output));
    try {
      for (const query of queries) {
        for await (const page of searchLog({ index, query: { ...query, log }, trust, ...requests })) {
          // Several queries may be about several trees: the answer is complete through the smallest.
          if (finds.page === undefined || page.size <= finds.page.size) finds.page = page;
          const taken = page.hits.slice(0, Math.max(0, most - finds.hits));
          for (const hit of taken) {
            seen.add(hit.index);
            this.#hit(log, hit, finds);
          }
          if (finds.hits >= most) {
            finds.more ||= taken.length < page.hits.length || page.next !== undefined;
            break;
          }
        }
      }
    } catch (error) {
      if (error instanceof ClientError && error.code === 'cancelled') throw error;
      this.#fail(log, error);
    }
    this.#finds.push(finds);
    if (this.#options.json !== true) this.#write(endLines(finds));
    if (output !== undefined && proof !== undefined) await this.#compare(proof, finds, seen, output);
  }

  /** Asks the verifiable index for the same. */
  async #lookUp(log: string, output: OutputTrust): Promise<Proof | undefined> {
    const { index, queries, trust, requests } = this.#prepared;
    try {
      return await prove({ index, log, queries, trust, output }, requests);
    } catch (error) {
      if (error instanceof ClientError && error.code === 'cancelled') throw error;
      this.#fail(log, error);
      return undefined;
    }
  }

  /** Names what the hits lack or have too much by the proof. */
  async #compare(proof: Proof, finds: LogFinds, hits: ReadonlySet<number>, output: OutputTrust): Promise<void> {
    const { log, page } = finds;
    const { queries, trust, requests } = this.#prepared;
    // An honest quorum of witnesses sees one history only.
    let oneHistory = trust.policy?.quorum !== undefined;
    try {
      if (page !== undefined) oneHistory = (await haveOneHistory(page, proof, output, requests)) || oneHistory;
    } catch (error) {
      if (error instanceof ClientError && error.code === 'cancelled') throw error;
      this.#fail(log, error);
      return;
    }
    const shown = { hits, oneHistory, ...(page !== undefined && { size: page.size }) };
    // Hits behind the last one that was fetched were not asked for.
    const ends = [...hits];
    const cut = finds.more && ends.length > 0;
    const descending = this.#options.descending === true;
    const range = {
      from: cut && descending ? Math.min(...ends) : 0,
      to: cut && !descending ? Math.max(...ends) + 1 : Number.POSITIVE_INFINITY,
    };
    // A limit ends the first of several queries, and the others are not asked for all of their hits.
    const partly = page === undefined || (cut && queries.length > 1);
    const wrong = partly ? [] : compareHits(proof, shown, range);
    for (const error of wrong) this.#fail(log, error);
    this.#proofs.set(log, { proof, shown });
    if (this.#options.json !== true && wrong.length === 0) this.#write(proofLines(log, proof, shown));
  }

  #hit(log: string, hit: Parameters<typeof hitLine>[0], finds: { hits: number; failed: number }): void {
    finds.hits++;
    if (!hit.ok) {
      finds.failed++;
      this.#fail(log, hit.error);
    }
    if (this.#options.json === true) this.#hits.push(hitJson(log, hit));
    else this.#write([hitLine(hit)]);
  }

  #fail(log: string | undefined, error: unknown): void {
    this.#errors.push({ ...(log !== undefined && { log }), error });
  }

  #write(lines: readonly string[]): void {
    writeOut(`${lines.join('\n')}\n`);
  }

  #end(): void {
    // Something that does not hold counts more than what could not be asked.
    const lie = this.#errors.find(({ error }) => isWrong(error));
    const exit = lie !== undefined ? 1 : this.#errors.length > 0 ? 2 : 0;
    const worst = lie ?? this.#errors[0];
    if (this.#options.json === true) {
      const errors = this.#errors.map(({ log, error }) => ({ ...(log !== undefined && { log }), ...codeOf(error) }));
      printJson({
        ok: exit === 0,
        ...(worst && { error: codeOf(worst.error) }),
        hits: this.#hits,
        logs: this.#finds.map((finds) => {
          const proof = this.#proofs.get(finds.log);
          return proof === undefined
            ? endJson(finds)
            : { ...endJson(finds), complete: proofJson(proof.proof, proof.shown) };
        }),
        notTrusted: this.#unknown,
        errors,
      });
    } else {
      if (this.#finds.some(({ log, page }) => page !== undefined && !this.#proofs.has(log))) {
        this.#write([
          'That no hit was left out is the word of the index. --proven demands the proof, where the log has a verifiable index.',
        ]);
      }
      if (this.#unknown.length > 0) {
        const names = this.#unknown.slice(0, 10).map(printable).join(', ');
        this.#write([`Not asked, as the trust does not know them: ${names}${this.#unknown.length > 10 ? ', …' : ''}`]);
      }
    }
    for (const { error } of this.#errors.slice(0, MAX_ERRORS)) reportError(error, false);
    process.exitCode = exit;
  }
}

/** Errors that are printed. */
const MAX_ERRORS = 20;

/** Whether the index was asked and what it answered does not hold. */
function isWrong(error: unknown): boolean {
  return exitStatus(error) === 1 && !(error instanceof ClientError && NOT_ASKED.includes(error.code));
}

function codeOf(error: unknown): { readonly code: string; readonly message: string } {
  const { code, message } = describe(error);
  return { code, message };
}

function notThere(origin: string): ClientError {
  return new ClientError(
    'missing',
    `the index does not have the log ${printable(origin)}: nobody asked whether something is there`,
  );
}

/** @throws ClientError `usage` */
function whole(text: string, flag: string, most = Number.MAX_SAFE_INTEGER): number {
  const value = /^(0|[1-9][0-9]{0,15})$/.test(text) ? Number(text) : Number.NaN;
  if (value <= most) return value;
  throw usage(
    `${flag} ${printable(text)} is not a whole number${most === Number.MAX_SAFE_INTEGER ? '' : ` up to ${most}`}`,
  );
}

/** Milliseconds since 1970. @throws ClientError `usage` */
function time(text: string, flag: string): number {
  const value = timeOfText(text);
  if (value !== undefined) return value;
  throw usage(`${flag} ${printable(text)} is not a time of RFC 3339, like 2026-08-01T12:00:00Z`);
}
