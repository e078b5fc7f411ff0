import { createHash, generateKeyPairSync } from 'node:crypto';
import { ed25519 } from '@noble/curves/ed25519.js';
import { p256 } from '@noble/curves/nist.js';
import { describe, expect, it } from 'vitest';
import { ClientError } from '../../../client/errors.ts';
import { parseBundle } from '../../../client/formats/bundle.ts';
import { canonicalEntry, type Signed } from '../../../client/formats/entry-request.ts';
import { parsePublicKey } from '../../../client/formats/key.ts';
import { verifyTlogProof } from '../../../client/index.ts';
import { compileRule } from '../../../client/trust/identity.ts';
import { parseTrustPolicy } from '../../../client/trust/quorum.ts';
import { parseTrustedRoot } from '../../../client/trust/trusted-root.ts';
import {
  checkProofUnderRoots,
  checkTlogProof,
  type ExpectedSigner,
  entryDigest,
  type TlogProofCheck,
} from '../../../client/verify/tlog-proof.ts';
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import { type CosignatureSigner, cosign } from '../../../merkle/cosignature.ts';
import { formatNote, formatVerifierKey, KEY_TYPE, makeVerifierKey, parseNote } from '../../../merkle/note.ts';
import { formatHashedRekord, parseHashedRekord } from '../../../merkle/rekor/hashedrekord.ts';
import { leafHash } from '../../../merkle/rfc6962.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { formatTlogProof, parseTlogProof, type TlogProof } from '../../../merkle/tlog-proof.ts';
import { parseCertificate } from '../../../merkle/x509/certificate.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { newKey } from '../../support/new-key.ts';
import { bundleCases } from '../../support/vectors.ts';

const log = FakeLog.empty();
const witnesses = ['w1', 'w2', 'w3'].map((name): CosignatureSigner & { vkey: string } => {
  const { secretKey, publicKey } = ed25519.keygen();
  const key = makeVerifierKey(name, KEY_TYPE.cosignature, publicKey);
  return { key, vkey: formatVerifierKey(key), sign: async (message) => ed25519.sign(message, secretKey) };
});
const policyOf = (quorum: string, vkey = log.vkey) =>
  parseTrustPolicy(
    encodeUtf8(
      [
        `log ${vkey}`,
        ...witnesses.map(({ vkey: w }, i) => `witness w${i} ${w}`),
        'group g 2 w0 w1 w2',
        `quorum ${quorum}`,
        '',
      ].join('\n'),
    ),
  );
const alone = policyOf('none');

const key = newKey();
const sha256 = Uint8Array.from(createHash('sha256').update('hello').digest());
const signed: Signed = { digest: sha256, signature: key.sign(sha256), publicKey: key.publicKey };
const proofOf = (body: Uint8Array): TlogProof => {
  const { index, hashes, checkpoint } = log.add(body);
  return { extra: body, index, hashes, checkpoint };
};
const good = proofOf(canonicalEntry(signed));
const signer: ExpectedSigner = { key: key.publicKey.spki };
const check = (proof: TlogProof | Uint8Array, changes: Partial<TlogProofCheck> & { signer?: ExpectedSigner } = {}) =>
  checkTlogProof(
    {
      proof: proof instanceof Uint8Array ? proof : formatTlogProof(proof),
      policy: alone,
      digests: { sha256 },
      signer,
      ...changes,
    } as TlogProofCheck,
    nodePrimitives(),
  );
const code = (work: () => unknown): string => {
  try {
    work();
    return 'accepted';
  } catch (error) {
    if (error instanceof ClientError) return error.code;
    throw error;
  }
};

