import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { ed25519 } from '@noble/curves/ed25519.js';
import { p256 } from '@noble/curves/nist.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, encodeBase64, encodeHex, encodeUtf8 } from '../../merkle/bytes.ts';
import { parseCheckpoint } from '../../merkle/checkpoint.ts';
import { nobleNotePrimitives } from '../../merkle/noble.ts';
import {
  ecdsaVerifierKey,
  ed25519VerifierKey,
  formatNote,
  formatVerifierKey,
  KEY_TYPE,
  logId,
  MAX_SIGNATURES,
  noteVerifier,
  openNote,
  openNoteAsync,
  parseNote,
  parseVerifierKey,
} from '../../merkle/note.ts';
import { sha256 } from '../../merkle/rfc6962.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { bundleCases } from '../support/vectors.ts';
import { codeOf } from './helpers.ts';

// The example of c2sp.org/signed-note.
const SPEC_KEY = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k';
const SPEC_NOTE = `This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
`;

// The example of golang.org/x/mod/sumdb/note.
const PETER_KEY = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const ENOCH_KEY = 'EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop';
const PETER_TEXT = `If you think cryptography is the answer to your problem,
then you don't know what your problem is.
`;
const PETER_LINE =
  '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n';
const ENOCH_LINE =
  '— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n';
const PETER_NOTE = `${PETER_TEXT}\n${PETER_LINE}`;

const verifierOf = (vkey: string) => noteVerifier(parseVerifierKey(vkey), nodeNotePrimitives);
const peter = verifierOf(PETER_KEY);
const enoch = verifierOf(ENOCH_KEY);

describe('opening a note', () => {
  it('gives the text of the published examples', () => {
    expect(openNote(parseNote(SPEC_NOTE), [verifierOf(SPEC_KEY)]).text).toBe('This is an example message.\n');
    const { text, verified, others } = openNote(parseNote(encodeUtf8(PETER_NOTE + ENOCH_LINE)), [peter, enoch]);
    expect(text).toBe(PETER_TEXT);
    expect(verified.map(({ name }) => name)).toEqual(['PeterNeumann', 'EnochRoot']);
    expect(others).toEqual([]);
  });

  it('passes over unknown keys, also those that share name or key ID with a known one', () => {
    const [signature] = parseNote(PETER_NOTE).signatures;
    const note = formatNote(PETER_TEXT, [
      { ...signature!, name: 'OtherName' },
      { ...signature!, keyId: Uint8Array.of(0, 0, 0, 1) },
      signature!,
    ]);
    const { verified, others } = openNote(parseNote(note), [peter, enoch]);
    expect(verified).toEqual([signature]);
    expect(others).toHaveLength(2);
    expect(codeOf(() => openNote(parseNote(`${PETER_TEXT}\n${ENOCH_LINE}`), [peter]))).toBe('unknown-key');
    expect(codeOf(() => openNote(parseNote(PETER_NOTE), []))).toBe('unknown-key');
  });

  it('refuses a wrong signature of a known key beside a right one, in any order', () => {
    const [signature] = parseNote(PETER_NOTE).signatures;
    const wrong = { ...signature!, signature: signature!.signature.map((byte, i) => (i === 9 ? byte ^ 1 : byte)) };
    for (const signatures of [[wrong], [signature!, wrong], [wrong, signature!]]) {
      expect(codeOf(() => openNote(parseNote(formatNote(PETER_TEXT, signatures)), [peter]))).toBe('bad-signature');
    }
    for (const text of [PETER_TEXT.toLowerCase(), `${PETER_TEXT}\n`, `\n${PETER_TEXT}`]) {
      expect(codeOf(() => openNote(parseNote(formatNote(text, [signature!])), [peter]))).toBe('bad-signature');
    }
    const mixed = `${PETER_NOTE}${ENOCH_LINE.replace('rwz+eBzm', 'rwz+eBzn')}`;
    expect(openNote(parseNote(mixed), [peter]).verified).toHaveLength(1);
    expect(codeOf(() => openNote(parseNote(mixed), [peter, enoch]))).toBe('bad-signature');
  });

  it('counts a key once, however often it signed', () => {
    const { verified, others } = openNote(parseNote(PETER_NOTE + PETER_LINE), [peter]);
    expect([verified.length, others.length]).toEqual([1, 0]);
    expect(codeOf(() => openNote(parseNote(PETER_NOTE), [peter, peter]))).toBe('bad-verifier-key');
  });
});

