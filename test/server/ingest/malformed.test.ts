import protobuf from 'protobufjs/minimal.js';
import { describe, expect, it } from 'vitest';
import { dsseRequest, hashedRekordRequest, jsonValue, toJson, toProtobuf } from '../../support/requests.ts';
import { ingestHere, refusalOf, withField } from './support.ts';

const VALUE = jsonValue(hashedRekordRequest());
const DSSE = jsonValue(dsseRequest());
const GOOD = JSON.stringify(VALUE);
const H = 'hashedRekordRequestV002';

describe('JSON that is refused', () => {
  it.each<[string, string | Uint8Array, string, string]>([
    ['not JSON', 'x', 'syntax', 'malformed JSON'],
    ['cut off', GOOD.slice(0, -10), 'syntax', 'malformed JSON'],
    ['trailing text', `${GOOD}x`, 'syntax', 'malformed JSON'],
    ['two values', `${GOOD}${GOOD}`, 'syntax', 'malformed JSON'],
    ['white space only', ' ', 'syntax', 'malformed JSON'],
    ['a comment', `${GOOD}//`, 'syntax', 'malformed JSON'],
    ['an unfinished string', '{"a', 'syntax', 'malformed JSON'],
    ['a byte order mark', `\ufeff${GOOD}`, 'utf8', 'byte order mark'],
    ['invalid UTF-8', Buffer.from(`{"${'\xff'}":1}`, 'latin1'), 'utf8', 'not UTF-8'],
    ['an overlong encoding', Buffer.from([0x22, 0xc0, 0xaf, 0x22]), 'utf8', 'not UTF-8'],
    ['an encoded surrogate', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), 'utf8', 'not UTF-8'],
    ['UTF-16', Buffer.from(GOOD, 'utf16le'), 'syntax', 'malformed JSON'],
    ['deep arrays', '['.repeat(1_000) + ']'.repeat(1_000), 'depth', '16 levels'],
    ['deep objects', '{"a":'.repeat(17), 'depth', '16 levels'],
    ['4 MiB of brackets', '['.repeat(4 << 20), 'depth', '16 levels'],
    ['null', 'null', 'field-type', 'must be an object'],
    ['an array', '[]', 'field-type', 'must be an object'],
    ['a string', '"x"', 'field-type', 'must be an object'],
  ])('%s', (_, body, reason, message) => {
    const refusal = refusalOf(ingestHere(body));
    expect(refusal).toMatchObject({ code: 'malformed', reason });
    expect(refusal?.message).toContain(message);
  });

  it.each<[string, string, unknown, string]>([
    ['unknown-field', 'kind', 1, '\\"kind\\"'],
    ['unknown-field', '__proto__x', 1, '__proto__x'],
    ['unknown-field', `${H}.data`, null, `${H}.data`],
    ['unknown-field', `${H}.signature.verifier.publicKey.keyId`, '', `${H}.signature.verifier.publicKey.keyId`],
    ['unknown-field', `${H}.signature.verifier.PublicKey`, {}, 'PublicKey'],
    ['repeated-field', 'hashed_rekord_request_v002', null, H],
    ['repeated-field', `${H}.signature.verifier.public_key`, null, `${H}.signature.verifier.publicKey`],
    ['repeated-field', `${H}.signature.verifier.publicKey.raw_bytes`, 'AAAA', 'rawBytes'],
    ['oneof', 'dsseRequestV002', {}, `${H} and dsseRequestV002`],
    ['oneof', `${H}.signature.verifier.x509Certificate`, {}, 'publicKey and'],
    ['enum', `${H}.signature.verifier.keyDetails`, 'PKIX_ECDSA_P256', 'PKIX_ECDSA_P256'],
    ['enum', `${H}.signature.verifier.keyDetails`, '5', 'keyDetails'],
    ['enum', `${H}.signature.verifier.keyDetails`, 'toString', 'keyDetails'],
    ['field-type', `${H}.signature.verifier.keyDetails`, 5.5, 'keyDetails'],
    ['field-type', `${H}.signature.verifier.keyDetails`, 2 ** 32 + 5, 'keyDetails'],
    ['field-type', `${H}.signature.verifier.keyDetails`, true, 'keyDetails'],
    ['field-type', H, [], H],
    ['field-type', H, 'x', H],
    ['field-type', `${H}.digest`, 1, `${H}.digest`],
    ['field-type', `${H}.digest`, {}, `${H}.digest`],
    ['field-type', `${H}.digest`, ['AAAA'], `${H}.digest`],
    ['base64', `${H}.digest`, 'A', `${H}.digest`],
    ['base64', `${H}.digest`, 'AAA A', `${H}.digest`],
    ['base64', `${H}.digest`, 'AAAA\n', `${H}.digest`],
    ['base64', `${H}.digest`, 'AB==', `${H}.digest`],
    ['base64', `${H}.digest`, 'AB', `${H}.digest`],
    ['base64', `${H}.digest`, 'AA=', `${H}.digest`],
    ['base64', `${H}.digest`, 'AA===', `${H}.digest`],
    ['base64', `${H}.digest`, '=', `${H}.digest`],
    ['base64', `${H}.digest`, 'AA==AAAA', `${H}.digest`],
    ['base64', `${H}.digest`, '+_+_', `${H}.digest`],
    ['base64', `${H}.digest`, 'AAA*', `${H}.digest`],
    ['base64', `${H}.digest`, 'ÄAAA', `${H}.digest`],
    ['base64', `${H}.signature.content`, 'AAA.', `${H}.signature.content`],
  ])('%s: %s = %j', (reason, path, value, message) => {
    const refusal = refusalOf(ingestHere(JSON.stringify(withField(VALUE, path, value))));
    expect(refusal).toMatchObject({ code: 'malformed', reason });
    expect(JSON.stringify(refusal?.message)).toContain(message);
  });

  it.each<[string, string, unknown, string]>([
    ['field-type', 'envelope.signatures', {}, 'envelope.signatures'],
    ['field-type', 'envelope.signatures', [null], 'envelope.signatures[0]'],
    ['field-type', 'envelope.payloadType', 5, 'envelope.payloadType'],
    ['utf8', 'envelope.payloadType', '\ud800', 'envelope.payloadType'],
    ['unknown-field', 'envelope.payload_type', 'x', 'payload_type'],
    ['unknown-field', 'verifiers', [{ x: 1 }], 'verifiers[0].x'],
    ['field-type', 'verifiers', [[]], 'verifiers[0]'],
  ])('DSSE %s: %s = %j', (reason, path, value, message) => {
    const refusal = refusalOf(ingestHere(JSON.stringify(withField(DSSE, `dsseRequestV002.${path}`, value))));
    expect(refusal).toMatchObject({ code: 'malformed', reason });
    expect(refusal?.message).toContain(message);
  });

  it('a key given twice, at any depth and under an escape too', () => {
    for (const name of [H, 'digest', 'signature', 'verifier', 'rawBytes', 'keyDetails']) {
      for (const again of [name, `\\u00${name.charCodeAt(0).toString(16)}${name.slice(1)}`]) {
        const refusal = refusalOf(ingestHere(GOOD.replace(`"${name}":`, `"${again}":null,"${name}":`)));
        expect(refusal).toMatchObject({ code: 'malformed', reason: 'repeated-field' });
        expect(refusal?.message).toContain(name);
      }
    }
    const proto = refusalOf(ingestHere('{"__proto__":{},"__proto__":{}}'));
    expect(proto?.reason).toBe('repeated-field');
    expect(refusalOf(ingestHere('{"__proto__":{}}'))?.reason).toBe('unknown-field');
  });

  it('does not take a key inside a string for one', () => {
    const type = '{"a":1,"a":2}\\"{"digest":';
    const body = JSON.stringify(withField(DSSE, 'dsseRequestV002.envelope.payloadType', type));
    expect(refusalOf(ingestHere(body))?.code).toBe('invalid-entry');
  });

  it('says nothing long or raw of what it got', () => {
    const refusal = refusalOf(ingestHere(JSON.stringify({ [`\n${'x'.repeat(10_000)}`]: 1 })));
    expect(refusal?.message.length).toBeLessThan(120);
    expect(refusal?.message).not.toContain('\n');
  });

  it.each([
    ['an empty body', ''],
    ['{}', '{}'],
    ['a null spec', `{"${H}":null}`],
    ['two null specs', `{"${H}":null,"dsseRequestV002":null}`],
  ])('%s has no type', (_, body) => {
    const refusal = refusalOf(ingestHere(body));
    expect(refusal).toMatchObject({ code: 'invalid-type', reason: 'kind' });
    expect(refusal?.message).toBe('invalid type, must be hashedrekord or dsse');
  });
});

