import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Bundle, DsseContent } from '../../../client/formats/bundle.ts';
import { formatPublicKeyPem } from '../../../client/formats/key.ts';
import type { TlogEntry } from '../../../client/formats/log-entry.ts';
import { parseTrustedRoot, verifyBundle } from '../../../client/verify.ts';
import { formatCheckpoint } from '../../../merkle/checkpoint.ts';
import { formatNote } from '../../../merkle/note.ts';
import type { KeyInfo } from '../../../merkle/rekor/spki.ts';
import { leafHash } from '../../../merkle/rfc6962.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { attestation, code, digestsOf, hex, messageBundle, testKey, text } from './verify-parts.ts';

/** A log of Rekor v1, of one shard that holds one entry at a time. */
const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const spki = pair.publicKey.export({ format: 'der', type: 'spki' });
const logId = createHash('sha256').update(spki).digest();
const TIME = 1_700_000_000;
const rootWith = (validFor: object, baseUrl = 'https://rekor.example') =>
  parseTrustedRoot(
    text(
      JSON.stringify({
        mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
        tlogs: [
          {
            baseUrl,
            hashAlgorithm: 'SHA2_256',
            publicKey: { rawBytes: spki.toString('base64'), keyDetails: 'PKIX_ECDSA_P256_SHA_256', validFor },
            logId: { keyId: logId.toString('base64') },
          },
        ],
      }),
    ),
  );
const trustedRoot = rootWith({ start: '2020-01-01T00:00:00Z' });

const signed = (message: string): Uint8Array => Uint8Array.from(sign('sha256', Buffer.from(message), pair.privateKey));

function logged(kind: string, version: string, spec: object, origin = 'rekor.example - 42'): TlogEntry {
  const body = text(JSON.stringify({ apiVersion: version, kind, spec }));
  const index = 5000;
  const promise = signed(
    `{"body":"${Buffer.from(body).toString('base64')}","integratedTime":${TIME},"logID":"${logId.toString('hex')}","logIndex":${index}}`,
  );
  const note = formatCheckpoint({ origin, size: 1, root: leafHash(body), extensions: ['Timestamp: 1700000000000'] });
  const line = { name: 'rekor.example', keyId: Uint8Array.from(logId.subarray(0, 4)), signature: signed(note) };
  const proof = { index: 0, treeSize: 1, root: leafHash(body), hashes: [], checkpoint: formatNote(note, [line]) };
  return { index, logId: Uint8Array.from(logId), kind, version, integratedTime: TIME, promise, proof, body };
}

const file = text('hello');
const key = testKey();
const somewhere = FakeLog.empty();
const b64 = (bytes: Uint8Array | string) => Buffer.from(bytes).toString('base64');
const pem = (info: KeyInfo) => b64(formatPublicKeyPem(info));
const sha = (bytes: Uint8Array) => ({ algorithm: 'sha256', value: hex(digestsOf(bytes).sha256) });

const message = messageBundle(file, key, somewhere);
const about = attestation(file, key, somewhere);
const envelope = about.content as DsseContent;
const { signature: sig, payload } = envelope;

const RECORD = {
  data: { hash: sha(file) },
  signature: { content: b64(message.content.signature), publicKey: { content: pem(key.info) } },
};
const DSSE = {
  envelopeHash: sha(text('whatever was sent')),
  payloadHash: sha(payload),
  signatures: [{ signature: b64(sig), verifier: pem(key.info) }],
};
const INTOTO = {
  content: {
    envelope: {
      payloadType: envelope.payloadType,
      signatures: [{ publicKey: pem(key.info), sig: b64(b64(sig)) }],
    },
    hash: sha(text('whatever was sent')),
    payloadHash: sha(payload),
  },
};

const with_ = (bundle: Bundle, entry: TlogEntry, version: Bundle['version'] = '0.3'): Bundle => ({
  ...bundle,
  version,
  entries: [entry],
});
const check = (bundle: Bundle, root = trustedRoot) =>
  code(() => verifyBundle({ bundle, artifact: digestsOf(file), key: key.info, trustedRoot: root }));

/** Every copy of `spec` with one leaf changed, or one member more or less. */
function* changes(value: object): Generator<object> {
  for (const name of Object.keys(value)) {
    const inner = (value as Record<string, unknown>)[name];
    const copy = (changed: unknown) =>
      Object.assign(Array.isArray(value) ? [...value] : { ...value }, { [name]: changed });
    if (typeof inner === 'string') {
      const at = Math.floor(inner.length / 2);
      yield copy(inner.slice(0, at) + (inner[at] === 'a' ? 'b' : 'a') + inner.slice(at + 1));
    } else for (const changed of changes(inner as object)) yield copy(changed);
    if (Array.isArray(value)) yield [...value, inner];
    else yield Object.fromEntries(Object.entries(value).filter(([other]) => other !== name));
  }
  if (!Array.isArray(value)) yield { ...value, more: 1 };
}

