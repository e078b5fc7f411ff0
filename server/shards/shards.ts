/**
 * The shards of one log in one process: each has its tree, its key and its directory; the ports, the settings and the worker pool
 * are common. At most one takes entries at any moment: a shard begins once the one before it is frozen and its last checkpoint
 * is pinned (pin.ts).
 *
 *     prepared ─ the shard before it is frozen ─ pinned ─ stele.json: begun ─ frozen
 */
import type { IncomingMessage } from 'node:http';
import { decodeUtf8 } from '../../merkle/bytes.ts';
import { makeDirDurable, readFileIfThere } from '../../merkle/runtime/disk/files.ts';
import { Closers } from '../../merkle/runtime/service/ends.ts';
import type { Logger } from '../../merkle/runtime/service/logger.ts';
import type { Config } from '../config/load.ts';
import { readIdentity } from '../dir/identity.ts';
import { ServerError } from '../errors.ts';
import type { Relations, Served, ShardName } from '../http/context.ts';
import { hostHeader, hostName } from '../http/hosts.ts';
import type { Hosts } from '../http/http.ts';
import { type OpenLog, openLog } from '../open.ts';
import { MAX_CHECKPOINT_BYTES } from '../store/blobs.ts';
import { emptyDir } from '../tools/backup.ts';
import { type FurtherShard, readChain, shardConfig } from './chain.ts';
import { readPin, writePin } from './pin.ts';
import { prepareIn } from './prepare-shard.ts';
import { type CopiedShards, copied, copyShardFiles } from './shard-copy.ts';
import type { ShardOrder } from './shard-order.ts';
import { shardDir, shardFilePath } from './shard-record.ts';
import { WaitingLog } from './waiting-log.ts';
import { askWitnessesOf, type WitnessesKnow } from './witnesses-know.ts';

/** What an operator sees of a shard. */
export interface ShardInfo extends ShardName {
  /** Published entries. */
  readonly size: number;
  /** The origin of the shard before it; undefined for the first one. */
  readonly predecessor?: string | undefined;
  /** Of a frozen shard: its last checkpoint. */
  readonly lastCheckpoint?: string | undefined;
}

interface ShardsOptions {
  readonly config: Config;
  readonly logger: Logger;
  /** Called once if a shard cannot go on. */
  readonly onFatal: (error: unknown) => void;
  /** File with a checkpoint of a shard: that shard does not start with less. */
  readonly atLeast?: string | undefined;
  /** See `openLog`, of the first shard. */
  readonly beforeMaking?: () => Promise<void>;
}

interface Running extends Served {
  readonly origin: string;
  readonly dir: string;
  /** Undefined for the first shard. */
  readonly further: FurtherShard | undefined;
  /** Undefined until the shard has begun. */
  readonly opened: OpenLog | undefined;
}

export class Shards implements Hosts {
  readonly #options: ShardsOptions;
  readonly #closers = new Closers();
  /** Each after the one before it. The first is always there. */
  #shards: Running[] = [];
  readonly #byHost = new Map<string, Running>();
  #active!: Running;
  #turn: Promise<unknown> = Promise.resolve();
  /** What is in use, where a reload has changed some of it. */
  config: Config;

  private constructor(options: ShardsOptions) {
    this.#options = options;
    this.config = options.config;
  }

  /** Opens every shard that has begun. @throws ServerError, RuntimeError */
  static async open(options: ShardsOptions): Promise<Shards> {
    const shards = new Shards(options);
    try {
      await shards.#open();
      return shards;
    } catch (error) {
      await shards.close();
      throw error;
    }
  }