describe('protobuf that is refused', () => {
  const writer = () => protobuf.Writer.create();
  const bytes = (...parts: Uint8Array[]) => Buffer.concat(parts);
  const good = toProtobuf(hashedRekordRequest());
  /** A CreateEntryRequest around a HashedRekordRequestV002. */
  const hashed = (inner: Uint8Array) => writer().uint32(10).bytes(inner).finish();

  it.each<[string, Uint8Array, string, string]>([
    ['cut off', good.subarray(0, -1), 'syntax', 'malformed protobuf'],
    ['an unknown field', bytes(good, writer().uint32(26).bytes(Buffer.alloc(1)).finish()), 'unknown-field', '\\"3\\"'],
    ['an unknown varint', bytes(good, Buffer.from([0x98, 0x06, 1])), 'unknown-field', '\\"99\\"'],
    ['an unknown field inside', hashed(Buffer.from([0x1a, 0])), 'unknown-field', `${H}.3`],
    ['another wire type', Buffer.from([0x08, 1]), 'unknown-field', 'wire type 0'],
    ['a group', Buffer.from([0x0b, 0x0c]), 'unknown-field', 'wire type 3'],
    ['field 0', Buffer.from([0x02, 0]), 'unknown-field', '\\"0\\"'],
    ['the request twice', bytes(good, good), 'repeated-field', H],
    ['the digest twice', hashed(Buffer.from([0x0a, 0, 0x0a, 0])), 'repeated-field', `${H}.digest`],
    ['both arms', bytes(good, toProtobuf(dsseRequest())), 'oneof', `${H} and dsseRequestV002`],
    ['a length past the end', Buffer.from([0x0a, 0x7f]), 'syntax', 'malformed protobuf'],
    ['a huge length', Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x07]), 'syntax', 'malformed protobuf'],
    ['an endless varint', Buffer.alloc(40, 0xff), 'syntax', 'malformed protobuf'],
    [
      'a payload type that is not UTF-8',
      writer()
        .uint32(18)
        .bytes(
          writer()
            .uint32(10)
            .bytes(Buffer.from([0x12, 1, 0xff]))
            .finish(),
        )
        .finish(),
      'utf8',
      'dsseRequestV002.envelope.payloadType',
    ],
  ])('%s', (_, body, reason, message) => {
    const refusal = refusalOf(ingestHere(body, 'protobuf'));
    expect(refusal).toMatchObject({ code: 'malformed', reason });
    expect(JSON.stringify(refusal?.message)).toContain(message);
  });

  it('an empty body has no type', () => {
    expect(refusalOf(ingestHere(Buffer.alloc(0), 'protobuf'))?.code).toBe('invalid-type');
  });

  it('JSON sent as protobuf, and the other way round', () => {
    expect(refusalOf(ingestHere(toJson(hashedRekordRequest()), 'protobuf'))?.code).toBe('malformed');
    expect(refusalOf(ingestHere(good, 'json'))?.code).toBe('malformed');
  });
});