describe('the work of opening a note', () => {
  const [signature] = parseNote(PETER_NOTE).signatures;
  const different = (count: number) =>
    Array.from({ length: count }, (_, i) => ({ ...signature!, signature: Uint8Array.of(...signature!.signature, i) }));
  const counting = () => {
    const counts = { verified: 0 };
    const verify = () => ++counts.verified > 0;
    return { counts, verifier: { ...peter, verify } };
  };

  it('verifies equal lines once', async () => {
    const note = parseNote(PETER_NOTE + PETER_LINE.repeat(MAX_SIGNATURES - 1));
    const { counts, verifier } = counting();
    expect(openNote(note, [verifier]).verified).toHaveLength(1);
    expect(counts.verified).toBe(1);
    expect((await openNoteAsync(note, [verifier])).verified).toHaveLength(1);
    expect(counts.verified).toBe(2);
  });

  it('is counted before it is done', async () => {
    const note = parseNote(formatNote(PETER_TEXT, different(4)));
    const { counts, verifier } = counting();
    expect(codeOf(() => openNote(note, [verifier], 3))).toBe('bad-note');
    await expect(openNoteAsync(note, [verifier], 3)).rejects.toMatchObject({ code: 'bad-note' });
    expect(counts.verified).toBe(0);
    expect(openNote(note, [verifier], 4).verified).toHaveLength(1);
    expect(counts.verified).toBe(4);
  });

  it('does not count lines of unknown keys', () => {
    const note = parseNote(PETER_NOTE + ENOCH_LINE.repeat(MAX_SIGNATURES - 1));
    expect(openNote(note, [peter], 1).verified).toHaveLength(1);
  });
});

