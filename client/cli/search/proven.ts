/** `stele search --proven`: what a verifiable index proves about an exact search, compared with the hits of the plain index. */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { MAX_POLICY, type Policy } from '../../../merkle/policy.ts';
import { printable } from '../../../merkle/printable.ts';
import { nodeNotePrimitives } from '../../../merkle/runtime/crypto/verify.ts';
import type { VerifierKey } from '../../../merkle/verifier-key.ts';
import { timeText } from '../../../merkle/x509/utc-time.ts';
import { ClientError, usage } from '../../errors.ts';
import { counted } from '../../formats/counted.ts';
import type { ProvenLookup } from '../../search/check-lookup.ts';
import type { IndexRequests } from '../../search/index-client.ts';
import type { LookupTrust } from '../../search/lookup-trust.ts';
import type { SearchTrust } from '../../search/search-log.ts';
import type { SearchQuery } from '../../search/types.ts';
import type { TreeHead } from '../../tiles/types.ts';
import { parseCheckpointKey } from '../../trust/log-key.ts';
import { parseTrustPolicy } from '../../trust/quorum.ts';
import { readWhole, verifierKeyText } from '../files.ts';

export interface ProvenOptions {
  readonly proven?: boolean;
  readonly outputKey?: string;
  readonly outputPolicy?: string;
  readonly outputLog?: string;
  readonly rebuilders?: string;
  readonly logUrl?: string;
  readonly memory?: string;
}

/** Whom to trust about the output log of the index, as the options say. */
export interface OutputTrust {
  readonly keys: readonly VerifierKey[];
  readonly policy: Policy | undefined;
  readonly rebuilders: Policy | undefined;
  readonly places: { readonly input: string | undefined; readonly output: string | undefined };
  readonly memory: string;
}

/** What lookups prove about one log. */
export interface Proof {
  /** Nothing is missing among the entries below it. */
  readonly through: number;
  /** All entries that have what was searched for. */
  readonly indexes: ReadonlySet<number>;
  readonly last: ProvenLookup;
}

/** What was found without the proof. */
export interface Shown {
  readonly hits: ReadonlySet<number>;
  /** Size of the tree that the hits are of; absent where none was answered. */
  readonly size?: number;
  /** Whether hits and proof are known to be of one history of the log. */
  readonly oneHistory: boolean;
}

/** Undefined where no lookup is asked for. @throws ClientError `usage`, `policy`, `file`, `log-key` */
export async function readOutputTrust(options: ProvenOptions): Promise<OutputTrust | undefined> {
  const { proven, outputKey, outputPolicy, outputLog, rebuilders, logUrl } = options;
  const needed = proven === true || (outputKey ?? outputPolicy ?? rebuilders ?? outputLog) !== undefined;
  if (!needed) return undefined;
  const policyOf = async (path: string) => parseTrustPolicy(await readWhole(path, MAX_POLICY, 'a policy'));
  const policy = outputPolicy === undefined ? undefined : await policyOf(outputPolicy);
  const own = outputKey === undefined ? [] : [parseCheckpointKey(await verifierKeyText(outputKey), nodeNotePrimitives)];
  const keys = own.length > 0 ? own : (policy?.logs.map(({ key }) => key) ?? []);
  if (keys.length === 0)
    throw usage('say whom to trust about the output log of the index: --output-policy or --output-key');
  if (keys.some(({ name }) => name !== keys[0]!.name))
    throw usage('--output-policy names several logs: add --output-key');
  const others = rebuilders === undefined ? undefined : await policyOf(rebuilders);
  if (proven === true && others?.quorum === undefined) {
    throw usage('--proven needs --rebuilders: a policy with a quorum of those who have rebuilt the index');
  }
  const places = { input: logUrl, output: outputLog ?? placeOf(policy, keys[0]!.name) };
  return { keys, policy, rebuilders: others, places, memory: options.memory ?? memoryDir() };
}

/** Where the policy says that this log is. */
function placeOf(policy: Policy | undefined, origin: string): string | undefined {
  return policy?.logs.find(({ key, url }) => url !== undefined && key.name === origin)?.url;
}

