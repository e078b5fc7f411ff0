import { describe, expect, it } from 'vitest';
import { formatBundle, parseBundle } from '../../../client/formats/bundle.ts';
import { verifyBundle } from '../../../client/index.ts';
import { parseTrustedRoot } from '../../../client/trust/trusted-root.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { attestation, code, digestsOf, messageBundle, rootJson, testKey, text } from '../verify/verify-parts.ts';

type Json = { readonly [name: string]: unknown };
/** The members that hold bytes, in bundles and trusted roots. */
const BYTES = ['rawBytes', 'keyId', 'signature', 'digest', 'payload', 'sig', 'rootHash', 'canonicalizedBody'];

/** A copy with `form` applied to each value of bytes; the hashes of a proof too. */
function inForm(value: unknown, form: (base64: string) => string): unknown {
  return JSON.parse(JSON.stringify(value), (name, inner) => {
    if (BYTES.includes(name) && typeof inner === 'string') return form(inner);
    if (name === 'hashes') return inner.map(form);
    return inner;
  });
}

const FORMS: readonly [string, (base64: string) => string][] = [
  ['unpadded', (base64) => base64.replaceAll('=', '')],
  ['URL-safe', (base64) => base64.replaceAll('+', '-').replaceAll('/', '_')],
  ['URL-safe and unpadded', (base64) => base64.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')],
];

const WRONG: readonly [string, (base64: string) => string][] = [
  ['another number of equals signs', (base64) => base64.replace(/=+$/, (pad) => (pad === '=' ? '==' : '='))],
  ['an equals sign too many', (base64) => `${base64}=`],
  ['two alphabets', (base64) => `+-AA${base64}`],
  ['a newline', (base64) => `${base64.slice(0, 4)}\n${base64.slice(4)}`],
  [
    'bits after the last byte',
    (base64) => base64.replace(/A(=+)$/, 'B$1').replace(/([^A=])(=+)$/, (_, digit, pad) => `${next(digit)}${pad}`),
  ],
];
const next = (digit: string) => String.fromCharCode(digit.charCodeAt(0) + 1);

const file = text('hello');
const log = FakeLog.empty('log.example');
for (let i = 0; i < 5; i++) log.add(text(`before ${i}`));
const key = testKey();
const root = rootJson(log);

describe.each([
  ['a signature over a file', messageBundle(file, key, log)],
  ['an attestation', attestation(file, key, log)],
])('base64 in %s', (_, bundle) => {
  const json = JSON.parse(new TextDecoder().decode(formatBundle(bundle))) as Json;
  const verify = (of: unknown, trusted: unknown) =>
    code(() =>
      verifyBundle({
        bundle: parseBundle(text(JSON.stringify(of))),
        artifact: digestsOf(file),
        key: key.info,
        trustedRoot: parseTrustedRoot(text(JSON.stringify(trusted))),
      }),
    );

  it.each(FORMS)('is read %s', (_form, form) => {
    expect(JSON.stringify(inForm(json, form))).not.toBe(JSON.stringify(json));
    expect(verify(inForm(json, form), inForm(root, form))).toBe('accepted');
    expect(parseBundle(text(JSON.stringify(inForm(json, form))))).toEqual(parseBundle(text(JSON.stringify(json))));
  });

  it.each(WRONG)('is refused with %s, in each member', (_form, form) => {
    let tried = 0;
    for (const name of BYTES) {
      const one = (value: unknown) =>
        JSON.parse(JSON.stringify(value), (member, inner) =>
          member === name && typeof inner === 'string' ? form(inner) : inner,
        );
      if (JSON.stringify(one(json)) !== JSON.stringify(json)) {
        expect(verify(one(json), root), name).toBe('malformed');
        tried++;
      }
      if (JSON.stringify(one(root)) !== JSON.stringify(root)) {
        expect(verify(json, one(root)), name).toBe('trusted-root');
        tried++;
      }
    }
    expect(tried).toBeGreaterThan(2);
  });
});
