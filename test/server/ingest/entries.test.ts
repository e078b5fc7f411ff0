import { createHash } from 'node:crypto';
import canonicalize from 'canonicalize';
import { describe, expect, it } from 'vitest';
import {
  ALL_KEY_KINDS,
  dsseRequest,
  hashedRekordRequest,
  jsonValue,
  makeSigner,
  PAYLOAD_TYPE,
  pae,
  sharedSigner,
  toJson,
  toJsonBatch,
  toProtobuf,
  toProtobufBatch,
} from '../../support/requests.ts';
import { entriesOf, ingestHere, refusalOf, withField } from './support.ts';

const ARTIFACT = Buffer.from('artifact');

describe('hashedrekord', () => {
  it.each(
    ALL_KEY_KINDS.flatMap((kind) => (['publicKey', 'x509Certificate'] as const).map((form) => [kind, form] as const)),
  )('%s as %s becomes the canonical entry, from JSON and from protobuf', (kind, form) => {
    const signer = sharedSigner(kind);
    const request = hashedRekordRequest(signer, ARTIFACT, form);
    const { digest, signature } = request.hashedRekordRequestV002;
    const rawBytes = Buffer.from((signature.verifier.publicKey ?? signature.verifier.x509Certificate)!.rawBytes);
    const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
    const expected =
      `{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{` +
      `"data":{"algorithm":"${signer.algorithm}","digest":"${base64(digest)}"},` +
      `"signature":{"content":"${base64(signature.content)}","verifier":{"keyDetails":"${signer.keyDetails}",` +
      `"${form}":{"rawBytes":"${base64(rawBytes)}"}}}}}}`;
    expect(canonicalize(JSON.parse(expected))).toBe(expected);
    expect(entriesOf(ingestHere(toJson(request)))).toEqual([expected]);
    expect(entriesOf(ingestHere(toProtobuf(request), 'protobuf'))).toEqual([expected]);
  });

  it('has the RFC 6962 leaf hash', () => {
    const answer = ingestHere(toJson(hashedRekordRequest()));
    const item = 'items' in answer ? answer.items[0] : undefined;
    const entry = item && 'entries' in item ? item.entries[0] : undefined;
    const hash = createHash('sha256').update('\0').update(entry!.body).digest();
    expect(hash.equals(entry!.leafHash)).toBe(true);
  });

  it('is logged with the label of the RSA key itself, whatever label it came with', () => {
    const request = jsonValue(hashedRekordRequest(sharedSigner('rsa3072')));
    for (const label of ['PKIX_RSA_PKCS1V15_2048_SHA256', 'PKIX_RSA_PKCS1V15_4096_SHA256', 9, 10]) {
      const body = withField(request, 'hashedRekordRequestV002.signature.verifier.keyDetails', label);
      expect(entriesOf(ingestHere(JSON.stringify(body)))[0]).toContain('"PKIX_RSA_PKCS1V15_3072_SHA256"');
    }
  });
});

describe('proto3 JSON', () => {
  const request = hashedRekordRequest(sharedSigner(), ARTIFACT);
  const { digest, signature } = request.hashedRekordRequestV002;
  const rawBytes = signature.verifier.publicKey!.rawBytes;
  const expected = entriesOf(ingestHere(toJson(request)));
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');

  it('takes snake_case names, enum numbers, null for what is not there, and any white space', () => {
    const body = {
      dsse_request_v002: null,
      hashed_rekord_request_v002: {
        signature: {
          content: base64(signature.content),
          verifier: { key_details: 5, x509_certificate: null, public_key: { raw_bytes: base64(rawBytes) } },
        },
        digest: base64(digest),
      },
    };
    expect(entriesOf(ingestHere(`\r\n\t ${JSON.stringify(body, null, 3)} \n`))).toEqual(expected);
  });

  it('takes base64 and base64url, padded or not, and escapes', () => {
    const forms = [
      (text: string) => text,
      (text: string) => text.replaceAll('=', ''),
      (text: string) => text.replaceAll('+', '-').replaceAll('/', '_'),
      (text: string) => text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', ''),
    ];
    for (const form of forms) {
      const value = {
        hashedRekordRequestV002: {
          digest: form(base64(digest)),
          signature: {
            content: form(base64(signature.content)),
            verifier: { publicKey: { rawBytes: form(base64(rawBytes)) }, keyDetails: 'PKIX_ECDSA_P256_SHA_256' },
          },
        },
      };
      expect(entriesOf(ingestHere(JSON.stringify(value)))).toEqual(expected);
      const escaped = JSON.stringify(value).replaceAll('digest', '\\u0064igest').replaceAll('/', '\\/');
      expect(entriesOf(ingestHere(escaped))).toEqual(expected);
    }
  });
});

