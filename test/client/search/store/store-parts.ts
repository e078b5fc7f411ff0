/** An attestation store on real ports, as the service mounts it, and attestations that a log of the tests holds. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatBundle } from '../../../../client/formats/bundle.ts';
import { type AttestationStore, openStore } from '../../../../client/search/store/open-store.ts';
import { STORE_SETTINGS, type StoreSettings } from '../../../../client/search/store/store-settings.ts';
import { parseTrustPolicy } from '../../../../client/trust/quorum.ts';
import { SettingsWalk } from '../../../../merkle/runtime/config/settings-walk.ts';
import { jsonAnswer, RouteError, serveRoutes } from '../../../../merkle/runtime/service/app.ts';
import { ClientAddresses } from '../../../../merkle/runtime/service/client-address.ts';
import { createHttpServer } from '../../../../merkle/runtime/service/http-server.ts';
import { MetricSet } from '../../../../merkle/runtime/service/metric-set.ts';
import { createOperatorApp } from '../../../../merkle/runtime/service/operator-app.ts';
import { OPERATOR_LIMITS } from '../../../../merkle/runtime/service/operator-limits.ts';
import { listen } from '../../../../merkle/runtime/service/ports.ts';
import { RequestBodies } from '../../../../merkle/runtime/service/request-bodies.ts';
import { FakeLog } from '../../../support/fake-log.ts';
import { attestation, digestsOf, hex, messageBundle, type TestKey, testKey, text } from '../../verify/verify-parts.ts';

export const log = new FakeLog();
export const key = testKey();
export const TOKEN = 't'.repeat(43);
export const PROVENANCE = 'https://slsa.dev/provenance/v1';
export const COMMIT = 'c'.repeat(40);

export const sha256 = (bytes: Uint8Array | string): string =>
  hex(digestsOf(typeof bytes === 'string' ? text(bytes) : bytes).sha256);

/** A digest that nobody else uses. */
export const fresh = (): string => randomBytes(32).toString('hex');

export function statementOf(subject: unknown, predicateType = PROVENANCE, predicate: unknown = {}): string {
  return JSON.stringify({ _type: 'https://in-toto.io/Statement/v1', subject, predicateType, predicate });
}

export const provenanceOf = (...digests: string[]): string =>
  statementOf(
    digests.map((digest, at) => ({ name: `app-${at}`, digest: { sha256: digest } })),
    PROVENANCE,
    {
      buildDefinition: {
        buildType: 'https://example.com/build',
        externalParameters: {},
        resolvedDependencies: [{ uri: 'git+https://example.com/app', digest: { gitCommit: COMMIT } }],
      },
      runDetails: { builder: { id: 'https://example.com/builder' } },
    },
  );

/** The file of a bundle that the log holds. */
export const attested = (statement: string, by: TestKey = key, of: FakeLog = log): Uint8Array =>
  formatBundle(attestation(text('unused'), by, of, text(statement)));
export const signed = (file: string, by: TestKey = key): Uint8Array => formatBundle(messageBundle(text(file), by, log));

// biome-ignore lint/suspicious/noExplicitAny: answers of any form
export type Json = any;

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array;
  readonly json: Json;
}

/** The settings of the store with their defaults. */
export function settingsOf(changes: Partial<Record<keyof StoreSettings, unknown>> = {}): StoreSettings {
  const walk = new SettingsWalk({ base: '/', where: () => 'test', own: {} });
  const given = { enabled: true, submissions: true, perMinute: 1_000_000, ...changes };
  const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const decoded = walk.object(STORE_SETTINGS, set, []) as StoreSettings;
  if (walk.problems.length > 0) throw new Error(walk.problems.join('\n'));
  return decoded;
}

export class TestStore {
  readonly dir: string;
  readonly url: string;
  readonly adminUrl: string;
  readonly store: AttestationStore;
  readonly metrics: MetricSet;
  readonly errors: unknown[];
  readonly #closers: readonly (() => Promise<void>)[];

  private constructor(
    fields: Pick<TestStore, 'dir' | 'url' | 'adminUrl' | 'store' | 'metrics' | 'errors'>,
    closers: readonly (() => Promise<void>)[],
  ) {
    this.dir = fields.dir;
    this.url = fields.url;
    this.adminUrl = fields.adminUrl;
    this.store = fields.store;
    this.metrics = fields.metrics;
    this.errors = fields.errors;
    this.#closers = closers;
  }

