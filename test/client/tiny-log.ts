/** A log of a few lines over the merkle room, for what the client must accept and refuse. */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { canonicalEntry, type Signed } from '../../client/formats/entry-request.ts';
import { parsePublicKey } from '../../client/formats/key.ts';
import type { LogEntry } from '../../client/formats/log-entry.ts';
import { type SoftwareSigner, softwareSigner } from '../../client/submit/signers/software-signer.ts';
import { formatCheckpoint } from '../../merkle/checkpoint.ts';
import { ed25519VerifierKey, formatNote, formatVerifierKey, logId, type VerifierKey } from '../../merkle/note.ts';
import { inclusionProof, rootAt } from '../../merkle/proof.ts';
import { leafHash, nodeHash } from '../../merkle/rfc6962.ts';
import { nodePrimitives } from '../../merkle/runtime/crypto/node-primitives.ts';

export class TinyLog {
  readonly key: VerifierKey;
  readonly vkey: string;
  readonly #private: KeyObject;
  readonly #leaves: Uint8Array[] = [];

  constructor(origin = 'localhost') {
    const pair = generateKeyPairSync('ed25519');
    this.#private = pair.privateKey;
    const raw = pair.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
    this.key = ed25519VerifierKey(origin, raw);
    this.vkey = formatVerifierKey(this.key);
  }

  get logId(): Uint8Array {
    return logId(this.key);
  }

  /** Logs an entry among `before` and `after` others. */
  add(body: Uint8Array, before = 3, after = 4): LogEntry {
    const filler = (n: number) => Array.from({ length: n }, (_, i) => leafHash(new Uint8Array([i])));
    this.#leaves.push(...filler(before), leafHash(body), ...filler(after));
    const size = this.#leaves.length;
    const index = size - after - 1;
    const root = rootAt(size, this.#node);
    return {
      index,
      logId: this.logId,
      kind: 'hashedrekord',
      version: '0.0.2',
      integratedTime: 0,
      treeSize: size,
      root,
      hashes: inclusionProof(index, size, this.#node),
      checkpoint: this.signed(formatCheckpoint({ origin: this.key.name, size, root, extensions: [] })),
      body,
    };
  }

  logged(signed: Signed): LogEntry {
    return this.add(canonicalEntry(signed));
  }

  signed(text: string): string {
    const signature = sign(null, Buffer.from(text), this.#private);
    return formatNote(text, [{ name: this.key.name, keyId: this.key.keyId, signature }]);
  }

  readonly #node = (level: number, index: number): Uint8Array =>
    level === 0
      ? this.#leaves[index]!
      : nodeHash(this.#node(level - 1, 2 * index), this.#node(level - 1, 2 * index + 1));
}

export function newKey(namedCurve: 'P-256' | 'P-384' | 'P-521' = 'P-256'): SoftwareSigner {
  const pair = generateKeyPairSync('ec', { namedCurve });
  const { d } = pair.privateKey.export({ format: 'jwk' });
  const spki = pair.publicKey.export({ format: 'der', type: 'spki' });
  return softwareSigner(parsePublicKey(spki, nodePrimitives()), Buffer.from(d!, 'base64url'));
}
