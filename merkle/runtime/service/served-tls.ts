/** The certificate of the ports of one service: from files, or the X.509-SVID of a Workload API. New connections get the newest. */
import type { Server as HttpServer } from 'node:http';
import { type Server as HttpsServer, Server as TlsServer } from 'node:https';
import type { Logger } from './logger.ts';
import type { Reloads } from './reloads.ts';
import {
  contextOf,
  factsOf,
  readTls,
  type TlsFacts,
  type TlsFiles,
  type TlsIdentity,
  type TlsPair,
  TlsWatch,
} from './tls-files.ts';
import { svidIdentity } from './tls-identity.ts';

/** Where the certificate comes from. */
export type TlsSource = (TlsFiles & { readonly workloadApi?: undefined }) | SvidOfApi;

interface SvidOfApi {
  readonly workloadApi: string;
  /** Which of several; the first one where it is undefined. */
  readonly svidId?: string;
}

interface ServedOptions {
  /** Ask clients for a certificate, and take any: requests are then refused one by one, in HTTP. Default false. */
  readonly askClients?: boolean;
  readonly logger: Logger;
  /** The service's reloads, once they are made: a part `certificate` of theirs says what is wrong. */
  readonly reloads: () => Reloads | undefined;
  /** Default 2,000. */
  readonly watchMs?: number;
}

export class ServedTls {
  readonly #options: ServedOptions;
  readonly #servers: (HttpServer | HttpsServer)[] = [];
  readonly #files: TlsWatch | undefined;
  readonly #svid: TlsIdentity | undefined;
  #pair: TlsPair;

  /** @throws RuntimeError `config`, `file`, `svid` */
  static async open(source: TlsSource, options: ServedOptions): Promise<ServedTls> {
    if (source.workloadApi === undefined) return new ServedTls(options, await readTls(source), { files: source });
    const { workloadApi, svidId: id } = source;
    const svid = await svidIdentity({ workloadApi, id }, { logger: options.logger });
    return new ServedTls(options, svid.current(), { svid });
  }

  private constructor(options: ServedOptions, pair: TlsPair, from: { files?: TlsFiles; svid?: TlsIdentity }) {
    this.#options = options;
    this.#pair = this.#asking(pair);
    const { files, svid } = from;
    const { watchMs } = options;
    this.#files =
      files &&
      new TlsWatch({
        files,
        pair,
        take: (next) => this.#take(next),
        onProblem: (problem) => this.#told(problem),
        ...(watchMs !== undefined && { watchMs }),
      });
    this.#svid = svid;
    svid?.onChange(() => this.#take(svid.current()));
  }

  /** For `createHttpServer`. */
  get pair(): TlsPair {
    return this.#pair;
  }

  get facts(): TlsFacts {
    return factsOf(this.#pair);
  }

  /** Why clients refuse the certificate, in one sentence; undefined while it is valid. */
  problem(): string | undefined {
    try {
      this.#svid?.current();
    } catch (error) {
      return (error as Error).message;
    }
    const { notAfter } = this.facts;
    return Date.parse(notAfter) > Date.now()
      ? undefined
      : `the TLS certificate is not valid any more (${notAfter}), and clients refuse it`;
  }

  /** As a list of reasons why a service is not ready. */
  problems(): string[] {
    const problem = this.problem();
    return problem === undefined ? [] : [problem];
  }

  /** Keeps the port of this server on the newest certificate. */
  serve(server: HttpServer | HttpsServer): void {
    this.#servers.push(server);
  }

  /**
   * Reads these files now.
   * @returns whether they are in use: another kind of source needs a restart
   * @throws RuntimeError `config`, `file`: they cannot be used, and the certificate before stays
   */
  async use(source: TlsSource): Promise<boolean> {
    if (this.#files === undefined || source.workloadApi !== undefined) return false;
    await this.#files.use(source);
    return true;
  }

  async close(): Promise<void> {
    this.#files?.close();
    await this.#svid?.close();
  }

  #asking(pair: TlsPair): TlsPair {
    return this.#options.askClients === true ? { ...pair, askClients: true } : pair;
  }

  #take(pair: TlsPair): void {
    this.#pair = this.#asking(pair);
    for (const server of this.#servers) {
      if (server instanceof TlsServer) server.setSecureContext(contextOf(this.#pair));
    }
    this.#options.logger.info({ ...this.facts }, 'another certificate is in use');
  }

  #told(problem: string | undefined): void {
    const reloads = this.#options.reloads();
    if (problem === undefined) reloads?.good('certificate');
    else reloads?.fail('certificate', problem);
  }
}
