/** Every place of an image, in every kind of object. */
import { describe, expect, it } from 'vitest';
import { imagePlaces, JUDGED_KINDS, PlacesError } from '../../../client/admission/image-places.ts';

const SPEC = {
  initContainers: [{ name: 'init', image: 'a' }],
  containers: [{ name: 'app', image: 'b' }, { image: 'c' }],
  ephemeralContainers: [{ name: 'debug', image: 'd' }],
  volumes: [
    { name: 'config', configMap: {} },
    { name: 'model', image: { reference: 'e', pullPolicy: 'Always' } },
  ],
};
const POD = { apiVersion: 'v1', kind: 'Pod', spec: SPEC };
const POD_KIND = { group: '', kind: 'Pod' };

/** An object of the kind, with the specification at its place. */
function objectOf({ group, kind, spec }: (typeof JUDGED_KINDS)[number], pod: unknown): unknown {
  const inner = [...spec].reverse().reduce<unknown>((value, name) => ({ [name]: value }), pod);
  return { apiVersion: group === '' ? 'v1' : `${group}/v1`, kind, ...(inner as object) };
}

describe('the places of images', () => {
  it.each(JUDGED_KINDS.map((kind) => [kind.kind, kind] as const))('are read in a %s', (_name, kind) => {
    const at = `/${kind.spec.join('/')}`;
    expect(imagePlaces(kind, objectOf(kind, SPEC))).toEqual([
      { pointer: `${at}/initContainers/0/image`, where: 'init container "init"', image: 'a' },
      { pointer: `${at}/containers/0/image`, where: 'container "app"', image: 'b' },
      { pointer: `${at}/containers/1/image`, where: 'container number 2', image: 'c' },
      { pointer: `${at}/ephemeralContainers/0/image`, where: 'ephemeral container "debug"', image: 'd' },
      { pointer: `${at}/volumes/1/image/reference`, where: 'volume "model"', image: 'e' },
    ]);
  });

  it('are those of the API: nine kinds, each with its own path', () => {
    expect(JUDGED_KINDS.map(({ kind, spec }) => `${kind}: ${spec.join('.')}`)).toEqual([
      'Pod: spec',
      'PodTemplate: template.spec',
      'ReplicationController: spec.template.spec',
      'Deployment: spec.template.spec',
      'StatefulSet: spec.template.spec',
      'DaemonSet: spec.template.spec',
      'ReplicaSet: spec.template.spec',
      'Job: spec.template.spec',
      'CronJob: spec.jobTemplate.spec.template.spec',
    ]);
  });

  it('take lists that Go writes as null for empty ones', () => {
    const spec = { containers: [{ name: 'app', image: 'b' }], initContainers: null, volumes: null };
    expect(imagePlaces(POD_KIND, { ...POD, spec })).toHaveLength(1);
  });

  it.each([
    ['no container', { containers: [] }, 'nothing to judge'],
    ['only null', { containers: null }, 'nothing to judge'],
    ['a container without an image', { containers: [{ name: 'app' }] }, 'container "app" names no image'],
    ['an empty image', { containers: [{ name: 'app', image: '' }] }, 'container "app" names no image'],
    ['an image that is a list', { containers: [{ name: 'app', image: ['b'] }] }, 'is no text'],
    ['an image that is an object', { containers: [{ name: 'app', image: { a: 1 } }] }, 'is no text'],
    ['a container that is a text', { containers: ['b'] }, 'containers[0] is missing or malformed'],
    ['containers that are an object', { containers: { 0: { image: 'b' } } }, 'containers is malformed'],
    [
      'a volume of an image without a name',
      { ...SPEC, volumes: [{ name: 'v', image: {} }] },
      'volume "v" names no image',
    ],
    ['a volume whose image is a text', { ...SPEC, volumes: [{ name: 'v', image: 'e' }] }, 'malformed'],
    ['an ephemeral container without an image', { ...SPEC, ephemeralContainers: [{}] }, 'names no image'],
    ['no specification', undefined, 'spec is missing'],
    ['a specification that is a list', [SPEC], 'spec is missing or malformed'],
  ])('are refused: %s', (_what, spec, message) => {
    expect(() => imagePlaces(POD_KIND, { ...POD, spec })).toThrow(message);
  });

  it.each([
    ['the object', { ...POD, Spec: { containers: [{ image: 'z' }] } }, 'Spec'],
    ['the object', { ...POD, '\u017Fpec': {} }, '\u017Fpec'],
    ['the object', { ...POD, KIND: 'Job' }, 'KIND'],
    ['spec', { ...POD, spec: { ...SPEC, Containers: [{ image: 'z' }] } }, 'Containers'],
    ['spec', { ...POD, spec: { ...SPEC, initcontainers: [{ image: 'z' }] } }, 'initcontainers'],
    ['spec', { ...POD, spec: { ...SPEC, VOLUMES: null } }, 'VOLUMES'],
    ['containers[0]', { ...POD, spec: { containers: [{ image: 'a', IMAGE: 'z' }] } }, 'IMAGE'],
    ['containers[0]', { ...POD, spec: { containers: [{ Image: 'z' }] } }, 'Image'],
    ['volumes[0]', { ...POD, spec: { ...SPEC, volumes: [{ Image: { reference: 'z' } }] } }, 'Image'],
    [
      'volumes[0].image',
      { ...POD, spec: { ...SPEC, volumes: [{ image: { reference: 'e', Reference: 'z' } }] } },
      'Reference',
    ],
  ])('are refused where %s spells a field in another way: case %#', (what, object, name) => {
    const message = `${what} has a field "${name}", which is another spelling`;
    expect(() => imagePlaces(POD_KIND, object)).toThrow(message);
  });

  it.each([
    ['a list', { futureContainers: [{}, { name: 'x', image: 'z' }] }],
    ['a part', { futureContainers: { image: 'z' } }],
  ])('are refused where %s that is not known names one', (_what, more) => {
    const message = 'futureContainers names an image, and is not known here';
    expect(() => imagePlaces(POD_KIND, { ...POD, spec: { ...SPEC, ...more } })).toThrow(message);
  });

  it('are those that are known where a later field names none, and where a volume has an image of another kind', () => {
    const more = {
      future: [{ name: 'x' }, 1, null],
      later: { deep: { image: 'no container' } },
      image: 'a text',
      volumes: [{ name: 'disk', rbd: { image: 'disk' } }],
    };
    expect(imagePlaces(POD_KIND, { ...POD, spec: { ...SPEC, ...more } })).toHaveLength(4);
  });

  it('are refused where a part of the way to the pod is spelled in another way', () => {
    const job = { apiVersion: 'batch/v1', kind: 'Job', spec: { template: { spec: SPEC }, Template: { spec: SPEC } } };
    expect(() => imagePlaces({ group: 'batch', kind: 'Job' }, job)).toThrow('has a field "Template"');
  });

  it.each([
    [{ group: 'argoproj.io', kind: 'Rollout' }, 'Rollout of argoproj.io'],
    [{ group: 'example.com', kind: 'Pod' }, 'Pod of example.com'],
    [{ group: 'extensions', kind: 'Deployment' }, 'Deployment of extensions'],
    [{ group: '', kind: 'List' }, 'List'],
    [{ group: '', kind: 'PodExecOptions' }, 'PodExecOptions'],
    [{ group: '', kind: '__proto__' }, '__proto__'],
  ])('are refused in a kind that is not known: %j', (kind, name) => {
    expect(() => imagePlaces(kind, { ...POD, kind: kind.kind })).toThrow(`the kind ${name} is not known here`);
  });

  it.each([
    ['another kind', { ...POD, kind: 'Job' }],
    ['another group', { ...POD, apiVersion: 'apps/v1' }],
    ['no kind', { spec: SPEC }],
    ['nothing', undefined],
    ['null', null],
    ['a list', [POD]],
  ])('are refused where the object is %s', (_what, object) => {
    expect(() => imagePlaces(POD_KIND, object)).toThrow(PlacesError);
  });
});
