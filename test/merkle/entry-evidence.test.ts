import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { formatCheckpoint } from '../../merkle/checkpoint.ts';
import {
  ENTRY_EVIDENCE_START,
  type EntryEvidence,
  formatEntryEvidence,
  parseEntryEvidence,
  verifyEntryEvidence,
} from '../../merkle/entry-evidence.ts';
import { MAX_EVIDENCE, parseEvidence, verifyEvidence } from '../../merkle/evidence.ts';
import { ed25519VerifierKey, formatNote } from '../../merkle/note.ts';
import { inclusionProof } from '../../merkle/proof.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { codeOf, damaged, entriesOf, GrownTree, nodeSha256 } from './helpers.ts';

const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const key = ed25519VerifierKey('log.test', publicKey.export({ format: 'der', type: 'spki' }).subarray(-32));
const tree = new GrownTree(entriesOf(20));

function note(size: number, extensions: readonly string[] = [], root = tree.roots[size]!): string {
  const text = formatCheckpoint({ origin: 'log.test', size, root, extensions });
  const signature = sign(null, encodeUtf8(text), privateKey);
  return formatNote(text, [{ name: key.name, keyId: key.keyId, signature }]);
}

const evidence: EntryEvidence = {
  keys: [key],
  checkpoint: note(20),
  index: 7,
  leafHash: tree.levels[0]![7]!,
  hashes: inclusionProof(7, 20, tree.read, nodeSha256),
  served: encodeUtf8('entry 8'),
};

describe('evidence of an entry that is not in the tree', () => {
  it('shows which entry it is not, alone from its file', () => {
    const file = formatEntryEvidence(evidence);
    expect(file.startsWith(ENTRY_EVIDENCE_START)).toBe(true);
    const found = verifyEntryEvidence(parseEntryEvidence(encodeUtf8(file)), nodeNotePrimitives);
    expect(found).toMatchObject({ origin: 'log.test', size: 20, index: 7, leafHash: evidence.leafHash });
    expect(found.servedHash).not.toEqual(found.leafHash);
  });

  it('shows nothing where the bytes are the entry', () => {
    expect(codeOf(() => verifyEntryEvidence({ ...evidence, served: encodeUtf8('entry 7') }, nodeNotePrimitives))).toBe(
      'bad-evidence',
    );
  });

  it('shows nothing without the signature or the proof', () => {
    const other = ed25519VerifierKey('log.test', new Uint8Array(32).fill(9));
    expect(codeOf(() => verifyEntryEvidence({ ...evidence, keys: [other] }, nodeNotePrimitives))).toBe('unknown-key');
    expect(codeOf(() => verifyEntryEvidence({ ...evidence, index: 8 }, nodeNotePrimitives))).toBe('bad-proof');
    expect(codeOf(() => verifyEntryEvidence({ ...evidence, leafHash: tree.levels[0]![8]! }, nodeNotePrimitives))).toBe(
      'bad-proof',
    );
    for (const hashes of damaged(evidence.hashes)) {
      expect(codeOf(() => verifyEntryEvidence({ ...evidence, hashes }, nodeNotePrimitives))).toBe('bad-proof');
    }
  });

  it.each<[string, (file: string) => string]>([
    ['cut off', (file) => file.slice(0, -2)],
    ['with white space', (file) => file.replace(',', ', ')],
    ['with a further field', (file) => file.replace('"index"', '"more":1,"index"')],
    ['with an index as text', (file) => file.replace('"index":7', '"index":"7"')],
    ['with a negative index', (file) => file.replace('"index":7', '"index":-7')],
    ['of another format', (file) => file.replace('/v1', '/v2')],
    ['that is no object', () => 'null\n'],
  ])('is refused in a file %s', (_name, change) => {
    expect(codeOf(() => parseEntryEvidence(change(formatEntryEvidence(evidence))))).toBe('bad-evidence');
  });
});

describe('evidence of growth after a freeze', () => {
  const frozen = note(10, ['Log frozen — 2026-01-01T00:00:00Z']);

  it('needs the word that it is frozen, and a larger tree', () => {
    const found = verifyEvidence({ keys: [key], first: frozen, second: note(20) }, nodeNotePrimitives);
    expect(found).toMatchObject({ kind: 'grew-after-freeze', firstSize: 10, secondSize: 20 });
    expect(codeOf(() => verifyEvidence({ keys: [key], first: note(10), second: note(20) }, nodeNotePrimitives))).toBe(
      'bad-evidence',
    );
    expect(codeOf(() => verifyEvidence({ keys: [key], first: frozen, second: note(9) }, nodeNotePrimitives))).toBe(
      'bad-evidence',
    );
    expect(codeOf(() => verifyEvidence({ keys: [key], first: frozen, second: note(10) }, nodeNotePrimitives))).toBe(
      'bad-evidence',
    );
    const other = note(10, ['Something else — 2026-01-01T00:00:00Z']);
    expect(codeOf(() => verifyEvidence({ keys: [key], first: other, second: note(20) }, nodeNotePrimitives))).toBe(
      'bad-evidence',
    );
  });

  it('is not mixed up with an entry', () => {
    expect(codeOf(() => parseEvidence(formatEntryEvidence(evidence)))).toBe('bad-evidence');
  });

  it('is no file past the limit, whatever stands in it', () => {
    const file = formatEntryEvidence({ ...evidence, served: new Uint8Array(MAX_EVIDENCE) });
    expect(codeOf(() => parseEntryEvidence(file))).toBe('bad-evidence');
  });
});
