/**
 * The places of images in the objects of Kubernetes (k8s.io/api v0.36: core/v1, apps/v1, batch/v1).
 *
 * An object of a kind that is not listed is refused and not admitted: nobody knows what would run.
 */
import { printable } from '../../merkle/printable.ts';
import { otherSpelling } from './exact-fields.ts';
import type { GroupKind, ImagePlace } from './types.ts';

interface JudgedKind extends GroupKind {
  /** As the rules of a webhook name it: `deployments`. */
  readonly resource: string;
  /** Subresources whose object is of this kind too. */
  readonly subresources?: readonly string[];
  /** Where the pod's specification stands. */
  readonly spec: readonly string[];
}

const TEMPLATE = ['spec', 'template', 'spec'] as const;
const SPEC = 'spec';

/** Every kind with a pod in it, of every group that has had one. */
export const JUDGED_KINDS: readonly JudgedKind[] = [
  { group: '', kind: 'Pod', resource: 'pods', subresources: ['ephemeralcontainers'], spec: [SPEC] },
  { group: '', kind: 'PodTemplate', resource: 'podtemplates', spec: ['template', SPEC] },
  { group: '', kind: 'ReplicationController', resource: 'replicationcontrollers', spec: TEMPLATE },
  { group: 'apps', kind: 'Deployment', resource: 'deployments', spec: TEMPLATE },
  { group: 'apps', kind: 'StatefulSet', resource: 'statefulsets', spec: TEMPLATE },
  { group: 'apps', kind: 'DaemonSet', resource: 'daemonsets', spec: TEMPLATE },
  { group: 'apps', kind: 'ReplicaSet', resource: 'replicasets', spec: TEMPLATE },
  { group: 'batch', kind: 'Job', resource: 'jobs', spec: TEMPLATE },
  { group: 'batch', kind: 'CronJob', resource: 'cronjobs', spec: [SPEC, 'jobTemplate', ...TEMPLATE] },
];

const CONTAINERS = [
  ['initContainers', 'init container'],
  ['containers', 'container'],
  ['ephemeralContainers', 'ephemeral container'],
] as const;

const LISTS = [...CONTAINERS.map(([list]) => list), 'volumes'];

/** An object whose images cannot be told. */
export class PlacesError extends Error {}

type Fields = Readonly<Record<string, unknown>>;

/** All images of an object, at least one. @throws PlacesError */
export function imagePlaces({ group, kind }: GroupKind, object: unknown): ImagePlace[] {
  const known = JUDGED_KINDS.find((one) => one.group === group && one.kind === kind);
  if (known === undefined) {
    const name = group === '' ? kind : `${kind} of ${group}`;
    throw new PlacesError(`the kind ${name} is not known here: take its resource out of the rules of this webhook`);
  }
  const { apiVersion, kind: own } = fieldsOf(object, 'the object', ['apiVersion', 'kind']);
  if (own !== kind || groupOf(apiVersion) !== group)
    throw new PlacesError(`the object is of another kind than ${kind}`);
  const path = known.spec.join('.');
  let spec = fieldsOf(object, 'the object', known.spec.slice(0, 1));
  for (const [at, part] of known.spec.entries()) {
    const next = known.spec[at + 1];
    spec = fieldsOf(spec[part], path, next === undefined ? LISTS : [next]);
  }
  checkOthers(spec);
  const at = `/${known.spec.join('/')}`;
  const places = [...CONTAINERS.flatMap(([list, word]) => containers(spec, at, list, word)), ...volumes(spec, at)];
  if (places.length === 0) throw new PlacesError('the object has no container, so there is nothing to judge');
  return places;
}

/** A later Kubernetes may have further kinds of containers. Other fields of later ones are ignored. */
function checkOthers(spec: Fields): void {
  for (const [name, value] of Object.entries(spec)) {
    if (LISTS.includes(name)) continue;
    const items: readonly unknown[] = Array.isArray(value) ? value : [value];
    if (items.some(namesImage)) throw new PlacesError(`${printable(name)} names an image, and is not known here`);
  }
}

function namesImage(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'image' in value;
}

function containers(spec: Fields, at: string, list: string, word: string): ImagePlace[] {
  return listOf(spec[list], list).map((container, i) => {
    const { name, image } = fieldsOf(container, `${list}[${i}]`, ['name', 'image']);
    const where = `${word} ${nameOf(name, i)}`;
    return { pointer: `${at}/${list}/${i}/image`, where, image: imageOf(image, where) };
  });
}

/** Volumes that are images: their files are programs and data of the pod. */
function volumes(spec: Fields, at: string): ImagePlace[] {
  return listOf(spec.volumes, 'volumes').flatMap((volume, i) => {
    const { name, image } = fieldsOf(volume, `volumes[${i}]`, ['name', 'image']);
    if (image === undefined || image === null) return [];
    const where = `volume ${nameOf(name, i)}`;
    const { reference } = fieldsOf(image, `volumes[${i}].image`, ['reference']);
    return [{ pointer: `${at}/volumes/${i}/image/reference`, where, image: imageOf(reference, where) }];
  });
}

function imageOf(image: unknown, where: string): string {
  if (image === undefined || image === null || image === '') throw new PlacesError(`the ${where} names no image`);
  if (typeof image !== 'string') throw new PlacesError(`the image of the ${where} is no text`);
  return image;
}

function nameOf(name: unknown, index: number): string {
  return typeof name === 'string' && name !== '' ? `"${name.slice(0, 100)}"` : `number ${index + 1}`;
}

/** @param names what is read of it */
function fieldsOf(value: unknown, what: string, names: readonly string[]): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new PlacesError(`${what} is missing or malformed`);
  }
  const other = otherSpelling(value, names);
  if (other === undefined) return value as Fields;
  throw new PlacesError(
    `${what} has a field "${printable(other)}", which is another spelling of a field that is judged`,
  );
}

/** Go writes a list that nobody made as null. */
function listOf(value: unknown, what: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return value;
  throw new PlacesError(`${what} is malformed`);
}

function groupOf(apiVersion: unknown): string | undefined {
  if (typeof apiVersion !== 'string') return undefined;
  const slash = apiVersion.indexOf('/');
  return slash === -1 ? '' : apiVersion.slice(0, slash);
}