/** A query whose answer can be proven. @throws ClientError `usage` */
export function checkProvable({ terms, after, before }: Omit<SearchQuery, 'log'>): void {
  if (terms.some(({ match }) => match !== 'exact')) {
    throw usage('only an exact search is proven: leave out --prefix and --re2, or what asks for a proof');
  }
  if ((after ?? before) !== undefined)
    throw usage('no time is proven: leave out --after and --before, or use --from and --to');
}

/**
 * Looks up each term of each query.
 *
 * @throws ClientError `bad-index`: a lookup does not hold; those of a request
 */
export async function prove(
  {
    index,
    log,
    queries,
    trust,
    output,
  }: {
    readonly index: string;
    readonly log: string;
    readonly queries: readonly Omit<SearchQuery, 'log'>[];
    readonly trust: SearchTrust;
    readonly output: OutputTrust;
  },
  requests: IndexRequests,
): Promise<Proof> {
  const [{ lookUp }, { readLookupMemory, writeLookupMemory }, { openSource }] = await Promise.all([
    import('../../search/lookup-client.ts'),
    import('../../search/lookup-memory-store.ts'),
    import('../../tiles/tiles.ts'),
  ]);
  const whom = lookupTrust(log, trust, output);
  let memory = await readLookupMemory(output.memory, whom);
  let through = Number.POSITIVE_INFINITY;
  let last: ProvenLookup | undefined;
  const indexes = new Set<number>();
  const open = (place: string) => openSource(place, { fetch: requests.fetch });
  const places = { ...output.places, input: output.places.input ?? placeOf(trust.policy, log) };
  for (const { terms, from = 0, to = Number.POSITIVE_INFINITY } of queries) {
    let all: Set<number> | undefined;
    for (const { kind, value } of terms) {
      const key = { kind, value };
      last = await lookUp({ ...requests, index, key, trust: whom, memory, places, open });
      memory = last.memory;
      through = Math.min(through, last.completeThrough);
      const found = last.indexes.filter((at) => all === undefined || all.has(at));
      all = new Set(found);
    }
    for (const at of all ?? []) if (at >= from && at < to) indexes.add(at);
  }
  // Lookups of several keys may be of several trees, and the smallest of them is what all are about.
  for (const at of indexes) if (at >= through) indexes.delete(at);
  await writeLookupMemory(output.memory, whom, memory);
  return { through, indexes, last: last! };
}

/**
 * Whether the hits and the proof are of one history of the log: a log that forks could show each of them another one. False where
 * nothing tells: the trees have two sizes, and there are no tiles.
 *
 * @throws ClientError `bad-index`: they are not; `corrupt`: the tiles do not tell; `cancelled`
 */
export async function haveOneHistory(
  page: TreeHead,
  { last: { input } }: Proof,
  { places }: OutputTrust,
  { fetch, signal }: IndexRequests,
): Promise<boolean> {
  const [older, newer] = page.size <= input.size ? [page, input] : [input, page];
  const trees = `trees of ${older.size} and of ${newer.size} entries`;
  if (older.size !== newer.size && places.input === undefined) return false;
  const [{ openSource }, { isBeginning, tilesOf }, { fastSha256 }] = await Promise.all([
    import('../../tiles/tiles.ts'),
    import('../../tiles/tree-proofs.ts'),
    import('../../../merkle/runtime/crypto/hash.ts'),
  ]);
  const noTiles = () => Promise.reject(new Error('two trees of one size need no tiles'));
  const source = older.size === newer.size ? undefined : openSource(places.input!, { fetch });
  try {
    const is = await isBeginning(older, newer, source === undefined ? noTiles : tilesOf(source, signal), fastSha256);
    if (is === true) return true;
    if (is === undefined) {
      throw new ClientError(
        'corrupt',
        `the tiles of the log do not prove that the hits and the proof are of one history: ${trees}`,
      );
    }
  } finally {
    await source?.close();
  }
  throw new ClientError(
    'bad-index',
    `the log shows two histories: the hits and the proof are of ${trees}, and not of one log`,
  );
}

