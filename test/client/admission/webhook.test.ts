/** Reviews of every kind over HTTPS: what is not plainly good is denied, in the only form that counts as a denial. */
import { once } from 'node:events';
import http2 from 'node:http2';
import https from 'node:https';
import { describe, expect, it } from 'vitest';
import type { AdmitOptions } from '../../../client/admission/admit.ts';
import type { ImageVerdict } from '../../../client/admission/types.ts';
import { ClientError } from '../../../client/errors.ts';
import { formatImageName } from '../../../client/evidence/image-name.ts';
import { until } from '../../support/until.ts';
import { BAD, GOOD, podOf, type Reply, reviewOf, startWebhook, TLS, UID } from '../../support/webhook.ts';

const DIGEST = GOOD.split('@')[1]!;
const POLICY = `sha256:${'0'.repeat(64)}`;

/** Allows what has the good digest, and remembers what it was asked for. */
function verdicts(judge?: (signal: AbortSignal) => Promise<ImageVerdict>) {
  const asked: string[] = [];
  const options: AdmitOptions = {
    verdicts: {
      async judge(image, digest, _namespace, signal) {
        asked.push(`${formatImageName({ domain: image.domain, path: image.path })}@${digest}`);
        if (judge !== undefined) return await judge(signal);
        const allowed = digest === DIGEST;
        return { allowed, why: allowed ? '' : 'denied by the policy "p"', policy: POLICY };
      },
    },
    versions: () => 'one',
    maxImages: () => 500,
  };
  return { asked, options };
}

/** What a denial must be, so that an API server takes it as one. */
function expectDenied({ status, headers, response }: Reply, uid = UID): string {
  expect(status).toBe(200);
  expect(headers['retry-after']).toBeUndefined();
  expect(headers.location).toBeUndefined();
  expect(response).toMatchObject({ uid, allowed: false });
  expect(response.patch).toBeUndefined();
  expect(Object.keys(response).sort()).toEqual(['allowed', 'auditAnnotations', 'status', 'uid']);
  const { message } = response.status!;
  expect(message).toMatch(/^[^\p{Cc}\p{Zl}\p{Zp}]{10,1201}$/u);
  return message;
}

const POD = podOf(GOOD);
const JOB = { group: 'batch', version: 'v1', kind: 'Job' };
const large = (bytes: number) => ({ ...POD, metadata: { annotations: { a: 'x'.repeat(bytes) } } });
const many = (count: number) => podOf(...Array.from({ length: count }, () => GOOD));

