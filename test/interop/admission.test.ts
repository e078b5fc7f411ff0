/**
 * The webhook before the part of a Kubernetes API server that calls webhooks (k8s.io/apiserver, judges/admission), with the
 * manifests of deploy/kubernetes. What the webhook denies is denied under `failurePolicy: Ignore` too, which admits whatever is no
 * proper denial.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { parseAllDocuments } from 'yaml';
import type { AdmitOptions } from '../../client/admission/admit.ts';
import { JUDGED_KINDS } from '../../client/admission/image-places.ts';
import { lacking, skips } from '../support/skip.ts';
import { BAD, GOOD, podOf, reviewOf, startWebhook, TLS, UID } from '../support/webhook.ts';
import { ApiServer, hooksOf, KUBERNETES, type Manifest, MUTATING, NAMESPACES, OWN, VALIDATING } from './api-server.ts';
import { buildJudge } from './go-judge.ts';

const DIGEST = GOOD.split('@')[1]!;
const POLICY = `sha256:${'0'.repeat(64)}`;

const built = buildJudge('admission');

/** Allows the good digest. */
const ADMITTING: AdmitOptions = {
  verdicts: {
    async judge(_image, digest) {
      const allowed = digest === DIGEST;
      return { allowed, why: allowed ? '' : 'denied by the policy "p"', policy: POLICY };
    },
  },
  versions: () => 'one',
  maxImages: () => 500,
};

const POD = { group: '', version: 'v1', kind: 'Pod', resource: 'pods' };

/** An object of the kind with one container. */
function objectOf({ group, kind, spec }: (typeof JUDGED_KINDS)[number], image: string): object {
  const pod = { containers: [{ name: 'app', image }], restartPolicy: 'Never' };
  const inner = [...spec].reverse().reduce<unknown>((value, name) => ({ [name]: value }), pod);
  return { apiVersion: group === '' ? 'v1' : `${group}/v1`, kind, metadata: { name: 'app' }, ...(inner as object) };
}

const POLICIES = ['Fail', 'Ignore'] as const;

describe('the manifests', () => {
  it('name each resource whose images are read, in both webhooks alike', () => {
    const named = JUDGED_KINDS.flatMap(({ group, resource, subresources = [] }) =>
      [resource, ...subresources.map((sub) => `${resource}/${sub}`)].map((one) => `${group}/${one}`),
    );
    for (const { webhooks } of [VALIDATING, MUTATING]) {
      const [hook] = webhooks;
      const ruled = hook!.rules.flatMap(({ apiGroups, resources }) =>
        apiGroups.flatMap((group) => resources.map((one) => `${group}/${one}`)),
      );
      expect(ruled.sort()).toEqual([...named].sort());
      for (const { operations, apiVersions } of hook!.rules) {
        expect(operations).toEqual(['CREATE', 'UPDATE']);
        expect(apiVersions).toEqual(['v1']);
      }
    }
  });

  it.skipIf(skips('manifests as kubectl renders them', lacking('kubectl')))(
    'are rendered by kubectl, give no rights, and keep every pod of the service restricted',
    async () => {
      const rendered = ['admission', 'admission-tags', 'admission-cert-manager'].map((name) => {
        const { status, stdout, stderr } = spawnSync('kubectl', ['kustomize', join(KUBERNETES, name)], {
          encoding: 'utf8',
        });
        expect(status, stderr).toBe(0);
        return parseAllDocuments(stdout).map((document) => document.toJS() as Manifest & Record<string, never>);
      });
      const kinds = rendered.map((objects) => objects.map(({ kind }) => kind).sort());
      expect(kinds[0]).toEqual([
        'ConfigMap',
        'Deployment',
        'Namespace',
        'NetworkPolicy',
        'PodDisruptionBudget',
        'Service',
        'ServiceAccount',
        'ValidatingWebhookConfiguration',
      ]);
      expect(kinds[1]).toEqual([...kinds[0]!, 'MutatingWebhookConfiguration'].sort());
      expect(kinds[2]).toEqual([...kinds[1]!, 'Certificate', 'Issuer'].sort());
      const all = rendered.flat();
      const deployments = all.filter(({ kind }) => kind === 'Deployment') as unknown as {
        spec: {
          template: { spec: { automountServiceAccountToken: boolean; containers: { securityContext: object }[] } };
        };
      }[];
      for (const { spec } of deployments) {
        expect(spec.template.spec.automountServiceAccountToken).toBe(false);
        expect(spec.template.spec.containers[0]!.securityContext).toEqual({
          allowPrivilegeEscalation: false,
          capabilities: { drop: ['ALL'] },
          readOnlyRootFilesystem: true,
        });
      }
      if (typeof built === 'string') return;
      const server = new ApiServer(built.program);
      const known = all.filter(({ apiVersion }) => !apiVersion.startsWith('cert-manager.io/'));
      expect(await server.run({ manifests: known })).toMatchObject({ allowed: true });
      const odd = { ...known[0], unknownField: 1 };
      expect(await server.run({ manifests: [odd] })).toMatchObject({ allowed: false });
      await server.end();
    },
  );
});