describe('entries of Rekor v1', () => {
  it.each([
    ['hashedrekord', '0.0.1', message, RECORD],
    ['dsse', '0.0.1', about, DSSE],
    ['intoto', '0.0.2', about, INTOTO],
  ] as const)(
    '%s %s: verifies, with the time of the promise, and nothing in it may differ',
    (kind, version, bundle, spec) => {
      const good = with_(bundle, logged(kind, version, spec));
      const outcome = verifyBundle({ bundle: good, artifact: digestsOf(file), key: key.info, trustedRoot });
      expect(outcome.times).toMatchObject([{ kind: 'promise', time: TIME * 1000 }]);
      expect(outcome.entries).toMatchObject([{ origin: 'rekor.example - 42', index: 0 }]);
      let tried = 0;
      for (const changed of changes(spec)) {
        const outcomeCode = check(with_(bundle, logged(kind, version, changed)));
        // Of bytes that nobody has any more, only the form is checked; the log never lets them be changed afterwards.
        const { envelopeHash, content } = changed as { envelopeHash?: unknown; content?: { hash?: unknown } };
        const unknown = JSON.stringify({ ...changed, envelopeHash: 0, content: { ...content, hash: 0 } });
        const known = JSON.stringify({
          ...spec,
          envelopeHash: 0,
          content: { ...(spec as typeof INTOTO).content, hash: 0 },
        });
        if (unknown === known && (envelopeHash !== undefined || content !== undefined)) continue;
        expect(outcomeCode, JSON.stringify(changed)).not.toBe('accepted');
        tried++;
      }
      expect(tried).toBeGreaterThan(10);
    },
  );

  it('of another kind than the bundle says, or about something else, is refused', () => {
    expect(check(with_(message, { ...logged('hashedrekord', '0.0.1', RECORD), kind: 'dsse' }))).toBe('entry-mismatch');
    expect(check(with_(about, logged('hashedrekord', '0.0.1', RECORD)))).toBe('entry-mismatch');
    expect(check(with_(message, logged('dsse', '0.0.1', DSSE)))).toBe('entry-mismatch');
    expect(check(with_(message, logged('intoto', '0.0.2', INTOTO)))).toBe('entry-mismatch');
    expect(check(with_(message, logged('rpm', '0.0.1', {})))).toBe('unsupported');
  });

  it('a promise must be over this body, time, log and index', () => {
    const good = logged('hashedrekord', '0.0.1', RECORD);
    const changed: Partial<TlogEntry>[] = [
      { index: 5001 },
      { integratedTime: TIME + 1 },
      { integratedTime: 0 },
      { promise: good.promise!.map((byte, at) => (at === 20 ? byte ^ 1 : byte)) },
      { promise: logged('hashedrekord', '0.0.1', {}).promise! },
    ];
    for (const change of changed) expect(check(with_(message, { ...good, ...change }))).toBe('bad-promise');
    const { promise: _, ...without } = good;
    expect(check(with_(message, without))).toBe('bad-promise');
    expect(check(with_(message, { ...without, integratedTime: 0 }))).toBe('bad-proof');
  });

  it('in v0.1 a promise alone suffices, and the outcome says so', () => {
    const { proof, ...promised } = logged('hashedrekord', '0.0.1', RECORD);
    const bundle = with_(message, promised, '0.1');
    const outcome = verifyBundle({ bundle, artifact: digestsOf(file), key: key.info, trustedRoot });
    expect(outcome.notProven).toContainEqual({ name: 'inclusion' });
    expect(outcome.entries[0]!.tree).toBeUndefined();
    const { checkpoint: __, ...bare } = proof!;
    expect(check(with_(message, { ...promised, proof: bare }, '0.1'))).toBe('accepted');
    const other = { ...bare, root: new Uint8Array(32) };
    expect(check(with_(message, { ...promised, proof: other }, '0.1'))).toBe('bad-proof');
  });

  it('is signed by a key that the root gives for the time of the promise', () => {
    const good = with_(message, logged('hashedrekord', '0.0.1', RECORD));
    expect(check(good, rootWith({ start: '2023-11-14T22:13:20Z', end: '2023-11-14T22:13:20Z' }))).toBe('accepted');
    expect(check(good, rootWith({ start: '2023-11-14T22:13:20.001Z' }))).toBe('bad-promise');
    expect(check(good, rootWith({ start: '2020-01-01T00:00:00Z', end: '2023-11-14T22:13:19Z' }))).toBe('bad-promise');
  });

  it('has a checkpoint whose origin is of its form, under the name in it', () => {
    const validFor = { start: '2020-01-01T00:00:00Z' };
    const good = with_(message, logged('hashedrekord', '0.0.1', RECORD));
    expect(check(good, rootWith(validFor, 'https://rekor.example:8443/'))).toBe('accepted');
    // The host may call itself something else than its address: the log ID binds the key alone.
    expect(check(good, rootWith(validFor, 'https://other.example'))).toBe('accepted');
    for (const origin of ['other.example - 42', 'rekor.example - x', 'rekor.example/42', 'x rekor.example - 42']) {
      expect(check(with_(message, logged('hashedrekord', '0.0.1', RECORD, origin)))).toBe('bad-checkpoint');
    }
  });
});