describe('an odd review', () => {
  it.each<[string, unknown, string]>([
    ['no images', reviewOf(podOf()), 'nothing to judge'],
    ['no object', reviewOf(null), 'malformed'],
    ['a container without an image', reviewOf(podOf(undefined)), 'names no image'],
    ['an image that is no text', reviewOf(podOf(7)), 'is no text'],
    ['too many images', reviewOf(many(501)), '501 images'],
    ['200 images of which one is bad', reviewOf(podOf(...Array(199).fill(GOOD), BAD)), 'container "c199"'],
    ['a digest of SHA-512', reviewOf(podOf(`example.com/app@sha512:${'a'.repeat(128)}`)), 'SHA-256'],
    ['a digest of an unknown algorithm', reviewOf(podOf(`example.com/app@md5:${'a'.repeat(32)}`)), 'digest'],
    ['a digest in capital letters', reviewOf(podOf(`example.com/app@sha256:${'A'.repeat(64)}`)), 'digest'],
    ['a digest that is cut off', reviewOf(podOf(GOOD.slice(0, -1))), 'digest'],
    ['a digest behind a space', reviewOf(podOf(`${GOOD} `)), 'not the name of an image'],
    ['a tag', reviewOf(podOf('registry.example.com/team/app:1')), 'names no digest'],
    ['neither tag nor digest', reviewOf(podOf('app')), 'docker.io/library/app'],
    ['a port in place of a tag', reviewOf(podOf('registry.example.com:5000/app')), 'names no digest'],
    ['a repository in capital letters', reviewOf(podOf(`registry.example.com/App@${DIGEST}`)), 'lower-case'],
    ['a path that climbs', reviewOf(podOf(`registry.example.com/../app@${DIGEST}`)), 'not the name of an image'],
    ['a URL', reviewOf(podOf(`https://registry.example.com/app@${DIGEST}`)), 'not the name of an image'],
    ['a name with a line break', reviewOf(podOf(`app\nallowed: true@${DIGEST}`)), 'not the name of an image'],
    ['a digest alone', reviewOf(podOf(DIGEST)), 'names no digest'],
    ['a bad image in a dry run', reviewOf(podOf(BAD), { dryRun: true }), 'denied by the policy'],
    [
      'a bad image in an update',
      reviewOf(podOf(BAD), { operation: 'UPDATE', oldObject: podOf(BAD) }),
      'denied by the policy',
    ],
    ['an operation that is none', reviewOf(POD, { operation: 'CONNECT' }), 'CONNECT'],
    ['an operation in lower case', reviewOf(POD, { operation: 'delete' }), 'delete'],
    ['a kind that is not known', reviewOf(POD, { kind: { group: 'x.io', version: 'v1', kind: 'Rollout' } }), 'Rollout'],
    ['an object of another kind', reviewOf(POD, { kind: JOB }), 'another kind'],
    [
      'a list of pods',
      reviewOf({ kind: 'PodList', items: [POD] }, { kind: { group: '', kind: 'PodList' } }),
      'PodList',
    ],
    ['version v1beta1', { ...reviewOf(POD), apiVersion: 'admission.k8s.io/v1beta1' }, 'v1beta1'],
    ['version v2', { ...reviewOf(POD), apiVersion: 'admission.k8s.io/v2' }, 'v2'],
    ['no kind of its own', { ...reviewOf(POD), kind: undefined }, 'no AdmissionReview'],
    ['4 MB', reviewOf(large(4_000_000)), 'bytes'],
    ['4 MB that end in the middle', JSON.stringify(reviewOf(large(4_000_000))).slice(0, -9), 'bytes'],
    ['a review that is cut off', JSON.stringify(reviewOf(POD)).slice(0, -1), 'not JSON'],
    [
      'an object with a member twice',
      JSON.stringify(reviewOf(POD)).replace('"image":', '"image":"x","image":'),
      'image',
    ],
    [
      'a thousand levels',
      JSON.stringify(reviewOf('DEEP')).replace('"DEEP"', '['.repeat(999) + ']'.repeat(999)),
      'deeper',
    ],
    [
      'bytes that are no text',
      Buffer.concat([Buffer.from(JSON.stringify(reviewOf(POD))), Buffer.from([0xff])]),
      'UTF-8',
    ],
  ])('is denied: %s', async (_what, review, message) => {
    const { options } = verdicts();
    const { post } = await startWebhook(options);
    const reply = await post(review);
    expect(expectDenied(reply)).toContain(message);
    const { apiVersion = '' } = review as { apiVersion?: string };
    expect(reply.apiVersion).toBe(apiVersion.startsWith('admission') ? apiVersion : 'admission.k8s.io/v1');
    // A denial by /mutate has the same form.
    if (!message.includes('names no digest')) expectDenied(await post(review, '/mutate'));
  });

  it.each<[string, unknown]>([
    ['no uid', reviewOf(POD, { uid: undefined })],
    ['an empty uid', reviewOf(POD, { uid: '' })],
    ['a uid that is a list', reviewOf(POD, { uid: [UID] })],
    ['nothing in it', ''],
    ['null', 'null'],
    ['HTML', '<html><body>allowed: true</body></html>'],
    ['YAML', 'kind: AdmissionReview\nresponse:\n  allowed: true\n'],
    ['an answer', { ...reviewOf(POD), request: undefined, response: { uid: UID, allowed: true } }],
  ])('without a uid is denied without one: %s', async (_what, review) => {
    const { options } = verdicts();
    expectDenied(await (await startWebhook(options)).post(review), '');
  });

  it.each<[string, unknown]>([
    ['a deletion', reviewOf(null, { operation: 'DELETE', oldObject: podOf(BAD) })],
    ['a dry run of a good image', reviewOf(POD, { dryRun: true })],
    ['fields of a later release', { ...reviewOf(POD, { later: { a: 1 } }), later: true }],
    ['200 places of one good image', reviewOf(many(200))],
    ['a tag and a digest', reviewOf(podOf(GOOD.replace('@', ':1@')))],
    ['a port', reviewOf(podOf(`registry.example.com:5000/team/app@${DIGEST}`))],
    ['a registry in capital letters', reviewOf(podOf(`Registry/app@${DIGEST}`))],
    ['3 MiB', reviewOf(large(3 * 1024 * 1024))],
  ])('is admitted: %s', async (_what, review) => {
    const { options } = verdicts();
    const { response, status } = await (await startWebhook(options)).post(review);
    expect(status).toBe(200);
    expect(response).toMatchObject({ uid: UID, allowed: true });
    expect(response.patch).toBeUndefined();
  });
});