describe('checkTlogProof', () => {
  it('proves that the key signed the file and that the log has it', () => {
    const verified = check(good);
    expect(verified).toMatchObject({ origin: 'localhost', index: good.index, leafHash: leafHash(good.extra!) });
    expect(verified.signer?.publicKey.spki).toEqual(key.publicKey.spki);
    expect(entryDigest(formatTlogProof(good))).toBe('sha256');
  });

  it('believes nothing in the extra data', () => {
    const parts = parseHashedRekord(good.extra!);
    const other = newKey();
    const otherDigest = sha256.map((byte) => byte ^ 1);
    // Each of these is an honest entry of the log, with a proof that leads to it.
    expect(code(() => check(proofOf(formatHashedRekord({ ...parts, digest: otherDigest }))))).toBe('digest-mismatch');
    const mangled = other.sign(sha256);
    expect(code(() => check(proofOf(formatHashedRekord({ ...parts, signature: mangled }))))).toBe('bad-signature');
    const foreign = { publicKey: other.publicKey.spki };
    expect(code(() => check(proofOf(formatHashedRekord({ ...parts, verifier: foreign }))))).toBe('bad-signature');
    const own = { digest: sha256, signature: mangled, publicKey: other.publicKey };
    expect(code(() => check(proofOf(canonicalEntry(own))))).toBe('bad-signature');
    expect(code(() => check(proofOf(formatHashedRekord({ ...parts, keyDetails: 'PKIX_ED25519_PH' }))))).toBe(
      'malformed',
    );
    expect(code(() => check(proofOf(formatHashedRekord({ ...parts, digestAlgorithm: 'SHA2_512' }))))).toBe('malformed');
    // And this one says what is asked for, but is not what the proof leads to.
    const unlogged = canonicalEntry({ ...signed, signature: newSignature() });
    expect(code(() => check({ ...good, extra: unlogged }))).toBe('bad-proof');
  });

  it('takes an entry in its canonical form alone', () => {
    const text = Buffer.from(good.extra!).toString();
    for (const other of [
      text.replace('{', '{ '),
      `${text}\n`,
      text.replace('"kind":"hashedrekord",', ''),
      text.replace('{', '{"x":1,'),
      text.replace('hashedrekord', 'hashedrekor\\u0064'),
      text.replace('"0.0.2"', '"0.0.1"'),
      'hello',
    ]) {
      expect(['malformed', 'unsupported'], other).toContain(code(() => check(proofOf(encodeUtf8(other)))));
    }
  });

  it('refuses a proof of another entry, index, tree or log', () => {
    const second = proofOf(canonicalEntry({ ...signed, signature: newSignature() }));
    expect(code(() => check({ ...good, index: good.index + 1 }))).toBe('bad-proof');
    expect(code(() => check({ ...good, hashes: second.hashes }))).toBe('bad-proof');
    expect(code(() => check({ ...good, hashes: good.hashes.slice(1) }))).toBe('bad-proof');
    expect(code(() => check({ ...good, checkpoint: second.checkpoint }))).toBe('bad-proof');
    const namesake = FakeLog.empty();
    const { index, hashes, checkpoint } = namesake.add(good.extra!);
    expect(code(() => check({ extra: good.extra, index, hashes, checkpoint }))).toBe('bad-checkpoint');
    expect(code(() => check(good, { policy: policyOf('none', namesake.vkey) }))).toBe('bad-checkpoint');
    const forged = good.checkpoint.replace(/\n\d+\n/, '\n99\n');
    expect(code(() => check({ ...good, checkpoint: forged }))).toBe('bad-checkpoint');
  });

  it('refuses another file, and asks for the digest that the key signs', () => {
    expect(code(() => check(good, { digests: { sha256: sha256.map((byte) => byte ^ 1) } }))).toBe('digest-mismatch');
    expect(code(() => check(good, { digests: { sha512: new Uint8Array(64) } }))).toBe('usage');
  });

  it('refuses what is no proof, or says nothing about a file', () => {
    expect(code(() => check(encodeUtf8('hello')))).toBe('malformed');
    expect(code(() => check({ ...good, extra: undefined }))).toBe('malformed');
  });

  it('holds the policy: its quorum must have cosigned', async () => {
    expect(code(() => check(good, { policy: policyOf('g') }))).toBe('quorum');
    const one = await cosigned(good.checkpoint, [0, 1000]);
    expect(code(() => check({ ...good, checkpoint: one }, { policy: policyOf('g') }))).toBe('quorum');
    const twice = await cosigned(good.checkpoint, [0, 1000], [0, 1001]);
    expect(code(() => check({ ...good, checkpoint: twice }, { policy: policyOf('g') }))).toBe('quorum');
    const two = await cosigned(good.checkpoint, [0, 1000], [2, 2000]);
    const { cosigned: names } = check({ ...good, checkpoint: two }, { policy: policyOf('g') });
    expect(names.map(({ witness }) => witness)).toEqual(['w0', 'w2']);
  });

  it('checks any leaf of any log by its hash, without looking at the extra data', () => {
    const body = encodeUtf8('an entry of a log that knows nothing of hashedrekord');
    const { extra: _, ...proof } = proofOf(body);
    const request = (hash: Uint8Array, extra?: Uint8Array): TlogProofCheck => ({
      proof: formatTlogProof({ ...proof, extra }),
      policy: alone,
      leafHash: hash,
    });
    expect(checkTlogProof(request(leafHash(body)), nodePrimitives())).toMatchObject({
      signer: undefined,
      index: proof.index,
    });
    expect(checkTlogProof(request(leafHash(body), encodeUtf8('opaque')), nodePrimitives()).index).toBe(proof.index);
    expect(code(() => checkTlogProof(request(leafHash(encodeUtf8('another'))), nodePrimitives()))).toBe('bad-proof');
    expect(code(() => checkTlogProof(request(new Uint8Array(31)), nodePrimitives()))).toBe('usage');
  });

  it('stands every byte changed: refused, or the same file, key and entry as before', () => {
    const file = formatTlogProof(good);
    for (let at = 0; at < file.length; at += 3) {
      const changed = file.map((byte, i) => (i === at ? byte ^ 0x02 : byte));
      if (code(() => check(changed)) === 'accepted') {
        // Nothing but lines of keys that are not known can differ.
        expect(parseTlogProof(changed).extra).toEqual(good.extra);
      }
    }
  });
});