describe('the form of a note', () => {
  it.each([
    ['nothing', ''],
    ['no text', `\n${PETER_LINE}`],
    ['no empty line', PETER_TEXT + PETER_LINE],
    ['no signature', `${PETER_TEXT}\n`],
    ['no last newline', PETER_NOTE.slice(0, -1)],
    ['a line after the signatures', `${PETER_NOTE}more\n`],
    ['an empty line after the signatures', `${PETER_NOTE}\n`],
    ['a hyphen', PETER_NOTE.replace('—', '-')],
    ['two spaces before the name', PETER_NOTE.replace('— ', '—  ')],
    ['two spaces before the base64', PETER_NOTE.replace('Neumann ', 'Neumann  ')],
    ['a space after the base64', PETER_NOTE.replace(/\n$/, ' \n')],
    ['no name', PETER_NOTE.replace('PeterNeumann ', '')],
    ['a plus in the name', PETER_NOTE.replace('PeterNeumann', 'Peter+Neumann')],
    ['a no-break space in the name', PETER_NOTE.replace('PeterNeumann', 'Peter\u00a0Neumann')],
    ['an ideographic space in the name', PETER_NOTE.replace('PeterNeumann', 'Peter\u3000Neumann')],
    ['a next-line control in the name', PETER_NOTE.replace('PeterNeumann', 'Peter\u0085Neumann')],
    ['base64 without padding', PETER_NOTE.replace('=\n', '\n')],
    ['base64 with bits left over', PETER_NOTE.replace('AM=\n', 'AN=\n')],
    ['only a key ID', PETER_NOTE.replace(/x08go\S*/, 'x08gow==')],
    ['a carriage return', PETER_NOTE.replaceAll('\n', '\r\n')],
    ['a tab in the text', `\t${PETER_NOTE}`],
    ['a NUL in the text', `\0${PETER_NOTE}`],
    ['half a surrogate pair', `\ud83d${PETER_NOTE}`],
    ['too many signatures', PETER_NOTE + PETER_LINE.repeat(MAX_SIGNATURES)],
    ['more than 1 MiB', `${'é'.repeat(1_048_576 / 2)}${PETER_NOTE}`],
  ])('is refused: %s', (_, note) => {
    expect(codeOf(() => parseNote(note))).toBe('bad-note');
    if (!/[\ud83d]/.test(note)) expect(codeOf(() => parseNote(encodeUtf8(note)))).toBe('bad-note');
  });

  it('is refused: not UTF-8', () => {
    expect(codeOf(() => parseNote(concat(Uint8Array.of(0xff), encodeUtf8(PETER_NOTE))))).toBe('bad-note');
  });

  it('takes empty lines in the text, a hundred signatures, and text of any script', () => {
    const note = `\n\n— PeterNeumann AAAAAAA=\n\né\u{1f512}\n\n${PETER_LINE.repeat(MAX_SIGNATURES)}`;
    const { text, signatures } = parseNote(note);
    expect(text).toBe('\n\n— PeterNeumann AAAAAAA=\n\né\u{1f512}\n');
    expect(signatures).toHaveLength(100);
    expect(formatNote(text, signatures)).toBe(note);
  });

  const name = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 8 })
    .filter((s) => !/[\p{White_Space}+\p{Cc}]/u.test(s));
  const signature = fc.record({
    name,
    keyId: fc.uint8Array({ minLength: 4, maxLength: 4 }),
    signature: fc.uint8Array({ minLength: 1, maxLength: 80 }),
  });
  const text = fc
    .array(fc.constantFrom('', 'a', 'é', '— x AAAAAAA=', '12'), { minLength: 1, maxLength: 6 })
    .map((lines) => `${lines.join('\n')}\n`);

  it('comes back as it went', () => {
    fc.assert(
      fc.property(text, fc.array(signature, { minLength: 1, maxLength: 4 }), (text, signatures) => {
        const note = formatNote(text, signatures);
        expect(parseNote(note)).toEqual({ text, signatures });
        expect(parseNote(encodeUtf8(note))).toEqual({ text, signatures });
      }),
    );
  });

  it('is refused to write where it could not be read', () => {
    const [good] = parseNote(PETER_NOTE).signatures;
    expect(codeOf(() => formatNote('no newline', [good!]))).toBe('bad-note');
    expect(codeOf(() => formatNote('\ttab\n', [good!]))).toBe('bad-note');
    expect(codeOf(() => formatNote(PETER_TEXT, []))).toBe('bad-note');
    expect(codeOf(() => formatNote(PETER_TEXT, new Array(101).fill(good)))).toBe('bad-note');
    for (const wrong of [{ name: '' }, { name: 'a b' }, { name: 'a\n' }, { name: 'a+' }, { name: 'a\x01' }]) {
      expect(codeOf(() => formatNote(PETER_TEXT, [{ ...good!, ...wrong }]))).toBe('bad-note');
    }
    expect(codeOf(() => formatNote(PETER_TEXT, [{ ...good!, keyId: new Uint8Array(3) }]))).toBe('bad-note');
    expect(codeOf(() => formatNote(PETER_TEXT, [{ ...good!, signature: new Uint8Array(0) }]))).toBe('bad-note');
  });

  it('never fails otherwise, and what is read is written again', () => {
    const original = encodeUtf8(PETER_NOTE + ENOCH_LINE);
    fc.assert(
      fc.property(fc.nat(original.length - 1), fc.integer({ min: 0, max: 255 }), fc.nat(3), (at, byte, kind) => {
        const mutated = [
          original.with(at, byte),
          original.subarray(0, at),
          concat(original.subarray(0, at), Uint8Array.of(byte), original.subarray(at)),
          concat(original.subarray(0, at), original.subarray(at + 1)),
        ][kind]!;
        const code = codeOf(() => {
          const { text, signatures } = parseNote(mutated);
          expect(encodeUtf8(formatNote(text, signatures))).toEqual(mutated);
        });
        expect([undefined, 'bad-note']).toContain(code);
      }),
      { numRuns: 3000 },
    );
  });
});