  async #open(): Promise<void> {
    const { config, logger, onFatal, beforeMaking } = this.#options;
    const atLeast = await this.#knownShard();
    let chain: FurtherShard[] = [];
    const opened = await openLog({
      config,
      logger,
      onFatal,
      ...(beforeMaking && { beforeMaking }),
      // Read once the directory is locked: a command may have changed it just before.
      readPin: async () => {
        chain = await readChain(config.data);
        checkFirstUrl(config, chain);
        return chain[0]?.pin;
      },
      atLeast: atLeast(undefined, chain),
    });
    this.#closers.add(() => opened.close());
    if (chain.length === 0) chain = await readChain(config.data);
    this.#shards = [this.#running(opened, config, undefined)];
    for (const [i, shard] of chain.entries()) {
      const next = chain[i + 1];
      this.#shards.push(await this.#start(shard, next?.pin && (() => readPinOf(next, shard)), atLeast(shard, chain)));
    }
    this.#index();
  }

  /** The shard whose checkpoint `atLeast` is gets that: the newest one where the checkpoint is of none. */
  async #knownShard(): Promise<
    (shard: FurtherShard | undefined, chain: readonly FurtherShard[]) => string | undefined
  > {
    const { config, atLeast } = this.#options;
    if (atLeast === undefined) return () => undefined;
    const bytes = await readFileIfThere(atLeast, MAX_CHECKPOINT_BYTES);
    const origin = bytes && originLine(bytes);
    const first = config.origin ?? (await readIdentity(config.data))?.origin;
    const chain = await readChain(config.data);
    const named = chain.find(({ record }) => record.origin === origin);
    if (named !== undefined && named.identity === undefined) {
      throw new ServerError(
        'rollback',
        `${atLeast} is a checkpoint of the shard "${named.record.origin}", which has not begun in ${config.data}: the directory is ` +
          'an old copy. Restore the newest one with `stele log restore`.',
      );
    }
    const newest = chain.findLast(({ identity }) => identity !== undefined)?.record.origin ?? first;
    const target = named?.record.origin ?? (origin === first ? first : newest);
    return (shard) => ((shard?.record.origin ?? first) === target ? atLeast : undefined);
  }

  async #start(
    shard: FurtherShard,
    pin?: () => ReturnType<typeof readPin>,
    atLeast?: string | undefined,
  ): Promise<Running> {
    const config = shardConfig(this.config, shard);
    if (shard.identity === undefined) return this.#waiting(shard, config);
    return await this.#begin(shard, config, pin, atLeast);
  }

  async #begin(
    shard: FurtherShard,
    config: Config & { readonly origin: string },
    pin?: () => ReturnType<typeof readPin>,
    atLeast?: string | undefined,
  ): Promise<Running> {
    const { logger, onFatal } = this.#options;
    const first = this.first;
    const metrics = first.metrics.ofShard(config.origin);
    const opened = await openLog({
      config,
      logger,
      onFatal,
      metrics,
      further: shard.record,
      ingest: first.ingest,
      atLeast,
      ...(pin && { readPin: pin }),
    });
    first.metrics.add(metrics);
    this.#closers.add(() => opened.close());
    return this.#running(opened, config, shard);
  }

  #running(opened: OpenLog, config: Config, further: FurtherShard | undefined): Running {
    const { log, metrics } = opened;
    const { origin } = log.info;
    const { data: dir, publicUrl } = config;
    return { origin, dir, further, opened, log, metrics, publicUrl, relations: () => this.#relations(origin) };
  }

  #waiting(further: FurtherShard, { data: dir, entries }: Config): Running {
    const { origin, url, verifierKeys } = further.record;
    const log = new WaitingLog(origin, verifierKeys, entries);
    const { metrics } = this.first;
    return {
      origin,
      dir,
      further,
      opened: undefined,
      log,
      metrics,
      publicUrl: url,
      relations: () => this.#relations(origin),
    };
  }

  /** Which shard each host leads to. */
  #index(): void {
    this.#byHost.clear();
    for (const shard of this.#shards) {
      if (shard.publicUrl !== undefined) this.#byHost.set(hostName(new URL(shard.publicUrl).host), shard);
    }
    for (const shard of this.#shards) this.#byHost.set(shard.origin, shard);
    this.#active = this.#shards.findLast(({ opened }) => opened !== undefined)!;
  }

  /** The first shard, whose directory is that of the whole log. */
  get first(): OpenLog {
    return this.#shards[0]!.opened!;
  }

  /** The newest shard that has begun: the one that takes entries, unless it is frozen. */
  get active(): Served & Pick<Running, 'origin'> {
    return this.#active;
  }

  /** The logs of the shards that have begun. */
  get opened(): readonly OpenLog[] {
    return this.#shards.flatMap(({ opened }) => opened ?? []);
  }

  of(request: IncomingMessage): Served {
    if (this.#shards.length === 1) return this.#active;
    const host = hostHeader(request);
    return (host === undefined ? undefined : this.#byHost.get(hostName(host))) ?? this.#active;
  }

  list(): ShardInfo[] {
    return this.#shards.map((shard) => infoOf(shard));
  }

  notReady(): string[] {
    return this.#each(({ log }) => log.notReady());
  }

  alarms(): string[] {
    return this.#each(({ log }) => log.alarms());
  }

  /** Ends a shard for good, by default the one that takes entries; resolves with its last checkpoint. Idempotent. */
  async freeze(origin?: string): Promise<{ origin: string; checkpoint: string }> {
    const shard = this.#find(origin);
    if (shard.opened === undefined) {
      throw new ServerError('config', `the shard "${shard.origin}" has not begun, so there is nothing to freeze.`);
    }
    const checkpoint = await shard.log.freeze();
    const next = this.#shards[this.#shards.indexOf(shard) + 1];
    // A crash here: the next shard pins the checkpoint when it is opened.
    if (next !== undefined) await writePin(next.dir, shard.log.info, checkpoint);
    return { origin: shard.origin, checkpoint };
  }

  /** Prepares the next shard. Idempotent. */
  prepare(order: ShardOrder): Promise<ShardInfo> {
    return this.inTurn(async () => {
      checkModules(this.config, order);
      const made = await prepareIn(this.config, order, this.#options.logger);
      const at = this.#shards.findIndex(({ origin }) => origin === order.origin);
      const before = this.#shards[at];
      const running =
        before?.opened === undefined
          ? this.#waiting(made, shardConfig(this.config, made))
          : { ...before, further: made, publicUrl: made.record.url };
      if (at === -1) this.#shards.push(running);
      else this.#shards[at] = running;
      this.#index();
      return infoOf(running);
    });
  }

  /** Lets a prepared shard take entries, once the shard before it is frozen. Idempotent. */
  openShard(origin: string): Promise<ShardInfo> {
    return this.inTurn(async () => {
      const shard = this.#find(origin);
      if (shard.opened !== undefined || shard.further === undefined) return infoOf(shard);
      const at = this.#shards.indexOf(shard);
      const before = this.#shards[at - 1]!;
      if (before.opened === undefined || before.log.info.status !== 'frozen') {
        throw new ServerError(
          'config',
          `the shard "${origin}" takes no entries before "${before.origin}" is frozen: run \`stele log freeze\` first, or rotate with ` +
            '`stele log rotate`.',
        );
      }
      const pin = await writePin(shard.dir, before.log.info, await before.log.freeze());
      // A crash here: the pin is durable, and the next try begins the shard.
      const config = shardConfig(this.config, shard.further);
      const begun = await this.#begin({ ...shard.further, pin }, config);
      this.#shards[at] = begun;
      this.#index();
      this.#options.logger.info({ origin, after: before.origin }, 'the next shard of the log takes entries');
      return infoOf(begun);
    });
  }

  /** Asks the witnesses of the policy whether they know a shard that was prepared. */
  async witnessesKnow(origin: string): Promise<WitnessesKnow> {
    const { further, opened } = this.#find(origin);
    if (further === undefined || opened !== undefined) {
      throw new ServerError(
        'config',
        `the shard "${origin}" has begun: \`/readyz\` says which of its witnesses are missing.`,
      );
    }
    return await askWitnessesOf(this.config, further, this.#options.logger);
  }

  /** Copies every shard into `dir`, empty or missing; resolves with the size of the newest one that has begun. */
  async backup(dir: string): Promise<CopiedShards> {
    await emptyDir(dir);
    const shards: { origin: string; size: number }[] = [];
    // The last one first: a shard that has begun is copied before the end of the one before it, which has come by then. The
    // first one last, with the file that makes the copy whole.
    for (const { origin, opened, further, dir: from } of this.#shards.toReversed()) {
      const to = further === undefined ? dir : shardDir(dir, origin);
      if (further !== undefined) {
        await makeDirDurable(to, { mode: 0o700 });
        await copyShardFiles(from, to);
      }
      // A further shard with witnesses has no checkpoint before its first entries: its copy has not begun.
      if (opened === undefined || (further !== undefined && !opened.log.hasCheckpoint)) continue;
      shards.unshift({ origin, size: await opened.log.backup(to, true) });
    }
    return copied(shards);
  }

  /** Writes the published tree of a shard into `dir`, by default of the newest one that has begun; resolves with its size. */
  async export(dir: string, origin?: string): Promise<{ size: number }> {
    return { size: await this.#find(origin).log.export(dir) };
  }

  async drain(): Promise<void> {
    await Promise.all(this.#shards.map(({ log }) => log.drain()));
  }

  async close(): Promise<void> {
    await this.#turn.catch(() => {});
    await this.#closers.close();
  }

  /** @throws ServerError `config` where there is no such shard */
  #find(origin?: string): Running {
    const found = origin === undefined ? this.#active : this.#shards.find((shard) => shard.origin === origin);
    if (found !== undefined) return found;
    const names = this.#shards.map((shard) => shard.origin).join(', ');
    throw new ServerError('config', `there is no shard "${origin}" of this log: its shards are ${names}.`);
  }

  /** The shards, and the settings that they share, change one step at a time. */
  inTurn<T>(step: () => Promise<T>): Promise<T> {
    const done = this.#turn.catch(() => {}).then(step);
    this.#turn = done;
    done.catch(() => {});
    return done;
  }

  #relations(origin: string): Relations {
    if (this.#shards.length === 1) return {};
    const at = this.#shards.findIndex((shard) => shard.origin === origin);
    const next = this.#shards[at + 1];
    return { successor: next && nameOf(next), shards: this.#shards.map(nameOf) };
  }

  /** The sentences about each shard, which begin with its origin where there are several. */
  #each(of: (shard: Running) => readonly string[]): string[] {
    if (this.#shards.length === 1) return [...of(this.#shards[0]!)];
    return this.#shards.flatMap((shard) => of(shard).map((sentence) => `${shard.origin}: ${sentence}`));
  }
}

/** `publicUrl` stays that of the first shard: its clients would be led to another one. @throws ServerError `config` */
function checkFirstUrl({ publicUrl }: Config, chain: readonly FurtherShard[]): void {
  const host = publicUrl && new URL(publicUrl).hostname;
  const other = chain.find(({ record }) => record.origin === host);
  if (other === undefined) return;
  throw new ServerError(
    'config',
    `\`publicUrl\` is ${publicUrl}, which leads to the shard "${host}". Set it back to the URL of the first shard: the others have ` +
      `theirs in files such as ${shardFilePath(other.dir)}.`,
  );
}

/**
 * A module of a token is code that runs in this process. The admin token must not be enough to run any code: a call may name a
 * module where distributions put them, or one that is configured.
 * @throws ServerError `config`
 */
function checkModules({ key, ed25519Key }: Config, order: ShardOrder): void {
  const configured = [key, ed25519Key].map((one) => one && 'pkcs11' in one && one.pkcs11.module);
  for (const one of [order.key, order.ed25519Key]) {
    const module = one && 'pkcs11' in one ? one.pkcs11.module : undefined;
    if (module === undefined || !module.includes('/') || configured.includes(module)) continue;
    throw new ServerError(
      'config',
      `the module ${module} would run inside the log, and is neither configured nor a bare file name: stop the log to prepare a ` +
        'shard with it.',
    );
  }
}

function nameOf({ origin, publicUrl, log }: Running): ShardName {
  const { verifierKeys, status } = log.info;
  return { origin, ...(publicUrl !== undefined && { url: publicUrl }), verifierKeys, status };
}

function infoOf(shard: Running): ShardInfo {
  const { log, further } = shard;
  const name = nameOf(shard);
  return {
    ...name,
    size: log.publishedSize,
    ...(further && { predecessor: further.record.predecessor }),
    ...(name.status === 'frozen' && { lastCheckpoint: log.checkpoint }),
  };
}

async function readPinOf({ dir }: FurtherShard, before: FurtherShard) {
  return before.identity && (await readPin(dir, before.identity));
}

/** The first line of a note; undefined where the bytes are no text. */
function originLine(bytes: Uint8Array): string | undefined {
  try {
    return decodeUtf8(bytes).split('\n', 1)[0];
  } catch {
    return undefined;
  }
}