/**
 * The hits that the plain index left out or invented, of those that the proof is about.
 *
 * @param range only hits there were asked for and fetched: [from, to)
 */
export function compareHits(
  { indexes, through }: Proof,
  { hits, size = 0 }: Shown,
  range: { readonly from: number; readonly to: number },
): ClientError[] {
  const within = (at: number) => at >= range.from && at < Math.min(range.to, through);
  const left = [...indexes].filter((at) => within(at) && !hits.has(at));
  const invented = [...hits].filter((at) => within(at) && !indexes.has(at));
  return [
    ...left.map((at) => {
      const why = at < size ? '' : ` (it answered about the first ${size} entries only: ask again)`;
      return new ClientError('bad-index', `the index left out entry ${at}, which its verifiable index proves${why}`);
    }),
    ...invented.map(
      (at) => new ClientError('bad-index', `the index invented entry ${at}, which its verifiable index does not have`),
    ),
  ];
}

export function proofLines(
  log: string,
  { through, indexes, last }: Proof,
  { hits, size, oneHistory }: Shown,
): string[] {
  const of = `the first ${counted(through, 'entry', 'entries')} of ${printable(log)}`;
  const hidden = [...indexes].filter((at) => !hits.has(at)).length;
  const other =
    hidden === 0 ? 'there is no other' : `there are ${indexes.size}, of which ${hidden} are not shown above`;
  const what = indexes.size === 0 ? `in ${of} there is none` : `in ${of} ${other}`;
  const { rebuilders, output } = last;
  const names = rebuilders.map(({ witness }) => printable(witness)).join(', ');
  const claim =
    last.rebuilt === undefined
      ? `Complete by the output log ${printable(output.origin)} alone, whose operator is believed (--rebuilders asks for more): ${what}.`
      : `Complete: proven by ${counted(rebuilders.length, 'rebuilder')} (${names}), ${timeText(last.rebuilt * 1000)}: ${what}.`;
  return [
    `  ${claim}`,
    ...(size !== undefined && size > through
      ? [
          `  Of the ${counted(size - through, 'entry', 'entries')} after these, that no hit was left out is the word of the index.`,
        ]
      : []),
    ...(oneHistory
      ? []
      : [
          '  That hits and proof are of one history of the log was not checked (--log-url, or a policy with witnesses).',
        ]),
  ];
}

export function proofJson({ through, indexes, last }: Proof, { oneHistory }: Shown): object {
  const { rebuilders, rebuilt, output } = last;
  const shown = rebuilders.map(({ witness, timestamp }) => ({ name: witness, time: timeText(timestamp * 1000) }));
  return {
    through,
    by: rebuilt === undefined ? 'the output log' : 'rebuilders',
    proven: rebuilt !== undefined,
    present: indexes.size > 0,
    oneHistory,
    indexes: [...indexes].sort((a, b) => a - b),
    rebuilders: shown,
    output: { origin: output.origin, size: output.size },
  };
}

function lookupTrust(log: string, trust: SearchTrust, { keys, policy, rebuilders }: OutputTrust): LookupTrust {
  const named = (trust.policy?.logs ?? []).map(({ key }) => key).filter(({ name }) => name === log);
  const own = trust.logKey?.name === log ? [trust.logKey] : named;
  if (own.length === 0) throw usage(`a proof needs the key of ${printable(log)} itself: give --log-key or --policy`);
  return {
    input: { origin: log, keys: own, ...(trust.policy !== undefined && { policy: trust.policy }) },
    output: { origin: keys[0]!.name, keys, ...(policy !== undefined && { policy }) },
    ...(rebuilders !== undefined && { rebuilders }),
  };
}

function memoryDir(): string {
  const { XDG_STATE_HOME: state } = process.env;
  const base = state !== undefined && state !== '' ? resolve(state) : join(homedir(), '.local', 'state');
  return join(base, 'stele', 'lookups');
}