describe('verifier keys', () => {
  const spki = (namedCurve: string) => {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve });
    return { privateKey, der: new Uint8Array(publicKey.export({ type: 'spki', format: 'der' })) };
  };

  it('come back as they went, in every type', () => {
    const ecdsa = formatVerifierKey(ecdsaVerifierKey('log.example', spki('P-256').der));
    const typed = (type: number, key: Uint8Array) => {
      const id = sha256(concat(encodeUtf8('w.example'), Uint8Array.of(0x0a, type), key)).subarray(0, 4);
      return `w.example+${encodeHex(id)}+${encodeBase64(concat(Uint8Array.of(type), key))}`;
    };
    const cosignature = typed(4, new Uint8Array(32).fill(3));
    const mldsa = typed(6, new Uint8Array(1312).fill(5));
    for (const vkey of [SPEC_KEY, PETER_KEY, ENOCH_KEY, ecdsa, cosignature, mldsa]) {
      expect(formatVerifierKey(parseVerifierKey(vkey))).toBe(vkey);
    }
    expect(parseVerifierKey(ecdsa).type).toBe(KEY_TYPE.ecdsa);
    expect(parseVerifierKey(mldsa).type).toBe(KEY_TYPE.mldsa44);
    expect(codeOf(() => noteVerifier(parseVerifierKey(cosignature), nodeNotePrimitives))).toBe('bad-verifier-key');
    for (const [type, length] of [
      [1, 31],
      [1, 33],
      [2, 32],
      [4, 64],
      [5, 32],
      [6, 1311],
      [0, 32],
      [255, 32],
    ] as const) {
      expect(codeOf(() => parseVerifierKey(typed(type, new Uint8Array(length))))).toBe('bad-verifier-key');
    }
  });

  it.each([
    '',
    'a',
    'a+b',
    PETER_KEY.slice(0, -1),
    `${PETER_KEY} `,
    ` ${PETER_KEY}`,
    PETER_KEY.replace('c74f20a3', 'C74F20A3'),
    PETER_KEY.replace('c74f20a3', 'c74f20a4'),
    PETER_KEY.replace('c74f20a3', '0c74f20a3'),
    PETER_KEY.replace('c74f20a3', ''),
    PETER_KEY.replace('PeterNeumann', ''),
    PETER_KEY.replace('PeterNeumann', 'EnochRoot'),
    PETER_KEY.replace('+ARpc', '+Arpc'),
    `${PETER_KEY}==`,
    'a+00000000+',
  ])('are refused: %j', (vkey) => expect(codeOf(() => parseVerifierKey(vkey))).toBe('bad-verifier-key'));

  it('never fail otherwise', () => {
    fc.assert(
      fc.property(fc.nat(PETER_KEY.length - 1), fc.string({ unit: 'binary', maxLength: 2 }), (at, text) => {
        const mutated = PETER_KEY.slice(0, at) + text + PETER_KEY.slice(at + 1);
        const code = codeOf(() => expect(formatVerifierKey(parseVerifierKey(mutated))).toBe(mutated));
        expect([undefined, 'bad-verifier-key']).toContain(code);
      }),
      { numRuns: 2000 },
    );
  });

  it('of ECDSA must be an uncompressed point on P-256, and no byte more', () => {
    const { der } = spki('P-256');
    const offCurve = der.with(der.length - 1, der.at(-1)! ^ 1);
    for (const wrong of [spki('P-384').der, concat(der, Uint8Array.of(0)), der.subarray(1), offCurve]) {
      expect(codeOf(() => ecdsaVerifierKey('log.example', wrong))).toBe('bad-verifier-key');
    }
    expect(codeOf(() => ed25519VerifierKey('a b', new Uint8Array(32)))).toBe('bad-verifier-key');
  });

  it('of ECDSA verify DER signatures with either s, and nothing else', () => {
    const { privateKey, der } = spki('P-256');
    const key = ecdsaVerifierKey('log.example', der);
    expect(encodeHex(key.keyId)).toBe(encodeHex(sha256(der)).slice(0, 8));
    const message = encodeUtf8('a text\n');
    const first = p256.Signature.fromBytes(new Uint8Array(sign('sha256', message, privateKey)), 'der');
    const second = new p256.Signature(first.r, p256.Point.Fn.neg(first.s));
    const { verify } = noteVerifier(key, nodeNotePrimitives);
    for (const signature of [first, second]) {
      const bytes = signature.toBytes('der');
      expect(verify(message, bytes)).toBe(true);
      expect(verify(encodeUtf8('another text\n'), bytes)).toBe(false);
      for (const wrong of [
        bytes.subarray(1),
        bytes.subarray(0, -1),
        concat(bytes, Uint8Array.of(0)),
        new Uint8Array(0),
      ]) {
        expect(verify(message, wrong)).toBe(false);
      }
      expect(verify(message, signature.toBytes('compact'))).toBe(false);
    }
  });

  it('take other primitives, which agree with the ones they replace', () => {
    const pair = generateKeyPairSync('ed25519');
    const raw = new Uint8Array(pair.publicKey.export({ type: 'spki', format: 'der' })).subarray(12);
    const message = encodeUtf8('a text\n');
    const signature = new Uint8Array(sign(null, message, pair.privateKey));
    expect(ed25519.verify(signature, message, raw)).toBe(true);
    const key = ed25519VerifierKey('log.example', raw);
    const node = {
      ...nobleNotePrimitives,
      ed25519: (_: Uint8Array, m: Uint8Array, s: Uint8Array) => verify(null, m, pair.publicKey, s),
    };
    const asked: boolean[] = [];
    for (const primitives of [nobleNotePrimitives, node]) {
      const verifier = noteVerifier(key, primitives);
      for (let length = 0; length <= 65; length++) {
        asked.push(verifier.verify(message, concat(signature, Uint8Array.of(0)).subarray(0, length)));
      }
      asked.push(verifier.verify(message, signature.with(63, signature[63]! | 0x80)));
    }
    expect(asked.map((ok, i) => (ok ? i : -1)).filter((i) => i >= 0)).toEqual([64, 64 + 67]);
  });
});

