/**
 * The HTTP side of the webhook. Every review is answered with HTTP 200, because every other status counts as a failure of the
 * webhook, which `failurePolicy: Ignore` admits. No answer redirects or asks for a repeat (`Retry-After`).
 */
import { createHash } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import type { Gate } from '../../merkle/runtime/identity/gate.ts';
import {
  type App,
  type Call,
  jsonAnswer,
  RouteError,
  serveRoutes,
  textAnswer,
} from '../../merkle/runtime/service/app.ts';
import { ClientAddresses } from '../../merkle/runtime/service/client-address.ts';
import { type Answer, createHttpServer, type Refusal } from '../../merkle/runtime/service/http-server.ts';
import type { Logger } from '../../merkle/runtime/service/logger.ts';
import { OPERATOR_LIMITS } from '../../merkle/runtime/service/operator-limits.ts';
import { BODY_PROBLEMS, type BodyRefusal, RequestBodies } from '../../merkle/runtime/service/request-bodies.ts';
import type { TlsPair } from '../../merkle/runtime/service/tls-files.ts';
import type { LiveAdmission } from './admission-config.ts';
import type { AdmissionMetrics } from './admission-metrics.ts';
import { type AdmitOptions, type AnswerReason, admit, type Webhook } from './admit.ts';
import { parseGoDuration } from './go-duration.ts';
import { denial, type ReviewAnswer, ReviewError, readReview } from './review.ts';
import { HEAD_BYTES, headOf } from './review-head.ts';
import type { Addressee, AdmissionRequest } from './types.ts';

const STATUS: Readonly<Record<Refusal, number>> = { timeout: 408, 'headers-too-large': 431, malformed: 400 };
/** Of the reviews at one time, what one namespace may have. */
const SHARE_OF_NAMESPACE = 1 / 4;
/** The part of a review's time-out that is left for its way back, and its bounds in milliseconds. */
const MARGIN = 0.1;
const [LEAST_MARGIN, MOST_MARGIN] = [50, 500];

/** Longer than the 90 s after which an API server gives up an idle connection: it must not send a review into one that ends. */
const KEEP_ALIVE_MS = 120_000;

/** A review whose body was not taken. */
class BodyError extends Error {
  readonly addressee: Addressee;

  constructor(addressee: Addressee, message: string) {
    super(message);
    this.addressee = addressee;
  }
}

/** The caller of the webhook is not known, or may not ask. */
class CallerError extends Error {
  readonly addressee: Addressee;

  constructor(addressee: Addressee, message: string) {
    super(message);
    this.addressee = addressee;
  }
}

/** No verdict came in time. */
class DeadlineError extends Error {}

interface WebhookOptions {
  readonly admitting: AdmitOptions;
  readonly live: LiveAdmission;
  readonly tls: TlsPair | undefined;
  /** Undefined where everybody who reaches the port may ask. */
  readonly gate?: Gate | undefined;
  readonly metrics: AdmissionMetrics;
  readonly logger: Logger;
}

interface Answered {
  readonly answer: ReviewAnswer;
  readonly reason: AnswerReason | 'busy' | 'deadline';
}

export function createWebhookApp({ admitting, live, tls, gate, metrics, logger }: WebhookOptions): App {
  const clients = new ClientAddresses([]);
  const bodies = new RequestBodies({
    limits: () => ({ ...OPERATOR_LIMITS, bodiesBytes: live.limits.bodiesBytes }),
    clients,
    headBytes: HEAD_BYTES,
    refuse: (why, limit, head) => new BodyError(headOf(head), bodyProblem(why, limit)),
  });
  metrics.port.bodyBytes = () => bodies.held;
  /** Reviews that are being judged, by webhook, uid and content. */
  const running = new Map<string, Promise<Answered>>();
  metrics.underWay = () => running.size;
  const runningOf = new Map<string, number>();

  const count = (webhook: string, { allowed }: ReviewAnswer, reason: string) =>
    metrics.reviews.inc({ webhook, verdict: allowed ? 'allowed' : 'denied', reason });

  const review = (webhook: Webhook) => async (call: Call) => {
    const started = performance.now();
    const body = await call.body(live.limits.reviewBytes);
    try {
      await checkCaller(gate, call, body.bytes);
      const request = readReview(body.bytes, live.limits.reviewBytes);
      const end = started + timeFor(call.query.timeout, live.limits.deadline);
      const { answer, reason } = await answerOnce(request, webhook, body.bytes, end);
      count(webhook, answer, reason);
      logAnswer(logger, request, webhook, answer, reason);
      return jsonAnswer(200, answer.review);
    } catch (error) {
      if (error instanceof ReviewError || error instanceof CallerError) throw error;
      logger.error({ err: error }, 'a review failed');
      throw new ReviewError(headOf(body.bytes), 'the webhook failed', { cause: error });
    } finally {
      body.release();
    }
  };

  /** A review that comes again while the first one is being judged waits for the answer to that one. */
  const answerOnce = (request: AdmissionRequest, webhook: Webhook, bytes: Uint8Array, end: number) => {
    // Another review may have the same uid by mistake or on purpose.
    const key = `${webhook} ${request.uid} ${createHash('sha256').update(bytes).digest('base64')}`;
    const first = running.get(key);
    if (first !== undefined) {
      metrics.repeats.inc();
      return inTime(request, end, () => first);
    }
    const { namespace } = request;
    const ofNamespace = runningOf.get(namespace) ?? 0;
    const most = live.limits.reviews;
    if (running.size >= most || ofNamespace >= Math.max(1, most * SHARE_OF_NAMESPACE)) {
      const answer = denial(
        request,
        `${running.size} reviews wait here already, ${ofNamespace} of this namespace: try again`,
      );
      return Promise.resolve<Answered>({ answer, reason: 'busy' });
    }
    const answered = inTime(request, end, (signal) => admit(request, webhook, admitting, signal));
    running.set(key, answered);
    runningOf.set(namespace, ofNamespace + 1);
    return answered.finally(() => {
      running.delete(key);
      const left = runningOf.get(namespace)! - 1;
      if (left === 0) runningOf.delete(namespace);
      else runningOf.set(namespace, left);
    });
  };

  return serveRoutes(
    {
      routes: [
        { method: 'POST', path: '/validate', answer: review('validate') },
        { method: 'POST', path: '/mutate', answer: review('mutate') },
      ],
      readBody: (request, limit) => bodies.read(request, limit),
      refuse: (error, request) => {
        if (error instanceof RouteError) return routeAnswer(error);
        const [webhook] = /mutate|validate/.exec(request.url ?? '') ?? ['none'];
        const answer = refusedReview(error, logger);
        count(webhook, answer, 'review');
        return jsonAnswer(200, answer.review);
      },
      observerOf: (route, _method, status) => metrics.request(route, status),
    },
    (handler) =>
      createHttpServer({
        limits: () => ({ ...OPERATOR_LIMITS, ...live.limits, keepAliveTimeout: KEEP_ALIVE_MS }),
        clients,
        bodies,
        handler,
        refuse: (why, text = why) => textAnswer(STATUS[why], `${text}\n`),
        tls,
        http2: true,
        metrics: metrics.port,
      }),
  );
}

