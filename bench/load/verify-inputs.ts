/** Sigstore bundles from one log, each by a different key, as for a check of everything that a team released. */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { formatBundle } from '../../client/formats/bundle.ts';
import { canonicalEntry } from '../../client/formats/entry-request.ts';
import { keyHint, parsePublicKey } from '../../client/formats/key.ts';
import { tlogEntry } from '../../client/formats/log-entry.ts';
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { formatCheckpoint } from '../../merkle/checkpoint.ts';
import { cosign } from '../../merkle/cosignature.ts';
import { formatNote, formatVerifierKey, KEY_TYPE, logId, makeVerifierKey } from '../../merkle/note.ts';
import { inclusionProof } from '../../merkle/proof.ts';
import { CompactRange } from '../../merkle/range.ts';
import { leafHash } from '../../merkle/rfc6962.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { nodePrimitives } from '../../merkle/runtime/crypto/node-primitives.ts';

export interface BundleInput {
  readonly bundle: Uint8Array;
  /** SHA-256 of the artifact. */
  readonly digest: Uint8Array;
  /** SubjectPublicKeyInfo of the signer. */
  readonly spki: Uint8Array;
}

export interface BundleInputs {
  readonly inputs: readonly BundleInput[];
  /** Trust policy of the log that requires the cosignatures of both its witnesses. */
  readonly policy: string;
}

/** @param batch number of entries under one checkpoint, as on a busy log */
export async function makeBundles(count: number, batch: number): Promise<BundleInputs> {
  const log = ed25519('log.test', KEY_TYPE.ed25519);
  const witnesses = [ed25519('w1.test', KEY_TYPE.cosignature), ed25519('w2.test', KEY_TYPE.cosignature)];
  const range = CompactRange.empty(fastSha256);
  const nodes = new Map<string, Uint8Array>();
  const read = (level: number, index: number) => nodes.get(`${level}/${index}`)!;
  const inputs: BundleInput[] = [];
  while (inputs.length < count) {
    const made = Array.from({ length: Math.min(batch, count - inputs.length) }, (_, i) =>
      signedEntry(inputs.length + i),
    );
    const first = range.size;
    for (const { body } of made) {
      range.append(leafHash(body, fastSha256), (level, index, hash) => nodes.set(`${level}/${index}`, hash));
    }
    const { size } = range;
    const root = range.root();
    const text = formatCheckpoint({ origin: 'log.test', size, root, extensions: [] });
    const { name, keyId } = log.key;
    const own = { name, keyId, signature: sign(null, encodeUtf8(text), log.privateKey) };
    const cosignatures = await Promise.all(witnesses.map((witness) => cosign(witness, 1_700_000_000, text)));
    const checkpoint = formatNote(text, [own, ...cosignatures]);
    for (const [i, { body, signature, digest, spki }] of made.entries()) {
      const index = first + i;
      const hashes = inclusionProof(index, size, read, fastSha256);
      const entry = {
        index,
        logId: logId(log.key),
        kind: 'hashedrekord',
        version: '0.0.2',
        integratedTime: 0,
        treeSize: size,
        root,
        hashes,
        checkpoint,
        body,
      };
      const bundle = formatBundle({
        version: '0.3',
        content: { kind: 'message', digest: { algorithm: 'SHA2_256', value: digest }, signature },
        signer: { kind: 'public-key', hint: keyHint({ spki }) },
        entries: [tlogEntry(entry)],
        timestamps: [],
      });
      inputs.push({ bundle, digest, spki });
    }
  }
  const lines = [
    `log ${formatVerifierKey(log.key)}`,
    ...witnesses.map(({ key }, i) => `witness w${i} ${formatVerifierKey(key)}`),
    'group both all w0 w1',
    'quorum both',
  ];
  return { inputs, policy: `${lines.join('\n')}\n` };
}

function signedEntry(i: number) {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ format: 'der', type: 'spki' });
  const artifact = encodeUtf8(`artifact ${i}`);
  const digest = fastSha256(artifact);
  const signature = sign('sha256', artifact, privateKey);
  const body = canonicalEntry({ digest, signature, publicKey: parsePublicKey(spki, nodePrimitives()) });
  return { spki, digest, signature, body };
}

/** SubjectPublicKeyInfo of an Ed25519 key ends in its 32 bytes. */
const ED25519_SIZE = 32;

function ed25519(name: string, type: 1 | 4) {
  const { privateKey, publicKey }: { privateKey: KeyObject; publicKey: KeyObject } = generateKeyPairSync('ed25519');
  const raw = publicKey.export({ format: 'der', type: 'spki' }).subarray(-ED25519_SIZE);
  const key = makeVerifierKey(name, type, new Uint8Array(raw));
  return { key, privateKey, sign: async (message: Uint8Array) => sign(null, message, privateKey) };
}
