/** A verifiable index in memory whose checkpoints are signed and cosigned, with the trust of a client. */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { LookupTrust, ProveLookupTree } from '../../client/search/lookup-trust.ts';
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { formatCheckpoint } from '../../merkle/checkpoint.ts';
import { cosignedMessage, formatCosignature } from '../../merkle/cosignature.ts';
import type { IndexKey } from '../../merkle/index/keys.ts';
import { formatLookup } from '../../merkle/index/lookup.ts';
import {
  ed25519VerifierKey,
  formatNote,
  formatVerifierKey,
  KEY_TYPE,
  makeVerifierKey,
  type NoteSignature,
  type VerifierKey,
} from '../../merkle/note.ts';
import { type Policy, parsePolicy } from '../../merkle/policy.ts';
import { consistencyProof, rootAt } from '../../merkle/proof.ts';
import { fastSha256 } from '../../merkle/runtime/crypto/hash.ts';
import { INPUT_ORIGIN, MemoryIndex, nodesOf, OUTPUT_ORIGIN } from './memory-index.ts';

/** A key that signs or cosigns checkpoints. */
export class CheckpointKey {
  readonly key: VerifierKey;
  readonly #pair: KeyObject;

  constructor(name: string, kind: 'log' | 'cosigner') {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const raw = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
    this.#pair = privateKey;
    this.key = kind === 'log' ? ed25519VerifierKey(name, raw) : makeVerifierKey(name, KEY_TYPE.cosignature, raw);
  }

  /** The signature line of a log. */
  signature(text: string): NoteSignature {
    return this.#line(sign(null, encodeUtf8(text), this.#pair));
  }

  /** The signature line of a witness or of a rebuilder. */
  cosignature(text: string, timestamp = 1_700_000_000): NoteSignature {
    const signature = sign(null, cosignedMessage(this.key, timestamp, text), this.#pair);
    return this.#line(formatCosignature({ timestamp, signature }));
  }

  policyLine(name: string): string {
    return `witness ${name} ${formatVerifierKey(this.key)}\n`;
  }

  #line(signature: Uint8Array): NoteSignature {
    return { name: this.key.name, keyId: this.key.keyId, signature: new Uint8Array(signature) };
  }
}

export function quorumPolicy(keys: readonly CheckpointKey[], count: number | 'all'): Policy {
  const names = keys.map((_, i) => `k${i}`);
  return parsePolicy(
    `${keys.map((key, i) => key.policyLine(names[i]!)).join('')}group all-of-them ${count} ${names.join(' ')}\nquorum all-of-them\n`,
  );
}

export class SignedIndex extends MemoryIndex {
  readonly inputKey = new CheckpointKey(INPUT_ORIGIN, 'log');
  readonly outputKey = new CheckpointKey(OUTPUT_ORIGIN, 'log');
  readonly inputWitness = new CheckpointKey('witness.example.com/input', 'cosigner');
  readonly outputWitness = new CheckpointKey('witness.example.com/output', 'cosigner');
  readonly rebuilders = [1, 2, 3].map((i) => new CheckpointKey(`rebuilder-${i}.example.com`, 'cosigner'));
  /** Who cosigns from now on. */
  inputCosigners: readonly CheckpointKey[] = [this.inputWitness];
  outputCosigners: readonly CheckpointKey[] = [this.outputWitness, ...this.rebuilders];

  constructor() {
    super((origin, leaves) => this.note(origin, leaves));
  }

  /** 2 of the 3 rebuilders. */
  get trust(): LookupTrust {
    return {
      input: { origin: INPUT_ORIGIN, keys: [this.inputKey.key], policy: quorumPolicy([this.inputWitness], 'all') },
      output: { origin: OUTPUT_ORIGIN, keys: [this.outputKey.key], policy: quorumPolicy([this.outputWitness], 'all') },
      rebuilders: quorumPolicy(this.rebuilders, 2),
    };
  }

  note(origin: string, leaves: readonly Uint8Array[]): string {
    const root = rootAt(leaves.length, nodesOf(leaves), fastSha256);
    const text = formatCheckpoint({ origin, size: leaves.length, root, extensions: [] });
    const isInput = origin === INPUT_ORIGIN;
    const key = isInput ? this.inputKey : this.outputKey;
    const others = isInput ? this.inputCosigners : this.outputCosigners;
    return formatNote(text, [key.signature(text), ...others.map((other) => other.cosignature(text))]);
  }

  bytes(key: IndexKey, since = 0): Uint8Array {
    return formatLookup(this.lookup(key, since));
  }

  /** As a client makes it from tiles. */
  readonly prove: ProveLookupTree = async (log, older, newer) =>
    consistencyProof(
      older.size,
      newer.size,
      nodesOf(log === 'input' ? this.inputLeaves : this.outputLeaves),
      fastSha256,
    );
}
