/** Entries of Rekor's kinds in odd forms: what a strict reader refuses, and what another reader may take nevertheless. */
import { generateKeyPairSync, sign } from 'node:crypto';
import { der, sequence } from './der.ts';
import { alternativeName, fulcioCertificate, githubRun, hashedRekord, madeUpKey } from './fulcio.ts';
import { oddCertificates } from './odd-certificates.ts';

export interface OddEntry {
  readonly what: string;
  readonly body: Buffer;
}

export const VICTIM = 'maintainer@example.com';
export const ISSUER = 'https://accounts.google.com';
export const VICTIM_KEY = madeUpKey('victim');
const victim = fulcioCertificate({
  names: [VICTIM],
  issuer: ISSUER,
  seed: 'victim',
  extensions: { 12: 'https://xy.example' },
});
const HEX = 'ab'.repeat(32);
const json = (value: unknown) => Buffer.from(JSON.stringify(value));
const b64 = (bytes: Uint8Array | string) => Buffer.from(bytes as string).toString('base64');
const pem = (label: string, bytes: Buffer) =>
  `-----BEGIN ${label}-----\n${(b64(bytes).match(/.{1,64}/g) ?? []).join('\n')}\n-----END ${label}-----\n`;
const hash = { algorithm: 'sha256', value: HEX };

/** Rekor v1's kinds with this text of PEM. */
function v1(text: string): [kind: string, version: string, spec: unknown][] {
  const content = b64(text);
  const signature = { content: 'c2ln', publicKey: { content } };
  const envelope = { payloadType: 'application/vnd.in-toto+json', signatures: [{ publicKey: content, sig: 'c2ln' }] };
  return [
    ['hashedrekord', '0.0.1', { data: { hash }, signature }],
    ['rekord', '0.0.1', { data: { hash }, signature: { ...signature, format: 'x509' } }],
    [
      'dsse',
      '0.0.1',
      { envelopeHash: hash, payloadHash: hash, signatures: [{ signature: 'c2ln', verifier: content }] },
    ],
    ['intoto', '0.0.1', { content: { hash, payloadHash: hash }, publicKey: content }],
    ['intoto', '0.0.1', { content: { hash }, publicKey: content }],
    ['intoto', '0.0.2', { content: { envelope, hash, payloadHash: hash } }],
  ];
}

const entry = (kind: unknown, apiVersion: unknown, spec: unknown) => json({ apiVersion, kind, spec });
const S2 = (verifier: unknown) => ({ content: 'c2ln', verifier: { keyDetails: 'x', ...(verifier as object) } });
const cert = (bytes: Uint8Array) => S2({ x509Certificate: { rawBytes: b64(bytes) } });
const key = (bytes: Uint8Array) => S2({ publicKey: { rawBytes: b64(bytes) } });
const data = { algorithm: 'SHA2_256', digest: b64(Buffer.alloc(32, 7)) };
const dsse = (...signatures: unknown[]) => entry('dsse', '0.0.2', { dsseV002: { payloadHash: data, signatures } });

/** Well-formed entries of each kind. */
export function plainEntries(): OddEntry[] {
  const run = fulcioCertificate(githubRun('acme/app', 'release.yml', 'refs/heads/main'));
  return [
    { what: 'hashedrekord with a key', body: hashedRekord({ key: VICTIM_KEY }) },
    { what: 'hashedrekord with a certificate', body: hashedRekord({ certificate: victim }) },
    { what: 'hashedrekord of a workflow', body: hashedRekord({ certificate: run }) },
    { what: 'dsse of two', body: dsse(cert(victim), key(madeUpKey('b'))) },
    ...v1(pem('CERTIFICATE', victim)).map(([kind, version, spec]) => ({
      what: `${kind} ${version} with a certificate`,
      body: entry(kind, version, spec),
    })),
    ...v1(pem('PUBLIC KEY', VICTIM_KEY)).map(([kind, version, spec]) => ({
      what: `${kind} ${version} with a key`,
      body: entry(kind, version, spec),
    })),
  ];
}

