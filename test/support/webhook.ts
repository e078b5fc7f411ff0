/** A webhook over HTTPS in this process, and reviews for it. */
import { once } from 'node:events';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import type { AdmissionConfig } from '../../client/admission/admission-config.ts';
import { AdmissionMetrics } from '../../client/admission/admission-metrics.ts';
import type { AdmitOptions } from '../../client/admission/admit.ts';
import { createWebhookApp } from '../../client/admission/webhook-app.ts';
import type { Logger } from '../../merkle/runtime/service/logger.ts';
import { issue } from '../merkle/x509/make.ts';
import { der } from './der.ts';
import { keyPem, newAuthority, pemOf } from './tls-server.ts';

export const GOOD = `registry.example.com/team/app@sha256:${'a'.repeat(64)}`;
export const BAD = `registry.example.com/team/app@sha256:${'b'.repeat(64)}`;
export const UID = '705ab4f5-6393-11e8-b7cc-42010a800002';

const LIMITS: AdmissionConfig['limits'] = {
  reviewBytes: 3328 * 1024,
  images: 500,
  reviews: 1000,
  lookups: 32,
  evidenceBytes: 128 * 1024 * 1024,
  deadline: 10_000,
  connections: 1000,
  bodiesBytes: 128 * 1024 * 1024,
};

/** A pod with one container for each image. */
export function podOf(...images: readonly unknown[]): Record<string, unknown> {
  const containers = images.map((image, at) => ({ name: `c${at}`, image }));
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'app' }, spec: { containers } };
}

/** A review of the creation of a pod. */
export function reviewOf(object: unknown, request: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    kind: 'AdmissionReview',
    apiVersion: 'admission.k8s.io/v1',
    request: {
      uid: UID,
      kind: { group: '', version: 'v1', kind: 'Pod' },
      resource: { group: '', version: 'v1', resource: 'pods' },
      requestKind: { group: '', version: 'v1', kind: 'Pod' },
      name: 'app',
      namespace: 'team',
      operation: 'CREATE',
      userInfo: { username: 'developer' },
      object,
      oldObject: null,
      dryRun: false,
      options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' },
      ...request,
    },
  };
}

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  /** The answer to the review; empty where the reply is none. */
  readonly response: {
    readonly uid?: string;
    readonly allowed?: boolean;
    readonly patch?: string;
    readonly status?: { readonly message: string; readonly code: number };
  };
  readonly apiVersion?: string | undefined;
}

const authority = newAuthority('tests');
/** As the manifests name the service too. */
const localhost = [
  der(0x82, Buffer.from('localhost')),
  der(0x82, Buffer.from('stele-admission.stele-admission.svc')),
  der(0x87, Buffer.from([127, 0, 0, 1])),
];
const leaf = issue({
  name: 'localhost',
  by: authority,
  keyUsage: 0x80,
  usages: ['1.3.6.1.5.5.7.3.1'],
  names: localhost,
});

/** A certificate for localhost and 127.0.0.1, and its authority. */
export const TLS = { cert: pemOf(leaf), key: keyPem(leaf), ca: pemOf(authority) };

export async function startWebhook(admitting: AdmitOptions, limits: Partial<AdmissionConfig['limits']> = {}) {
  const lines: { fields: Record<string, unknown>; message: string }[] = [];
  const log = (fields: object, message: string) => void lines.push({ fields: { ...fields }, message });
  const logger: Logger = { info: log, warn: log, error: log };
  const metrics = new AdmissionMetrics({ process: false });
  const live = { cache: { allow: 1000, deny: 1000, entries: 100 }, limits: { ...LIMITS, ...limits } };
  const app = createWebhookApp({ admitting, live, tls: TLS, metrics, logger });
  app.server.listen(0, '127.0.0.1');
  await once(app.server, 'listening');
  const url = `https://localhost:${(app.server.address() as AddressInfo).port}`;
  onTestFinished(() => {
    app.server.closeAllConnections();
    app.server.close();
  });
  const agent = new https.Agent({ ca: TLS.ca, keepAlive: true });
  onTestFinished(() => agent.destroy());
  /** Posts a review, or any text. */
  const post = (review: unknown, path = '/validate?timeout=10s') => postReview(`${url}${path}`, review, agent);
  return { app, url, post, lines, metrics, live };
}

export async function postReview(url: string, review: unknown, agent: https.Agent): Promise<Reply> {
  const body = typeof review === 'string' || review instanceof Uint8Array ? review : JSON.stringify(review);
  const request = https.request(url, { method: 'POST', agent, headers: { 'content-type': 'application/json' } });
  request.end(body);
  const [reply] = await once(request, 'response');
  const text = Buffer.concat(await reply.toArray()).toString();
  let answer: { response?: Reply['response']; apiVersion?: string } = {};
  if (String(reply.headers['content-type']).startsWith('application/json')) answer = JSON.parse(text);
  return {
    status: reply.statusCode,
    headers: reply.headers,
    response: answer.response ?? {},
    apiVersion: answer.apiVersion,
  };
}