/** @throws CallerError where the caller may not ask: the review gets a denial, as any other status would count as a failure */
async function checkCaller(gate: Gate | undefined, { request }: Call, review: Uint8Array): Promise<void> {
  try {
    await gate?.admit(request, { action: 'admit' });
  } catch (error) {
    const refused = gate?.refusalOf(error);
    if (refused === undefined) throw error;
    throw new CallerError(headOf(review), `${refused.code}: ${refused.message}`);
  }
}

/** What `work` answers, or a denial when the time is over. The signal is aborted then. */
async function inTime(to: Addressee, end: number, work: (signal: AbortSignal) => Promise<Answered>): Promise<Answered> {
  const stop = new AbortController();
  // Each image of the review listens. Node would warn of a leak from the eleventh on.
  setMaxListeners(0, stop.signal);
  const late = new Promise<Answered>((resolve) => {
    stop.signal.addEventListener('abort', () => {
      // Work that heard of the end can say more, and comes first.
      setImmediate(() => {
        const answer = denial(to, 'no verdict came in the time that the cluster gives this webhook: try again');
        resolve({ answer, reason: 'deadline' });
      });
    });
  });
  const left = end - performance.now();
  const timer = setTimeout(() => stop.abort(new DeadlineError('the time for this review is over')), left);
  try {
    return await Promise.race([work(stop.signal), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Milliseconds until the answer must be ready. */
function timeFor(timeout: string | readonly string[] | undefined, longest: number): number {
  const given = typeof timeout === 'string' ? parseGoDuration(timeout) : undefined;
  const all = Math.min(given ?? longest, longest);
  const margin = Math.max(LEAST_MARGIN, Math.min(MOST_MARGIN, all * MARGIN));
  return Math.max(all / 2, all - margin);
}

/** The denial for a review that was not judged. */
function refusedReview(error: unknown, logger: Logger): ReviewAnswer {
  if (error instanceof ReviewError) {
    logger.warn({ uid: error.data.uid, reason: error.message }, 'a review was denied: it cannot be read');
    return denial(error.data, `the review cannot be read: ${error.message}`);
  }
  if (error instanceof CallerError) {
    logger.warn({ uid: error.addressee.uid, reason: error.message }, 'a review was denied: its caller is refused');
    return denial(error.addressee, `this webhook does not answer its caller: ${error.message}`);
  }
  if (error instanceof BodyError) {
    logger.warn({ uid: error.addressee.uid, reason: error.message }, 'a review was denied: it was not taken');
    return denial(error.addressee, error.message);
  }
  logger.error({ err: error }, 'a review failed');
  return denial({ apiVersion: headOf(new Uint8Array()).apiVersion, uid: '' }, 'the webhook failed');
}

function bodyProblem(why: BodyRefusal, limit: number): string {
  switch (why) {
    case 'too-large':
      return `the review has more than ${limit} bytes, which is the most that this webhook reads`;
    case 'too-slow':
      return 'the review came too slowly';
    case 'client-room':
    case 'room':
      return 'too many reviews wait here already: try again';
    default:
      return BODY_PROBLEMS[why];
  }
}

function routeAnswer({ code, data }: RouteError): Answer<string> {
  if (code !== 'method-not-allowed') return textAnswer(404, 'not found: reviews are posted to /validate and /mutate\n');
  return textAnswer(405, 'reviews are posted\n', { allow: data.allow ?? '' });
}

function logAnswer(
  logger: Logger,
  { uid, namespace, name, resource, operation, dryRun }: AdmissionRequest,
  webhook: Webhook,
  { allowed, review }: ReviewAnswer,
  reason: string,
): void {
  if (allowed) return;
  const { message } = (review as { response: { status: { message: string } } }).response.status;
  logger.info({ uid, webhook, operation, resource, namespace, name, dryRun, reason, why: message }, 'denied');
}
