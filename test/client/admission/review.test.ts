/** Reviews as API servers and others write them, and the answers that an API server takes. */
import { describe, expect, it } from 'vitest';
import { admission, denial, ReviewError, readReview } from '../../../client/admission/review.ts';
import { HEAD_BYTES, headOf } from '../../../client/admission/review-head.ts';

const LIMIT = 100_000;
const REQUEST = {
  uid: '705ab4f5-6393-11e8-b7cc-42010a800002',
  kind: { group: 'apps', version: 'v1', kind: 'Deployment' },
  resource: { group: 'apps', version: 'v1', resource: 'deployments' },
  subResource: 'scale',
  name: 'app',
  namespace: 'team',
  operation: 'UPDATE',
  object: { a: 1 },
  oldObject: null,
  dryRun: true,
};
const REVIEW = { kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1', request: REQUEST };
const bytes = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));

function refused(value: unknown): ReviewError {
  try {
    readReview(bytes(value), LIMIT);
  } catch (error) {
    expect(error).toBeInstanceOf(ReviewError);
    return error as ReviewError;
  }
  throw new Error('the review was read');
}

describe('a review', () => {
  it('is read with what a verdict needs', () => {
    expect(readReview(bytes(REVIEW), LIMIT)).toEqual({
      apiVersion: 'admission.k8s.io/v1',
      uid: REQUEST.uid,
      operation: 'UPDATE',
      kind: { group: 'apps', kind: 'Deployment' },
      resource: 'deployments/scale',
      namespace: 'team',
      name: 'app',
      dryRun: true,
      object: { a: 1 },
      oldObject: undefined,
    });
  });

  it('may have fields of later releases, anywhere', () => {
    const later = { ...REVIEW, later: {}, request: { ...REQUEST, later: [1], kind: { ...REQUEST.kind, later: 1 } } };
    expect(readReview(bytes(later), LIMIT).uid).toBe(REQUEST.uid);
  });

  it.each([
    ['admission.k8s.io/v1beta1', 'admission.k8s.io/v1beta1'],
    ['admission.k8s.io/v2', 'admission.k8s.io/v2'],
    ['evil.example.com/v1', 'admission.k8s.io/v1'],
    ['admission.k8s.io/v1\n', 'admission.k8s.io/v1'],
  ])('of the version %j is refused, and is answered in %s', (apiVersion, answered) => {
    const { data, message } = refused({ ...REVIEW, apiVersion });
    expect(data).toEqual({ apiVersion: answered, uid: REQUEST.uid });
    expect(message).toContain('version');
  });

  it.each([
    ['no kind', { ...REVIEW, kind: undefined }],
    ['another kind', { ...REVIEW, kind: 'Pod' }],
    ['no version', { ...REVIEW, apiVersion: undefined }],
    ['no operation', { ...REVIEW, request: { ...REQUEST, operation: undefined } }],
    ['an operation that is no text', { ...REVIEW, request: { ...REQUEST, operation: ['CREATE'] } }],
    ['a kind that is a text', { ...REVIEW, request: { ...REQUEST, kind: 'Pod' } }],
  ])('with %s is refused under its uid', (_what, review) => {
    expect(refused(review).data.uid).toBe(REQUEST.uid);
  });

  it.each([
    { ...REVIEW, Request: REQUEST },
    { ...REVIEW, request: { ...REQUEST, Object: { a: 2 } } },
    { ...REVIEW, request: { ...REQUEST, OPERATION: 'DELETE' } },
    { ...REVIEW, request: { ...REQUEST, kind: { ...REQUEST.kind, '\u212Aind': 'Pod' } } },
  ])('that spells a field in another way too is refused under its uid: case %#', (review) => {
    const { data, message } = refused(review);
    expect(data.uid).toBe(REQUEST.uid);
    expect(message).toContain('another spelling');
  });

  it.each([
    ['no uid', { ...REQUEST, uid: undefined }],
    ['an empty uid', { ...REQUEST, uid: '' }],
    ['a uid that is a number', { ...REQUEST, uid: 1 }],
    ['a uid with a line break', { ...REQUEST, uid: 'a\nb' }],
    ['a uid without end', { ...REQUEST, uid: 'a'.repeat(129) }],
  ])('with %s is refused without one', (_what, request) => {
    expect(refused({ ...REVIEW, request }).data.uid).toBe('');
  });

  it.each(['', '{', 'null', '[]', '"AdmissionReview"', '<html></html>', '{"kind":"AdmissionReview"}', '\u00ff'])(
    'that is %j is refused',
    (text) => expect(refused(text).data).toEqual({ apiVersion: 'admission.k8s.io/v1', uid: '' }),
  );

  it('is refused under its uid where it is cut off, names a member twice, is too deep or too long', () => {
    const text = JSON.stringify(REVIEW);
    const deep = JSON.stringify({ ...REVIEW, request: { ...REQUEST, object: 'DEEP' } });
    for (const wrong of [
      text.slice(0, -1),
      text.replace('"name":"app"', '"name":"app","name":"other"'),
      text.replace('"name":"app"', '"name":"app","n\\u0061me":"other"'),
      text.replace('"object":{"a":1}', '"object":{"image":"one","imag\\u0065":"two"}'),
      deep.replace('"DEEP"', '['.repeat(500) + ']'.repeat(500)),
      text.replace('"name":"app"', `"name":"${'a'.repeat(LIMIT)}"`),
    ])
      expect(refused(wrong).data.uid).toBe(REQUEST.uid);
  });
});