  static async start(
    changes: Parameters<typeof settingsOf>[0] = {},
    options: {
      readonly dir?: string;
      readonly sweepMs?: number;
      readonly fetch?: typeof fetch;
      readonly logs?: Parameters<typeof openStore>[0]['logs'];
    } = {},
  ): Promise<TestStore> {
    const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'stele-store-')));
    const settings = settingsOf(changes);
    const metrics = new MetricSet({ process: false });
    const errors: unknown[] = [];
    const clients = new ClientAddresses([]);
    const policy = parseTrustPolicy(text(`log ${log.vkey}\nquorum none\n`));
    const store = await openStore({
      dir,
      settings: () => settings,
      logs: options.logs ?? [{ trust: { policy } }],
      metrics,
      addressOf: (request) => clients.of(request),
      onError: (error) => errors.push(error),
      ...(options.sweepMs !== undefined && { sweepMs: options.sweepMs }),
      ...(options.fetch !== undefined && { fetch: options.fetch }),
    });
    const limits = { ...OPERATOR_LIMITS, bodiesBytes: 256 * 1024 * 1024, connections: 5000 };
    const bodies = new RequestBodies({ limits: () => limits, clients, refuse: (why) => new Error(why) });
    const app = serveRoutes(
      {
        routes: store.routes,
        readBody: (request, limit) => bodies.read(request, limit),
        refuse: (error) => {
          if (error instanceof RouteError) return jsonAnswer(404, { code: error.code });
          const { message } = error as Error;
          if (message === 'too-large') return jsonAnswer(413, { code: 'too-large' });
          errors.push(error);
          return jsonAnswer(500, { code: 'internal' });
        },
      },
      (handler) =>
        createHttpServer({
          limits: () => limits,
          clients,
          bodies,
          handler,
          refuse: (why) => ({ status: 400, headers: {}, body: why }),
        }),
    );
    const admin = createOperatorApp({
      metrics,
      prefix: 'stele_index',
      hosts: [],
      notReady: () => store.notReady(),
      alarms: () => store.alarms(),
      calls: { routes: store.adminRoutes, token: TOKEN, bodiesBytes: 64 * 1024 * 1024 },
    });
    const url = await listen(app, { host: '127.0.0.1', port: 0 }, 'listen');
    const adminUrl = await listen(admin, { host: '127.0.0.1', port: 0 }, 'admin');
    return new TestStore({ dir, url, adminUrl, store, metrics, errors }, [
      () => app.close(),
      () => admin.close(),
      () => store.close(),
      ...(options.dir === undefined ? [() => rm(dir, { recursive: true, force: true })] : []),
    ]);
  }

  submit(body: Uint8Array | string): Promise<Answered> {
    return this.ask('POST', '', body);
  }

  find(query: Readonly<Record<string, string>>): Promise<Answered> {
    return this.ask('GET', `?${new URLSearchParams(query)}`);
  }

  get(digest: string, headers: Record<string, string> = {}): Promise<Answered> {
    return this.ask('GET', `/${digest}`, undefined, headers);
  }

  async ask(
    method: string,
    path: string,
    body?: Uint8Array | string,
    headers: Record<string, string> = {},
    url = this.url,
  ): Promise<Answered> {
    const sent = body === undefined ? {} : { body: body as Uint8Array<ArrayBuffer> };
    const reply = await fetch(`${url}/stele/v1/attestations${path}`, { method, headers, ...sent });
    const bytes = new Uint8Array(await reply.arrayBuffer());
    let json: Json;
    try {
      json = JSON.parse(new TextDecoder().decode(bytes));
    } catch {
      // The bytes of a piece, or nothing.
    }
    return { status: reply.status, headers: reply.headers, bytes, json };
  }

  order(method: string, path: string, body?: object, token: string | undefined = TOKEN): Promise<Answered> {
    const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
    return this.ask(method, path, body === undefined ? undefined : JSON.stringify(body), headers, this.adminUrl);
  }

  /** All pages. */
  async all(query: Readonly<Record<string, string>>): Promise<Json[]> {
    const found: Json[] = [];
    for (let page: string | undefined, first = true; first || page !== undefined; first = false) {
      const { status, json } = await this.find({ ...query, ...(page !== undefined && { page }) });
      if (status !== 200) throw new Error(`${status} ${JSON.stringify(json)}`);
      found.push(...json.attestations);
      page = json.next;
    }
    return found;
  }

  async close(): Promise<void> {
    for (const close of this.#closers) await close();
  }
}
