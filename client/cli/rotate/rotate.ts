/**
 * The rotation of a log: its shard is frozen with a pinned last checkpoint, and a new shard with another origin and another key
 * takes its place.
 *
 * | step     | what is done                                                            | a crash behind it leaves            |
 * |----------|-------------------------------------------------------------------------|-------------------------------------|
 * | prepare  | directory, key and record of the next shard; the running log takes it up | a shard that takes no entries      |
 * | witness  | enough witnesses for the quorum of the policy know its key              | the same                            |
 * | announce | clients and monitors can learn of the next key, and still write before  | the same, and clients know its key  |
 * | freeze   | the shard before it ends; its last checkpoint is pinned                 | no shard that takes entries         |
 * | trust    | clients get the end of the old key, and write to the next shard         | the same, and clients wait for it   |
 * | open     | the next shard takes entries                                            | the rotation is done                |
 *
 * No file says how far a rotation has come: the shards and the published trust files do. So each step looks at what is there,
 * and a repeat does what is left. At every moment at most one shard takes entries (server/shards/shards.ts).
 */
import { decodeUtf8, equal } from '../../../merkle/bytes.ts';
import { parseVerifierKey } from '../../../merkle/note.ts';
import { MAX_POLICY } from '../../../merkle/policy.ts';
import { parseSpki, pointOf } from '../../../merkle/rekor/spki.ts';
import { openSigner } from '../../../merkle/runtime/keys/open-signer.ts';
import type { KeySpec } from '../../../merkle/runtime/keys/types.ts';
import type { Logger } from '../../../merkle/runtime/service/logger.ts';
import { usage } from '../../errors.ts';
import { servicesBeside, trustFiles } from '../../trust/trust-files.ts';
import { calledAs, shellWord } from '../called-as.ts';
import { readWhole } from '../files.ts';
import { note, warn } from '../report.ts';
import type { ServerMain } from '../settings-flags.ts';
import { describeShards, type ShardInfo } from './described-shards.ts';
import type { TrustPlace, Waiting } from './trust-place.ts';

type Config = ReturnType<ServerMain['loadConfig']>;
export type ShardOrder = Parameters<ServerMain['prepareShard']>[1];

