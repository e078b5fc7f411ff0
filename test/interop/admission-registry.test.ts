/**
 * From an image that cosign signed on a registry to the verdict that an API server hears: `docker-registry`, cosign, a log of ours,
 * `stele admission` as a process, and the webhook client of k8s.io/apiserver with the manifests of deploy/kubernetes.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AdmissionProcess } from '../support/admission-process.ts';
import { tempDir } from '../support/log.ts';
import { type Pushed, pushImage } from '../support/push-image.ts';
import { type ServeProcess, startServer } from '../support/serve.ts';
import { lacking, skips } from '../support/skip.ts';
import { podOf } from '../support/webhook.ts';
import { ApiServer, hooksOf, MUTATING, NAMESPACES, type Outcome, VALIDATING } from './api-server.ts';
import { type DockerRegistry, startDockerRegistry } from './docker-registry.ts';
import { buildJudge } from './go-judge.ts';
import { addInteropTools, ok, tellCosign } from './tools.ts';

addInteropTools();
const built = buildJudge('admission');
const missing = typeof built === 'string' ? built : lacking('cosign', 'docker-registry');

describe.skipIf(skips('admission of an image that cosign signed', missing))('a cluster', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let log: ServeProcess;
  let registry: DockerRegistry;
  let webhook: AdmissionProcess;
  let server: ApiServer;
  let signed: Pushed;
  let unsigned: Pushed;
  const at = (name: string) => join(dir.path, name);

  beforeAll(async () => {
    dir = await tempDir();
    log = await startServer(at('data'));
    registry = await startDockerRegistry(at('registry'));
    const cosign = await tellCosign(log, dir.path);
    signed = await pushImage(registry.url, 'team/app', 'v1', { content: 'signed' });
    unsigned = await pushImage(registry.url, 'team/app', 'v2', { content: 'unsigned' });
    const image = `${registry.host}/team/app@${signed.digest}`;
    const how = ['--key', cosign.key, '--signing-config', cosign.signingConfig, '--trusted-root', cosign.trustedRoot];
    await ok('cosign', ['sign', '-y', '--allow-http-registry', ...how, image], cosign.env);
    await writeFile(
      at('policy.yaml'),
      `version: 1
name: images of the team
artifacts: ['${registry.host}/team/**']
signers:
  release: { keyFile: ${cosign.pub} }
rules:
  - name: signed by release
    type: https://sigstore.dev/cosign/sign/v1
    signers: [release]
`,
    );
    webhook = await AdmissionProcess.start(dir.path, [
      ...['--policy', 'policy.yaml', '--trust-trusted-root', cosign.trustedRoot],
      ...['--evidence-insecure-registries', registry.host, '--evidence-allow', 'loopback'],
      ...['--cache-allow', '0s', '--cache-deny', '0s'],
    ]);
    server = new ApiServer((built as Exclude<typeof built, string>).program);
  }, 120_000);
  afterAll(async () => {
    await server?.end();
    await webhook?.end('SIGKILL');
    await registry?.stop();
    await log?.kill();
    await dir.remove();
  });

  /** As a developer who makes a pod. */
  const create = (image: string, failurePolicy: 'Fail' | 'Ignore', mutating = false): Promise<Outcome> =>
    server.run({
      endpoint: webhook.url,
      validating: [hooksOf(VALIDATING, { failurePolicy })],
      ...(mutating && { mutating: [hooksOf(MUTATING, { failurePolicy })] }),
      namespaces: NAMESPACES,
      operation: 'CREATE',
      ...{ group: '', version: 'v1', kind: 'Pod', resource: 'pods', namespace: 'team', name: 'app' },
      object: podOf(image),
    });
  const imageOf = ({ digest }: Pushed, tag = '') => `${registry.host}/team/app${tag}@${digest}`;
  const POLICIES = ['Fail', 'Ignore'] as const;

  it('runs the image with a signature in its registry, and no other one', async () => {
    for (const failurePolicy of POLICIES) {
      const admitted = await create(imageOf(signed), failurePolicy);
      expect(admitted, admitted.message).toMatchObject({ allowed: true, failedOpen: false });
      const denied = await create(imageOf(unsigned), failurePolicy);
      expect(denied).toMatchObject({ allowed: false, failedOpen: false, code: 403 });
      expect(denied.message).toContain(`${imageOf(unsigned)} is denied by the policy "images of the team"`);
      expect(await create(imageOf(signed, ':v2'), failurePolicy)).toMatchObject({ allowed: true });
    }
  });

  it('runs a tag as the digest that was judged, and denies it without the mutating webhook', async () => {
    for (const failurePolicy of POLICIES) {
      const tag = `${registry.host}/team/app:v1`;
      expect(await create(tag, failurePolicy)).toMatchObject({ allowed: false, code: 403 });
      const { allowed, failedOpen, message, object } = await create(tag, failurePolicy, true);
      expect({ allowed, failedOpen }, message).toEqual({ allowed: true, failedOpen: false });
      expect(object?.spec.containers[0]?.image).toBe(`${tag}@${signed.digest}`);
      for (const other of ['v2', 'none'])
        expect(await create(`${registry.host}/team/app:${other}`, failurePolicy, true)).toMatchObject({
          allowed: false,
          failedOpen: false,
        });
    }
  });

  it('runs nothing while the registry is away', async () => {
    await registry.stop();
    for (const failurePolicy of POLICIES)
      for (const [image, mutating] of [
        [imageOf(signed), false],
        [`${registry.host}/team/app:v1`, true],
      ] as const) {
        const denied = await create(image, failurePolicy, mutating);
        expect(denied, denied.message).toMatchObject({ allowed: false, failedOpen: false, code: 403 });
        expect(denied.message).toContain('there is no verdict');
      }
  });

  it('runs nothing while the webhook is away, as the manifests have it', async () => {
    await webhook.end('SIGKILL');
    expect(await create(imageOf(signed), 'Fail')).toMatchObject({ allowed: false });
    expect(VALIDATING.webhooks.map(({ failurePolicy }) => failurePolicy)).toEqual(['Fail']);
    expect(MUTATING.webhooks.map(({ failurePolicy }) => failurePolicy)).toEqual(['Fail']);
  });
});
