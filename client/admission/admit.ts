/** What a review is answered: reads its images, has each judged, and says why not. */

import { isDeepStrictEqual } from 'node:util';
import { printable } from '../../merkle/printable.ts';
import { ClientError } from '../errors.ts';
import { formatImageName, type ImageName, parseImageName } from '../evidence/image-name.ts';
import { imagePlaces, PlacesError } from './image-places.ts';
import type { ImageVerdicts } from './image-verdicts.ts';
import { type Annotations, admission, denial, type PatchOperation, type ReviewAnswer } from './review.ts';
import type { AdmissionRequest, ImagePlace, ResolveTag } from './types.ts';

const SHA256 = 'sha256:';
/** Images that a message and an annotation name. */
const MAX_SHOWN = 3;
/** How often a review is judged anew because policy or trust changed meanwhile. */
const MAX_ROUNDS = 5;

export interface AdmitOptions {
  readonly verdicts: Pick<ImageVerdicts, 'judge'>;
  /** Names the policy and the trust of this moment. */
  readonly versions: () => string;
  /** Without it, a tag is denied by the mutating webhook too. */
  readonly resolveTag?: ResolveTag | undefined;
  /** Images of one object, read at each use. */
  readonly maxImages: () => number;
}

/** `validate` denies a tag; `mutate` replaces it by the digest that it stands for and that was judged. */
export type Webhook = 'validate' | 'mutate';

/** Why a review was answered as it was: a label of the metrics. */
export type AnswerReason =
  | 'judged' // the policy decided about each image
  | 'deletion' // nothing runs because of it
  | 'object' // the object has no images, or they cannot be told
  | 'name' // the name of an image is malformed, or has a tag or another digest
  | 'no-verdict'; // the evidence, or the digest of a tag, cannot be had

interface Admitted {
  readonly answer: ReviewAnswer;
  readonly reason: AnswerReason;
}

/** The verdict about one image, for all of its places. */
type Judged =
  | { readonly allowed: true; readonly named: string; readonly policy: string }
  | { readonly allowed: false; readonly why: string; readonly reason: AnswerReason };

/** Never rejects. After `signal` is aborted it denies as soon as it can. */
export async function admit(
  request: AdmissionRequest,
  webhook: Webhook,
  options: AdmitOptions,
  signal: AbortSignal,
): Promise<Admitted> {
  try {
    return await admitted(request, webhook, options, signal);
  } catch (error) {
    const why = error instanceof PlacesError ? error.message : `the webhook failed: ${(error as Error).message}`;
    return { answer: denial(request, `${subject(request)} cannot be judged: ${why}`), reason: 'object' };
  }
}

async function admitted(
  request: AdmissionRequest,
  webhook: Webhook,
  options: AdmitOptions,
  signal: AbortSignal,
): Promise<Admitted> {
  const { operation, kind, object, oldObject } = request;
  if (operation === 'DELETE') return { answer: admission(request, {}), reason: 'deletion' };
  if (operation !== 'CREATE' && operation !== 'UPDATE') {
    throw new PlacesError(`the operation ${printable(operation)} is none that creates or updates an object`);
  }
  const places = imagePlaces(kind, object);
  // A denial would keep the object from ever going away: its finalizers are taken off by updates.
  if (operation === 'UPDATE' && isBeingDeleted(oldObject) && isDeepStrictEqual(places, imagePlaces(kind, oldObject))) {
    return { answer: admission(request, {}), reason: 'deletion' };
  }
  const texts = [...new Set(places.map(({ image }) => image))];
  const most = options.maxImages();
  if (places.length > most)
    throw new PlacesError(`it has ${places.length} images, and at most ${most} are judged at once`);
  const judged = await judgeAll(texts, webhook, request.namespace, options, signal);
  const denied = places.flatMap((place) => {
    const verdict = judged.get(place.image)!;
    return verdict.allowed ? [] : [{ place, ...verdict }];
  });
  const [first] = denied;
  if (first !== undefined) {
    return { answer: denial(request, denialText(denied), annotationsOf(judged)), reason: first.reason };
  }
  const patch = places.flatMap((place) => patchOf(place, judged.get(place.image)!));
  return { answer: admission(request, annotationsOf(judged), patch), reason: 'judged' };
}