describe.skipIf(skips('the webhook before k8s.io/apiserver', typeof built === 'string' ? built : undefined))(
  'an API server',
  () => {
    const { program, remove } = built as Exclude<typeof built, string>;
    afterAll(remove);

    const start = () => {
      const server = new ApiServer(program);
      onTestFinished(() => server.end());
      return server;
    };

    /** Creates objects as a developer does, with the webhooks of the manifests. */
    async function cluster(admitting: AdmitOptions = ADMITTING, limits: Parameters<typeof startWebhook>[1] = {}) {
      const webhook = await startWebhook(admitting, limits);
      const server = start();
      const create = (object: object, more: object = {}, change: object = {}, mutating = false) =>
        server.run({
          endpoint: webhook.url,
          validating: [hooksOf(VALIDATING, change)],
          ...(mutating && { mutating: [hooksOf(MUTATING, change)] }),
          namespaces: NAMESPACES,
          operation: 'CREATE',
          namespace: 'team',
          name: 'app',
          object,
          ...POD,
          ...more,
        });
      return { ...webhook, server, create };
    }

    it('asks about every kind, and denies each with our words under both failure policies', async () => {
      const { create } = await cluster();
      for (const known of JUDGED_KINDS) {
        const { group, kind, resource, subresources = [] } = known;
        for (const subresource of ['', ...subresources]) {
          const more = { group, kind, resource, version: 'v1', subresource };
          for (const failurePolicy of POLICIES) {
            const denied = await create(objectOf(known, BAD), more, { failurePolicy });
            expect(denied, `${kind} ${subresource}`).toMatchObject({ allowed: false, failedOpen: false, code: 403 });
            expect(denied.message).toBe(
              `admission webhook "images.stele-admission.svc" denied the request: container "app": ${BAD} is denied by the policy "p"`,
            );
          }
          const admitted = await create(objectOf(known, GOOD), more, { failurePolicy: 'Fail' });
          expect(admitted, admitted.message).toMatchObject({ allowed: true, failedOpen: false });
        }
      }
    });

    it('asks about ephemeral containers and image volumes of a running pod', async () => {
      const { create } = await cluster();
      const pod = podOf(GOOD) as { spec: object };
      const debug = { ...pod, spec: { ...pod.spec, ephemeralContainers: [{ name: 'debug', image: BAD }] } };
      const volume = { ...pod, spec: { ...pod.spec, volumes: [{ name: 'model', image: { reference: BAD } }] } };
      for (const failurePolicy of POLICIES) {
        const update = { operation: 'UPDATE', oldObject: pod, subresource: 'ephemeralcontainers' };
        expect((await create(debug, update, { failurePolicy })).message).toContain('ephemeral container "debug"');
        expect((await create(volume, {}, { failurePolicy })).message).toContain('volume "model"');
      }
    });

    it('does not ask where a namespace has not opted in, nor in the namespace of the webhook, nor for a deletion', async () => {
      const { create } = await cluster();
      for (const name of ['other', OWN, 'written-otherwise'])
        expect(await create(podOf(BAD), { namespace: name })).toMatchObject({ allowed: true, failedOpen: false });
      const deletion = { operation: 'DELETE', oldObject: podOf(BAD), object: undefined };
      expect(await create({}, deletion)).toMatchObject({ allowed: true, failedOpen: false });
    });

    it('takes a dry run, with the same verdict', async () => {
      const { create } = await cluster();
      expect(await create(podOf(GOOD), { dryRun: true })).toMatchObject({ allowed: true, failedOpen: false });
      for (const failurePolicy of POLICIES)
        expect(await create(podOf(BAD), { dryRun: true }, { failurePolicy })).toMatchObject({
          allowed: false,
          code: 403,
        });
    });

    it('gets 200 images judged, and a denial for one bad one among them', async () => {
      const { create } = await cluster();
      const images = Array.from({ length: 200 }, (_, at) => GOOD.replace('app', `app${at}`));
      expect(await create(podOf(...images))).toMatchObject({ allowed: true, failedOpen: false });
      expect(await create(podOf(...images, BAD), {}, { failurePolicy: 'Ignore' })).toMatchObject({ allowed: false });
    });

    it('gets a tag replaced by the digest that was judged, and the object as it then is admitted', async () => {
      const tags = { ...ADMITTING, resolveTag: async () => DIGEST };
      const { create } = await cluster(tags);
      const pod = podOf('registry.example.com/team/app:1', GOOD);
      const { allowed, failedOpen, object, message } = await create(pod, {}, { failurePolicy: 'Ignore' }, true);
      expect({ allowed, failedOpen }, message).toEqual({ allowed: true, failedOpen: false });
      expect(object?.spec.containers.map(({ image }) => image)).toEqual([
        `registry.example.com/team/app:1@${DIGEST}`,
        GOOD,
      ]);
      expect(await create(pod, {}, { failurePolicy: 'Ignore' })).toMatchObject({ allowed: false, code: 403 });
    });

    it('gets no tag replaced by a digest that is denied', async () => {
      const { create } = await cluster({ ...ADMITTING, resolveTag: async () => BAD.split('@')[1]! });
      for (const failurePolicy of POLICIES)
        expect(await create(podOf('registry.example.com/team/app:1'), {}, { failurePolicy }, true)).toMatchObject({
          allowed: false,
          message: expect.stringContaining('tags.stele-admission.svc'),
        });
    });

    it('hears a denial before its time-out, where the evidence does not come', async () => {
      const { create } = await cluster({ ...ADMITTING, verdicts: { judge: () => new Promise(() => {}) } });
      for (const failurePolicy of POLICIES) {
        const { allowed, failedOpen, message } = await create(podOf(GOOD), {}, { failurePolicy, timeoutSeconds: 1 });
        expect({ allowed, failedOpen }, message).toEqual({ allowed: false, failedOpen: false });
        expect(message).toContain('no verdict');
      }
    });

    it('speaks HTTP/1.1 with the service of a cluster, and HTTP/2 on loopback', async () => {
      const { app, url, create } = await cluster();
      const protocols = new Set<unknown>();
      app.server.on('secureConnection', ({ alpnProtocol }: TLSSocket) => protocols.add(alpnProtocol));
      expect(await create(podOf(GOOD))).toMatchObject({ allowed: true });
      const clientConfig = { url: `${url}/validate`, caBundle: Buffer.from(TLS.ca).toString('base64') };
      for (const failurePolicy of POLICIES) {
        expect(await create(podOf(GOOD), {}, { clientConfig, failurePolicy })).toMatchObject({
          allowed: true,
          failedOpen: false,
        });
        expect(await create(podOf(BAD), {}, { clientConfig, failurePolicy })).toMatchObject({
          allowed: false,
          code: 403,
        });
      }
      expect([...protocols].sort()).toEqual(['h2', 'http/1.1']);
    });

    describe('that sends an odd review itself', () => {
      const POD_OK = podOf(GOOD);
      const text = JSON.stringify(reviewOf(POD_OK));
      const large = JSON.stringify(reviewOf({ ...POD_OK, metadata: { annotations: { a: 'x'.repeat(4_000_000) } } }));

      it.each<[string, string]>([
        ['4 MB', large],
        ['4 MB that end in the middle', large.slice(0, -5)],
        ['16 MB', large.replace('xxx', 'x'.repeat(12_000_000))],
        ['cut off', text.slice(0, -1)],
        ['a member twice', text.replace('"image":', '"image":"x","image":')],
        ['no images', JSON.stringify(reviewOf(podOf()))],
        ['a digest of SHA-512', JSON.stringify(reviewOf(podOf(`a@sha512:${'a'.repeat(128)}`)))],
        ['a tag', JSON.stringify(reviewOf(podOf('app:1')))],
        ['a traversal', JSON.stringify(reviewOf(podOf(`registry.example.com/../app@${DIGEST}`)))],
        ['control characters', JSON.stringify(reviewOf(podOf(`app\n\u001b[31m@${DIGEST}`)))],
        ['an unknown kind', JSON.stringify(reviewOf(POD_OK, { kind: { group: 'x.io', kind: 'Rollout' } }))],
        ['an unknown operation', JSON.stringify(reviewOf(POD_OK, { operation: 'CONNECT' }))],
        ['501 images', JSON.stringify(reviewOf(podOf(...Array.from({ length: 501 }, () => GOOD))))],
      ])('takes the denial of it as one: %s', async (what, body) => {
        const { url } = await startWebhook(ADMITTING);
        const server = start();
        for (const path of what === 'a tag' ? ['validate'] : ['validate', 'mutate']) {
          const raw = { url: `${url}/${path}`, caBundle: Buffer.from(TLS.ca).toString('base64'), body, uid: UID };
          const outcome = await server.run({ raw: { ...raw, mutating: path === 'mutate' } });
          expect(outcome, outcome.message).toMatchObject({ failedOpen: false, allowed: false, code: 403 });
        }
      });

      it('treats one that comes again as the same', async () => {
        let asked = 0;
        let release = () => {};
        const held = new Promise<void>((resolve) => (release = resolve));
        const { url, metrics } = await startWebhook({
          ...ADMITTING,
          verdicts: {
            async judge() {
              asked++;
              await held;
              return { allowed: true, why: '', policy: POLICY };
            },
          },
        });
        const raw = { url: `${url}/validate`, caBundle: Buffer.from(TLS.ca).toString('base64'), body: text, uid: UID };
        const outcomes = [start(), start()].map((server) => server.run({ raw }));
        while (!(await metrics.text()).includes('stele_admission_repeated_reviews_total 1'))
          await new Promise(setImmediate);
        release();
        for (const outcome of await Promise.all(outcomes))
          expect(outcome).toMatchObject({ allowed: true, failedOpen: false });
        expect(asked).toBe(1);
      });
    });
  },
);