/** A second signature of the same key over the same digest: s and n - s verify alike. */
function newSignature(): Uint8Array {
  const { r, s } = p256.Signature.fromBytes(signed.signature, 'der');
  return new p256.Signature(r, p256.Point.CURVE().n - s).toBytes('der');
}

async function cosigned(note: string, ...by: [number, number][]): Promise<string> {
  const { text, signatures } = parseNote(note);
  const lines = await Promise.all(by.map(([witness, time]) => cosign(witnesses[witness]!, time, text)));
  return formatNote(text, [...signatures, ...lines]);
}

describe.each(bundleCases())('an identity in a tlog-proof: %s', (cases) => {
  const published = cases.named('happy-path-v0.3-new-mediaType');
  /** A genuine signature of a genuine certificate, in a log of this test. */
  function genuine() {
    const { content, signer: by } = parseBundle(published.bundle);
    if (by.kind !== 'certificate') throw new Error('the bundle has no certificate');
    const certificate = parseCertificate(by.certificate);
    const publicKey = parsePublicKey(certificate.spki, nodePrimitives());
    const digest = Uint8Array.from(createHash('sha256').update(published.artifact).digest());
    const body = canonicalEntry({ digest, signature: content.signature, publicKey, certificate: by.certificate });
    return { certificate, digest, proof: proofOf(body) };
  }
  const trustedRoot = parseTrustedRoot(published.trustedRoot);
  const policy = policyOf('g');
  const any = { identity: { pattern: '.*' }, issuer: { pattern: 'https://.*' } };
  const who = (rule: object): ExpectedSigner => ({ identity: compileRule(rule), trustedRoot });

  it('is found in the certificate, which counts at the time of the witnesses', async () => {
    const { certificate, digest, proof } = genuine();
    const time = certificate.notBefore / 1000 + 60;
    const checkpoint = await cosigned(proof.checkpoint, [0, 1000], [1, time]);
    const verified = check({ ...proof, checkpoint }, { policy, digests: { sha256: digest }, signer: who(any) });
    expect(verified.signer?.time).toBe(time * 1000);
    const [name] = verified.signer!.identity!.names;
    const exact = { identity: name!.value, issuer: verified.signer!.identity!.issuer! };
    expect(
      code(() => check({ ...proof, checkpoint }, { policy, digests: { sha256: digest }, signer: who(exact) })),
    ).toBe('accepted');
    const other = { ...exact, identity: 'somebody@example.com' };
    expect(
      code(() => check({ ...proof, checkpoint }, { policy, digests: { sha256: digest }, signer: who(other) })),
    ).toBe('identity');
  });

  it('asks certificate transparency as the trusted root says, and nothing of the future', async () => {
    const { certificate, digest, proof } = genuine();
    const time = certificate.notBefore / 1000 + 60;
    const checkpoint = await cosigned(proof.checkpoint, [0, 1000], [1, time]);
    const under = (root: typeof trustedRoot, more: object = {}, now?: number) =>
      check(
        { ...proof, checkpoint },
        { policy, digests: { sha256: digest }, signer: { ...who(any), trustedRoot: root, ...more }, now },
      ).signer!.notProven;
    const none = { ...trustedRoot, ctlogs: [] };
    expect(under(trustedRoot, { requireSct: true })).toEqual([]);
    expect(under(trustedRoot, { ignoreSct: true })).toEqual([{ name: 'certificate-transparency', because: 'ignored' }]);
    expect(under(none)).toEqual([{ name: 'certificate-transparency', because: 'no-log' }]);
    expect(code(() => under(none, { requireSct: true }))).toBe('bad-sct');
    expect(code(() => under(trustedRoot, { requireSct: true, ignoreSct: true }))).toBe('usage');
    const unknown = { ...trustedRoot, ctlogs: [{ ...trustedRoot.ctlogs[0]!, logId: new Uint8Array(32) }] };
    expect(code(() => under(unknown))).toBe('bad-sct');
    expect(under(trustedRoot, {}, (time - 300) * 1000)).toEqual([]);
    expect(code(() => under(trustedRoot, {}, (time - 301) * 1000))).toBe('future-time');
    // The witnesses of a bare leaf are no different.
    const leaf = { proof: formatTlogProof({ ...proof, checkpoint }), policy, leafHash: leafHash(proof.extra!) };
    expect(code(() => checkTlogProof({ ...leaf, now: (time - 301) * 1000 }, nodePrimitives()))).toBe('future-time');
    expect(code(() => checkTlogProof({ ...leaf, now: Number.NaN }, nodePrimitives()))).toBe('usage');
    expect(code(() => checkTlogProof(leaf, nodePrimitives()))).toBe('accepted');
  });

  it("is held to this machine's clock by the library, unless it is given another", async () => {
    const { digest, proof } = genuine();
    const later = Date.UTC(2100, 0) / 1000;
    const checkpoint = await cosigned(proof.checkpoint, [0, later], [1, later]);
    const ask = (more: object) => {
      const file = formatTlogProof({ ...proof, checkpoint });
      const about = {
        proof: file,
        policy,
        digests: { sha256: digest },
        signer: { ...any, identity: any, trustedRoot },
      };
      return code(() => verifyTlogProof({ ...about, ...more }));
    };
    expect(ask({})).toBe('future-time');
    expect(ask({ now: Infinity })).toBe('bad-certificate');
    const leaf = { signer: undefined, leafHash: leafHash(proof.extra!) };
    expect(ask(leaf)).toBe('future-time');
    expect(ask({ ...leaf, now: later * 1000 })).toBe('accepted');
  });

  it('is found under one of several trusted roots', async () => {
    const { certificate, digest, proof } = genuine();
    const checkpoint = await cosigned(proof.checkpoint, [0, 1000], [1, certificate.notBefore / 1000 + 60]);
    const file = formatTlogProof({ ...proof, checkpoint });
    const empty = { tlogs: [], certificateAuthorities: [], ctlogs: [], timestampAuthorities: [] };
    const under = (...roots: (typeof trustedRoot)[]) => {
      const signer = { identity: compileRule(any), trustedRoot: roots };
      return checkProofUnderRoots({ proof: file, policy, digests: { sha256: digest }, signer }, nodePrimitives());
    };
    expect(under(empty, trustedRoot).trustedRoot).toEqual({ index: 1 });
    expect(under(trustedRoot)).not.toHaveProperty('trustedRoot');
    // Neither the authority nor the logs of one root are enough.
    const lone = { ...trustedRoot, ctlogs: [{ ...trustedRoot.ctlogs[0]!, logId: new Uint8Array(32) }] };
    expect(code(() => under(lone, { ...empty, ctlogs: trustedRoot.ctlogs }))).toBe('bad-sct');
  });

  it('is refused where witnesses saw it too late, give no time, or the key alone signed', async () => {
    const { certificate, digest, proof } = genuine();
    const digests = { sha256: digest };
    const late = certificate.notAfter / 1000 + 60;
    const checkpoint = await cosigned(proof.checkpoint, [0, 1000], [1, late]);
    expect(code(() => check({ ...proof, checkpoint }, { policy, digests, signer: who(any) }))).toBe('bad-certificate');
    expect(code(() => check(proof, { policy: alone, digests, signer: who(any) }))).toBe('policy');
    expect(code(() => check(good, { signer: who(any) }))).toBe('identity');
  });

  it('is not needed where the key is known', () => {
    const { certificate, digest, proof } = genuine();
    expect(check(proof, { digests: { sha256: digest }, signer: { key: certificate.spki } }).index).toBe(proof.index);
    const spki = generateKeyPairSync('ed25519').publicKey.export({ format: 'der', type: 'spki' });
    expect(code(() => check(proof, { digests: { sha256: digest }, signer: { key: spki } }))).toBe('bad-signature');
  });
});