interface TrustedRoot {
  tlogs: { baseUrl: string; publicKey: { rawBytes: string; keyDetails: string }; logId: { keyId: string } }[];
}

describe.each(bundleCases())('checkpoints in bundles of Rekor: %s', (cases) => {
  const json = (bytes: Uint8Array) => JSON.parse(Buffer.from(bytes).toString());
  const read = (name: string) => json(cases.named(name).bundle);
  const rootOf = (name: string) => json(cases.named(name).trustedRoot);
  const keysOf = (root: TrustedRoot) =>
    root.tlogs.map(({ baseUrl, publicKey, logId }) => {
      const name = new URL(baseUrl).hostname;
      const der = new Uint8Array(Buffer.from(publicKey.rawBytes, 'base64'));
      const key =
        publicKey.keyDetails === 'PKIX_ED25519'
          ? ed25519VerifierKey(name, der.subarray(12))
          : ecdsaVerifierKey(name, der);
      return { key, id: logId.keyId };
    });

  it.each([
    ['happy-path-v0.3-new-mediaType', 1, 0],
    ['managed-key-happy-path', 1, 0],
    ['rekor2-checkpoint-cosigned', 1, 1],
    ['rekor2-checkpoint-multiple-cosigs', 1, 2],
    ['rekor2-checkpoint-two-sigs-from-origin', 1, 1],
  ])('%s verifies, with the log ID of the trusted root', (name, verified, others) => {
    const keys = keysOf(rootOf(name));
    for (const { key, id } of keys) expect(encodeBase64(logId(key))).toBe(id);
    const [entry] = read(name).verificationMaterial.tlogEntries;
    const { envelope } = entry.inclusionProof.checkpoint;
    const opened = openNote(
      parseNote(envelope),
      keys.map(({ key }) => noteVerifier(key, nodeNotePrimitives)),
    );
    expect([opened.verified.length, opened.others.length]).toEqual([verified, others]);
    expect(parseCheckpoint(opened.text).size).toBe(Number(entry.inclusionProof.treeSize));
  });

  it.each([
    ['rekor2-checkpoint-no-matching-signature_fail', 'unknown-key'],
    ['rekor2-checkpoint-missing-size_fail', 'bad-signature'],
  ])('%s does not', (name, code) => {
    const keys = keysOf(rootOf(name)).map(({ key }) => noteVerifier(key, nodeNotePrimitives));
    const [entry] = read(name).verificationMaterial.tlogEntries;
    expect(codeOf(() => openNote(parseNote(entry.inclusionProof.checkpoint.envelope), keys))).toBe(code);
  });
});