/** All under one policy and trust: an image that the ones of before allowed while another was looked up is judged anew. */
async function judgeAll(
  texts: readonly string[],
  webhook: Webhook,
  namespace: string,
  options: AdmitOptions,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Judged>> {
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const versions = options.versions();
    const all = await Promise.all(
      texts.map(async (text) => [text, await judge(text, webhook, namespace, options, signal)] as const),
    );
    if (options.versions() === versions) return new Map(all);
  }
  throw new PlacesError('the policy or the trust changes all the time: try again');
}

/** Judges one image. Only a verdict that was made allows. */
async function judge(
  text: string,
  webhook: Webhook,
  namespace: string,
  { verdicts, resolveTag }: AdmitOptions,
  signal: AbortSignal,
): Promise<Judged> {
  const deny = (reason: AnswerReason, why: string): Judged => ({ allowed: false, why, reason });
  let image: ImageName;
  try {
    image = parseImageName(text);
  } catch (error) {
    return deny('name', (error as Error).message);
  }
  const shown = formatImageName(image);
  if (image.digest !== undefined && !image.digest.startsWith(SHA256)) {
    return deny('name', `${shown} has a digest that is not SHA-256, and images are judged by that one alone`);
  }
  if (image.digest === undefined && (webhook === 'validate' || resolveTag === undefined)) {
    return deny(
      'name',
      `${shown} names no digest, and a tag may stand for another image tomorrow: write ${shown}@sha256:…`,
    );
  }
  try {
    const digest = image.digest ?? (await resolveTag!(image, namespace, signal));
    if (!/^sha256:[0-9a-f]{64}$/.test(digest)) return deny('no-verdict', `the digest of ${shown} is malformed`);
    const verdict = await verdicts.judge(image, digest, namespace, signal);
    if (verdict.allowed !== true) return deny('judged', `${shown} is ${verdict.why}`);
    const named = image.digest === undefined ? `${text}@${digest}` : text;
    // What is written into the object must be what was judged, also to the reader of the cluster.
    if (parseImageName(named).digest !== digest) return deny('name', `${shown} cannot be written with its digest`);
    return { allowed: true, named, policy: verdict.policy };
  } catch (error) {
    if (error instanceof ClientError && error.code === 'denied') return deny('judged', `${shown} is ${error.message}`);
    const why = signal.aborted ? (signal.reason as Error).message : (error as Error).message;
    return deny('no-verdict', `${shown}: there is no verdict, because ${why}`);
  }
}

/** The object waits to go away, and runs nothing new. */
function isBeingDeleted(object: unknown): boolean {
  const { metadata } = (object ?? {}) as { readonly metadata?: { readonly deletionTimestamp?: unknown } | null };
  return typeof metadata?.deletionTimestamp === 'string' && metadata.deletionTimestamp !== '';
}

function patchOf({ pointer: path, image }: ImagePlace, judged: Judged): PatchOperation[] {
  if (!judged.allowed || judged.named === image) return [];
  // Another webhook may have changed the object meanwhile.
  return [
    { op: 'test', path, value: image },
    { op: 'replace', path, value: judged.named },
  ];
}

function denialText(denied: readonly { readonly place: ImagePlace; readonly why: string }[]): string {
  const first = denied[0]!;
  const same = denied.slice(1).filter(({ why }) => why === first.why).length;
  const others = denied.slice(1 + same).length;
  const more = [
    ...(same > 0 ? [`the same image stands in ${same} further ${same === 1 ? 'place' : 'places'}`] : []),
    ...(others > 0 ? [`${others} further ${others === 1 ? 'image is' : 'images are'} denied`] : []),
  ];
  return `${first.place.where}: ${[first.why, ...more].join('; ')}`;
}

/** What the audit log of the cluster keeps, for those who ask later why something ran. */
function annotationsOf(judged: ReadonlyMap<string, Judged>): Annotations {
  const allowed = [...judged.values()].filter((one) => one.allowed === true);
  const policy = [...new Set(allowed.map((one) => one.policy))].slice(0, MAX_SHOWN).join(', ');
  return policy === '' ? {} : { policy };
}

/** The object of a review, for people: `Pod "app"`. */
function subject({ kind, name }: AdmissionRequest): string {
  const what = printable(kind.kind);
  return name === '' ? `this ${what}` : `the ${what} "${printable(name)}"`;
}