interface RotateOptions {
  readonly server: ServerMain;
  readonly config: Config;
  readonly logger: Logger;
  /** The next shard: undefined where a rotation is under way, and goes on. */
  readonly order: ShardOrder | undefined;
  readonly place: TrustPlace;
  /** Has witnesses of one's own cosign a further log. */
  readonly tellWitnesses?: ((verifierKeys: readonly string[]) => Promise<void>) | undefined;
  /** Ends before the freeze. */
  readonly announceOnly: boolean;
  /** Says where the rotation stands, and does nothing. */
  readonly dryRun: boolean;
  /** Asks before the log `origin` ends. @throws ClientError */
  readonly confirm: (origin: string) => Promise<void>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

const STEPS = ['prepare', 'witness', 'announce', 'freeze', 'trust', 'open'] as const;
type Step = (typeof STEPS)[number];

export interface Rotation {
  /** Origin of the shard that ends. */
  readonly from: string;
  /** The shard that takes its place; undefined before it is prepared. */
  readonly next: ShardInfo | undefined;
  /** What comes next. */
  readonly step: Step | 'done';
  readonly lastCheckpoint: string | undefined;
  /** What keeps the rotation from going on. */
  readonly waiting:
    | { readonly for: Waiting['for'] | 'witnesses' | 'time'; readonly todo: readonly string[] }
    | undefined;
}

/**
 * Does all steps that are left, or ends where others must do something first.
 *
 * @throws ClientError `usage`, `trust` and ServerError `config` before anything happens, and what the steps throw: ServerError,
 *   RuntimeError, ClientError
 */
export async function rotate(options: RotateOptions): Promise<Rotation> {
  const { order } = options;
  if (order !== undefined) options.server.checkShardUrl(order);
  const start = await whereIs(options);
  await options.place.check();
  if (options.dryRun) return at(start, await nextStep(options, start));
  if (start.next === undefined) await checkNewKey(options, start);
  // A repeat may correct the URL, and must not pass over a key that the shard does not have.
  const again = order !== undefined && (start.next?.status === 'prepared' || start.next?.url !== order.url);
  const prepared = start.next === undefined || again ? await prepare(options) : start.next;
  let here = await whereIs({ ...options, order: orderOf(options, prepared) });

  // Also where the old shard was frozen by hand: the next one would take entries that no witness cosigns.
  if (here.next!.status === 'prepared') {
    const unknown = await askWitnesses(options, here);
    if (unknown !== undefined) return { ...at(here, 'witness'), waiting: unknown };
  }
  if (here.before.status !== 'frozen') {
    say('announce', `clients can learn of the key of "${here.next!.origin}" in ${options.place.name}`);
    const waiting = await put(options, here);
    if (waiting !== undefined) return { ...at(here, 'announce'), waiting };
    if (options.announceOnly) return { ...at(here, 'freeze'), waiting: { for: 'time', todo: againTodo() } };
    await options.confirm(here.before.origin);
    say('freeze', `"${here.before.origin}" takes no more entries`);
    await options.server.freezeLog({ ...options, shard: here.before.origin });
    here = await whereIs({ ...options, order: orderOf(options, prepared) });
  }
  say('trust', `the key of "${here.before.origin}" ends, and clients write to "${here.next!.origin}"`);
  const waiting = await put(options, here);
  if (waiting !== undefined) return { ...at(here, 'trust'), waiting };
  say('open', `"${here.next!.origin}" takes entries`);
  const opened = await options.server.openShard(options, here.next!.origin);
  return { ...at(here, 'done'), next: opened };
}

interface Place {
  readonly infos: readonly ShardInfo[];
  /** The shard that ends. */
  readonly before: ShardInfo;
  /** The shard after it. */
  readonly next: ShardInfo | undefined;
}

function at({ before, next }: Place, step: Rotation['step']): Rotation {
  return { from: before.origin, next, step, lastCheckpoint: before.lastCheckpoint, waiting: undefined };
}

/** @throws ClientError `usage`: there is nothing to go on with, or another rotation is under way */
async function whereIs({ server, config, logger, order, dryRun }: RotateOptions): Promise<Place> {
  if ((await server.readIdentity(config.data)) === undefined) {
    throw usage(`${config.data} holds no log yet: start it once, or name its data directory (--data, --config)`);
  }
  const infos = await server.listShards({ config, logger });
  const last = infos.at(-1)!;
  const before = infos.find(({ origin }) => origin === last.predecessor);
  // Without a URL a repeat finds the rotation done that a crash cut off in its last moment. A shard that was frozen since takes no
  // entries: what follows it has another origin.
  const again = order === undefined ? last.status === 'prepared' || !dryRun : order.origin === last.origin;
  if (before !== undefined && again && last.status !== 'frozen') return { infos, before, next: last };
  if (last.status === 'prepared') {
    throw usage(
      `the rotation to "${last.origin}" is under way: go on with it (\`${calledAs()} log rotate\` without a URL), and begin another ` +
        'one afterwards',
    );
  }
  if (order === undefined && !dryRun) {
    throw usage(
      'no rotation is under way. To begin one, name the address of the next shard, such as https://log2.example.com: its host ' +
        'is the origin of the shard, and must lead to this server',
    );
  }
  const taken = infos.find(({ origin }) => origin === order?.origin);
  if (taken !== undefined) {
    throw usage(
      `"${taken.origin}" is a shard of this log already: each shard has an origin of its own, so name another one`,
    );
  }
  return { infos, before: last, next: undefined };
}

async function nextStep(options: RotateOptions, { before, next }: Place): Promise<Rotation['step']> {
  if (next === undefined) return options.order === undefined && before.status !== 'frozen' ? 'done' : 'prepare';
  if (next.status !== 'prepared') return 'done';
  const { quorum } = await options.server.witnessesKnow(options, next.origin);
  if (!quorum) return 'witness';
  return before.status === 'frozen' ? 'trust' : 'announce';
}

function orderOf({ order }: RotateOptions, { origin, url }: ShardInfo): ShardOrder {
  return order ?? { origin, url: url! };
}

/** A thief of the old key must not have the new one. Nothing is prepared with a key that cannot be used. */
async function checkNewKey({ order, config }: RotateOptions, { infos }: Place): Promise<void> {
  const { key } = order!;
  if (key === undefined) {
    if ('file' in config.key && config.key.passphrase === undefined) return;
    throw usage(
      "the log's key is in a token, an agent or an encrypted file, and the next key would be in a plain file: name its place " +
        '(--next-pkcs11-module, --next-key-file and the other options --next-…)',
    );
  }
  const made = await publicKeyOf(key as KeySpec);
  const used = infos.find(({ verifierKeys }) => verifierKeys.some((vkey) => equal(parseVerifierKey(vkey).key, made)));
  if (used === undefined) return;
  throw usage(`the given key is the one of "${used.origin}": each shard has a key of its own, so make another one`);
}

/** As it is in a verifier key. */
async function publicKeyOf(key: KeySpec): Promise<Uint8Array> {
  const signer = await openSigner(key);
  await signer.close();
  const { algorithm, publicKey } = signer;
  return algorithm === 'ed25519' ? pointOf(parseSpki(publicKey)) : publicKey;
}

async function prepare(options: RotateOptions): Promise<ShardInfo> {
  const { server, order } = options;
  say('prepare', `the next shard is "${order!.origin}" at ${order!.url}`);
  return await server.prepareShard(options, order!);
}

/** Without a quorum that knows the next shard, the log would end, and nothing could take its place. */
async function askWitnesses(options: RotateOptions, { next }: Place): Promise<Rotation['waiting']> {
  await options.tellWitnesses?.(next!.verifierKeys);
  const { witnesses, quorum } = await options.server.witnessesKnow(options, next!.origin);
  if (witnesses.length === 0) return undefined;
  const knowing = witnesses.filter(({ knows }) => knows === true).length;
  say('witness', `${knowing} of ${witnesses.length} witnesses know "${next!.origin}"`);
  const missing = witnesses.filter(({ knows }) => knows !== true);
  if (quorum) {
    for (const { witness, text } of missing)
      warn(`the witness ${witness} ${text}: the others are enough for the quorum`);
    return undefined;
  }
  const add = next!.verifierKeys.map((vkey) => `${calledAs()} witness log add ${shellWord(vkey)}`);
  return {
    for: 'witnesses',
    todo: [
      ...missing.map(({ witness, text }) => `the witness ${witness} ${text}`),
      ...(missing.some(({ knows }) => knows === false)
        ? [`on each that does not know it: ${add.join('; ')}`]
        : ['start them, or see why they cannot be reached']),
      ...againTodo(),
    ],
  };
}

async function put(options: RotateOptions, { infos }: Place): Promise<Waiting | undefined> {
  const { config, place, now } = options;
  const policy =
    config.policy === undefined ? undefined : decodeUtf8(await readWhole(config.policy, MAX_POLICY, 'a policy'));
  const before = await place.read('trusted_root.json');
  // A log that runs without `publicUrl` does not know its own.
  const { publicUrl: url } = config;
  const shards = infos.map((info) => (info.url === undefined && url !== undefined ? { ...info, url } : info));
  const beside = await servicesBeside((name) => place.read(name));
  const files = trustFiles(describeShards(shards, { entries: config.entries, policy, before }), beside);
  const waiting = await place.put(files, now());
  return waiting && { ...waiting, todo: [...waiting.todo, ...againTodo()] };
}

const againTodo = () => [`then go on: ${calledAs()} log rotate, with the same options`];

function say(step: Step, text: string): void {
  note(`rotate ${STEPS.indexOf(step) + 1}/${STEPS.length}, ${step}: ${text}`);
}