/** Entries that hide a certificate of `VICTIM` from a strict reader. Each of them must be found by the name. */
export function hidingEntries(): OddEntry[] {
  const record = hashedRekord({ certificate: victim }).toString();
  const raw = b64(victim);
  const urlSafe = raw.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
  const changed = (from: string, to: string) => Buffer.from(record.replace(from, () => to));
  const outer = victim.subarray(4);
  const long = (length: number, content: Buffer) => {
    const head = Buffer.alloc(2 + length);
    head[0] = 0x30;
    head[1] = 0x80 + length;
    head.writeUIntBE(content.length, 2, length);
    return Buffer.concat([head, content]);
  };
  const text = pem('CERTIFICATE', victim);
  const escaped = [...raw].map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
  const list: [string, Buffer][] = [
    ['a member twice', changed('{"apiVersion":"0.0.2"', '{"apiVersion":"0.0.2","apiVersion":"0.0.2"')],
    ['a member twice, once escaped', changed('"kind":"hashedrekord"', '"kind":"x","\\u006bind":"hashedrekord"')],
    ['a second spec', changed('"spec":{', '"spec":{"hashedRekordV002":1},"spec":{')],
    ['a member in upper case', changed('"spec":', '"Spec":')],
    ['names in snake case', changed('"x509Certificate":{"rawBytes"', '"x509_certificate":{"raw_bytes"')],
    [
      'a second verifier',
      changed('"x509Certificate"', `"publicKey":{"rawBytes":"${b64(madeUpKey('d'))}"},"x509Certificate"`),
    ],
    ['a further member', changed('"kind":', '"extra":1,"kind":')],
    ['text after its end', Buffer.from(`${record} x`)],
    ['a second object', Buffer.from(`{}${record}`)],
    ['a byte order mark', Buffer.from(`\ufeff${record}`)],
    ['invalid UTF-8', Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xff]), Buffer.from(`",${record.slice(1)}`)])],
    ['deep nesting', changed('{"apiVersion"', `{"deep":${'['.repeat(40)}${']'.repeat(40)},"apiVersion"`)],
    ['a comment', changed('{"apiVersion"', '{/* " */"apiVersion"')],
    ['another version', changed('"0.0.2"', '"0.0.3"')],
    ['another kind', changed('"hashedrekord"', '"alpine"')],
    ['no kind', changed('"kind":"hashedrekord",', '')],
    ['URL-safe base64', changed(raw, urlSafe)],
    ['base64 without padding', changed(raw, raw.replace(/=+$/, ''))],
    ['base64 with a line end', changed(raw, `${raw.slice(0, 101)}\\r\\n${raw.slice(101)}`)],
    ['base64 with spaces', changed(raw, raw.replaceAll(/.{10}/g, '$& '))],
    ['base64 with foreign characters', changed(raw, raw.replaceAll(/.{10}/g, '$&*'))],
    ['base64 of mixed alphabets', changed(raw, raw.replace('/', '_'))],
    ['an escaped slash, and more', changed(raw, `${raw.replaceAll('/', '\\/')}\\t`)],
    ['escapes all over, with a line end', changed(raw, `${escaped}\\n`)],
    ['a signature of another type', changed('"content":"', '"content":1,"c":"')],
    ['another algorithm', changed('SHA2_256', 'SHA3_256')],
    ['another length of the digest', changed('SHA2_256', 'SHA2_512')],
    ['a certificate in place of a key', changed('x509Certificate', 'publicKey')],
    ['bytes after the certificate', changed(raw, b64(Buffer.concat([victim, Buffer.from([0, 0])])))],
    ['a length of 3 bytes', changed(raw, b64(long(3, outer)))],
    ['a length of 6 bytes', changed(raw, b64(long(6, outer)))],
    ['an indefinite length', changed(raw, b64(Buffer.concat([Buffer.from([0x30, 0x80]), outer, Buffer.alloc(2)])))],
    ['a certificate as PEM', changed(raw, b64(text))],
    ['a certificate in base64 twice', changed(raw, b64(raw))],
    ['PEM with a header', entry(...v1(text.replace('-\n', '-\nProc-Type: none\n\n'))[0]!)],
    ['PEM of two certificates', entry(...v1(text + pem('CERTIFICATE', fulcioCertificate({ names: ['x'] })))[0]!)],
    ['PEM after text', entry(...v1(`subject=x\n${text}`)[0]!)],
    ['PEM of another label', entry(...v1(text.replaceAll('CERTIFICATE', 'TRUSTED CERTIFICATE'))[1]!)],
    [
      'PEM in a member that nobody knows',
      json({ kind: 'helm', apiVersion: '0.0.1', spec: { publicKey: { content: b64(text) } } }),
    ],
    ['JSON in JSON', json({ kind: 'x', apiVersion: '1', spec: record })],
    [
      'the last of 100 signers',
      dsse(
        ...Array.from({ length: 100 }, (_, i) => key(madeUpKey(`${i}`))),
        cert(victim),
        key(Buffer.from('00', 'hex')),
      ),
    ],
  ];
  return list.map(([what, body]) => ({ what, body }));
}

