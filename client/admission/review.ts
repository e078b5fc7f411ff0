/**
 * Reviews and their answers (k8s.io/api/admission/v1). The API server takes an answer where it is HTTP 200, has the version and
 * the uid of the review and, for a denial, `allowed: false` without a patch. Whatever else a webhook answers counts as a failure
 * of the webhook, which `failurePolicy: Ignore` admits.
 *
 * Fields that are not read are ignored: each release of Kubernetes adds some.
 */
import { CodedError } from '../../merkle/errors.ts';
import { parseStrictJson } from '../../merkle/rekor/strict-json.ts';
import { otherSpelling } from './exact-fields.ts';
import { headOf, isReviewVersion, isUid, REVIEW_VERSION } from './review-head.ts';
import type { Addressee, AdmissionRequest } from './types.ts';

const MAX_DEPTH = 100;
/** Longest message of a denial, in characters. `kubectl` prints all of it. */
const MAX_MESSAGE = 1200;

/** A review that cannot be judged, with as much of it as an answer needs. */
export class ReviewError extends CodedError<'review', Addressee> {
  override readonly name = 'ReviewError';

  constructor(addressee: Addressee, message: string, options?: ErrorOptions) {
    super('review', message, addressee, options);
  }
}

/**
 * @param limit most bytes of a review
 * @throws ReviewError
 */
export function readReview(bytes: Uint8Array, limit: number): AdmissionRequest {
  let review: unknown;
  try {
    review = parseStrictJson(bytes, 'the review', limit, MAX_DEPTH);
  } catch (cause) {
    throw new ReviewError(headOf(bytes), (cause as Error).message, { cause });
  }
  const { apiVersion, kind, request } = fields(review);
  const { uid, operation, object, oldObject, dryRun, ...rest } = fields(request);
  const addressee = {
    apiVersion: isReviewVersion(apiVersion) ? apiVersion : REVIEW_VERSION,
    uid: isUid(uid) ? uid : '',
  };
  const wrong = (why: string) => new ReviewError(addressee, why);
  if (kind !== 'AdmissionReview' || typeof apiVersion !== 'string') throw wrong('this is no AdmissionReview');
  if (apiVersion !== REVIEW_VERSION) {
    throw wrong(`the version ${apiVersion.slice(0, 100)} of AdmissionReview is not known here: use ${REVIEW_VERSION}`);
  }
  if (addressee.uid === '') throw wrong('the review has no uid');
  const other =
    otherSpelling(fields(review), ['apiVersion', 'kind', 'request']) ??
    otherSpelling(fields(request), ['uid', 'operation', 'kind', 'object', 'oldObject', 'namespace']) ??
    otherSpelling(fields(rest.kind), ['group', 'kind']);
  if (other !== undefined)
    throw wrong(`the review has a field "${other}", which is another spelling of one that is read`);
  const { group, kind: name } = fields(rest.kind);
  if (typeof operation !== 'string' || typeof group !== 'string' || typeof name !== 'string') {
    throw wrong('the review does not say what is asked for: it lacks an operation or a kind');
  }
  return {
    ...addressee,
    operation,
    kind: { group, kind: name },
    resource: resourceOf(rest.resource, rest.subResource),
    namespace: text(rest.namespace),
    name: text(rest.name),
    dryRun: dryRun === true,
    object: object ?? undefined,
    oldObject: oldObject ?? undefined,
  };
}

/** The members of a value; none where it is no object. */
function fields(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function resourceOf(resource: unknown, subresource: unknown): string {
  const name = text(fields(resource).resource);
  const sub = text(subresource);
  return sub === '' ? name : `${name}/${sub}`;
}

/** An answer as it goes out. */
export interface ReviewAnswer {
  readonly allowed: boolean;
  readonly review: object;
}

/** @param message one or more sentences; it is made one line that may be printed anywhere */
export function denial({ apiVersion, uid }: Addressee, message: string, annotations: Annotations = {}): ReviewAnswer {
  // The code makes `kubectl` say "Forbidden" in the place of "BadRequest".
  const status = { status: 'Failure', message: oneLine(message), reason: 'Forbidden', code: 403 };
  return {
    allowed: false,
    review: {
      apiVersion,
      kind: 'AdmissionReview',
      response: { uid, allowed: false, status, auditAnnotations: annotations },
    },
  };
}

/** What the audit log of the cluster keeps with the request. Names are of letters and hyphens. */
export type Annotations = Readonly<Record<string, string>>;

/** An operation of RFC 6902. */
export interface PatchOperation {
  readonly op: 'test' | 'replace';
  readonly path: string;
  readonly value: string;
}

export function admission(
  { apiVersion, uid }: Addressee,
  annotations: Annotations,
  patch: readonly PatchOperation[] = [],
): ReviewAnswer {
  const change =
    patch.length === 0 ? {} : { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') };
  const response = { uid, allowed: true, ...change, auditAnnotations: annotations };
  return { allowed: true, review: { apiVersion, kind: 'AdmissionReview', response } };
}

function oneLine(message: string): string {
  const clean = message.replace(/[\s\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Surrogate}]+/gu, ' ').trim();
  return clean.length > MAX_MESSAGE ? `${clean.slice(0, MAX_MESSAGE)}…` : clean;
}
