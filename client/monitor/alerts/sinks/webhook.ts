/**
 * Signed webhooks: docs/monitor.md shows the request, and how a receiver checks it.
 *
 *     Stele-Delivery: <64 hex digits: SHA-256 over the alerts' IDs, each followed by a line feed>
 *     Stele-Signature: t=<seconds since 1970>,v1=<hex>[,v1=<hex> …]
 *
 * Each v1 is HMAC-SHA256, with one of the secrets (its UTF-8 bytes) as key, over the decimal digits of t, a full stop, and
 * the bytes of the body. Any 2xx means that the receiver took the alerts, and 410 that the receiver is gone. After a lost
 * answer the alerts come a second time, with the same IDs. The sink follows no redirect, and checks the address
 * (address-guard.ts).
 */
import { createHmac } from 'node:crypto';
import http, { type ClientRequest, type IncomingMessage } from 'node:http';
import https from 'node:https';
import { AddressGuard, type GuardOptions } from '../../../../merkle/runtime/service/address-guard.ts';
import type { Alert } from '../../types.ts';
import { deliveryId, documentOf } from '../render.ts';
import { type ConfiguredSink, DeliveryError, type SinkSettings, settingsOf } from '../sink.ts';
import type { WebhookOptions } from '../sink-options.ts';
import { openSecret, readCertificates } from '../sink-secret.ts';

const MIN_SECRET = 16;
/** The sink reads so many bytes of an answer, for politeness, and ignores them. */
const MAX_ANSWER = 16 * 1024;
/** And reads for so long, in milliseconds. */
const ANSWER_MS = 1000;

export class WebhookSink implements ConfiguredSink {
  readonly name: string;
  readonly settings: SinkSettings;
  readonly #options: WebhookOptions;
  readonly #url: URL;
  readonly #guard: AddressGuard;

  constructor(options: WebhookOptions, resolve?: GuardOptions['resolve']) {
    this.name = options.name;
    this.settings = settingsOf(options);
    this.#options = options;
    this.#url = new URL(options.url);
    const onlyAllowed = this.#url.protocol === 'http:';
    this.#guard = new AddressGuard({ allow: options.allow, onlyAllowed, ...(resolve && { resolve }) });
  }

  /** Reads the secrets for the signature. @throws DeliveryError `secret` */
  async check(): Promise<void> {
    await this.#secrets();
    if (this.#options.caFile !== undefined) await readCertificates(this.#options.caFile);
  }

  /** @throws DeliveryError `address`, `network`, `timeout`, `refused`, `gone`, `secret` */
  async deliver(alerts: readonly Alert[], signal: AbortSignal): Promise<void> {
    const body = Buffer.from(documentOf(alerts), 'latin1');
    const secrets = await this.#secrets();
    const { caFile, timeout } = this.#options;
    const ca = caFile === undefined ? {} : { ca: await readCertificates(caFile) };
    try {
      this.#guard.checkLiteral(this.#url.hostname);
    } catch (cause) {
      throw this.#failure('address', (cause as Error).message, cause);
    }
    const headers = {
      'content-type': 'application/json',
      'content-length': body.length,
      'user-agent': 'stele-monitor',
      'stele-delivery': deliveryId(alerts),
      'stele-signature': signatureHeader(secrets, Math.floor(Date.now() / 1000), body),
    };
    // Not the shared agent: a connection that it keeps would outlive the check of its address.
    const connection = { agent: false, lookup: this.#guard.lookup, rejectUnauthorized: true, ...ca };
    const options = { method: 'POST', headers, ...connection };
    const limit = AbortSignal.timeout(timeout);
    const stop = AbortSignal.any([signal, limit]);
    stop.throwIfAborted();
    const request = (this.#url.protocol === 'https:' ? https : http).request(this.#url, options);
    try {
      const response = await answer(request, body, stop);
      this.#judge(response.statusCode ?? 0, response.headers['retry-after']);
    } catch (error) {
      if (error instanceof DeliveryError) throw error;
      throw this.#translated(error, limit);
    } finally {
      request.destroy();
    }
  }

  async #secrets(): Promise<string[]> {
    return await Promise.all(this.#options.secrets.map((source) => openSecret(source, MIN_SECRET)));
  }

  #judge(status: number, retryAfter: string | undefined): void {
    if (status >= 200 && status < 300) return;
    if (status === 410) throw this.#failure('gone', 'answered 410: it is gone for good; remove it or correct its URL');
    const redirect = status >= 300 && status < 400 ? ', a redirect, which is not followed' : '';
    const after = retryAfter !== undefined && /^[0-9]{1,5}$/.test(retryAfter) ? Number(retryAfter) * 1000 : undefined;
    throw this.#failure('refused', `answered ${status}${redirect}`, undefined, after);
  }

  #translated(error: unknown, limit: AbortSignal): DeliveryError {
    if (limit.aborted) return this.#failure('timeout', `did not answer in ${this.#options.timeout} ms`, error);
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ADDRESS_REFUSED') return this.#failure('address', message, error);
    return this.#failure('network', `cannot be reached: ${code ?? message}`, error);
  }

  /** Names the receiver by its origin, as path and query of a webhook are often secret. */
  #failure(reason: DeliveryError['reason'], what: string, cause?: unknown, retryAfterMs?: number): DeliveryError {
    return new DeliveryError(reason, `the webhook at ${this.#url.origin} ${what}`, cause, retryAfterMs);
  }
}

/** The value of `Stele-Signature`; `seconds` since 1970. */
function signatureHeader(secrets: readonly string[], seconds: number, body: Uint8Array): string {
  const macs = secrets.map((secret) => createHmac('sha256', secret).update(`${seconds}.`).update(body).digest('hex'));
  return [`t=${seconds}`, ...macs.map((mac) => `v1=${mac}`)].join();
}

/** Resolves with the head of the answer, after it has read the rest to its end or to a bound. */
function answer(request: ClientRequest, body: Uint8Array, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const onAbort = () => request.destroy(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    const done = (end: () => void) => {
      signal.removeEventListener('abort', onAbort);
      end();
    };
    // Also after the head: the connection may break within the rest.
    request.on('error', (error) => done(() => reject(error)));
    request.on('response', (response) => {
      let length = 0;
      // The head says whether the receiver took the alerts, however the rest ends.
      const enough = () => done(() => resolve(response));
      const late = setTimeout(enough, ANSWER_MS);
      response.on('data', (part: Uint8Array) => {
        length += part.length;
        if (length > MAX_ANSWER) enough();
      });
      response.on('error', enough);
      response.on('close', () => {
        clearTimeout(late);
        enough();
      });
    });
    request.end(body);
  });
}