describe('a review', () => {
  it('has each image judged once, under the name that the cluster pulls', async () => {
    const { options, asked } = verdicts();
    const { post } = await startWebhook(options);
    const names = [`app@${DIGEST}`, `localhost/app@${DIGEST}`, `Foo/bar@${DIGEST}`, `app@${DIGEST}`];
    expect((await post(reviewOf(podOf(...names)))).response.allowed).toBe(true);
    expect(asked.sort()).toEqual([`Foo/bar@${DIGEST}`, `docker.io/library/app@${DIGEST}`, `localhost/app@${DIGEST}`]);
  });

  it('says which places are denied, and how many more', async () => {
    const { options } = verdicts();
    const { post } = await startWebhook(options);
    const message = expectDenied(await post(reviewOf(podOf(GOOD, BAD, BAD, 'other:1'))));
    expect(message).toBe(
      `container "c1": ${BAD} is denied by the policy "p"; the same image stands in 1 further place; 1 further image is denied`,
    );
  });

  it('of an object that goes away is admitted where no image changes, so that its finalizers can go', async () => {
    const { options, asked } = verdicts();
    const { post } = await startWebhook(options);
    const going = { ...podOf(BAD), metadata: { deletionTimestamp: '2026-01-01T00:00:00Z', finalizers: ['a'] } };
    const update = (object: unknown, oldObject: unknown) => post(reviewOf(object, { operation: 'UPDATE', oldObject }));
    expect((await update({ ...going, metadata: {} }, going)).response.allowed).toBe(true);
    expect(asked).toEqual([]);
    // The mark must be on what the cluster has already.
    expectDenied(await update(going, podOf(BAD)));
    expectDenied(await update(podOf(BAD), { ...going, ...{ spec: podOf(GOOD).spec } }));
    expectDenied(await post(reviewOf(going, { oldObject: going })));
  });

  it('that comes again while it is judged gets the same answer, and is judged once', async () => {
    let answer: (verdict: ImageVerdict) => void = () => {};
    const { options, asked } = verdicts(() => new Promise((resolve) => (answer = resolve)));
    const { post, metrics } = await startWebhook(options);
    const replies = [post(reviewOf(POD)), post(reviewOf(POD)), post(reviewOf(POD))];
    await until(async () => (await metrics.text()).includes('stele_admission_repeated_reviews_total 2'));
    expect(asked).toHaveLength(1);
    answer({ allowed: true, why: '', policy: POLICY });
    for (const { response } of await Promise.all(replies)) expect(response).toMatchObject({ uid: UID, allowed: true });
  });

  it('with the uid of another one gets an answer of its own', async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    const { options, asked } = verdicts();
    const slow: AdmitOptions = {
      ...options,
      verdicts: {
        judge: async (...given) => {
          const verdict = options.verdicts.judge(...given);
          await held;
          return await verdict;
        },
      },
    };
    const { post } = await startWebhook(slow);
    const good = post(reviewOf(POD));
    await until(() => asked.length === 1);
    const bad = post(reviewOf(podOf(BAD)));
    await until(() => asked.length === 2);
    release();
    expect((await good).response.allowed).toBe(true);
    expectDenied(await bad);
  });

  it('is denied when its time is over, and the work for it ends', async () => {
    const signals: AbortSignal[] = [];
    const { options } = verdicts((signal) => {
      signals.push(signal);
      return new Promise(() => {});
    });
    const { post } = await startWebhook(options);
    expect(expectDenied(await post(reviewOf(POD), '/validate?timeout=200ms'))).toContain('no verdict');
    expect(signals[0]!.aborted).toBe(true);
  });

  it.each(['', '?timeout=', '?timeout=soon', '?timeout=-1s', '?timeout=1h', '?timeout=1s&timeout=1h'])(
    'with the query "%s" ends within the own time-out',
    async (query) => {
      const { options } = verdicts(() => new Promise(() => {}));
      const { post } = await startWebhook(options, { deadline: 200 });
      expectDenied(await post(reviewOf(POD), `/validate${query}`));
    },
  );

  it.each<[string, () => Promise<ImageVerdict>]>([
    ['a registry that is away', () => Promise.reject(new ClientError('network', 'the registry does not answer'))],
    ['an error that is none of ours', () => Promise.reject(new TypeError('x is not a function'))],
    ['what is thrown and is no error', () => Promise.reject(undefined)],
    ['a verdict that is truthy', async () => ({ allowed: 'yes', why: '', policy: '' }) as never],
    ['a verdict that is an error', async () => new Error('a value') as never],
    ['no verdict', async () => undefined as never],
  ])('is denied after %s', async (_what, judge) => {
    const { options } = verdicts(judge);
    expectDenied(await (await startWebhook(options)).post(reviewOf(POD)));
  });

  it('is judged anew where policy or trust changed while one of its images was looked up', async () => {
    const { options } = verdicts();
    let versions = 0;
    const judged: string[] = [];
    const changing: AdmitOptions = {
      ...options,
      versions: () => String(versions),
      verdicts: {
        async judge(_image, digest) {
          judged.push(`${digest.slice(7, 8)} under ${versions}`);
          const allowed = versions === 0 || digest !== DIGEST;
          if (digest !== DIGEST && versions === 0) versions = 1;
          return { allowed, why: allowed ? '' : 'denied by the policy "p"', policy: POLICY };
        },
      },
    };
    const { post } = await startWebhook(changing);
    expect(expectDenied(await post(reviewOf(podOf(GOOD, BAD))))).toContain('container "c0"');
    expect(judged).toEqual(['a under 0', 'b under 0', 'a under 1', 'b under 1']);
  });

  it('is denied where policy or trust do not stand still', async () => {
    let versions = 0;
    const { options } = verdicts();
    const { post } = await startWebhook({ ...options, versions: () => String(versions++) });
    expect(expectDenied(await post(reviewOf(POD)))).toContain('changes all the time');
  });

  it('is denied at once where too many wait', async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    const { options, asked } = verdicts(async () => {
      await held;
      return { allowed: true, why: '', policy: POLICY };
    });
    const { post } = await startWebhook(options, { reviews: 2 });
    const waiting = ['1', '2'].map((uid) => post(reviewOf(POD, { uid, namespace: uid })));
    await until(() => asked.length === 2);
    expect(expectDenied(await post(reviewOf(POD)))).toContain(
      '2 reviews wait here already, 0 of this namespace: try again',
    );
    release();
    for (const { response } of await Promise.all(waiting)) expect(response.allowed).toBe(true);
    expect((await post(reviewOf(POD))).response.allowed).toBe(true);
  });

  it('is denied at once where too many of its namespace wait, and those of others are judged', async () => {
    let release = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    const { options, asked } = verdicts(async () => {
      await held;
      return { allowed: true, why: '', policy: POLICY };
    });
    const { post } = await startWebhook(options, { reviews: 8 });
    const waiting = ['1', '2'].map((uid) => post(reviewOf(POD, { uid })));
    await until(() => asked.length === 2);
    expect(expectDenied(await post(reviewOf(POD)))).toContain('2 of this namespace');
    const other = post(reviewOf(POD, { namespace: 'other' }));
    await until(() => asked.length === 3);
    release();
    for (const { response } of await Promise.all([...waiting, other])) expect(response.allowed).toBe(true);
    expect((await post(reviewOf(POD))).response.allowed).toBe(true);
  });

  it('is taken by HTTP/2 too, and there has the same answers', async () => {
    const { options } = verdicts();
    const { url } = await startWebhook(options);
    const session = http2.connect(url, { ca: TLS.ca });
    const ask = async (review: unknown) => {
      const stream = session.request({ ':method': 'POST', ':path': '/validate?timeout=3s' });
      stream.end(JSON.stringify(review));
      const [headers] = await once(stream, 'response');
      const { response } = JSON.parse(Buffer.concat(await stream.toArray()).toString());
      return { status: headers[':status'], headers, response } as Reply;
    };
    const replies = await Promise.all([reviewOf(POD), reviewOf(podOf(BAD)), reviewOf(large(4_000_000))].map(ask));
    session.close();
    expect(replies[0]!.response.allowed).toBe(true);
    expectDenied(replies[1]!);
    expectDenied(replies[2]!);
  });

  it('of 4 MB is denied under its uid also where the client asks first whether to send it', async () => {
    const { options } = verdicts();
    const { url } = await startWebhook(options);
    const body = JSON.stringify(reviewOf(large(4_000_000)));
    const headers = { expect: '100-continue', 'content-length': body.length };
    const request = https.request(`${url}/validate`, { method: 'POST', ca: TLS.ca, agent: false, headers });
    request.on('continue', () => request.end(body));
    request.flushHeaders();
    const [reply] = await once(request, 'response');
    const { response } = JSON.parse(Buffer.concat(await reply.toArray()).toString());
    expectDenied({ status: reply.statusCode, headers: reply.headers, response });
  });

  it('is posted to one of two paths, and nothing redirects', async () => {
    const { options } = verdicts();
    const { post } = await startWebhook(options);
    for (const path of ['/', '/validate/', '/Validate', '//validate', '/%ff']) {
      const { status, headers, response } = await post(reviewOf(POD), path);
      expect(status).toBe(404);
      expect(headers.location).toBeUndefined();
      expect(response).toEqual({});
    }
  });

  it('is counted and logged with the reason, and without control characters', async () => {
    const { options } = verdicts();
    const { post, metrics, lines } = await startWebhook(options);
    await post(reviewOf(POD));
    await post(reviewOf(podOf(BAD)));
    await post('{');
    const text = await metrics.text();
    for (const [verdict, reason] of [
      ['allowed', 'judged'],
      ['denied', 'judged'],
      ['denied', 'review'],
    ])
      expect(text).toContain(
        `stele_admission_reviews_total{webhook="validate",verdict="${verdict}",reason="${reason}"} 1`,
      );
    const denied = lines.find(({ message }) => message === 'denied');
    expect(denied?.fields).toMatchObject({ uid: UID, namespace: 'team', name: 'app', reason: 'judged' });
    expect(denied?.fields.why).toContain('denied by the policy');
  });
});