/** Certificates in odd forms, with names of odd forms. */
export function oddBodies(): OddEntry[] {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = pair.publicKey.export({ type: 'spki', format: 'der' });
  const odd = oddCertificates(spki, (tbs) => sign('sha256', tbs, pair.privateKey));
  const names: [string, readonly string[]][] = [
    ['10,000 characters', [`https://example.com/${'a'.repeat(9980)}`]],
    ['control characters', ['https://example.com/\u0000\u001b[31m\r\n']],
    ['marks of direction', ['raw:\u202eevil@example.com']],
    ['markup', ['https://example.com/<img src=x onerror=alert(1)>']],
    ['a name twice', [VICTIM, VICTIM]],
    ['an empty name', ['raw:']],
    ['64 names', Array.from({ length: 64 }, (_, i) => `n${i}@example.com`)],
    ['65 names', Array.from({ length: 65 }, (_, i) => `n${i}@example.com`)],
    ['an address of 5 bytes', ['ip:1.2.3.4.5']],
    ['an address of 16 bytes', [`ip:${Array.from({ length: 16 }, (_, i) => i).join('.')}`]],
    ['user names', ['user:ann!acme', 'upn:ann@acme', 'user:\u202eann']],
  ];
  const plain = fulcioCertificate({ names: [VICTIM], issuer: ISSUER });
  const replaced = (name: Buffer) => {
    // As long as the name that it replaces, so that the lengths around it hold.
    const at = plain.indexOf(alternativeName(VICTIM));
    return Buffer.concat([plain.subarray(0, at), name, plain.subarray(at + alternativeName(VICTIM).length)]);
  };
  const size = Buffer.byteLength(VICTIM);
  return [
    ...odd.map(({ what, certificate }) => ({ what, body: hashedRekord({ certificate }) })),
    ...names.map(([what, list]) => ({
      what,
      body: hashedRekord({ certificate: fulcioCertificate({ names: list, issuer: ISSUER }) }),
    })),
    ...[0x84, 0xa4, 0xa0, 0x88, 0x00, 0x1f, 0xbf, 0x30].map((tag) => ({
      what: `a name with the tag ${tag}`,
      body: hashedRekord({ certificate: replaced(der(tag, Buffer.alloc(size, 1))) }),
    })),
    {
      what: 'a name that is not UTF-8',
      body: hashedRekord({ certificate: replaced(der(0x81, Buffer.alloc(size, 0xff))) }),
    },
    ...[256, 257].map((length) => ({
      what: `an issuer of ${length} bytes`,
      body: hashedRekord({
        certificate: fulcioCertificate({ names: [VICTIM], issuer: `https://${'i'.repeat(length - 8)}` }),
      }),
    })),
    ...[
      { 1: 'https://a.example', 8: 'https://b.example' },
      { 8: 'https://a.example' },
      { 1: 'https://a.example' },
      { 1: '\u00fc' },
      { 7: 'seven', 127: 'last' },
      { 9: '' },
      { 0: 'zero' },
    ].map((extensions, i) => ({
      what: `extensions ${i}`,
      body: hashedRekord({ certificate: fulcioCertificate({ names: [VICTIM], extensions }) }),
    })),
    { what: 'an empty sequence for a key', body: hashedRekord({ key: sequence() }) },
    { what: 'bytes after a key', body: hashedRekord({ key: Buffer.concat([VICTIM_KEY, Buffer.alloc(1)]) }) },
  ];
}