describe('DSSE', () => {
  it.each(ALL_KEY_KINDS)('%s becomes a hashedrekord of the digest of the PAE', (kind) => {
    const signer = sharedSigner(kind);
    const payload = Buffer.from('{"_type":"https://in-toto.io/Statement/v1"} ünïcode');
    const request = dsseRequest(signer, payload, 'x509Certificate');
    for (const answer of [ingestHere(toJson(request)), ingestHere(toProtobuf(request), 'protobuf')]) {
      const [entry] = entriesOf(answer).map((text) => JSON.parse(text));
      expect(entry.kind).toBe('hashedrekord');
      expect(entry.spec.hashedRekordV002.data).toEqual({
        algorithm: signer.algorithm,
        digest: signer.digest(pae(PAYLOAD_TYPE, payload)).toString('base64'),
      });
      const { verifiers, envelope } = request.dsseRequestV002;
      expect(entry.spec.hashedRekordV002.signature).toEqual({
        content: Buffer.from(envelope.signatures[0]!.sig).toString('base64'),
        verifier: jsonValue(verifiers[0]),
      });
    }
  });

  it('knows the PAE of the specification', () => {
    expect(pae('http://example.com/HelloWorld', Buffer.from('hello world')).toString()).toBe(
      'DSSEv1 29 http://example.com/HelloWorld 11 hello world',
    );
  });

  it('gives one entry a signature, in order, whatever the order of the verifiers', () => {
    const signers = [sharedSigner('p256'), sharedSigner('p384'), makeSigner('p256')];
    const request = dsseRequest(signers);
    request.dsseRequestV002.verifiers.reverse();
    const digests = entriesOf(ingestHere(toJson(request))).map(
      (text) => JSON.parse(text).spec.hashedRekordV002.signature.content,
    );
    expect(digests).toEqual(
      request.dsseRequestV002.envelope.signatures.map(({ sig }) => Buffer.from(sig).toString('base64')),
    );
  });
});

describe('bulk', () => {
  it.each(['json-batch', 'protobuf-batch'] as const)('%s: each item stands alone', (encoding) => {
    const bad = hashedRekordRequest();
    bad.hashedRekordRequestV002.digest = Buffer.alloc(32);
    const requests = [hashedRekordRequest(), bad, {}, dsseRequest([sharedSigner('p256'), sharedSigner('p384')])];
    const body = encoding === 'json-batch' ? toJsonBatch(requests) : toProtobufBatch(requests);
    const answer = ingestHere(body, encoding);
    const items = 'items' in answer ? answer.items : [];
    expect(items.map((item) => ('entries' in item ? item.entries.length : item.refusal.code))).toEqual([
      1,
      'invalid-entry',
      'invalid-type',
      2,
    ]);
  });

  it('lays what is wrong in one item to that item alone', () => {
    const good = toJson(hashedRekordRequest()).toString();
    const twice = good.replace('{"digest":', '{"digest":"","digest":');
    const unknown = good.replace('"digest"', '"digests"');
    const answer = ingestHere(`{"requests":[${good},${twice},null,${unknown},17,[],${good}]}`, 'json-batch');
    const items = 'items' in answer ? answer.items : [];
    expect(items.map((item) => ('refusal' in item ? item.refusal.reason : 'good'))).toEqual([
      'good',
      'repeated-field',
      'field-type',
      'unknown-field',
      'field-type',
      'field-type',
      'good',
    ]);
  });

  it('refuses the whole body where it is no batch', () => {
    const item = '{}';
    const cases: [string, string][] = [
      ['', 'malformed'],
      ['{}', 'malformed'],
      ['{"requests":null}', 'malformed'],
      ['{"requests":[]}', 'malformed'],
      ['{"requests":{}}', 'malformed'],
      ['[]', 'malformed'],
      ['{"requests":[{}],"requests":[{}]}', 'malformed'],
      ['{"requests":[{}],"other":1}', 'malformed'],
      ['{"requests":[{},', 'malformed'],
      [`{"requests":[${Array(257).fill(item).join()}]}`, 'too-large'],
    ];
    for (const [body, code] of cases) {
      const answer = ingestHere(body, 'json-batch');
      expect([body.slice(0, 40), 'refusal' in answer && answer.refusal.code]).toEqual([body.slice(0, 40), code]);
    }
    const full = ingestHere(`{"requests":[${Array(256).fill(item).join()}]}`, 'json-batch');
    expect('items' in full && full.items.length).toBe(256);
    expect(refusalOf(ingestHere(Buffer.from([0x0a, 5, 1]), 'protobuf-batch'))?.code).toBe('malformed');
    expect(refusalOf(ingestHere(Buffer.from([0x12, 0]), 'protobuf-batch'))?.reason).toBe('unknown-field');
    expect(refusalOf(ingestHere(toProtobufBatch(Array(257).fill({})), 'protobuf-batch'))?.code).toBe('too-large');
  });
});