describe('the mutating webhook', () => {
  const resolving = (digest: string) => ({ ...verdicts().options, resolveTag: async () => digest });

  it('writes the digest that was judged behind the tag, and tests what it replaces', async () => {
    const { post } = await startWebhook(resolving(DIGEST));
    const pod = podOf('registry.example.com/team/app:1', GOOD, 'app');
    const { response } = await post(reviewOf(pod), '/mutate?timeout=3s');
    expect(response).toMatchObject({ uid: UID, allowed: true, patchType: 'JSONPatch' });
    expect(JSON.parse(Buffer.from(response.patch!, 'base64').toString())).toEqual([
      { op: 'test', path: '/spec/containers/0/image', value: 'registry.example.com/team/app:1' },
      { op: 'replace', path: '/spec/containers/0/image', value: `registry.example.com/team/app:1@${DIGEST}` },
      { op: 'test', path: '/spec/containers/2/image', value: 'app' },
      { op: 'replace', path: '/spec/containers/2/image', value: `app@${DIGEST}` },
    ]);
  });

  it('writes it into each place of a workload', async () => {
    const { post } = await startWebhook(resolving(DIGEST));
    const spec = {
      initContainers: [{ name: 'a', image: 'app:1' }],
      containers: [{ name: 'b', image: 'app:1' }],
      volumes: [{ name: 'c', image: { reference: 'app:1' } }],
    };
    const object = { apiVersion: 'batch/v1', kind: 'CronJob', spec: { jobTemplate: { spec: { template: { spec } } } } };
    const kind = { group: 'batch', version: 'v1', kind: 'CronJob' };
    const { response } = await post(reviewOf(object, { kind }), '/mutate');
    const patch = JSON.parse(Buffer.from(response.patch!, 'base64').toString()) as { op: string; path: string }[];
    const at = '/spec/jobTemplate/spec/template/spec';
    expect(patch.filter(({ op }) => op === 'replace').map(({ path }) => path)).toEqual([
      `${at}/initContainers/0/image`,
      `${at}/containers/0/image`,
      `${at}/volumes/0/image/reference`,
    ]);
  });

  it.each([
    ['a digest that the policy denies', BAD.split('@')[1]!],
    ['a digest that is none', 'sha256:abc'],
    ['a digest with more behind it', `${DIGEST}\n`],
    ['no digest', undefined as unknown as string],
  ])('denies a tag that stands for %s', async (_what, digest) => {
    expectDenied(await (await startWebhook(resolving(digest))).post(reviewOf(podOf('app:1')), '/mutate'));
  });

  it('denies a tag where no registry can be asked, and where the registry is away', async () => {
    expectDenied(await (await startWebhook(verdicts().options)).post(reviewOf(podOf('app:1')), '/mutate'));
    const away = { ...verdicts().options, resolveTag: () => Promise.reject(new Error('away')) };
    expect(expectDenied(await (await startWebhook(away)).post(reviewOf(podOf('app:1')), '/mutate'))).toContain('away');
  });

  it('does not serve as the validating one: that denies a tag also where it could be resolved', async () => {
    expectDenied(await (await startWebhook(resolving(DIGEST))).post(reviewOf(podOf('app:1')), '/validate'));
  });
});