describe('the head of a review', () => {
  it.each([
    [`{"request":{"uid":"a","object":`, 'a'],
    [`{ "apiVersion" : "admission.k8s.io/v1",\n "request" : { "kind" : {"uid":"x"}, "uid" : "b"`, 'b'],
    [`{"kind":"AdmissionReview","list":["request",{"uid":"x"}],"request":{"list":["uid","x"],"uid":"c"`, 'c'],
  ])('has the uid of the request: %s', (text, uid) => expect(headOf(bytes(text)).uid).toBe(uid));

  it.each([
    `{"uid":"x"`,
    `{"request":[{"uid":"x"}]`,
    `{"request":{"object":{"uid":"x"}}`,
    `{"request":"{","uid":"x"`,
    `{"response":{"uid":"x"`,
    `[{"request":{"uid":"x"}}]`,
    `{"request":{"uid":"x`,
    `{"request":{"a":"\\"","uid":"x"`,
    `{"request":{"a":"${' '.repeat(HEAD_BYTES)}","uid":"x"`,
    `"request":{"uid":"x"}`,
  ])('may have none: case %#', (text) => expect(headOf(bytes(text)).uid).toBe(''));

  it('has the version too', () => {
    expect(headOf(bytes(`{"apiVersion":"admission.k8s.io/v1beta1","request":{"uid":"a"`))).toEqual({
      apiVersion: 'admission.k8s.io/v1beta1',
      uid: 'a',
    });
  });
});

describe('an answer', () => {
  const to = { apiVersion: 'admission.k8s.io/v1', uid: 'a' };

  it('denies in one line that can be printed, with no patch', () => {
    const { allowed, review } = denial(to, ' one\ntwo \u001b[31m\u202ethree\r ');
    expect(allowed).toBe(false);
    expect(review).toEqual({
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: {
        uid: 'a',
        allowed: false,
        status: { status: 'Failure', reason: 'Forbidden', code: 403, message: 'one two [31m three' },
        auditAnnotations: {},
      },
    });
    const long = denial(to, 'x'.repeat(5000)).review as { response: { status: { message: string } } };
    expect(long.response.status.message.length).toBe(1201);
  });

  it('admits with a patch, and without one where nothing changes', () => {
    const patch = [{ op: 'replace', path: '/a', value: 'b' }] as const;
    const { response } = admission(to, {}, patch).review as { response: Record<string, unknown> };
    expect(response).toMatchObject({ uid: 'a', allowed: true, patchType: 'JSONPatch' });
    expect(JSON.parse(Buffer.from(response.patch as string, 'base64').toString())).toEqual(patch);
    expect(admission(to, {}).review).toEqual({
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: { uid: 'a', allowed: true, auditAnnotations: {} },
    });
  });
});
